"""Promises: what no round shows. Many writers on several workers, the start, and a worker that has nothing to do."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import load, processes
from tests.benchmarks.contests import CLIENTS, creations
from tests.benchmarks.load import Load
from tests.benchmarks.processes import scratch
from tests.benchmarks.registries import Place
from tests.benchmarks.rounds import Bout
from tests.benchmarks.tables import Say, mark, row

WORKERS = 4
LOCKED = b"database is locked"
MEGABYTE = 1_048_576
STARTS = 5
RECORD = "/v1/organizations/oecd"
"""In the seed."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A row: what was found, and the most that it may be."""

    about: str
    value: float | None
    most: float
    unit: str = ""

    @property
    def is_kept(self) -> bool:
        return self.value is not None and self.value <= self.most


def keep(place: Place, name: str, say: Say, bout: Bout) -> Iterator[bool]:
    """Of each promise whether it is kept; the rows are printed on the way. `name`: the registry that is written to."""
    say("\n" + row("promise", "found", "at most"))
    say(row(":--", "--:", ":--"))
    with scratch() as folder:
        for promise in (*_writers(place, folder, name, bout), *_start(place, folder, bout)):
            found = "?" if promise.value is None else f"{promise.value:,.3g}{promise.unit}"
            say(row(promise.about, found, f"{mark(promise.is_kept)} {promise.most:g}{promise.unit}"))
            yield promise.is_kept


def _writers(place: Place, folder: Path, name: str, bout: Bout) -> Iterator[Promise]:
    """Every client creates records, and each worker has a writer of its own."""
    log, file = folder / "workers.log", folder / "requests"
    several = Load(file, load.write(creations(), file), CLIENTS)
    with (
        place.copied(name, "benchmark_http") as url,
        processes.concord(url, "--no-seed", "--workers", str(WORKERS), log=log, settings=bout.settings) as process,
    ):
        answered = bout.tool(several, process.port, bout.seconds * bout.rounds)
    who = f"{CLIENTS} clients create on {WORKERS} workers"
    yield Promise(f"{who}: refused, of {answered.answered:,}", answered.errors, 0)
    yield Promise(f"{who}: “{LOCKED.decode()}” in the log", log.read_bytes().count(LOCKED), 0)


def _start(place: Place, folder: Path, bout: Bout) -> Iterator[Promise]:
    """Started again and again on the seeded registry, looking for its schema and seed each time, as it does by itself."""
    seconds, busy, memory = [], [], None
    with place.blank("benchmark_seeded") as url:
        for turn in range(STARTS + 1):
            with processes.concord(url, log=folder / "start.log", probe=RECORD, settings=bout.settings) as process:
                if turn:  # the first one makes the schema and loads the seed
                    seconds.append(process.seconds)
                    busy.append(processes.cpu(process.pid))
                if turn == STARTS:
                    time.sleep(bout.seconds)
                    memory = processes.memory(process.pid)
    about = f"from the start to the first record, seeded ({statistics.median(busy):.2f} s of a core)"
    yield Promise(about, statistics.median(seconds), 1.5, " s")
    yield Promise("memory of an idle worker (PSS)", None if memory is None else memory / MEGABYTE, 120, " MB")
