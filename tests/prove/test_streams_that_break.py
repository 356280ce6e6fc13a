"""Answers that break off, and clients that leave: who is sent half an export can tell, and who has left costs nothing (R11)."""

from __future__ import annotations

import random
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import httpx
import pytest

from app.api.v1.organizations import RESOURCE as ORGANIZATION
from app.kit import records
from app.kit.db import Transaction
from tests.conftest import TESTER, Server
from tests.support.answers import walk
from tests.support.processes import FORKING, children, files, kill, on_linux, threads
from tests.support.proofs import Proof
from tests.support.waiting import until
from tests.support.wire import AUTHORIZED, Wire
from tests.test_cli import served

SMALL = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)]
"""A client that takes little at once: the server is in the middle of its answer for as long as that one likes."""
EXPORTS = (
    "/v1/export", "/v1/export?format=jsonld", "/v1/organizations?format=ndjson", "/v1/organizations?format=csv",
)  # fmt: skip
"""In each form that is written while it is sent."""
MANY, LONG = 1_200, 9_000
"""Records, and letters of each: more than the machine takes in for a client that does not read."""
PREPARED = ("--no-migrate", "--no-seed")


@on_linux
@pytest.mark.proves("R11")
def test_who_is_sent_a_part_of_an_export_can_tell(server: Server, proof: Proof) -> None:
    drawn = random.Random(11)  # noqa: S311  # the same moments each time
    kills, noticed = proof.rounds(4, 50), 0
    url = server.fresh("empty")
    with closing(records.open_database(url, pool_size=1)) as database:
        database.write(large, TESTER)
    with served(url, program=("-c", FORKING)) as (process, client):
        for turn in range(kills):
            path = EXPORTS[turn % len(EXPORTS)]
            transport = httpx.HTTPTransport(socket_options=SMALL)
            with httpx.Client(transport=transport, base_url=client.base_url, timeout=30) as slow:  # noqa: SIM117
                with slow.stream("GET", path) as answer:
                    assert answer.status_code == 200
                    pieces = answer.iter_raw()
                    for _ in range(drawn.randint(1, 4)):
                        next(pieces)
                    kill(*children(process.pid))
                    try:
                        for _ in pieces:
                            pass
                    except httpx.TransportError:
                        noticed += 1
            until(lambda: answers(client))
    proof.count("exports cut in their middle by a kill", kills)
    proof.count("of them noticed by the client", noticed, at_least=kills)


def large(tx: Transaction) -> None:
    """Organizations with much to say."""
    for n in range(MANY):
        body = {"name": f"Body {n}", "kind": "other", "description": "x" * LONG}
        records.create(tx, ORGANIZATION, ORGANIZATION.write.model_validate(body))


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/v1/organizations?limit=1").status_code == 200
    except httpx.TransportError:
        return False


LEAVE = {
    "in the middle of a body": b"POST /v1/organizations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n%s\r\n\r\n{\"name\": \"Half",
    "in the middle of an export": b"GET /v1/export HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n\r\n",
    "in the middle of a live stream": b"GET /v1/changes HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n%s\r\n\r\n",
    "before the answer": b"GET /v1/search?q=labour HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n\r\n",
}  # fmt: skip
KEY = "\r\n".join(f"{name}: {value}" for name, value in AUTHORIZED.items()).encode()


@on_linux
@pytest.mark.proves("R11")
def test_nothing_is_kept_for_a_client_that_has_left(server: Server, proof: Proof) -> None:
    leavers = proof.rounds(60, 1000)
    with served(server.fresh("seeded"), *PREPARED) as (process, client):
        wire, raws = Wire(client.base_url.port or 80), [raw % KEY for raw in LEAVE.values()]

        def leave(n: int) -> None:
            with socket.socket() as line:
                line.setsockopt(*SMALL[0])
                line.settimeout(0.2)
                line.connect(("127.0.0.1", wire.port))
                line.sendall(raws[n % len(raws)])
                if n % 3:
                    with suppress(TimeoutError):
                        line.recv(100)  # the answer has begun
                if n % 2:
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # leaves with a reset

        def left(people: range) -> None:
            with ThreadPoolExecutor(8) as several:
                list(several.map(leave, people))

        left(range(32))  # the threads and connections that the server keeps for all are there
        until(lambda: at_rest(client))
        before = threads(process.pid), len(files(process.pid))
        left(range(leavers))
        until(lambda: at_rest(client))
        until(lambda: threads(process.pid) <= before[0] + LATE and len(files(process.pid)) <= before[1] + 2 * LATE)
        assert len(walk(client, "/v1/organizations?limit=200")) == ORGANIZATIONS
        kept = threads(process.pid) - before[0], len(files(process.pid)) - before[1]
    proof.count("clients that left in the middle of a body, an export or a live stream", leavers)
    proof.count("threads kept behind them", max(0, kept[0]), at_most=LATE)
    proof.count("files and connections kept behind them", max(0, kept[1]), at_most=2 * LATE)


LATE = 9
"""So many threads and connections to the database a worker may open late; on SQLite a connection is two files."""
ORGANIZATIONS = 25
"""... of the seed: nobody has said enough to make another."""
RESTING = ("concord_http_requests_in_flight", "concord_sse_listeners", "concord_database_connections_in_use")


def at_rest(client: httpx.Client) -> bool:
    """Whether nobody is served but who asks."""
    told = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if not line.startswith("#"))
    return [float(told[name]) for name in RESTING] == [1, 0, 0]
