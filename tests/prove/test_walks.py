"""R7: a list that is walked page by page while others write shows every record that stays in its place once."""

from __future__ import annotations

import itertools
import json
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from app.api.v1 import RESOURCES
from tests.prove.callers import Caller, Served
from tests.support.builders import NOUNS
from tests.support.proofs import Proof
from tests.support.waiting import until

Json = dict[str, Any]
SORTS = {resource.plural: tuple(resource.sorts) for resource in RESOURCES}
SIZES = (100, 1, 7, 2, 50, 3)
"""Page sizes, in an order in which neighbours differ much."""
WRITERS = 4
PORTION = 2_000
"""Records in one import."""


def date_of(n: int) -> str | None:
    """A date that many share, and none for some: ties and blanks are where a walk would stumble."""
    return (None, "1999", "2014-05", "2014-05-20", f"{1900 + n % 120}", "1999/..", "201X")[n % 7]


def title_of(n: int) -> str:
    return f"{('Ost', 'ost', 'Öst', 'West')[n % 4]} {n % 50}"


BODIES: dict[str, Callable[[int], Json]] = {
    "organizations": lambda n: {"name": f"{title_of(n)} {n}", "kind": "other", "founded": date_of(n)},
    "collaboration-types": lambda n: {"label": f"{title_of(n)} {n}"},
    "instruments": lambda n: {
        "title": title_of(n), "kind": "declaration", "adopted": date_of(n), "revised": date_of(n + 1),
    },
    "sources": lambda n: {
        "title": title_of(n), "kind": "report", "published": date_of(n),
        "retrieved": None if n % 3 else f"20{n % 10 + 10}-01-01T00:00:00Z",
    },
    "collaborations": lambda n: {"title": title_of(n), "type": "walk-type", "period": date_of(n)},
    "milestones": lambda n: {
        "title": title_of(n), "kind": "session", "status": "met", "organization": "walk-one", "date": date_of(n),
        "due": date_of(n + 2),
    },
    "citations": lambda _: {
        "source": "walk-source", "target": {"noun": "organizations", "record": "walk-one"}, "support": "states",
    },
    "reviews": lambda n: {"title": title_of(n), "status": "held", "date": date_of(n)},
    "successions": lambda n: {
        "kind": "rename", "predecessors": ["walk-one"], "successors": ["walk-two"], "date": date_of(n),
    },
}  # fmt: skip
"""Records of each noun that differ in what they are sorted by. (A new noun needs one here.)"""
NAMED = [
    ("organizations", "walk-one", {"name": "Walk one", "kind": "other"}),
    ("organizations", "walk-two", {"name": "Walk two", "kind": "other"}),
    ("collaboration-types", "walk-type", {"label": "Walk type"}),
    ("sources", "walk-source", {"title": "Walk source", "kind": "report"}),
]
"""What they name."""


def load(caller: Caller, rows: Iterator[Json]) -> None:
    while portion := list(itertools.islice(rows, PORTION)):
        lines = b"\n".join(json.dumps(row).encode() for row in portion)
        answer = caller.ask("POST", "/v1/import?mode=upsert", lines, Content_Type="application/x-ndjson")
        assert answer.status == 200, answer


def varied(noun: str, n: int) -> Json:
    """A change that is a new one each time, of a field by which nothing is sorted."""
    [(name, value)] = NOUNS[noun].change.items()
    return {name: f"{value}{n}" if isinstance(value, str) else [f"{each}{n}" for each in value]}


# --- those who write meanwhile ----------------------------------------------------------------------------------------


@dataclass
class Writer:
    """One who writes records of a noun without a pause: a new one, a change, a withdrawal, a return. `theirs` are the records
    that it changes, and those that it takes out and brings back."""

    port: int
    noun: str
    number: int
    theirs: tuple[list[str], list[str]]
    writes: int = 0
    _out: set[str] = field(default_factory=set)

    def run(self, stop: threading.Event) -> int:
        caller, dice = Caller(self.port), random.Random(self.number)  # noqa: S311
        try:
            while not stop.is_set():
                answer = self._write(caller, dice)
                assert answer in (200, 201, 204), answer
                self.writes += 1
        finally:
            caller.close()
        return self.writes

    def _write(self, caller: Caller, dice: random.Random) -> int:
        at = f"/v1/{self.noun}"
        if self.writes % 4 == 0:
            n = (self.number + 1) * 1_000_000 + self.writes
            return caller.ask("POST", at, {"slug": f"new-{n}", **BODIES[self.noun](n)}).status
        if self.writes % 4 == 1:
            edited = f"{at}/{dice.choice(self.theirs[0])}"
            return caller.ask("PATCH", edited, varied(self.noun, self.writes), If_Match="*").status
        slug = dice.choice(self.theirs[1])
        self._out ^= {slug}
        if slug in self._out:
            return caller.ask("DELETE", f"{at}/{slug}", If_Match="*").status
        return caller.ask("POST", f"{at}/{slug}/restore").status


