"""Successions over HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.api.v1.evidence import CitableOut, CitableQuery, cited
from app.kit.fields import CommaSeparated, Distinct, EdtfDate, Key, Prose, RecordIn
from app.kit.filters import Among, Equals, Overlaps, Refers, Windowed
from app.kit.resource import Reference, Resource
from app.registry import successions
from app.registry.citations import CitedNoun, evidence_of
from app.registry.successions import (
    Succession,
    SuccessionKind,
    SuccessionPredecessor,
    SuccessionSuccessor,
    forward_in_time,
)

EXAMPLE = {
    "kind": "rename",
    "date": "2006",
    "predecessors": ["un-agencies"],
    "successors": ["international-organizations"],
}
Bodies = Annotated[list[Annotated[Key, Reference()]], Distinct]


class SuccessionIn(RecordIn, json_schema_extra={"examples": [EXAMPLE]}):
    """A succession as it is written: who became whom."""

    kind: SuccessionKind
    date: EdtfDate | None = Field(default=None, description="When it happened. Empty: not stated.")
    predecessors: Bodies = Field(min_length=1, max_length=100, description="The organizations that were there before.")
    successors: Bodies = Field(
        min_length=1, max_length=100, description="The organizations that were there afterwards."
    )
    note: Prose | None = None


class SuccessionOut(CitableOut, SuccessionIn):
    """A succession."""


class SuccessionQuery(CitableQuery, Windowed):
    """Which successions. The window asks when they happened."""

    span = Overlaps(Succession, "date")

    kind: Annotated[list[SuccessionKind] | None, CommaSeparated, Distinct, Equals(Succession.kind)] = None
    predecessor: Annotated[Key | None, Among(Refers(SuccessionPredecessor.organization_id))] = None
    successor: Annotated[Key | None, Among(Refers(SuccessionSuccessor.organization_id))] = None


RESOURCE = Resource(
    name="succession",
    plural="successions",
    model=Succession,
    write=SuccessionIn,
    read=SuccessionOut,
    query=SuccessionQuery,
    sorts={
        "slug": Succession.slug,
        "date": Succession.date,
        "created_at": Succession.created_at,
        "updated_at": Succession.updated_at,
    },
    titled=lambda data: " ".join([*data.predecessors, data.kind, *data.successors]),
    texts=successions.texts,
    rules=(forward_in_time,),
    computed=(evidence_of(CitedNoun.successions),),
    collected=cited(CitedNoun.successions),
)
