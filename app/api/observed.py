"""The outermost layer: every request has an id, belongs to a trace, leaves one line in the log, and is counted.

A pure ASGI layer around everything else, the answer to a crash included.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter, time
from typing import Any

from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.logs import ASKED, Asked, Line, Standing, direct
from app.api.metrics import UNROUTED, Metrics
from app.kit.ids import request_id

log = logging.getLogger("concord.access")
QUIET = frozenset(("/livez", "/readyz", "/metrics"))
"""Routes that are asked every few seconds: a line about them is worth reading only when they fail."""
ANONYMOUS = "anonymous"
DURATION = "duration_ms"
X_REQUEST_ID, TRACEPARENT = b"x-request-id", b"traceparent"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context


Learn = Callable[[Scope, list[tuple[bytes, bytes]], Mapping[str, Any]], None]
"""Told of every kept answer that was given: the request, the headers as they went out, and what was noted."""


class Observed:
    """Watches what passes. The layers below share `scope["state"]` with it: `route` (the template of the path), `caller`,
    `live` (a stream without an end) and `error_id` (of a crash that is answered and logged)."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, notes: Notes, learn: Learn) -> None:
        self._app = app
        self._metrics = metrics
        self._notes = notes
        self._learn = learn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        asked = asked_by(scope)
        ASKED.set(asked)
        answer = _Answer(send, asked.request_id)
        begin = perf_counter()
        self._metrics.in_flight += 1
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            if "error_id" not in state:
                raise  # nobody has logged it: the server does
        finally:
            self._metrics.in_flight -= 1
            fields = _fields(scope, answer)
            self._notes.note(
                asked, fields["route"], scope["method"], answer.status, perf_counter() - begin, fields,
                live=state.get("live", False),
            )  # fmt: skip
            if "kept" in state and answer.complete:
                self._learn(scope, answer.headers, fields)


class Notes:
    """What is noted of every answer, whoever gave it: it is counted, and leaves a line in the log."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def note(
        self, asked: Asked, route: str, method: str, status: int, seconds: float, fields: Mapping[str, Any], *,
        live: bool = False, standing: Standing | None = None,
    ) -> None:  # fmt: skip
        """`live`: it was a stream, whose duration says nothing. `fields`: what the line tells beside the duration; `standing`:
        the line itself, where it was written beforehand."""
        self._metrics.answered(route, method, status, None if live else seconds)
        level = logging.DEBUG if route in QUIET and status < 400 else logging.INFO
        if not log.isEnabledFor(level):
            return
        lines, duration = direct(log), round(seconds * 1000, 3)
        if lines is not None and standing is not None and lines.again(standing, time(), duration, asked):
            return
        told = {**fields, DURATION: duration}
        if lines is not None:
            lines.tell(Line(time(), logging.getLevelName(level), log.name, "request", told, asked))
        else:  # nobody asks where in the program
            log.handle(log.makeRecord(log.name, level, __file__, 0, "request", (), None, extra=told))

    def standing(self, fields: Mapping[str, Any]) -> Standing | None:
        """The line of an answer that may be given again, where it can be written beforehand."""
        lines = direct(log) if log.isEnabledFor(logging.INFO) else None
        line = Line(0.0, "INFO", log.name, "request", fields)
        return None if lines is None else lines.standing(line, DURATION)


def _fields(scope: Scope, answer: _Answer) -> dict[str, Any]:
    state, client = scope["state"], scope.get("client")
    fields = {
        "method": scope["method"], "route": state.get("route", UNROUTED), "path": scope["path"], "status": answer.status,
        DURATION: 0, "bytes": answer.size, "client": client[0] if client else None,
        "caller": getattr(state.get("caller"), "name", ANONYMOUS),
    }  # fmt: skip
    if not answer.complete:
        fields["broken_off"] = True
    if "error_id" in state:
        fields["error_id"] = state["error_id"]
    return fields


class _Answer:
    """An answer on its way out: gets its id, and is measured."""

    __slots__ = ("_id", "_send", "complete", "headers", "size", "status")

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._id = (X_REQUEST_ID, request_id.encode())
        self.status, self.size, self.complete = 500, 0, False
        self.headers: list[tuple[bytes, bytes]] = []

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [*message.get("headers", ()), self._id]
            message = {**message, "headers": self.headers}
        elif message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        await self._send(message)


def asked_by(scope: Scope) -> Asked:
    """The id of a request and of its trace."""
    return named(scope["headers"], _traced(scope))


def named(headers: Iterable[tuple[bytes, bytes]], trace_id: str | None = None) -> Asked:
    """The ids that the client sends, if they are well-formed and sent once; otherwise new ones. A new trace takes the id of its
    first request, whose last bytes are random as the standard asks. `trace_id`: another one, which is known already."""
    own = request_id()
    sent_id = sent_trace = None
    for name, value in headers:
        if name == X_REQUEST_ID:
            sent_id = value if sent_id is None else b""
        elif name == TRACEPARENT:
            sent_trace = value if sent_trace is None else b""
    chosen = sent_id.decode() if sent_id and _REQUEST_ID.fullmatch(sent_id) else own
    return Asked(chosen, trace_id or _trace_of(sent_trace) or own.replace("-", ""))


def _trace_of(traceparent: bytes | None) -> str | None:
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return found[1].decode() if found else None


def name_span(scope: Scope, route: str) -> None:
    """Say in the trace which route would answer, where no route is asked: FastAPI does so when it has found one."""
    if (telemetry := scope.get("fastapi.telemetry")) is not None:
        telemetry.route = route
        span = trace.get_current_span()
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.route", route)


def _traced(scope: Scope) -> str | None:
    """The id of the trace that OpenTelemetry is about to send. What it would say of the query is taken out."""
    if "fastapi.telemetry" not in scope:
        return None
    span = trace.get_current_span()
    if scope["query_string"] and span.is_recording():
        span.set_attribute("url.query", "REDACTED")
    return trace.format_trace_id(span.get_span_context().trace_id) if span.get_span_context().is_valid else None
