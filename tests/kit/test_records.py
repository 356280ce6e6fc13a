"""What a caller of the one door may rely on: a record is what was written, whichever way it is read, its history is whole,
and of two writers that exclude each other only one succeeds."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from app.api.v1 import RESOURCES
from app.exchange.passages import fingerprint
from app.kit import backfill, edtf, records, revisions
from app.kit.db import Clock, Database, Record, Transaction, table_of
from app.kit.errors import Conflict, Gone, Invalid, Stale
from app.kit.resource import COMMON, Dated, Embedded, Linked, Plain, Plan, Planned, Resource, Rows, claim_of
from app.kit.text import fold, slugify
from tests.conftest import TESTER

Json = dict[str, Any]
NOUNS: dict[str, Resource[Any]] = {resource.plural: resource for resource in RESOURCES}
ORGANIZATIONS = NOUNS["organizations"]


def create(database: Database, noun: str, body: Mapping[str, Any]) -> Json:
    resource = NOUNS[noun]
    stored = database.write(lambda tx: records.create(tx, resource, records.validated(resource, body)), TESTER)
    document: Json = msgspec.json.decode(stored.body)
    return document


def fetch(database: Database, noun: str, key: str) -> Json:
    document: Json = msgspec.json.decode(database.read(lambda tx: records.fetch(tx, NOUNS[noun], key)).body)
    return document


def edit(noun: str, key: str, expected: Any = "*", **fields: Any) -> Callable[[Transaction], records.Stored]:
    return lambda tx: records.change(tx, NOUNS[noun], key, lambda before: before | fields, expected)


def withdrawal(noun: str, key: str) -> Callable[[Transaction], records.Stored]:
    return lambda tx: records.withdraw(tx, NOUNS[noun], key, "*")


def restoration(noun: str, key: str) -> Callable[[Transaction], records.Stored]:
    return lambda tx: records.restore(tx, NOUNS[noun], key)


# --- against a model --------------------------------------------------------------------------------------------------


@dataclass
class Modelled:
    """A record as it should be."""

    fields: Json
    version: int = 1
    withdrawn: bool = False
    actions: list[str] = field(default_factory=lambda: ["created"])

    @property
    def claim(self) -> tuple[str, str | None]:
        return fold(self.fields["name"]), self.fields["country"]

    def step(self, action: str) -> None:
        self.version += 1
        self.actions.append(action)
        self.withdrawn = action == "withdrawn"


class Model:
    """The registry as a dictionary."""

    def __init__(self) -> None:
        self.records: dict[str, Modelled] = {}

    def taken(self, claim: tuple[str, str | None], but: Modelled | None = None) -> bool:
        return any(r.claim == claim and r is not but and not r.withdrawn for r in self.records.values())

    def free(self, name: str) -> str:
        slug = slugify(name)
        numbered = (f"{slug}-{n}" for n in itertools.count(2))
        return next(s for s in itertools.chain([slug], numbered) if s not in self.records)

    def create(self, fields: Json) -> str | type[Exception]:
        made = Modelled(fields)
        if self.taken(made.claim):
            return Conflict
        slug = self.free(fields["name"])
        self.records[slug] = made
        return slug

    def change(self, slug: str, fields: Json, version: int | None) -> str | type[Exception]:
        record = self.records[slug]
        if record.withdrawn:
            return Gone
        if version is not None and version != record.version:
            return Stale
        if fields == record.fields:
            return slug
        if self.taken(Modelled(fields).claim, record):
            return Conflict
        record.fields = fields
        record.step("changed")
        return slug

    def withdraw(self, slug: str) -> str | type[Exception]:
        record = self.records[slug]
        if record.withdrawn:
            return Gone
        record.step("withdrawn")
        return slug

    def restore(self, slug: str) -> str | type[Exception]:
        record = self.records[slug]
        if not record.withdrawn:
            return slug
        if self.taken(record.claim):
            return Conflict
        record.step("restored")
        return slug


FIELDS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["Office", "OFFICE", "Öffice", "Bureau"]),
        "country": st.sampled_from([None, "CH"]),
        "description": st.sampled_from([None, "One.", "Two."]),
        "founded": st.sampled_from([None, "1919", "1946-10/.."]),
        "other_names": st.sampled_from([[], [{"value": "OIT", "lang": "fr", "kind": "acronym"}]]),
    }
)
PICK = st.integers(0, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), FIELDS),
        st.tuples(st.just("change"), PICK, FIELDS, st.sampled_from([None, None, 0, 1])),
        st.tuples(st.just("withdraw"), PICK),
        st.tuples(st.just("restore"), PICK),
    ),
    min_size=4,
    max_size=14,
)
_EXAMPLES = itertools.count(1)


@settings(
    max_examples=20,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_the_registry_does_what_a_dictionary_would(database: Database, steps: list[tuple[Any, ...]]) -> None:
    model, ours = Model(), f"x{next(_EXAMPLES)} "
    before = database.read(lambda tx: tx.sequence())
    for verb, *arguments in [("create", {**_PLAIN, "name": "Office"}), *steps]:
        if verb == "create":
            fields = {**arguments[0], "name": ours + arguments[0]["name"]}
            expected = model.create(fields)
            work = _creation(fields)
        else:
            slug = list(model.records)[arguments[0] % len(model.records)]
            work, expected = _step(model, verb, slug, ours, arguments[1:])
        try:
            answer: Any = database.write(work, TESTER).slug
        except (Conflict, Gone, Stale) as error:
            answer = type(error)
        assert answer == expected, (verb, arguments)
    for slug, record in model.records.items():
        _same(database, slug, record)
    written = sum(len(record.actions) for record in model.records.values())
    assert database.read(lambda tx: tx.sequence()) == before + written


_PLAIN: Json = {"name": "", "country": None, "description": None, "founded": None, "other_names": []}


def _creation(fields: Json) -> Callable[[Transaction], records.Stored]:
    data = records.validated(ORGANIZATIONS, {**fields, "kind": "other"})
    return lambda tx: records.create(tx, ORGANIZATIONS, data)


def _step(model: Model, verb: str, slug: str, ours: str, arguments: list[Any]) -> tuple[Any, Any]:
    if verb == "withdraw":
        return lambda tx: records.withdraw(tx, ORGANIZATIONS, slug, "*"), model.withdraw(slug)
    if verb == "restore":
        return lambda tx: records.restore(tx, ORGANIZATIONS, slug), model.restore(slug)
    fields = {**arguments[0], "name": ours + arguments[0]["name"]}
    version = None if arguments[1] is None else model.records[slug].version - arguments[1]
    seen = "*" if version is None else frozenset({version})
    return edit("organizations", slug, seen, **fields), model.change(slug, fields, version)


def _same(database: Database, slug: str, record: Modelled) -> None:
    if record.withdrawn:
        with pytest.raises(Gone) as caught:
            fetch(database, "organizations", slug)
        assert caught.value.extra["tombstone"]["version"] == record.version
    else:
        found = fetch(database, "organizations", slug)
        assert {name: found[name] for name in record.fields} == record.fields
        assert (found["slug"], found["version"]) == (slug, record.version)
    table = revisions.TABLE
    chain = sa.select(table.c.action).where(table.c.slug == slug).order_by(table.c.version)
    assert database.read(lambda tx: [a.value for a in tx.execute(chain).scalars()]) == record.actions


# --- columns and document ---------------------------------------------------------------------------------------------


class Rebuilt:
    """Documents made of the columns alone, through the mapped classes."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def document(self, resource: Resource[Any], record: Record) -> Json:
        common = {name: getattr(record, name) for name in COMMON}
        document: Json = msgspec.json.decode(msgspec.json.encode(common | self.fields(resource.plan, record)))
        return document

    def fields(self, plan: Plan, holder: Any) -> Json:
        return {planned.name: self.value(plan, planned, holder) for planned in plan.fields}

    def value(self, plan: Plan, planned: Planned, holder: Any) -> Any:
        if isinstance(planned, Rows):
            return self.items(planned, holder)
        if isinstance(planned, Embedded):
            return self.fields(planned.plan, holder)
        if isinstance(planned, Linked):
            return self.slug(plan, planned, holder)
        if isinstance(planned, Dated):
            return self.date(planned, holder)
        value = getattr(holder, planned.column)
        for column in planned.folded:
            assert getattr(holder, column) == fold(value)
        return value

    def items(self, planned: Rows, holder: Any) -> list[Any]:
        children = getattr(holder, planned.name)
        assert [child.position for child in children] == list(range(len(children)))
        for child in children if planned.claims else ():
            row = {name: getattr(child, name) for name in planned.claims}
            assert child.claim == (None if holder.withdrawn_at else claim_of(row, planned.claims))
        if planned.plan is not None:
            return [self.fields(planned.plan, child) for child in children]
        assert planned.item is not None
        alone = Plan((planned.item,))
        return [self.value(alone, planned.item, child) for child in children]

    def slug(self, plan: Plan, planned: Linked, holder: Any) -> str | None:
        identifier = getattr(holder, planned.column)
        table = planned.table
        if table is None:
            assert planned.among is not None
            noun = next(p for p in plan.fields if p.name == "noun" and isinstance(p, Plain))
            table = table_of(planned.among[getattr(holder, noun.column)])
        if identifier is None:
            return None
        slug: str = self.session.execute(sa.select(table.c.slug).where(table.c.id == identifier)).scalar_one()
        return slug

    def date(self, planned: Dated, holder: Any) -> str | None:
        date: edtf.Edtf | None = getattr(holder, planned.column)
        if date is None or date.text is None:
            return None
        assert date == edtf.parse(date.text)
        return date.text


