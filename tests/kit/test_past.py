"""What a question about a past state may rely on: it is answered as it was answered then, whatever has been written since."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec
import pytest
import sqlalchemy as sa

from app.api.v1 import RESOURCES
from app.kit import backfill, past, records, views
from app.kit.db import PAST, Database, Transaction
from app.kit.errors import Gone, Invalid, NotFound, RegistryError
from app.kit.resource import Resource
from app.kit.revisions import TABLE, Action
from app.kit.writer import Work
from tests.conftest import TESTER, Server, Ticking

Json = dict[str, Any]
T = TypeVar("T")
NOUNS: dict[str, Resource[Any]] = {resource.plural: resource for resource in RESOURCES}
BY_TABLE = {resource.table.name: resource for resource in RESOURCES}
QUERIES: list[tuple[str, Json]] = [
    ("organizations", {"sort": "-name", "count": True}),
    ("organizations", {"kind": ["organ"], "sort": "founded"}),
    ("organizations", {"part_of": "body-0", "descendants": True}),
    ("organizations", {"withdrawn": "any", "sort": "-updated_at"}),
    ("organizations", {"at": "2015", "match": "certain"}),
    ("collaboration-types", {"broader": "kind-0", "descendants": True, "withdrawn": "any"}),
    ("collaborations", {"organization": "body-1", "role": ["partner"], "count": True}),
    ("collaborations", {"organization": "body-2", "include": ["participants.organization", "type"]}),
    ("collaborations", {"type": "kind-0", "descendants": True, "sort": "-period"}),
    ("collaborations", {"active_on": "2015", "sort": "title"}),
    ("collaborations", {"sdg": [8], "withdrawn": "any"}),
    ("reviews", {"collaboration": "joint-1", "sort": "-date"}),
]

# --- a history -------------------------------------------------------------------------------------------------------


class History:
    """Random writes of a few records, and the registry's answers after each."""

    def __init__(self, database: Database, clock: Ticking, seed: int) -> None:
        self.database, self.clock, self.random = database, clock, random.Random(seed)  # noqa: S311
        self.seen: dict[int, Any] = {}

    def run(self, writes: int) -> None:
        for noun, prefix in PREFIX.items():
            for n in range(12):
                self._once(partial(self._write, noun=noun, slug=f"{prefix}-{n % 4}"))
        for _ in range(writes):
            self._once(self._transaction)

    def as_of(self, point: Any, ask: Callable[[Transaction], T]) -> T:
        return self.database.read(lambda tx: ask(past.at(tx, point)))

    def _once(self, work: Work[None]) -> None:
        self.clock.now += timedelta(days=self.random.choice((0, 0, 1, 40)))
        with suppress(RegistryError):  # a rule says no, and all of the transaction is undone
            self.database.write(work, TESTER)
        number = self.database.read(lambda tx: tx.sequence())
        self.seen.setdefault(number, self.database.read(answers))

    def _transaction(self, tx: Transaction) -> None:
        for _ in range(self.random.choice((1, 1, 1, 3))):
            noun = self.random.choice([*PREFIX, "collaborations"])
            self._write(tx, noun, f"{PREFIX[noun]}-{self.random.randrange(4)}")

    def _write(self, tx: Transaction, noun: str, slug: str) -> None:
        resource, body = NOUNS[noun], self._body(noun, slug)
        try:
            row = records.locate(tx, resource, slug)
        except NotFound:
            records.create(tx, resource, records.validated(resource, {"slug": slug, **body}))
            return
        if row.withdrawn_at is not None:
            records.restore(tx, resource, slug)
        elif self.random.random() < 0.25:
            records.withdraw(tx, resource, slug, "*")
        else:
            records.change(tx, resource, slug, lambda before: before | body, "*")

    def _body(self, noun: str, slug: str) -> Json:
        pick: Callable[[Sequence[Any]], Any] = self.random.choice
        some: Callable[..., Any] = lambda *what: self.random.choice((None, *what))  # noqa: E731
        if noun == "organizations":
            return {
                "name": f"{slug} {pick('äBc')}", "kind": pick(("organ", "group")), "part_of": some("body-0", "body-1"),
                "founded": some("1919", "2016", "201X"),
                "other_names": [{"value": "alias", "kind": "alias"}] * self.random.randrange(3),
            }  # fmt: skip
        if noun == "collaboration-types":
            return {"label": f"{slug} {pick('xyz')}", "broader": some("kind-0", "kind-1")}
        if noun == "collaborations":
            return {
                "title": f"{slug} {pick('xyz')}", "type": f"kind-{self.random.randrange(3)}",
                "period": some("1999/..", "2014", "2015~"), "sdgs": self.random.sample((1, 8, 16), self.random.randrange(3)),
                "review_every_months": some(1, 24),
                "participants": [
                    {"organization": f"body-{self.random.randrange(3)}", "role": pick(("partner", "funder"))}
                    for _ in range(self.random.randrange(4))
                ],
            }  # fmt: skip
        items = [{"collaboration": f"joint-{self.random.randrange(3)}", "finding": "noted"}]
        return {
            "title": f"{slug} {pick('xyz')}",
            "status": "held",
            "date": some("2026-01", "2026-03-05"),
            "items": items,
        }


PREFIX = {"organizations": "body", "collaboration-types": "kind", "collaborations": "joint", "reviews": "review"}


def answers(tx: Transaction) -> Any:
    """What every list and every record answers."""
    lists = [answer(tx, NOUNS[noun], query) for noun, query in QUERIES]
    slugs = [(noun, f"{prefix}-{n}") for noun, prefix in PREFIX.items() for n in range(4)]
    return lists, {(noun, slug): record(tx, NOUNS[noun], slug) for noun, slug in slugs}


