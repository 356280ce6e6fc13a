"""What the log holds: one line a request, whatever the request holds (A63), and nothing that is secret."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import logging.config
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy.engine import make_url

from app.api import logs
from app.api.observed import asked_by
from tests.conftest import Server
from tests.operations.conftest import Open
from tests.support.wire import JSON, Answer, Wire
from tests.test_cli import served, until

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
OWN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) [\w.]+: ")
FORGERIES = (
    ("GET", "/x%0d%0aINFO%20ok", ()),
    ("GET", "/x%1b%5b31mred%c2%85%e2%80%a8", ()),
    ("GET", "/v1/organizations/a%22%20status=200", ()),
    ("GET", "/v1/organizations", (("User-Agent", b"x\x1b[31m\x85"), ("X-Request-ID", "a b"))),
    ("GET", "/livez%0a", (("X-Request-ID", "\x1b[2J"),)),
    ("POST", "/v1/organizations", (JSON, ("X-Request-ID", "x" * 65))),
)
SECRETS = ("hunter2", "s3cr3t-token", "s3cr3t-query")


def with_password(url: str) -> str:
    """The same database, whose address holds a password. (Nobody asks for it on this machine.)"""
    return (
        url
        if url.startswith("sqlite")
        else make_url(url).set(password=SECRETS[0]).render_as_string(hide_password=False)
    )


@pytest.mark.parametrize("form", ["json", "text"])
def test_a63_a_request_leaves_one_line_which_nothing_in_it_can_forge(server: Server, tmp_path: Path, form: str) -> None:
    log = tmp_path / "log"
    with served(with_password(server.fresh("seeded")), "--no-seed", log=log, log_format=form) as (_, client):
        wire, answers = Wire(client.base_url.port or 80), list[Answer]()
        for verb, target, headers in FORGERIES:
            body = b'{"name": "Two\\nlines", "kind": "other"}' if verb == "POST" else None
            answers.append(wire.request(verb, target, headers=headers, body=body))
        bearer = {"Authorization": "Bearer s3cr3t-token", "X-Request-ID": "mine-1"}
        assert client.get("/v1/organizations?token=s3cr3t-query", headers=bearer).headers["x-request-id"] == "mine-1"
    text = log.read_text()
    assert not [secret for secret in SECRETS if secret in text]
    assert all(line.isascii() and line.isprintable() for line in text.splitlines())
    lines = text.splitlines()
    if form == "json":
        told = [json.loads(line) for line in lines if line.startswith("{")]
        paths = [line["path"] for line in told if line["message"] == "request"]
        assert paths[0] == "/x\r\nINFO ok"
        assert {line["logger"] for line in told} == {"concord", "concord.access", "uvicorn.error"}
        last = next(line for line in told if line.get("request_id") == "mine-1")
        assert (last["method"], last["route"], last["path"]) == ("GET", "/v1/organizations", "/v1/organizations")
        assert (last["status"], last["client"], last["caller"]) == (401, "127.0.0.1", "anonymous")
        assert last["duration_ms"] > 0
        assert last["bytes"] > 0
    else:
        paths = [line for line in lines if " concord.access: request " in line]
        assert all(LINE.match(line) for line in lines if "Z " in line[:25])
        assert r'path="/x\r\nINFO ok"' in paths[0]
    assert all(answer.header("x-request-id") for answer in answers)
    unread = [answer for answer in answers if b"no request in HTTP" in answer.body]  # escapes in a header
    assert unread
    assert len(paths) == len(FORGERIES) - len(unread) + 1
    assert text.count("127.0.0.1 is cut off: malformed-request") == len(unread)
    others = [line for line in lines if not line.startswith("{") and not LINE.match(line)]
    assert others == ["The schema is at its newest revision."]


def test_health_is_logged_when_it_is_asked_for_and_warnings_alone_when_they_are(server: Server, tmp_path: Path) -> None:
    url = server.fresh("seeded")
    for level, expected in (("debug", {"/readyz", "/v1/organizations"}), ("warning", set[str]())):
        log = tmp_path / level
        with served(url, "--no-seed", log=log, log_format="json", log_level=level) as (_, client):
            client.get("/v1/organizations")
        told = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        assert {line["route"] for line in told if line["message"] == "request"} == expected


def test_the_line_of_a_stream_comes_when_it_ends(server: Server, tmp_path: Path) -> None:
    log = tmp_path / "log"
    listening = {"Accept": "text/event-stream"}
    with (
        served(server.fresh("seeded"), "--no-seed", log=log, log_format="json") as (_, client),
        client.stream("GET", "/v1/changes", headers=listening) as stream,
    ):
        lines = stream.iter_lines()
        next(lines)
        assert "/v1/changes" not in log.read_text()
        stream.close()  # the client leaves
        until(lambda: "/v1/changes" in log.read_text())
    (line,) = (json.loads(line) for line in log.read_text().splitlines() if '"/v1/changes"' in line)
    assert (line["status"], line["broken_off"]) == (200, True)


# --- ids --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/v1/organizations/oecd"), ("HEAD", "/v1/organizations/oecd"), ("OPTIONS", "/v1/organizations"),
        ("GET", "/nowhere"), ("PUT", "/v1/organizations"), ("GET", "/docs/assets/swagger-ui.css"), ("DELETE", "/docs/assets/x"),
        ("GET", "/docs"), ("GET", "/%ff"), ("POST", "/v1/organizations"), ("GET", "/v1/organizations?limit=x"),
    ],
)  # fmt: skip
def test_every_answer_says_the_id_of_its_request(registry: httpx.Client, verb: str, path: str) -> None:
    given = registry.request(verb, path, headers={"X-Request-ID": "My.id_1-"})
    assert given.headers.get_list("x-request-id") == ["My.id_1-"]
    made = {registry.request(verb, path).headers["x-request-id"] for _ in range(2)}
    assert len(made) == 2
    assert all(OWN.fullmatch(each) for each in made)


def asked(*headers: tuple[bytes, bytes]) -> logs.Asked:
    return asked_by({"type": "http", "headers": list(headers)})


@pytest.mark.parametrize("sent", [b"", b" ", b"a b", b"x" * 65, b"a\n", "é".encode(), b"a/b", b'"', b"{}"])
def test_an_id_that_is_none_is_replaced(sent: bytes) -> None:
    assert OWN.fullmatch(asked((b"x-request-id", sent)).request_id)


def test_two_ids_are_none() -> None:
    assert OWN.fullmatch(asked((b"x-request-id", b"a"), (b"x-request-id", b"b")).request_id)
    assert asked((b"traceparent", PARENT.encode()), (b"traceparent", PARENT.encode())).trace_id != TRACE


def test_a_request_belongs_to_the_trace_that_its_client_names() -> None:
    assert asked((b"traceparent", PARENT.encode())).trace_id == TRACE


@pytest.mark.parametrize(
    "sent",
    [
        "", TRACE, PARENT.upper(), PARENT + "-more", PARENT[:-1], f"ff{PARENT[2:]}", f"01{PARENT[2:]}", f" {PARENT}",
        f"{PARENT}\n",
        f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE[:-1]}g-{SPAN}-01", f"00-{TRACE}-{SPAN}-0x",
    ],
)  # fmt: skip
def test_where_no_trace_can_be_read_a_new_one_begins(sent: str) -> None:
    made = asked((b"traceparent", sent.encode())).trace_id
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert made != TRACE


# --- crashes ----------------------------------------------------------------------------------------------------------


def with_crashes(app: FastAPI) -> None:
    """Two addresses that fail with a text which would forge a line: before the answer, and in the middle of it."""

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("first\r\n2026-01-01T00:00:00.000Z INFO concord: forged\x1b[2J")

    @app.get("/break")
    async def break_off() -> StreamingResponse:
        async def half() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError("in the middle")

        return StreamingResponse(half())


@contextmanager
def heard(form: str) -> Iterator[io.StringIO]:
    """What is logged of the request that is made inside, as the server would write it: with its line, which may come behind its
    answer."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.configuration(form, "info")["formatters"]["line"]["()"]())
    loggers = [logging.getLogger(name) for name in ("concord", "uvicorn")]
    before = [(each.level, each.propagate) for each in loggers]
    for each in loggers:
        each.addHandler(handler)
        each.setLevel("INFO")
        each.propagate = False
    logging.getLogger("uvicorn.error").setLevel("INFO")
    try:
        yield written
        until(lambda: "concord.access" in written.getvalue())
    finally:
        for each, (level, propagate) in zip(loggers, before, strict=True):
            each.removeHandler(handler)
            each.setLevel(level)
            each.propagate = propagate


