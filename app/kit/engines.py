"""Engines: connections to SQLite and PostgreSQL, set up the way the unit of work needs them.

On both the transaction is begun by us and not by the driver. On PostgreSQL a session is given its limits once; but behind a
pooler, which hands it to somebody else at the end of each transaction (pgbouncer), the message that begins one carries them.
"""

from __future__ import annotations

import math
import random
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import sqlalchemy as sa
from psycopg import Connection as Session
from sqlalchemy import event, exc
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import URL, Connection, ExceptionContext, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.pool import ConnectionPoolEntry

BEGIN = {
    ("sqlite", "read"): "BEGIN",
    # A transaction that reads first and writes later cannot wait for its turn: it fails at once. Say it up front.
    ("sqlite", "write"): "BEGIN IMMEDIATE",
    ("postgresql", "read"): "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    ("postgresql", "write"): "BEGIN ISOLATION LEVEL READ COMMITTED",
    # Several writes in one.
    ("sqlite", "share"): "BEGIN IMMEDIATE",
    ("postgresql", "share"): "BEGIN ISOLATION LEVEL READ COMMITTED",
    # A single statement sees one state by itself.
    ("sqlite", "one"): "",
    ("postgresql", "one"): "",
}
"""How a transaction begins, by the kind of database and what it is `for`; any other by a plain BEGIN."""

CACHE = 2_000
"""Kilobytes of pages that each connection to SQLite keeps."""
LOG = 4_000
"""Pages of SQLite's log from which on a commit copies it into the file itself: 16 MB. The writer has it done sooner, beside the
writes (`kit/checkpoints.py`); but a log to which somebody always adds something can be begun anew only by who adds to it."""
PATIENCE = 5.0
"""Seconds for which a file of SQLite may be locked."""
SQLITE_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA busy_timeout = {PATIENCE * 1_000:.0f}",
    "PRAGMA mmap_size = 268435456",
    f"PRAGMA cache_size = -{CACHE}",
    f"PRAGMA wal_autocheckpoint = {LOG}",
)
LIMITS = {
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
    "timezone": "UTC",
}
"""What holds within each transaction on PostgreSQL. The address's own `options=-c name=value` go before."""
SHARED_LIMITS = {"lock_timeout": "500ms"}
"""What holds within a transaction that several writes share: none of them may hold up the others for long. Deadlocks end by it,
too, before PostgreSQL would look for them."""
POOLED = "pooled"
"""Under which name a connection to PostgreSQL knows that it is a pooler's."""
CONNECT = {
    "connect_timeout": 2,
    # A line that went dead is found in ten seconds though nothing is sent, and in four while something is on its way.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 4000,
}
READ_SECONDS = 30.0
"""How long a reading on SQLite may take, as a statement on PostgreSQL: nobody waits for the result any more."""
UNTIL = "until"
"""Under which name a connection to SQLite knows when that is."""
DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg")
POOL_TIMEOUT = 2.5
READ_ONLY = "25006"
TURNED_AWAY = frozenset({READ_ONLY, "57P01", "57P02", "57P03", "57P05", "25P03", "25P04"})
"""States of a session with which nothing can be done any more: the server stops, ends it, or takes no writes (since another
took its place). The whole pool is given up, so that the next connection finds who serves now."""


Watching = Callable[["Session[Any]"], AbstractContextManager[object]]


def make_engine(
    url: str | URL, *, pool_size: int, limits: Mapping[str, str] = LIMITS, watching: Watching = nullcontext
) -> sa.Engine:
    """An engine for `sqlite:///file` or `postgresql://…` (psycopg 3). Its errors, which end in the log, repeat no values.
    `watching`: while a new session of PostgreSQL is told how things are done here, somebody looks whether it answers."""
    address = parsed(url)
    if address.get_backend_name() == "sqlite":
        return _sqlite_engine(address, pool_size)
    return _postgresql_engine(address, pool_size, limits, watching)


def parsed(url: str | URL) -> URL:
    """An address, read. Raises ValueError that repeats nothing of it: a password with an unescaped @ ends up in any part."""
    try:
        address = make_url(url)
    except (exc.ArgumentError, ValueError):
        address = None
    if address is None or "@" in (address.host or ""):
        raise ValueError(
            "The database's address cannot be read. It is sqlite:///file or postgresql://user:password@host:port/name; "
            "in the password write @ as %40 and % as %25."
        )
    if address.drivername not in DRIVERS:
        raise ValueError(f"Concord runs on SQLite and PostgreSQL (with psycopg), not on {address.drivername!r}")
    return address


