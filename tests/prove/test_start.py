"""A start takes a second, and a worker little memory: a replica that is added in a hurry helps at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.conftest import Server
from tests.support import costs
from tests.support.proofs import Proof
from tests.test_cli import served

LINUX = sys.platform == "linux"
LAZY = ("icalendar", "xlsxwriter")


@pytest.mark.skipif(not LINUX, reason="what a process has spent is read from /proc")
@pytest.mark.proves("start")
def test_a_start_takes_a_second_and_an_idle_worker_little_memory(server: Server, proof: Proof) -> None:
    """The fastest start of several: what another program takes of the machine meanwhile is no part of it."""
    url = server.fresh("seeded")
    wall, processor, memory = zip(*(_started(url) for _ in range(proof.rounds(1, 10))), strict=True)
    proof.measure("from the start of `concord serve` to its first answer, seeded", min(wall), "s", at_most=1.5)
    proof.measure("of it on the processor", min(processor), "s", at_most=1.5)
    proof.measure("memory of an idle worker (PSS)", max(memory), "MB", at_most=120)


@pytest.mark.skipif(not LINUX, reason="what a process has spent is read from /proc")
@pytest.mark.proves("start")
def test_an_empty_database_is_migrated_and_seeded_within_seconds(server: Server, proof: Proof) -> None:
    wall = [_started(server.fresh("blank"), seed=True)[0] for _ in range(proof.rounds(1, 5))]
    proof.measure("from the start of `concord serve` to its first answer, database empty", min(wall), "s", at_most=5)


def _started(url: str, *, seed: bool = False) -> tuple[float, float, float]:
    """Seconds until the first answer, how many of them on the processor, and the megabytes of memory a moment later."""
    begin = time.monotonic()
    with served(url, *(() if seed else ("--no-seed",)), fork=False) as (process, client):
        assert client.get("/v1/organizations/oecd").status_code == 200
        seconds = time.monotonic() - begin
        spent = costs.cpu(process.pid)
        _rest(client)
        return seconds, spent, costs.memory(process.pid) / 1_048_576


def _rest(client: httpx.Client) -> None:
    """What an idle worker has done: somebody has looked at a list."""
    assert client.get("/v1/organizations").status_code == 200


def test_what_few_ask_for_is_not_loaded_at_the_start() -> None:
    asked = f"import sys, app.main; print([name for name in {LAZY} if name in sys.modules])"
    told = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert told.stdout.strip() == "[]"
