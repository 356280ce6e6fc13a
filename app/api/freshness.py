"""Freshness: answers that are kept, and given again only while nothing was written since. In front of the routes.

An answer is kept under the number that a probe of the registry showed *before* its rows were read, and is given to a request
only if a probe that was sent *after that request arrived* shows the same number. So whoever was told of a write, by whichever
process, never gets what was before it: a kept answer is exactly as fresh as a new one, and no time is set after which it
expires. What is kept is bounded in bytes, and the least recently used goes first. What is asked for the first time is not kept
yet: who walks through the whole registry does not push out what everybody reads.

Only what the routes themselves would answer is kept, byte for byte, and only answers with an entity-tag that others may see as
well: those are made of the registry's state and of the day, and of nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import conditional, sequences
from app.api.observed import name_span
from app.auth.policy import ANYBODY, Caller
from app.kit.db import Database
from app.kit.errors import Malformed
from app.kit.probes import Probe

NOT_ANSWERED_AGAIN = frozenset(
    (b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"range", b"last-event-id")
)
"""Headers of requests that are more than a question for what is there."""
ACCEPT, AUTHORIZATION, HOST = b"accept", b"authorization", b"host"
KNOWN, SEEN = b"if-none-match", b"registry-sequence"
READ_ONCE = frozenset((
    ACCEPT, AUTHORIZATION, HOST, KNOWN, SEEN, b"origin", b"content-type", b"change-reason", b"idempotency-key",
))  # fmt: skip
"""Headers that a route may read, or refuse when they come twice."""
SHARED = b"no-cache"
"""The Cache-Control of what may be kept, and must be revalidated: by us as by everybody else."""
BESIDE = 600
"""About the bytes that an entry takes beside what is in it."""
NEWCOMERS = 8_192
"""So many addresses that were asked for once are remembered."""
CALLERS = 1_024

Headers = list[tuple[bytes, bytes]]


class State(NamedTuple):
    """What a kept answer was made of: the registry as the probe of an era showed it, and the day."""

    era: int
    number: Hashable
    day: date


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be answered with what is kept."""

    address: tuple[Hashable, ...]
    secret: bytes | None
    known: bytes | None
    seen: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer, the state that it shows, and what the layers around would otherwise learn from its route."""

    status: int
    headers: Headers
    body: bytes
    tag: str
    route: str
    sequence: int
    state: State

    @property
    def size(self) -> int:
        return BESIDE + len(self.body) + sum(len(name) + len(value) + 100 for name, value in self.headers)


class Present:
    """The state that the registry is in, as a probe of it shows: of whichever database the application has at the moment."""

    def __init__(self, database: Callable[[], Database], store: Store) -> None:
        self._current = database
        self._store = store
        self._database: Database | None = None
        self._probe: Probe | None = None
        self._era = 0

    async def state(self) -> State | None:
        """The state, for those who asked before; None where it is not known at the moment."""
        probe, era = self._asked(), self._era
        number = await probe.state()
        return None if number is None else State(era, number, self.now().date())

    def confirm(self, state: State, then: Callable[[], object], otherwise: Callable[[], object]) -> None:
        """Call `then`, soon, if this is the state for who asks now, and `otherwise` if it is not: see `Probe.when_known`."""
        self._asked().when_known(partial(self._compare, state, then, otherwise))

    def now(self) -> datetime:
        """The moment, as the registry's clock has it."""
        return (self._database or self._current()).clock()

    def end(self) -> None:
        """Keep nothing, and ask no more."""
        if self._probe is not None:
            self._probe.close()
        self._database = self._probe = None
        self._era += 1  # what is still being made of that database says so
        self._store.clear()

    def _asked(self) -> Probe:
        database = self._current()
        if self._probe is None or database is not self._database:
            self.end()
            self._database, self._probe = database, database.probe()
        return self._probe

    def _compare(
        self, state: State, then: Callable[[], object], otherwise: Callable[[], object], number: Hashable | None
    ) -> None:
        is_same = state.number == number and state.era == self._era and state.day == self.now().date()
        (then if is_same else otherwise)()


