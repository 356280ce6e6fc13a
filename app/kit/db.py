"""The database: tables' common ground, column types that mean the same on SQLite and PostgreSQL, and the unit of work.

A unit of work is one function `work(tx)`: one connection, one transaction, one thread; committed before its result is
handed out, and run again as a whole when another writer got in between. Reads are snapshots that see one state; what a single
statement can tell is asked without a transaction, whose begin and end would cost more than the question.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeVar, Unpack, cast
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.orm import Composite, DeclarativeBase, Mapped, composite, mapped_column

from app.kit import edtf, lookups
from app.kit.checkpoints import Checkpoints
from app.kit.engines import CACHE
from app.kit.errors import Again, Forbidden, Unavailable
from app.kit.failures import SILENT, is_passing, refusal
from app.kit.probes import FileProbe, Probe, ReadingProbe, ServerProbe
from app.kit.replicas import Replica
from app.kit.sides import Side, Watch
from app.kit.turns import P, Queue, Soon, Turns
from app.kit.vocabularies import Vocabulary
from app.kit.writer import After, Ahead, DryRun, Manner, Task, Work, Writer

T = TypeVar("T")
log = logging.getLogger("concord")


class Base(DeclarativeBase):
    """The parent of every table. Constraints are named, or no migration could drop them."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "__table__" in cls.__dict__:
            table = table_of(cls)
            for column in table.c:
                _index(column)
            if "withdrawn_at" in table.c or parent_of(table) is not None:
                PAST[table.name] = _past(table)


SORTED = {"sorted": True}
"""The `info` of a column that lists may be sorted by."""
FILTERED = {"filtered": True}
"""The `info` of a column that lists are filtered by, or that is asked who uses a record."""


def _index(column: sa.Column[Any]) -> None:
    """Indexes that answer a page in its order: a sort together with the id that breaks its ties, a filter together with
    the slug, which is the order of a list that asks for none."""
    table = column.table
    if column.info.get("sorted"):
        sa.Index(None, column, table.c.id)
    if column.info.get("filtered"):
        sa.Index(None, column, *([table.c.slug] if "slug" in table.c else []))


PAST: dict[str, sa.Table] = {}
"""For the table of each noun, and of each list in one, the table that keeps its past rows. By the name of the former."""


def parent_of(table: sa.Table) -> sa.Column[Any] | None:
    """The column by which the rows of `table` hang on a record; None where the rows are records, or nothing of a noun."""
    return next((column for column in table.primary_key if column.foreign_keys), None)


def _past(table: sa.Table) -> sa.Table:
    """The rows of `table` as they were before a write replaced them, complete, with the version of the record that they
    belong to. A record's say under which numbers of the sequence they stood: from `since` until before `until`.
    No row refers to another: what it named may be gone, and was there then."""
    parent = parent_of(table)
    keys = ("id", "version") if parent is None else (parent.name, "version", "position")
    extra = {"until": sa.BigInteger} if parent is None else {"version": sa.Integer}
    past = sa.Table(
        f"{table.name}_past",
        table.metadata,
        *(
            # The type of a reference follows from the key it names, later: here it must be said.
            sa.Column(
                c.name,
                sa.Uuid() if c.foreign_keys else c.type,
                primary_key=c.name in keys,
                nullable=c.nullable,
                autoincrement=False,
            )
            for c in table.c
        ),
        *(sa.Column(name, kind, primary_key=name in keys, autoincrement=False) for name, kind in extra.items()),
    )
    for name in ("slug", "since", "until") if parent is None else ():
        sa.Index(None, past.c[name])
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        sa.Index(None, *(past.c[column.name] for column in index.columns))
    return past


# --- column types ---------------------------------------------------------------------------------------------------


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A moment, in UTC. SQLite forgets the zone and PostgreSQL answers in the session's: both come back aware, in UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        return datetime  # a decorated type says `object` of itself, and a cursor would keep its moment as text

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def vocabulary(values: type[Vocabulary]) -> sa.Enum:
    """A column of an enum, stored by value (SQLAlchemy would store the names) as text without a CHECK: a new value
    must not need a migration, and only the door writes."""
    return sa.Enum(
        values,
        values_callable=lambda e: [member.value for member in e],
        native_enum=False,
        length=40,
        create_constraint=False,
    )