def agree(database: Database) -> int:
    """Every record's columns say what its document says; how many records there are."""
    compared = 0
    with Session(database.engine) as session:
        for resource in RESOURCES:
            for record in session.scalars(sa.select(resource.model)):
                assert Rebuilt(session).document(resource, record) == msgspec.json.decode(record.document)
                row = dict(session.execute(sa.select(resource.table).filter_by(id=record.id)).mappings().one())
                if resource.claims:
                    assert record.claim == (None if record.withdrawn_at else claim_of(row, resource.claims))
                assert record.shape == resource.outlines.of(msgspec.json.decode(record.document))
                compared += 1
    return compared


def test_columns_and_document_say_the_same_for_every_record_of_the_seed(seeded: Database) -> None:
    assert agree(seeded) > 100


PASSAGES = [
    {"section": 0, "paragraph": 1, "sentence": 1, "fingerprint": fingerprint("It is so."), "text": "It is so."},
    {"section": 2, "paragraph": 3, "sentence": 4, "fingerprint": fingerprint("And so."), "text": None},
]
FULL: list[tuple[str, Json]] = [
    ("organizations", {"slug": "parent", "name": "Parent", "kind": "organ"}),
    ("collaboration-types", {"slug": "wider", "label": "Wider"}),
    ("instruments", {"slug": "earlier", "title": "Earlier", "kind": "declaration"}),
    ("sources", {"slug": "first-edition", "title": "First edition", "kind": "web_page"}),
    ("collaborations", {"slug": "whole", "title": "Whole", "type": "wider"}),
    (
        "organizations",
        {
            "slug": "full",
            "name": "Straße İLO “Ω”",
            "acronym": "SIO",
            "other_names": [
                {"value": "Bureau à l'œuvre", "lang": "fr", "kind": "official"},
                {"value": "СИО", "lang": "ru", "kind": "acronym"},
            ],
            "kind": "organ",
            "part_of": "parent",
            "description": "Two\nlines.",
            "url": "https://full.example/",
            "country": "CH",
            "founded": "1919-04~",
            "dissolved": "1946/1948",
            "identifiers": [
                {"scheme": "ror", "value": "05N2ns234", "url": "https://ror.org/05n2ns234"},
                {"scheme": "isni", "value": "0000", "url": None},
            ],
        },
    ),
    (
        "collaboration-types",
        {
            "slug": "full",
            "label": "Narrower",
            "labels": {"fr": "Plus étroit", "ar": "أضيق"},
            "definition": "What it is.",
            "broader": "wider",
            "exact_matches": ["https://concepts.example/b", "https://concepts.example/a"],
            "review_every_months": 24,
        },
    ),
    (
        "instruments",
        {
            "slug": "full",
            "title": "Tripartite Declaration",
            "short_title": "Declaration",
            "kind": "declaration",
            "description": "What it says.",
            "issuer": "full",
            "adopted": "1977-11",
            "revised": "2017-03-17",
            "url": "https://instrument.example/",
            "replaces": "earlier",
            "refers_to": ["earlier"],
        },
    ),
    (
        "collaborations",
        {
            "slug": "full",
            "title": "Working together",
            "summary": "On what.",
            "type": "full",
            "status": "active",
            "period": "1999/..",
            "part_of": "whole",
            "instruments": ["full", "earlier"],
            "sdgs": [17, 8],
            "participants": [
                {
                    "organization": "full",
                    "role": "host",
                    "period": "2001?",
                    "on_behalf_of": "parent",
                    "note": "As said.",
                },
                {"organization": "parent", "role": "partner", "period": None, "on_behalf_of": None, "note": None},
                {"organization": "full", "role": "funder", "period": "201X", "on_behalf_of": None, "note": None},
            ],
            "review_every_months": 24,
        },
    ),
    (
        "milestones",
        {
            "slug": "full",
            "title": "First session",
            "kind": "session",
            "collaboration": "full",
            "instrument": "full",
            "organization": "full",
            "date": "2014-12-04",
            "due": "2014",
            "status": "met",
            "description": "What happened.",
            "place": "Geneva",
            "url": "https://milestone.example/",
        },
    ),
    (
        "sources",
        {
            "slug": "full",
            "title": "A page",
            "kind": "web_page",
            "publisher": "full",
            "symbol": "GB.322/POL/8",
            "url": "https://source.example/",
            "language": "en",
            "published": "2014-21",
            "retrieved": "2026-02-01T10:30:00.123456+02:00",
            "replaces": "first-edition",
            "sha256": "0f" * 32,
            "passages": PASSAGES,
        },
    ),
    (
        "citations",
        {
            "slug": "full",
            "source": "full",
            "passages": [{"section": 2, "paragraph": 3, "sentence": 4}, {"section": 0, "paragraph": 1, "sentence": 1}],
            "target": {"noun": "collaboration-types", "record": "full"},
            "field": "/labels/fr",
            "stated_value": "Plus étroit",
            "support": "states",
            "note": "Read twice.",
        },
    ),
    (
        "reviews",
        {
            "slug": "full",
            "title": "Review of 2014",
            "body": "full",
            "session": "322nd session",
            "date": "2014-11",
            "document": "full",
            "status": "held",
            "summary": "Summed up.",
            "decision": "Decided.",
            "items": [
                {"collaboration": "full", "finding": "continue", "note": "Go on."},
                {"collaboration": "whole", "finding": "noted", "note": None},
            ],
        },
    ),
    (
        "successions",
        {
            "slug": "full",
            "kind": "rename",
            "date": "2006-06",
            "predecessors": ["parent"],
            "successors": ["full"],
            "note": "By a decision of its members.",
        },
    ),
]


