"""The same request, word for word: its connection gives the answer again, and it is the one that the application would give."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from fastapi import FastAPI

from app.api import logs
from app.api.freshness import Present
from app.api.observed import Observed
from app.api.protocol import Connection
from app.kit.db import Database
from tests.api.conftest import Make
from tests.conftest import serving
from tests.support.waiting import until
from tests.support.wire import AUTHORIZED, Wire

LIST, ILO = "/v1/organizations?limit=3", "/v1/organizations/ilo"
HOST = b"Host: registry.test\r\n"
WARM = 6


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths that the application is asked for."""
    asked: list[str] = []
    ask = Observed.__call__

    async def counted(self, scope, receive, send):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        asked.append(scope["path"])
        await ask(self, scope, receive, send)

    with monkeypatch.context() as patched:
        patched.setattr(Observed, "__call__", counted)
        yield asked


@contextmanager
def slowly(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.3, *, true: bool = True) -> Iterator[None]:
    """It takes so long until it is known whether an answer is still true."""
    confirm = Present.confirm

    def later(self, state, *told):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN002, ANN202
        asked = state if true else state._replace(era=-1)
        asyncio.get_running_loop().call_later(seconds, confirm, self, asked, *told)

    with monkeypatch.context() as patched:
        patched.setattr(Present, "confirm", later)
        yield


@pytest.fixture
def port(registry: httpx.Client) -> int:
    return registry.base_url.port or 0


def request(target: str = ILO, *lines: bytes, version: bytes = b"1.1") -> bytes:
    told = b"".join(line + b"\r\n" for line in lines)
    return b"GET " + target.encode() + b" HTTP/" + version + b"\r\n" + HOST + told + b"\r\n"


def exchange(connection: socket.socket, raw: bytes, answers: int = 1) -> list[bytes]:
    """What comes for these requests: so many answers, each whole."""
    connection.sendall(raw)
    received, found = b"", list[bytes]()
    while len(found) < answers:
        data = connection.recv(65_536)
        assert data, received
        received += data
        while b"\r\n\r\n" in received:
            head, _, rest = received.partition(b"\r\n\r\n")
            length = int((re.search(rb"content-length: (\d+)", head) or [b"", b"0"])[1])
            if len(rest) < length:
                break
            found.append(head + b"\r\n\r\n" + rest[:length])
            received = rest[length:]
    assert not received
    return found


OWN = re.compile(rb"(x-request-id|date): [^\r]*")


@pytest.mark.parametrize("target", [ILO, LIST, "/v1/search?q=labour"])
@pytest.mark.parametrize("lines", [(), (b"If-None-Match: *",), (b"Accept: application/json", b"User-Agent: somebody")])
def test_it_is_the_answer_of_the_application_byte_for_byte_and_the_application_is_not_asked(
    port: int, monkeypatch: pytest.MonkeyPatch, target: str, lines: tuple[bytes, ...]
) -> None:
    with Wire(port).connect() as line:
        warm = [exchange(line, request(target, *lines))[0] for _ in range(WARM)]
        with counting(monkeypatch) as asked:
            again = [exchange(line, request(target, *lines))[0] for _ in range(3)]
    assert asked == []
    assert {OWN.sub(b"", answer) for answer in again} == {OWN.sub(b"", warm[0])}
    ids = [re.search(rb"x-request-id: (\S+)", answer)[1] for answer in [*warm, *again]]  # type: ignore[index]
    assert len(set(ids)) == WARM + 3


