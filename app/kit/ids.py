"""Identifiers: UUID version 7 (RFC 9562 §5.7), so that keys of one table follow the order of their making."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
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
