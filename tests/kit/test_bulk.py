"""Many at once: what is stored, and what is refused, is what one at a time would be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from app.api.v1 import RESOURCES
from app.kit import bulk, records
from app.kit.bulk import Draft
from app.kit.db import Base, Database, Transaction
from app.kit.errors import RegistryError
from app.kit.ids import new_id
from app.kit.resource import Resource
from app.kit.revisions import TABLE
from app.kit.search import INDEX
from tests.conftest import TESTER, Server, Ticking

NOUNS: dict[str, Resource[Any]] = {resource.plural: resource for resource in RESOURCES}
ORGANIZATIONS = NOUNS["organizations"]
Values = dict[str, Any]


def create(tx: Transaction, noun: str, several: Sequence[Values]) -> list[tuple[int, str]]:
    """Create them together; the numbers of those that were refused, and in which words."""
    resource = NOUNS[noun]
    data = [(records.validated(resource, values), new_id(tx.now)) for values in several]
    slugs = bulk.slugs(tx, resource, [(resource.titled(each), identifier) for each, identifier in data])
    drafts = [
        Draft(each, identifier, each.slug or slug, place=n)
        for n, ((each, identifier), slug) in enumerate(zip(data, slugs, strict=True))
    ]
    return [(draft.place, error.detail) for draft, error in bulk.create(tx, resource, drafts)]


def one_by_one(tx: Transaction, noun: str, several: Sequence[Values]) -> list[tuple[int, str]]:
    refused = []
    for n, values in enumerate(several):
        try:
            with tx.connection.begin_nested():
                records.create(tx, NOUNS[noun], records.validated(NOUNS[noun], values))
        except RegistryError as error:
            refused.append((n, error.detail))
    return refused


def each(tx: Transaction, noun: str, several: Sequence[Values]) -> list[tuple[int, str]]:
    """Create each as if it were alone; the numbers of those that were refused, without words."""
    data = [records.validated(NOUNS[noun], values) for values in several]
    made = bulk.create_each([tx] * len(data), NOUNS[noun], data)
    for stored in made:
        assert stored is None or stored == replace(records.fetch(tx, NOUNS[noun], stored.slug), written=True)
    return [(n, "") for n, stored in enumerate(made) if stored is None]


SET: list[tuple[str, list[Values]]] = [
    ("organizations", [
        {"name": "Alpha", "acronym": "A", "kind": "other", "founded": "1999/..", "country": "CH"},
        {"name": "Alpha", "kind": "other", "country": "FR"},
        {"name": "Beta", "kind": "organ", "part_of": "alpha", "other_names": [{"value": "Bêta", "kind": "alias"}]},
        {"name": "Gamma", "kind": "other", "identifiers": [{"scheme": "x", "value": "1"}, {"scheme": "x", "value": "2"}]},
        {"name": "Слово", "slug": "word", "kind": "other"},
    ]),
    ("collaboration-types", [{"label": "Wide"}, {"label": "Narrow", "broader": "wide", "labels": {"fr": "Étroit"}}]),
    ("instruments", [{"title": "Paper", "kind": "treaty", "issuer": "alpha"},
                     {"title": "Paper", "kind": "treaty", "refers_to": ["paper"]}]),
    ("collaborations", [
        {"title": "Together", "type": "narrow", "period": "2014/2016", "sdgs": [8, 17], "instruments": ["paper", "paper-2"],
         "participants": [{"organization": "alpha", "role": "partner"}, {"organization": "beta", "role": "host"}]},
        {"title": "Within", "type": "wide", "part_of": "together"},
    ]),
    ("milestones", [{"title": "Day", "kind": "launch", "status": "met", "date": "2014-12", "organization": "beta"}]),
    ("sources", [{"title": "Page", "kind": "web_page", "publisher": "alpha"}]),
    ("citations", [{"source": "page", "target": {"noun": "collaborations", "record": "together"}, "support": "states"}]),
    ("reviews", [{"title": "Look", "status": "held", "body": "alpha", "date": "2018",
                  "items": [{"collaboration": "together", "finding": "continue"}]}]),
    ("successions", [{"kind": "rename", "predecessors": ["alpha"], "successors": ["gamma"], "date": "2001"}]),
]  # fmt: skip


def contents(database: Database) -> dict[str, Any]:
    """Everything in the registry, with slugs in the place of ids and without moments."""

    def work(tx: Transaction) -> dict[str, Any]:
        slug = {str(row.record_id): row.slug for row in tx.execute(sa.select(TABLE.c.record_id, TABLE.c.slug))}
        found: dict[str, Any] = {}
        for table in (*Base.metadata.sorted_tables, INDEX):
            rows = tx.connection.execute(sa.select(sa.text("*")).select_from(table)).mappings()
            left_out = {"created_at", "updated_at", "at", "document"}
            texts = (str([(name, value) for name, value in row.items() if name not in left_out]) for row in rows)
            found[table.name] = sorted(_named(text, slug) for text in texts)
        return found

    return database.read(work)


def _named(text: str, slugs: dict[str, str]) -> str:
    """`text` with the slug of each record in the place of its id, in both forms that an id has."""
    for identifier, slug in slugs.items():
        text = text.replace(identifier, slug).replace(identifier.replace("-", ""), slug)
    return text


def test_a_set_is_stored_as_it_would_be_one_by_one(server: Server, clock: Ticking) -> None:
    states = []
    for way in (create, one_by_one, each):
        database = records.open_database(server.fresh("empty"), pool_size=1, clock=clock)
        for noun, several in SET:
            assert database.write(lambda tx, w=way, n=noun, s=several: w(tx, n, s), TESTER) == []  # type: ignore[misc]
        states.append(contents(database))
        database.close()
    assert states[0] == states[1] == states[2]


REFUSED: dict[str, list[Values]] = {
    "the same name twice": [{"name": "Alpha", "kind": "other"}, {"name": "ALPHÁ", "kind": "other"}],
    "a name that is taken": [{"name": "There", "kind": "other"}, {"name": "Alpha", "kind": "other"}],
    "an identifier that is taken": [{"name": "A", "kind": "other", "identifiers": [{"scheme": "X", "value": "9"}]}],
    "an identifier twice": [
        {"name": n, "kind": "other", "identifiers": [{"scheme": "y", "value": "1"}]} for n in ("A", "B", "C")
    ],
    "an item twice in itself": [
        {"name": "A", "kind": "other", "identifiers": [{"scheme": "y", "value": "1"}, {"scheme": "Y", "value": "1"}]}
    ],
    "a reference to nothing": [{"name": "A", "kind": "other", "part_of": "nobody"}, {"name": "B", "kind": "other"}],
    "a reference to one that was refused": [
        {"slug": "a", "name": "There", "kind": "other"},
        {"name": "B", "kind": "other", "part_of": "a"},
        {"name": "C", "kind": "other", "part_of": "there"},
    ],
    "a slug that is taken": [{"slug": "there", "name": "Other", "kind": "other"}],
    "a slug twice": [{"slug": "s", "name": "A", "kind": "other"}, {"slug": "s", "name": "B", "kind": "other"}],
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_and_why_is_the_same_as_one_by_one(database: Database, case: str) -> None:
    there = {"name": "There", "kind": "other", "identifiers": [{"scheme": "x", "value": "9"}]}
    database.write(lambda tx: one_by_one(tx, "organizations", [there]), TESTER)
    several = REFUSED[case]
    together = database.write(lambda tx: sorted(create(tx, "organizations", several)), TESTER, dry_run=True)
    singly = database.write(lambda tx: one_by_one(tx, "organizations", several), TESTER, dry_run=True)
    assert [n for n, _ in together] == [n for n, _ in singly]
    assert [said for _, said in together] == [said for _, said in singly]
    assert together
    apart = database.write(lambda tx: each(tx, "organizations", several), TESTER, dry_run=True)
    assert [n for n, _ in apart] == [n for n, _ in singly]


def test_a_rule_refuses_one_of_a_group_and_the_others_stay(database: Database) -> None:
    bodies = [{"name": name, "kind": "other"} for name in ("A", "B", "C")]
    database.write(lambda tx: create(tx, "organizations", bodies), TESTER)
    events: list[Values] = [
        {"slug": "one", "kind": "rename", "predecessors": ["a"], "successors": ["b"]},
        {"slug": "back", "kind": "rename", "predecessors": ["b"], "successors": ["a"]},
        {"slug": "two", "kind": "rename", "predecessors": ["b"], "successors": ["c"]},
    ]
    refused = database.write(lambda tx: create(tx, "successions", events), TESTER)
    assert {n for n, _ in refused} <= {0, 1}
    assert refused
    stored = database.read(lambda tx: set(tx.execute(sa.select(NOUNS["successions"].table.c.slug)).scalars()))
    assert "two" in stored
    assert len(stored) == 3 - len(refused)
    numbers = database.read(lambda tx: tx.execute(sa.select(TABLE.c.seq).order_by(TABLE.c.seq)).scalars().all())
    assert numbers == list(range(1, 3 + len(stored) + 1))  # what was taken back has left no gap


def test_a_large_set_takes_few_statements_and_numbers_every_record(database: Database) -> None:
    several = [{"name": f"Body {n:04}", "kind": "other", "acronym": f"B{n}"} for n in range(1200)]
    statements: list[str] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    assert database.write(lambda tx: create(tx, "organizations", several), TESTER) == []
    assert len(statements) < 60
    table = ORGANIZATIONS.table
    numbers = database.read(lambda tx: tx.execute(sa.select(table.c.since).order_by(table.c.since)).scalars().all())
    assert numbers == list(range(1, 1201))


def test_slugs_are_numbered_where_they_are_taken(database: Database) -> None:
    several = [{"title": "Same", "kind": "treaty"}] * 3
    for _ in range(2):
        assert database.write(lambda tx: create(tx, "instruments", several), TESTER) == []
    table = NOUNS["instruments"].table
    slugs = database.read(lambda tx: tx.execute(sa.select(table.c.slug).order_by(table.c.slug)).scalars().all())
    assert slugs == ["same", *(f"same-{n}" for n in range(2, 7))]
