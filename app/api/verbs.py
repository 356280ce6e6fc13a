"""HEAD, OPTIONS and Allow for every address, and the prefix of a proxy: what HTTP promises beside the routes' own verbs.

A pure ASGI layer, so that a client that leaves cancels nothing in the middle of a commit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fastapi import FastAPI, Request
from fastapi.routing import iter_route_contexts
from starlette._utils import get_route_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import on_registry_error
from app.api.strict import check_path
from app.kit.errors import RegistryError


class Verbs:
    """The verbs of every path, as the routes have them."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._rows: list[tuple[re.Pattern[str], set[str]]] | None = None
        self._plain: dict[str, set[str]] = {}

    def allowed(self, scope: Scope) -> list[str]:
        """The verbs of the path in `scope`, of all routes together; empty where nothing has this path."""
        path = get_route_path(scope)
        if self._rows is None:
            self._rows = list(self._collect())
        verbs = self._plain.get(path) or {
            verb for pattern, verbs in self._rows if pattern.match(path) for verb in verbs
        }
        if not verbs:
            return []
        return sorted(verbs | {"OPTIONS"} | ({"HEAD"} if "GET" in verbs else set()))

    def _collect(self) -> Iterable[tuple[re.Pattern[str], set[str]]]:
        """The patterns of all paths with their verbs; those of paths without parameters are kept apart, for one of them may
        look like a parameter of another path."""
        for route in iter_route_contexts(self._app.routes):
            verbs = set(route.methods or {"GET"})
            if route.path and "{" not in route.path:
                self._plain.setdefault(route.path, set()).update(verbs)
            yield route.path_regex, verbs


class VerbsLayer:
    """Refuses a path that cannot be read, whatever it leads to; answers OPTIONS, runs HEAD as GET without its body, and
    takes the proxy's prefix off the path."""

    def __init__(self, app: ASGIApp, *, verbs: Verbs, root_path: str) -> None:
        self._app = app
        self._verbs = verbs
        self._root = root_path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._root:
            scope = under_prefix(scope, self._root)
        if scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET", "head": True}, _without_body(send)
        try:
            check_path(scope)
        except RegistryError as error:
            response = await on_registry_error(Request(scope), error)
            await response(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and (verbs := self._verbs.allowed(scope)):
            await send({"type": "http.response.start", "status": 204, "headers": _allow(verbs)})
            await send({"type": "http.response.body"})
        else:
            await self._app(scope, receive, send)


def under_prefix(scope: Scope, root: str) -> Scope:
    """The path with the prefix `root` exactly once, whether the proxy has stripped it or not (ASGI wants it in `path`)."""
    path: str = scope["path"]
    if path != root and not path.startswith(root + "/"):
        path = root + path
    return {**scope, "path": path, "root_path": root}


def _allow(verbs: list[str]) -> list[tuple[bytes, bytes]]:
    patch = [(b"accept-patch", b"application/merge-patch+json, application/json")] if "PATCH" in verbs else []
    return [(b"allow", ", ".join(verbs).encode()), *patch]


def _without_body(send: Send) -> Send:
    async def head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return head
