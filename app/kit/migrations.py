"""The schema's versions: bring a database to the newest, one process at a time, and refuse what this program cannot read.

On PostgreSQL an advisory lock lets one process in, until the end of its transaction, which is all that a pooler leaves to
one session. On SQLite it is the write transaction itself: BEGIN
IMMEDIATE, under which SQLite also does DDL, so that a migration happens as a whole or not at all.

Alembic does what there is to do. Whether there is anything is seen without it: most starts find the schema as it should be,
and to load Alembic and the scripts takes a twentieth of one.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from app.kit.db import Base
from app.kit.engines import make_engine

if TYPE_CHECKING:
    from alembic.config import Config

LOCK = 0x436F6E63  # "Conc"
WAIT_SECONDS = 120


class SchemaError(Exception):
    """The database is not in a state that this program can serve. The message says what to do."""


def migrate(
    url: str, location: Path, revision: str = "head", *, then: Callable[[Connection], None] = lambda _: None
) -> None:
    """Bring the database at `url` to `revision` of the scripts in `location`, to the newest (`head`) or to none (`base`).
    Waits while another process does. Where that changed the schema, `then` brings the data after it, in the same transaction.
    Raises SchemaError for a database that is newer than this program, or whose tables are not what its revision says."""
    with alone(url) as connection:
        before = _known(connection, location)
        wanted = {"head": head(location), "base": None}.get(revision, revision)
        if before == wanted:
            return
        from alembic import command  # only here: see above

        config = configuration(location)
        config.attributes["connection"] = connection
        if before is None or wanted in _above(location, before):
            command.upgrade(config, revision)
            if before is not None:
                then(connection)
        else:
            command.downgrade(config, revision)
        if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise SchemaError("The migration would leave references to nothing; it was undone.")


def verify(engine: sa.Engine, location: Path) -> None:
    """Raises SchemaError unless the database is exactly at the newest revision, with its tables there."""
    with engine.connect() as connection:
        found = _known(connection, location)
    if found != head(location):
        raise SchemaError(
            f"The database is at revision {found or 'none'}, this program needs {head(location)}. Run: concord migrate"
        )


def head(location: Path) -> str | None:
    """The newest revision of the scripts: the one that this program needs."""
    scripts = _scripts(location)
    below = {revision for revisions in scripts.values() for revision in revisions}
    heads = sorted(set(scripts) - below)
    if len(heads) > 1:
        raise SchemaError(f"Of the migrations {' and '.join(heads)} neither comes after the other: merge them.")
    return heads[0] if heads else None


def current(connection: Connection) -> str | None:
    """The revision that the database says it is at, in one statement. Raises what the database raises where it says none."""
    found: str | None = connection.execute(_STAMP).scalar()
    return found


_STAMP: sa.Select[Any] = sa.select(sa.column("version_num")).select_from(sa.table("alembic_version"))


def differences(connection: Connection) -> list[str]:
    """What the tables have otherwise than the models say, in Alembic's words."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    context = MigrationContext.configure(connection, opts={"compare_type": True, "include_name": is_modelled})
    return [" ".join(map(str, _flat(found))) for found in compare_metadata(context, Base.metadata)]


def _flat(found: Any) -> tuple[Any, ...]:
    """A difference is a tuple, several of one column are a list of them."""
    return tuple(getattr(part, "name", None) or part for part in (found[0] if isinstance(found, list) else found)[:4])


def is_modelled(name: str | None, kind: str, _: Any) -> bool:
    """Whether Alembic compares it with the models. The index of search is not one: each database has its own kind, and
    SQLite's is made of several tables."""
    return kind != "table" or name is None or not name.startswith("search_index")


def configuration(location: Path) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(location))
    return config


def _scripts(location: Path) -> Mapping[str, Sequence[str]]:
    """Each revision of the scripts, with those that it comes after."""
    return _read(location, (location / "versions").stat().st_mtime_ns)


_SAID = re.compile(r"^(revision|down_revision)\b[^=\n]*=(.+)$", re.MULTILINE)


@lru_cache(4)
def _read(location: Path, changed: int) -> Mapping[str, Sequence[str]]:  # noqa: ARG001  # a folder that changed is read anew
    """As the scripts say it themselves: they need not be run for it."""
    found: dict[str, Sequence[str]] = {}
    for file in (location / "versions").glob("*.py"):
        said = {name: literal_eval(value.strip()) for name, value in _SAID.findall(file.read_text())}
        if said:
            below = said["down_revision"]
            found[said["revision"]] = (below,) if isinstance(below, str) else below or ()
    return found


def _above(location: Path, revision: str) -> set[str]:
    """The revisions that come after `revision`."""
    found: set[str] = set()
    scripts, fresh = _scripts(location), {revision}
    while fresh:
        fresh = {name for name, below in scripts.items() if fresh & set(below)} - found
        found |= fresh
    return found


def _stamps(connection: Connection) -> list[str]:
    """The revisions that the database says it is at: one, or none where it has no schema."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return []
    return list(connection.execute(_STAMP).scalars())


def _known(connection: Connection, location: Path) -> str | None:
    """The database's revision, if this program knows it and the tables are there."""
    heads = _stamps(connection)
    if not heads:
        return None
    if len(heads) > 1:
        raise SchemaError(
            f"The database says that it is at several revisions, {' and '.join(sorted(heads))}: it was changed by hand. "
            "Nothing was changed. Restore a backup, or clear the stamp with Alembic."
        )
    (current,) = heads
    if current not in _scripts(location):
        raise SchemaError(
            f"The database is at revision {current}, which this program does not know: it was written by a newer one. "
            "Nothing was changed. Start the newer program, or restore a backup."
        )
    if current == head(location):
        missing = sorted(set(Base.metadata.tables) - set(sa.inspect(connection).get_table_names()))
        if missing:
            raise SchemaError(
                f"The database says that it is at revision {current}, but has no table {missing[0]}: it was stamped or "
                "changed by hand. Nothing was changed. Restore a backup, or clear the stamp with Alembic."
            )
    return current


@contextmanager
def alone(url: str) -> Iterator[Connection]:
    """A connection in a transaction, while no other process migrates; committed at the end."""
    engine = make_engine(url, pool_size=1, limits={"timezone": "UTC"})
    postgresql = engine.dialect.name == "postgresql"

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        if postgresql:
            return
        cursor = connection.cursor()
        # A table that is rebuilt is dropped on the way; the check comes at the end. Not possible inside a transaction.
        cursor.execute("PRAGMA foreign_keys = OFF")
        cursor.execute(f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000}")
        cursor.close()

    try:
        with engine.execution_options(**{"for": "write"}).begin() as connection:
            if postgresql:
                # Each statement after it sees what the one before us has done: READ COMMITTED.
                connection.exec_driver_sql("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0")
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            yield connection
    finally:
        engine.dispose()
