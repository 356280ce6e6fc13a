"""Instruments over HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.api.v1.evidence import CitableOut, CitableQuery, cited
from app.kit.fields import CommaSeparated, Distinct, EdtfDate, Key, Name, Prose, RecordIn, Title, WebAddress
from app.kit.filters import Among, Equals, Overlaps, Refers, Windowed
from app.kit.resource import Reference, Resource
from app.kit.rules import acyclic
from app.registry import instruments
from app.registry.citations import CitedNoun, evidence_of
from app.registry.instruments import Instrument, InstrumentKind, InstrumentReference

EXAMPLE = {
    "title": "OECD due diligence guidance for investors",
    "kind": "guidance",
    "issuer": "oecd",
    "refers_to": ["oecd-guidelines-mne"],
}


class InstrumentIn(RecordIn, json_schema_extra={"examples": [EXAMPLE]}):
    """An instrument as it is written."""

    title: Title
    short_title: Name | None = None
    kind: InstrumentKind
    description: Prose | None = None
    issuer: Annotated[Key, Reference()] | None = Field(default=None, description="The organization that issued it.")
    adopted: EdtfDate | None = None
    revised: EdtfDate | None = Field(default=None, description="The latest revision.")
    url: WebAddress | None = None
    replaces: Annotated[Key, Reference()] | None = Field(
        default=None, description="The instrument that this one takes the place of."
    )
    refers_to: Annotated[list[Annotated[Key, Reference()]], Distinct] = Field(default=[], max_length=100)


class InstrumentOut(CitableOut, InstrumentIn):
    """An instrument."""


class InstrumentQuery(CitableQuery, Windowed):
    """Which instruments. The window asks when they were adopted."""

    span = Overlaps(Instrument, "adopted")

    kind: Annotated[list[InstrumentKind] | None, CommaSeparated, Distinct, Equals(Instrument.kind)] = None
    issuer: Annotated[Key | None, Refers(Instrument.issuer_id)] = None
    refers_to: Annotated[Key | None, Among(Refers(InstrumentReference.refers_to_id))] = None
    replaces: Annotated[Key | None, Refers(Instrument.replaces_id)] = None


RESOURCE = Resource(
    name="instrument",
    plural="instruments",
    model=Instrument,
    write=InstrumentIn,
    read=InstrumentOut,
    query=InstrumentQuery,
    sorts={
        "slug": Instrument.slug,
        "title": Instrument.title_key,
        "adopted": Instrument.adopted,
        "revised": Instrument.revised,
        "created_at": Instrument.created_at,
        "updated_at": Instrument.updated_at,
    },
    titled=lambda data: data.short_title or data.title,
    texts=instruments.texts,
    rules=(acyclic(Instrument.replaces_id, "replaces"),),
    computed=(evidence_of(CitedNoun.instruments),),
    collected=cited(CitedNoun.instruments),
)
