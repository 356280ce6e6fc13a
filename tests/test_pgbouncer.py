"""Behind pgbouncer in transaction mode, which gives each transaction to whichever session is free, everything works."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy.engine import URL, make_url

from app.kit import migrations, records
from app.kit.db import Database, Transaction
from app.kit.probes import ServerProbe
from app.settings import MIGRATIONS
from tests.conftest import _serving, admit_tests
from tests.support import servers
from tests.support.servers import Postgres
from tests.support.wire import free_port

PROGRAM = shutil.which("pgbouncer", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="NOT TESTED: pgbouncer is not installed (Debian: apt-get install pgbouncer)"
)
SESSIONS = 2
CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
"""


@pytest.fixture(scope="module")
def own(postgresql: str) -> Iterator[Postgres]:
    with servers.primary() as made:
        yield made


@pytest.fixture(scope="module")
def pooled(own: Postgres) -> Iterator[int]:
    """The port of a pgbouncer in front of that server."""
    folder = Path(tempfile.mkdtemp(prefix="concord-pgbouncer-"))
    port, file = free_port(), folder / "pgbouncer.ini"
    file.write_text(CONFIGURATION.format(server=own.port, port=port, sessions=SESSIONS))
    folder.chmod(0o755)
    user = "pgserver" if os.geteuid() == 0 else None  # it refuses to run as root
    process = subprocess.Popen([str(PROGRAM), "-q", str(file)], user=user, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while not answers(own.url("postgres", port)):
            assert process.poll() is None, "pgbouncer has ended"
            assert time.monotonic() < end, "pgbouncer does not answer"
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder)


def answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def database(own: Postgres, pooled: int) -> Iterator[Database]:
    """An empty registry, reached through the pooler; it was migrated through it as well."""
    own.run("DROP DATABASE IF EXISTS registry WITH (FORCE)")
    own.run("CREATE DATABASE registry")
    url = own.url(port=pooled)
    migrations.migrate(url, MIGRATIONS)
    admit_tests(url)
    with closing(records.open_database(url, pool_size=6)) as opened:
        yield opened


def test_several_that_migrate_at_once_do_it_once(own: Postgres, pooled: int) -> None:
    own.run("DROP DATABASE IF EXISTS fresh WITH (FORCE)")
    own.run("CREATE DATABASE fresh")
    url = own.url("fresh", pooled)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: migrations.migrate(url, MIGRATIONS), range(3)))
    with closing(records.open_database(url, pool_size=1)) as database:
        migrations.verify(database.engine, MIGRATIONS)
    assert own.run("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def test_clients_that_share_few_sessions_lose_nothing(http: httpx.Client, app: FastAPI, database: Database) -> None:
    client = next(serving := _serving(http, app, database))

    def write_and_read(n: int) -> list[int]:
        made = client.post("/v1/organizations", json={"name": f"Body {n}", "kind": "other"})
        address = f"/v1/organizations/{made.json()['slug']}"
        changed = client.patch(address, json={"acronym": str(n)}, headers={"If-Match": made.headers["etag"]})
        pages = [client.get(path) for path in (address, "/v1/organizations?limit=5", "/v1/search?q=body")]
        return [made.status_code, changed.status_code, *(page.status_code for page in pages)]

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(write_and_read, range(40))) == [[201, 200, 200, 200, 200]] * 40
    assert database.read(lambda tx: tx.sequence()) == 80
    next(serving, None)


def test_the_limits_hold_within_each_transaction_and_nowhere_else(
    own: Postgres, pooled: int, database: Database
) -> None:
    def limits(tx: Transaction) -> list[Any]:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "TimeZone")
        return [tx.connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]

    for alone in (False, True, False):
        assert database.submit_read(limits, alone=alone).result(20) == ["30s", "5s", "30s", "UTC"]
    with psycopg.connect(own.url(port=pooled), autocommit=True) as another:
        assert another.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_no_statement_is_prepared_behind_a_pooler_and_some_are_without_one(own: Postgres, database: Database) -> None:
    def prepared(tx: Transaction) -> int:
        for _ in range(8):
            tx.sequence()
            tx.snapshot = False  # ask again
        return int(tx.connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar_one())

    assert database.read(prepared) == 0
    with closing(records.open_database(own.url(), pool_size=1)) as direct:
        assert direct.read(prepared) > 0


def test_the_question_of_the_state_is_known_to_a_session_of_its_own_only(own: Postgres, database: Database) -> None:
    async def ask(url: URL) -> tuple[bool, bool]:
        probe = ServerProbe(url)
        states = [await probe.state() for _ in range(3)]
        probe.close()
        return states[0] is not None and len(set(states)) == 1, probe._is_prepared

    assert asyncio.run(ask(database.engine.url)) == (True, False)
    assert asyncio.run(ask(make_url(own.url()))) == (True, True)
