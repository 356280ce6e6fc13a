"""Citations over HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.api.v1.sources import Count
from app.kit.fields import CommaSeparated, Distinct, Flag, Key, Note, Part, Pointer, RecordIn, RecordOut
from app.kit.filters import Equals, ListQuery, Refers
from app.kit.resource import Reference, Resource
from app.registry import citations
from app.registry.citations import CITED, Citation, CitedNoun, OfRecord, Orphaned, Support, passages_exist


class CitationTarget(Part):
    """The record that is cited for."""

    noun: CitedNoun
    record: Annotated[Key, Reference(among=CITED)] = Field(description="Slug or id.")


class Place(Part):
    """Where a sentence stands in its source."""

    section: Count
    paragraph: Count
    sentence: Count


EXAMPLE = {
    "slug": "mention-of-enterprises",
    "source": "mne-declaration-page",
    "passages": [{"section": 4, "paragraph": 1, "sentence": 1}],
    "target": {"noun": "organizations", "record": "enterprises"},
    "support": "implies",
}


class CitationIn(RecordIn, json_schema_extra={"examples": [EXAMPLE]}):
    """A citation as it is written."""

    source: Annotated[Key, Reference()]
    passages: Annotated[list[Place], Distinct] = Field(default=[], max_length=200)
    target: CitationTarget
    field: Pointer = Field(
        default="", description="JSON Pointer (RFC 6901) into the target; empty: the record as a whole."
    )
    stated_value: Note | None = Field(
        default=None, description="What the passages say the field is, where they say so; a date as EDTF."
    )
    support: Support
    note: Note | None = None


class CitationOut(RecordOut, CitationIn):
    """A citation."""


class RecordCitationQuery(ListQuery):
    """Which citations of a record."""

    source: Annotated[Key | None, Refers(Citation.source_id)] = None
    support: Annotated[list[Support] | None, CommaSeparated, Distinct, Equals(Citation.support)] = None


class CitationQuery(RecordCitationQuery):
    """Which citations."""

    noun: Annotated[list[CitedNoun] | None, CommaSeparated, Distinct, Equals(Citation.target_noun)] = Field(
        default=None, description="Evidence for records of these nouns."
    )
    record: Annotated[Key | None, OfRecord()] = Field(
        default=None, description="With one `noun`: evidence for this record of it."
    )
    orphaned: Annotated[Flag | None, Orphaned()] = Field(
        default=None, description="`true`: evidence for records that were withdrawn; `false`: for those that are there."
    )


RESOURCE = Resource(
    name="citation",
    plural="citations",
    model=Citation,
    write=CitationIn,
    read=CitationOut,
    query=CitationQuery,
    sorts={"slug": Citation.slug, "created_at": Citation.created_at, "updated_at": Citation.updated_at},
    titled=lambda data: f"{data.target.noun} {data.target.record}",
    texts=citations.texts,
    rules=(passages_exist,),
)