def answer(tx: Transaction, resource: Resource[Any], query: Json) -> Any:
    """A whole list, walked in pages of two, with its total and what it includes; or why there is none."""
    items, cursor, totals = [], None, []
    try:
        while True:
            page = records.browse(tx, resource, resource.query.model_validate(query | {"limit": 2, "cursor": cursor}))
            items += page.items
            totals.append(page.total)
            included = views.included(tx, BY_TABLE, resource, page.items, query.get("include", []))
            items.append(msgspec.json.encode(included))
            cursor = page.next
            if cursor is None:
                return items, totals
    except Invalid as error:
        return error.detail


def record(tx: Transaction, resource: Resource[Any], slug: str) -> Any:
    try:
        return records.fetch(tx, resource, slug).body
    except (NotFound, Gone) as error:
        return error.detail, error.extra


SEEDS = {"sqlite": 0, "postgresql": 1}


@pytest.fixture(scope="module")
def history(server: Server) -> Iterator[History]:
    """One on each database, not the same: what is asked of it is computed from itself."""
    clock = Ticking()
    database = records.open_database(server.fresh("empty"), pool_size=2, clock=clock)
    made = History(database, clock, SEEDS[server.kind])
    made.run(50)
    yield made
    database.close()


def test_as_of_a_number_every_list_and_record_answers_what_it_answered_then(history: History) -> None:
    assert len(history.seen) > 25
    for number, seen in history.seen.items():
        if number == 0:
            continue  # no write has a day from which to compute
        assert history.as_of(number, answers) == seen


def test_as_of_a_number_the_registry_is_the_fold_of_its_revisions(history: History) -> None:
    with history.database.engine.connect() as connection:
        revisions = connection.execute(sa.select(TABLE).order_by(TABLE.c.seq)).all()
    state: dict[tuple[str, str], Any] = {}
    for revision in revisions:
        state[revision.noun, revision.slug] = None if revision.action is Action.withdrawn else revision.document
        shown = history.as_of(revision.seq, lambda tx: dict(_standing(tx)))
        assert shown == {key: document for key, document in state.items() if document is not None}


def _standing(tx: Transaction) -> Iterator[tuple[tuple[str, str], str]]:
    for resource in RESOURCES:
        table = resource.table
        for row in tx.execute(sa.select(table.c.slug, table.c.document).where(table.c.withdrawn_at.is_(None))):
            yield (resource.plural, row.slug), row.document


def test_a_past_row_says_when_it_stood_and_the_rows_of_a_record_follow_each_other(history: History) -> None:
    for resource in RESOURCES:
        kept = PAST[resource.table.name]
        with history.database.engine.connect() as connection:
            rows = connection.execute(sa.select(kept.c.id, kept.c.version, kept.c.since, kept.c.until)).all()
            now = connection.execute(sa.select(resource.table.c.id, resource.table.c.version)).all()
            numbers = {(r.record_id, r.version): r.seq for r in connection.execute(sa.select(TABLE))}
        assert {(r.id, r.version) for r in rows} == {(i, v) for i, last in now for v in range(1, last)}
        for row in rows:
            assert (row.since, row.until) == (numbers[row.id, row.version], numbers[row.id, row.version + 1])


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_a_moment_means_the_last_write_dated_up_to_it(history: History, offset: int) -> None:
    step = timedelta(microseconds=offset)
    with history.database.engine.connect() as connection:
        writes = connection.execute(sa.select(TABLE.c.seq, TABLE.c.at).order_by(TABLE.c.seq)).all()
    for write in writes:
        moment = write.at + step
        expected = max((w.seq for w in writes if w.at <= moment), default=0)
        assert history.as_of(moment, Transaction.sequence) == expected


def test_a_date_means_the_end_of_its_day_and_today_means_now(history: History) -> None:
    with history.database.engine.connect() as connection:
        writes = connection.execute(sa.select(TABLE.c.seq, TABLE.c.at).order_by(TABLE.c.seq)).all()
    for day in {write.at.date() for write in writes}:
        assert history.as_of(day, lambda tx: tx.today) == day
        assert history.as_of(day, Transaction.sequence) == max(write.seq for write in writes if write.at.date() <= day)
    today = history.clock.now.date()
    assert history.as_of(today, Transaction.sequence) == writes[-1].seq


@pytest.mark.parametrize("ahead", [10_000, date(2999, 1, 1), datetime(2999, 1, 1, tzinfo=UTC)])
def test_what_lies_ahead_is_refused(database: Database, ahead: Any) -> None:
    with pytest.raises(Invalid):
        database.read(lambda tx: past.at(tx, ahead))


def test_before_the_first_write_there_is_nothing(history: History) -> None:
    for query in (0, date(1999, 1, 1), datetime(1999, 1, 1, tzinfo=UTC)):
        shown = history.as_of(query, lambda tx: list(_standing(tx)))
        assert shown == []


def test_past_rows_can_be_made_again_of_the_history_alone(history: History) -> None:
    tables = [PAST[table.name] for r in RESOURCES for table in (r.table, *(child.table for child in r.plan.children))]

    def contents(tx: Transaction) -> dict[str, Sequence[Any]]:
        return {
            table.name: tx.execute(
                sa.select(*(c for c in table.c if c.name != "claim")).order_by(*table.primary_key)
            ).all()
            for table in tables
        }

    before = history.database.read(contents)
    history.database.write(lambda tx: [tx.execute(sa.delete(table)) for table in tables], TESTER)
    made = history.database.write(lambda tx: backfill.complete(tx, RESOURCES), TESTER)
    assert made == sum(len(before[PAST[r.table.name].name]) for r in RESOURCES) > 0
    assert history.database.read(contents) == before
    assert history.database.write(lambda tx: backfill.complete(tx, RESOURCES), TESTER) == 0
