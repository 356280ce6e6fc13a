"""The registry as it stood: the rows that writes replaced, and how every question is asked of a past state.

A write that replaces a row first copies it, with the rows of its lists, into the past tables (`db.PAST`); the seal numbers
it. A reading *as of* a number of the sequence puts a WITH clause in front of every statement that shadows the tables:

    WITH organization AS NOT MATERIALIZED (
        SELECT … FROM main.organization WHERE since <= :as_of
        UNION ALL
        SELECT … FROM main.organization_past WHERE since <= :as_of AND until > :as_of)
    SELECT … FROM organization WHERE …

So filters, sorts, paging, includes and computed fields run unchanged on any day, and a new one cannot be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time
from functools import cache
from math import isqrt
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from app.kit.db import PAST, Base, Clock, Transaction, View, parent_of, table_of
from app.kit.errors import Invalid
from app.kit.revisions import TABLE as REVISION

CLOCK = table_of(Clock)

# --- writing: what is replaced is kept ------------------------------------------------------------------------------


@cache
def keeping(*tables: sa.Table) -> tuple[sa.Insert, ...]:
    """What copies the row of the record `replaced`, whose version `replaced_version` is about to go, and the rows of its
    lists: a statement for each of their tables."""
    return tuple(map(_copy, tables))


def _copy(table: sa.Table) -> sa.Insert:
    past, parent = PAST[table.name], parent_of(table)
    names = [column.name for column in table.c]
    columns: list[Any] = [table.c[name] for name in names]
    if parent is not None:
        names.append("version")
        columns.append(sa.bindparam("replaced_version", type_=sa.Integer))
    owner = table.c.id if parent is None else parent
    return sa.insert(past).from_select(
        names, sa.select(*columns).where(owner == sa.bindparam("replaced", type_=sa.Uuid))
    )


# --- reading: where a transaction looks -----------------------------------------------------------------------------


def at(tx: Transaction, as_of: int | date | datetime) -> Transaction:
    """The same snapshot, seen as the registry stood at `as_of`: a number of the sequence, a moment, or a date (the end of
    that day, UTC). Of a moment it is the state after the last write that is dated at or before it; the calendar stands
    there, too. Raises Invalid for what lies ahead."""
    if isinstance(as_of, int):
        if as_of > (last := tx.sequence()):
            raise Invalid.parameter("as_of", "ahead", f"The last write has the number {last}.")
        moment = tx.execute(sa.select(REVISION.c.at).where(REVISION.c.seq == as_of)).scalar()
        return replace(tx, now=moment or tx.now, view=_view(tx, as_of))
    if (as_of if isinstance(as_of, datetime) else datetime.combine(as_of, time.min, UTC)) > tx.now:
        raise Invalid.parameter("as_of", "ahead", "This lies in the future.")
    if not isinstance(as_of, datetime):
        as_of = min(datetime.combine(as_of, time.max, UTC), tx.now)
    at, seq = REVISION.c.at, REVISION.c.seq
    last_write = sa.select(seq).where(at <= as_of).order_by(at.desc(), seq.desc()).limit(1)
    return replace(tx, now=as_of, view=_view(tx, tx.execute(last_write).scalar() or 0))


def _view(tx: Transaction, number: int) -> View:
    """The view of the state after the write `number`."""
    dialect, path = tx.connection.dialect, _path(number, tx.sequence())
    schema, sqlite = cast(str, dialect.default_schema_name), dialect.name == "sqlite"

    def view(statement: sa.Executable, parameters: Any) -> tuple[sa.Executable, Any]:
        shadows = [_shadow(name, schema, path, sqlite=sqlite) for name in sorted(set(_tables(statement)))]
        return cast(sa.Select[Any], statement).add_cte(*shadows), {**(parameters or {}), "as_of": number}

    return view


def _tables(statement: sa.Executable) -> Iterator[str]:
    """The tables with a past that a statement reads, wherever in it."""
    for element in visitors.iterate(cast(sa.Select[Any], statement)):
        if isinstance(element, sa.Table) and (element.name in PAST or element in (REVISION, CLOCK)):
            yield element.name


def _path(number: int, last: int) -> str | None:
    """The bound that few past rows keep: where few writes came after `number`, few rows ended since then; where few came
    before, few had begun. In between almost every record has one, and it is met soon on the index that the list is sorted
    by. The border is where both ways cost the same for a page. (SQLite keeps no histogram that would tell.)"""
    border = isqrt(50 * last)
    return "until" if last - number <= border else "since" if number <= border else None


FOREVER = 2**63 - 1
_AS_OF = sa.bindparam("as_of", type_=sa.BigInteger)


@cache
def _shadow(name: str, schema: str, path: str | None, *, sqlite: bool) -> sa.CTE:
    """A table by its own name, as it stood. The real ones are read by their qualified names, which no WITH can shadow."""
    table = _real(name, schema)
    if name == REVISION.name:
        state: Any = sa.select(table).where(table.c.seq <= _AS_OF)
    elif name == CLOCK.name:
        state = sa.select(table.c.id, sa.type_coerce(_AS_OF, sa.BigInteger).label("seq"))
    elif parent_of(Base.metadata.tables[name]) is None:
        state = _records(table, _real(f"{name}_past", schema), path, sqlite=sqlite)
    else:
        state = _items(name, schema)
    return cast(sa.CTE, state.cte(name).prefix_with("NOT MATERIALIZED"))


@cache
def _real(name: str, schema: str) -> sa.Table:
    """The table, by its qualified name."""
    return sa.Table(
        name, sa.MetaData(), *(sa.Column(c.name, c.type) for c in Base.metadata.tables[name].c), schema=schema
    )


def _records(table: sa.Table, past: sa.Table, path: str | None, *, sqlite: bool) -> Any:
    """The rows that stand now and stood then, and those that were replaced only after it: each arm by its best index, and
    the two merged.

    SQLite does so when the conditions are inside of the arms, and is told by `likelihood` which of them is seldom true.
    PostgreSQL takes the arms as parts of one table when the conditions are outside; an arm that has its own inside is
    planned alone, which is right for a few past rows, to be sorted, and wrong for many.
    """
    names = [column.name for column in table.c]
    now, then = sa.select(*table.c), sa.select(*(past.c[name] for name in names))
    if sqlite:
        return sa.union_all(now.where(table.c.since <= _AS_OF), then.where(*_stood(past, path)))
    now = now.add_columns(sa.literal_column(str(FOREVER), sa.BigInteger).label("until"))
    then = then.add_columns(past.c.until)
    rows = sa.union_all(now, then.where(*_stood(past)) if path else then).subquery("rows")
    return sa.select(*(rows.c[name] for name in names)).where(*_stood(rows))


def _stood(rows: sa.FromClause, rare: str | None = None) -> Iterator[sa.ColumnElement[Any]]:
    for name, bound in (("since", rows.c.since <= _AS_OF), ("until", rows.c.until > _AS_OF)):
        likelihood = sa.func.likelihood(bound, sa.literal_column("0.0001"), type_=sa.types.NULLTYPE)
        yield likelihood if name == rare else bound


def _items(name: str, schema: str) -> sa.CompoundSelect[Any]:
    """The rows of a list: of records that stand as they did then, and the past ones of versions that stood then."""
    parent = cast("sa.Column[Any]", parent_of(Base.metadata.tables[name]))
    owner = next(iter(parent.foreign_keys)).column.table.name
    items, past_items = _real(name, schema), _real(f"{name}_past", schema)
    record, past = _real(owner, schema), _real(f"{owner}_past", schema)
    stands = sa.exists().where(record.c.id == items.c[parent.name], record.c.since <= _AS_OF)
    stood = sa.exists().where(
        past.c.id == past_items.c[parent.name], past.c.version == past_items.c.version, *_stood(past)
    )
    shown = (past_items.c[column.name] for column in items.c)
    return sa.union_all(sa.select(items).where(stands), sa.select(*shown).where(stood))