def test_a_crash_is_logged_once_with_its_traceback_and_told_with_its_ids(own: Open) -> None:
    client = own(prepare=with_crashes)
    with heard("json") as written:
        answer = client.get("/crash", headers={"X-Request-ID": "mine", "traceparent": PARENT})
    problem = answer.json()
    assert (answer.status_code, answer.headers["x-request-id"], problem["request_id"]) == (500, "mine", "mine")
    assert "first" not in answer.text
    error, line = (json.loads(text) for text in written.getvalue().splitlines())
    assert (error["level"], error["request_id"], error["trace_id"]) == ("error", "mine", TRACE)
    assert problem["error_id"] in error["message"]
    assert error["exception"].startswith("Traceback ")
    assert "forged" in error["exception"]
    assert (line["status"], line["error_id"], line["request_id"]) == (500, problem["error_id"], "mine")


def test_as_text_a_traceback_is_indented_and_begins_no_line(own: Open) -> None:
    client = own(prepare=with_crashes)
    with heard("text") as written:
        client.get("/crash")
    lines = written.getvalue().splitlines()
    begun = [line for line in lines if LINE.match(line)]
    assert [line.split()[2] for line in begun] == ["concord:", "concord.access:"]
    assert all(line.startswith("  | ") for line in lines if line not in begun)
    assert any("forged" in line for line in lines)
    assert all(line.isprintable() for line in lines)


