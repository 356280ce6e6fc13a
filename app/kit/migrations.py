"""The schema's versions: bring a database to the newest, one process at a time, and refuse what this program cannot read.

On PostgreSQL an advisory lock lets one process in, until the end of its transaction, which is all that a pooler leaves to
one session. On SQLite it is the write transaction itself: BEGIN
IMMEDIATE, under which SQLite also does DDL, so that a migration happens as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from app.kit.db import Base
from app.kit.engines import make_engine

LOCK = 0x436F6E63  # "Conc"
WAIT_SECONDS = 120


class SchemaError(Exception):
    """The database is not in a state that this program can serve. The message says what to do."""


def migrate(
    url: str, location: Path, revision: str = "head", *, then: Callable[[Connection], None] = lambda _: None
) -> None:
    """Bring the database at `url` to `revision` of the scripts in `location`. Waits while another process does. Where that
    changed the schema, `then` brings the data after it, in the same transaction.
    Raises SchemaError for a database that is newer than this program, or whose tables are not what its revision says."""
    with alone(url) as connection:
        before = _known(connection, location)
        config = configuration(location)
        config.attributes["connection"] = connection
        if revision == "head" or _ahead(connection, location, revision):
            command.upgrade(config, revision)
            if before not in (None, MigrationContext.configure(connection).get_current_revision()):
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
    return _scripts(location).get_current_head()


def current(connection: Connection) -> str | None:
    """The revision that the database says it is at, in one statement. Raises what the database raises where it says none."""
    found: str | None = connection.execute(_STAMP).scalar()
    return found


_STAMP: sa.Select[Any] = sa.select(sa.column("version_num")).select_from(sa.table("alembic_version"))


def differences(connection: Connection) -> list[str]:
    """What the tables have otherwise than the models say, in Alembic's words."""
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
    config = Config()
    config.set_main_option("script_location", str(location))
    return config


def _scripts(location: Path) -> ScriptDirectory:
    return _read(location, (location / "versions").stat().st_mtime_ns)


@lru_cache(4)
def _read(location: Path, changed: int) -> ScriptDirectory:  # noqa: ARG001  # a folder that changed is read anew
    """The scripts, which are compiled each time that they are read: a start asks for them five times."""
    return ScriptDirectory.from_config(configuration(location))


def _known(connection: Connection, location: Path) -> str | None:
    """The database's revision, if this program knows it and the tables are there."""
    heads = MigrationContext.configure(connection).get_current_heads()
    if not heads:
        return None
    if len(heads) > 1:
        raise SchemaError(
            f"The database says that it is at several revisions, {' and '.join(sorted(heads))}: it was changed by hand. "
            "Nothing was changed. Restore a backup, or clear the stamp with Alembic."
        )
    current = heads[0]
    scripts = _scripts(location)
    if current not in {script.revision for script in scripts.walk_revisions()}:
        raise SchemaError(
            f"The database is at revision {current}, which this program does not know: it was written by a newer one. "
            "Nothing was changed. Start the newer program, or restore a backup."
        )
    if current == scripts.get_current_head():
        missing = sorted(set(Base.metadata.tables) - set(sa.inspect(connection).get_table_names()))
        if missing:
            raise SchemaError(
                f"The database says that it is at revision {current}, but has no table {missing[0]}: it was stamped or "
                "changed by hand. Nothing was changed. Restore a backup, or clear the stamp with Alembic."
            )
    return current


def _ahead(connection: Connection, location: Path, revision: str) -> bool:
    """Whether `revision` lies above the database's."""
    current = MigrationContext.configure(connection).get_current_revision()
    if revision == "base":
        return False
    scripts = _scripts(location)
    above = {script.revision for script in scripts.walk_revisions(base=current or "base", head="heads")}
    return current is None or (scripts.get_revision(revision).revision in above and revision != current)


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