@pytest.fixture
def full(database: Database) -> Database:
    """A registry with a record `full` of each noun, in which no field is empty."""
    for noun, body in FULL:
        create(database, noun, body)
    return database


def test_a_full_record_of_each_noun_leaves_no_field_empty(full: Database) -> None:
    for noun, resource in NOUNS.items():
        document = fetch(full, noun, "full")
        assert [p.name for p in resource.plan.fields if document[p.name] in (None, [], {})] == []


def test_columns_and_document_say_the_same_for_a_full_record_of_each_noun(full: Database) -> None:
    assert agree(full) == len(FULL)


def test_columns_and_document_say_the_same_after_every_kind_of_write(full: Database) -> None:
    full.write(edit("organizations", "full", name="Another", other_names=[], country=None, founded=None), TESTER)
    identifiers = [{"scheme": "isni", "value": "0000"}, {"scheme": "ror", "value": "05n2ns234"}]
    full.write(edit("organizations", "full", identifiers=identifiers), TESTER)
    full.write(edit("collaborations", "full", participants=[], instruments=["earlier"], sdgs=[1], period=None), TESTER)
    full.write(edit("collaboration-types", "full", labels={}, broader=None), TESTER)
    agree(full)
    for noun in (
        "successions",
        "reviews",
        "citations",
        "milestones",
        "collaborations",
        "sources",
        "instruments",
        "organizations",
    ):
        full.write(withdrawal(noun, "full"), TESTER)
    agree(full)
    for noun in (
        "organizations",
        "instruments",
        "sources",
        "collaborations",
        "milestones",
        "citations",
        "reviews",
        "successions",
    ):
        full.write(restoration(noun, "full"), TESTER)
    assert agree(full) == len(FULL)
    whole_chains(full)