def _sqlite_engine(url: URL, pool_size: int) -> sa.Engine:
    if url.database in (None, "", ":memory:"):
        raise ValueError("an SQLite registry lives in a file: several connections must see the same one")
    engine = sa.create_engine(
        url,
        poolclass=sa.QueuePool,
        pool_size=pool_size,
        max_overflow=1,
        pool_timeout=POOL_TIMEOUT,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        # SQLite has no statement_timeout: now and then it asks whether to go on.
        connection.set_progress_handler(lambda: time.monotonic() > entry.info.get(UNTIL, math.inf), 1_000_000)
        connection.isolation_level = None  # BEGIN is ours: the driver's comes too late
        cursor = connection.cursor()
        for pragma in SQLITE_PRAGMAS:
            _insist(cursor, pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if told := _begin(connection):
            connection.exec_driver_sql(told)

    return engine


def _insist(cursor: DBAPICursor, statement: str) -> None:
    """Execute it, though the file be locked for a moment. Of several who open a new file at once, and would each have it
    written with a log, SQLite refuses some without waiting: each holds what another waits for."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            cursor.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(random.uniform(0.001, 0.02))  # noqa: S311
        else:
            return


def connecting(url: URL) -> dict[str, Any]:
    """What psycopg is told to connect to this address."""
    _, words = cast(Any, PGDialect_psycopg)().create_connect_args(url)
    return {**words, **_beside(url)}


def _beside(url: URL) -> dict[str, Any]:
    """What the address does not say. Of several servers only the one that takes writes will do."""
    several = isinstance(url.query.get("host"), tuple)
    told = {**CONNECT, "autocommit": True, **({"target_session_attrs": "read-write"} if several else {})}
    return {name: value for name, value in told.items() if name not in url.query}


def _purpose(connection: Connection) -> str:
    """What the connection is for."""
    return str(connection.get_execution_options().get("for", ""))


def _begin(connection: Connection) -> str:
    return BEGIN.get((connection.dialect.name, _purpose(connection)), "BEGIN")


def is_pooled(session: Session[Any]) -> bool:
    """Whether the one who answered the knock is not the one who answers the question: a pooler, behind which the session is
    another one in each transaction."""
    return session.execute("SELECT pg_backend_pid()").fetchone() != (session.info.backend_pid,)


def _postgresql_engine(url: URL, pool_size: int, limits: Mapping[str, str], watching: Watching) -> sa.Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(
        url,
        pool_size=pool_size,
        max_overflow=1,
        pool_timeout=POOL_TIMEOUT,
        connect_args=_beside(url),
        hide_parameters=True,
    )
    own = str(url.query.get("options", "")).lower()
    kept = {name: value for name, value in limits.items() if f"{name}=" not in own}
    for_good, for_now, shared = _told("SET", kept), _told("SET LOCAL", kept), _told("SET LOCAL", SHARED_LIMITS)

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        session = cast("Session[Any]", connection)
        with watching(session):
            entry.info[POOLED] = is_pooled(session)
            if entry.info[POOLED]:
                session.prepare_threshold = None  # what one session has prepared is unknown to the next
            elif for_good:
                session.execute(for_good.encode())

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        told = [_begin(connection)]
        if connection.info[POOLED]:
            told = [told[0] or "BEGIN READ ONLY", for_now]
        told += [shared] if _purpose(connection) == "share" else []
        if any(told):
            connection.exec_driver_sql("; ".join(filter(None, told)))

    event.listen(engine, "handle_error", _turned_away)
    return engine


def _told(how: str, limits: Mapping[str, str]) -> str:
    """What sets these limits."""
    return "; ".join(f"{how} {name} = '{value}'" for name, value in limits.items())


def _turned_away(context: ExceptionContext) -> None:
    state = getattr(context.original_exception, "sqlstate", None)
    purpose = None if context.connection is None else _purpose(context.connection)
    # A reading that writes is a fault of ours.
    if state in TURNED_AWAY and not (state == READ_ONLY and purpose in ("read", "one")):
        context.is_disconnect = True
