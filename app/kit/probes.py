"""Probes: which state of the registry a reading that began now would see, asked so cheaply that every request can ask.

What a probe answers is compared, never ordered: as long as it stays the same, nothing was written. It is exact for those who
asked before the question was sent, and for nobody else; so who asks while one is under way waits for the next.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable, Iterable
from functools import partial
from typing import Any, Protocol

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL

from app.kit.engines import connecting, is_pooled

log = logging.getLogger("concord")
PATIENCE = 0.5
"""Seconds after which a question is given up: to read is quicker than to wait whether one must."""
REST = 1.0
"""Seconds in which a server that did not answer is not asked again."""


Then = Callable[[Hashable | None], object]
"""What is told a state, or None where it is not known."""


class Probe(Protocol):
    """Asked on the event loop; closed by whoever closes the database."""

    async def state(self) -> Hashable | None:
        """The state, for those who asked before; None where it is not known at the moment."""
        ...

    def when_known(self, then: Then) -> None:
        """Say it to `then`, soon: for who asks in the middle of reading a socket, and is no task that could wait."""
        ...

    def close(self) -> None: ...


class FileProbe:
    """Of an SQLite file. A connection that is used for nothing else sees whether any other, of whatever process, has committed:
    a look at shared memory and a lock for a moment, and no reason for another thread. One look does for all tasks whose turn
    comes in the same round of the event loop: their requests were read before it, or they would come in a later one. Those who
    ask while they read a socket are told in the next round: what another reads in this one may have been sent since."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._cursor: sqlite3.Cursor | None = None
        self._seen: int | None = None
        self._waiting: list[Then] = []

    async def state(self) -> Hashable | None:
        if self._seen is None:
            self._seen = self._look()
            asyncio.get_running_loop().call_soon(self._forget)
        return self._seen

    def when_known(self, then: Then) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._tell)
        self._waiting.append(then)

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        tell_each(waiting, self._look())

    def _look(self) -> int | None:
        try:
            version: int = self._ask().execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error:
            return None
        return version

    def _forget(self) -> None:
        self._seen = None

    def _ask(self) -> sqlite3.Cursor:
        if self._cursor is None:
            (where,), how = SQLiteDialect_pysqlite().create_connect_args(self._url)
            mine: dict[str, Any] = {**how, "timeout": 0, "isolation_level": None, "check_same_thread": False}
            self._cursor = sqlite3.connect(where, **mine).cursor()
        return self._cursor

    def close(self) -> None:
        if self._cursor is not None:
            self._cursor.connection.close()


def tell_each(waiting: Iterable[Then], state: Hashable | None) -> None:
    """Tell each of them, whatever becomes of another."""
    for then in waiting:
        try:
            then(state)
        except Exception:
            log.exception("the state of the registry was told in vain")


class Coalesced(ABC):
    """One question for all who have asked since the last one was sent."""

    def __init__(self) -> None:
        self._waiting: list[Then] = []  # for the next question
        self._asking: list[Then] | None = None  # who is told the answer to the present one

    async def state(self) -> Hashable | None:
        answer: asyncio.Future[Hashable | None] = asyncio.get_running_loop().create_future()
        self.when_known(partial(_settle, answer))
        return await answer

    def when_known(self, then: Then) -> None:
        self._waiting.append(then)
        if self._asking is None:
            self._begin()

    def _begin(self) -> None:
        self._asking = []
        loop = asyncio.get_running_loop()
        # Who asks in this turn is told by the same answer; and in the next: who has just had an answer asks again by then.
        loop.call_soon(loop.call_soon, self._send)

    def _send(self) -> None:
        self._asking, self._waiting = self._waiting, []
        self._patience = asyncio.get_running_loop().call_later(PATIENCE, self._give_up)
        self._ask()

    @abstractmethod
    def _ask(self) -> None:
        """Send the question; its answer goes to `_tell`, None where there will be none."""

    def _give_up(self) -> None:
        self._tell(None)

    def _tell(self, state: Hashable | None) -> None:
        if not self._asking:
            return  # it comes too late
        told, self._asking = self._asking, None
        self._patience.cancel()
        tell_each(told, state)
        if self._waiting and self._asking is None:
            self._begin()

    @abstractmethod
    def close(self) -> None: ...


def _settle(answer: asyncio.Future[Hashable | None], state: Hashable | None) -> None:
    if not answer.done():  # else whoever asked has left
        answer.set_result(state)


