"""History: a revision for every write, numbered by the registry's sequence in commit order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.kit import inserts, search
from app.kit.db import PAST, Author, Base, Clock, Key, Pending, Transaction, UtcDateTime, table_of, vocabulary
from app.kit.search import Entry, Text
from app.kit.vocabularies import Vocabulary


class Action(Vocabulary):
    """What a write did to a record."""

    created = "created", "It is new."
    changed = "changed", "Some fields are others now."
    withdrawn = "withdrawn", "It was taken out."
    restored = "restored", "It was brought back."


class Revision(Base):
    """One write of one record: who (and on whose proposal), when, why, which fields, and the record as it was afterwards."""

    __tablename__ = "revision"
    __table_args__ = (
        sa.UniqueConstraint("record_id", "version"),
        sa.Index(None, "noun", "seq"),
        sa.Index(None, "at", "seq"),
    )

    seq: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    noun: Mapped[str] = mapped_column(sa.String(40))
    record_id: Mapped[UUID] = mapped_column(sa.Uuid)
    slug: Mapped[str] = mapped_column(Key)
    version: Mapped[int] = mapped_column(sa.Integer)
    action: Mapped[Action] = mapped_column(vocabulary(Action))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    author: Mapped[str] = mapped_column(sa.String(255))
    proposed_by: Mapped[str | None] = mapped_column(sa.String(255))
    reason: Mapped[str | None] = mapped_column(sa.Text)
    changed: Mapped[str] = mapped_column(sa.Text)  # a JSON list of field names
    shape: Mapped[str] = mapped_column(sa.String(8))
    document: Mapped[str] = mapped_column(sa.Text)


MANY = 50
"""From so many new records on they are numbered together."""
VERY_MANY = 10_000
"""After so many writes at once the database counts anew."""
TABLE = table_of(Revision)
_CLOCK = table_of(Clock)
_INSERT = sa.insert(TABLE)
_ADVANCE = sa.update(_CLOCK).values(seq=_CLOCK.c.seq + sa.bindparam("writes")).returning(_CLOCK.c.seq)
_TOUCH = sa.update(_CLOCK).values(seq=_CLOCK.c.seq)


@dataclass(frozen=True, slots=True)
class Written:
    """The row of a record, in the table of its noun, as a write left it."""

    table: sa.Table
    id: UUID
    slug: str
    version: int
    shape: str
    document: str


def note(
    tx: Transaction, written: Written, action: Action, changed: Iterable[str], texts: Sequence[Text] | None
) -> None:
    """Remember a write. Its revision is stored by `seal`, when all writes of the transaction are known. `texts` are those by
    which the record is found from now on; None: as before."""
    revision = {
        "noun": written.table.info["noun"],
        "record_id": written.id,
        "slug": written.slug,
        "version": written.version,
        "action": action,
        "at": tx.now,
        "author": tx.author.name,
        "proposed_by": tx.author.proposer,
        "reason": tx.author.reason,
        "changed": msgspec.json.encode(list(changed)).decode(),
        "shape": written.shape,
        "document": written.document,
    }
    tx.pending.append(Pending(written.table, revision, texts))


def seal(tx: Transaction) -> None:
    """End a writing transaction: take as many numbers as it made revisions, store these, number the rows, and bring the
    index of search after them.

    The clock's row lock is held from here to the commit and no longer, so numbers follow commit order and concurrent
    writers wait for each other only at the very end.
    """
    if not tx.pending:
        tx.sequence()
        return
    if len(tx.pending) == 1 and tx.connection.dialect.name == "postgresql":
        _seal_one(tx, tx.pending.pop())
        return
    tx.number = last = tx.execute(_ADVANCE, {"writes": len(tx.pending)}).scalar_one()
    numbered = list(enumerate(tx.pending, last - len(tx.pending) + 1))
    for start in range(0, len(numbered), 1000):
        part = numbered[start : start + 1000]
        tx.execute(_INSERT, [{"seq": seq, **pending.revision} for seq, pending in part])
    for table in {pending.table.name: pending.table for pending in tx.pending}.values():
        _number(tx, table, [(seq, pending.revision) for seq, pending in numbered if pending.table is table])
    search.store(
        tx,
        (
            Entry(row["noun"], row["record_id"], seq, texts, fresh=row["action"] is Action.created)
            for seq, (_, row, texts) in numbered
            if texts is not None
        ),
    )
    if len(tx.pending) >= VERY_MANY:
        tx.count()
    tx.pending.clear()


def _seal_one(tx: Transaction, pending: Pending) -> None:
    """The same of a single write, in a single statement: PostgreSQL takes one message instead of five, and others wait less
    long for the clock."""
    table, revision, texts = pending
    entry = Entry(revision["noun"], revision["record_id"], 0, texts or (), fresh=revision["action"] is Action.created)
    if texts is not None and not entry.fresh:
        search.forget(tx, [entry.record])
    rows = search.arrays(entry)
    statement = _sealing(table, first=revision["version"] == 1, found=bool(rows["places"]))
    told = {f"its_{name}": value for name, value in revision.items()}  # or they would be values of the tables' columns
    tx.number = tx.execute(statement, told | rows).scalar_one()


@cache
def _sealing(table: sa.Table, *, first: bool, found: bool) -> sa.Select[Any]:
    """The number of a write, which the statement takes, stores and gives to all that it concerns. `first`: the record is new;
    `found`: it has texts by which it is found from now on."""
    tick = sa.update(_CLOCK).values(seq=_CLOCK.c.seq + 1).returning(_CLOCK.c.seq).cte("tick")
    number = sa.select(tick.c.seq).scalar_subquery()
    told = {
        column.name: sa.bindparam(f"its_{column.name}", type_=column.type) for column in TABLE.c if column.name != "seq"
    }
    key, version = told["record_id"], told["version"]
    parts: list[sa.Insert | sa.Update] = [
        sa.insert(TABLE).from_select(["seq", *told], sa.select(tick.c.seq, *told.values())),
        sa.update(table).where(table.c.id == key, table.c.version == version).values(since=number),
    ]
    if not first:
        past = PAST[table.name]
        begun = sa.select(TABLE.c.seq).where(TABLE.c.record_id == key, TABLE.c.version == version - 1).scalar_subquery()
        replaced = sa.update(past).where(past.c.id == key, past.c.version == version - 1)
        parts.append(replaced.values(since=begun, until=number))
    if found:
        parts += search.arriving(tick)
    return sa.select(tick.c.seq).add_cte(*(part.cte(f"part_{n}") for n, part in enumerate(parts)))


class Born(NamedTuple):
    """A record that is new: its row, which of its fields say something, and the texts by which it is found."""

    row: Mapping[str, Any]
    changed: Iterable[str]
    texts: Sequence[Text]


def take(tx: Transaction, count: int) -> int:
    """So many numbers of the sequence, here and now; the first of them. Other writers wait from now on until this transaction
    ends, so it is for those who write very many: their rows are then stored once, and need not be held until the end."""
    last: int = tx.execute(_ADVANCE, {"writes": count}).scalar_one()
    tx.number = last
    return last - count + 1


def enter(tx: Transaction, table: sa.Table, several: Sequence[Born]) -> None:
    """Store the revisions of new records, the rows of which have their numbers (`since`) already, and let them be found."""
    noun, author = table.info["noun"], tx.author
    inserts.fill(
        tx,
        TABLE,
        _ENTERED,
        [
            [
                born.row["since"], noun, born.row["id"], born.row["slug"], 1, Action.created, tx.now, author.name,
                author.proposer, author.reason, msgspec.json.encode(list(born.changed)).decode(), born.row["shape"],
                born.row["document"],
            ]
            for born in several
        ],
    )  # fmt: skip
    search.enter(tx, (Entry(noun, born.row["id"], born.row["since"], born.texts, fresh=True) for born in several))


_ENTERED = tuple(TABLE.c.keys())


def touch(tx: Transaction) -> None:
    """Let it be seen that something was written, though it has no number: what has been read before may be so no more."""
    tx.execute(_TOUCH)


def _number(tx: Transaction, table: sa.Table, writes: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Say of each row since when it is so, and of the one that it replaced until when that was."""
    number, ended, born = _statements(table)
    fresh = [seq for seq, row in writes if row["version"] == 1]
    if len(fresh) > MANY:
        tx.execute(born, {"born_noun": table.info["noun"], "first": fresh[0], "last": fresh[-1]})
    values = [
        {"key": row["record_id"], "of": row["version"], "seq": seq}
        for seq, row in writes
        if row["version"] > 1 or len(fresh) <= MANY
    ]
    if values:
        tx.execute(number, values)
    replaced = [value | {"of": value["of"] - 1} for value in values if value["of"] > 1]
    if replaced:
        tx.execute(ended, replaced)


