"""Identifiers: UUID version 7 (RFC 9562 §5.7), so that keys of one table follow the order of their making."""

from __future__ import annotations

import os
from datetime import datetime
from uuid import UUID


def new_id(moment: datetime) -> UUID:
    """A UUIDv7 for `moment` (aware): 48 bits of milliseconds, then 74 random bits."""
    milliseconds = int(moment.timestamp() * 1000)
    random = int.from_bytes(os.urandom(10))
    high = milliseconds << 16 | 0x7000 | random >> 68 & 0x0FFF
    low = 0x8000_0000_0000_0000 | random & 0x3FFF_FFFF_FFFF_FFFF
    return UUID(int=high << 64 | low)
