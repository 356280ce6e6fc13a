"""Keyset paging: a cursor says after which row the next page begins, and in which list.

A page costs the same wherever it stands. Ties on the sort key are broken by id. Rows that lack the key come last, in both
directions and on both databases: they are a second query of their own, so that each of the two can follow an index.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from app.kit import prepared, walks
from app.kit.db import Transaction
from app.kit.errors import Malformed
from app.kit.prepared import Clauses

_LONGEST = 40_000  # a key of 500 ligatures, each come apart into 18 letters, takes 24,000
_DIGEST = 8


@dataclass(frozen=True, slots=True)
class Position:
    """The last row of a page: its sort key (None: it has none) and its id."""

    value: Any
    id: UUID


@dataclass(frozen=True, slots=True)
class Order:
    """A sort: the column, its direction, and the id that breaks ties."""

    column: sa.Column[Any]
    id: sa.Column[Any]
    down: bool

    def without(self) -> tuple[sa.ColumnElement[Any], ...]:
        """The order of those that lack the key."""
        return (self.id.desc() if self.down else self.id.asc(),)

    def clauses(self) -> tuple[sa.ColumnElement[Any], ...]:
        return (self.column.desc(), self.id.desc()) if self.down else (self.column.asc(), self.id.asc())

    def beyond(self) -> sa.ColumnElement[bool]:
        """Rows after the position (AFTER, AFTER_ID). The values carry their column's type: bound as plain text, SQLite would
        compare a date with a text of another form and lose rows in silence."""
        here = sa.tuple_(self.column, self.id)
        there = sa.tuple_(sa.bindparam(AFTER, type_=self.column.type), sa.bindparam(AFTER_ID, type_=self.id.type))
        return here < there if self.down else here > there

    def beyond_without(self) -> sa.ColumnElement[bool]:
        """The same among those that lack the key."""
        there = sa.bindparam(AFTER_ID, type_=self.id.type)
        return self.id < there if self.down else self.id > there


def encode(position: Position, context: str) -> str:
    """An opaque cursor, valid in the list that `context` names."""
    value = position.value.isoformat() if isinstance(position.value, date | datetime) else position.value
    body = msgspec.json.encode([value, str(position.id)])
    return _text(_digest(body, context) + body)


def decode(cursor: str, context: str, column: sa.Column[Any]) -> Position:
    """The position in `cursor`. Raises Malformed for anything that `encode` did not make for this very list."""
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        digest, body = raw[:_DIGEST], raw[_DIGEST:]
        # The last character may hold bits that no byte has: only the text that `encode` wrote is the cursor.
        if len(cursor) > _LONGEST or digest != _digest(body, context) or cursor != _text(raw):
            raise ValueError
        value, identifier = msgspec.json.decode(body)
        return Position(_typed(value, column), UUID(str(identifier)))
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error, msgspec.MsgspecError):
        raise Malformed(
            "This cursor was not made by this list. Follow the `next` link as it is, with the filters and the sort it holds.",
            slug="invalid-cursor",
        ) from None


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _digest(body: bytes, context: str) -> bytes:
    return hashlib.blake2b(
        body, digest_size=_DIGEST, key=hashlib.blake2b(context.encode(), digest_size=32).digest()
    ).digest()


def _typed(value: Any, column: sa.Column[Any]) -> Any:
    """`value` as the column holds it. The digest is no secret, so whoever wants can make a cursor with any value in it.
    Raises ValueError, TypeError, OverflowError for one that the column cannot hold."""
    if value is None and column.nullable:
        return None
    kind = column.type.python_type
    if kind in (date, datetime):
        value = kind.fromisoformat(value)
    if kind is datetime and value.utcoffset() is not None:
        return value.astimezone(UTC)
    if kind is datetime or not isinstance(value, kind) or "\0" in str(value):
        raise ValueError
    return value


def page(
    tx: Transaction,
    statement: sa.Select[Any],
    order: Order,
    *,
    limit: int,
    after: Position | None,
    where: Clauses = (),
) -> tuple[Sequence[sa.Row[Any]], bool]:
    """At most `limit` rows of `statement` that fulfil `where` in `order` behind `after`, and whether more follow."""
    rows: list[sa.Row[Any]] = []
    place = {} if after is None else {AFTER: after.value, AFTER_ID: after.id}
    if after is None or after.value is not None:
        with_key = _with_key(statement, order, behind=after is not None)
        bounds = {**place, LIMIT: limit + 1}
        if (on_the_way := walks.along(tx, order.column, where, limit)) is not None:
            rows += _rows(tx, _near(with_key, order, behind=after is not None), on_the_way, bounds)
        if len(rows) <= limit:
            rows = [*_rows(tx, with_key, where, bounds)]
    if order.column.nullable and len(rows) <= limit:
        keyless = _keyless(statement, order, behind=after is not None and after.value is None)
        rows += _rows(tx, keyless, where, {**place, LIMIT: limit + 1 - len(rows)})
    return rows[:limit], len(rows) > limit


def _rows(tx: Transaction, statement: sa.Select[Any], where: Clauses, values: dict[str, Any]) -> Sequence[sa.Row[Any]]:
    made = prepared.where(statement, where)
    if made is None:
        return tx.execute(statement.where(*where), values).all()
    narrowed, more = made
    return tx.rows(narrowed, values | more)


AFTER, AFTER_ID, LIMIT = "after", "after_id", "page_limit"


# Putting these together costs as much as running them, so each is made once.
@lru_cache(1024)
def _with_key(statement: sa.Select[Any], order: Order, *, behind: bool) -> sa.Select[Any]:
    made = statement.order_by(*order.clauses()).limit(sa.bindparam(LIMIT, type_=sa.Integer))
    if order.column.nullable:
        made = made.where(order.column.is_not(None))
    return made.where(order.beyond()) if behind else made


@lru_cache(1024)
def _near(statement: sa.Select[Any], order: Order, *, behind: bool) -> sa.Select[Any]:
    """Of the rows behind the place only so many as a walk may go along; none where there are fewer."""
    other = order.column.table.alias("along")
    there = Order(other.c[order.column.name], other.c[order.id.name], order.down)
    last = sa.select(there.column).order_by(*there.clauses()).limit(1).offset(walks.FAR)
    last = last.where(there.column.is_not(None), *([there.beyond()] if behind else []))
    end = last.scalar_subquery()
    return statement.where(order.column >= end if order.down else order.column <= end)


@lru_cache(1024)
def _keyless(statement: sa.Select[Any], order: Order, *, behind: bool) -> sa.Select[Any]:
    made = statement.where(order.column.is_(None)).order_by(*order.without())
    made = made.limit(sa.bindparam(LIMIT, type_=sa.Integer))
    return made.where(order.beyond_without()) if behind else made
