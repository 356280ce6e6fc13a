"""Rules that several nouns share, made from the columns they speak of."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from app.kit.db import Transaction
from app.kit.errors import Invalid
from app.kit.resource import Proposal, Rule


def acyclic(column: InstrumentedAttribute[Any], field: str) -> Rule:
    """The records that `column` chains (a whole and its parts, an edition and the one it replaces) form no circle.

    Each ancestor is read under a share lock: two writers that would close a circle together meet on one of its rows,
    and the second sees what the first has done. (SQLite has one writer and needs no lock.)
    """
    link: sa.Column[Any] = column.property.columns[0]
    table = link.table

    def rule(tx: Transaction, proposal: Proposal[Any]) -> None:
        if proposal.fresh:
            return  # whatever it stands below, nothing stands below it
        ancestor: UUID | None = proposal.row[link.name]
        while ancestor is not None:
            if ancestor == proposal.id:
                raise Invalid.at(f"/{field}", "cycle", f"Through `{field}` this record would be above itself.")
            step = sa.select(link).where(table.c.id == ancestor)
            ancestor = tx.execute(tx.held(step, shared=True)).scalar_one_or_none()

    return rule
