"""Content negotiation (RFC 9110 §12.5.1): which of the forms that an address has the client likes best."""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.requests import Request

from app.kit.errors import NotAcceptable

VARY = {"Vary": "Accept"}
_RANGE = re.compile(r"\s*([\w!#$&^.+*-]+)/([\w!#$&^.+*-]+)\s*((?:;[^;]*)*)$", re.ASCII)
_QUALITY = re.compile(r";\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*$", re.IGNORECASE | re.ASCII)
_LONGEST = 4_000


def preferred(request: Request, offered: Sequence[str]) -> str:
    """The media type of `offered` with the highest quality, the earlier of equals; the first without the header or with one
    that cannot be read. Raises NotAcceptable where the client wants none of them."""
    header = ",".join(request.headers.getlist("accept"))
    ranges = [found for part in header.split(",") if (found := _range(part))] if len(header) <= _LONGEST else []
    if not ranges:
        return offered[0]
    quality = {kind: _quality(kind, ranges) for kind in offered}
    best = max(offered, key=lambda kind: quality[kind])  # the first of equals
    if quality[best] == 0:
        raise NotAcceptable(
            f"This is here as {', '.join(offered)}, and as nothing else.", slug="not-acceptable", offered=list(offered)
        )
    return best


def _range(part: str) -> tuple[str, str, float] | None:
    match = _RANGE.fullmatch(part)
    if match is None:
        return None
    found = _QUALITY.search(match[3])
    return match[1].lower(), match[2].lower(), float(found[1]) if found else 1.0


def _quality(kind: str, ranges: Sequence[tuple[str, str, float]]) -> float:
    """The quality of the most specific range that `kind` falls into; 0 where there is none."""
    main, sub = kind.split("/")
    fitting = [(a != "*", b != "*", q) for a, b, q in ranges if a in (main, "*") and b in (sub, "*")]
    return max(fitting, default=(False, False, 0.0))[2]
