"""Collaboration types over HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.api.v1.evidence import CitableOut, CitableQuery, cited
from app.kit.fields import Distinct, Flag, Key, Language, Name, Prose, RecordIn, Uri
from app.kit.filters import Refers
from app.kit.resource import Reference, Resource
from app.kit.rules import acyclic
from app.registry import collaboration_types
from app.registry.citations import CitedNoun, evidence_of
from app.registry.collaboration_types import CollaborationType

EXAMPLE = {"label": "Joint research", "definition": "Organizations study a question together."}


class CollaborationTypeIn(RecordIn, json_schema_extra={"examples": [EXAMPLE]}):
    """A kind of collaboration as it is written: a SKOS concept."""

    label: Name = Field(description="skos:prefLabel in English.")
    labels: dict[Language, Name] = Field(
        default={},
        max_length=50,
        description="skos:prefLabel in other languages, by BCP 47 tag.",
        json_schema_extra={"additionalProperties": False},  # a key that is no tag is refused
    )
    definition: Prose | None = Field(default=None, description="skos:definition.")
    broader: Annotated[Key, Reference()] | None = Field(
        default=None, description="skos:broader: the more general type."
    )
    exact_matches: Annotated[list[Uri], Distinct] = Field(
        default=[], max_length=50, description="skos:exactMatch: the same concept elsewhere."
    )
    review_every_months: Annotated[int, Field(ge=1, le=1200, strict=True)] | None = Field(
        default=None,
        description="For collaborations of this type and of those below it, where they or a nearer type say nothing else.",
    )


class CollaborationTypeOut(CitableOut, CollaborationTypeIn):
    """A kind of collaboration."""


class CollaborationTypeQuery(CitableQuery):
    """Which collaboration types."""

    broader: Annotated[Key | None, Refers(CollaborationType.broader_id, tree=CollaborationType.broader_id)] = None
    descendants: Flag = Field(default=False, description="With `broader`: at any depth.")


RESOURCE = Resource(
    name="collaboration type",
    plural="collaboration-types",
    model=CollaborationType,
    write=CollaborationTypeIn,
    read=CollaborationTypeOut,
    query=CollaborationTypeQuery,
    sorts={
        "slug": CollaborationType.slug,
        "label": CollaborationType.label_key,
        "created_at": CollaborationType.created_at,
        "updated_at": CollaborationType.updated_at,
    },
    titled=lambda data: data.label,
    texts=collaboration_types.texts,
    rules=(acyclic(CollaborationType.broader_id, "broader"),),
    computed=(evidence_of(CitedNoun.collaboration_types),),
    collected=cited(CitedNoun.collaboration_types),
)
