"""Identifiers: UUID version 7 (RFC 9562 §5.7), so that keys of one table follow the order of their making."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime
from random import Random
from uuid import UUID


def new_id(moment: datetime) -> UUID:
    """A UUIDv7 for `moment` (aware): 48 bits of milliseconds, then 74 random bits."""
    milliseconds = int(moment.timestamp() * 1000)
    random = int.from_bytes(os.urandom(10))
    high = milliseconds << 16 | 0x7000 | random >> 68 & 0x0FFF
    low = 0x8000_0000_0000_0000 | random & 0x3FFF_FFFF_FFFF_FFFF
    return UUID(int=high << 64 | low)


_RANDOM_BITS = 74


def series(moment: datetime) -> Iterator[UUID]:
    """UUIDv7s for `moment`, each greater than the one before (RFC 9562 §6.2, monotonic random): rows that are stored one behind
    the other then also follow each other in every index of their keys."""
    milliseconds = int(moment.timestamp() * 1000)
    number = int.from_bytes(os.urandom(10)) >> 80 - _RANDOM_BITS + 1  # the highest bit is left to count
    while True:
        for step in memoryview(os.urandom(4096)).cast("I"):
            number += step + 1
            yield UUID(int=milliseconds << 80 | 0x7 << 76 | number >> 62 << 64 | 0x2 << 62 | number & (1 << 62) - 1)


def request_id() -> str:
    """The text of a UUIDv7 for this moment. Every request has one, whatever becomes of it: so it is made cheaply, and may be
    guessed."""
    low = f"{_CHANCE.getrandbits(62) | 1 << 63:016x}"
    moment = f"{time.time_ns() // 1_000_000:012x}"
    return f"{moment[:8]}-{moment[8:]}-7{_CHANCE.getrandbits(12):03x}-{low[:4]}-{low[4:]}"


_CHANCE = Random(os.urandom(32))  # noqa: S311
