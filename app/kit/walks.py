"""Walks: the page of a filtered list that is found along its order, instead of by its filters. For SQLite.

It follows the index of a filter, collects every row that fulfils it, and sorts them for a page of fifty: a quarter of a million
rows for `country=DE&sort=name` of a large registry. Where a filter holds for very many, the first fifty are met soon by whoever
goes along the order that is asked and looks at each row. How far that may go is bounded; a page that is not full by then is
collected after all. (PostgreSQL weighs the two itself.)
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable
from functools import lru_cache
from math import prod
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators

from app.kit.db import Transaction
from app.kit.prepared import Clauses

LARGE = 25_000
"""Rows from which on it is worth a thought."""
FAR = 10_000
"""So many rows are looked at, which takes two or three milliseconds."""
COUNTED = 20_000
"""A filter is not counted beyond so many rows."""
GOOD_FOR = 60.0
"""Seconds in which a number of rows is not counted again: it decides how, never what is found."""
MOST = 4_096


class unindexed(sa.sql.functions.FunctionElement[Any]):  # noqa: N801  # it reads as an operator
    """A column that is looked at in each row, and by no index (SQLite's unary +)."""

    inherit_cache = True

    def __init__(self, column: sa.ColumnElement[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(unindexed, "sqlite")
def _plus(element: unindexed, compiler: Any, **options: Any) -> str:
    (column,) = element.clauses
    return f"+{compiler.process(column, **options)}"


def along(tx: Transaction, key: sa.Column[Any], where: Clauses, limit: int) -> Clauses | None:
    """The conditions of a walk in the order of `key`, which finds the begin of the list or nothing of it; None where the
    filters are a better way to `limit` rows: where they hold for few, each alone or (as far as one can guess) together."""
    if tx.connection.dialect.name != "sqlite" or tx.view is not None:
        return None
    hindering = [clause for clause in where if _leads_astray(clause, key)]
    if not hindering or (rows := _rows(tx, key.table)) < LARGE:
        return None
    part = prod(_count_of(tx, clause) / rows for clause in hindering)
    if part * FAR < 2 * limit:
        return None
    return [_without_index(clause) if _leads_astray(clause, key) else clause for clause in where]


def _leads_astray(clause: sa.ColumnElement[bool], key: sa.Column[Any]) -> bool:
    """Whether it is the question of an index that has another order."""
    if not isinstance(clause, sa.BinaryExpression) or clause.operator not in (operators.eq, operators.in_op):
        return False
    column = clause.left
    return isinstance(column, sa.Column) and column.table is key.table and _is_indexed(column, key)


@lru_cache(1024)
def _is_indexed(column: sa.Column[Any], key: sa.Column[Any]) -> bool:
    starts = [[*index.columns][:2] for index in column.table.indexes]
    return any(start[0] is column for start in starts) and not any(start == [column, key] for start in starts)


def _without_index(clause: Any) -> sa.ColumnElement[bool]:
    return sa.BinaryExpression(unindexed(clause.left), clause.right, clause.operator, type_=clause.type)


# --- how many there are, about --------------------------------------------------------------------------------------------

_counted: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()


def _rows(tx: Transaction, table: sa.FromClause) -> int:
    """The rows of a table, about: SQLite numbers them, and seldom takes one away."""
    return _count(tx, table, sa.select(sa.func.max(sa.literal_column("rowid"))).select_from(table))


def _count_of(tx: Transaction, clause: Any) -> int:
    """How many rows a filter holds for, at least; 0 where what it asks is known only to the database."""
    if not isinstance(clause.right, sa.BindParameter):
        return 0
    value = clause.right.value
    about = clause.left, tuple(value) if isinstance(value, list) else value
    some = sa.select(sa.literal(1)).select_from(clause.left.table).where(clause).limit(COUNTED).subquery()
    return _count(tx, about, sa.select(sa.func.count()).select_from(some))


def _count(tx: Transaction, about: Hashable, statement: sa.Select[Any]) -> int:
    """What was counted a moment ago, or is now: beside the transaction, for nothing of it is shown."""
    whose, now = (str(tx.connection.engine.url), about), time.monotonic()
    number, until = _counted.get(whose, (0, 0.0))
    if until < now:
        number = int(tx.connection.execute(statement).scalar() or 0)
        _counted[whose] = number, now + GOOD_FOR
        while len(_counted) > MOST:
            _counted.popitem(last=False)
    return number
