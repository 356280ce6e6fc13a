"""Reviews over HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.api.v1.evidence import CitableOut, CitableQuery, cited
from app.kit.fields import CommaSeparated, Distinct, EdtfDate, Key, Name, Note, Part, Prose, RecordIn, Title
from app.kit.filters import Among, Equals, Overlaps, Refers, Windowed
from app.kit.resource import Reference, Resource
from app.registry import reviews
from app.registry.citations import CitedNoun, evidence_of
from app.registry.reviews import Finding, HeldStatus, Review, ReviewItem


class AgendaItem(Part):
    """One collaboration on the agenda, and what was found."""

    collaboration: Annotated[Key, Reference()]
    finding: Finding
    note: Note | None = None


EXAMPLE = {
    "title": "Review of partnerships",
    "body": "ilo-governing-body",
    "status": "planned",
    "items": [{"collaboration": "global-compact", "finding": "noted"}],
}


class ReviewIn(RecordIn, json_schema_extra={"examples": [EXAMPLE]}):
    """A review as it is written."""

    title: Title
    body: Annotated[Key, Reference()] | None = Field(default=None, description="The organization that reviews.")
    session: Name | None = None
    date: EdtfDate | None = None
    document: Annotated[Key, Reference()] | None = Field(default=None, description="A source.")
    status: HeldStatus
    summary: Prose | None = None
    decision: Prose | None = None
    items: list[AgendaItem] = Field(default=[], max_length=500)


class ReviewOut(CitableOut, ReviewIn):
    """A review."""


class ReviewQuery(CitableQuery, Windowed):
    """Which reviews. The window asks for their date."""

    span = Overlaps(Review, "date")

    status: Annotated[list[HeldStatus] | None, CommaSeparated, Distinct, Equals(Review.status)] = None
    body: Annotated[Key | None, Refers(Review.body_id)] = None
    collaboration: Annotated[Key | None, Among(Refers(ReviewItem.collaboration_id))] = None
    finding: Annotated[list[Finding] | None, CommaSeparated, Distinct, Among(Equals(ReviewItem.finding))] = None


RESOURCE = Resource(
    name="review",
    plural="reviews",
    model=Review,
    write=ReviewIn,
    read=ReviewOut,
    query=ReviewQuery,
    sorts={
        "slug": Review.slug,
        "title": Review.title_key,
        "date": Review.date,
        "created_at": Review.created_at,
        "updated_at": Review.updated_at,
    },
    titled=lambda data: data.title,
    texts=reviews.texts,
    computed=(evidence_of(CitedNoun.reviews),),
    collected=cited(CitedNoun.reviews),
)
