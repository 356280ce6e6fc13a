"""JSON as the registry reads it: whatever is ambiguous, or beyond reason, is refused."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

import msgspec

from app.kit.errors import Fault, Invalid, Malformed
from app.kit.records import pointer_of

MAX_DEPTH = 64
_MAX_DIGITS = 18


def parse(body: bytes) -> Any:
    """JSON (RFC 8259), strictly: UTF-8 without BOM, no key twice, no NaN, no number beyond a double or 18 digits of an
    integer, at most MAX_DEPTH levels deep. Raises Malformed, Invalid."""
    if not body.strip():
        raise Malformed(
            "The body is empty, and a JSON document is needed.",
            faults=[Fault("empty", "Send a JSON object.", pointer="")],
        )
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"The body is not UTF-8: byte {error.start} does not fit.") from None
    return parse_text(text)


def parse_text(text: str, *, called: str = "The body") -> Any:
    """The same of a text; the errors call it `called`."""
    if (found := _plain(text)) is not None:
        return found
    check_depth(text)
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int)
    except json.JSONDecodeError as error:
        raise Malformed(f"{called} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None


def _plain(text: str) -> Any:
    """A document about which there is nothing to say, read in a tenth of the time; None for any other. No key stands twice in
    it, for written again it has as many quotation marks as before."""
    if text.count("[") + text.count("{") > MAX_DEPTH or "\\u0022" in text or _LONG.search(text):
        return None
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    return found if msgspec.json.encode(found).count(b'"') == text.count('"') else None


_LONG = re.compile(rf"[0-9]{{{_MAX_DIGITS + 1}}}|[0-9][eE][+-]?[0-9]", re.ASCII)
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(r"[^\[\]{}]+")


def check_depth(text: str) -> None:
    """A limit of our own: the parser's recursion limit moves with the Python version."""
    depth = 0
    for bracket in _BRACKETS.sub("", _STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise Malformed(f"The document is nested more than {MAX_DEPTH} levels deep.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise Malformed(
            f"The key {twice[:100]!r} stands twice in one object.",
            faults=[Fault("repeated_key", "Give it once.", pointer=pointer_of([twice[:100]]))],
        )
    return document


def _constant(name: str) -> Any:
    raise Malformed(f"{name} is not JSON.")


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise Invalid(f"The number {digits[:40]} is too large.")
    return number


def _int(digits: str) -> int:
    if len(digits.lstrip("-")) > _MAX_DIGITS:
        raise Invalid(f"The number {digits[:40]} has more than {_MAX_DIGITS} digits.")
    return int(digits)
