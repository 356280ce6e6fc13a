"""Ledgers: clients that write in several ways and note what became of each write, and what the registry is held to by them.

A write that was acknowledged is there. One that was refused is not. One that got no answer is there as a whole or not at all.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa

from app.api.v1 import RESOURCES
from app.exchange import doctor
from app.exchange.doctor import Patient, Verdict
from app.kit import records, repeats, revisions
from app.kit.db import PAST, Transaction, table_of
from app.registry.organizations import Organization
from app.settings import Settings
from tests.support.wire import JSON, Wire

ORGANIZATION = table_of(Organization)
HOME = "/v1/organizations"
WITHOUT_A_HALF = ("integrity", "clock", "search")
"""What the doctor looks at: every page of SQLite's file, the numbers of the writes, and the index of search."""
NOT_DONE = "Nothing was changed by this request."
PATIENCE = 30.0
"""Seconds in which whatever was disturbed goes on."""


class State(NamedTuple):
    """What is known of a record."""

    version: int
    acronym: str
    there: bool = True


Records = dict[str, State | None]
"""By slug; None: there is none."""


class Write(NamedTuple):
    """A request, how it is acknowledged, and the records that it makes of others."""

    method: str
    path: str
    body: Any
    status: int
    before: Records
    after: Records
    headers: Sequence[tuple[str, str]] = ()


class Doubt(NamedTuple):
    """A write that got no answer: it has made the one of the other, or nothing."""

    before: Records
    after: Records


@dataclass
class Ledger:
    """One client, its records, and what it knows of them. Nobody else writes them."""

    name: str
    certain: Records = field(default_factory=dict)
    doubts: list[Doubt] = field(default_factory=list)
    acknowledged: int = 0
    refused: list[int] = field(default_factory=list)  # the statuses
    said: list[str] = field(default_factory=list)  # ... and the details
    weight: int = 0  # so many letters has the description of what it creates
    _number: int = 0

    def run(self, port: int, over: threading.Event) -> None:
        """One write after the other, each on a line of its own, until it is over."""
        wire = Wire(port)
        while not over.is_set():
            self.take(wire)

    def take(self, wire: Wire) -> None:
        """The next write."""
        self._number += 1
        write = WRITES[self._number % len(WRITES)](self)
        body = None if write.body is None else json.dumps(write.body).encode()
        headers = [*write.headers, *([JSON] if body is not None else [])]
        try:
            answer = wire.request(write.method, write.path, headers=headers, body=body)
        except ConnectionRefusedError:  # nobody is there to take it in
            time.sleep(0.01)
            return
        except (ConnectionError, TimeoutError):
            self._doubt(write)
            return
        if answer.status == write.status:
            self.acknowledged += 1
            self.certain.update(write.after)
            return
        if not answer.is_whole:  # nobody was told why
            self._doubt(write)
            return
        assert answer.status in (503, 507), (write, answer.status, answer.body)
        assert answer.header("content-type") == "application/problem+json"
        assert int(answer.header("retry-after") or 0) > 0
        detail = answer.json()["detail"]
        self.refused.append(answer.status)
        self.said.append(detail)
        if NOT_DONE not in detail:
            self._doubt(write)

    def _doubt(self, write: Write) -> None:
        self.doubts.append(Doubt(write.before, write.after))
        for slug in write.after:
            self.certain.pop(slug, None)

    def of_mine(self) -> str | None:
        """A record of which everything is known, and which is there."""
        mine = [slug for slug, state in self.certain.items() if state is not None and state.there]
        return mine[self._number % len(mine)] if mine else None

    def fresh(self, part: str = "") -> tuple[str, dict[str, Any]]:
        """The slug of a record that is not there yet, and its body."""
        slug = f"{self.name}-{self._number}{part}"
        more = {"description": "x" * self.weight} if self.weight else {}
        return slug, {"slug": slug, "name": f"Body {slug}", "kind": "other", "acronym": "A1", **more}


def _created(ledger: Ledger) -> Write:
    slug, body = ledger.fresh()
    key = [("Idempotency-Key", slug)]
    return Write("POST", HOME, body, 201, {slug: None}, {slug: State(1, "A1")}, key)


def _patched(ledger: Ledger) -> Write:
    if (slug := ledger.of_mine()) is None:
        return _created(ledger)
    now = ledger.certain[slug]
    assert now is not None
    then = State(now.version + 1, f"A{now.version + 1}")
    match = [("If-Match", f'"v{now.version}"')]
    return Write("PATCH", f"{HOME}/{slug}", {"acronym": then.acronym}, 200, {slug: now}, {slug: then}, match)


def _withdrawn(ledger: Ledger) -> Write:
    if (slug := ledger.of_mine()) is None:
        return _created(ledger)
    now = ledger.certain[slug]
    assert now is not None
    then = State(now.version + 1, now.acronym, there=False)
    return Write("DELETE", f"{HOME}/{slug}", None, 204, {slug: now}, {slug: then}, [("If-Match", f'"v{now.version}"')])


