"""Sides: the servers that hold the registry, the primary and where there is one its replica, and whether they answer.

PostgreSQL ends a statement that takes too long, but nobody ends the wait for a server that has fallen silent: a line that was
cut without a word, a machine that hangs. So while a unit of work has been on a line for some time, somebody knocks at the
same address: where nobody opens, the lines to it are cut, and all who come are refused at once until somebody does.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import psycopg
from sqlalchemy import exc
from sqlalchemy.engine import URL, Connection

from app.kit.engines import READ_SECONDS, UNTIL, connecting, make_engine

BEAT = 0.25
"""Seconds between two looks."""
LONG = 1.5
"""Seconds on a line after which somebody knocks. With the two that a knock may take, a request is answered within five."""
QUIET = 1.0
"""Seconds between two knocks while all is well: a long import is no reason for more."""
KEPT = 0.1
"""Seconds for which a thread keeps a connection."""
AT_COMMIT = "It was the COMMIT that failed."
"""The note of an error that came when a transaction was to be stored."""
log = logging.getLogger("concord")


class Side:
    """One server: its engine, and `away` while it is known not to answer."""

    def __init__(self, name: str, url: str | URL, *, pool_size: int) -> None:
        self.name = name
        self._lines: dict[object, tuple[Any, float]] = {}  # the sessions that are used now, and since when
        self._lock = threading.Lock()
        self.engine = make_engine(url, pool_size=pool_size, watching=self._watched)
        self.postgresql = self.engine.dialect.name == "postgresql"
        self.away = False
        self._reading = self.engine.execution_options(**{"for": "read"})
        self._asking = self.engine.execution_options(**{"for": "one"})
        self._writing = self.engine.execution_options(**{"for": "write"})
        self._sharing = self.engine.execution_options(**{"for": "share"})
        self._own = threading.local()  # the connection that a thread keeps from one single statement to the next
        self._quiet_until = 0.0
        self.looks: tuple[Callable[[], None], ...] = (self.look,)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection whose transaction sees one state."""
        self.rest()
        with self._reading.connect() as connection, self._on_the_line(connection):
            connection.begin()  # here and now: look-ups are not what SQLAlchemy would begin one for
            with self._limited(connection):
                yield connection

    @contextmanager
    def asking(self) -> Iterator[Connection]:
        """A connection for a single statement, which sees one state by itself. The thread keeps it for the next one, until it
        rests: to borrow one and give it back takes as long as SQLite's answer. But not for long, or it would not be missed when
        the pool is given up, since another server serves now."""
        own = self._own
        connection: Connection | None = getattr(own, "connection", None)
        if connection is None or time.monotonic() > own.until:
            self.rest()
            connection = own.connection = self._asking.connect()
            own.until = time.monotonic() + KEPT
        try:
            with self._on_the_line(connection), self._limited(connection):
                yield connection
        except BaseException:  # whatever it was, the next one begins anew
            self.rest()
            raise

    def rest(self) -> None:
        """Give back the connection that this thread has kept."""
        connection: Connection | None = self._own.__dict__.pop("connection", None)
        try:
            if connection is not None:
                connection.close()
        except Exception:  # what was read is read, and the thread has more to do
            log.exception("a connection could not be given back")

    @contextmanager
    def _limited(self, connection: Connection) -> Iterator[None]:
        """A reading takes no longer than it may, and leaves nothing open."""
        info = connection.info  # a connection that broke has none any more
        info[UNTIL] = time.monotonic() + READ_SECONDS
        try:
            yield
        finally:
            info.pop(UNTIL, None)
            if connection.in_transaction():
                with suppress(exc.DBAPIError):  # what was read is read
                    connection.rollback()

    @contextmanager
    def writing(self, *, shared: bool = False) -> Iterator[Connection]:
        """A connection in a transaction that writes; committed at the end. `shared`: by several writes, none of which may wait
        for long."""
        engine = self._sharing if shared else self._writing
        self.rest()
        with engine.connect() as connection, self._on_the_line(connection):
            is_done = False
            try:
                with connection.begin():
                    yield connection
                    is_done = True
            except exc.DBAPIError as error:
                if is_done:
                    error.add_note(AT_COMMIT)
                raise

    def _on_the_line(self, connection: Connection) -> AbstractContextManager[None]:
        return self._watched(connection.connection.dbapi_connection)

    @contextmanager
    def _watched(self, session: Any) -> Iterator[None]:
        """While somebody waits for what this session says."""
        key = object()  # it may be used again before this ends: by a unit of work within another
        with self._lock:
            self._lines[key] = (session, time.monotonic())
        try:
            yield
        finally:
            with self._lock:
                del self._lines[key]

    # -- does it answer? --
    def look(self) -> None:
        """Knock where somebody has waited for long, or where nobody opened the last time."""
        if self.away:
            self.away = not _opens(connecting(self.engine.url))
            if not self.away:
                log.warning("the %s answers again", self.name)
            return
        now = time.monotonic()
        if now < self._quiet_until:
            return
        with self._lock:
            waiting = [session for session, since in self._lines.values() if since < now - LONG]
        self._quiet_until = now + QUIET if waiting else now
        for address in {address for session in waiting if (address := _address(session))}:
            if _is_silent(connecting(self.engine.url), address):
                self.leave()
                self._cut(address)

    def failed(self, error: Exception) -> None:
        """Take notice of an error that stayed. Who refuses is tried again at once, who says nothing is not."""
        if isinstance(getattr(error, "orig", None), psycopg.errors.ConnectionTimeout):
            self.leave()

    def leave(self) -> None:
        """Ask nothing of it until a look finds that it answers."""
        if not self.away:
            log.error("the %s does not answer", self.name)
        self.away = True

    def _cut(self, address: tuple[str, int]) -> None:
        with self._lock:
            for session, _ in self._lines.values():
                if _address(session) == address:
                    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(session.fileno())) as line:
                        line.shutdown(socket.SHUT_RDWR)


def _address(session: psycopg.Connection[Any]) -> tuple[str, int] | None:
    try:
        return session.info.host, session.info.port
    except psycopg.Error:  # closed meanwhile
        return None


def _opens(words: dict[str, Any]) -> bool:
    try:
        psycopg.connect(**words).close()
    except psycopg.Error:
        return False
    return True


def _is_silent(words: dict[str, Any], address: tuple[str, int]) -> bool:
    """Whether nobody answers a knock. A refusal is an answer."""
    words = {name: value for name, value in words.items() if name != "target_session_attrs"}
    try:
        psycopg.connect(**words | {"host": address[0], "port": address[1]}).close()
    except psycopg.errors.ConnectionTimeout:
        return True
    except psycopg.Error:
        return False
    return False


class Watch:
    """A thread that looks, again and again, until it is told to stop."""

    def __init__(self, name: str, *looks: Callable[[], None], beat: float = BEAT) -> None:
        self._looks, self._beat = looks, beat
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"concord-watch-{name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(self._beat):
            for look in self._looks:
                try:
                    look()
                except Exception:  # whatever it was: nobody else looks
                    log.exception("a look at the database failed")

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
