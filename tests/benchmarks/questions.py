"""Questions: what is measured, a row each, with how much it may grow and which target it has."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from app.exchange import matching
from app.kit import records
from app.kit.db import Database, Transaction
from app.kit.filters import ListQuery
from app.registry.hits import find
from tests.benchmarks import corpus
from tests.benchmarks.registries import BUILDER, NOUNS, ORGANIZATIONS


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a question is asked: `warming` times that do not count, at least `least` that do, and up to `most` while each
    registry has not had `seconds`."""

    warming: int
    least: int
    most: int
    seconds: float


THOROUGH, BRISK = Pace(2, 7, 60, 0.4), Pace(0, 1, 1, 0)
LEVEL, LINEAR = 0.35, 1.1
"""Exponents: of what should cost the same in a large registry (an index is a level deeper there), and of what looks at all."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What the questions about one registry are about: a record in its middle, and words that are rare and common in it."""

    database: Database
    size: int
    slug: str
    name: str
    cursor: str | None
    rare: str
    common_name: str

    def read(self, work: Callable[[Transaction], Any]) -> Any:
        return self.database.read(work)

    def page(self, **asked: Any) -> Any:
        return self.read(lambda tx: records.browse(tx, ORGANIZATIONS, _query(**asked)))

    def search(self, text: str) -> Any:
        return self.read(lambda tx: find(tx, NOUNS, text, only=(), limit=20))

    def match(self, text: str) -> Any:
        return self.read(lambda tx: matching.match(tx, ORGANIZATIONS, [text], 5))


def _query(**asked: Any) -> ListQuery:
    query: ListQuery = ORGANIZATIONS.query(**asked)
    return query


def subject(database: Database, size: int) -> Subject:
    """The subject of a registry that was built of the corpus."""
    words = -(-size // corpus.SHARING)
    n = words // 2
    name = next(each for at, each in enumerate(corpus.organizations(size)) if at % 3 and at % words == n)["name"]
    c = ORGANIZATIONS.table.c
    slug = database.read(lambda tx: tx.execute(sa.select(c.slug).where(c.name == name)).scalars().first())
    return Subject(
        database,
        size,
        str(slug),
        name,
        _middle(database, size),
        corpus.rare(n).lower(),
        corpus.common_name(3 * (n // 3)),
    )


def _middle(database: Database, size: int) -> str | None:
    """The cursor of the page in the middle of the list, got as everybody gets it: page by page."""
    cursor, passed, step = None, 0, min(1000, max(1, size // 4))
    while passed < size // 2:
        query = _query().model_copy(update={"limit": step, "cursor": cursor})
        cursor = database.read(lambda tx, query=query: records.browse(tx, ORGANIZATIONS, query)).next  # type: ignore[misc]
        passed += step
    return cursor


def misspelt(name: str) -> str:
    """The name as somebody writes it who is in a hurry: in its longer words two letters in the middle change places."""
    words = name.split()
    return " ".join(w[:3] + w[4] + w[3] + w[5:] if len(w) > 6 else w for w in words)


# --- what is asked ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """One row of the table: `growth` is the exponent that it may have, `target` the milliseconds that it may take in a
    registry of 100,000 (twice that in one of a million), `level` whether it may take twice in the largest what it takes in
    the smallest."""

    name: str
    ask: Callable[[Subject], Any]
    growth: float = LEVEL
    target: float | None = None
    level: bool = False


def _create(subject: Subject) -> Any:
    """The record, and what its author is warned of, as POST does it; nothing stays."""
    values = {"name": "Bureau of Applied Benchmarks", "acronym": "BAB", "kind": "other", "country": "CH"}
    data = records.validated(ORGANIZATIONS, values)
    stored = subject.database.write(lambda tx: records.create(tx, ORGANIZATIONS, data), BUILDER, dry_run=True)
    return subject.read(
        lambda tx: ORGANIZATIONS.warnings and ORGANIZATIONS.warnings.told(tx, [(data, stored.id)], [None])
    )


def _change(subject: Subject) -> Any:
    def work(tx: Transaction) -> Any:
        edit = {"acronym": "NEW", "description": "It has moved to another city."}
        return records.change(tx, ORGANIZATIONS, subject.slug, lambda before: before | edit, records.ANYTHING)

    return subject.database.write(work, BUILDER, dry_run=True)


RARE, COMMON = 3.0, 15.0
"""Milliseconds."""
QUESTIONS = (
    Question("a record by its slug", lambda s: s.read(lambda tx: records.fetch(tx, ORGANIZATIONS, s.slug)), level=True),
    Question("page of 50, the first", lambda s: s.page(), level=True),
    Question("page of 50 in the middle, by cursor", lambda s: s.page(cursor=s.cursor), level=True),
    Question("page of 50, sort=name", lambda s: s.page(sort="name"), level=True),
    Question("page of 50, country=DE", lambda s: s.page(country=["DE"]), level=True),
    Question(
        "page of 50, country=DE, sort=-updated_at", lambda s: s.page(country=["DE"], sort="-updated_at"), level=True
    ),
    Question("page of 50, count=true", lambda s: s.page(count=True), LINEAR),
    Question("page of 50, q= a rare word", lambda s: s.page(q=s.rare)),
    Question("page of 50, q= a common word", lambda s: s.page(q="development"), LINEAR),
    Question("search: a rare word", lambda s: s.search(s.rare), target=RARE),
    Question("search: a common word", lambda s: s.search("development"), target=COMMON),
    Question("search: two common words", lambda s: s.search("international research"), target=COMMON),
    Question("search: the begin of a rare word", lambda s: s.search(s.rare[:-2]), target=RARE),
    Question("search: the begin of a common word", lambda s: s.search("develo"), target=COMMON),
    Question("search: a name of common words", lambda s: s.search(s.common_name), target=COMMON),
    Question("search: a word that nothing has", lambda s: s.search("qwertzuiop"), target=RARE),
    Question("search: two rare words, never together", lambda s: s.search(f"{s.rare} babandar"), target=RARE),
    Question("search: two common words, never together", lambda s: s.search("institute ministry"), LINEAR),
    Question("match: a name with a rare word, misspelt", lambda s: s.match(misspelt(s.name))),
    Question("match: a name of common words, misspelt", lambda s: s.match(misspelt(s.common_name)), LINEAR),
    Question("create a record, without the commit", _create),
    Question("change a record, without the commit", _change),
)


# --- asking -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Times:
    """How long the runs of a question took, in milliseconds. What grows is judged by the fastest ones: they had the machine
    for themselves."""

    runs: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.runs)

    @property
    def least(self) -> float:
        return min(self.runs)


def ask(question: Question, several: Sequence[Subject], pace: Pace) -> list[Times]:
    """Ask each registry in turn until it is known how long it takes."""
    taken = [Times() for _ in several]
    end = time.perf_counter() + pace.seconds * len(several)
    for turn in range(pace.warming + pace.most):
        if turn >= pace.warming + pace.least and time.perf_counter() > end:
            break
        for times, subject in zip(taken, several, strict=True):
            begun = time.perf_counter()
            question.ask(subject)
            times.runs.append((time.perf_counter() - begun) * 1000)
    for times in taken:
        del times.runs[: pace.warming]
    return taken