# --- history ----------------------------------------------------------------------------------------------------------


def whole_chains(database: Database) -> None:
    """Each record has the revisions 1 to its version, and the last one holds the record as it is."""
    table = revisions.TABLE

    def work(tx: Transaction) -> None:
        for resource in RESOURCES:
            for row in tx.execute(sa.select(resource.table)):
                chain = tx.execute(sa.select(table).where(table.c.record_id == row.id).order_by(table.c.seq)).all()
                assert [r.version for r in chain] == list(range(1, row.version + 1))
                assert {r.noun for r in chain} == {resource.plural}
                assert (chain[-1].slug, chain[-1].shape, chain[-1].document) == (row.slug, row.shape, row.document)
                assert (chain[-1].action == revisions.Action.withdrawn) == (row.withdrawn_at is not None)
                assert (chain[0].at, chain[-1].at) == (row.created_at, row.updated_at)
        seqs = tx.execute(sa.select(table.c.seq).order_by(table.c.seq)).scalars().all()
        assert seqs == list(range(1, tx.sequence() + 1))

    database.read(work)


def test_every_record_has_its_whole_history(seeded: Database) -> None:
    whole_chains(seeded)
    seeded.write(edit("organizations", "eu", description="Changed."), TESTER)
    slugs = seeded.read(lambda tx: tx.execute(sa.select(NOUNS["citations"].table.c.slug).limit(3)).scalars().all())
    for slug in slugs:
        seeded.write(withdrawal("citations", slug), TESTER)
    seeded.write(restoration("citations", slugs[0]), TESTER)
    whole_chains(seeded)


