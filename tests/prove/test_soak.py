"""A server that is used in every way for as long as one likes holds no more at the end than it did after a while.

Five minutes with `make prove`, or as many seconds as `make prove PROVE='--soak 3600'` says.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.conftest import Server, authorized
from tests.support import costs
from tests.support.processes import files
from tests.support.proofs import Proof
from tests.test_cli import served, until

POOL = 6
LATE = 2 * (POOL + 1)
"""Files that a pool may open late: two for each of its connections on SQLite. What is kept by request is far more."""
LONG = 1_800
"""Seconds from which on a slope of memory says something: until then caches fill."""
STREAM = {"Accept": "text/event-stream"}
EXPORTS = ("/v1/export?format=ndjson", "/v1/organizations?format=csv", "/v1/export?format=xlsx")
READS = (
    "/v1/organizations?limit=50&sort=-name", "/v1/collaborations?include=participants.organization", "/v1/organizations/oecd",
    "/v1/search?q=labour", "/v1/organizations?q=office", "/v1/collaborations?as_of=150", "/v1/changes?limit=50", "/v1/nowhere",
)  # fmt: skip

Use = Callable[[httpx.Client, int], int]
"""One thing that a client does, for the n-th time; how many requests that took."""


def read(client: httpx.Client, number: int) -> int:
    assert client.get(READS[number % len(READS)]).status_code in (200, 404)
    return 1


def write(client: httpx.Client, number: int) -> int:
    made = client.post("/v1/organizations", json={"name": f"Soaked {number}", "kind": "other"})
    assert made.status_code == 201
    path, anyhow = made.headers["location"], {"If-Match": "*"}
    assert client.patch(path, json={"acronym": f"S{number}"}, headers=anyhow).status_code == 200
    assert client.delete(path, headers=anyhow).status_code == 204
    return 3


def take_away(client: httpx.Client, number: int) -> int:
    answer = client.get(EXPORTS[number % len(EXPORTS)])
    assert answer.status_code == 200
    return 1


def listen(client: httpx.Client, number: int) -> int:
    """To the first three changes, and hang up."""
    with client.stream("GET", "/v1/changes", headers=STREAM) as stream:
        assert stream.status_code == 200
        events = (line for line in stream.iter_lines() if line.startswith("event"))
        for _ in range(3):
            next(events)
    return 1


USES: tuple[Use, ...] = (read, read, write, take_away, listen)


class Load:
    """Clients that use a server in all ways at once, and how much they have asked of it."""

    def __init__(self, port: int) -> None:
        self.requests = 0
        self._port = port
        self._counting = threading.Lock()
        self._numbers = [count() for _ in USES]

    def run(self, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Use it for so long. Raises what went wrong."""
        end = time.monotonic() + seconds
        with ThreadPoolExecutor(len(USES)) as threads:
            at_work = [
                threads.submit(self._use, use, numbers, end) for use, numbers in zip(USES, self._numbers, strict=True)
            ]
            while not all(each.done() for each in at_work):
                time.sleep(min(1, seconds / 20))
                meanwhile()
        for each in at_work:
            each.result()

    def _use(self, use: Use, numbers: Iterator[int], end: float) -> None:
        with authorized(self._port) as client:
            while time.monotonic() < end:
                asked = use(client, next(numbers))
                with self._counting:
                    self.requests += asked


@contextmanager
def looking(url: str) -> Iterator[Callable[[], int]]:
    """How many sessions a PostgreSQL has for the registry at `url`, this one apart. (SQLite has none: 0.)"""
    if url.startswith("sqlite"):
        yield lambda: 0
        return
    asked = b"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(url, autocommit=True) as session:
        yield lambda: session.execute(asked).fetchone()[0]  # type: ignore[index]


def requests_in(log: Path) -> int:
    lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    return sum(line["logger"] == "concord.access" for line in lines)


@pytest.mark.skipif(not costs.KNOWN, reason="NOT TESTED: this system does not tell what a process uses")
@pytest.mark.proves("R20")
def test_a_server_that_is_used_for_long_holds_no_more_than_after_a_while(
    server: Server, proof: Proof, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    seconds: float = pytestconfig.getoption("soak") if proof.full else 4
    url, log = server.fresh("seeded"), tmp_path / "log"
    with (
        served(url, "--no-seed", log=log, fork=False, log_format="json", pool_size=str(POOL)) as (process, client),
        looking(url) as sessions,
    ):
        load, pid = Load(client.base_url.port or 0), process.pid
        load.run(seconds / 5)
        idle = len(files(pid))
        most, memory, moments = 0, [costs.anonymous(pid)], [0.0]
        began = time.monotonic()

        def look() -> None:
            nonlocal most
            most = max(most, sessions())
            memory.append(costs.anonymous(pid))
            moments.append(time.monotonic() - began)

        load.run(seconds * 4 / 5, look)
        until(lambda: len(files(pid)) <= idle + LATE)
        client.get("/livez")
        last = len(files(pid))
    proof.count("requests of a soak", load.requests, at_least=20)
    proof.measure("seconds of it", seconds, "s")
    third = max(1, len(memory) // 3)
    gained = sum(memory[-third:]) / third - sum(memory[:third]) / third
    proof.measure("memory gained from its first third to its last", gained / 2**20, "MiB", at_most=16)
    if seconds >= LONG:
        proof.measure("memory gained in ten minutes", gained / 2**20 / (seconds * 2 / 3) * 600, "MiB", at_most=1)
    proof.count("files more that are open at its end", last - idle, at_most=LATE)
    proof.count(
        "sessions of the database at once, of a pool of six", most, at_most=POOL + 2
    )  # the writer's, the probe's
    proof.count(
        "requests without a line in the log, or lines without one", abs(requests_in(log) - load.requests), at_most=0
    )
