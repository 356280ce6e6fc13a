"""What of the registry a client has seen, and what an answer shows: numbers of its sequence (header Registry-Sequence).

With a replica two servers answer, and one is always a little behind. A client that sends back what it was told never sees an
older state than that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from app.api import conditional
from app.kit.db import Transaction
from app.kit.errors import Fault, Malformed

HEADER = "Registry-Sequence"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
HIGHEST = 10**18 - 1
_STATE = re.compile(r"(?:^|\.)s([0-9]{1,18})(?:\.|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest state that a client has seen: that of `number`, or a `newer` one: a version says not since when it stands."""

    number: int = 0
    newer: bool = False


def seen(request: Request) -> Seen:
    """What the headers Registry-Sequence and If-None-Match tell. Raises Malformed for a Registry-Sequence that is no number."""
    told = request.scope.get("state", {}).get("sequence", 0)  # before, this very request
    if not any(name in (b"registry-sequence", b"if-none-match") for name, _ in request.scope["headers"]):
        return Seen(told)
    numbers, newer = [told], False
    given = request.headers.getlist(HEADER)
    if given:
        if len(given) > 1 or not _NUMBER.fullmatch(given[0]):
            raise Malformed(
                f"{HEADER} is a number that the registry has told you.",
                faults=[Fault("number", "A whole number of at most 18 digits.", parameter=HEADER)],
            )
        numbers.append(int(given[0]))
    for tag in conditional.known(request):
        state = _STATE.search(tag)
        newer = newer or (state is None and tag.startswith("v"))
        numbers += [int(state[1])] if state else []
    return Seen(max(numbers), newer)


def note(request: Request, transactions: Sequence[Transaction]) -> None:
    """Remember which state the last of these showed, for the answer."""
    number = transactions[-1].number if transactions else None
    if number is not None:
        state = request.scope.setdefault("state", {})
        state["sequence"] = max(number, state.get("sequence", 0))


def shown(request: Request) -> dict[str, str]:
    """The header that says which state the answer shows, where that is known."""
    number = request.scope.get("state", {}).get("sequence")
    return {} if number is None else {HEADER: str(number)}
