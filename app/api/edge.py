"""The edge: what every request passes before the application sees it, and every answer on its way out.

Going in: is it this registry that is meant, is the request of a size that is read, does its caller ask too often, is there room
for it. Going out: headers that keep browsers from misusing an answer, and a crash turned into a problem. Between the two a
deadline runs. A pure ASGI layer: a client that leaves cancels nothing in the middle of a commit.
"""

from __future__ import annotations

import asyncio
from itertools import chain

from fastapi import Request, Response
from starlette._utils import get_route_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.cors import ALLOW_ORIGIN, Cors
from app.api.limits import RateLimit, Slots
from app.api.problems import on_crash, on_registry_error
from app.api.verbs import under_prefix
from app.kit.errors import Malformed, RegistryError
from app.settings import Settings

MOST_HEADERS = 100
ALIVE = "/livez"
PROBES = (ALIVE, "/readyz")
"""Asked by what watches the process, often by its bare address: what they show depends on no name."""
DEADLINE = "deadline"
"""Under which name the state of a request has its deadline."""

RawHeaders = list[tuple[bytes, bytes]]
SAFE: RawHeaders = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin")]
POLICY, UNFRAMED = b"content-security-policy", b"frame-ancestors 'none'"
NO_POLICY = (POLICY, b"default-src 'none'; " + UNFRAMED)
"""Of an answer that says nothing itself: it is data, in which a browser has nothing to run and nothing to load."""
RESOURCE = b"cross-origin-resource-policy"
PICTURE = b"image/svg+xml"
"""Pages of any site may show a picture, as they may link to it."""


class Refused(RegistryError):
    """The request is refused for what it is, whatever it asks for. `extra["slug"]` says why."""


def take_time(request: Request) -> None:
    """Let this request take as long as it needs until its answer begins: it moves very much in or out."""
    deadline: asyncio.Timeout | None = request.scope.get("state", {}).get(DEADLINE)
    if deadline is not None and not deadline.expired():
        deadline.reschedule(None)


class Edge:
    """The outermost layer that knows the registry: below whatever observes it, above everything else."""

    def __init__(self, app: ASGIApp, *, settings: Settings, rate: RateLimit) -> None:
        self._app = app
        self._settings = settings
        self._rate = rate
        self._root = settings.root_path.rstrip("/")
        self._cors = Cors(settings.cors_origins)
        self._room, self._aside = (
            Slots(settings.max_requests, "As many requests are being worked on as this server takes at once.")
            for _ in range(2)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        exchange = Exchange(scope, receive, send, self._cors)
        try:
            if (preflight := self._cors.preflight(scope)) is not None:
                await exchange.answer(Response(status_code=204, headers=preflight))
                return
            self._check(scope)
            # Who asks whether the process is alive is never told to wait: too busy is alive, and no reason to be ended.
            alive = scope["path"].endswith(ALIVE) and get_route_path(self._seen(scope)) == ALIVE
            exchange.say({} if alive else self._rate.count(scope))
            await exchange.run(self._app, self._aside if alive else self._room, self._settings.deadline_seconds)
        except Exception as error:
            if exchange.begun:  # too late to say so: a stream that breaks has no end, which every client sees
                raise
            request = Request(self._seen(scope))
            respond = on_registry_error if isinstance(error, RegistryError) else on_crash
            await exchange.answer(await respond(request, error))

    def _check(self, scope: Scope) -> None:
        """Raises Refused, or Malformed."""
        limit = self._settings.max_query_bytes
        if len(scope["query_string"]) > limit:
            raise Refused(f"The query may be {limit} bytes long.", slug="uri-too-long")
        limit, headers = self._settings.max_header_bytes, scope["headers"]
        if len(headers) > MOST_HEADERS or sum(map(len, chain.from_iterable(headers))) > limit:
            raise Refused(f"There may be {MOST_HEADERS} headers, of {limit} bytes together.", slug="headers-too-large")
        if trusted := self._settings.trusted_hosts:
            insist_on_host(self._seen(scope), trusted)

    def _seen(self, scope: Scope) -> Scope:
        """The request as those see it who ask for it under a proxy's prefix."""
        return under_prefix(scope, self._root) if self._root else scope


def insist_on_host(scope: Scope, trusted: tuple[str, ...]) -> None:
    """Raises Refused for a request that was meant for another server (RFC 9110 §7.4): somebody has pointed that name here, or
    wants a cache to keep our answer under it. Raises Malformed where two hosts are named."""
    if get_route_path(scope) in PROBES:
        return
    given = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
    if len(given) > 1:
        raise Malformed("The header host is given twice.")
    name = _without_port(given[0]) if given else ""
    if not any(name == host or (host.startswith("*.") and name.endswith(host[1:])) for host in trusted):
        raise Refused("This registry does not answer under the name that was asked for.", slug="misdirected-request")


def _without_port(host: str) -> str:
    return host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]


class Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, cors: Cors) -> None:
        self.begun = False
        self._scope = scope
        self._receive = receive
        self._send = send
        self._cors = cors
        self._said: RawHeaders = []
        self._work: Work | None = None

    def say(self, headers: dict[str, str]) -> None:
        """Add these headers to the answer, whatever it will be."""
        self._said += [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def answer(self, response: Response) -> None:
        await response(self._scope, self._receive, self.send)

    async def run(self, app: ASGIApp, room: Slots, seconds: float) -> None:
        """Let the application answer. Raises Busy where there is no room for one more, Refused when it has not begun to within
        `seconds`."""
        work = Work(room, seconds)
        work.begin()
        deadline = self._scope["state"][DEADLINE] = work.deadline
        try:
            async with deadline:
                self._work = work
                await app(self._scope, self.receive, self.send)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise Refused(_late(self._scope["method"], seconds), slug="timed-out") from None
        finally:
            self._work = None
            work.end()

    async def receive(self) -> Message:
        """The next piece of the request."""
        if self.begun or self._work is None:
            return await self._receive()
        self._work.pause()
        message = await self._receive()
        if self._work is not None and not self.begun:
            self._work.resume()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            if self._work is not None:
                self._work.pause()
            message = {**message, "headers": self._dressed(message["status"], list(message.get("headers", ())))}
        await self._send(message)

    def _dressed(self, status: int, headers: RawHeaders) -> RawHeaders:
        given = dict(headers)
        policy = given.get(POLICY)
        if policy is None and status != 304:  # which would take the policy away from the copy that the client has
            headers.append(NO_POLICY)
        elif policy is not None and b"frame-ancestors" not in policy:
            headers[headers.index((POLICY, policy))] = (POLICY, policy + b"; " + UNFRAMED)
        shared = ALLOW_ORIGIN in given or given.get(b"content-type") == PICTURE
        headers += [*SAFE, (RESOURCE, b"cross-origin" if shared else b"same-origin"), *self._said]
        if self._cors.is_on:
            headers += [(b"vary", b"Origin"), *self._cors.headers(self._scope, given)]
        return headers


def _late(method: str, seconds: float) -> str:
    told = f"There was no answer within {seconds:g} seconds. "
    if method in ("GET", "HEAD"):
        return told + "Nothing was changed by this request."
    return told + "It may still be stored: read the record before you send this again."


class Work:
    """What a request costs the server until its answer begins: a place among those that are worked on, and time, which is
    limited. Neither while it waits for its client to send the next piece: a hundred slow clients are not at work, and how
    slow one may be is for the server to say (`protocol.py`)."""

    def __init__(self, room: Slots, seconds: float) -> None:
        self.deadline = asyncio.timeout(seconds)
        self._room = room
        self._seconds = seconds
        self._at_work = False
        self._limited = True

    def begin(self) -> None:
        """Raises Busy."""
        self._room.take()
        self._at_work = True

    def pause(self) -> None:
        self._limited = self.deadline.when() is not None
        if self._limited and not self.deadline.expired():
            self.deadline.reschedule(None)
        self.end()

    def resume(self) -> None:
        self._room.taken += 1  # it was let in before
        self._at_work = True
        if self._limited and not self.deadline.expired():
            self.deadline.reschedule(asyncio.get_running_loop().time() + self._seconds)

    def end(self) -> None:
        if self._at_work:
            self._room.give_back()
            self._at_work = False
