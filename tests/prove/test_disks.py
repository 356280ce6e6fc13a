"""A disk that is full or fails: a write says what became of it, reading goes on, and nothing has to be started again (R5)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.engine import make_url

from app.kit.db import Database
from tests.cases.refusals import refused
from tests.conftest import Server
from tests.support import ledgers, servers
from tests.support.builders import organization
from tests.support.ledgers import NOT_DONE, Books
from tests.support.processes import kill
from tests.support.proofs import Proof
from tests.support.waiting import until
from tests.test_cli import served

PREPARED = ("--no-migrate", "--no-seed")
on_sqlite = pytest.mark.parametrize("server", ["sqlite"], indirect=True)


@on_sqlite
def test_a_file_that_may_not_grow_takes_no_write_and_is_read_and_goes_on_when_it_may(
    client: httpx.Client, database: Database
) -> None:
    """What SQLite says where the disk is full, on any machine."""
    first = organization(client)
    (pages,) = database.read(lambda tx: tx.connection.exec_driver_sql("PRAGMA page_count").one())

    @event.listens_for(database.engine, "checkout")
    def limit(connection: Any, *_: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    draft = {"name": "Large", "kind": "other", "description": "x" * 9_000}
    answer = client.post("/v1/organizations", json=draft)
    refusal = refused(answer, 507, "insufficient-storage")
    assert NOT_DONE in refusal["detail"]
    assert answer.headers["retry-after"] == "60"
    assert client.get("/v1/organizations").json()["items"] == [first]
    pages = 1_000_000
    assert client.post("/v1/organizations", json=draft).status_code == 201


# --- a disk that is full --------------------------------------------------------------------------------------------------

SIZE = 48
"""MiB of the disk: ten rounds leave 16 of them in SQLite's file and as many in its log."""
BALLAST = 16_384


@contextmanager
def small_disk(folder: Path, megabytes: int, *, owner: str | None = None) -> Iterator[Path]:
    """A disk of so many MiB. Skips the test where none can be mounted, which needs root."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "concord-tests", str(folder)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode != 0:
        pytest.skip(f"NOT PROVED: a small disk cannot be mounted here, so none can be filled: {said.stderr.strip()}")
    try:
        if owner is not None:
            shutil.chown(folder, owner)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def disk(server: Server, request: pytest.FixtureRequest) -> Iterator[tuple[Path, str]]:
    """A small disk, and the address of an empty registry on it."""
    with ExitStack() as stack:
        if server.kind == "sqlite":
            place = stack.enter_context(small_disk(request.getfixturevalue("tmp_path") / "disk", SIZE))
            shutil.copy(str(make_url(server.fresh("empty")).database), place / "registry.db")
            yield place, f"sqlite:///{place}/registry.db"
        else:
            own = stack.enter_context(servers.primary())
            owner = "pgserver" if os.geteuid() == 0 else None
            place = stack.enter_context(small_disk(own.folder / "disk", SIZE, owner=owner))
            own.run(f"CREATE TABLESPACE small LOCATION '{place}'")
            url = own.registry(place="TABLESPACE small")
            yield place, url
            own.stop("immediate")  # lets go of the disk


def fill(place: Path) -> Path:
    """Take all the room that is left."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * BALLAST)
    return ballast


@pytest.mark.proves("R5")
def test_a_full_disk_refuses_writes_loses_nothing_and_takes_them_again_as_soon_as_there_is_room(
    server: Server, proof: Proof, disk: tuple[Path, str]
) -> None:
    place, url = disk
    rounds, books = proof.rounds(1, 10), ledgers.books(url, weight=2_000)
    with served(url, *PREPARED) as (_, client):
        port = client.base_url.port or 80
        for _ in range(rounds):
            before, refused_before = books.acknowledged, len(books.refused)
            with books.written(port):
                until(lambda: books.acknowledged >= before + 20)  # noqa: B023
                ballast = fill(place)
                until(lambda: len(books.refused) >= refused_before + 20)  # noqa: B023
                assert client.get("/v1/organizations?limit=1").status_code == 200
                assert client.get("/readyz").status_code == 200
                ballast.unlink()
                freed = books.acknowledged
                until(lambda: books.acknowledged >= freed + 20)  # noqa: B023
            books.examine()
    assert set(books.refused) == {507}
    assert all(NOT_DONE in detail for detail in books.said)
    proof.count("times that the disk was full, and emptied", rounds)
    proof.count("writes refused with 507, none of them stored", len(books.refused))
    proof.count("acknowledged writes around them, all there and whole", books.acknowledged)


# --- a disk that fails ----------------------------------------------------------------------------------------------------

STRACE = shutil.which("strace")
FAULTS = {
    "EIO on fsync": "fsync,fdatasync:error=EIO:when=2+3",
    "EIO on write": "pwrite64:error=EIO:when=20+23",
    "ENOSPC on write": "pwrite64:error=ENOSPC:when=20+23",
}
"""Which calls of the server fail, how, and how often (each thread counts its own)."""


@contextmanager
def failing(process: int, fault: str, log: Path) -> Iterator[None]:
    """Calls of `process` fail while the block runs. Skips the test where it cannot be had."""
    if STRACE is None:
        pytest.skip("NOT PROVED: strace is not installed, so no disk can be made to fail")
    calls = fault.partition(":")[0]
    command = [STRACE, "-f", "-qq", "-p", str(process), "-o", str(log), "-e", f"trace={calls}", "-e", f"inject={fault}"]
    complaint = log.with_suffix(".said")
    with complaint.open("wb") as said:
        tracer = subprocess.Popen(command, stderr=said)
    try:
        until(lambda: log.exists() or tracer.poll() is not None)
        if not log.exists():
            pytest.skip(f"NOT PROVED: strace may not look on here: {complaint.read_text().strip()}")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)  # lets go of the server, which goes on
        tracer.wait(30)


def injected(log: Path) -> int:
    return log.read_text(errors="replace").count("(INJECTED)") if log.exists() else 0


@on_sqlite
@pytest.mark.parametrize("about", FAULTS)
@pytest.mark.proves("R5")
def test_a_disk_that_fails_now_and_then_is_told_to_the_writer_and_harms_no_other_write(
    server: Server, proof: Proof, tmp_path: Path, about: str
) -> None:
    faults, books, log = proof.rounds(4, 70), ledgers.books(server.fresh("empty")), tmp_path / "strace"
    with served(books.url, *PREPARED) as (process, client):
        port = client.base_url.port or 80
        with books.written(port):
            until(lambda: books.acknowledged >= 10)
            with failing(process.pid, FAULTS[about], log):
                until(lambda: injected(log) >= faults and books.refused, 120)
                kept = books.acknowledged
            until(lambda: books.acknowledged >= kept + 20)
        books.examine()
        last = tmp_path / "last"
        with books.written(port), failing(process.pid, FAULTS[about], last):
            until(lambda: injected(last) > 0)
            kill(process.pid)  # between a write that the disk did not confirm and the next one
            process.wait(30)
        books.examine()
    proof.count(f"faults: {about}", injected(log), at_least=faults)
    proof.count(f"writes refused or in doubt after {about}", len(books.refused) + books.cut, at_least=1)
    proof.count(f"acknowledged writes around {about}, all there and whole", books.acknowledged)
    assert _honest(books)


def _honest(books: Books) -> bool:
    """Whoever was refused was told whether he must look."""
    return all(NOT_DONE in detail or "Read the record" in detail for detail in books.said)
