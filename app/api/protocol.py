"""The server's side of a connection: HTTP/1.1 as uvicorn reads it, with an end to what a client may send, and to how slowly.

uvicorn reads headers without end, and waits for ever for the next byte, in or out. Here a connection that is slow beyond
reason, or sends more than a request may have around its body, is answered with a problem where that is still possible, and
closed. What is refused before it was sent whole is closed gently: while a client still sends, a closed connection is reset, and
the answer that was on its way to it is lost (RFC 9112 §9.6).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api import edge, problems
from app.api.metrics import OTHER, SHARED, UNROUTED, Metrics
from app.api.observed import X_REQUEST_ID, named
from app.api.verbatim import VERBATIM, WORDS, Said, Verbatim, Words, written
from app.kit.ids import request_id
from app.settings import Settings

log = logging.getLogger("concord")


@dataclass(frozen=True, slots=True)
class Patience:
    """What a connection may cost. Moments are seconds, sizes bytes."""

    query: int = 32_768
    headers: int = 32_768
    head_seconds: float = 10
    """Until the headers of a request have arrived: since the connection was made, or since their first byte."""
    stall_seconds: float = 20
    """In each such time of a body, and of an answer that the client does not take fast enough, at least..."""
    rate: int = 500
    """...so many bytes a second must move."""
    linger_seconds: float = 2
    linger_bytes: int = 16_777_216
    """How long, and how much, the rest of a refused request is taken and thrown away, so that its client sees the answer."""
    beat: float = 1
    """Between two looks at a connection."""

    @property
    def most_around(self) -> int:
        """Bytes that may come without a byte of a body: a request line and headers; trailers."""
        return self.query + self.headers


def options(settings: Settings, **patience: float) -> dict[str, Any]:
    """How uvicorn is run, whoever runs it. `patience`: other limits than the usual ones."""
    limits = Patience(settings.max_query_bytes, settings.max_header_bytes, **cast(Any, patience))
    return {
        "http": partial(Connection, patience=limits, root=settings.root_path.rstrip("/")),
        "ws": "none",
        "proxy_headers": False,  # the application believes the proxies that are named to it, and no other
        "server_header": False,
    }


class Phase(Enum):
    """What a connection waits for."""

    HEAD = "the headers of a request"
    BODY = "the rest of its body"
    NOTHING = "nothing: the request is here"
    END = "the client's hanging up"


QUIET = 5
"""Beats until the next look at a connection on which nothing moves while we work: at most streams, most of the time."""
FRAMING = (b"content-length", b"transfer-encoding")


class Held(NamedTuple):
    """A request that nobody has read, because an answer to it is known; until it is known whether that is still true."""

    data: bytes
    words: Words
    said: Said
    since: float


class Line:
    """The connection as uvicorn is shown it: what it sends is counted, and it is closed gently."""

    def __init__(self, transport: asyncio.Transport, connection: Connection) -> None:
        self._transport = transport
        self._connection = connection
        self.written = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        # Of several requests in a row uvicorn tells only the last that the client is gone.
        if self._transport.is_closing():
            return
        self.written += len(data)
        self._transport.write(data)

    @property
    def taken(self) -> int:
        """Bytes that have left for the client."""
        return self.written - self._transport.get_write_buffer_size()

    def is_closing(self) -> bool:
        return self._connection.phase is Phase.END or self._transport.is_closing()

    def close(self) -> None:
        self._connection.close_gently()

    def hang_up(self) -> None:
        """Close once all that was written is sent."""
        self._transport.close()


class Connection(HttpToolsProtocol):
    """One connection."""

    line: Line

    def __init__(self, *arguments: Any, patience: Patience, root: str, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.url, self.headers = b"", []  # uvicorn sets them when a request begins, which may never be
        self.phase = Phase.HEAD
        self._is_known = False  # whether the parser reads a head that it has read before
        self._patience = patience
        self._root = root
        self._since = self.loop.time()  # when the phase began, or in a body: since when its pace is measured
        self._got = 0  # bytes of the body since then
        self._around = 0  # bytes since the phase began, or since the last one of a body
        self._stuck: tuple[float, int] | None = None  # since when bytes wait for the client; what it had taken then
        self._settled = 0  # all bytes that had been written when none waited last
        self._verbatim: Verbatim | None = self.app_state.get(VERBATIM)
        self._begun = 0  # requests of which the parser has seen the first byte
        self._is_between = True  # whether it has seen the last byte of each
        self._held: Held | None = None
        self._said = 0.0  # when something was said again last

    # -- what asyncio says --
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.line = Line(transport, self)
        super().connection_made(cast(asyncio.Transport, self.line))
        self._origin = self.client and self.client[0], self.server, self.scheme
        self._watch = self.loop.call_later(self._patience.beat, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        self._let_go()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.phase is Phase.END:
            self._got += len(data)
            if self._got > self._patience.linger_bytes:
                self.line.hang_up()
            return
        self._let_go()
        words = None
        if self._is_between and not self._is_working and self._verbatim is not None:
            words = self._verbatim.read(data, self._origin)
            if words is not None and (said := self._verbatim.find(words)) is not None:
                self._hold(self._verbatim, Held(data, words, said, perf_counter()))
                return
        self._take(data, words)

    def _take(self, data: bytes, words: Words | None) -> None:
        """Read what came. `words`: how it reads, for whoever learns the answer, if it is one request."""
        if self.phase is Phase.NOTHING:
            self._enter(Phase.HEAD)
        self._around += len(data)
        begun = self._begun
        self._read(data)
        if words is not None and self._is_between and self._begun == begun + 1 and self.cycle.keep_alive:
            self.cycle.scope["state"][WORDS] = words
        if self._around > self._patience.most_around and self.phase in (Phase.HEAD, Phase.BODY):
            self._refuse_length()

    def shutdown(self) -> None:
        self._let_go()
        super().shutdown()

    def _read(self, data: bytes) -> None:
        """As uvicorn does it, but without its warnings, of which a client could fill the log: it may offer to speak HTTP/2."""
        self._unset_keepalive_if_required()
        while data:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as offer:
                data = data[offer.args[0] :]
                self._pass_by()
            except HttpParserError:
                self._refuse_nonsense()
                return
            else:
                return

    def _pass_by(self) -> None:
        """Nobody takes up an offer to speak another protocol (clients in Java make one with every request). The parser takes
        what follows for that protocol: let another one take it for what it is, the body."""
        if framing := self._framing:
            self.parser = HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it
            self._is_known = True
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n")
            self._is_known = False

    @property
    def _framing(self) -> bytes:
        """The headers that say how long the body is."""
        return b"".join(name + b": " + value + b"\r\n" for name, value in self.headers if name in FRAMING)

    # -- what the parser says --
    def on_message_begin(self) -> None:
        if self._is_known:
            return
        self._begun += 1
        self._is_between = False
        if self.phase is Phase.NOTHING:  # the next request came in the same piece
            self._enter(Phase.HEAD)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._is_known:
            super().on_url(url)

    def on_headers_complete(self) -> None:
        if (
            self.phase is not Phase.END and not self._is_known
        ):  # else one more request came in the same piece, behind our last word
            self._enter(Phase.BODY)
            super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.phase is Phase.HEAD:  # what comes behind a body (trailers) is no header: nobody may add one there
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._got += len(body)
        self._around = 0
        if self.cycle.response_complete and self._got > self._patience.linger_bytes:
            self.close_gently()
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade() and self._framing:
            return  # not yet: see _pass_by
        self._is_between = True
        # Answered before it was here whole: the client may ask again, as one that has just come.
        self._enter(Phase.HEAD if self.cycle.response_complete else Phase.NOTHING)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self.phase is Phase.BODY:
            self._enter(Phase.BODY)  # the rest has a short time to come
        super().on_response_complete()

    # -- what was said before --
    def _hold(self, verbatim: Verbatim, held: Held) -> None:
        """Answer with what was said before, soon, if it is still true."""
        self._enter(Phase.NOTHING)
        self._held = held
        verbatim.confirm(held.said, partial(self._say, verbatim, held), partial(self._let_go, held))

    def _say(self, verbatim: Verbatim, held: Held) -> None:
        """Say it again, as the answer to this request."""
        if held is not self._held:
            return
        if self.flow.write_paused:  # it is taken slowly
            self._let_go()
            return
        self._held = None
        said, asked = held.said, named(held.words.names)
        try:
            usual, own = self.server_state.default_headers, [(X_REQUEST_ID, asked.request_id.encode())]
            parts = STATUS_LINE[said.status], written(usual), said.head, written(own), b"\r\n", said.body
            self.line.write(b"".join(parts))
            verbatim.note(said, asked, perf_counter() - held.since)
        finally:
            self.server_state.total_requests += 1
            self._said = self.loop.time()
            if self.timeout_keep_alive_task is None:
                self.timeout_keep_alive_handler()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that nobody has used for a while. To set the clock anew with each answer costs more than to look
        at it when it rings."""
        left = self._said + self.timeout_keep_alive - self.loop.time()
        if left <= 0 and self._held is None:
            super().timeout_keep_alive_handler()
        else:
            again = max(left, self._patience.beat)
            self.timeout_keep_alive_task = self.loop.call_later(again, self.timeout_keep_alive_handler)

    def _let_go(self, held: Held | None = None) -> None:
        """Ask the application after all: the answer is another by now, or there is more to do than to repeat it. `held`: only
        if it is this that waits."""
        waiting = self._held
        if waiting is not None and (held is None or held is waiting):
            self._held = None
            self._take(waiting.data, waiting.words)

    # -- what becomes of it --
    @property
    def _is_working(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _who(self) -> str:
        return self.client[0] if self.client else "a client"

    def _enter(self, phase: Phase) -> None:
        if self.phase is not Phase.END:
            self.phase, self._since, self._got, self._around = phase, self.loop.time(), 0, 0

    def _look(self) -> None:
        """Every beat: is this connection still worth its place?"""
        beats = QUIET if self.phase is Phase.NOTHING and self.line.written == self._settled else 1
        self._watch = self.loop.call_later(beats * self._patience.beat, self._look)
        now = self.loop.time()
        if self._is_stuck(now):
            log.info("%s is cut off: it does not take its answer", self._who)
            self.line.abort()
        elif self.phase is Phase.HEAD:
            self._look_at_head(now)
        elif self.phase is Phase.BODY:
            self._look_at_body(now)
        elif self.phase is Phase.END and now - self._since > self._patience.linger_seconds:
            self.line.hang_up()

    def _is_stuck(self, now: float) -> bool:
        """Whether the client has taken too little of what waits for it."""
        if self.line.written == self._settled:  # as at most looks; to ask the transport costs more than all the rest
            return False
        if self.line.get_write_buffer_size() == 0:
            self._stuck, self._settled = None, self.line.written
        elif self._stuck is None:
            self._stuck = now, self.line.taken
        else:
            since, taken = self._stuck
            if now - since > self._patience.stall_seconds:
                self._stuck = now, self.line.taken
                return self.line.taken - taken < self._patience.rate * (now - since)
        return False

    def _look_at_head(self, now: float) -> None:
        if self._is_working:  # on the request before this one: it is we who keep the client waiting
            self._since = now
        elif now - self._since <= self._patience.head_seconds:
            return
        elif self._around:
            self._refuse("request-timeout", "The headers did not arrive in time.")
        else:  # nothing was asked: nothing is answered
            self.close_gently()

    def _look_at_body(self, now: float) -> None:
        passed = now - self._since
        if self.cycle.response_complete:
            if passed > self._patience.linger_seconds:
                self.close_gently()
        elif self.flow.read_paused or self.cycle.waiting_for_100_continue:
            self._since, self._got = now, 0  # it is we who keep the client waiting
        elif passed > self._patience.stall_seconds:
            if self._got < self._patience.rate * passed:
                self._refuse("request-timeout", "The body did not arrive fast enough.")
            self._since, self._got = now, 0

    def _refuse_length(self) -> None:
        if self.phase is Phase.HEAD and not self.headers and len(self.url) > self._patience.query:
            self._refuse_address()
        else:
            self._refuse("headers-too-large", f"The headers may be {self._patience.headers} bytes long together.")

    def _refuse_address(self) -> None:
        self._refuse("uri-too-long", f"The address is too long: its query may be {self._patience.query} bytes.")

    def _refuse_nonsense(self) -> None:
        if self.phase is Phase.END:
            return
        if (
            len(self.url) > self._patience.query
        ):  # one that came in a single piece, and is longer than a URL may be parsed
            self._refuse_address()
        else:
            self._refuse("malformed-request", "This is no request in HTTP/1.1.")

    def _refuse(self, slug: str, detail: str) -> None:
        """Answer instead of the application, if nothing else is on its way to the client, and hang up."""
        own_id, status = request_id(), problems.TYPES[slug].status
        log.info("%s is cut off: %s", self._who, slug, extra={"status": status, "request_id": own_id})
        if self._is_working:
            # Of several requests in a row (a pipeline) the last is at hand here, and an earlier one is being answered.
            speaking = self.phase is not Phase.BODY or self.cycle.response_started or self.pipeline
            self.cycle.disconnected = True  # for the application the client is gone
            self.cycle.message_event.set()
            if speaking:
                self.line.abort()
                return
        if (metrics := cast("Metrics | None", self.app_state.get(SHARED))) is not None:
            metrics.answered(UNROUTED, OTHER, status, None)
        self.line.write(_answer(slug, detail, self._root, own_id))
        self.phase = Phase.BODY  # more of the request may be on its way
        self.close_gently()

    def close_gently(self) -> None:
        """Close; but while the client is still sending, say first that all is said, and take what comes for a while."""
        if self.phase is Phase.END:
            return
        sending = self.phase is Phase.BODY and self.line.can_write_eof()
        self._enter(Phase.END)
        if sending:
            self.line.write_eof()
            self.flow.resume_reading()
        else:
            self.line.hang_up()


def _answer(slug: str, detail: str, root: str, own_id: str) -> bytes:
    """A problem as it goes over the wire, of a request that nobody has read."""
    kind = problems.TYPES[slug]
    body = problems.document(kind, detail, root)
    headers = [
        (b"content-type", problems.MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body)), (b"connection", b"close"),
        (b"cache-control", b"no-store"), edge.NO_POLICY, *edge.SAFE,
        (edge.RESOURCE, b"same-origin"), (b"x-request-id", own_id.encode()),
    ]  # fmt: skip
    return STATUS_LINE[kind.status] + written(headers) + b"\r\n" + body
