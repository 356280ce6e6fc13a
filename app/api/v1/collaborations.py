"""Collaborations over HTTP."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from app.api.v1.evidence import CitableOut, CitableQuery, cited
from app.api.v1.lineage import LineageQuery
from app.kit.fields import CommaSeparated, Distinct, EdtfDate, Flag, Key, Note, Part, Prose, RecordIn, Title
from app.kit.filters import Among, Equals, Lasting, Overlaps, Refers
from app.kit.resource import Reference, Resource
from app.kit.rules import acyclic
from app.registry import collaborations
from app.registry.citations import CitedNoun, evidence_of
from app.registry.collaboration_types import CollaborationType
from app.registry.collaborations import (
    Collaboration,
    CollaborationInstrument,
    CollaborationParticipant,
    CollaborationSdg,
    CollaborationStatus,
    ParticipantRole,
    ReviewStatus,
)
from app.registry.reviews import Stands, review_calendar
from app.registry.successions import lineage_of

Goal = Annotated[int, Field(ge=1, le=17)]


class Participant(Part):
    """An organization's part in a collaboration."""

    organization: Annotated[Key, Reference()]
    role: ParticipantRole
    period: EdtfDate | None = Field(default=None, description="When it took part, where that differs from the whole.")
    on_behalf_of: Annotated[Key, Reference()] | None = None
    note: Note | None = None


EXAMPLE = {
    "title": "Responsible Business Conduct in Latin America and the Caribbean",
    "type": "project",
    "status": "completed",
    "period": "2019/2022",
    "participants": [{"organization": slug, "role": "partner"} for slug in ("eu", "ilo", "oecd", "ohchr")],
}


class CollaborationIn(RecordIn, json_schema_extra={"examples": [EXAMPLE]}):
    """A collaboration as it is written, with its participants."""

    title: Title
    summary: Prose | None = None
    type: Annotated[Key, Reference()] = Field(description="A collaboration type.")
    status: CollaborationStatus = CollaborationStatus.unknown
    period: EdtfDate | None = Field(
        default=None, description="When it lasts; `1999/..`: still going on. Empty: not stated."
    )
    part_of: Annotated[Key, Reference()] | None = Field(
        default=None, description="The collaboration that this one is a part of."
    )
    instruments: Annotated[list[Annotated[Key, Reference()]], Distinct] = Field(default=[], max_length=100)
    sdgs: Annotated[list[Annotated[Goal, Field(strict=True)]], Distinct] = Field(
        default=[], max_length=17, description="Sustainable Development Goals, 1 to 17."
    )
    participants: list[Participant] = Field(
        default=[], max_length=500, description="In the order given; an organization may stand more than once."
    )
    review_every_months: Annotated[int, Field(ge=1, le=1200, strict=True)] | None = Field(
        default=None, description="Empty: as its type says, or the nearest broader type that does."
    )


class CollaborationOut(CitableOut, CollaborationIn):
    """A collaboration. The last three fields are computed on each reading."""

    last_reviewed: EdtfDate | None = Field(default=None, description="The date of the latest review that was held.")
    next_review_due: date | None = Field(
        default=None, description="`review_every_months`, its own or its type's, after that."
    )
    review_status: ReviewStatus = ReviewStatus.none


class CollaborationQuery(LineageQuery, CitableQuery, Lasting):
    """Which collaborations. The window asks for their period."""

    span = Overlaps(Collaboration, "period")

    type: Annotated[Key | None, Refers(Collaboration.type_id, tree=CollaborationType.broader_id)] = None
    descendants: Flag = Field(default=False, description="With `type` or `part_of`: at any depth.")
    status: Annotated[list[CollaborationStatus] | None, CommaSeparated, Distinct, Equals(Collaboration.status)] = None
    organization: Annotated[Key | None, Among(Refers(CollaborationParticipant.organization_id, lineage=lineage_of))] = (
        Field(default=None, description="One of the participants; with `role`: in this role.")
    )
    role: Annotated[
        list[ParticipantRole] | None, CommaSeparated, Distinct, Among(Equals(CollaborationParticipant.role))
    ] = None
    instrument: Annotated[Key | None, Among(Refers(CollaborationInstrument.instrument_id))] = None
    sdg: Annotated[list[Goal] | None, CommaSeparated, Distinct, Among(Equals(CollaborationSdg.goal))] = None
    part_of: Annotated[Key | None, Refers(Collaboration.part_of_id, tree=Collaboration.part_of_id)] = None
    review_status: Annotated[list[ReviewStatus] | None, CommaSeparated, Distinct, Stands()] = Field(
        default=None, description="What the calendar says of their review, today (or on the day of `as_of`)."
    )


RESOURCE = Resource(
    name="collaboration",
    plural="collaborations",
    model=Collaboration,
    write=CollaborationIn,
    read=CollaborationOut,
    query=CollaborationQuery,
    sorts={
        "slug": Collaboration.slug,
        "title": Collaboration.title_key,
        "period": Collaboration.period,
        "created_at": Collaboration.created_at,
        "updated_at": Collaboration.updated_at,
    },
    titled=lambda data: data.title,
    texts=collaborations.texts,
    rules=(acyclic(Collaboration.part_of_id, "part_of"),),
    computed=(review_calendar, evidence_of(CitedNoun.collaborations)),
    by_day=True,
    collected=cited(CitedNoun.collaborations),
)
