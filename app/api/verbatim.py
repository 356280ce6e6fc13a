"""The same request, word for word, while nothing was written: its connection gives the answer again, and asks no application.

What every layer between a connection and the kept answers adds depends on how the request reads, who sends it and how the
server is set. So an answer that went out whole is an answer to every request that reads the same, from the same address, as
long as the registry is in the same state. New each time are its id, its trace and the date; it is counted and leaves its line
in the log as every other. An answer of which more would differ (of a caller whose requests are counted) is not given so.

A request is known by its bytes, before anybody reads them: as far as they came in one piece, as most do, and make one request.
It is the part of freshness that needs no parser and no task, and no more: what is not found here is answered as without it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from starlette.types import Scope

from app.api.freshness import BESIDE, Kept, Present, State, Store
from app.api.logs import Asked, Standing
from app.api.observed import TRACEPARENT, X_REQUEST_ID, Notes
from app.auth.policy import ANYBODY

VERBATIM = "verbatim"
"""Under which name the state of the lifespan has them: for connections."""
OF_ITS_OWN = frozenset((X_REQUEST_ID, TRACEPARENT))
"""Headers of requests and of answers that differ each time."""
COUNTED = b"ratelimit"
LONGEST = 8_192
"""Bytes of a request that may be known by them."""
WORDS = "words"
"""Under which name the state of a request has how it reads."""
_NAMES = re.compile(rb"\r\n(" + b"|".join(OF_ITS_OWN) + rb"): ?([!-~]{1,128})(?=\r\n)", re.IGNORECASE)
"""A name that a client gives to its request, as it is sent."""

Headers = list[tuple[bytes, bytes]]


class Words(NamedTuple):
    """How a request reads: what it is known by, and the names that its client gives to it."""

    key: Hashable
    names: Headers


@dataclass(frozen=True, slots=True)
class Said:
    """What was said: the headers and the body as they are sent, and what is noted of it. `until`: when its caller's key opens
    nothing any more."""

    status: int
    head: bytes
    body: bytes
    route: str
    fields: Mapping[str, Any]
    line: Standing | None
    until: datetime | None
    state: State
    size: int


class Verbatim:
    """Finds and learns what was said. `notes`: where each answer is noted. `given`: how many were given again."""

    def __init__(self, *, present: Present, store: Store, notes: Notes) -> None:
        self._present = present
        self._store = store
        self._notes = notes
        self.given = 0

    def read(self, data: bytes, origin: Hashable) -> Words | None:
        """How these bytes read, which came in one piece from this `origin`, if an answer to them may be known."""
        if not (self._store.most and data.startswith(b"GET ") and data.endswith(b"\r\n\r\n") and len(data) <= LONGEST):
            return None
        names = [(name.lower(), value) for name, value in _NAMES.findall(data)]
        told = _NAMES.sub(b"", data) if names else data
        return Words((origin, hashlib.sha256(told).digest()), names)  # no secret is kept

    def find(self, words: Words) -> Said | None:
        """What was said to this when it came last. It is an answer to it only if `confirm` says so."""
        found = self._store.look_up(words.key)
        return found if isinstance(found, Said) else None

    def confirm(self, said: Said, then: Callable[[], object], otherwise: Callable[[], object]) -> None:
        """Call `then`, soon, if this is still what would be said, and `otherwise` if it is not."""
        if said.until is None or said.until > self._present.now():
            self._present.confirm(said.state, then, otherwise)
        else:
            otherwise()

    def learn(self, scope: Scope, headers: Headers, fields: Mapping[str, Any]) -> None:
        """Remember a kept answer that was given, and how it went out: from the second time on that it reads so."""
        kept: Kept = scope["state"]["kept"]
        words: Words | None = scope["state"].get(WORDS)  # none where no connection looks for it
        if words is None or "fastapi.telemetry" in scope or not _is_plain(headers, kept.status):
            return
        if words.names != [header for header in scope["headers"] if header[0] in OF_ITS_OWN]:
            return  # its names are written in a way that is read here otherwise than there
        if self._store.is_new(words.key):
            return
        head = written(header for header in headers if header[0] not in OF_ITS_OWN)
        caller = scope["state"]["caller"]
        size = BESIDE + len(head) + len(kept.body)
        said = Said(
            kept.status, head, kept.body, kept.route, fields, self._notes.standing(fields),
            None if caller is ANYBODY else caller.until, kept.state, size,
        )  # fmt: skip
        self._store.keep(words.key, said)

    def note(self, said: Said, asked: Asked, seconds: float) -> None:
        """Note that it was said once more, to whom."""
        self._store.given += 1
        self.given += 1
        self._notes.note(asked, said.route, "GET", said.status, seconds, said.fields, standing=said.line)


def written(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as they go over the wire."""
    return b"".join([name + b": " + value + b"\r\n" for name, value in headers])


def _is_plain(headers: Headers, status: int) -> bool:
    """Whether it is sent as one piece of a length that is told, and nothing in it is counted."""
    names = {name for name, _ in headers}
    return COUNTED not in names and (b"content-length" in names or status == 304)