def test_an_answer_that_breaks_off_is_said_to(own: Open) -> None:
    client = own(prepare=with_crashes)
    with heard("json") as written, pytest.raises(httpx.RemoteProtocolError):
        client.get("/break", headers={"X-Request-ID": "mine"})
    told: list[dict[str, Any]] = [json.loads(text) for text in written.getvalue().splitlines()]
    assert {line["request_id"] for line in told} == {"mine"}
    (line,) = (line for line in told if line["message"] == "request")
    error, *more = (line for line in told if line["level"] == "error")
    assert [line["message"] for line in more] == ["ASGI callable returned without completing response."]
    assert (line["status"], line["bytes"], line["broken_off"]) == (200, 4, True)
    assert "in the middle" in error["exception"]


def test_a_log_that_cannot_be_written_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    async def told() -> list[str]:
        handler = logs.Lines()
        handler.setFormatter(logs.TextFormatter())
        handler.setStream(Full())
        handler.tell(logs.Line(0.0, "INFO", "concord", "lost", {}))
        await asyncio.sleep(0)
        monkeypatch.setattr(logging, "raiseExceptions", False)
        handler.emit(logging.makeLogRecord({"msg": "lost as well"}))
        handler.setStream(stream := io.StringIO())
        handler.tell(logs.Line(0.0, "INFO", "concord", "there is room", {}))
        await asyncio.sleep(0)
        return stream.getvalue().splitlines()

    (line,) = asyncio.run(told())
    assert line.endswith("there is room")
