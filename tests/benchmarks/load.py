"""The load: many clients, each on a connection that it keeps, each sending its next request when the last is answered.

wrk makes it where it is on PATH; elsewhere this file does, in a process of its own:

    python -m tests.benchmarks.load PORT CLIENTS SECONDS FILE FIRST

prints one JSON object: what was sent, answered and refused, and how long answers took in milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection, HTTPResponse
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import httptools
import uvloop

from app.settings import HOME

SCRIPT = Path(__file__).with_suffix(".lua")
PATIENCE = 900.0
"""Seconds that an answer may take: the longest is that to a file of a hundred thousand rows."""
REFUSED = 400
"""From this status on an answer is an error."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, as bytes."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def raw(self) -> bytes:
        headers = [("Host", "127.0.0.1"), *self.headers]
        if self.body:
            headers.append(("Content-Length", str(len(self.body))))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        return f"{self.method} {self.target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + self.body


def ask_once(port: int, request: Request) -> tuple[HTTPResponse, bytes]:
    """One answer, and its body."""
    line = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    line.request(request.method, request.target, request.body or None, dict(request.headers))
    answer = line.getresponse()
    body = answer.read()
    line.close()
    return answer, body


def tag(port: int, target: str) -> str:
    """The entity-tag of what is there."""
    return ask_once(port, Request("GET", target))[0].headers["ETag"]


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a load. `p50` and `p99` are milliseconds."""

    sent: int
    answered: int
    seconds: float
    errors: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        return self.answered / self.seconds


@dataclass(slots=True)
class Load:
    """Requests that are sent in turn, from the first to the last and again; each run begins where the one before ended."""

    file: Path
    count: int
    clients: int
    sent: int = 0

    @property
    def is_used_up(self) -> bool:
        """Whether some request was sent twice."""
        return self.sent > self.count


def write(requests: Iterable[Request], file: Path) -> int:
    """Write requests down as the tools read them; how many there are."""
    count = 0
    with file.open("wb") as written:
        for count, request in enumerate(requests, 1):  # noqa: B007  # the last is their number
            raw = request.raw()
            written.write(b"%d\n" % len(raw) + raw)
    return count


Tool = Callable[[Load, int, float], Answered]
"""What sends a load to the server at a port for so many seconds."""


def wrk(load: Load, port: int, seconds: float) -> Answered:
    told = f"-t1 -c{load.clients} -d{max(1, round(seconds))}s --timeout {PATIENCE:.0f}s -s".split()
    return _said(["wrk", *told, str(SCRIPT), f"http://127.0.0.1:{port}", "--", str(load.file), str(load.sent)])


def own(load: Load, port: int, seconds: float) -> Answered:
    words = (str(port), str(load.clients), str(seconds), str(load.file), str(load.sent))
    return _said([sys.executable, "-m", "tests.benchmarks.load", *words])


def here(load: Load, port: int, seconds: float) -> Answered:
    """In this process: it begins at once."""
    return uvloop.run(_ask(port, load.clients, seconds, read(load.file), load.sent))


def tool() -> Tool:
    """The one to be used."""
    return own if shutil.which("wrk") is None else wrk


def _said(command: Sequence[str]) -> Answered:
    said = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=True)
    return Answered(**json.loads(said.stdout.splitlines()[-1]))


# --- where there is no wrk --------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What all clients have seen."""

    sent: int = 0
    errors: int = 0
    times: list[float] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether there was an answer, or a line was lost."""


class Client(asyncio.Protocol):
    """A client: one connection, one request at a time."""

    def __init__(self, requests: Iterator[bytes], tally: Tally) -> None:
        self._requests, self._tally = requests, tally
        self._parser: Any = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._ask()

    def _ask(self) -> None:
        self._tally.sent += 1
        self._begun = time.perf_counter()
        self._transport.write(next(self._requests))

    def connection_lost(self, _: Exception | None) -> None:
        self._tally.begun.set()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._tally.times.append((time.perf_counter() - self._begun) * 1000)
        self._tally.begun.set()
        self._tally.errors += self._parser.get_status_code() >= REFUSED
        self._ask()


def read(file: Path) -> list[bytes]:
    """The requests of a file."""
    found, data, at = [], file.read_bytes(), 0
    while at < len(data):
        begin = data.index(b"\n", at) + 1
        at = begin + int(data[at : begin - 1])
        found.append(data[begin:at])
    return found


async def _ask(port: int, clients: int, seconds: float, several: Sequence[bytes], first: int) -> Answered:
    """Let so many clients ask for so long, and until there is an answer."""
    tally, loop = Tally(), asyncio.get_running_loop()
    requests = islice(cycle(several), first % len(several), None)
    begun = time.perf_counter()
    made = [await loop.create_connection(lambda: Client(requests, tally), "127.0.0.1", port) for _ in range(clients)]
    await asyncio.sleep(seconds)
    await tally.begun.wait()
    passed = time.perf_counter() - begun
    lost = sum(transport.is_closing() for transport, _ in made)  # the server has hung up
    for transport, _ in made:
        transport.abort()
    p50, p99 = _percentiles(tally.times)
    return Answered(tally.sent, len(tally.times), passed, tally.errors + lost, p50, p99)


def _percentiles(times: Sequence[float]) -> tuple[float, float]:
    if len(times) < 2:
        return (times[0], times[0]) if times else (0.0, 0.0)
    cuts = statistics.quantiles(times, n=100)
    return cuts[49], cuts[98]


if __name__ == "__main__":
    port, clients, seconds, file, first = sys.argv[1:]
    found = here(Load(Path(file), 0, int(clients), int(first)), int(port), float(seconds))
    sys.stdout.write(json.dumps(asdict(found)) + "\n")
