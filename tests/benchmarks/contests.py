"""Contests: what is asked over HTTP, a row each, with how near to the limit it must come."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random

import sqlalchemy as sa

from app.kit import records
from tests.benchmarks import corpus
from tests.benchmarks.load import Request, tag
from tests.benchmarks.registries import COLLABORATIONS, ORGANIZATIONS
from tests.support.wire import ANY, AUTHORIZED, JSON

CLIENTS = 16
MOST = 40_000
"""Requests of a row that are all different, where there is no end of them: more than are answered in its time."""
KEY = tuple(AUTHORIZED.items())
TO_MERGE = ("Content-Type", "application/merge-patch+json")
LINES = ("Content-Type", "application/x-ndjson")


@dataclass(frozen=True, slots=True)
class About:
    """What can be asked of a registry: names of its records in no order, words that stand in few of them, and the port
    where it is served."""

    port: int
    organizations: Sequence[str]
    collaborations: Sequence[str]
    words: Sequence[str]


def about(url: str, port: int) -> About:
    """What can be asked of the registry at `url`."""
    database = records.open_database(url, pool_size=1)
    o, c = ORGANIZATIONS.table.c, COLLABORATIONS.table.c
    try:
        slugs = database.read(lambda tx: tx.execute(sa.select(o.slug).order_by(o.slug)).scalars().all())
        both = database.read(lambda tx: tx.execute(sa.select(c.slug, c.id).order_by(c.slug)).all())
    finally:
        database.close()
    words = [corpus.rare(n).lower() for n in range(-(-len(slugs) // corpus.SHARING))]
    return About(port, _shuffled(slugs), _shuffled([str(name) for row in both for name in row]), _shuffled(words))


def _shuffled(several: Sequence[str]) -> Sequence[str]:
    return Random(corpus.SEED).sample(several, len(several))  # noqa: S311


# --- what is asked ----------------------------------------------------------------------------------------------------

LIST = "/v1/organizations?country=DE&sort=name&limit=50"


def get(*targets: str) -> Callable[[About], Iterable[Request]]:
    return lambda _: (Request("GET", target) for target in targets)


def _records(about: About) -> Iterator[Request]:
    return (Request("GET", f"/v1/organizations/{slug}") for slug in about.organizations)


def _record(about: About) -> Iterator[Request]:
    yield next(_records(about))


def _lists(_: About) -> Iterator[Request]:
    """Each since a moment of its own, before all records: so that no two are the same, and all cost the same."""
    for n in range(MOST):
        since = f"2020-01-01T00:00:{n // 1_000_000:02}.{n % 1_000_000:06}Z"
        yield Request("GET", f"/v1/organizations?updated_since={since}&sort={('name', '-name')[n % 2]}&limit=50")


def _national_lists(_: About) -> Iterator[Request]:
    """What two countries have of a kind, in the order of names."""
    pairs = ((a, b) for a, b in product(corpus.COUNTRIES[:16], corpus.COUNTRIES) if a != b)
    asked = [f"country={a},{b}&kind={kind.value}" for (a, b), kind in product(pairs, corpus.KINDS)]
    return (Request("GET", f"/v1/organizations?{each}&sort=name&limit=50") for each in _shuffled(asked))


def _unchanged(about: About) -> Iterator[Request]:
    yield Request("GET", LIST, (("If-None-Match", tag(about.port, LIST)),))


def collaborations(query: str = "") -> Callable[[About], Iterable[Request]]:
    return lambda about: (Request("GET", f"/v1/collaborations/{name}{query}") for name in about.collaborations)


def _searches(about: About) -> Iterator[Request]:
    return (Request("GET", f"/v1/search?q={word}") for word in about.words)


def creations() -> Iterator[Request]:
    """Records that nobody has."""
    for record in corpus.newcomers(MOST):
        yield Request("POST", "/v1/organizations", (JSON, *KEY), json.dumps(record).encode())


def patches(slugs: Iterable[str]) -> Iterator[Request]:
    """One change of each of these organizations."""
    for n, slug in enumerate(slugs):
        body = json.dumps({"acronym": f"A{n}", "description": f"It has moved for the {n}. time."}).encode()
        yield Request("PATCH", f"/v1/organizations/{slug}", (TO_MERGE, ANY, *KEY), body)


# --- the rows ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Contest:
    """A row. `limit`: what part of the limit it must reach in percent, on SQLite and on PostgreSQL. `fresh`: no request may be
    sent twice. `writes`: so many other writes a second go on beside it. `p99`: milliseconds on SQLite."""

    name: str
    requests: Callable[[About], Iterable[Request]]
    limit: tuple[float, float] | None = None
    fresh: bool = False
    writes: int = 0
    wins: bool = False
    """Whether it must be no slower than the obvious way."""
    p99: float | None = None
    clients: int = CLIENTS

    def least(self, kind: str) -> float | None:
        return None if self.limit is None else self.limit[kind != "sqlite"]


CONTESTS = (
    Contest("record by slug, repeated", _record, limit=(60, 65)),
    Contest("record by slug, never seen", _records, limit=(10, 8), fresh=True),
    Contest("list of 50, filtered and sorted, repeated", get(LIST), limit=(60, 65)),
    Contest("list of 50, filtered and sorted, never seen", _lists, limit=(7, 5), fresh=True),
    Contest("list of 50 of two countries and a kind by name, never seen", _national_lists, fresh=True),
    Contest("list, not modified (304)", _unchanged, limit=(60, 60)),
    Contest("record, repeated, beside 5 writes a second", _record, limit=(35, 35), writes=5),
    Contest("list, repeated, beside 5 writes a second", get(LIST), limit=(35, 35), writes=5),
    Contest("collaboration with its participants, never seen", collaborations(), fresh=True),
    Contest(
        "the same with `include=participants.organization`, never seen",
        collaborations("?include=participants.organization"), fresh=True,
    ),
    Contest("search for a word that few have, never seen", _searches, fresh=True),
    Contest("create", lambda _: creations(), limit=(6.5, 4), fresh=True, wins=True, p99=60),
    Contest("patch", lambda about: patches(about.organizations), fresh=True),
)  # fmt: skip
