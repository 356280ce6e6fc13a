"""Organizations over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from app.api.v1.evidence import CitableOut, CitableQuery, cited
from app.exchange import matching
from app.exchange.matching import Foreseen
from app.kit.db import Transaction
from app.kit.fields import (
    CommaSeparated,
    Country,
    Distinct,
    EdtfDate,
    Flag,
    Key,
    Language,
    Name,
    Part,
    Prose,
    RecordIn,
    WebAddress,
    Word,
)
from app.kit.filters import Equals, Lifetime, Refers, Timed
from app.kit.resource import Reference, Resource, Warnings
from app.kit.rules import acyclic
from app.registry import organizations
from app.registry.citations import CitedNoun, evidence_of
from app.registry.organizations import NameKind, Organization, OrganizationKind


class OtherName(Part):
    """A further name: an acronym, a translation, a former name."""

    value: Name
    lang: Language | None = Field(default=None, description="BCP 47 language tag.")
    kind: NameKind


class Identifier(Part):
    """The organization's number in somebody's register."""

    scheme: Word = Field(description="The register, e.g. `ror`, `isni`, `wikidata`.", examples=["ror"])
    value: Name
    url: WebAddress | None = None


EXAMPLE = {"name": "OECD Working Party on Responsible Business Conduct", "kind": "organ", "part_of": "oecd"}


class OrganizationIn(RecordIn, json_schema_extra={"examples": [EXAMPLE]}):
    """An organization as it is written."""

    name: Name
    acronym: Word | None = None
    other_names: list[OtherName] = Field(default=[], max_length=200)
    kind: OrganizationKind
    part_of: Annotated[Key, Reference()] | None = Field(
        default=None, description="The organization that this one is a part of."
    )
    description: Prose | None = None
    url: WebAddress | None = None
    country: Country | None = None
    founded: EdtfDate | None = None
    dissolved: EdtfDate | None = None
    identifiers: list[Identifier] = Field(default=[], max_length=100, description="Unique per scheme and value.")


class OrganizationOut(CitableOut, OrganizationIn):
    """An organization."""


class OrganizationQuery(CitableQuery, Timed):
    """Which organizations. `at` asks for those that were there, from their founding to their dissolution."""

    span = Lifetime(Organization, "founded", "dissolved")

    kind: Annotated[list[OrganizationKind] | None, CommaSeparated, Distinct, Equals(Organization.kind)] = None
    country: Annotated[list[Country] | None, CommaSeparated, Distinct, Equals(Organization.country)] = None
    part_of: Annotated[Key | None, Refers(Organization.part_of_id, tree=Organization.part_of_id)] = None
    descendants: Flag = Field(default=False, description="With `part_of`: at any depth.")


def foresee(tx: Transaction, several: Sequence[OrganizationIn]) -> Sequence[Foreseen]:
    """For each what resembles it now."""
    return matching.foresee(tx, RESOURCE, [(data.name, None) for data in several])


def warned(
    tx: Transaction, written: Sequence[tuple[OrganizationIn, UUID]], foreseen: Sequence[Foreseen | None]
) -> list[list[dict[str, Any]]]:
    """For each the organizations that may be the same body."""
    names = [(data.name, identifier) for data, identifier in written]
    return [
        [
            {"code": "resembles", "message": f"This may be {found.name} ({found.slug}).", "candidate": found.shown()}
            for found in several
        ]
        for several in matching.resembling(tx, RESOURCE, names, foreseen)
    ]


RESOURCE: Resource[OrganizationIn] = Resource(
    name="organization",
    plural="organizations",
    model=Organization,
    write=OrganizationIn,
    read=OrganizationOut,
    query=OrganizationQuery,
    sorts={
        "slug": Organization.slug,
        "name": Organization.name_key,
        "founded": Organization.founded,
        "created_at": Organization.created_at,
        "updated_at": Organization.updated_at,
    },
    titled=lambda data: data.name,
    texts=organizations.texts,
    rules=(acyclic(Organization.part_of_id, "part_of"),),
    computed=(evidence_of(CitedNoun.organizations),),
    collected=cited(CitedNoun.organizations),
    moved=Organization.merged_into_id,
    warnings=Warnings(foresee, warned),
    reserved=frozenset({"match"}),
)