# --- records from before a field was there ----------------------------------------------------------------------------


def age(database: Database, noun: str, key: str, without: str) -> None:
    """Let the record look as if it had been stored before the field `without` was added, and `bygone` dropped."""
    table = NOUNS[noun].table

    def work(tx: Transaction) -> None:
        document = msgspec.json.decode(tx.execute(sa.select(table.c.document).where(table.c.slug == key)).scalar_one())
        del document[without]
        text = msgspec.json.encode({**document, "bygone": 1}).decode()
        tx.execute(sa.update(table).where(table.c.slug == key).values(shape="older", document=text))

    database.write(work, TESTER)


@pytest.mark.parametrize("noun", list(NOUNS))
def test_a_record_from_before_a_field_was_added_is_shown_in_todays_shape(full: Database, noun: str) -> None:
    resource = NOUNS[noun]
    today = plainly(fetch(full, noun, "full"))
    optional = [p.name for p in resource.plan.fields if not resource.write.model_fields[p.name].is_required()]
    for name in optional:
        with full.engine.begin() as connection:
            kept = connection.execute(sa.select(resource.table).filter_by(slug="full")).mappings().one()
        age(full, noun, "full", name)
        empty = resource.write.model_fields[name].get_default(call_default_factory=True)
        shown = plainly(fetch(full, noun, "full"))
        assert shown == today | {name: empty}
        assert list(shown) == list(today)
        young = {"shape": kept["shape"], "document": kept["document"]}
        with full.engine.begin() as connection:
            connection.execute(sa.update(resource.table).filter_by(slug="full").values(young))


