"""Measures: the tables of one kind of database, what grew, and which targets were met."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import log
from pathlib import Path

from app.kit import records
from tests.benchmarks import promises, registries, rounds, streams
from tests.benchmarks.questions import QUESTIONS, THOROUGH, Pace, Question, Times, ask, subject
from tests.benchmarks.registries import Place
from tests.benchmarks.rounds import Bout
from tests.benchmarks.streams import Flow
from tests.benchmarks.tables import Say, mark, row

IMPORTED = 100_000
"""Rows of the longest file that is imported."""
FLOWING = 1.15
"""The exponent that a stream may have: each row costs the same."""
MEGABYTE = 1_048_576
MOST_GROWN = 150
"""Megabytes by which the process may grow that exports, whatever the size."""
SERVED = 100_000
"""Organizations of the largest registry that is asked over HTTP."""
PARTS = ("questions", "exports", "imports", "http")


@dataclass(frozen=True, slots=True)
class Way:
    """How it is measured: which parts, how often a question is asked, what runs a stream (its verb, form, URL, file), and how
    long servers are asked."""

    parts: Sequence[str] = PARTS
    pace: Pace = THOROUGH
    run: Callable[..., Flow] = streams.run
    bout: Bout = field(default_factory=Bout)


def measure(place: Place, folder: Path, sizes: Sequence[int], say: Say, way: Way) -> bool:
    """Print the tables of one kind of database. Whether nothing grew faster than it may."""
    urls = {size: registries.registry(place, folder, size) for size in sizes}
    say(f"\n### {place.kind}\n")
    disk = ", ".join(f"{size:,}: {place.bytes(f'benchmark_{size}') / MEGABYTE:,.0f} MB" for size in sizes)
    say(f"On disk, by number of organizations: {disk}.")
    well: list[bool] = []
    if "questions" in way.parts:
        well += _questions(urls, say, way.pace)
    if "exports" in way.parts:
        well += _exports(urls, say, way.run)
    if "imports" in way.parts:
        well += _imports(place, folder, sizes, say=say, run=way.run)
    if "http" in way.parts:
        size = max(size for size in sizes if size <= SERVED)
        well += rounds.compete(place, f"benchmark_{size}", say, way.bout)
        well += promises.keep(place, f"benchmark_{size}", say, way.bout)
    return all(well)


# --- questions --------------------------------------------------------------------------------------------------------


def _questions(urls: dict[int, str], say: Say, pace: Pace) -> Iterator[bool]:
    """Of each question whether it grew as it may; its row is printed on the way."""
    databases = [records.open_database(url, pool_size=1) for url in urls.values()]
    about = [subject(database, size) for database, size in zip(databases, urls, strict=True)]
    sizes = list(urls)
    say("\n" + row("milliseconds: median (least)", *(f"{size:,}" for size in sizes), "exponent", "at most", "target"))
    say(row(":--", *["--:"] * (len(sizes) + 2), ":--"))
    for question in QUESTIONS:
        times = ask(question, about, pace)
        grown = list(exponents(sizes, [time.least for time in times]))
        well = all(exponent <= question.growth for exponent in grown)
        medians = (f"{time.median:.2f} ({time.least:.2f})" for time in times)
        target = _verdict(question, dict(zip(sizes, times, strict=True)))
        say(row(question.name, *medians, _shown(grown), _bound(question.growth, well=well), target))
        yield well
    for database in databases:
        database.close()


def exponents(sizes: Sequence[int], values: Sequence[float]) -> Iterator[float]:
    """From each size to the next: log(t2/t1) / log(n2/n1). 0 is the same time, 1 is so many times more."""
    for (n1, t1), (n2, t2) in pairwise(zip(sizes, values, strict=True)):
        yield log(t2 / t1) / log(n2 / n1)


def _verdict(question: Question, times: dict[int, Times]) -> str:
    """Which targets there are, and whether they are met."""
    said = []
    for size, factor in ((100_000, 1), (1_000_000, 2)):
        if question.target is not None and size in times:
            most = question.target * factor
            said.append(f"{mark(times[size].median <= most)} {most:g} ms at {size:,}")
    if question.level and len(times) > 1:
        smallest, largest = times[min(times)].median, times[max(times)].median
        said.append(f"{mark(largest <= 2 * smallest)} twice the smallest")
    return ", ".join(said)


# --- streams ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stream:
    """A row of the table of streams."""

    name: str
    flows: Sequence[Flow]
    bounded: bool  # whether its memory may not grow with the registry


def _exports(urls: dict[int, str], say: Say, run: Callable[..., Flow]) -> Iterator[bool]:
    sizes = list(urls)
    _headed(sizes, say)
    for form in streams.FORMS:
        flows = [run("export", form, url) for url in urls.values()]
        yield _told(Stream(f"export as {form}", flows, bounded=True), sizes, say)


def _imports(place: Place, folder: Path, sizes: Sequence[int], *, say: Say, run: Callable[..., Flow]) -> Iterator[bool]:
    sizes = [size for size in sizes if size <= IMPORTED]
    _headed(sizes, say)
    for form in ("ndjson", "csv"):
        flows = []
        for size in sizes:
            path = streams.written(folder, form, size)
            flows.append(run("import", form, registries.empty(place, "benchmark_import"), str(path)))
        yield _told(Stream(f"import of {form}", flows, bounded=False), sizes, say)


def _headed(sizes: Sequence[int], say: Say) -> None:
    say("\n" + row("streams: rows/s, memory", *(f"{size:,}" for size in sizes), "exponent", "at most", "target"))
    say(row(":--", *["--:"] * (len(sizes) + 2), ":--"))


def _told(stream: Stream, sizes: Sequence[int], say: Say) -> bool:
    """Print the row of a stream."""
    grown = list(exponents(sizes, [flow.seconds for flow in stream.flows]))
    well = all(exponent <= FLOWING for exponent in grown)
    shown = (f"{flow.rate:,.0f}/s, {_megabytes(flow)}" for flow in stream.flows)
    most = stream.flows[-1].grown
    target = f"{mark(most <= MOST_GROWN * MEGABYTE)} {MOST_GROWN} MB" if stream.bounded and most is not None else ""
    say(row(stream.name, *shown, _shown(grown), _bound(FLOWING, well=well), target))
    return well


def _megabytes(flow: Flow) -> str:
    return "?" if flow.grown is None else f"+{flow.grown / MEGABYTE:,.0f} MB"


# --- rows -------------------------------------------------------------------------------------------------------------


def _shown(grown: Sequence[float]) -> str:
    return ", ".join(f"{exponent:.2f}" for exponent in grown)


def _bound(most: float, *, well: bool) -> str:
    return f"{most:g} {mark(well)}"
