"""Metrics in the text format of Prometheus: what is counted, with labels of which there is a bounded number.

With several workers each writes what it counts into files of a folder that they share (PROMETHEUS_MULTIPROC_DIR, made by
`concord serve`), and whichever is asked adds them up.
"""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client import disable_created_metrics as without_moments_of_creation
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from app.kit.db import Load

MEDIA_TYPE = CONTENT_TYPE_LATEST
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
SHARED = "metrics"
"""Under which name the state of the lifespan has them: for connections, which refuse what is no request yet."""
DISTRIBUTION = "concord-registry"
UNROUTED = "unrouted"
"""The route of what no route has answered: unknown addresses and verbs, OPTIONS."""
OTHER = "other"
VERBS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
BEAT = 1.0
"""Seconds between two looks at what is not counted but measured, where another worker may be asked for it."""
without_moments_of_creation()  # type: ignore[no-untyped-call]

GAUGES = {
    "http_requests_in_flight": "Requests that are being answered, live streams included.",
    "sse_listeners": "Clients that listen to the live stream of changes.",
    "database_connections_in_use": "Database connections that a unit of work holds.",
    "database_connections_limit": "Database connections that there may be.",
    "database_work_waiting": "Units of work that wait for a thread.",
    "kept_answers": "Answers that are kept, to be given again while nothing is written.",
    "kept_bytes": "Bytes of memory that they take.",
}


class Kept(Protocol):
    """What tells of the answers that are kept: their number, their bytes, how many were given."""

    size: int
    given: int

    def __len__(self) -> int: ...


class Metrics:
    """What an application counts. `load`, `listeners` and `kept` say how things stand, `shared` is the folder of several
    workers."""

    def __init__(
        self, *, load: Callable[[], Load], listeners: Callable[[], int], kept: Kept, shared: str | None
    ) -> None:
        self.in_flight = 0
        self._shared = shared
        self._load, self._listeners, self._kept = load, listeners, kept
        self._given = 0  # as far as they are counted
        self._own = own = CollectorRegistry()
        self._requests = Counter(
            "concord_http_requests", "Requests answered.", ("route", "method", "status"), registry=own
        )
        self._seconds = Histogram(
            "concord_http_request_duration_seconds", "From the request's head to the answer's last byte; not of streams.",
            ("route", "method"), buckets=BUCKETS, registry=own,
        )  # fmt: skip
        self._answers_given = Counter("concord_kept_answers_given", "Kept answers that were given.", registry=own)
        self._gauges = {
            name: Gauge(f"concord_{name}", about, registry=own, multiprocess_mode="livesum")
            for name, about in GAUGES.items()
        }
        self._count = cache(self._requests.labels)  # finding a child costs more than counting in it
        self._measure = cache(self._seconds.labels)

    def answered(self, route: str, method: str, status: int, seconds: float | None) -> None:
        """Count an answer. Without `seconds` it was a stream, whose end says nothing."""
        method = method if method in VERBS else OTHER
        self._count(route, method, str(status)).inc()
        if seconds is not None:
            self._measure(route, method).observe(seconds)

    def look(self) -> None:
        """Measure what is not counted as it happens."""
        load = self._load()
        kept = self._kept
        now = (self.in_flight, self._listeners(), load.in_use, load.limit, load.waiting, len(kept), kept.size)
        for gauge, value in zip(self._gauges.values(), now, strict=True):
            gauge.set(value)
        self._answers_given.inc(kept.given - self._given)
        self._given = kept.given

    async def keep_looking(self) -> None:
        """For the other workers, one of whom may be asked instead of this one. Does nothing where there are none."""
        while self._shared:
            self.look()
            await asyncio.sleep(BEAT)

    def exposed(self, facts: Iterable[Metric]) -> bytes:
        """All of it, of all workers together, and `facts`, which hold for the registry and not for a worker."""
        self.look()
        registry = self._own
        if self._shared:
            bury(Path(self._shared))
            registry = CollectorRegistry()
            MultiProcessCollector(registry, self._shared)  # type: ignore[no-untyped-call]
        told = CollectorRegistry()
        told.register(_Facts(facts))
        return generate_latest(registry) + generate_latest(told)


class _Facts(Collector):
    def __init__(self, facts: Iterable[Metric]) -> None:
        self._facts = list(facts)

    def collect(self) -> Iterable[Metric]:
        return self._facts


def facts(sequence: int | None, database: str) -> Iterator[Metric]:
    """What holds for the registry: `sequence` is None where the database does not say it."""
    yield GaugeMetricFamily("concord_database_up", "Whether the database answers.", value=sequence is not None)
    if sequence is not None:
        yield GaugeMetricFamily("concord_registry_sequence", "The number of the last write.", value=sequence)
    build = GaugeMetricFamily(
        "concord_build_info", "Which program runs, on what.", labels=("version", "python", "database")
    )
    build.add_metric((version(DISTRIBUTION), platform.python_version(), database), 1)
    yield build


def bury(folder: Path) -> None:
    """Take away what workers that are no more have measured. What they have counted stays: a counter never falls."""
    for path in folder.glob("gauge_live*_*.db"):
        worker = int(path.stem.rpartition("_")[2])
        if not _lives(worker):
            mark_process_dead(worker, str(folder))  # type: ignore[no-untyped-call]


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
