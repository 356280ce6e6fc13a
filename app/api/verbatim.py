"""The same request, word for word, while nothing was written: its connection gives the answer again, and asks no application.

What every layer between a connection and the kept answers adds depends on how the request reads, who sends it and how the
server is set. So an answer that went out whole is an answer to every request that reads the same, from the same address, as
long as the registry is in the same state. New each time are its id, its trace and the date; it is counted and leaves its line
in the log as every other. An answer of which more would differ (of a caller whose requests are counted) is not given so.

It is the part of freshness that needs no task, and no more: what is not found here is answered as without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.types import Scope

from app.api.freshness import BESIDE, Kept, Present, State, Store
from app.api.logs import Asked, Standing
from app.api.observed import TRACEPARENT, X_REQUEST_ID, Notes
from app.auth.policy import ANYBODY

VERBATIM = "verbatim"
"""Under which name the state of the lifespan has them: for connections."""
OF_ITS_OWN = frozenset((X_REQUEST_ID, TRACEPARENT))
"""Headers of requests and of answers that differ each time."""
SECRET = frozenset((b"authorization", b"proxy-authorization", b"cookie"))
NOT_TOLD = OF_ITS_OWN | SECRET
COUNTED = b"ratelimit"
LONGEST = 128
"""Bytes of a name that a client gives to a request. A longer one counts as any other header does."""
WORDS = "words"
"""Under which name the state of a request has how it reads."""

Headers = list[tuple[bytes, bytes]]


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

    def find(self, scope: Scope) -> Said | None:
        """What was said to this request when it came last. It is an answer to it only if `confirm` says so."""
        if not self._store.most or scope["method"] != "GET":
            return None
        asked = scope["state"][WORDS] = words(scope)
        found = self._store.look_up(asked)
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
        # As it came, before a layer read it in another way. None where no connection looks for it.
        asked = scope["state"].get(WORDS)
        if asked is None or "fastapi.telemetry" in scope or not _is_plain(headers, kept.status):
            return
        if self._store.is_new(asked):
            return
        head = written(header for header in headers if header[0] not in OF_ITS_OWN)
        caller = scope["state"]["caller"]
        size = BESIDE + len(head) + len(kept.body)
        said = Said(
            kept.status, head, kept.body, kept.route, fields, self._notes.standing(fields),
            None if caller is ANYBODY else caller.until, kept.state, size,
        )  # fmt: skip
        self._store.keep(asked, said)

    def note(self, said: Said, asked: Asked, seconds: float) -> None:
        """Note that it was said once more, to whom."""
        self._store.given += 1
        self.given += 1
        self._notes.note(asked, said.route, "GET", said.status, seconds, said.fields, standing=said.line)


def written(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as they go over the wire."""
    return b"".join([name + b": " + value + b"\r\n" for name, value in headers])


def words(scope: Scope) -> Hashable:
    """How a request reads, and where it comes from and goes to. Of what may be a secret only a fingerprint is in it."""
    headers, client = scope["headers"], scope["client"]
    told = [header for header in headers if header[0] not in NOT_TOLD]
    if len(told) != len(headers):
        told += [
            (name, hashlib.sha256(value).digest()) for name, value in headers if name in SECRET or len(value) > LONGEST
        ]
    return scope["raw_path"], scope["query_string"], client and client[0], scope["server"], scope["scheme"], *told


def _is_plain(headers: Headers, status: int) -> bool:
    """Whether it is sent as one piece of a length that is told, and nothing in it is counted."""
    names = {name for name, _ in headers}
    return COUNTED not in names and (b"content-length" in names or status == 304)