# Keys sort by code point on both databases; PostgreSQL's default collation would follow the locale.
Key = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def dated(name: str, *, sort: bool = False) -> Composite[edtf.Edtf]:
    """An EDTF date: the text as given in column `<name>_edtf`, and its four bounds, which SQL can compare."""
    return composite(
        edtf.Edtf,
        mapped_column(f"{name}_edtf", sa.String(64), nullable=True),
        mapped_column(f"{name}_earliest", sa.Date, nullable=True, info=SORTED if sort else {}),
        *(mapped_column(f"{name}_{bound}", sa.Date, nullable=True) for bound in ("begun", "ended", "latest")),
    )


def folded(name: str) -> Mapped[str]:
    """The folded key of the text column `name`, for sorting."""
    return mapped_column(Key, info={"folds": name, **SORTED})


def reference(noun: type[Record] | str, *, nullable: bool = True) -> Mapped[Any]:
    """A foreign key to a noun's id (by its table's name where that is the noun being defined). Indexed, because
    withdrawing a record asks who uses it."""
    table = noun if isinstance(noun, str) else noun.__tablename__
    return mapped_column(sa.Uuid, sa.ForeignKey(f"{table}.id"), info=FILTERED, nullable=nullable)


class Record(Base):
    """What every noun's table has. `document` is the record as GET shows it: reading parses and joins nothing."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True, sort_order=-10)
    slug: Mapped[str] = mapped_column(Key, unique=True, sort_order=-10)
    version: Mapped[int] = mapped_column(sa.Integer, sort_order=-10)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, info=SORTED, sort_order=-10)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, info=SORTED, sort_order=-10)
    withdrawn_at: Mapped[datetime | None] = mapped_column(UtcDateTime, sort_order=90)
    claim: Mapped[str | None] = mapped_column(Key, unique=True, sort_order=90)
    since: Mapped[int | None] = mapped_column(sa.BigInteger, sort_order=90)  # the number of the write that made it so
    shape: Mapped[str] = mapped_column(sa.String(8), sort_order=91)
    document: Mapped[str] = mapped_column(sa.Text, sort_order=91)


def table_of(model: type[Base]) -> sa.Table:
    """The Core table of a mapped class."""
    return cast(sa.Table, model.__table__)


class Clock(Base):
    """One row that counts the registry's writes. Advanced last, so its row lock makes numbers follow commit order,
    and a rollback gives the number back."""

    __tablename__ = "clock"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(sa.BigInteger)


# --- the unit of work -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes, and why, and who had proposed it. The names come from the server's own knowledge, never from the client."""

    name: str
    reason: str | None = None
    may: Callable[[str, str], bool] = lambda verb, noun: True  # noqa: ARG005  # the registry's own hands may do anything
    proposer: str | None = None


class Pending(NamedTuple):
    """A write that is not numbered yet: the table of the record, its revision without `seq`, and the texts by which it is
    found from then on (None: as before)."""

    table: sa.Table
    revision: dict[str, Any]
    texts: Sequence[Any] | None = None


@lru_cache
def _held(statement: sa.Select[Any], shared: bool) -> sa.Select[Any]:  # noqa: FBT001
    """A statement that is asked at every write is put together once: that would be a twelfth of a change."""
    return statement.with_for_update(read=shared)


View = Callable[[sa.Executable, Any], tuple[sa.Executable, Any]]
"""Turns a statement and its parameters into the same question about another state of the registry."""


