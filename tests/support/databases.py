"""An empty registry for each test without a database for each: they take turns with one of each kind. A new engine would have
to compile every statement again, which takes longer than most tests; and PostgreSQL needs a tenth of a second to copy a
database, but a millisecond to empty one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from app.kit import records
from app.kit.db import Base, Database
from app.kit.search import INDEX
from tests.conftest import PATIENCE, Server, Ticking


@pytest.fixture(scope="session")
def emptied(server: Server) -> Iterator[Database]:
    """The database that tests take turns with."""
    opened = records.open_database(server.fresh("empty"), pool_size=4, patience=PATIENCE)
    yield opened
    opened.close()


@pytest.fixture
def database(emptied: Database, clock: Ticking) -> Database:
    """A registry with its schema and no record."""
    if emptied.engine.dialect.name == "postgresql":
        empty(emptied.engine)
    else:
        clear(emptied.engine, BACK)
    emptied.clock = clock
    return emptied


ON, BACK = "UPDATE clock SET seq = seq + 1 RETURNING seq", "UPDATE clock SET seq = 0 RETURNING seq"
"""What becomes of the sequence: it goes one step on, so that no number stands for two states; or begins anew."""


def clear(engine: sa.Engine, sequence: str = ON) -> int:
    """Take everything out. The number of the sequence then."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "PRAGMA defer_foreign_keys = ON"
            if engine.dialect.name == "sqlite"
            else "SET LOCAL session_replication_role = replica"
        )
        for table in {*Base.metadata.tables, INDEX.name} - {"api_key", "clock"}:
            connection.exec_driver_sql(f'DELETE FROM "{table}"')  # noqa: S608  # our own
        return int(connection.exec_driver_sql(sequence).scalar_one())


EMPTY = (
    "SET LOCAL session_replication_role = replica",  # no foreign key asks for an order of deletes
    """
    DO $$
    DECLARE
        names text[] := array_agg(tablename::text) FROM pg_tables
            WHERE schemaname = current_schema() AND tablename NOT IN ('alembic_version', 'api_key', 'clock');
        name text;
    BEGIN
        -- What was deleted stays in its place until it is swept: the next thousands of tests would read past it.
        IF (SELECT max(pg_total_relation_size(quote_ident(each)::regclass)) FROM unnest(names) AS each) > 2000000 THEN
            EXECUTE 'TRUNCATE ' || (SELECT string_agg(quote_ident(each), ', ') FROM unnest(names) AS each);
        ELSE
            FOREACH name IN ARRAY names LOOP
                EXECUTE 'DELETE FROM ' || quote_ident(name);
            END LOOP;
        END IF;
    END $$
    """,
    "UPDATE clock SET seq = 0",
)
"""Where tables are small, to delete what is in them takes less than to make their files anew."""


def empty(engine: sa.Engine) -> None:
    """A PostgreSQL as it was after its migrations, whatever tables these have made."""
    with engine.begin() as connection:
        for statement in EMPTY:
            connection.exec_driver_sql(statement)
