"""Writes that wait together share a transaction: their queue, and the one thread of a process that does them."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, TypeVar, cast

from psycopg.pq import TransactionStatus
from sqlalchemy import exc
from sqlalchemy.engine import Connection

from app.kit.checkpoints import Checkpoints
from app.kit.failures import is_lost_in_commit, refusal
from app.kit.turns import Promise, Queue

if TYPE_CHECKING:
    from app.kit.db import Author, Database, Transaction

T = TypeVar("T")
log = logging.getLogger("concord")


Work = Callable[["Transaction"], T]
Ahead = Callable[["Transaction", Sequence[Work[T]]], Sequence[Any]]
"""What is asked about works while they are done, in a state that may not have them: for each what is known by then."""
After = Callable[["Transaction", Sequence[T], Sequence[Any]], Sequence[T]]
"""What is asked when works are stored, in a state that has them, before their results are handed out: it makes new ones. Of
each it is told what `Ahead` knew; None where nobody asked, or had an answer."""
AtOnce = Callable[[Sequence["Transaction"], Sequence[Work[T]]], Sequence[T | None]]
"""Does works of one kind at once, each in the name of its own transaction, all of which are one to the database. What they made
has its number by then. None of a work that is refused: nothing of it is there, and done by itself it will say why."""
Begun = Callable[["Transaction"], object]
"""Is told of each transaction in which a work is tried. The last is the one that counts."""


class Share(Enum):
    """How a write shares a commit with others that wait."""

    closely = "numbered with them as well: it asks for records as they are, not for their history, their words or their number"
    freely = "with them"
    apart = "in a savepoint of its own: it may well fail after it has written something"
    never = "not at all: it takes so long that nobody should begin again for it, nor it for them"


class Manner(TypedDict, total=False):
    """How a work is done. What `after` asks holds nobody up; where it fails, what was written is stored all the same, and the
    result is that of the work. `at_once` does several of these works, where they share so `closely`; while it does, another
    thread asks what may be asked `ahead`."""

    dry_run: bool
    share: Share
    ahead: Ahead[Any] | None
    after: After[Any] | None
    at_once: AtOnce[Any] | None
    begun: Begun


class DryRun(Exception):
    """Carries a result out of a transaction that must leave nothing behind."""

    def __init__(self, result: Any) -> None:
        self.result = result


class Known(NamedTuple):
    """What is being asked ahead of some works, and which of them it is about."""

    asked: Future[Sequence[Any]]
    place: int

    def answer(self) -> Any:
        """What is known, or None; when it has been asked."""
        return None if self.asked.exception() else self.asked.result()[self.place]


@dataclass(slots=True)
class Task:
    """A work that waits for its turn, and what belongs to it."""

    work: Work[Any]
    author: Author
    promise: Promise[Any]
    dry_run: bool = False
    share: Share = Share.freely
    ahead: Ahead[Any] | None = None
    after: After[Any] | None = None
    at_once: AtOnce[Any] | None = None
    begun: Begun = lambda _: None
    known: Known | None = None

    def __call__(self, tx: Transaction) -> Any:
        self.begun(tx)
        return self.work(tx)

    @property
    def closely(self) -> bool:
        """Whether what it writes is numbered together with what others do."""
        return self.share is Share.closely and not self.dry_run


class _Together:
    """Works that are sealed together: one number of the clock, one statement a table for all of them."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self._database = database
        self._whole = database.transaction(connection)
        self._parts: list[tuple[Transaction, int]] = []  # each with how many writes there were when it was done

    def add(self, tx: Transaction) -> None:
        """Let the writes of a work that is done be sealed with the others'."""
        self._whole.pending += tx.pending
        self._parts.append((tx, len(self._whole.pending)))

    def seal(self) -> None:
        """Seal what there is, and tell each work its last number. Raises _RolledBack: it is as if none had been done."""
        if not self._parts:
            return
        count = len(self._whole.pending)
        try:
            self._database.seal(self._whole)
        except Exception as error:
            raise _RolledBack from error
        if (last := self._whole.number) is not None:
            for tx, until in self._parts:
                tx.number = last - count + until
        self._parts.clear()


class _RolledBack(Exception):
    """The whole transaction is undone, or nothing but that can be done with it; not the savepoint alone."""


ALONE = object()
"""Instead of a result: this task is done again, in a transaction of its own."""


class _Spoilt(Exception):
    """A task has failed, and what it wrote before is in the transaction that it shares with others."""


def changes(tx: Transaction) -> int:
    """What has been written in this transaction so far, as a number that grows with it. SQLite counts rows, those of virtual
    tables included. (Not what changes a schema or only counts: no unit of work that is refused does so.)"""
    if tx.connection.dialect.name == "sqlite":
        return int(cast(Any, tx.connection.connection.dbapi_connection).total_changes)
    return tx.writes