def test_with_a_key_it_is_given_until_something_is_written(
    port: int, registry: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = b"Authorization: " + AUTHORIZED["Authorization"].encode()
    with Wire(port).connect() as line:
        for _ in range(WARM):
            exchange(line, request(ILO, key))
        with counting(monkeypatch) as asked:
            before = exchange(line, request(ILO, key))[0]
            assert asked == []
        assert registry.patch(ILO, json={"description": "new"}, headers={"If-Match": "*"}).status_code == 200
        with counting(monkeypatch) as asked:
            after = exchange(line, request(ILO, key))[0]
    assert asked == [ILO]
    assert b'"new"' in after
    assert b'"new"' not in before


@pytest.mark.parametrize("sent", [b"X-Request-ID: mine-%d", b"traceparent: 00-%032x-00f067aa0ba902b7-01"])
def test_a_client_that_names_each_of_its_requests_finds_the_name_again(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    caplog.set_level(logging.INFO, "concord.access")
    with Wire(port).connect() as line:
        for number in range(1, WARM + 1):
            exchange(line, request(ILO, sent % number))
        with counting(monkeypatch) as asked:
            (answer,) = exchange(line, request(ILO, sent % 77))
    assert asked == []
    if b"mine" in sent:
        assert b"\r\nx-request-id: mine-77\r\n" in answer
    else:
        assert b"\r\nx-request-id: " in answer


@pytest.mark.parametrize("cut", [1, 4, 30, -4, -1])
def test_in_two_pieces_it_is_the_same_request(port: int, cut: int) -> None:
    raw = request(ILO)
    with Wire(port).connect() as line:
        whole = [exchange(line, raw)[0] for _ in range(WARM)][-1]
        for _ in range(3):
            line.sendall(raw[:cut])
            time.sleep(0.02)
            (answer,) = exchange(line, raw[cut:])
            assert OWN.sub(b"", answer) == OWN.sub(b"", whole)
            assert OWN.sub(b"", exchange(line, raw)[0]) == OWN.sub(b"", whole)


@pytest.mark.parametrize("before", [b"", request(LIST)])
def test_what_reads_like_a_request_inside_of_another_is_no_request(port: int, before: bytes) -> None:
    """Else somebody could have others, on a connection that a proxy shares among them, get answers to what they did not ask."""
    known = request(ILO)
    with Wire(port).connect() as line:
        for _ in range(WARM):
            exchange(line, known)
        line.sendall(before + b"GET /v1/instruments?limit=2 HTTP/1.1\r\nX-Note: ")
        time.sleep(0.05)
        answers = exchange(line, known, answers=2 if before else 1)  # the note, and the end of the headers
    assert b"/v1/instruments" in answers[-1]


def test_a_body_that_reads_like_a_request_is_a_body(port: int) -> None:
    known = request(ILO)
    with Wire(port).connect() as line:
        for _ in range(WARM):
            exchange(line, known)
        for _ in range(3):
            line.sendall(b"GET /v1/nothing HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(known))
            time.sleep(0.02)
            (answer,) = exchange(line, known)
            assert answer.startswith(b"HTTP/1.1 404 ")
            assert exchange(line, known)[0].startswith(b"HTTP/1.1 200 ")


def test_a_pipeline_is_answered_in_its_order_and_a_client_that_says_it_is_the_last_is_hung_up_on(port: int) -> None:
    with Wire(port).connect() as line:
        for target in (ILO, LIST):
            for _ in range(WARM):
                exchange(line, request(target))
        answers = exchange(line, (request(ILO) + request(LIST)) * 20, answers=40)
        assert [b'"items"' in answer for answer in answers] == [False, True] * 20
        (last,) = exchange(line, request(ILO, b"Connection: close"))
        assert b"\r\nconnection: close\r\n" in last
        assert line.recv(1) == b""
    for _ in range(3):
        with Wire(port).connect() as line:
            (old,) = exchange(line, request(ILO, b"Connection: keep-alive", version=b"1.0"))
            assert line.recv(1) == b""
            assert b"\r\nconnection: close\r\n" in old


def test_who_asks_again_before_the_answer_is_there_gets_both_in_their_order(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Wire(port).connect() as line:
        for target in (ILO, LIST):
            for _ in range(WARM):
                exchange(line, request(target))
        with slowly(monkeypatch):
            line.sendall(request(ILO))
            time.sleep(0.05)
            line.sendall(request(LIST))
            time.sleep(0.05)
            answers = exchange(line, request(ILO), answers=3)
        assert [b'"items"' in answer for answer in answers] == [False, True, False]
        assert b'"items"' in exchange(line, request(LIST))[0]


@pytest.mark.parametrize("true", [True, False])
def test_who_hangs_up_before_the_answer_is_there_is_in_the_log_as_ever(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, true: bool
) -> None:
    caplog.set_level(logging.INFO, "concord.access")
    with Wire(port).connect() as line:
        for _ in range(WARM):
            exchange(line, request(ILO))
        with slowly(monkeypatch, true=true):
            line.sendall(request(ILO))
            time.sleep(0.05)
            line.close()
            until(lambda: sum(getattr(record, "path", None) == ILO for record in caplog.records) == WARM + 1)


def test_a_server_that_stops_answers_what_it_has_taken_in(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as until_read:
        with serving(make()) as port:
            line = until_read.enter_context(Wire(port).connect())
            for _ in range(WARM):
                exchange(line, request(ILO))
            with slowly(monkeypatch, seconds=5):
                line.sendall(request(ILO))
                time.sleep(0.1)
        (answer,) = exchange(line, b"")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in answer


def test_a_connection_is_kept_while_it_is_used_and_closed_when_nobody_uses_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "timeout_keep_alive", property(lambda _: 1.0, lambda _, __: None), raising=False)
    with serving(make(), beat=0.05) as port, Wire(port).connect() as line:
        for _ in range(WARM):
            exchange(line, request(ILO))
        with counting(monkeypatch) as asked:
            for _ in range(8):
                time.sleep(0.15)
                exchange(line, request(ILO))
        assert asked == []
        begin = time.monotonic()
        assert line.recv(1) == b""
        assert 0.3 < time.monotonic() - begin < 5


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (b"X-Request-ID:mine-1", b"mine-1"), (b"x-request-id: mine-1", b"mine-1"), (b"X-REQUEST-ID:  mine-1", b"mine-1"),
        (b"X-Request-ID: mine 1", None), (b"X-Request-ID: ", None), (b"X-Request-ID: a\r\nX-Request-ID: b", None),
    ],
)  # fmt: skip
def test_a_name_is_read_as_the_application_reads_it(port: int, written: bytes, expected: bytes | None) -> None:
    with Wire(port).connect() as line:
        ids = [
            re.search(rb"\r\nx-request-id: (\S+)\r\n", exchange(line, request(ILO, written))[0])[1]  # type: ignore[index]
            for _ in range(WARM + 2)
        ]
    assert (set(ids) == {expected}) if expected else (len(set(ids)) == WARM + 2)


def test_no_secret_is_kept_with_what_was_said(port: int, app: FastAPI) -> None:
    with Wire(port).connect() as line:
        for _ in range(WARM):
            exchange(line, request(ILO, b"Authorization: " + AUTHORIZED["Authorization"].encode(), b"Cookie: c=hidden"))
    kept = repr(list(app.state.kept._kept.items()))
    assert "hidden" not in kept
    assert AUTHORIZED["Authorization"].split()[-1] not in kept


def test_requests_that_differ_each_time_push_nothing_out(port: int, app: FastAPI) -> None:
    with Wire(port).connect() as line:
        for _ in range(WARM):
            exchange(line, request(ILO))
        before = len(app.state.kept)
        for number in range(50):
            exchange(line, request(ILO, b"X-Forwarded-For: 192.0.2.%d" % number))
    assert len(app.state.kept) == before


def test_behind_a_trusted_proxy_the_same_request_of_the_same_client_is_given_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(make(trusted_proxies=("127.0.0.1",))) as port, Wire(port).connect() as line:
        lines = (b"X-Forwarded-For: 192.0.2.7", b"X-Forwarded-Proto: https")
        for _ in range(WARM):
            exchange(line, request(ILO, *lines))
        with counting(monkeypatch) as asked:
            exchange(line, request(ILO, *lines))
            assert asked == []
            exchange(line, request(ILO, lines[0].replace(b".7", b".8"), lines[1]))
            assert asked == [ILO]


def test_a_name_of_a_request_that_is_too_long_is_refused_as_ever(port: int) -> None:
    with Wire(port).connect() as line:
        for _ in range(WARM):
            exchange(line, request(ILO))
        (answer,) = exchange(line, request(ILO, b"X-Request-ID: " + b"x" * 33_000))
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_what_a_client_writes_into_its_headers_counts_as_bytes_that_are_kept(port: int, app: FastAPI) -> None:
    with Wire(port).connect() as line:
        for _ in range(2):
            exchange(line, request(ILO, b"Accept: application/json;q=1, x/y;p=" + b"a" * 20_000))
    assert app.state.kept.size > 20_000


def test_who_is_counted_is_told_each_time_how_many_are_left(make: Make) -> None:
    with serving(make(rate_limit=100)) as port, Wire(port).connect() as line:
        answers = [exchange(line, request(ILO))[0] for _ in range(WARM + 3)]
    left = [int(re.search(rb"\r\nratelimit: \"default\";r=(\d+)", answer)[1]) for answer in answers]  # type: ignore[index]
    assert left == [99 - number for number in range(WARM + 3)]


def test_it_leaves_the_same_line_in_the_log_and_is_counted(
    port: int, registry: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def counted() -> float:
        text = registry.get("/metrics").text
        wanted = 'concord_http_requests_total{method="GET",route="/v1/organizations/{organization_id}",status="200"} '
        return float(next((each for each in text.splitlines() if each.startswith(wanted)), "0 0").rsplit(" ", 1)[1])

    caplog.set_level(logging.INFO, "concord.access")
    with Wire(port).connect() as line:
        exchange(line, request(ILO))
        before = counted()
        for _ in range(WARM):
            exchange(line, request(ILO))
        assert counted() == before + WARM
    said = ("method", "route", "path", "status", "bytes", "client", "caller")
    told = [record for record in caplog.records if getattr(record, "path", None) == ILO]
    assert len(told) == WARM + 1
    assert len({tuple(getattr(record, name) for name in said) for record in told}) == 1
    assert all(record.duration_ms >= 0 for record in told)  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", [logs.TextFormatter, logs.JsonFormatter])
def test_a_standing_line_is_the_line_that_would_be_written(form: type[logs.LineFormatter]) -> None:
    fields = {"path": "/100%/%s/é\n", "status": 200, "duration_ms": 0, "bytes": 7}
    line = logs.Line(0.0, "INFO", "concord.access", "request", fields)
    written = form()
    standing = logs.Standing(written, line, "duration_ms")
    asked = logs.Asked("mine-1", "f" * 32)
    now = line._replace(created=1_700_000_000.25, fields={**fields, "duration_ms": 1.5}, asked=asked)
    assert standing.at(1_700_000_000.25, 1.5, asked) == written.line(now)


def test_a_server_of_which_the_database_cannot_be_probed_asks_the_application(
    port: int, seeded: Database, monkeypatch: pytest.MonkeyPatch, app: FastAPI
) -> None:
    with Wire(port).connect() as line:
        for _ in range(WARM):
            exchange(line, request(ILO))
        probe = type(app.state.present._probe)
        unknown = "_look" if hasattr(probe, "_look") else "_understand"
        if unknown == "_look":
            monkeypatch.setattr(probe, "_look", lambda _: None)
        else:
            monkeypatch.setattr(probe, "_ask", lambda self: self._tell(None))
        with counting(monkeypatch) as asked:
            (answer,) = exchange(line, request(ILO))
    assert asked == [ILO]
    assert answer.startswith(b"HTTP/1.1 200 ")