class Freshness:
    """The layer. Where nothing may be in the store it does nothing."""

    def __init__(self, app: ASGIApp, *, present: Present, store: Store) -> None:
        self._app = app
        self._present = present
        self._store = store
        self._callers: OrderedDict[bytes, tuple[Caller, State]] = OrderedDict()
        self._rendering: dict[Hashable, asyncio.Future[Kept | None]] = {}
        self._is_on = store.most > 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            self._present.end()
            return
        asked = _asked(scope) if self._is_on and scope["method"] == "GET" else None
        if asked is None or self._store.is_new(asked.address):
            await self._app(scope, receive, send)
            return
        state = await self._present.state()
        if state is None:
            await self._app(scope, receive, send)
            return
        await self._answer(asked, state, scope, receive, send)

    async def _answer(self, asked: Asked, state: State, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._caller(asked, state, scope)
        if caller is None:  # its route will find out who it is
            await self._render(asked, state, scope, receive, send)
            return
        key = (asked.address, caller.role)
        kept = self._find(key, asked, state, scope)
        if kept is None and (rendering := self._rendering.get((key, asked.known, state))) is not None:
            kept = await asyncio.shield(rendering)  # begun under the number that this request's own probe has shown
        if kept is None or not _is_enough(kept, asked, scope):
            await self._render(asked, state, scope, receive, send, key)
            return
        self._store.given += 1
        scope["state"].update(route=kept.route, caller=caller, kept=kept)
        name_span(scope, kept.route)
        await send({"type": "http.response.start", "status": kept.status, "headers": kept.headers})
        await send({"type": "http.response.body", "body": kept.body})

    def _find(self, key: Hashable, asked: Asked, state: State, scope: Scope) -> Kept | None:
        """The answer to this request that is kept under this state."""
        if asked.known is not None and (known := self._store.find((key, asked.known), state)) is not None:
            return cast(Kept, known)
        kept = cast("Kept | None", self._store.find((key, None), state))
        if kept is None or asked.known is None or not conditional.unchanged(Request(scope), kept.tag):
            return kept
        return None  # 304: what else that says its route knows

    async def _render(
        self, asked: Asked, state: State, scope: Scope, receive: Receive, send: Send, key: Hashable = None
    ) -> None:
        """Let the routes answer, and keep it. Those who ask the same meanwhile, under the same state, wait for it."""
        flight = (key, asked.known, state)
        rendering: asyncio.Future[Kept | None] = asyncio.get_running_loop().create_future()
        alone = key is None or flight in self._rendering
        if not alone:
            self._rendering[flight] = rendering

        def settle(answer: _Capture | None) -> None:
            if not rendering.done():
                rendering.set_result(None if answer is None else self._keep(asked, state, scope, answer))
                if not alone:
                    del self._rendering[flight]

        try:
            await self._app(scope, receive, _Capture(send, settle).send)
        finally:
            settle(None)  # it broke off

    def _keep(self, asked: Asked, state: State, scope: Scope, capture: _Capture) -> Kept | None:
        kept, caller = capture.kept(scope, state), scope["state"].get("caller")
        if kept is None or caller is None or not _is_of(kept, state, scope):
            return None
        if asked.secret is not None:
            if caller.until is None:  # the issuer of its token is not watched by the probe
                return None
            self._callers[asked.secret] = caller, state
            self._callers.move_to_end(asked.secret)
            if len(self._callers) > CALLERS:
                self._callers.popitem(last=False)
        key = (asked.address, caller.role)
        self._store.keep((key, asked.known if kept.status == NOT_MODIFIED else None), kept)
        return kept

    def _caller(self, asked: Asked, state: State, scope: Scope) -> Caller | None:
        """Who asks, where that is known without asking the database, and who asks may read at all."""
        app: Any = scope["app"]
        if asked.secret is None:
            return ANYBODY if app.state.settings.public_read else None
        if app.state.database.replica is not None:  # keys are looked up elsewhere than the state is
            return None
        caller, since = self._callers.get(asked.secret, (None, None))
        if caller is None or since != state or caller.until is None or caller.until <= self._present.now():
            return None
        self._callers.move_to_end(asked.secret)
        return caller


NOT_MODIFIED = 304


def _asked(scope: Scope) -> Asked | None:
    """What a request asks for; None for one that is left to the routes: it is no plain question, or is ambiguous, so that they
    may refuse it."""
    told: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in READ_ONCE:
            if name in told:
                return None
            told[name] = value
        elif name in NOT_ANSWERED_AGAIN:
            return None
    address = (
        scope["path"], scope["query_string"], told.get(ACCEPT), told.get(HOST), scope["scheme"], scope.get("head"),
    )  # fmt: skip
    secret = told.get(AUTHORIZATION)
    return Asked(
        address,
        None if secret is None else hashlib.sha256(secret).digest(),
        told.get(KNOWN),
        SEEN in told or KNOWN in told,
    )


def _is_of(kept: Kept, state: State, scope: Scope) -> bool:
    """Whether it shows this state. Where there is a replica, the probe and the rows may come from different sides."""
    if scope["app"].state.database.replica is None:
        return True
    number, *_ = cast("tuple[int, ...]", state.number)
    return kept.sequence == number


def _is_enough(kept: Kept, asked: Asked, scope: Scope) -> bool:
    """Whether it is no older than what the client has seen, elsewhere: behind a replica that may be newer than what this side
    has. False also for a request that tells it in a way that a route refuses."""
    if not asked.seen:
        return True
    try:
        seen = sequences.seen(Request(scope))
    except Malformed:
        return False
    return scope["app"].state.database.replica is None or (seen.number <= kept.sequence and not seen.newer)


class _Capture:
    """An answer on its way out. What it is worth is settled before any of it is sent, for its client may take it slowly: it has
    come whole, or it is none to keep, or a stream, whose end nobody else waits for."""

    def __init__(self, send: Send, settle: Callable[[_Capture | None], None]) -> None:
        self._send = send
        self._settle = settle
        self._start: Message | None = None
        self._headers: dict[bytes, bytes] = {}
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._headers = dict(message["headers"])
            if self._is_kind(message["status"]):
                self._start = message  # which waits for what comes behind it
                return
            self._settle(None)
        elif self._start is not None:
            self._body = message.get("body", b"")
            self._settle(None if message.get("more_body") else self)
            start, self._start = self._start, None
            await self._send(start)
        await self._send(message)

    def _is_kind(self, status: int) -> bool:
        """Whether it is of a kind that is kept."""
        headers = self._headers
        return status in (200, NOT_MODIFIED) and b"etag" in headers and headers.get(b"cache-control") == SHARED

    def kept(self, scope: Scope, state: State) -> Kept | None:
        """What was sent, where it is known which state it shows, and that another reading would show the same."""
        shared = scope["state"]
        if self._start is None or "sequence" not in shared or "newest" in shared:
            return None
        return Kept(
            self._start["status"], list(self._start["headers"]), self._body, self._headers[b"etag"].decode("latin-1"),
            shared["route"], shared["sequence"], state,
        )  # fmt: skip


class Entry(Protocol):
    """What a store may keep: the bytes that it takes, and the state that it was made of."""

    @property
    def size(self) -> int: ...

    @property
    def state(self) -> State: ...


def weight(key: Hashable) -> int:
    """About the bytes that a key takes: clients say how long addresses and headers are."""
    if isinstance(key, tuple):
        return 60 + sum(map(weight, key))
    return 60 + (len(key) if isinstance(key, str | bytes) else 0)


class Store:
    """Answers, the least recently used of which goes when there are more than `most` bytes of them. `given`: how many were
    given to somebody again."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: OrderedDict[Hashable, Entry] = OrderedDict()
        self._sizes: dict[Hashable, int] = {}
        self.newcomers: set[int] = set()
        self.size = 0
        self.given = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: Hashable, state: State) -> Entry | None:
        """What is kept under this key, if it was made under this state."""
        found = self.look_up(key)
        return found if found is not None and found.state == state else None

    def look_up(self, key: Hashable) -> Entry | None:
        """What is kept under this key, of whatever state."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: Hashable, kept: Entry) -> None:
        if self._kept.pop(key, None) is not None:
            self.size -= self._sizes.pop(key)
        self._kept[key] = kept
        self._sizes[key] = size = kept.size + weight(key)
        self.size += size
        while self.size > self.most:
            oldest, _ = self._kept.popitem(last=False)
            self.size -= self._sizes.pop(oldest)

    def is_new(self, address: Hashable) -> bool:
        """Whether this is asked for the first time, as far as anybody remembers."""
        number = hash(address)
        if number in self.newcomers:
            return False
        if len(self.newcomers) >= NEWCOMERS:
            self.newcomers.clear()
        self.newcomers.add(number)
        return True

    def clear(self) -> None:
        """Keep nothing of what is kept."""
        self._kept.clear()
        self._sizes.clear()
        self.size = 0

    def forget(self) -> None:
        """Begin anew."""
        self.clear()
        self.newcomers.clear()