def is_open(connection: Connection) -> bool:
    """Whether more can be done in the transaction. When the disk is full or fails SQLite rolls all of it back by itself; a
    savepoint that came after would begin another one, and what was answered before would be lost. PostgreSQL does nothing
    more in one in which a statement has failed, or on a line that is lost."""
    if connection.invalidated:
        return False
    session = cast(Any, connection.connection.dbapi_connection)
    if connection.dialect.name == "sqlite":
        return bool(session.in_transaction)
    return session.info.transaction_status == TransactionStatus.INTRANS  # type: ignore[no-any-return]


class Writer:
    """The one thread of a process on which writes share a transaction: all of them on SQLite, on PostgreSQL those that may
    share its number as well (`Share.closely`).

    SQLite lets one writer in at a time and is unfair about who is next, so a queue decides. On both, writes that wait together
    share one commit (one fsync), and all that each would say to the database at its begin and its end. One that fails takes no
    other with it: most have written nothing by then; where one has, they all begin again, each in a savepoint of its own (from
    the first that would cost everybody a third: at each SQLite's index of search writes out what it holds), on PostgreSQL in a
    transaction of its own. So they do should the commit fail; nobody is answered before it. On PostgreSQL that is on another
    thread, and so does who would have to wait for what another transaction holds: nobody else waits for it for long.
    """

    MOST = 64
    TENDING = 10_000

    def __init__(self, database: Database, waiting: Queue, checkpoints: Checkpoints) -> None:
        self._database = database
        self._side = database.primary
        self._queue = waiting
        self._checkpoints = checkpoints
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """Writes that nobody has begun."""
        return self._tasks.qsize()

    def takes(self, task: Task) -> bool:
        """Whether it is one of its own."""
        return task.closely or not self._side.postgresql

    def submit(self, task: Task) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("the database is closed")
            self._queue.enter(task.promise)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="concord-writer", daemon=True)
                self._thread.start()
            self._tasks.put(task)

    def close(self) -> None:
        """Finish what waits, then stop."""
        with self._lock:
            self._closed = True
            self._tasks.put(None)
        self._queue.close()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        written = 0
        while True:
            tasks, last = self._waiting()
            tasks = [task for task in tasks if self._queue.leave(task.promise)]
            self._perform(tasks)
            self._checkpoints.after(len(tasks))
            written += len(tasks)
            if written >= self.TENDING:
                self._database.tend()
                written = 0
            if last:
                return

    def _perform(self, tasks: list[Task]) -> None:
        several = [task for task in tasks if task.share is not Share.never]
        single = [task for task in tasks if task.share is Share.never]
        if len(several) == 1 and not self._side.postgresql:
            several, single = [], [*several, *single]
        try:
            if several:
                self._together(several)
            for task in single:
                self._alone(task)
        except BaseException as error:  # whatever it was: nobody may wait for ever, and the next write must be taken
            log.exception("the writer stumbled")
            for task in tasks:
                if not task.promise.done():
                    task.promise.set_exception(error)

    def _waiting(self) -> tuple[list[Task], bool]:
        """All tasks that wait now (at least one, at most MOST), and whether the end has been called."""
        tasks: list[Task] = []
        item = self._tasks.get()
        while item is not None:
            tasks.append(item)
            if len(tasks) == self.MOST:
                return tasks, False
            try:
                item = self._tasks.get_nowait()
            except queue.Empty:
                return tasks, False
        return tasks, True

    def _alone(self, task: Task) -> None:
        with _delivering(task):
            if self._side.postgresql:
                self._database.submit_task(task, Future()).add_done_callback(partial(_pass_on, task))
            else:
                self._hand_out([(task, self._database.write(task, task.author, dry_run=task.dry_run))])

    def _together(self, tasks: list[Task], *, apart: bool = False) -> None:
        try:
            outcomes = self._outcomes(tasks, apart=apart)
        except _Spoilt:
            if not self._side.postgresql:
                self._together(tasks, apart=True)
                return
            outcomes = [(task, ALONE) for task in tasks]  # in savepoints each might wait for its half second
        except (exc.DBAPIError, exc.TimeoutError, _RolledBack) as error:
            if is_lost_in_commit(error):  # perhaps it is there: nobody writes it twice
                for task in tasks:
                    task.promise.set_exception(refusal(error))
                return
            outcomes = [(task, ALONE) for task in tasks]  # nobody's work is there
        self._hand_out([outcome for outcome in outcomes if outcome[1] is not ALONE])
        for task, result in outcomes:
            if result is ALONE:
                self._alone(task)

    def _outcomes(self, tasks: list[Task], *, apart: bool) -> list[tuple[Task, Any]]:
        """What came of each of them, committed."""
        if self._side.away:
            return [(task, ALONE) for task in tasks]
        groups, others = ([], tasks) if apart else _groups(tasks)
        for group in groups:
            self._ask_ahead(group)
        with self._side.writing(shared=True) as connection:
            together = _Together(self._database, connection)
            one = partial(self._outcome, connection, together, apart=apart)
            outcomes = [(task, one(task)) for task in others if task.closely]
            for group in groups:
                together.seal()  # what was done before has numbers before
                outcomes += self._at_once(connection, group)
            outcomes += [(task, one(task)) for task in others if not task.closely]
            together.seal()
        return outcomes

    def _at_once(self, connection: Connection, group: list[Task]) -> list[tuple[Task, Any]]:
        """What the tasks return, or ALONE, as in `_outcome`."""
        transactions = [self._database.transaction(connection, task.author) for task in group]
        for task, tx in zip(group, transactions, strict=True):
            task.begun(tx)
        try:
            results = cast(AtOnce[Any], group[0].at_once)(transactions, [task.work for task in group])
        except Exception as error:  # whatever it was: each by itself will say it
            raise (_Spoilt if is_open(connection) else _RolledBack) from error
        return [(task, ALONE if result is None else result) for task, result in zip(group, results, strict=True)]

    def _ask_ahead(self, group: list[Task]) -> None:
        """Have it asked on another thread what can be said of these tasks before they are done."""
        ahead = group[0].ahead
        asked = None if ahead is None else self._database.submit_ahead(ahead, [task.work for task in group])
        if asked is not None:
            for place, task in enumerate(group):
                task.known = Known(asked, place)

    def _hand_out(self, written: Sequence[tuple[Task, Any]]) -> None:
        """Give each of these tasks its result; where more is to be asked, all at once, while the next write goes on."""
        asking: dict[tuple[After[Any], Future[Any] | None], list[tuple[Task, Any]]] = {}
        for task, result in written:
            if task.after is None:
                task.promise.set_result(result)
            else:
                about = task.after, None if task.known is None else task.known.asked
                asking.setdefault(about, []).append((task, result))
        for (after, ahead), several in asking.items():
            ask = partial(self._ask_after, after, several)
            if ahead is None:
                ask(None)
            else:
                ahead.add_done_callback(ask)

    def _ask_after(self, after: After[Any], written: list[tuple[Task, Any]], _: object) -> None:
        """Have it asked on another thread what comes after these tasks."""
        known = [None if task.known is None else task.known.answer() for task, _ in written]
        asked = self._database.submit_after(after, [result for _, result in written], known)
        asked.add_done_callback(partial(_tell, written))

    def _outcome(self, connection: Connection, together: _Together, task: Task, *, apart: bool) -> Any:
        """What the task returns, or ALONE: it fails, and its own transaction will tell passing from lasting, and answer."""
        if not task.closely:
            together.seal()  # this one may ask what the others have written
        tx = self._database.transaction(connection, task.author)
        before, apart = changes(tx), apart or task.dry_run or task.share is Share.apart
        try:
            result = self._work(tx, task, together, apart=apart)
        except BaseException:
            result = ALONE
        if not is_open(connection):
            raise _RolledBack
        if result is ALONE and not apart and changes(tx) != before:
            raise _Spoilt
        return result

    def _work(self, tx: Transaction, task: Task, together: _Together, *, apart: bool) -> Any:
        """What the task returns. `apart`: in a savepoint, so that nothing stays of it if it fails."""
        try:
            with tx.connection.begin_nested() if apart else nullcontext():
                if not task.closely:
                    return self._database.run(tx, task, dry_run=task.dry_run)
                result = task(tx)
        except DryRun as rehearsal:
            return rehearsal.result
        together.add(tx)
        return result


SEVERAL = 2
"""From so many works of a kind on they are done at once."""


def _groups(tasks: Sequence[Task]) -> tuple[list[list[Task]], list[Task]]:
    """Tasks that are done at once, and the others."""
    alike: dict[AtOnce[Any] | None, list[Task]] = {}
    for task in tasks:
        alike.setdefault(task.at_once if task.closely else None, []).append(task)
    others = alike.pop(None, [])
    others += [task for group in alike.values() if len(group) < SEVERAL for task in group]
    return [group for group in alike.values() if len(group) >= SEVERAL], others


def _tell(written: Sequence[tuple[Task, Any]], asked: Future[Sequence[Any]]) -> None:
    """Hand out what was made of these results; or the results, where nobody had time for that."""
    results = [result for _, result in written] if asked.exception() else asked.result()
    for (task, _), result in zip(written, results, strict=True):
        task.promise.set_result(result)


def _pass_on(task: Task, done: Future[Any]) -> None:
    """Hand out what came of a task elsewhere."""
    with _delivering(task):
        task.promise.set_result(done.result())


@contextmanager
def _delivering(task: Task) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        task.promise.set_exception(error)
