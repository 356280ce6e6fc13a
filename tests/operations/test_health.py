"""Whether the registry is alive, ready, and which it is (A51)."""

from __future__ import annotations

import platform
from importlib.metadata import version
from time import perf_counter

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from app.api.metrics import DISTRIBUTION
from app.kit.db import Database
from tests.cases.refusals import refused
from tests.operations.test_metrics import holding

SOON = 10.0
"""Seconds, on a machine that does other things as well: half of the time for which the database hangs."""


def stamp(database: Database, revision: str) -> None:
    with database.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_a51_a_database_at_another_revision_is_not_ready(
    client: httpx.Client, database: Database, app: FastAPI
) -> None:
    stamp(database, "another")
    answer = client.get("/readyz")
    assert app.state.schema in refused(answer, 503, "not-ready")["detail"]
    assert int(answer.headers["retry-after"]) > 0
    assert client.get("/livez").status_code == 200
    assert client.get("/version").json()["schema"] == {"program": app.state.schema, "database": "another"}
    stamp(database, app.state.schema)
    assert client.get("/readyz").json() == {"status": "ready"}


def test_a51_a_database_without_a_revision_is_not_ready(client: httpx.Client, database: Database) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE alembic_version RENAME TO elsewhere")
    assert "none" in refused(client.get("/readyz"), 503, "not-ready")["detail"]
    assert client.get("/version").json()["schema"]["database"] is None


def test_a51_a_database_that_hangs_is_told_soon(client: httpx.Client, database: Database) -> None:
    with holding(database, 5):
        begin = perf_counter()
        refused(client.get("/readyz"), 503, "unavailable")
        assert perf_counter() - begin < SOON
        for path in ("/livez", "/version", "/metrics"):
            assert client.get(path).status_code == 200
    assert client.get("/readyz").status_code == 200


def test_the_version_says_which_program_runs_on_what_and_no_more(
    client: httpx.Client, database: Database, app: FastAPI
) -> None:
    assert client.get("/version").json() == {
        "version": version(DISTRIBUTION),
        "python": platform.python_version(),
        "database": database.engine.dialect.name,
        "schema": {"program": app.state.schema, "database": app.state.schema},
    }


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/version", "/metrics"])
def test_they_take_no_parameters(client: httpx.Client, path: str) -> None:
    refused(client.get(f"{path}?verbose=1"), 400, "unknown-parameter")
