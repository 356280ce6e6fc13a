"""A client of ordinary manners in a process of its own: asks one thing again and again, and says how long each answer took.

It shares no interpreter with a test that keeps thousands of connections busy, whose waiting would else be measured as well.
"""

from __future__ import annotations

import http.client
import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.settings import HOME
from tests.support.wire import AUTHORIZED


@dataclass
class Answered:
    """What came back: how long each answer took, in seconds, and how many had which status (0: the line was cut)."""

    seconds: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)

    @property
    def refused(self) -> int:
        """How many were not answered with 200."""
        return sum(self.statuses.values()) - self.statuses.get("200", 0)

    def percentile(self, part: float) -> float:
        """The time within which this part of the answers came, in milliseconds."""
        ranked = sorted(self.seconds)
        return 1_000 * ranked[min(len(ranked) - 1, int(part * len(ranked)))]


@contextmanager
def asking(port: int, path: str, *, pause: float = 0.01) -> Iterator[Answered]:
    """Ask while the block runs; what came back is there at its end."""
    command = [sys.executable, "-m", "tests.support.asking", str(port), path, str(pause)]
    process = subprocess.Popen(command, cwd=HOME, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    found = Answered()
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield found
    finally:
        told, _ = process.communicate(timeout=60)  # closes its stdin, which tells it to end
        found.seconds, found.statuses = json.loads(told)


def _ask(port: int, path: str, pause: float) -> tuple[list[float], dict[int, int]]:
    seconds, statuses = [], dict[int, int]()
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while not select.select([sys.stdin], [], [], pause)[0]:
        began = time.perf_counter()
        try:
            line.request("GET", path, headers=AUTHORIZED)
            answer = line.getresponse()
            answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException):
            line.close()
            status = 0
        seconds.append(time.perf_counter() - began)
        statuses[status] = statuses.get(status, 0) + 1
    return seconds, statuses


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdout.write(json.dumps(_ask(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))))
