"""History: a revision for every write, numbered by the registry's sequence in commit order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from app.kit.inserts import Part
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
TOGETHER = 1_000
"""So many revisions are stored at once."""
VERY_MANY = 10_000
"""After so many writes at once the database counts anew."""
SHARE = 4
"""Where so many writes at once are one in four of all there have been, or more, the index of search is put in one part."""
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
    """Remember a write. Its revision is stored by `flush`, when all writes of the transaction are known. `texts` are those by
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
    """End a writing transaction: store what it is remembered by, and after very many writes let the database count anew."""
    flush(tx)
    if tx.taken >= VERY_MANY:
        tx.count()
        if tx.taken * SHARE >= tx.sequence():
            search.compact(tx)


def flush(tx: Transaction) -> None:
    """Take as many numbers as there are revisions that wait, store these, number the rows, and bring the index of search
    after them.

    The clock's row lock is held from here to the commit and no longer, so numbers follow commit order and concurrent
    writers wait for each other only at the very end.
    """
    if not tx.pending:
        tx.sequence()
    elif tx.connection.dialect.name == "postgresql":
        for several in _runs(tx.pending):
            _seal_run(tx, several)
    else:
        _seal_all(tx)
    tx.taken += len(tx.pending)
    tx.pending.clear()


def _seal_all(tx: Transaction) -> None:
    tx.number = last = tx.execute(_ADVANCE, {"writes": len(tx.pending)}).scalar_one()
    numbered = list(enumerate(tx.pending, last - len(tx.pending) + 1))
    for start in range(0, len(numbered), TOGETHER):
        part = numbered[start : start + TOGETHER]
        tx.execute(_INSERT, [{"seq": seq, **pending.revision} for seq, pending in part])
    for table in {pending.table.name: pending.table for pending in tx.pending}.values():
        _number(tx, table, [(seq, pending.revision) for seq, pending in numbered if pending.table is table])
    entries = (_entry(pending, seq) for seq, pending in numbered)
    search.store(tx, (entry for entry in entries if entry is not None))


def _entry(pending: Pending, sequence: int) -> Entry | None:
    """What the index of search is to hold after a write; None: what it does."""
    row, texts = pending.revision, pending.texts
    if texts is None:
        return None
    return Entry(row["noun"], row["record_id"], sequence, texts, fresh=row["action"] is Action.created)


def _runs(pending: Iterable[Pending]) -> Iterator[list[Pending]]:
    """Writes in their order, as many at a time as one statement can seal: of one table, and of each record one."""
    run: list[Pending] = []
    records: set[UUID] = set()
    for each in pending:
        record = each.revision["record_id"]
        if run and (each.table is not run[0].table or record in records or len(run) == TOGETHER):
            yield run
            run, records = [], set()
        run.append(each)
        records.add(record)
    yield run


def _seal_run(tx: Transaction, several: Sequence[Pending]) -> None:
    """The same of such a run, in a single statement: PostgreSQL takes one message instead of many, and others wait less long
    for the clock."""
    entries = [_entry(each, 0) for each in several]
    search.forget(tx, [entry.record for entry in entries if entry is not None and not entry.fresh])
    rows, revisions = search.arrays(entries), [each.revision for each in several]
    first = all(revision["version"] == 1 for revision in revisions)
    statement = _sealing(several[0].table, first=first, found=bool(rows["row_places"]))
    told = {f"its_{name}": [revision[name] for revision in revisions] for name in _TOLD}
    noun = revisions[0]["noun"]
    tx.number = tx.execute(statement, {"writes": len(several), "its_noun": noun} | told | rows).scalar_one()


_TOLD: dict[str, type[sa.types.TypeEngine[Any]]] = {
    "record_id": sa.Uuid, "slug": sa.Text, "version": sa.Integer, "action": sa.Text, "at": UtcDateTime, "author": sa.Text,
    "proposed_by": sa.Text, "reason": sa.Text, "changed": sa.Text, "shape": sa.Text, "document": sa.Text,
}  # fmt: skip
"""What a revision says, apart from its number and its noun: each an array, in which all writes of a run have their place."""


@cache
def _sealing(table: sa.Table, *, first: bool, found: bool) -> sa.Select[Any]:
    """The number of the last of several writes; the statement takes their numbers, stores them and gives them to all that they
    concern. `first`: the records are new; `found`: they have texts by which they are found from now on."""
    writes = sa.bindparam("writes", type_=sa.BigInteger)
    tick = sa.update(_CLOCK).values(seq=_CLOCK.c.seq + writes).returning(_CLOCK.c.seq).cte("tick")
    arrays = (sa.bindparam(f"its_{name}", type_=sa.ARRAY(kind)) for name, kind in _TOLD.items())
    told = sa.func.unnest(*arrays).table_valued(*_TOLD, with_ordinality="place").render_derived("told")
    number, noun = (tick.c.seq - writes + told.c.place).label("seq"), sa.bindparam("its_noun", type_=TABLE.c.noun.type)
    written = sa.select(number, noun.label("noun"), *told.c).select_from(tick.join(told, sa.true())).cte("written")
    key, version = sa.type_coerce(written.c.record_id, sa.Uuid), sa.type_coerce(written.c.version, sa.Integer)
    names = ("seq", "noun", *_TOLD)
    parts: list[sa.Insert | sa.Update] = [
        sa.insert(TABLE).from_select(names, sa.select(*(written.c[name] for name in names))),
        sa.update(table).where(table.c.id == key, table.c.version == version).values(since=written.c.seq),
    ]
    if not first:
        past = PAST[table.name]
        begun = sa.select(TABLE.c.seq).where(TABLE.c.record_id == key, TABLE.c.version == version - 1).scalar_subquery()
        replaced = sa.update(past).where(past.c.id == key, past.c.version == version - 1)
        parts.append(replaced.values(since=begun, until=written.c.seq))
    if found:
        parts += search.arriving(written)
    return sa.select(tick.c.seq).add_cte(*(part.cte(f"part_{n}") for n, part in enumerate(parts)))


class Born(NamedTuple):
    """A record that is new: its row, which of its fields say something, the texts by which it is found, and its author, where
    that is not everybody's."""

    row: Mapping[str, Any]
    changed: Iterable[str]
    texts: Sequence[Text]
    author: Author | None = None


def take(tx: Transaction, count: int) -> int:
    """So many numbers of the sequence, here and now; the first of them. Other writers wait from now on until this transaction
    ends, so it is for those who write very many: their rows are then stored once, and need not be held until the end."""
    last: int = tx.execute(_ADVANCE, {"writes": count}).scalar_one()
    tx.number = last
    tx.taken += count
    return last - count + 1


def enter(tx: Transaction, table: sa.Table, several: Sequence[Born]) -> None:
    """Store the revisions of new records, the rows of which have their numbers (`since`) already, and let them be found."""
    noun = table.info["noun"]
    rows = [
        [
            born.row["since"], noun, born.row["id"], born.row["slug"], 1, Action.created, tx.now, author.name,
            author.proposer, author.reason, msgspec.json.encode(list(born.changed)).decode(), born.row["shape"],
            born.row["document"],
        ]
        for born in several
        for author in [born.author or tx.author]
    ]  # fmt: skip
    entries = (Entry(noun, born.row["id"], born.row["since"], born.texts, fresh=True) for born in several)
    inserts.insert(tx, Part(TABLE, _ENTERED, rows), *search.entering(entries))


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
