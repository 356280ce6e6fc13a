"""Kept answers are exactly as fresh as new ones: after a write is acknowledged nobody who asks gets what was before it,
whichever worker is asked; and a server that keeps answers says byte for byte what one says that keeps none."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from tests.conftest import Server, authorized, serving
from tests.support.proofs import Proof
from tests.support.wire import UNTRUSTING
from tests.test_cli import served

WORKERS, RECORDS, WRITERS, READERS = 3, 4, 2, 4
LATE = 60
"""Seconds more in which something must have happened."""


# --- after a write nobody gets what was before it ----------------------------------------------------------------------


@dataclass
class Ledger:
    """The version of each record that somebody has been told of. (A dictionary's get and set are each one step.)"""

    told: dict[str, int]
    seconds: int
    began: float = field(default_factory=time.monotonic)
    reads: int = 0
    writes: int = 0
    stale: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_over(self) -> bool:
        """After so many seconds; on a machine that does other things as well, not before there is something to go by."""
        passed = time.monotonic() - self.began
        enough = self.writes >= self.seconds and self.reads >= 10 * self.seconds
        return passed >= self.seconds + (0 if enough else LATE)


@pytest.mark.proves("freshness")
def test_once_a_write_is_acknowledged_no_later_read_of_any_worker_is_older(server: Server, proof: Proof) -> None:
    seconds = proof.rounds(2, 60)
    # Workers that are forks count each for itself: they were loaded before they knew where to add it up.
    with served(server.fresh("empty"), "--no-seed", "--workers", str(WORKERS), fork=False) as (_, client):
        ledger = Ledger({f"record-{n}": made(client, f"record-{n}") for n in range(RECORDS)}, seconds)
        base = str(client.base_url)
        with ThreadPoolExecutor(WRITERS + READERS) as threads:
            running = [threads.submit(write_on, base, ledger, n) for n in range(WRITERS)]
            running += [threads.submit(read_on, base, ledger, n) for n in range(READERS)]
            for each in running:
                each.result(seconds + 2 * LATE)
        told = client.get("/metrics").text.splitlines()
        given = sum(float(line.split()[-1]) for line in told if line.startswith("concord_kept_answers_given_total "))
    assert not ledger.stale, ledger.stale[:3]
    proof.count("acknowledged writes", ledger.writes, at_least=seconds)
    proof.count("reads meanwhile, of three workers", ledger.reads, at_least=10 * seconds)
    proof.count("answers among them that were kept ones", int(given), at_least=seconds)
    proof.count("reads that were older than an acknowledged write", len(ledger.stale), at_most=0)


def made(client: httpx.Client, slug: str) -> int:
    answer = client.post("/v1/organizations", json={"slug": slug, "name": slug, "kind": "other"})
    assert answer.status_code == 201
    version: int = answer.json()["version"]
    return version


def write_on(base: str, ledger: Ledger, number: int) -> None:
    """Each writer has records of its own, so it knows the version of the next write; each write may reach another worker."""
    mine = itertools.cycle([slug for n, slug in enumerate(sorted(ledger.told)) if n % WRITERS == number])
    drawn = random.Random(number)  # noqa: S311
    while not ledger.is_over:
        slug = next(mine)
        with authorized(httpx.URL(base).port or 80) as client:  # a new connection: a worker that the system chooses
            answer = client.patch(
                f"/v1/organizations/{slug}",
                json={"description": f"{drawn.random()}"},
                headers={"If-Match": f'"v{ledger.told[slug]}"'},
            )
        assert answer.status_code == 200, answer.text
        ledger.told[slug] = answer.json()["version"]
        ledger.writes += 1
        time.sleep(drawn.uniform(0, 0.02))  # time for answers to be kept


def read_on(base: str, ledger: Ledger, number: int) -> None:
    drawn = random.Random(100 + number)  # noqa: S311
    # Kept open: of several workers.
    clients = [httpx.Client(base_url=base, timeout=30, verify=UNTRUSTING) for _ in range(2 * WORKERS)]
    while not ledger.is_over:
        client, slug = drawn.choice(clients), f"record-{drawn.randrange(RECORDS)}"
        if drawn.random() < 0.5:
            least = {slug: ledger.told[slug]}
            seen = {slug: client.get(f"/v1/organizations/{slug}").raise_for_status().json()["version"]}
        else:
            least = dict(ledger.told)
            items = client.get("/v1/organizations").raise_for_status().json()["items"]
            seen = {item["slug"]: item["version"] for item in items}
        old = [f"{slug}: {seen[slug]} after {version}" for slug, version in least.items() if seen[slug] < version]
        with ledger.lock:
            ledger.reads += 1
            ledger.stale += old
    for client in clients:
        client.close()


# --- the same bytes with and without ------------------------------------------------------------------------------------

PATHS = (
    "/v1", "/v1/organizations", "/v1/organizations?limit=5&count=true", "/v1/organizations?sort=-name&country=CH",
    "/v1/organizations/ilo", "/v1/organizations/ilo?fields=name,kind", "/v1/organizations/ilo/revisions",
    "/v1/organizations/ilo/revisions/1", "/v1/organizations/ilo/citations", "/v1/organizations/nobody",
    "/v1/organizations?colour=red", "/v1/organizations?q=labour", "/v1/organizations/match?name=Intl+Labour+Office",
    "/v1/collaborations?include=participants.organization&limit=3", "/v1/collaborations?active_on=2016",
    "/v1/collaborations/joint-ilo-oecd-cooperation/dossier", "/v1/milestones?from=2014&to=2018", "/v1/milestones.ics",
    "/v1/reviews", "/v1/agenda", "/v1/agenda.ics", "/v1/search?q=labour", "/v1/changes?limit=5", "/v1/stats",
    "/v1/organizations?as_of=100", "/v1/citations?limit=2", "/v1/disagreements", "/v1/timeline?organization=ilo",
    "/v1/graph?organization=ilo", "/v1/organizations?format=csv", "/v1/export", "/v1/terms", "/v1/context.jsonld",
    "/v1/reconcile", "/v1/reconcile/suggest/entity?prefix=oe", "/v1/keys", "/v1/proposals", "/problems/gone", "/version",
    "/openapi.json",
)  # fmt: skip
ACCEPTS = (None, "*/*", "application/json", "text/html", "application/atom+xml", "text/csv", "application/xml;q=0.1")
OWN = frozenset(("date", "x-request-id"))


@contextmanager
def twins(server: Server) -> Iterator[tuple[httpx.Client, httpx.Client, FastAPI]]:
    """Two servers of one registry: one keeps answers, the other does not; and the application of the first."""
    url = server.fresh("seeded")
    apps: list[FastAPI] = [create_app(Settings(database_url=url, cache_bytes=most)) for most in (2_000_000, 0)]
    with serving(apps[0]) as first, serving(apps[1]) as second, authorized(first) as keeps, authorized(second) as plain:
        yield keeps, plain, apps[0]


@pytest.mark.proves("freshness")
def test_a_server_that_keeps_answers_says_byte_for_byte_what_another_says(server: Server, proof: Proof) -> None:
    drawn = random.Random(6)  # noqa: S311
    rounds, compared = proof.rounds(200, 20_000), 0
    tags: list[str] = ['"s1"', '"v1"', "*", "nonsense"]
    recent = [question(drawn, tags)]
    with twins(server) as (keeps, plain, app):
        given = app.state.kept.given
        for turn in range(rounds):
            if drawn.random() < 0.03:
                write(keeps if turn % 2 else plain, drawn)
            if drawn.random() < 0.2:
                recent = [question(drawn, tags), *recent[:4]]
            method, path, headers = drawn.choice(recent)  # so that there is something to be given again
            answers = [ask(client, method, path, headers) for client in (keeps, plain)]
            assert answers[0] == answers[1], (method, path, headers)
            compared += 1
            tags = [*tags, *(value for name, value in answers[0][1] if name == "etag")][-40:]
        by_connections = app.state.verbatim.given
    proof.count("answers that were the same, byte for byte", compared, at_least=rounds)
    proof.count("of them given again", app.state.kept.given - given, at_least=rounds // 10)
    proof.count("of these by the connection itself", by_connections, at_least=rounds // 40)


def question(drawn: random.Random, tags: list[str]) -> tuple[str, str, dict[str, str]]:
    headers: dict[str, str] = {}
    if (accept := drawn.choice(ACCEPTS)) is not None:
        headers["Accept"] = accept
    if drawn.random() < 0.3:
        headers["If-None-Match"] = ", ".join(drawn.sample(tags, drawn.choice((1, 1, 1, 2))))
    if drawn.random() < 0.3:
        headers["Authorization"] = ""
    if drawn.random() < 0.1:
        headers["Registry-Sequence"] = drawn.choice(("0", "17", "99999", "soon"))
    return drawn.choice(("GET", "GET", "GET", "HEAD")), drawn.choice(PATHS), headers


def ask(
    client: httpx.Client, method: str, path: str, headers: dict[str, str]
) -> tuple[int, list[tuple[str, str]], bytes]:
    request = client.build_request(method, path, headers=headers)
    request.headers["host"] = "registry.test"  # they have different ports
    if headers.get("Authorization") == "":
        del request.headers["authorization"]
    answer = client.send(request)
    said = sorted((name, value) for name, value in answer.headers.multi_items() if name not in OWN)
    return answer.status_code, said, answer.content


def write(client: httpx.Client, drawn: random.Random) -> None:
    """A write by way of one of the two, of which the other is told by nobody."""
    listed = client.get("/v1/organizations?limit=200").raise_for_status().json()["items"]
    record = drawn.choice(listed)
    answer = client.patch(
        f"/v1/organizations/{record['slug']}", json={"description": f"{drawn.random()}"}, headers={"If-Match": "*"}
    )
    assert answer.status_code == 200, answer.text