@contextmanager
def writing(port: int, noun: str, edited: list[str], moved: list[str]) -> Iterator[list[Future[int]]]:
    """Four writers at work. Each has records of its own, so that none is refused."""
    stop = threading.Event()
    with ThreadPoolExecutor(WRITERS) as threads:
        try:
            writers = [Writer(port, noun, n, (edited[n::WRITERS], moved[n::WRITERS])) for n in range(WRITERS)]
            running = [threads.submit(writer.run, stop) for writer in writers]
            until(lambda: any(writer.writes for writer in writers) or any(each.done() for each in running))
            yield running
        finally:
            stop.set()


# --- walking ----------------------------------------------------------------------------------------------------------


def pages(caller: Caller, address: str | None, most: int | None = None) -> Iterator[list[str]]:
    """The slugs of each page from an address on."""
    for _ in itertools.count() if most is None else range(most):
        if address is None:
            return
        page = caller.get(address)
        yield [item["slug"] for item in page["items"]]
        address = page["next"]


def whole(caller: Caller, noun: str, sort: str) -> list[str]:
    """All slugs of a list while nobody writes."""
    address = f"/v1/{noun}?{urlencode({'sort': sort, 'limit': 200, 'fields': 'slug'})}"
    return [slug for page in pages(caller, address) for slug in page]


def part(caller: Caller, noun: str, sort: str, size: int, skip: int, most: int) -> tuple[list[str], list[str]]:
    """What a client sees that jumps over `skip` pages of 200 and then takes `most` pages of `size`: before, and then."""
    address: str | None = f"/v1/{noun}?{urlencode({'sort': sort, 'limit': 200, 'fields': 'slug'})}"
    before: list[str] = []
    for _ in range(skip):
        page = caller.get(str(address))
        before += [item["slug"] for item in page["items"]]
        address = page["next"]
    parts = dict(parse_qsl(urlsplit(str(address)).query)) | {"limit": str(size)}
    address = f"/v1/{noun}?{urlencode(parts)}"
    return before, [slug for page in pages(caller, address, most) for slug in page]


def assert_kept(expected: list[str], before: list[str], seen: list[str], *, to_the_end: bool, about: str) -> None:
    """Of those that stay, a walk has met each once, in order, from where it began to where it ended."""
    staying = set(expected)
    met = [slug for slug in (*before, *seen) if slug in staying]
    assert len(met) == len(set(met)), f"{about}: met twice"
    assert met == expected[: len(met)], f"{about}: left out, or out of order"
    assert not to_the_end or len(met) == len(expected), f"{about}: did not come to the end"


def sizes(turn: int, several: int) -> list[int]:
    """So many of the page sizes, others each turn."""
    return [SIZES[(turn + 3 * n) % len(SIZES)] for n in range(several)]


@pytest.mark.proves("R7")
@pytest.mark.parametrize("noun", NOUNS)
def test_a_walk_meets_what_stays_once_while_others_write(
    workers: Served, caller: Caller, noun: str, proof: Proof
) -> None:
    """Every sort, up and down, every page size: small pages over a part of the list, beginning anywhere in it."""
    size, most = proof.rounds(100, 10_000), proof.rounds(6, 150)
    load(caller, ({"noun": named, "slug": slug, **body} for named, slug, body in NAMED))
    load(caller, ({"noun": noun, "slug": f"r{n:05}", **BODIES[noun](n)} for n in range(size)))
    dice = random.Random(noun)  # noqa: S311
    touched = dice.sample([f"r{n:05}" for n in range(size)], size // 5)
    edited, moved = touched[::2], touched[1::2]
    sorts = [f"{way}{name}" for name in SORTS[noun] for way in ("", "-")]
    quiet = {sort: whole(caller, noun, sort) for sort in sorts}
    met = 0
    with writing(workers.port, noun, edited, moved) as writers:
        for n, sort in enumerate(sorts):
            leave = set(moved) | (set(edited) if sort.endswith("updated_at") else set())
            expected = [slug for slug in quiet[sort] if slug not in leave]
            for limit in sizes(list(NOUNS).index(noun) + n, proof.rounds(1, 2)):
                short = limit * most < size
                skip = dice.randrange(size // 200) if short and size > 200 else 0
                # Downwards by the last change, what is written meanwhile goes to the front; upwards it never ends.
                pages_at_most = most if short else 2 * size // limit + most
                before, seen = part(caller, noun, sort, limit, skip, pages_at_most)
                assert_kept(expected, before, seen, to_the_end=not short, about=f"{noun} by {sort}, {limit} a page")
                met += len(seen)
            for writer in writers:
                assert not writer.done(), writer.result()
    written = sum(writer.result() for writer in writers)
    assert written > 0
    proof.count(
        f"{noun}: rows met on walks by each sort, both ways, in pages of 1 to 100, none that stays left out or twice",
        met,
        at_least=size,
    )
    proof.count(f"{noun}: writes of four clients meanwhile", written, at_least=1)
