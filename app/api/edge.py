"""The edge: what every request passes before the application sees it, and every answer on its way out.

Going in: is it this registry that is meant, is the request of a size that is read, does its caller ask too often. Going out:
headers that keep browsers from misusing an answer, and a crash turned into a problem. A pure ASGI layer: a client that leaves
cancels nothing in the middle of a commit.
"""

from __future__ import annotations

from itertools import chain

from fastapi import Request, Response
from starlette._utils import get_route_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.cors import ALLOW_ORIGIN, Cors
from app.api.limits import RateLimit
from app.api.problems import on_crash, on_registry_error
from app.api.verbs import under_prefix
from app.kit.errors import Malformed, RegistryError
from app.settings import Settings

MOST_HEADERS = 100
ALIVE = "/livez"
PROBES = (ALIVE, "/readyz")
"""Asked by what watches the process, often by its bare address: what they show depends on no name."""

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


class Edge:
    """The outermost layer that knows the registry: below whatever observes it, above everything else."""

    def __init__(self, app: ASGIApp, *, settings: Settings, rate: RateLimit) -> None:
        self._app = app
        self._settings = settings
        self._rate = rate
        self._root = settings.root_path.rstrip("/")
        self._cors = Cors(settings.cors_origins)

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
            await self._app(scope, receive, exchange.send)
        except Exception as error:
            request = Request(self._seen(scope))
            if exchange.begun:  # too late to say so: a stream that breaks has no end, which every client sees
                if "error_id" not in scope["state"]:
                    await on_crash(request, error)
                raise
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

    def say(self, headers: dict[str, str]) -> None:
        """Add these headers to the answer, whatever it will be."""
        self._said += [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def answer(self, response: Response) -> None:
        await response(self._scope, self._receive, self.send)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
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