@cache
def _statements(table: sa.Table) -> tuple[sa.Update, sa.Update, sa.Update]:
    past = PAST[table.name]
    key, version, seq = (
        sa.bindparam(name, type_=kind) for name, kind in (("key", sa.Uuid), ("of", sa.Integer), ("seq", sa.BigInteger))
    )
    begun = sa.select(TABLE.c.seq).where(TABLE.c.record_id == key, TABLE.c.version == version).scalar_subquery()
    number = sa.update(table).where(table.c.id == key, table.c.version == version).values(since=seq)
    ended = sa.update(past).where(past.c.id == key, past.c.version == version).values(since=begun, until=seq)
    return number, ended, _born(table)


def _born(table: sa.Table) -> sa.Update:
    """All first versions among some numbers of the sequence, in one statement."""
    c = TABLE.c
    ours = (c.noun == sa.bindparam("born_noun"), c.version == 1)
    among = sa.select(c.record_id).where(*ours, c.seq.between(sa.bindparam("first"), sa.bindparam("last")))
    seq = sa.select(c.seq).where(c.record_id == table.c.id, c.version == 1).scalar_subquery()
    return sa.update(table).where(table.c.id.in_(among), table.c.version == 1).values(since=seq)


def changed_fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The top-level fields in which two snapshots differ, in the order of the newer one."""
    return [name for name in {**new, **old} if old.get(name) != new.get(name)]


def changed_since(tx: Transaction, record: UUID, version: int) -> list[str]:
    """The fields that any revision after `version` touched, those of this very transaction included."""
    stored = tx.execute(
        sa.select(TABLE.c.changed)
        .where(TABLE.c.record_id == record, TABLE.c.version > version)
        .order_by(TABLE.c.version)
    )
    waiting = (pending.revision for pending in tx.pending)
    coming = [row["changed"] for row in waiting if row["record_id"] == record and row["version"] > version]
    return list(dict.fromkeys(name for text in (*stored.scalars(), *coming) for name in msgspec.json.decode(text)))


def author_of(tx: Transaction, record: UUID, version: int) -> Author:
    """Who made this version of a record, and why. Without a stored revision it was this very transaction."""
    row = tx.execute(
        sa.select(TABLE.c.author, TABLE.c.reason).where(TABLE.c.record_id == record, TABLE.c.version == version)
    ).one_or_none()
    return Author(row.author, row.reason) if row is not None else tx.author
