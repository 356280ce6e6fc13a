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
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Any, Protocol

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL

from app.kit.engines import connecting

log = logging.getLogger("concord")
PATIENCE = 0.5
"""Seconds after which a question is given up: to read is quicker than to wait whether one must."""
REST = 1.0
"""Seconds in which a server that did not answer is not asked again."""


class Probe(Protocol):
    """Asked on the event loop; closed by whoever closes the database."""

    async def state(self) -> Hashable | None:
        """The state, for those who asked before; None where it is not known at the moment."""
        ...

    def close(self) -> None: ...


class FileProbe:
    """Of an SQLite file. A connection that is used for nothing else sees whether any other, of whatever process, has committed:
    a look at shared memory and a lock for a moment, and no reason for another thread. One look does for all whose turn comes in
    the same round of the event loop: their requests were read before it, or they would come in a later one."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._cursor: sqlite3.Cursor | None = None
        self._seen: int | None = None

    async def state(self) -> Hashable | None:
        if self._seen is None:
            try:
                self._seen = self._ask().execute("PRAGMA data_version").fetchone()[0]
            except sqlite3.Error:
                return None
            asyncio.get_running_loop().call_soon(self._look_again)
        return self._seen

    def _look_again(self) -> None:
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


class Coalesced:
    """One question for all who have asked since the last one was sent."""

    def __init__(self, ask: Callable[[], Awaitable[Hashable | None]]) -> None:
        self._ask = ask
        self._waiting: list[asyncio.Future[Hashable | None]] = []
        self._asking: asyncio.Task[None] | None = None

    async def state(self) -> Hashable | None:
        answer: asyncio.Future[Hashable | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        if self._asking is None:
            self._asking = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        try:
            while waiting := self._waiting:
                self._waiting = []
                state = await self._asked()
                for answer in waiting:
                    if not answer.done():  # else whoever asked has left
                        answer.set_result(state)
        finally:
            self._asking = None

    async def _asked(self) -> Hashable | None:
        try:
            return await self._ask()
        except Exception:  # whatever it was: those who wait need not know
            log.exception("the state of the registry could not be asked")
            return None

    def close(self) -> None:
        pass


class ServerProbe(Coalesced):
    """Of a PostgreSQL server, on a connection of its own.

    The clock's row says more than its number: which transaction has written it last (`xmin`). Writes that have no number, such
    as those of keys, touch that row, and so are seen as well (`revisions.touch`).

    libpq is asked without its driver's own waiting, which would spend seconds on cancelling a question that nobody answers.
    """

    QUESTION = "SELECT seq, xmin::text FROM clock"

    def __init__(self, url: URL, *, is_away: Callable[[], bool] = lambda: False) -> None:
        super().__init__(self._ask_patiently)
        self._words = {**connecting(url), "autocommit": True}
        self._is_away = is_away
        self._line: psycopg.Connection[Any] | None = None
        self._ear = (
            -1
        )  # its socket, again: libpq closes its own when the line breaks, and the number may be another's at once
        self._connecting: asyncio.Future[psycopg.Connection[Any]] | None = None
        self._times = 0  # connected: another server may stand there now, with other states under the same numbers
        self._rest_until = 0.0

    async def _ask_patiently(self) -> Hashable | None:
        if self._is_away() or time.monotonic() < self._rest_until:
            return None
        try:
            async with asyncio.timeout(PATIENCE):
                line = self._line or await self._connected()
                return (self._times, *await _answer(line.pgconn, self._ear, self.QUESTION.encode()))
        except (psycopg.Error, OSError, TimeoutError):
            self.close()
            self._rest_until = time.monotonic() + REST
            return None

    async def _connected(self) -> psycopg.Connection[Any]:
        if self._connecting is None:
            connect = partial(psycopg.connect, **self._words)
            self._connecting = asyncio.get_running_loop().run_in_executor(None, connect)
            self._connecting.add_done_callback(self._take)
        return await asyncio.shield(self._connecting)

    def _take(self, connecting: asyncio.Future[psycopg.Connection[Any]]) -> None:
        self._connecting = None
        if not connecting.cancelled() and connecting.exception() is None:
            self.close()
            self._line = connecting.result()
            self._ear = os.dup(self._line.fileno())
            self._times += 1

    def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()
            os.close(self._ear)


async def _answer(session: PGconn, ear: int, question: bytes) -> tuple[bytes | None, ...]:
    """The values of the row that answers this; `ear` is where it is heard. Raises psycopg.Error."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[list[PGresult]] = loop.create_future()
    results: list[PGresult] = []

    def read() -> None:
        try:
            session.consume_input()
            while not answered.done() and not session.is_busy():
                if (result := session.get_result()) is None:
                    answered.set_result(results)
                else:
                    results.append(result)
        except psycopg.Error as error:
            answered.set_exception(error)

    session.send_query(question)
    session.flush()
    loop.add_reader(ear, read)
    try:
        first, *_ = await answered
    finally:
        loop.remove_reader(ear)
    if first.status != ExecStatus.TUPLES_OK or first.ntuples != 1:
        raise psycopg.OperationalError("the clock has no row that could be read")
    return tuple(first.get_value(0, column) for column in range(first.nfields))
