"""Clients of a server in processes of its own, each on a line that it keeps: many of them cost little, so that the server is
what is kept busy."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.support.wire import AUTHORIZED, Answer

T = TypeVar("T")
Json = dict[str, Any]
IDLE = 2.0
"""Seconds after which a line is made anew: the server hangs up on one that nobody uses for five, perhaps just now."""


@dataclass
class Caller:
    """A client of 127.0.0.1. Where its line breaks it raises OSError or HTTPException, and calls anew the next time."""

    port: int
    timeout: float = 60
    _line: http.client.HTTPConnection | None = field(default=None, repr=False)
    _last: float = field(default=0.0, repr=False)

    def ask(self, method: str, target: str, body: Json | bytes | None = None, **headers: str) -> Answer:
        """The answer to one request. `If_Match="*"` is the header If-Match."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        kind = {"Content-Type": "application/json"} if isinstance(body, dict) else {}
        given = kind | {name.replace("_", "-"): value for name, value in headers.items()}
        if time.monotonic() - self._last > IDLE:
            self.close()
        self._last = time.monotonic()
        line = self._line = self._line or http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        try:
            line.request(method, target, data, AUTHORIZED | given)
            answer = line.getresponse()
            return Answer(answer.status, [(name.lower(), value) for name, value in answer.getheaders()], answer.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def get(self, target: str) -> Any:
        """The JSON at an address that answers 200."""
        answer = self.ask("GET", target)
        assert answer.status == 200, answer
        return answer.json()


@dataclass(frozen=True)
class Served:
    """A registry that is served: the address of its database, and the port."""

    url: str
    port: int


class Crowd:
    """So many callers, each on a thread of its own, who can be let go together."""

    def __init__(self, port: int, size: int) -> None:
        self._callers = [Caller(port) for _ in range(size)]
        self._threads = ThreadPoolExecutor(size)
        self._barrier = threading.Barrier(size)

    def at_once(self, work: Callable[[Caller, int], T]) -> list[T]:
        """What `work(caller, n)` returns to each of them."""

        def begin(n: int) -> T:
            self._barrier.wait(timeout=30)
            return work(self._callers[n], n)

        return list(self._threads.map(begin, range(len(self._callers))))

    def close(self) -> None:
        self._threads.shutdown()
        for caller in self._callers:
            caller.close()


def walk_changes(caller: Caller, after: int, noun: str | None = None) -> list[Json]:
    """Every change behind a number, until there are no more."""
    found: list[Json] = []
    while True:
        page = caller.get(f"/v1/changes?after={after}&limit=200" + (f"&noun={noun}" if noun else ""))
        found += page["items"]
        if len(page["items"]) < 200:
            return found
        after = page["items"][-1]["sequence"]


def sequence(caller: Caller) -> int:
    """The number of the last write."""
    return int(str(caller.ask("GET", "/v1/changes?limit=1").header("registry-sequence")))