def plainly(record: Json) -> Json:
    """The record without its evidence, which says which fields are empty."""
    return {name: value for name, value in record.items() if name != "evidence"}


@pytest.mark.parametrize("noun", list(NOUNS))
def test_a_record_whose_shape_does_not_tell_what_it_holds_is_shown_alike(full: Database, noun: str) -> None:
    resource = NOUNS[noun]
    query = resource.query(limit=200)

    def shown() -> tuple[bytes, list[bytes]]:
        return (
            full.read(lambda tx: records.fetch(tx, resource, "full").body),
            full.read(lambda tx: records.browse(tx, resource, query)).items,
        )

    told = shown()
    with full.engine.begin() as connection:
        connection.execute(sa.update(resource.table).values(shape=resource.outlines.plain))
    assert shown() == told


def shapes(database: Database) -> dict[str, dict[str, str]]:
    """The shape of each record, by noun and slug."""

    def work(tx: Transaction) -> dict[str, dict[str, str]]:
        read = ((noun, tx.execute(sa.select(r.table.c.slug, r.table.c.shape))) for noun, r in NOUNS.items())
        return {noun: {row.slug: row.shape for row in rows} for noun, rows in read}

    return database.read(work)


def test_the_shapes_of_records_that_were_there_are_made_to_tell_what_these_hold(seeded: Database) -> None:
    before = shapes(seeded)
    assert seeded.write(lambda tx: backfill.outline(tx, RESOURCES), TESTER) == 0
    with seeded.engine.begin() as connection:
        for resource in RESOURCES:
            connection.execute(sa.update(resource.table).values(shape=resource.outlines.plain))
    assert seeded.write(lambda tx: backfill.outline(tx, RESOURCES), TESTER) == sum(map(len, before.values())) > 100
    assert shapes(seeded) == before


def test_nobody_writes_while_the_index_of_search_is_made(seeded: Database) -> None:
    if seeded.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer")

    def resources() -> Iterator[Resource[Any]]:
        with seeded.engine.begin() as other, pytest.raises(sa.exc.OperationalError, match="could not obtain lock"):
            other.execute(sa.select(table_of(Clock)).with_for_update(nowait=True))
        yield from RESOURCES

    assert seeded.write(lambda tx: backfill.reindex(tx, resources()), TESTER) > 100


def test_nobody_who_writes_a_record_is_waited_for_to_make_its_shape_tell(seeded: Database) -> None:
    if seeded.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer")
    table, plain = ORGANIZATIONS.table, ORGANIZATIONS.outlines.plain
    with seeded.engine.begin() as connection:
        connection.execute(sa.update(table).values(shape=plain))
    with seeded.engine.begin() as other:
        other.execute(sa.select(table.c.id).where(table.c.slug == "ilo").with_for_update())
        seeded.write(lambda tx: backfill.outline(tx, RESOURCES), TESTER)
    assert [slug for slug, shape in shapes(seeded)["organizations"].items() if shape == plain] == ["ilo"]


def test_a_record_from_before_a_field_was_added_can_be_listed_and_changed(full: Database) -> None:
    age(full, "organizations", "full", "acronym")
    query = ORGANIZATIONS.query(limit=10)
    page = full.read(lambda tx: records.browse(tx, ORGANIZATIONS, query))
    [listed] = [item for item in map(msgspec.json.decode, page.items) if item["slug"] == "full"]
    assert listed == fetch(full, "organizations", "full")
    assert "bygone" not in listed
    full.write(edit("organizations", "full", description="Changed."), TESTER)
    assert plainly(fetch(full, "organizations", "full")) == plainly(listed) | {
        "description": "Changed.",
        "version": 2,
        "updated_at": fetch(full, "organizations", "full")["updated_at"],
    }
    agree(full)


