"""Citations: which passages of which source state, imply or contradict a record or one of its fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.kit import gathered
from app.kit.among import among
from app.kit.db import FILTERED, Base, Record, Transaction, reference, table_of, vocabulary
from app.kit.errors import Fault, Invalid
from app.kit.filters import Asked, Where, named
from app.kit.resource import Brought, Computed, Proposal
from app.kit.search import Rank, texts_of
from app.kit.vocabularies import Vocabulary
from app.registry.collaboration_types import CollaborationType
from app.registry.collaborations import Collaboration
from app.registry.instruments import Instrument
from app.registry.milestones import Milestone
from app.registry.organizations import Organization
from app.registry.reviews import Review
from app.registry.sources import Source, SourcePassage
from app.registry.successions import Succession


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
    successions = "successions", "How organizations became others."


CITED: dict[str, type[Record]] = {
    CitedNoun.organizations: Organization,
    CitedNoun.collaboration_types: CollaborationType,
    CitedNoun.instruments: Instrument,
    CitedNoun.collaborations: Collaboration,
    CitedNoun.milestones: Milestone,
    CitedNoun.sources: Source,
    CitedNoun.reviews: Review,
    CitedNoun.successions: Succession,
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
    stated_value: Mapped[str | None] = mapped_column(sa.Text)
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


# --- evidence of a record -------------------------------------------------------------------------------------------

CITATION, SOURCE = table_of(Citation).c, table_of(Source).c
_STANDING = (
    CITATION.target_noun == sa.bindparam("noun", type_=CITATION.target_noun.type),
    among(CITATION.target_record_id),
    CITATION.withdrawn_at.is_(None),
)
_COUNTING = (CITATION.withdrawn_at.is_(None), CITATION.support != Support.contradicts)
_CITATIONS = sa.select(CITATION.slug).where(*_STANDING).order_by(CITATION.slug)


def evidence_of(noun: CitedNoun) -> Computed:
    """For records of `noun`, the field `evidence`: which of their fields are cited (JSON Pointers; the empty one is the
    record as a whole), which hold something that could be, from which sources, and when the oldest of these was read.
    What contradicts a record is no evidence for it."""

    def column(table: sa.Table) -> sa.ColumnElement[Any]:
        source = table_of(Source).alias("cited_source")
        found = sa.select(gathered.gathered(CITATION.field, source.c.slug, source.c.retrieved))
        ours = (CITATION.target_noun == noun, CITATION.target_record_id == table.c.id, *_COUNTING)
        return found.join(source, source.c.id == CITATION.source_id).where(*ours).correlate(table).scalar_subquery()

    def show(stated: tuple[str, ...], told: str | None) -> Mapping[str, Any]:
        return {"evidence": _evidence(stated, gathered.read(told))}

    @cache
    def of_records() -> sa.Select[Any]:
        table = table_of(CITED[noun])
        return sa.select(table.c.id, column(table).label("cited")).where(among(table.c.id))

    def asked(tx: Transaction, ids: Sequence[UUID]) -> Mapping[UUID, str | None]:
        return {row.id: row.cited for row in tx.rows(of_records(), {"ids": ids})}

    return Brought("cited", column, show, asked)


def _evidence(stated: tuple[str, ...], citations: Sequence[Sequence[Any]]) -> dict[str, Any]:
    fields, sources, read = zip(*citations, strict=True) if citations else ((), (), ())
    return {
        "cited_fields": sorted(set(fields)),
        "citable_fields": [f"/{name}" for name in stated],
        "sources": sorted(set(sources)),
        "oldest_retrieved": min((_moment(each) for each in read if each is not None), default=None),
    }


def _moment(text: str) -> datetime:
    """A moment as JSON of the database has it: PostgreSQL says the zone, SQLite leaves out that it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def citations_of(noun: CitedNoun) -> Callable[[Transaction, Sequence[UUID]], Iterable[str]]:
    """The slugs of the citations that are there for some records of `noun`."""
    return lambda tx, ids: tx.execute(_CITATIONS, {"noun": noun, "ids": list(ids)}).scalars()


def _cited(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The ids of the records of `table` for which a citation fulfils `conditions`."""
    ours = (CITATION.target_noun == table.info["noun"], CITATION.withdrawn_at.is_(None))
    return sa.select(CITATION.target_record_id).where(*ours, *conditions)


class Uncited(Where):
    """Whether nothing is cited for the record. What contradicts it does not count."""

    def clause(self, value: Any, asked: Asked) -> sa.ColumnElement[bool]:
        own = CITATION.target_record_id == asked.table.c.id
        cited = _cited(asked.table, own, CITATION.support != Support.contradicts).exists()
        return ~cited if value else cited


class Contradicted(Where):
    """Whether some passage says otherwise."""

    def clause(self, value: Any, asked: Asked) -> sa.ColumnElement[bool]:
        contradicted = asked.table.c.id.in_(_cited(asked.table, CITATION.support == Support.contradicts))
        return contradicted if value else ~contradicted


class CitedFrom(Where):
    """Records for which this source is cited, whatever it says of them."""

    @property
    def target(self) -> sa.Table:
        return table_of(Source)

    def clause(self, value: Any, asked: Asked) -> sa.ColumnElement[bool]:
        source = sa.select(SOURCE.id).where(named(self.target, value)).scalar_subquery()
        return asked.table.c.id.in_(_cited(asked.table, CITATION.source_id == source))


class Orphaned(Where):
    """Whether the record that is cited for was withdrawn."""

    def clause(self, value: Any, asked: Asked) -> sa.ColumnElement[bool]:  # noqa: ARG002
        gone = sa.or_(
            *(
                sa.and_(
                    CITATION.target_noun == noun,
                    CITATION.target_record_id.in_(
                        sa.select(table_of(model).c.id).where(table_of(model).c.withdrawn_at.is_not(None))
                    ),
                )
                for noun, model in CITED.items()
            )
        )
        return gone if value else ~gone


class OfRecord(Where):
    """Citations for one record; the parameter `noun` says of which noun."""

    def clause(self, value: Any, asked: Asked) -> sa.ColumnElement[bool]:
        nouns: Sequence[str] = getattr(asked.query, "noun", None) or ()
        if len(nouns) != 1:
            raise Invalid.parameter("record", "alone", "Say with `noun` which one noun the record is of.")
        target = table_of(CITED[nouns[0]])
        return CITATION.target_record_id == sa.select(target.c.id).where(named(target, value)).scalar_subquery()


texts = texts_of({"note": Rank.prose})
"""By what a citation is found."""
