"""Proofs: tests that try to break the registry, in a short form with every run of the tests and in full with `make prove`.

A proof asks for the fixture `proof`, is marked with what it proves (`@pytest.mark.proves("R4")`; `database=` where it is about
one kind alone), and says what it counted and timed. `make prove` writes all of that into docs/reliability.md.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

FIGURE = "figure"
"""Under which name a report of pytest carries one."""
STANDSTILL = {"s": 10.0, "ms": 10_000.0}
"""For so long a machine that is busy with other things may let a test wait, however little the test has to do."""
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


@dataclass(frozen=True)
class Figure:
    """A number, what it counts or measures, and the bound that it must keep."""

    proves: str
    about: str
    database: str
    value: float
    unit: str
    at_most: float | None
    at_least: float | None

    @property
    def is_kept(self) -> bool:
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )


class Proof:
    """How much this run tries, and where it writes what came out."""

    def __init__(self, request: pytest.FixtureRequest, *, full: bool) -> None:
        self.full = full
        self._node = request.node
        marker = request.node.get_closest_marker("proves")
        if marker is None:
            raise ValueError('a proof says what it proves: @pytest.mark.proves("R4")')
        self._proves = str(marker.args[0])
        callspec = getattr(request.node, "callspec", None)
        either = str(callspec.params.get("server", "")) if callspec is not None else ""
        self._database = str(marker.kwargs.get("database", either))

    def rounds(self, short: int, full: int) -> int:
        """How often: `short` in `make test`, `full` in `make prove`."""
        return full if self.full else short

    def count(self, about: str, value: int, *, at_most: int | None = None, at_least: int | None = None) -> None:
        """Write down something counted. Raises AssertionError where the bound does not hold."""
        figure = self._note(about, value, "", at_most, at_least)
        assert figure.is_kept, f"{about}: {value}"

    def measure(
        self, about: str, value: float, unit: str, *, at_most: float | None = None, at_least: float | None = None
    ) -> None:
        """Write down something measured. Machines are noisy, and in `make test` others use this one as well: there ten times as
        bad will do, and some seconds that everything stood still, so that only what has gone wrong altogether fails. With
        `make prove` the bound itself has to hold."""
        slack, pause = (1.0, 0.0) if self.full else (10.0, STANDSTILL.get(unit, 0.0))
        figure = self._note(about, value, unit, at_most, at_least)
        lenient = (at_most is None or value <= at_most * slack + pause) and (
            at_least is None or value >= at_least / slack
        )
        assert lenient, f"{about}: {value:g} {unit}, bound {figure.at_most or figure.at_least}"

    def _note(self, about: str, value: float, unit: str, at_most: float | None, at_least: float | None) -> Figure:
        figure = Figure(self._proves, about, self._database, value, unit, at_most, at_least)
        self._node.user_properties.append((FIGURE, json.dumps(asdict(figure))))
        return figure


def figures(reports: Iterable[pytest.TestReport]) -> list[Figure]:
    """What the tests have written down."""
    found = [
        Figure(**json.loads(str(value)))
        for report in reports
        for name, value in report.user_properties
        if name == FIGURE
    ]
    return sorted(found, key=lambda figure: (_rank(figure.proves), figure.about, figure.database))


def _rank(proves: str) -> tuple[str, int]:
    letters, digits = re.fullmatch(r"(\D*)(\d*).*", proves, re.DOTALL).groups()  # type: ignore[union-attr]
    return letters, int(digits or 0)


HEAD = ("| proof | what | SQLite | PostgreSQL | bound | on, at commit |", "|---|---|--:|--:|---|---|")


def rows(found: Iterable[Figure], when: str) -> list[str]:
    """Figures as rows of a table in Markdown, a database a column."""
    told: dict[tuple[str, str], dict[str, Figure]] = {}
    for figure in found:
        told.setdefault((figure.proves, figure.about), {})[figure.database] = figure
    lines = []
    for (proves, about), by_database in told.items():
        either = by_database.get("")
        shown = [_shown(by_database.get(name, either)) for name in ("sqlite", "postgresql")]
        bound = _bound(next(iter(by_database.values())))
        lines.append(f"| {proves} | {about} | {' | '.join(shown)} | {bound} | {when} |")
    return lines


def _shown(figure: Figure | None) -> str:
    if figure is None:
        return ""
    number = (
        f"{figure.value:,.0f}" if figure.value == int(figure.value) or figure.value >= 100 else f"{figure.value:.3g}"
    )
    return f"{number} {figure.unit}".strip() + ("" if figure.is_kept else " ✗")


def _bound(figure: Figure) -> str:
    parts = [
        f"{sign} {bound:,g}" for sign, bound in (("≤", figure.at_most), ("≥", figure.at_least)) if bound is not None
    ]
    return " and ".join(parts)


def write(page: Path, found: list[Figure]) -> None:
    """Put the figures into `page`, between its two marks. Rows of what did not run stay, and say when they did; so does what
    was found on the database that was not asked this time."""
    before, _, rest = page.read_text().partition(BEGIN)
    known, _, after = rest.partition(END)
    told = {_about(line): line for line in known.splitlines() if line.startswith("| ") and line != HEAD[0]}
    for line in rows(found, f"{datetime.now(UTC):%Y-%m-%d}, {_commit()}"):
        told[_about(line)] = _with_cells_of(told.get(_about(line)), line)
    lines = sorted(told.values(), key=lambda line: (_rank(_about(line)[0]), _about(line)))
    page.write_text("\n".join([before + BEGIN, *HEAD, *lines, END]) + after)


def _about(line: str) -> tuple[str, str]:
    _, proves, about, *_ = line.split("|")
    return proves.strip(), about.strip()


def _with_cells_of(before: str | None, line: str) -> str:
    """The row with what the one before says of a database that it says nothing of."""
    cells, known = line.split("|"), (before or line).split("|")
    return "|".join(old if not cell.strip() else cell for cell, old in zip(cells, known, strict=True))


def _commit() -> str:
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"
