"""Replicas that start at once: one of them migrates and seeds, the others wait for it (R14)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from app.api.v1 import RESOURCES
from app.exchange import documents
from app.kit import migrations
from app.settings import HOME, MIGRATIONS, SEED
from tests.conftest import Server
from tests.support.proofs import Proof
from tests.support.waiting import until
from tests.support.wire import KEY, UNTRUSTING, free_port
from tests.test_cli import environment
from tests.test_migrations import HEAD, REVISIONS, contents, dangling, revision

LONG = 120
AT_ONCE = """
import sys
from functools import partial

import uvicorn
from app import cli, main
from app.api import protocol
from tests.support.forks import at_once

at_once(*(partial(cli.main, command.split()) for command in sys.argv[1:]))
"""
"""Runs each of its arguments as `concord` in a process of its own, all of them at the same moment."""


@contextmanager
def at_once(url: str, *commands: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", AT_ONCE, *commands], cwd=HOME, env=environment(database_url=url, admin_key=KEY), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def finished(url: str, *commands: str) -> str:
    """What they said, once all of them have ended well."""
    with at_once(url, *commands) as process:
        said, complaint = process.communicate(timeout=LONG)
        assert process.returncode == 0, complaint
    return said


TOTAL = len(documents.read_folder(SEED, RESOURCES))


def migrated_and_seeded_once(url: str) -> None:
    after = contents(url)
    assert revision(url) == HEAD
    assert after["clock"] == [(1, TOTAL)]
    assert len(after["revision"]) == TOTAL
    assert dangling(url) == []


@pytest.mark.proves("R14")
def test_ten_processes_that_migrate_and_seed_at_once_make_one_schema_and_one_seed(server: Server, proof: Proof) -> None:
    rounds = proof.rounds(1, 10)
    for _ in range(rounds):
        url = server.fresh("blank")
        said = finished(url, *["migrate"] * 10)
        assert said == "The schema is at its newest revision.\n" * 10
        said = finished(url, *["seed"] * 10)
        assert said.count("Seed: ") == 10  # their lines may run into each other
        assert said.count(f"Seed: {TOTAL} created, 0 changed, 0 unchanged, 0 kept.") == 1
        assert said.count(f"Seed: 0 created, 0 changed, {TOTAL} unchanged, 0 kept.") == 9
        migrated_and_seeded_once(url)
    proof.count("times that ten processes migrated and seeded at once", rounds)


@pytest.mark.proves("R14")
def test_three_replicas_that_start_at_once_all_serve_one_seed(server: Server, proof: Proof) -> None:
    rounds = proof.rounds(1, 50)
    for turn in range(rounds):
        url = server.fresh("blank")
        if turn % 2 == 0:
            migrations.migrate(url, MIGRATIONS, REVISIONS[-2])
        ports = [free_port() for _ in range(3)]
        with at_once(url, *(f"serve --port {port}" for port in ports)) as process:
            until(lambda: process.poll() is not None or all(map(ready, ports)), LONG)  # noqa: B023
            assert process.poll() is None
            migrated_and_seeded_once(url)
            for port in ports:
                assert httpx.get(f"http://127.0.0.1:{port}/v1/organizations/oecd", verify=UNTRUSTING).status_code == 200
    proof.count("starts of three replicas at once, on an empty database or one revision behind", rounds)


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", verify=UNTRUSTING).status_code == 200
    except httpx.TransportError:
        return False