# --- two at once ------------------------------------------------------------------------------------------------------


def outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except (Conflict, Invalid, Stale, Gone) as error:
        return type(error)


def test_of_many_writers_with_one_etag_exactly_one_wins(database: Database) -> None:
    create(database, "organizations", {"name": "Contested", "kind": "other"})
    with ThreadPoolExecutor(6) as threads:
        for version in range(1, 11):
            together = threading.Barrier(6, timeout=20)

            def one(n: int, version: int = version, together: threading.Barrier = together) -> Any:
                work = edit("organizations", "contested", frozenset({version}), description=f"{version} by {n}")
                together.wait()
                return outcome(lambda: database.submit_write(work, TESTER).result(20).version)

            outcomes = list(threads.map(one, range(6)))
            assert [o for o in outcomes if o is not Stale] == [version + 1]
            winner = next(n for n, o in enumerate(outcomes) if o is not Stale)
            assert fetch(database, "organizations", "contested")["description"] == f"{version} by {winner}"
    whole_chains(database)


def test_many_creators_of_one_name_make_one_record(database: Database) -> None:
    with ThreadPoolExecutor(6) as threads:
        for turn in range(10):
            together = threading.Barrier(6, timeout=20)

            def one(n: int, turn: int = turn, together: threading.Barrier = together) -> Any:
                name = f"Straße {turn}" if n % 2 else f"STRASSE {turn}"
                body = records.validated(ORGANIZATIONS, {"name": name, "kind": "other"})
                together.wait()
                return outcome(
                    lambda: database.submit_write(
                        lambda tx: records.create(tx, ORGANIZATIONS, body), TESTER
                    ).result(20).slug
                )  # fmt: skip

            outcomes = list(threads.map(one, range(6)))
            assert sorted(o for o in outcomes if o is not Conflict) == [f"strasse-{turn}"]
    whole_chains(database)


REFERRERS: list[tuple[str, str, Json]] = [
    ("organizations", "organizations", {"name": "Part", "kind": "organ", "part_of": "wanted"}),
    ("organizations", "milestones", {"title": "M", "kind": "session", "status": "met", "organization": "wanted"}),
    (
        "organizations",
        "collaborations",
        {"title": "C", "type": "type", "participants": [{"organization": "wanted", "role": "host"}]},
    ),
]


@pytest.mark.parametrize(("noun", "referrer", "body"), REFERRERS)
def test_a_record_is_never_withdrawn_under_a_reference_that_is_made_at_the_same_time(
    database: Database, noun: str, referrer: str, body: Json
) -> None:
    create(database, "collaboration-types", {"slug": "type", "label": "Type"})
    create(database, noun, {"slug": "wanted", "name": "Wanted", "kind": "other"})
    other = NOUNS[referrer]
    data = records.validated(other, body)
    on_postgresql = database.engine.dialect.name == "postgresql"
    with ThreadPoolExecutor(2) as threads:
        for _ in range(10):
            outside, inside = threading.Barrier(2, timeout=20), threading.Barrier(2, timeout=20)

            def race(
                work: Callable[[Transaction], records.Stored],
                outside: threading.Barrier = outside,
                inside: threading.Barrier = inside,
            ) -> Any:
                turns = itertools.count()

                def together(tx: Transaction) -> records.Stored:
                    if on_postgresql and next(turns) == 0:  # SQLite lets one writer in at a time
                        tx.sequence()
                        inside.wait()
                    return work(tx)

                outside.wait()
                return outcome(lambda: database.write(together, TESTER))

            withdrawn = threads.submit(race, withdrawal(noun, "wanted"))
            created = threads.submit(race, lambda tx: records.create(tx, other, data))
            gone, made = withdrawn.result(30), created.result(30)
            assert (gone is Conflict) != (made is Invalid), (gone, made)
            if gone is not Conflict:
                assert made is Invalid
                database.write(restoration(noun, "wanted"), TESTER)
            else:
                fetch(database, noun, "wanted")
                database.write(withdrawal(referrer, made.slug), TESTER)
    whole_chains(database)
