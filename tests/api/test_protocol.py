"""Connections: what is slow without end or long without end is answered where it can be, and cut; the others are served on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from app.main import create_app
from app.settings import Settings
from tests.cases.refusals import refused
from tests.conftest import Server, serving
from tests.support import waiting
from tests.support.wire import AUTHORIZED, JSON, Answer, Wire, chunk

PATIENCE = {"head_seconds": 0.4, "stall_seconds": 0.4, "linger_seconds": 0.3, "beat": 0.05}
HURRY = 20.0
"""Seconds in which everything here must be over, on a slow machine too."""
KEY = f"Authorization: {AUTHORIZED['Authorization']}\r\n".encode()
POST = b"POST /v1/organizations HTTP/1.1\r\nHost: 127.0.0.1\r\n" + KEY
HEAD = POST + b"Content-Type: application/json\r\n"
pytestmark = pytest.mark.parametrize("server", ["sqlite"], indirect=True)  # no database has a part in this


@pytest.fixture(scope="module")
def wire(server: Server) -> Iterator[Wire]:
    """The registry on a server that is very impatient."""
    with serving(create_app(Settings(database_url=server.fresh("seeded"))), **PATIENCE) as port:
        yield Wire(port)


def end(connection: socket.socket) -> bytes:
    """All that comes until the server hangs up. Raises TimeoutError if it does not."""
    connection.settimeout(HURRY)
    pieces = []
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            pieces.append(piece)
    return b"".join(pieces)


def answer_of(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *rows = head.decode().split("\r\n")
    headers = [(name.lower(), value) for name, _, value in (row.partition(": ") for row in rows)]
    return Answer(int(line.split()[1]), headers, body)


@contextlib.contextmanager
def trickling(connection: socket.socket, piece: bytes, pause: float = 0.05) -> Iterator[None]:
    """Send `piece` again and again, slowly, until the line is cut."""
    stop = threading.Event()

    def run() -> None:
        with contextlib.suppress(OSError):
            while not stop.wait(pause):
                connection.sendall(piece)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# --- slow ------------------------------------------------------------------------------------------------------------


def test_headers_that_do_not_come_to_an_end_are_cut(wire: Wire) -> None:
    for piece in (b"X-Slow: a\r\n", b"a"):
        with wire.connect() as connection:
            connection.sendall(b"GET /v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")
            with trickling(connection, piece):
                refused(answer_of(end(connection)), 408, "request-timeout")


def test_a_body_that_trickles_is_cut_and_writes_nothing(wire: Wire) -> None:
    for lead, piece in ((b"Content-Length: 1000\r\n\r\n{", b" "), (b"Transfer-Encoding: chunked\r\n\r\n", chunk(b" "))):
        with wire.connect() as connection:
            connection.sendall(HEAD + lead)
            with trickling(connection, piece):
                answer = answer_of(end(connection))
        refused(answer, 408, "request-timeout")
        assert answer.header("connection") == "close"
        assert answer.header("x-content-type-options") == "nosniff"


def test_a_slow_body_that_keeps_its_pace_is_read(wire: Wire) -> None:
    body = json.dumps({"name": "Slow but steady", "kind": "other"}).encode().ljust(15_000)
    with wire.connect() as connection:
        connection.sendall(HEAD + b"Connection: close\r\nContent-Length: 15000\r\n\r\n")
        for start in range(0, 15_000, 1_500):  # in a second: much more than the 500 a second that are asked for
            time.sleep(0.1)
            connection.sendall(body[start : start + 1_500])
        assert wire.receive(connection).status == 201


def test_a_connection_on_which_nothing_is_asked_is_closed_without_a_word(wire: Wire) -> None:
    with wire.connect() as connection:
        assert end(connection) == b""
    with wire.connect() as connection:  # and a line break behind an answer keeps none open
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert wire.receive(connection).status == 200
        connection.sendall(b"\r\n")
        assert answer_of(end(connection)).status == 408


def test_a_client_that_does_not_take_its_answer_is_cut(server: Server) -> None:
    cut = threading.Event()

    async def flood(send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            await asyncio.sleep(0)

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            sending = asyncio.create_task(flood(send))
            while (await receive())["type"] != "http.disconnect":
                pass
            sending.cancel()
            cut.set()

    with serving(endless, **PATIENCE) as port, Wire(port).connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert cut.wait(HURRY)


def test_a_client_that_takes_none_of_many_answers_is_cut_and_nothing_crashes(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), wire.connect() as connection:
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 10)
        waiting.until(lambda: "does not take its answer" in caplog.text, HURRY)
        assert wire.request("GET", "/livez").status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


# --- long ------------------------------------------------------------------------------------------------------------

ENDLESS = [
    pytest.param(b"GET /v1?x=", b"a" * 65_536, 414, "uri-too-long", id="A13-query"),
    pytest.param(b"GET /v1 HTTP/1.1\r\nX-A: ", b"a" * 65_536, 431, "headers-too-large", id="R19-one-header"),
    pytest.param(b"GET /v1 HTTP/1.1\r\n", b"X-A: a\r\n" * 8_192, 431, "headers-too-large", id="R19-headers"),
    pytest.param(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X-A: a\r\n" * 8_192, 431, "headers-too-large",
        id="R19-trailers",
    ),
    pytest.param(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk(b"a" * 65_536), 413, "body-too-large", id="A64-chunks",
    ),
    pytest.param(HEAD + b"Content-Length: 99999999999\r\n\r\n", b"a" * 65_536, 413, "body-too-large", id="A64-body"),
]  # fmt: skip


@pytest.mark.parametrize(("lead", "piece", "status", "slug"), ENDLESS)
def test_what_has_no_end_is_cut_at_its_limit_and_answered(
    wire: Wire, lead: bytes, piece: bytes, status: int, slug: str
) -> None:
    with wire.connect() as connection:
        connection.sendall(lead)
        sent = 0
        connection.settimeout(HURRY)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < 4_000_000:
                connection.sendall(piece)
                sent += len(piece)
        refused(wire.receive(connection), status, slug)
    assert wire.request("GET", "/livez").status == 200


def test_a64_who_sends_all_of_too_long_a_body_before_it_listens_hears_why_it_is_refused(wire: Wire) -> None:
    """A closed connection would be reset while the client still sends, and it would see nothing but that."""
    for header in (b"", b"Connection: close\r\n", b"Content-Encoding: gzip\r\n"):
        for size in (1_100_000, 11_000_000):
            with wire.connect() as connection:
                connection.sendall(HEAD + header + b"Content-Length: %d\r\n\r\n" % size)
                for _ in range(size // 100_000):
                    connection.sendall(b" " * 100_000)
                refused(wire.receive(connection), 413, "body-too-large")


def test_r19_too_long_a_body_is_refused_before_it_is_sent(wire: Wire) -> None:
    for headers in ([], [("Expect", "100-continue")]):
        with wire.connect() as connection:
            lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers)
            connection.sendall(HEAD + lines + b"Content-Length: 1048577\r\n\r\n")
            refused(wire.receive(connection), 413, "body-too-large")  # of who waits for the body it is 408


def test_what_follows_a_refused_body_is_no_request(wire: Wire) -> None:
    """Nor is a request that came in the same piece as the one after which the line is closed."""
    with wire.connect() as connection:
        smuggled = b"DELETE /v1/organizations/ilo HTTP/1.1\r\nHost: 127.0.0.1\r\nIf-Match: *\r\n" + KEY + b"\r\n"
        connection.sendall(HEAD + b"Content-Length: 1048577\r\n\r\n" + b" " * 1_048_577 + smuggled)
        assert end(connection).count(b"HTTP/1.1 ") == 1
    assert wire.request("GET", "/v1/organizations/ilo").status == 200


def test_a_refused_request_leaves_the_connection_to_the_next_one(wire: Wire) -> None:
    with wire.connect() as connection:
        for _ in range(3):
            connection.sendall(POST + b"Content-Length: 5\r\n\r\nhello")
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(1)
            refused_head = answer_of(head)
            connection.recv(int(str(refused_head.header("content-length"))), socket.MSG_WAITALL)
            assert (refused_head.status, refused_head.header("connection")) == (415, None)


GET = b"GET /v1/organizations/%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def test_requests_in_a_row_are_answered_in_a_row(wire: Wire) -> None:
    with wire.connect() as connection:
        row = b"".join(GET % slug for slug in (b"ilo", b"none", b"oecd"))
        connection.sendall(row + (GET % b"ilo").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        told = end(connection)
    assert [part[:3] for part in told.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200", b"200"]


def test_a_broken_request_in_a_row_is_not_answered_in_the_middle_of_another_answer(wire: Wire) -> None:
    broken = HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    for first in (b"GET /v1/changes HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n", GET % b"ilo"):
        with wire.connect() as connection:
            connection.sendall(first + broken)
            assert end(connection).count(b"HTTP/1.1 400") == 0


def test_an_offer_to_speak_another_protocol_is_passed_by(wire: Wire) -> None:
    offer = [
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA"),
    ]
    assert wire.request("GET", "/v1/organizations/ilo", headers=offer).status == 200


def test_what_is_asked_behind_such_an_offer_is_answered_and_nothing_is_logged_of_it(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    offer = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with wire.connect() as connection:
        connection.sendall(offer + (GET % b"ilo").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert end(connection).count(b"HTTP/1.1 200") == 2
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_the_body_behind_such_an_offer_is_read_and_is_no_request_of_its_own(
    wire: Wire, pieces: int, framing: str
) -> None:
    after = (GET % b"ilo").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    body = json.dumps({"name": f"Offered in {pieces} by {framing}", "kind": "other"}).encode()
    if framing == "length":
        head, body = HEAD + b"Content-Length: %d\r\n" % len(body), body + after
    else:
        head, body = HEAD + b"Transfer-Encoding: chunked\r\n", chunk(body) + chunk(b"") + after
    head += b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
    with wire.connect() as connection:
        for piece in (head + body,) if pieces == 1 else (head, body):
            connection.sendall(piece)
            time.sleep(0.02)
        assert [part[:3] for part in end(connection).split(b"HTTP/1.1 ")[1:]] == [b"201", b"200"]


def test_trailers_add_no_header(wire: Wire) -> None:
    body = json.dumps({"name": "With trailers", "kind": "other"}).encode()
    trailers = b"0\r\nHost: evil.example\r\nChange-Reason: forged\r\n\r\n"
    with wire.connect() as connection:
        connection.sendall(HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(body) + trailers)
        assert wire.receive(connection).status == 201
    revisions: Any = wire.request("GET", "/v1/organizations/with-trailers/revisions").json()
    assert revisions["items"][0]["reason"] is None


def test_what_is_no_http_is_told_so_as_everything_is(wire: Wire) -> None:
    answer = wire.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
    refused(answer, 400, "malformed-request")
    assert answer.header("cache-control") == "no-store"
    assert wire.request("POST", "/v1/organizations", headers=[JSON], body=b"{}").status == 422


def test_a_refused_connection_is_logged_once_with_the_id_that_it_is_told_and_counted(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    counted = 'concord_http_requests_total{method="other",route="unrouted",status="400"}'

    def count() -> float:
        lines = wire.request("GET", "/metrics").body.decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(counted))

    before = count()
    with caplog.at_level(logging.INFO):
        answer = wire.send(b"nonsense\r\n\r\n")
    assert count() == before + 1
    told = [record for record in caplog.records if record.name != "concord.access"]
    assert [getattr(record, "request_id", None) for record in told] == [answer.header("x-request-id")]


def test_line_breaks_without_end_are_no_request_and_no_crash(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    refused(wire.send(b"\r\n" * 40_000), 431, "headers-too-large")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_too_long_an_address_is_told_so_also_where_it_comes_at_once(wire: Wire) -> None:
    refused(wire.send(b"GET /v1?q=" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), 414, "uri-too-long")


def test_refusals_name_the_prefix_under_which_the_registry_is_served(server: Server) -> None:
    app = create_app(Settings(database_url=server.fresh("seeded"), root_path="/registry"))
    with serving(app) as port:
        assert Wire(port).send(b"nonsense\r\n\r\n").json()["type"] == "/registry/problems/malformed-request"


def test_a62_the_server_believes_no_proxy_by_itself_not_even_on_this_machine(server: Server) -> None:
    app = create_app(Settings(database_url=server.fresh("seeded"), rate_limit=5))
    with serving(app) as port:
        forged = [[("X-Forwarded-For", f"10.1.0.{n}"), ("X-Forwarded-Proto", "https")] for n in range(100)]
        told = [Wire(port).request("GET", "/problems", headers=headers).status for headers in forged]
    assert told == [200] * 5 + [429] * 95
