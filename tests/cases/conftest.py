"""The registry that each of these tests begins with, and a client that writes raw bytes to the same server.

There are a thousand of them, so they take turns with one database of each kind: a new engine would have to compile every
statement again, which takes longer than most of the tests.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import sqlalchemy as sa

from app.kit import records
from app.kit.db import Base, Database
from app.kit.search import INDEX
from tests.conftest import Server, Ticking
from tests.support.databases import empty
from tests.support.wire import Wire


@pytest.fixture(scope="session")
def shared(server: Server) -> Iterator[Database]:
    """The database that tests take turns with."""
    opened = records.open_database(server.fresh("empty"), pool_size=4)
    yield opened
    opened.close()


@pytest.fixture
def database(shared: Database, clock: Ticking) -> Database:
    """A registry with its schema and no record."""
    if shared.engine.dialect.name == "postgresql":
        empty(shared.engine)
    else:
        _empty_file(shared.engine)
    shared.clock = clock
    return shared


def _empty_file(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        for name in {*Base.metadata.tables, INDEX.name} - {"api_key"}:
            statement = "UPDATE clock SET seq = 0" if name == "clock" else f'DELETE FROM "{name}"'  # noqa: S608  # our own
            connection.exec_driver_sql(statement)


@pytest.fixture
def wire(client: httpx.Client) -> Wire:
    """Raw bytes to the server of `client`."""
    assert client.base_url.port is not None
    return Wire(client.base_url.port)
