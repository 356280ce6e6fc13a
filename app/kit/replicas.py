"""A streaming replica of PostgreSQL that readings go to, as long as it answers and is not far behind."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import URL

from app.kit.sides import Side

FAR_BEHIND = 10.0
"""Seconds: a replica that has not yet what the primary had so long ago is left alone."""
STEP = 1.0
"""Seconds between two comparisons."""
_SEQUENCE = sa.text("SELECT seq FROM clock")


class Replica(Side):
    """`late` while it is far behind the primary: by the numbers of the sequence, since the moment of what it has replayed
    says nothing where nobody writes, or where the stream has broken off."""

    def __init__(self, primary: Side, url: str | URL, *, pool_size: int) -> None:
        super().__init__("replica", url, pool_size=pool_size)
        if not (self.postgresql and primary.postgresql):
            raise ValueError(
                "A replica is a PostgreSQL server that follows another: both addresses begin with postgresql://"
            )
        self._primary = primary
        self.late = False
        self._heard: deque[tuple[float, int]] = deque()
        self._next = 0.0
        self.looks = (self.look, self.compare)

    def failed(self, error: Exception) -> None:
        """Any failure to talk to it will do, as there is another side: nobody after this one tries in vain."""
        if isinstance(error, exc.DBAPIError) and (error.connection_invalidated or error.statement is None):
            self.leave()

    def compare(self) -> None:
        """Whether it has what the primary had some time ago. While the primary does not answer nothing new is known."""
        now = time.monotonic()
        if self.away or self._primary.away or now < self._next:
            return
        self._next = now + STEP
        with suppress(exc.DBAPIError, exc.TimeoutError):
            self._heard.append((now, _sequence(self._primary)))
            long_ago = [number for at, number in self._heard if at <= now - FAR_BEHIND]
            while len(self._heard) > 1 and self._heard[1][0] <= now - FAR_BEHIND:
                self._heard.popleft()
            self.late = bool(long_ago) and _sequence(self) < long_ago[-1]


def _sequence(side: Side) -> int:
    with side.reading() as connection:
        return int(connection.execute(_SEQUENCE).scalar() or 0)
