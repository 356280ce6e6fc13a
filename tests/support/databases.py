"""An empty registry for each test without a copy for each: on an ordinary disk PostgreSQL needs a fifth of a second to
copy a database, and a millisecond to empty one. (SQLite copies a file, which is as fast.)"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from app.kit import records
from app.kit.db import Base, Database
from app.kit.search import INDEX
from tests.conftest import Server, Ticking


@pytest.fixture(scope="session")
def emptied(server: Server) -> Iterator[Database]:
    """The database that tests take turns with."""
    opened = records.open_database(server.fresh("empty"), pool_size=4)
    yield opened
    opened.close()


@pytest.fixture
def database(server: Server, clock: Ticking, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A registry with its schema and no record."""
    if server.kind == "sqlite":
        opened = records.open_database(server.fresh("empty"), pool_size=4, clock=clock)
        yield opened
        opened.close()
    else:
        taken: Database = request.getfixturevalue("emptied")
        empty(taken.engine)
        taken.clock = clock
        yield taken


def clear(engine: sa.Engine) -> int:
    """Take everything out, and go one step on in the sequence: no number stands for two states. The number."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "PRAGMA defer_foreign_keys = ON"
            if engine.dialect.name == "sqlite"
            else "SET LOCAL session_replication_role = replica"
        )
        for table in {*Base.metadata.tables, *([INDEX.name] if engine.dialect.name == "sqlite" else [])} - {
            "api_key",
            "clock",
        }:
            connection.exec_driver_sql(f'DELETE FROM "{table}"')  # noqa: S608  # our own
        return int(connection.exec_driver_sql("UPDATE clock SET seq = seq + 1 RETURNING seq").scalar_one())


def empty(engine: sa.Engine) -> None:
    """As it was after its migrations, whatever tables these have made. No foreign key asks for an order of deletes."""
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for table in sa.inspect(connection).get_table_names():
            if table == "clock":
                connection.exec_driver_sql("UPDATE clock SET seq = 0")
            elif table not in ("alembic_version", "api_key"):
                connection.exec_driver_sql(f'DELETE FROM "{table}"')  # noqa: S608  # a name from the catalogue