@dataclass(slots=True)
class Transaction:
    """What a unit of work may use: the connection, the moment it happens at, and who asks for it."""

    connection: Connection
    now: datetime
    author: Author
    pending: list[Pending] = field(default_factory=list)  # revisions, written and numbered when the work is done
    view: View | None = None  # where it looks: at the present, or at what a view of the past shows
    snapshot: bool = False  # whether it sees one state from its first question to its last
    number: int | None = None  # the registry's sequence in the state that it saw or made, as far as it was asked
    left: int | None = None  # how many more statements see the same state (None: any number)
    writes: int = 0  # how many statements have written something
    taken: int = 0  # how many numbers of the registry's sequence it has taken

    @property
    def today(self) -> date:
        return self.now.date()

    def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.CursorResult[Any]:
        if self.view is not None:
            statement, parameters = self.view(statement, parameters)
        self._ask()
        self.writes += statement.is_dml
        return self.connection.execute(statement, parameters)

    def rows(self, statement: sa.Select[Any], parameters: Mapping[str, Any]) -> Sequence[sa.Row[Any]]:
        """All rows of a statement that is made once and asked again and again: rows of SQLAlchemy, or tuples with the same
        names."""
        if self.view is not None:
            return self.execute(statement, parameters).all()
        self._ask()
        return lookups.rows(self.connection, statement, parameters)

    def _ask(self) -> None:
        """Raises Several for a statement that would see another state than the one before."""
        if self.left is not None:
            if self.left == 0:
                raise Several
            self.left -= 1

    def held(self, statement: sa.Select[Any], *, shared: bool = False) -> sa.Select[Any]:
        """`statement`, the rows of which stay as they are until this transaction ends; `shared`: others may hold them so, too.
        (PostgreSQL; SQLite has one writer.) A reading holds nothing: what it sees does not move."""
        return statement if self.snapshot else _held(statement, shared)

    def insist_on_right(self, verb: str, noun: str) -> None:
        """Raises Forbidden unless the author may do this."""
        if not self.author.may(verb, noun):
            raise Forbidden(f"{self.author.name} may not {verb} {noun}.")

    def count(self) -> None:
        """Let the database count a sample of its tables: after very many writes its plans go by what is no longer so."""
        if self.connection.dialect.name == "sqlite":
            self.connection.exec_driver_sql("PRAGMA analysis_limit = 4000")
        self.connection.exec_driver_sql("ANALYZE")

    def take_time(self) -> None:
        """Let this unit of work think for longer than others may between two statements. (PostgreSQL ends an idle one.)"""
        if self.connection.dialect.name == "postgresql":
            self.connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")

    @contextmanager
    def with_room(self) -> Iterator[None]:
        """Let SQLite keep more pages in memory: of very many new rows it would else write those of indexes again and again."""
        if self.connection.dialect.name != "sqlite":
            yield
            return
        self.connection.exec_driver_sql(f"PRAGMA cache_size = -{ROOMY}")
        try:
            yield
        finally:
            self.connection.exec_driver_sql(f"PRAGMA cache_size = -{CACHE}")

    def sequence(self) -> int:
        """The registry's sequence in the state that this transaction sees."""
        if self.view is not None:
            return int(self.execute(_SEQUENCE).scalar() or 0)
        if self.number is None or not self.snapshot:
            self._ask()
            self.number = int(self.connection.exec_driver_sql(_SEQUENCE_SQL).scalar() or 0)
        return self.number

    def saw(self, row: Any) -> None:
        """Take note of the sequence that `row` tells in its column NUMBER."""
        if self.snapshot and self.view is None:
            self.number = int(row.registry_sequence)


class Several(Exception):
    """A unit of work that was to ask a single statement asks more: they need a transaction to see the same state."""


ROOMY = 40_000
"""Kilobytes of pages that SQLite keeps for who writes very much."""
_SEQUENCE = sa.select(table_of(Clock).c.seq)
_SEQUENCE_SQL = str(_SEQUENCE)  # most readings ask it, and half of what it costs would be to find this text again
NUMBER = _SEQUENCE.scalar_subquery().label("registry_sequence")
"""The sequence as a column of what a statement reads, in the same state: see `Transaction.saw`."""
ATTEMPTS = 6
WAITING = 500
"""Units of work that may wait for their turn: what eight connections do in about half a second."""
PATIENCE, WRITERS_PATIENCE = 2.7, 5.0
"""Seconds after which who waits is sent away: from the queue for a connection, and from that of SQLite's one writer."""
NOBODY = Author("nobody")


class Behind(Unavailable):
    """The replica does not have yet what the caller has seen."""


class Load(NamedTuple):
    """How busy a database is: connections in use, how many there may be, units of work that wait for a thread."""

    in_use: int
    limit: int
    waiting: int


