"""Conditional requests (RFC 9110 §13): entity-tags made of version numbers, never of clocks or hashes.

A record's tag is `"v7"`. Where the answer also shows what other records say, it is `"v7.s1042"` (s: the registry's
sequence), and with `.d<day>` where the calendar has a say too. A list's is `"s1042"`. If-Match looks at the v part only.
"""

from __future__ import annotations

import re

from starlette.requests import Request

from app.kit.errors import Fault, Invalid, Malformed
from app.kit.records import ANYTHING, Expected

_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)|\s*,')
_VERSION = re.compile(r"v([1-9][0-9]{0,17})(?:\.[sd][0-9]+)*", re.ASCII)
_LONGEST = 4_000
PATTERN = r'^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$'
"""What If-Match may be, for those who describe it."""


def etag(
    version: int | None = None, sequence: int | None = None, day: str | None = None, form: str | None = None
) -> str:
    """The entity-tag of what these numbers determine, in one of the `form`s that an address has."""
    parts = (
        f"v{version}" if version is not None else "",
        f"s{sequence}" if sequence is not None else "",
        f"d{day}" if day else "",
        form or "",
    )
    return '"' + ".".join(part for part in parts if part) + '"'


def expected(request: Request) -> Expected:
    """The versions that If-Match accepts; None without the header. A weak tag matches nothing (RFC 9110 §13.1.1).
    Raises Malformed."""
    header = _header(request, "if-match")
    return None if header is None else versions(header)


def versions(header: str) -> Expected:
    """The versions that an If-Match of this value accepts. Raises Malformed."""
    if header.strip() == "*":
        return ANYTHING
    tags = _tags(header)
    if tags is None:
        fault = Fault("if_match", 'It is * or a list of entity-tags such as "v7".', parameter="If-Match")
        raise Malformed('If-Match is neither * nor a list of entity-tags such as "v7".', faults=[fault])
    matches = (_VERSION.fullmatch(tag) for weak, tag in tags if not weak)
    return frozenset(int(match[1]) for match in matches if match)


def expected_in(text: str | None, pointer: str) -> Expected:
    """The same, from the field of a body at `pointer`: `7`, `"v7"`, a list of such tags, or `*`. Raises Invalid."""
    if text is None or text == "*":
        return None if text is None else ANYTHING
    try:
        found = versions(f'"v{text}"' if text.isascii() and text.isdigit() else text)
    except Malformed:
        found = frozenset()
    if not found or found == ANYTHING:
        raise Invalid.at(pointer, "if_match", 'It is a version such as 7, an ETag such as "v7", or *.')
    return found


def creates(request: Request) -> bool:
    """Whether If-None-Match: * says that nothing may be there yet. Raises Malformed for anything else in it."""
    header = _header(request, "if-none-match")
    if header is not None and header.strip() != "*":
        fault = Fault("if_none_match", "With PUT it is *.", parameter="If-None-Match")
        raise Malformed("With PUT, If-None-Match can only be *: create, if nothing is there.", faults=[fault])
    return header is not None


def unchanged(request: Request, tag: str) -> bool:
    """Whether the client has this very answer already: 304. A header that cannot be read is as if it was not there."""
    header = _header(request, "if-none-match")
    if header is None:
        return False
    return header.strip() == "*" or any(f'"{known}"' == tag for _, known in _tags(header) or ())


def known(request: Request) -> list[str]:
    """The opaque tags of If-None-Match, weak or not: proxies that compress weaken them."""
    return [tag for _, tag in _tags(_header(request, "if-none-match") or "") or ()]


def _header(request: Request, name: str) -> str | None:
    wanted = name.encode()
    values = [value.decode("latin-1") for known, value in request.scope["headers"] if known == wanted]
    return ", ".join(values) if values else None


def _tags(header: str) -> list[tuple[bool, str]] | None:
    """The list of (weak, opaque tag) in a header; None where it is no such list."""
    found: list[tuple[bool, str]] = []
    position = 0
    while position < len(header):
        match = _TAG.match(header, position)
        if match is None or len(header) > _LONGEST:
            return None
        if match[2] is not None:
            found.append((match[1] is not None, match[2]))
        position = match.end()
    return found or None
