"""Citations: which passages of which source state, imply or contradict a record or one of its fields."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.kit.db import FILTERED, Base, Record, Transaction, reference, table_of, vocabulary
from app.kit.errors import Fault, Invalid
from app.kit.resource import Proposal
from app.kit.vocabularies import Vocabulary
from app.registry.collaboration_types import CollaborationType
from app.registry.collaborations import Collaboration
from app.registry.instruments import Instrument
from app.registry.milestones import Milestone
from app.registry.organizations import Organization
from app.registry.reviews import Review
from app.registry.sources import Source, SourcePassage


class Support(Vocabulary):
    """What a passage says about the fact."""

    states = "states", "It says so in words."
    implies = "implies", "It follows from what it says."
    contradicts = "contradicts", "It says otherwise."


class CitedNoun(Vocabulary):
    """The nouns whose records can be cited for."""

    organizations = "organizations", "Bodies and groups."
    collaboration_types = "collaboration-types", "Kinds of collaboration."
    instruments = "instruments", "Declarations and guidelines."
    collaborations = "collaborations", "Organizations working together."
    milestones = "milestones", "What happened or was promised."
    sources = "sources", "Documents."
    reviews = "reviews", "Periodic reviews."


CITED: dict[str, type[Record]] = {
    CitedNoun.organizations: Organization,
    CitedNoun.collaboration_types: CollaborationType,
    CitedNoun.instruments: Instrument,
    CitedNoun.collaborations: Collaboration,
    CitedNoun.milestones: Milestone,
    CitedNoun.sources: Source,
    CitedNoun.reviews: Review,
}


class CitationPassage(Base):
    """The place of a cited sentence. A locator, not a key: it outlives the passage that a new reading replaces."""

    __tablename__ = "citation_passage"

    citation_id: Mapped[UUID] = mapped_column(sa.ForeignKey("citation.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    section: Mapped[int]
    paragraph: Mapped[int]
    sentence: Mapped[int]


class Citation(Record):
    """Passages of a source as evidence for a record, or for one field of it."""

    __tablename__ = "citation"
    __table_args__ = (sa.Index(None, "target_noun", "target_record_id"),)

    source_id: Mapped[UUID] = reference(Source, nullable=False)
    target_noun: Mapped[CitedNoun] = mapped_column(vocabulary(CitedNoun))
    target_record_id: Mapped[UUID] = mapped_column(sa.Uuid)  # one of several tables, so no foreign key
    field: Mapped[str] = mapped_column(sa.String(200))
    support: Mapped[Support] = mapped_column(vocabulary(Support), info=FILTERED)
    note: Mapped[str | None] = mapped_column(sa.Text)

    passages: Mapped[list[CitationPassage]] = relationship(viewonly=True, order_by=CitationPassage.position)


def passages_exist(tx: Transaction, proposal: Proposal[Any]) -> None:
    """A cited passage is one of the source's, where the source's passages are known. One that was cited before stays,
    when the source has been read anew since: it is for the verification to say what became of it."""
    if not proposal.changed & {"source", "passages"}:
        return
    passages = table_of(SourcePassage)
    place = (passages.c.section, passages.c.paragraph, passages.c.sentence)
    known = {
        tuple(row) for row in tx.execute(sa.select(*place).where(passages.c.source_id == proposal.row["source_id"]))
    }
    faults = [
        Fault("unknown_passage", "The source has no such passage.", pointer=f"/passages/{n}")
        for n, passage in enumerate(proposal.data.passages)
        if known and (passage.section, passage.paragraph, passage.sentence) not in known
    ]
    if faults:
        raise Invalid("The citation names passages that the source does not have.", faults=faults)
