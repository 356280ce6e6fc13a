"""A stop: what is under way is answered, streams end, and the next start serves (R12)."""

from __future__ import annotations

import json
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from app.kit import records
from app.kit.db import Clock, table_of
from app.kit.engines import make_engine
from app.registry.organizations import Organization
from tests.cases.test_failures import set_at_the_end
from tests.conftest import Server
from tests.support.answers import walk
from tests.support.programs import Program
from tests.support.proofs import Proof
from tests.support.wire import UNTRUSTING
from tests.test_cli import served, until

GRACE = 10.0
PATIENCE = 60.0
"""So long is waited: a machine that does other things as well may take longer for all that is no bound here."""
STREAM = {"Accept": "text/event-stream"}
CLIENTS = 4


@pytest.mark.proves("R12")
@pytest.mark.parametrize("workers", [1, 2])
def test_under_load_what_was_begun_is_answered_and_the_next_start_finds_all_of_it(
    server: Server, proof: Proof, tmp_path: Path, workers: int
) -> None:
    url, rounds = server.fresh("empty"), proof.rounds(1, 25)
    answered: list[str] = []
    slowest = 0.0
    for turn in range(rounds):
        log = tmp_path / f"{turn}.log"
        with served(url, "--no-seed", "--workers", str(workers), log=log, log_format="json") as (process, client):
            assert {item["name"] for item in walk(client, "/v1/organizations?limit=200")} == set(answered)
            received, seconds = stopped_under_load(process, client, f"{turn}", answered)
            slowest = max(slowest, seconds)
        told = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        taken_in = Counter(
            line["request_id"] for line in told if line["message"] == "request" and line["method"] == "POST"
        )
        assert taken_in == received  # each of them was answered, once
        assert not [line for line in told if line["level"] == "error"]
    with closing(records.open_database(url, pool_size=1)) as database:
        names = database.read(lambda tx: list(tx.execute(sa.select(table_of(Organization).c.name)).scalars()))
    assert sorted(names) == sorted(answered)
    proof.count(f"stops under load, workers: {workers}", rounds)
    proof.count(f"writes taken in and answered, workers: {workers}", len(answered))
    proof.measure(f"the longest stop, workers: {workers}", slowest, "s", at_most=GRACE)


def stopped_under_load(
    process: Program, client: httpx.Client, name: str, answered: list[str]
) -> tuple[Counter[str], float]:
    """Stop while some write and one listens; the ids of the writes that were answered, and how long the stop took."""
    over, enough = threading.Event(), len(answered) + random.Random(name).randint(10, 40)  # noqa: S311
    with ThreadPoolExecutor(CLIENTS + 1) as threads, killed_on_failure(process), set_at_the_end(over):
        listens = threading.Event()
        listener = threads.submit(listened_to_the_end, client, listens)
        loads = [threads.submit(load, client, f"{name}-{n}", over, answered) for n in range(CLIENTS)]
        until(lambda: len(answered) > enough and listens.is_set())
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        seconds = time.monotonic() - begin
        over.set()
        assert listener.result(PATIENCE) > 0
        return sum((each.result(PATIENCE) for each in loads), Counter[str]()), seconds


@contextmanager
def killed_on_failure(process: Program) -> Iterator[None]:
    """Nobody waits for a server that a failed test has not stopped."""
    try:
        yield
    except BaseException:
        process.kill()
        raise


def load(client: httpx.Client, name: str, over: threading.Event, answered: list[str]) -> Counter[str]:
    """One write after the other, on a connection that is kept; the ids of those that were answered."""
    received = Counter[str]()
    with httpx.Client(base_url=client.base_url, headers=client.headers, timeout=PATIENCE, verify=UNTRUSTING) as own:
        for n in range(100_000):
            if over.is_set():
                break
            body = {"name": f"{name}-{n}", "kind": "other"}
            try:
                answer = own.post("/v1/organizations", json=body, headers={"X-Request-ID": f"{name}-{n}"})
            except httpx.TransportError:
                time.sleep(0.01)
                continue
            assert answer.status_code == 201
            answered.append(body["name"])
            received[answer.headers["x-request-id"]] += 1
    return received


def listened_to_the_end(client: httpx.Client, begun: threading.Event) -> int:
    """How much came until the server ended the stream. Raises RemoteProtocolError where it was cut."""
    with (
        httpx.Client(base_url=client.base_url, headers=client.headers, timeout=60, verify=UNTRUSTING) as own,
        own.stream("GET", "/v1/changes", headers=STREAM) as s,
    ):
        size = 0
        for piece in s.iter_bytes():
            begun.set()
            size += len(piece)
        return size


def test_a_stream_ends_at_once_and_goes_on_behind_its_last_event(server: Server) -> None:
    url = server.fresh("seeded")
    with (
        served(url, "--no-seed", grace_seconds="60") as (process, client),
        client.stream("GET", "/v1/changes?after=208", headers=STREAM) as stream,
    ):
        lines = stream.iter_lines()
        last = next(line for line in lines if line == "id: 210")
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert [line for line in lines if line.startswith("id:")] == []
        assert process.wait(PATIENCE) == 0
        assert time.monotonic() - begin < 30  # and not the whole of the grace period
    with served(url, "--no-seed") as (_, client):
        client.post("/v1/organizations", json={"name": "Next", "kind": "other"})
        resumed = STREAM | {"Last-Event-ID": last.removeprefix("id: ")}
        with client.stream("GET", "/v1/changes", headers=resumed) as stream:
            assert next(line for line in stream.iter_lines() if line.startswith("id:")) == "id: 211"


def test_an_export_that_is_under_way_is_sent_to_its_end(server: Server) -> None:
    with served(server.fresh("seeded"), "--no-seed") as (process, client):
        with socket.create_connection(("127.0.0.1", client.base_url.port or 80), timeout=PATIENCE) as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.sendall(b"GET /v1/export HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            received = slow.recv(1000)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)  # the server knows, and this client has most still before it
            while piece := slow.recv(65536):
                received += piece
        assert received.endswith(b"\r\n0\r\n\r\n")
        assert process.wait(PATIENCE) == 0


def test_a_second_signal_and_one_before_the_first_request_end_it_as_well(server: Server) -> None:
    with served(server.fresh("seeded"), "--no-seed") as (process, _):
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_a_request_that_does_not_end_is_given_up_after_the_grace_period(server: Server) -> None:
    head = b"POST /v1/organizations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    with (
        served(server.fresh("seeded"), "--no-seed", grace_seconds="1") as (process, client),
        socket.create_connection(("127.0.0.1", client.base_url.port or 80), timeout=PATIENCE) as half,
    ):
        half.sendall(head)
        client.get("/livez")
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert 0.5 < time.monotonic() - begin < 8


def test_a_database_that_hangs_does_not_keep_the_process(server: Server) -> None:
    url = server.fresh("seeded")
    with (
        served(url, "--no-seed", grace_seconds="1") as (process, client),
        ThreadPoolExecutor(1) as threads,
        locked(url),
    ):
        waiting = threads.submit(client.post, "/v1/organizations", json={"name": "X", "kind": "other"})
        until(lambda: b"work_waiting 0" in client.get("/metrics").content)  # begun
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 1
        assert time.monotonic() - begin < 8
        assert waiting.result(PATIENCE).status_code == 500


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Somebody else holds what a write needs."""
    engine = make_engine(url, pool_size=1)
    with engine.execution_options(**{"for": "write"}).connect() as connection, connection.begin():
        connection.execute(sa.update(table_of(Clock)).values(seq=table_of(Clock).c.seq))
        yield
    engine.dispose()
