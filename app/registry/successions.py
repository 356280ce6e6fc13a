"""Successions: how organizations became others, by merger, split or rename, and the lineage that follows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.kit import edtf
from app.kit.db import FILTERED, Base, Record, Transaction, dated, reference, table_of, vocabulary
from app.kit.errors import Invalid
from app.kit.filters import named
from app.kit.resource import Proposal
from app.kit.search import Rank, texts_of
from app.kit.vocabularies import Vocabulary
from app.registry.organizations import Organization


class SuccessionKind(Vocabulary):
    """What happened to the organizations."""

    merger = "merger", "Several became one new body."
    absorption = "absorption", "One was taken into another, which goes on."
    split_ = "split", "One became several, or gave a part away."
    rename = "rename", "It goes on under another name, kept as a record of its own."
    replacement = "replacement", "A new body took over what another did."
    other = "other", "None of the above."


class SuccessionPredecessor(Base):
    """An organization that was there before."""

    __tablename__ = "succession_predecessor"

    succession_id: Mapped[UUID] = mapped_column(sa.ForeignKey("succession.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    organization_id: Mapped[UUID] = reference(Organization, nullable=False)


class SuccessionSuccessor(Base):
    """An organization that was there afterwards."""

    __tablename__ = "succession_successor"

    succession_id: Mapped[UUID] = mapped_column(sa.ForeignKey("succession.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    organization_id: Mapped[UUID] = reference(Organization, nullable=False)


class Succession(Record):
    """An event by which organizations became others."""

    __tablename__ = "succession"

    kind: Mapped[SuccessionKind] = mapped_column(vocabulary(SuccessionKind), info=FILTERED)
    date: Mapped[edtf.Edtf | None] = dated("date", sort=True)
    note: Mapped[str | None] = mapped_column(sa.Text)

    predecessors: Mapped[list[SuccessionPredecessor]] = relationship(
        viewonly=True, order_by=SuccessionPredecessor.position
    )
    successors: Mapped[list[SuccessionSuccessor]] = relationship(viewonly=True, order_by=SuccessionSuccessor.position)


EVENT, BEFORE, AFTER = (table_of(model) for model in (Succession, SuccessionPredecessor, SuccessionSuccessor))
ORGANIZATION = table_of(Organization)


def _steps() -> sa.Join:
    """Each event that stands, with every pair of its predecessors and successors."""
    standing = sa.and_(EVENT.c.id == AFTER.c.succession_id, EVENT.c.withdrawn_at.is_(None))
    return AFTER.join(EVENT, standing).join(BEFORE, BEFORE.c.succession_id == EVENT.c.id)


def lineage_of(root: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The ids of the organization that `root` names and of all that it came from: WITH RECURSIVE, one statement. An
    organization that comes up again is not followed again, so a circle ends."""
    lineage = sa.select(ORGANIZATION.c.id).where(root).cte("lineage", recursive=True)
    above = _steps().join(lineage, lineage.c.id == AFTER.c.organization_id)
    return sa.select(lineage.union(sa.select(BEFORE.c.organization_id).select_from(above)).c.id)


def events_behind(tx: Transaction, key: str) -> list[dict[str, Any]]:
    """The events by which the organization with this slug or id came from others: for each predecessor, near or far, what
    it became part of, through which succession, and when (EDTF)."""
    old, new = ORGANIZATION.alias("old"), ORGANIZATION.alias("new")
    steps = _steps().join(old, old.c.id == BEFORE.c.organization_id).join(new, new.c.id == AFTER.c.organization_id)
    statement = (
        sa.select(old.c.slug, new.c.slug.label("became"), EVENT.c.slug.label("event"), EVENT.c.kind, EVENT.c.date_edtf)
        .select_from(steps)
        .where(AFTER.c.organization_id.in_(lineage_of(named(ORGANIZATION, key))))
        .order_by(EVENT.c.date_earliest, EVENT.c.slug, old.c.slug, new.c.slug)
    )
    return [
        {
            "organization": row.slug,
            "became": row.became,
            "succession": row.event,
            "kind": row.kind,
            "date": row.date_edtf,
        }
        for row in tx.execute(statement)
    ]


def forward_in_time(tx: Transaction, proposal: Proposal[Any]) -> None:
    """Nobody comes from itself: no successor is a predecessor, of this event or of one further back."""
    before, after = (
        [proposal.targets[ORGANIZATION.name, key].id for key in keys]
        for keys in (proposal.data.predecessors, proposal.data.successors)
    )
    behind = {row.id for root in before for row in tx.execute(lineage_of(ORGANIZATION.c.id == root))}
    for n, identifier in enumerate(after):
        if identifier in behind:
            raise Invalid.at(f"/successors/{n}", "cycle", "This organization would come from itself.")


texts = texts_of({"note": Rank.prose})
"""By what a succession is found."""