class ReadingProbe(Coalesced):
    """Of whatever `ask` reads: as any other reader would."""

    def __init__(self, ask: Callable[[], Awaitable[Hashable | None]]) -> None:
        super().__init__()
        self._read = ask

    def _ask(self) -> None:
        self._reading = asyncio.ensure_future(self._read())
        self._reading.add_done_callback(self._heard)

    def _heard(self, reading: asyncio.Future[Hashable | None]) -> None:
        if reading is not self._reading or reading.cancelled():
            return
        if (trouble := reading.exception()) is not None:
            log.error("the state of the registry could not be read", exc_info=trouble)
        self._tell(reading.result() if trouble is None else None)

    def close(self) -> None:
        pass


PREPARED = b"concord_state"
"""Under which name a session knows the question."""


class ServerProbe(Coalesced):
    """Of a PostgreSQL server, on a connection of its own.

    The clock's row says more than its number: which transaction has written it last (`xmin`). Writes that have no number, such
    as those of keys, touch that row, and so are seen as well (`revisions.touch`). Of which server it is tells when that was
    started: after a failover there is another one, behind a pooler perhaps, which may have other states under the same numbers.

    libpq is asked without its driver's own waiting: that would cost more than the question, and would spend seconds on
    cancelling one that nobody answers.
    """

    QUESTION = "SELECT seq, xmin::text, pg_postmaster_start_time() FROM clock"

    def __init__(self, url: URL, *, is_away: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        self._words = {**connecting(url), "autocommit": True}
        self._is_away = is_away
        self._line: psycopg.Connection[Any] | None = None
        self._is_prepared = False
        self._connecting: asyncio.Future[psycopg.Connection[Any]] | None = None
        self._results: list[PGresult] = []
        self._rest_until = 0.0
        self._is_closed = False

    def _ask(self) -> None:
        if self._is_closed or self._is_away() or time.monotonic() < self._rest_until:
            self._tell(None)
        elif self._line is None:
            self._connect()
        else:
            self._ask_on(self._line)

    def _ask_on(self, line: psycopg.Connection[Any]) -> None:
        self._results = []
        try:
            if self._is_prepared:
                line.pgconn.send_query_prepared(PREPARED, [])
            else:
                line.pgconn.send_query(self.QUESTION.encode())
            line.pgconn.flush()
        except psycopg.Error:
            self._fail()

    def _heard(self) -> None:
        """Something came: the answer, a part of it, or the end of the line."""
        if self._line is None:
            return
        session = self._line.pgconn
        try:
            session.consume_input()
            while not session.is_busy():
                if (result := session.get_result()) is None:
                    self._understand()
                    return
                self._results.append(result)
        except psycopg.Error:
            self._fail()

    def _understand(self) -> None:
        results, self._results = self._results, []
        if len(results) == 1 and results[0].status == ExecStatus.TUPLES_OK and results[0].ntuples == 1:
            self._tell(tuple(results[0].get_value(0, column) for column in range(results[0].nfields)))
        elif results:
            self._fail()

    def _connect(self) -> None:
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().run_in_executor(None, self._open)
            self._connecting.add_done_callback(self._connected)

    def _open(self) -> psycopg.Connection[Any]:
        """A connection to which the question is known: to read and to plan it takes the server longer than to answer. (What one
        session of a pooler knows is unknown to the next.)"""
        line = psycopg.connect(**self._words)
        try:
            known = None if is_pooled(line) else line.pgconn.prepare(PREPARED, self.QUESTION.encode())
            self._is_prepared = known is not None and known.status == ExecStatus.COMMAND_OK
        except BaseException:
            line.close()
            raise
        return line

    def _connected(self, connecting: asyncio.Future[psycopg.Connection[Any]]) -> None:
        self._connecting = None
        if connecting.cancelled() or connecting.exception() is not None:
            self._fail()
            return
        if self._is_closed:
            connecting.result().close()
            return
        self._hang_up()
        self._line = connecting.result()
        # Its socket, again: libpq closes its own when the line breaks, and the number may be another's at once.
        self._loop, self._ear = asyncio.get_running_loop(), os.dup(self._line.fileno())
        self._loop.add_reader(self._ear, self._heard)
        if self._asking:
            self._ask_on(self._line)

    def _give_up(self) -> None:
        self._fail()

    def _fail(self) -> None:
        self._hang_up()
        if self._asking:
            self._rest_until = time.monotonic() + REST
            self._tell(None)

    def close(self) -> None:
        self._is_closed = True
        self._fail()

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            self._loop.remove_reader(self._ear)
            line.close()
            os.close(self._ear)
