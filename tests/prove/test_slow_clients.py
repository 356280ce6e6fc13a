"""Hundreds of clients that send or take next to nothing hold places, cost nobody time, and are cut."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from app.main import create_app
from app.settings import Settings
from tests.conftest import Server, serving
from tests.support.asking import asking
from tests.support.crowds import Crowd, room
from tests.support.proofs import Proof
from tests.support.wire import KEY
from tests.test_cli import served

HURRIED = {"head_seconds": 1, "stall_seconds": 2, "linger_seconds": 0.3, "beat": 0.1}
"""The short form is run on a server with a tenth of the usual patience."""
KEYED = f"Authorization: Bearer {KEY}\r\n".encode()
HEADERS = b"GET /v1/organizations HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
BODY = (
    b"POST /v1/organizations HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    + KEYED
    + (b"Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n{")
)
LONG = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
BEGIN = b"HTTP/1.1 200 OK\r\n"
MANY = 10
"""So many of them are more than the system keeps for a client that takes none."""
CUT = "is cut off: it does not take its answer"
"""What the log says of one that reads nothing: it sees no end itself before it reads. When that comes depends on how soon the
server, which has other things to do, had more for it than the system keeps."""


@contextmanager
def answering(
    server: Server, proof: Proof, caplog: pytest.LogCaptureFixture, folder: Path
) -> Iterator[tuple[int, Callable[[], str]]]:
    """The registry as it is served, or in a hurry; its port, and what its log says by now."""
    if proof.full:
        log = folder / "log"
        with served(server.fresh("seeded"), "--no-seed", log=log) as (_, client):
            yield client.base_url.port or 0, log.read_text
    else:
        with (
            serving(create_app(Settings(database_url=server.fresh("seeded"))), **HURRIED) as port,
            caplog.at_level("INFO"),
        ):
            yield port, lambda: caplog.text


def reader(port: int) -> socket.socket:
    """A client that asks for a great deal, and takes none of it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.connect(("127.0.0.1", port))
    connection.sendall(LONG * MANY)
    return connection


def answers(connection: socket.socket) -> int:
    """How many answers there are for a client that begins to read at last: the system has kept what was sent."""
    connection.settimeout(30)
    begun, last = 0, b""
    with suppress(ConnectionResetError):
        while data := connection.recv(262_144):
            begun += (last + data).count(BEGIN) - last.count(BEGIN)
            last = data[-len(BEGIN) :]
    return begun


@pytest.mark.proves("R13")
def test_hundreds_of_slow_clients_are_cut_and_the_others_do_not_notice(
    server: Server, proof: Proof, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    heads, bodies, readers = proof.rounds(50, 500), proof.rounds(20, 200), proof.rounds(10, 100)
    if not room(heads + bodies + readers):
        pytest.skip("NOT TESTED: the system lets a process open too few files (ulimit -n)")
    with answering(server, proof, caplog, tmp_path) as (port, log), Crowd(port) as crowd, ExitStack() as stack:
        with asking(port, "/v1/organizations?limit=5") as others:
            began = time.monotonic()
            slow_readers = [stack.enter_context(reader(port)) for _ in range(readers)]
            slow = [crowd.join(start) for start in [HEADERS] * heads + [BODY] * bodies]
            while len(crowd.closed) < len(slow) and time.monotonic() < began + 60:
                crowd.say(b" ")
                crowd.listen(proof.rounds(1, 10) / 10)
            ended = time.monotonic() - began
            crowd.until(lambda: log().count(CUT) >= readers, 60)
        told = [crowd.tail(connection) for connection in slow]
        assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in told)
        assert all(b"/request-timeout" in answer for answer in told)
        cut = len(crowd.closed) + sum(answers(connection) < MANY for connection in slow_readers)
    proof.count("slow clients that were cut", cut, at_least=len(slow) + readers)
    proof.measure("until the last that sends slowly was cut", ended, "s", at_most=30)
    proof.measure("p99 of the others' reads meanwhile", others.percentile(0.99), "ms", at_most=100)
    proof.count("reads of others that were refused or cut", others.refused, at_most=0)
