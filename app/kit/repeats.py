"""Writes that are sent again: what was answered is stored with what was written, and answered once more for a day.

The key's row is claimed before the work begins and filled when it is done, in the transaction of the work. So there is never
a write without its answer nor an answer without its write, wherever a process dies; and a twin that comes meanwhile waits
for the row (PostgreSQL), or for its turn to write (SQLite).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.db import Base, Key, Transaction, UtcDateTime, table_of
from app.kit.errors import Outstanding, Reused

LIFETIME = timedelta(hours=24)
SWEPT = 20
"""Rows that a write removes at most: more than the one that it adds, so that they dwindle, and few, so that nobody waits."""
LOCK_NOT_AVAILABLE = "55P03"


class Repeatable(Base):
    """A request that may come again, and what is answered then."""

    __tablename__ = "idempotency"

    caller: Mapped[str] = mapped_column(Key, primary_key=True)
    key: Mapped[str] = mapped_column(Key, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    status: Mapped[int] = mapped_column(sa.SmallInteger)
    headers: Mapped[str] = mapped_column(sa.Text)
    body: Mapped[bytes] = mapped_column(sa.LargeBinary)


TABLE = table_of(Repeatable)


class Asked(NamedTuple):
    """A request: who sends it, under which key, and what tells it from another."""

    caller: str
    key: str
    fingerprint: str


class Answer(NamedTuple):
    """What went out, or goes out again."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


def once(tx: Transaction, asked: Asked, work: Callable[[], Answer]) -> tuple[Answer, bool]:
    """What `work` answers now; or what it answered to this very request in the last 24 hours, and True.
    Raises Reused where the key belongs to another request, Outstanding where that one goes on for longer than locks are
    waited for. What `work` raises leaves no row behind: the same request is then tried anew."""
    if not _claim(tx, asked):
        return _kept(tx, asked), True
    answer = work()
    filled = {"status": answer.status, "headers": msgspec.json.encode(answer.headers).decode(), "body": answer.body}
    tx.execute(sa.update(TABLE).where(_is(asked)).values(filled))
    _forget(tx)
    return answer, False


def _claim(tx: Transaction, asked: Asked) -> bool:
    """Take the key's row, if there is none or one that has had its time. Where a twin has taken it and is still at work,
    PostgreSQL waits here: should the twin fail, the row is ours. No work is done yet, so nobody waits for us meanwhile."""
    empty = {"status": 0, "headers": "[]", "body": b""}  # nobody sees it so: it is filled before the commit
    row = asked._asdict() | empty | {"created_at": tx.now, "expired": tx.now - LIFETIME}
    try:
        return tx.execute(_CLAIM[tx.connection.dialect.name], row).first() is not None
    except exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise Outstanding("The same request, or another with this Idempotency-Key, is still at work.") from None


def _claiming(insert: Any) -> sa.Executable:
    """INSERT … ON CONFLICT (caller, key) DO UPDATE SET … WHERE created_at <= :expired RETURNING key."""
    statement = insert(TABLE)
    claim: sa.Executable = statement.on_conflict_do_update(
        index_elements=[TABLE.c.caller, TABLE.c.key],
        set_={column.name: statement.excluded[column.name] for column in TABLE.c if not column.primary_key},
        where=TABLE.c.created_at <= sa.bindparam("expired", type_=TABLE.c.created_at.type),
    ).returning(TABLE.c.key)
    return claim


_CLAIM = {"postgresql": _claiming(postgresql.insert), "sqlite": _claiming(sqlite.insert)}


def _kept(tx: Transaction, asked: Asked) -> Answer:
    row = tx.execute(sa.select(TABLE).where(_is(asked))).one()
    if row.fingerprint != asked.fingerprint:
        raise Reused(
            f"This Idempotency-Key was sent with another request, at {row.created_at:%Y-%m-%dT%H:%M:%SZ}. "
            "A new request takes a new key; one that is sent again is sent as it was."
        )
    return Answer(row.status, msgspec.json.decode(row.headers, type=list[tuple[str, str]]), row.body)


def _is(asked: Asked) -> sa.ColumnElement[bool]:
    return sa.and_(TABLE.c.caller == asked.caller, TABLE.c.key == asked.key)


def _forget(tx: Transaction) -> None:
    """Remove some of the rows that have had their time, but for those that somebody else is just removing, or renewing."""
    of_old = sa.select(TABLE.c.caller, TABLE.c.key).where(TABLE.c.created_at <= tx.now - LIFETIME)
    for row in tx.execute(of_old.order_by(TABLE.c.created_at).limit(SWEPT).with_for_update(skip_locked=True)).all():
        tx.execute(sa.delete(TABLE).where(TABLE.c.caller == row.caller, TABLE.c.key == row.key))
