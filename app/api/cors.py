"""Pages of other sites: what a browser must be told so that they may use the registry (the CORS protocol of Fetch).

No cookie and no other credential that a browser adds by itself means anything to the registry, so it never allows any. A page
that writes sends its key by its own script; only sites that the operator names may do that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.types import Scope

ANY = b"*"
READING = ("GET, HEAD", "Accept, If-None-Match, Last-Event-ID, Registry-Sequence, X-Request-ID, traceparent")
ALL = (
    "GET, HEAD, POST, PUT, PATCH, DELETE",
    "Accept, Authorization, Change-Reason, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, "
    "Registry-Sequence, X-Request-ID, traceparent",
)
EXPOSED = (
    b"ETag, Link, Location, Allow, Accept-Patch, Accept-Post, Content-Disposition, Retry-After, RateLimit, RateLimit-Policy, "
    b"Deprecation, Sunset, WWW-Authenticate, Registry-Sequence, X-Request-ID, Idempotent-Replayed"
)
"""What a page may read of an answer's headers, beside the few that it always may."""
MAX_AGE = 600
ALLOW_ORIGIN = b"access-control-allow-origin"


class Cors:
    """The sites whose pages may use the registry. Without any, nothing is said to anybody."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._named = frozenset(origin.encode() for origin in origins) - {ANY}
        self._any = ANY.decode() in origins
        self.is_on = bool(origins)

    def headers(self, scope: Scope, given: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        """What every answer says, refusals included. (`given`: what it says by itself; some routes are open to all sites
        always.) A cache must know that answers differ by Origin also where this says nothing: `Edge` adds Vary to all."""
        if ALLOW_ORIGIN in given or (allowed := self._allowed(scope)) is None:
            return []
        return [(ALLOW_ORIGIN, allowed), (b"access-control-expose-headers", EXPOSED)]

    def preflight(self, scope: Scope) -> dict[str, str] | None:
        """The answer to a browser that asks what a page may send; None where this is no such question, or one for a site that
        may nothing: that is answered as any OPTIONS."""
        if scope["method"] != "OPTIONS" or header(scope, b"access-control-request-method") is None:
            return None
        if (allowed := self._allowed(scope)) is None:
            return None
        methods, names = READING if allowed == ANY else ALL
        return {"Access-Control-Allow-Methods": methods, "Access-Control-Allow-Headers": names,
                "Access-Control-Max-Age": str(MAX_AGE)}  # fmt: skip

    def _allowed(self, scope: Scope) -> bytes | None:
        origin = header(scope, b"origin")
        if origin in self._named:
            return origin
        return ANY if self._any else None


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of this name (lower case), as it came."""
    return next((value for known, value in scope["headers"] if known == name), None)