class Database:
    """The registry's database: `read` and `write` run a unit of work here and now, `submit_read` and `submit_write`
    on another thread, for the event loop.

    Where there is a replica, readings go to it, unless they ask for the `primary` or for a state that it has not reached yet
    (`at_least`: a number of the sequence that the caller has seen). Each side stands in for the other's readings.
    """

    def __init__(
        self,
        url: str | URL,
        *,
        pool_size: int = 8,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        seal: Callable[[Transaction], None],
        replica_url: str | URL | None = None,
        waiting: int = WAITING,
        patience: float | None = None,
    ) -> None:
        """`seal` ends every writing transaction: it advances the clock and writes the revisions. `waiting`: so many units of
        work may wait for their turn; `patience`: none for longer than so many seconds (PATIENCE, WRITERS_PATIENCE)."""
        self.primary = Side("primary", url, pool_size=pool_size)
        self.replica = Replica(self.primary, replica_url, pool_size=pool_size) if replica_url else None
        self.engine = self.primary.engine
        self.clock = clock
        self.seal = seal
        self._turns = Turns(pool_size, Queue(waiting, patience or PATIENCE), rest=self._rest)
        turn = PATIENCE if self.primary.postgresql else WRITERS_PATIENCE
        self._writer = Writer(self, Queue(waiting, patience or turn), Checkpoints(self.primary, self._turns.submit))
        self._probes: list[Probe] = []
        self._watches = [Watch(side.name, *side.looks) for side in self._sides() if side.postgresql]

    def _sides(self, *, primary: bool = False) -> list[Side]:
        """Where to read, in this order."""
        if primary or self.replica is None:
            return [self.primary]
        return [self.primary, self.replica] if self.replica.away or self.replica.late else [self.replica, self.primary]

    def transaction(self, connection: Connection, author: Author = NOBODY) -> Transaction:
        """One of a write, at this moment."""
        return Transaction(connection, self.clock(), author)

    # -- synchronous --
    def read(self, work: Work[T], *, primary: bool = False, at_least: int = 0, alone: bool = False) -> T:
        """Run `work` on a snapshot. `alone`: it will probably ask a single statement. Raises Unavailable when the database does
        not answer."""
        try:
            return self._read(work, primary=primary, at_least=at_least, alone=alone)
        finally:
            self._rest()

    def _rest(self) -> None:
        for side in self._sides():
            side.rest()

    def _read(self, work: Work[T], *, primary: bool = False, at_least: int = 0, alone: bool = False) -> T:
        """The same on a thread that rests by itself."""
        *others, last = self._sides(primary=primary)
        for side in others:
            with suppress(Unavailable):
                once = partial(self._read_once, side, work, at_least, alone)
                return self._persist(side, once, attempts=2, reading=True)
        return self._persist(last, partial(self._read_once, last, work, at_least, alone), reading=True)

    def write(self, work: Work[T], author: Author, *, dry_run: bool = False) -> T:
        """Run `work`, seal and commit; on return it is durable. With `dry_run` all of it runs and nothing stays.
        Raises what `work` raises, Conflict for a constraint that no rule foresaw, Full, Unavailable."""
        return self._persist(self.primary, lambda: self._write_once(work, author, dry_run=dry_run))

    def _read_once(self, side: Side, work: Work[T], at_least: int, alone: bool) -> T:  # noqa: FBT001
        if alone and (self.replica is None or not at_least):
            with suppress(Several), side.asking() as connection:
                return work(Transaction(connection, self.clock(), NOBODY, snapshot=True, left=1))
        with side.reading() as connection:
            tx = Transaction(connection, self.clock(), NOBODY, snapshot=True)
            if self.replica is not None and tx.sequence() < at_least and side is self.replica:
                raise Behind(
                    "The registry's replica does not have yet what you have seen, and the primary does not answer."
                )
            return work(tx)

    def _write_once(self, work: Work[T], author: Author, *, dry_run: bool) -> T:
        try:
            with self.primary.writing() as connection:
                return self.run(self.transaction(connection, author), work, dry_run=dry_run)
        except DryRun as rehearsal:
            return rehearsal.result  # type: ignore[no-any-return]

    def run(self, tx: Transaction, work: Work[T], *, dry_run: bool) -> T:
        """`work` and the seal, in a transaction that is already open."""
        result = work(tx)
        self.seal(tx)
        if dry_run:
            raise DryRun(result)
        return result

    def _persist(self, side: Side, attempt: Callable[[], T], *, attempts: int = ATTEMPTS, reading: bool = False) -> T:
        """Repeat the whole unit of work while another writer, or a restart of the database, gets in its way. A constraint
        that is violated is tried once more: by then what holds the place is there to be seen."""
        violations = 0
        for turn in range(1, attempts + 1):
            if side.away:
                raise Unavailable(SILENT)
            try:
                return attempt()
            except (Again, exc.DBAPIError, exc.TimeoutError) as error:
                violations += isinstance(error, exc.IntegrityError)
                if turn == attempts or not is_passing(error) or violations > 1:
                    side.failed(error)
                    raise refusal(error, reading=reading) from error
                time.sleep(random.uniform(0, 0.01) * 2**turn)  # noqa: S311
        raise AssertionError("unreachable")

    # -- for the event loop --
    def submit_read(self, work: Work[T], *, primary: bool = False, at_least: int = 0, alone: bool = False) -> Future[T]:
        """Raises Unavailable at once where too many wait already."""
        return self._turns.submit(
            partial(self._read, work, primary=primary, at_least=at_least, alone=alone), Future[T]()
        )

    def ask(self, work: Work[T], *, primary: bool = False, at_least: int = 0, alone: bool = False) -> Soon[T]:
        """The same for a coroutine, which awaits it."""
        asked: Soon[T] = Soon()  # not Soon[T](), which asks typing
        return self._turns.submit(partial(self._read, work, primary=primary, at_least=at_least, alone=alone), asked)

    def submit_write(self, work: Work[T], author: Author, **manner: Unpack[Manner]) -> Future[T]:
        """Raises Unavailable at once where too many wait already."""
        asked: Future[T] = Future()
        return self._submit(Task(work, author, asked, **manner), asked)

    def ask_write(self, work: Work[T], author: Author, **manner: Unpack[Manner]) -> Soon[T]:
        """The same for a coroutine, which awaits it."""
        asked: Soon[T] = Soon()
        return self._submit(Task(work, author, asked, **manner), asked)

    def _submit(self, task: Task, promise: P) -> P:
        if not self._writer.takes(task):
            return self.submit_task(task, promise)
        self._writer.submit(task)
        return promise

    def submit_task(self, task: Task, promise: P) -> P:
        """What the task does, in a transaction of its own on another thread. (PostgreSQL; SQLite has one writer.)"""

        def run() -> Any:
            result = self.write(task, task.author, dry_run=task.dry_run)
            return result if task.after is None else self.ask_after(task.after, [result], [None])[0]

        return self._turns.submit(run, promise)

    def submit_ahead(self, ahead: Ahead[T], works: Sequence[Work[T]]) -> Future[Sequence[Any]] | None:
        """What `ahead` knows of works that are about to be done, on another thread; None where none has time. On SQLite it is
        asked afterwards: both would want the same processor, the writer and who asks."""
        if not self.primary.postgresql:
            return None
        try:
            return self.submit_read(lambda tx: ahead(tx, works), primary=True)
        except Exception:  # too many wait, or no thread can be had: it is asked afterwards
            return None

    def ask_after(self, after: After[T], results: Sequence[T], known: Sequence[Any]) -> Sequence[T]:
        """What `after` makes of the results of works that are stored, and of what was known of them ahead."""
        try:
            alone = None not in known  # it will probably see at a glance that nothing has come since
            return self.read(lambda tx: after(tx, results, known), primary=True, alone=alone)
        except Exception:  # whatever it was: who would be refused now would think that nothing is stored
            log.exception("what was to be told of a write could not be asked")
            return results

    def submit_after(self, after: After[T], results: Sequence[T], known: Sequence[Any]) -> Future[Sequence[T]]:
        """The same on another thread; here, where that cannot be."""
        try:
            return self._turns.submit(partial(self.ask_after, after, results, known), Future[Sequence[T]]())
        except Exception:  # too many wait, or no thread can be had: what is written is written
            asked: Future[Sequence[T]] = Future()
            asked.set_result(self.ask_after(after, results, known))
            return asked

    def probe(self) -> Probe:
        """What tells, on the event loop, which state a reading would see. Where there is a replica it is the one that would be
        read. Closed with the database, or before."""
        if self.replica is not None:
            probe: Probe = ReadingProbe(self._state)
        elif self.primary.postgresql:
            probe = ServerProbe(self.engine.url, is_away=lambda: self.primary.away)
        else:
            probe = FileProbe(self.engine.url)
        self._probes.append(probe)
        return probe

    async def _state(self) -> tuple[Any, ...] | None:
        state = lambda tx: tuple(tx.connection.exec_driver_sql(ServerProbe.QUESTION).one())  # noqa: E731
        with suppress(Unavailable):
            return await self.ask(state)
        return None

    def load(self) -> Load:
        """How busy it is in this process, at this moment."""
        pool = cast(sa.QueuePool, self.engine.pool)
        return Load(pool.checkedout(), pool.size() + pool._max_overflow, self._turns.waiting + self._writer.waiting)

    def tend(self) -> None:
        """Let SQLite count a sample of its tables: without statistics it takes the first index that fits, and sorts a
        quarter of a large table to show a page of it. (PostgreSQL does so by itself.)"""
        if self.engine.dialect.name == "sqlite":
            try:
                with self.primary.writing() as connection:
                    connection.exec_driver_sql("PRAGMA analysis_limit = 4000")
                    connection.exec_driver_sql("ANALYZE")
            except Exception as error:  # busy, or worse: upkeep must never cost a write
                log.warning("no statistics this time: %s", error)

    def close(self) -> None:
        """Finish the writes that wait, and let go of the database."""
        self._writer.close()
        self._turns.close()
        for watch in self._watches:
            watch.stop()
        for probe in self._probes:
            probe.close()
        for side in self._sides():
            side.engine.dispose()
