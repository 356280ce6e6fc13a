"""The benchmark in its smallest form, so that it cannot rot: that it runs and what it prints, not how fast anything is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks import load, rounds
from tests.benchmarks.contests import CONTESTS
from tests.benchmarks.measures import PARTS, Way, exponents, measure
from tests.benchmarks.questions import BRISK, QUESTIONS
from tests.benchmarks.registries import Place, empty, registry
from tests.benchmarks.rounds import Bout
from tests.benchmarks.streams import FORMS, flow, run, written

IN_PROCESS = [part for part in PARTS if part != "http"]
SHORT = Bout(rounds=1, seconds=0.1, warming=0.02, rows=20, contests=[CONTESTS[6], CONTESTS[-2]], tool=load.here)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where registries may be built."""
    where: str = str(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgresql")
    return Place(request.param, where)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_benchmark_measures_every_question_and_every_stream(place: Place, tmp_path: Path) -> None:
    said: list[str] = []
    measure(place, tmp_path, [200, 2000], say(said), Way(parts=IN_PROCESS, pace=BRISK, run=flow))
    rows = [cells(line) for line in said if line.startswith("| ")]
    wanted = [question.name for question in QUESTIONS]
    wanted += [f"export as {form}" for form in FORMS] + [f"import of {form}" for form in ("ndjson", "csv")]
    assert [row[0] for row in rows if row[1] not in ("200", "--:")] == wanted
    assert all(len(row) == 6 for row in rows)
    assert (tmp_path / f"{place.kind}_2000.made").is_file()


def say(said: list[str]) -> Callable[[str], None]:
    return lambda text: said.extend(text.strip().split("\n"))


def test_three_servers_answer_the_same_requests_and_refuse_none(place: Place, tmp_path: Path) -> None:
    registry(place, tmp_path, 200)
    said: list[str] = []
    list(rounds.compete(place, "benchmark_200", say(said), SHORT))
    rows = [cells(line) for line in said if line.startswith("| ")][2:]
    assert [row[0] for row in rows][:2] == [contest.name for contest in SHORT.contests]
    assert len(rows) == 4
    for row in rows:
        assert min(float(rate.replace(",", "")) for rate in row[1:4]) > 0
        assert row[-2] == "0"
        assert "errors" not in row[-1]


def test_a_stream_in_a_process_of_its_own_tells_what_it_took(tmp_path: Path) -> None:
    url = empty(Place("sqlite", str(tmp_path)), "benchmark_import")
    told = run("import", "csv", url, str(written(tmp_path, "csv", 50)))
    assert told.rows == 50
    assert told.rate > 0


def test_growth_is_an_exponent() -> None:
    assert list(exponents([1_000, 100_000, 1_000_000], [2.0, 2.0, 20.0])) == pytest.approx([0.0, 1.0])
