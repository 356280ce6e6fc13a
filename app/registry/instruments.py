"""Instruments: the declarations, guidelines and frameworks that collaborations rest on."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.kit import edtf
from app.kit.db import FILTERED, Base, Record, dated, folded, reference, vocabulary
from app.kit.search import Rank, texts_of
from app.kit.vocabularies import Vocabulary
from app.registry.organizations import Organization


class InstrumentKind(Vocabulary):
    """What sort of text an instrument is."""

    declaration = "declaration", "A solemn statement of principles."
    guidelines = "guidelines", "Recommendations addressed by states or an organization."
    guidance = "guidance", "Practical advice on applying other texts."
    principles = "principles", "A set of principles to commit to."
    treaty = "treaty", "Binding in international law, or meant to be."
    framework = "framework", "A frame for policies."
    strategy = "strategy", "An organization's plan."
    goals = "goals", "Objectives agreed by states."
    resolution = "resolution", "A decision of an organ."
    other = "other", "None of the above."


class InstrumentReference(Base):
    """One instrument refers to another."""

    __tablename__ = "instrument_reference"

    instrument_id: Mapped[UUID] = mapped_column(sa.ForeignKey("instrument.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    refers_to_id: Mapped[UUID] = reference("instrument", nullable=False)


class Instrument(Record):
    """A text that collaborations promote, apply or prepare."""

    __tablename__ = "instrument"

    title: Mapped[str] = mapped_column(sa.String(500))
    title_key: Mapped[str] = folded("title")
    short_title: Mapped[str | None] = mapped_column(sa.String(255))
    kind: Mapped[InstrumentKind] = mapped_column(vocabulary(InstrumentKind), info=FILTERED)
    description: Mapped[str | None] = mapped_column(sa.Text)
    issuer_id: Mapped[UUID | None] = reference(Organization)
    adopted: Mapped[edtf.Edtf | None] = dated("adopted", sort=True)
    revised: Mapped[edtf.Edtf | None] = dated("revised", sort=True)
    url: Mapped[str | None] = mapped_column(sa.Text)
    replaces_id: Mapped[UUID | None] = reference("instrument")

    refers_to: Mapped[list[InstrumentReference]] = relationship(
        viewonly=True,
        order_by=InstrumentReference.position,
        foreign_keys=InstrumentReference.instrument_id,
    )


texts = texts_of({"title": Rank.title, "short_title": Rank.other, "description": Rank.prose})
"""By what an instrument is found."""
