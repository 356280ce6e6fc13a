"""Outlines: what the document of a record looks like, in eight characters that are stored beside it (the column `shape`).

Four of them name the fields that it has, four say which of these hold something (base 32 of RFC 4648, a bit a field). So what
is to be told of a record can be put behind its document without reading it, and a page of fifty is sent as it was stored.

Documents from before that was so, and those of more fields than twenty, have a plain shape of eight hexadecimal digits: of
them it is read what they hold.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import astuple

FIELDS = 20
"""So many bits have four characters of base 32."""
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class Outline(NamedTuple):
    """What a shape tells: whether the document has the fields that its noun has today, and which of them hold something (None:
    it does not tell)."""

    is_todays: bool
    stated: tuple[str, ...] | None


class Outlines:
    """The outlines of a noun whose documents have the fields `names` beside the common ones."""

    def __init__(self, names: Sequence[str]) -> None:
        digest = hashlib.sha256(",".join(names).encode())
        self.plain = digest.hexdigest()[:8]
        self._names = tuple(names)
        self._kind = b32encode(digest.digest())[:4].decode() if len(names) <= FIELDS else None
        self._reader = msgspec.json.Decoder(
            msgspec.defstruct("Fields", [(name, Any, None) for name in names], gc=False)
        )
        self.read = lru_cache(4096)(self._read)

    def of(self, values: Mapping[str, Any]) -> str:
        """The shape of a document that has these values in its fields."""
        if self._kind is None:
            return self.plain
        held = 0
        for n, name in enumerate(self._names):
            held |= holds(values[name]) << n
        return (
            f"{self._kind}{_DIGITS[held >> 15]}{_DIGITS[held >> 10 & 31]}{_DIGITS[held >> 5 & 31]}{_DIGITS[held & 31]}"
        )

    def _read(self, shape: str) -> Outline:
        if shape == self.plain:
            return Outline(is_todays=True, stated=None)
        if self._kind is None or len(shape) != len(self.plain) or not shape.startswith(self._kind):
            return Outline(is_todays=False, stated=None)
        held = 0
        for digit in shape[len(self._kind) :]:
            if digit not in _DIGITS:
                return Outline(is_todays=True, stated=None)
            held = held << 5 | _DIGITS.index(digit)
        return Outline(is_todays=True, stated=tuple(name for n, name in enumerate(self._names) if held >> n & 1))

    def stated(self, document: str | bytes) -> tuple[str, ...]:
        """The fields of a document that hold something. (It is read as a structure of just these, which takes half the time of
        a dictionary of all.)"""
        values = zip(self._names, astuple(self._reader.decode(document)), strict=True)
        return tuple([name for name, value in values if holds(value)])


def holds(value: Any) -> bool:
    """Whether a field states something: null and what is empty do not; 0 and false are statements."""
    return bool(value) or value == 0
