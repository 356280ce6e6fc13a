"""Organizations: bodies, their organs and initiatives, and open groups of participants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.kit import edtf
from app.kit.db import FILTERED, Base, Key, Record, dated, folded, reference, vocabulary
from app.kit.search import Rank, Text
from app.kit.vocabularies import Vocabulary


class OrganizationKind(Vocabulary):
    """What sort of body an organization is."""

    intergovernmental_organization = "intergovernmental_organization", "Founded by states through a treaty."
    supranational_union = "supranational_union", "A union of states with powers of its own."
    organ = "organ", "A permanent part of another organization."
    working_group = "working_group", "Set up by another body for a mandate."
    initiative = "initiative", "A programme with a public face of its own."
    network = "network", "Bodies or experts that are linked, without a common legal person."
    association = "association", "A membership body of organizations."
    event_organizer = "event_organizer", "Set up to hold an event."
    government = "government", "A state's government, ministry or agency."
    company = "company", "An enterprise."
    non_governmental_organization = "non_governmental_organization", "A civil-society body."
    employers_organization = "employers_organization", "Speaks for employers."
    workers_organization = "workers_organization", "A trade union or a federation of them."
    academic_institution = "academic_institution", "A university or research institute."
    group = "group", "An open class of participants, not a legal body."
    other = "other", "None of the above."


class NameKind(Vocabulary):
    """What a further name of an organization is."""

    official = "official", "The full name in one of its official languages."
    short = "short", "A shorter form in common use."
    acronym = "acronym", "An abbreviation made of initials."
    alias = "alias", "Any other name in use."
    former = "former", "A name it no longer bears."
    translation = "translation", "An unofficial rendering in another language."


class OrganizationName(Base):
    """A further name of an organization."""

    __tablename__ = "organization_name"

    organization_id: Mapped[UUID] = mapped_column(sa.ForeignKey("organization.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[str] = mapped_column(sa.String(255))
    value_key: Mapped[str] = mapped_column(Key, index=True, info={"folds": "value"})
    lang: Mapped[str | None] = mapped_column(sa.String(35))
    kind: Mapped[NameKind] = mapped_column(vocabulary(NameKind))


class OrganizationIdentifier(Base):
    """An organization's number in somebody's register. One number belongs to one organization."""

    __tablename__ = "organization_identifier"
    __claims__ = ("scheme", "value")

    organization_id: Mapped[UUID] = mapped_column(sa.ForeignKey("organization.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    scheme: Mapped[str] = mapped_column(sa.String(100))
    value: Mapped[str] = mapped_column(sa.String(255))
    url: Mapped[str | None] = mapped_column(sa.Text)
    claim: Mapped[str | None] = mapped_column(Key, unique=True)


class Organization(Record):
    """A body, an organ of one, an initiative, or a group. Two may share a name where country or parent tells them apart."""

    __tablename__ = "organization"
    __claims__ = ("name", "country", "part_of_id")

    name: Mapped[str] = mapped_column(sa.String(255))
    name_key: Mapped[str] = folded("name")
    acronym: Mapped[str | None] = mapped_column(sa.String(100))
    kind: Mapped[OrganizationKind] = mapped_column(vocabulary(OrganizationKind), info=FILTERED)
    part_of_id: Mapped[UUID | None] = reference("organization")
    description: Mapped[str | None] = mapped_column(sa.Text)
    url: Mapped[str | None] = mapped_column(sa.Text)
    country: Mapped[str | None] = mapped_column(sa.String(2), info=FILTERED)
    founded: Mapped[edtf.Edtf | None] = dated("founded", sort=True)
    dissolved: Mapped[edtf.Edtf | None] = dated("dissolved")
    merged_into_id: Mapped[UUID | None] = reference("organization")

    other_names: Mapped[list[OrganizationName]] = relationship(viewonly=True, order_by=OrganizationName.position)
    identifiers: Mapped[list[OrganizationIdentifier]] = relationship(
        viewonly=True, order_by=OrganizationIdentifier.position
    )


RANKS = {NameKind.acronym: Rank.acronym, NameKind.former: Rank.former}
"""What a further name of a kind is to search; of any other kind a name."""


def texts(record: Mapping[str, Any]) -> Iterator[Text]:
    """By what an organization is found."""
    yield Text("/name", record["name"], Rank.title)
    if record["acronym"]:
        yield Text("/acronym", record["acronym"], Rank.acronym)
    for n, other in enumerate(record["other_names"]):
        yield Text(f"/other_names/{n}/value", other["value"], RANKS.get(other["kind"], Rank.other))
    if record["description"]:
        yield Text("/description", record["description"], Rank.prose)