def _together(ledger: Ledger) -> Write:
    made = dict(ledger.fresh(part) for part in ("-a", "-b", "-c"))
    operations: list[dict[str, Any]] = [
        {"verb": "create", "noun": "organizations", "body": body} for body in made.values()
    ]
    before: Records = dict.fromkeys(made)
    after: Records = dict.fromkeys(made, State(1, "A1"))
    if (slug := ledger.of_mine()) is not None:
        patched = _patched(ledger)
        operations.append(
            {"verb": "patch", "noun": "organizations", "record": slug, "if_match": "*", "body": patched.body}
        )
        before, after = before | patched.before, after | patched.after
    return Write("POST", "/v1/batch", {"operations": operations}, 200, before, after)


WRITES: tuple[Callable[[Ledger], Write], ...] = (_created, _patched, _together, _created, _withdrawn, _patched)
"""What a client does, in turn."""


@dataclass
class Books:
    """The ledgers of several clients of one registry, and the database at `url` behind it."""

    url: str
    ledgers: list[Ledger]

    @property
    def acknowledged(self) -> int:
        return sum(ledger.acknowledged for ledger in self.ledgers)

    @property
    def cut(self) -> int:
        """Writes that got no answer."""
        return sum(len(ledger.doubts) for ledger in self.ledgers)

    @property
    def refused(self) -> list[int]:
        return [status for ledger in self.ledgers for status in ledger.refused]

    @property
    def said(self) -> set[str]:
        return {detail for ledger in self.ledgers for detail in ledger.said}

    @contextmanager
    def written(self, port: int) -> Iterator[None]:
        """Every client writes while the block runs; its last write is answered, or lost, when this returns."""
        over = threading.Event()
        with ThreadPoolExecutor(len(self.ledgers)) as threads:
            running = [threads.submit(ledger.run, port, over) for ledger in self.ledgers]
            try:
                yield
            finally:
                over.set()
            for each in running:
                each.result(PATIENCE)

    def examine(self) -> None:
        """Hold the registry to what is written here. Raises AssertionError for a write that is lost, half there, or there
        though it was refused. The database is opened as after a crash: by somebody who was not there."""
        with closing(records.open_database(self.url, pool_size=1)) as database:
            patient = Patient(Settings(database_url=self.url), database, RESOURCES, {})
            for check in doctor.CHECKS:
                if check.name in WITHOUT_A_HALF and check.only in (None, patient.kind):
                    verdict, found, *_ = check.look(patient)
                    assert verdict is Verdict.ok, f"{check.name}: {found}"
            stored = database.read(_stored)
        known: set[str] = set()
        for ledger in self.ledgers:
            assert _there(stored, ledger.certain) == ledger.certain
            known.update(ledger.certain)
            for doubt in ledger.doubts:
                # What was in doubt is never written again, so that it still is as it came out.
                assert _there(stored, doubt.after) in (doubt.before, doubt.after)
                known.update(doubt.after)
        assert set(stored) <= known


def books(url: str, clients: int = 4, weight: int = 0) -> Books:
    """Empty ledgers."""
    return Books(url, [Ledger(f"w{n}", weight=weight) for n in range(clients)])


def _there(stored: Records, asked: Records) -> Records:
    return {slug: stored.get(slug) for slug in asked}


def _stored(tx: Transaction) -> Records:
    """Every organization, each with all that belongs to it."""
    rows = tx.execute(sa.select(ORGANIZATION)).all()
    assert _pairs(tx, revisions.TABLE.c.record_id, revisions.TABLE.c.version, sa.literal("")) == sorted(
        (row.id, version, "") for row in rows for version in range(1, row.version + 1)
    )
    newest = {row.record_id: row for row in tx.execute(_NEWEST)}
    for row in rows:
        assert (newest[row.id].document, newest[row.id].seq) == (row.document, row.since), row.slug
        assert (newest[row.id].action.value == "withdrawn") == (row.withdrawn_at is not None), row.slug
    past = PAST[ORGANIZATION.name].c
    assert _pairs(tx, past.id, past.version, past.slug) == sorted(
        (row.id, version, row.slug) for row in rows for version in range(1, row.version)
    )
    # A key is kept with the write that it was sent with, and a write with its key.
    keys = set(tx.execute(sa.select(repeats.TABLE.c.key)).scalars())
    assert keys == {row.slug for row in rows if not row.slug.endswith(("-a", "-b", "-c"))}
    return {row.slug: State(row.version, row.acronym, row.withdrawn_at is None) for row in rows}


_LATER = revisions.TABLE.alias()
_NEWEST = sa.select(revisions.TABLE).where(
    ~sa.exists().where(_LATER.c.record_id == revisions.TABLE.c.record_id, _LATER.c.version > revisions.TABLE.c.version)
)


def _pairs(tx: Transaction, *columns: sa.ColumnElement[Any]) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in tx.execute(sa.select(*columns)))
