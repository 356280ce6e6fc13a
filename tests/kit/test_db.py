"""What a caller of the unit of work may rely on, alike on SQLite and PostgreSQL: what is stored comes back the same, a
read sees one state, a write is there as a whole or not at all, and nobody is told of a success that was not committed."""

from __future__ import annotations

import itertools
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy import event, exc

from app.api.v1.organizations import RESOURCE as ORGANIZATIONS
from app.kit import bulk, db, engines, failures, records, revisions, sides, writer
from app.kit.db import ATTEMPTS, Author, Base, Database, Key, Transaction, UtcDateTime, table_of, vocabulary
from app.kit.errors import Again, Conflict, Forbidden, NotFound, Unavailable
from app.kit.revisions import Action
from app.kit.writer import Share
from app.registry.organizations import Organization, OrganizationName
from tests.conftest import TESTER, Server
from tests.support import waiting
from tests.support.proofs import Proof

LONG = 10.0
"""Seconds after which a test gives up waiting for something that takes milliseconds."""
until = partial(waiting.until, seconds=LONG)
on_sqlite = pytest.mark.parametrize("server", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("server", ["postgresql"], indirect=True)

Work = Callable[[Transaction], Any]
ORGANIZATION = table_of(Organization)


def organization(name: str) -> Work:
    """The work of creating an organization; it answers the slug."""

    def work(tx: Transaction) -> str:
        data = ORGANIZATIONS.write.model_validate({"name": name, "kind": "other"})
        return records.create(tx, ORGANIZATIONS, data).slug

    return work


def dangling(tx: Transaction) -> None:
    """A row whose foreign key leads nowhere, which SQLite notices at the commit and no sooner."""
    tx.connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    row = {"organization_id": UUID(int=1), "position": 0, "value": "x", "value_key": "x", "kind": "alias"}
    tx.execute(sa.insert(table_of(OrganizationName)).values(row))


def state(database: Database) -> dict[str, Any]:
    """All that is stored: every row of every table."""

    def work(tx: Transaction) -> dict[str, Any]:
        tables = Base.metadata.sorted_tables
        return {table.name: sorted(map(repr, tx.execute(sa.select(table)))) for table in tables}

    return database.read(work)


def numbers(tx: Transaction) -> list[int]:
    """The sequence as the revisions hold it."""
    return list(tx.execute(sa.select(revisions.TABLE.c.seq).order_by(revisions.TABLE.c.seq)).scalars())


def names(database: Database) -> set[str]:
    return set(database.read(lambda tx: tx.execute(sa.select(ORGANIZATION.c.name)).scalars().all()))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once."""
    monkeypatch.setattr(db, "random", SimpleNamespace(uniform=lambda *_: 0.0))


# --- column types -----------------------------------------------------------------------------------------------------


@pytest.fixture
def scratch(database: Database) -> sa.Table:
    """A table of all the kit's column types."""
    table = sa.Table(
        "scratch",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("moment", UtcDateTime),
        sa.Column("action", vocabulary(Action)),
        sa.Column("key", Key),
    )
    with database.engine.begin() as connection:
        table.create(connection)
    return table


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (datetime(2024, 3, 31, 2, 30, tzinfo=UTC), datetime(2024, 3, 31, 2, 30, tzinfo=UTC)),
        (datetime(2024, 3, 31, 2, 30, tzinfo=timezone(timedelta(hours=2))), datetime(2024, 3, 31, 0, 30, tzinfo=UTC)),
        (datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=14))), datetime(2023, 12, 31, 10, tzinfo=UTC)),
        (datetime(1, 1, 2, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC)),
        (
            datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        ),
        (None, None),
    ],
)
def test_a_moment_comes_back_as_the_same_moment_in_utc(
    database: Database, scratch: sa.Table, given: datetime | None, stored: datetime | None
) -> None:
    database.write(lambda tx: tx.execute(sa.insert(scratch).values(id=1, moment=given)), TESTER)
    [answer] = database.read(lambda tx: tx.execute(sa.select(scratch.c.moment)).scalars().all())
    assert answer == stored
    assert answer is None or answer.tzinfo is UTC


def test_moments_are_compared_as_moments_whatever_zone_they_are_given_in(database: Database, scratch: sa.Table) -> None:
    noon = datetime(2024, 6, 1, 12, tzinfo=UTC)
    rows = [{"id": hour, "moment": noon + timedelta(hours=hour)} for hour in range(-3, 4)]
    database.write(lambda tx: tx.execute(sa.insert(scratch), rows), TESTER)
    elsewhere = noon.astimezone(timezone(timedelta(hours=-9)))
    later = sa.select(scratch.c.id).where(scratch.c.moment > elsewhere).order_by(scratch.c.moment.desc())
    assert database.read(lambda tx: tx.execute(later).scalars().all()) == [3, 2, 1]


def test_a_moment_without_a_zone_is_refused(database: Database, scratch: sa.Table) -> None:
    naive = datetime(2024, 3, 31, 2, 30)  # noqa: DTZ001  # what the column refuses
    before = state(database)
    with pytest.raises(exc.StatementError, match="a moment without a time zone"):
        database.write(lambda tx: tx.execute(sa.insert(scratch).values(id=1, moment=naive)), TESTER)
    assert state(database) == before


def test_a_vocabulary_is_stored_by_value(database: Database, scratch: sa.Table) -> None:
    rows = [{"id": n, "action": action} for n, action in enumerate(Action)]
    database.write(lambda tx: tx.execute(sa.insert(scratch), rows), TESTER)
    ordered = sa.select(scratch.c.action).order_by(scratch.c.id)
    assert database.read(lambda tx: tx.execute(ordered).scalars().all()) == list(Action)
    plain = sa.text("SELECT action FROM scratch ORDER BY id")
    assert database.read(lambda tx: tx.execute(plain).scalars().all()) == [action.value for action in Action]


def test_every_vocabulary_of_the_registry_is_stored_by_value() -> None:
    enums = [c.type for table in Base.metadata.sorted_tables for c in table.c if isinstance(c.type, sa.Enum)]
    assert len(enums) > 10
    for enum in enums:
        assert enum.enum_class is not None
        assert enum.enums == [member.value for member in enum.enum_class]
        assert max(map(len, enum.enums)) <= 40


def test_keys_sort_by_code_point(database: Database, scratch: sa.Table) -> None:
    texts = [
        "a",
        "B",
        "b",
        "ab",
        "a b",
        "a-b",
        "a_b",
        "A",
        "z",
        "é",
        "ß",
        "ø",
        "ÿ",
        "Ω",
        "я",
        "中",
        "\uffee",
        "𐀀",
        "😀",
    ]
    rows = [{"id": n, "key": text} for n, text in enumerate(texts)]
    database.write(lambda tx: tx.execute(sa.insert(scratch), rows), TESTER)
    found = database.read(lambda tx: tx.execute(sa.select(scratch.c.key).order_by(scratch.c.key)).scalars().all())
    assert found == sorted(texts)
    past = sa.select(scratch.c.key).where(scratch.c.key > "a").order_by(scratch.c.key)
    assert database.read(lambda tx: tx.execute(past).scalars().all()) == [t for t in sorted(texts) if t > "a"]


@on_postgresql
def test_no_key_of_the_schema_follows_the_servers_locale(database: Database) -> None:
    statement = sa.text("SELECT table_name, column_name, collation_name FROM information_schema.columns")
    found: list[Any] = database.read(lambda tx: list(tx.execute(statement)))
    collations = {(r.table_name, r.column_name): r.collation_name for r in found}
    keys = [(table.name, c.name) for table in Base.metadata.sorted_tables for c in table.c if c.type is Key]
    assert len(keys) > 10
    assert {collations[key] for key in keys} == {"C"}


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_read_does_not_see_what_is_committed_while_it_runs(database: Database) -> None:
    database.write(organization("Before"), TESTER)

    def work(tx: Transaction) -> list[Any]:
        statement = sa.select(ORGANIZATION.c.name)
        seen: list[Any] = [tx.execute(statement).scalars().all()]
        database.write(organization("Meanwhile"), TESTER)
        seen += [tx.execute(statement).scalars().all(), tx.sequence(), numbers(tx)]
        return seen

    assert database.read(work) == [["Before"], ["Before"], 1, [1]]
    assert names(database) == {"Before", "Meanwhile"}


def test_the_sequence_read_first_agrees_with_the_rows_read_later(database: Database) -> None:
    def work(tx: Transaction) -> tuple[int, int]:
        before = tx.sequence()
        database.write(organization("Meanwhile"), TESTER)
        return before, len(numbers(tx))

    assert database.read(work) == (0, 0)
    assert database.read(lambda tx: (tx.sequence(), len(numbers(tx)))) == (1, 1)


def test_a_read_cannot_leave_anything_behind(database: Database) -> None:
    before = state(database)
    with suppress(exc.DBAPIError):
        database.read(organization("Smuggled"))
    assert state(database) == before


@on_sqlite
@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("foreign_keys", 1),
        ("synchronous", 2),
        ("busy_timeout", 5000),
        ("wal_autocheckpoint", engines.LOG),
    ],
)
def test_every_connection_to_sqlite_is_durable_and_checks_references(
    database: Database, pragma: str, value: Any
) -> None:
    with database.engine.connect() as one, database.engine.connect() as other:
        assert [c.exec_driver_sql(f"PRAGMA {pragma}").scalar() for c in (one, other)] == [value] * 2
    assert database.read(lambda tx: tx.connection.exec_driver_sql(f"PRAGMA {pragma}").scalar()) == value
    assert database.write(lambda tx: tx.connection.exec_driver_sql(f"PRAGMA {pragma}").scalar(), TESTER) == value


# --- writing ----------------------------------------------------------------------------------------------------------


def failing(error: Exception) -> Work:
    def work(tx: Transaction) -> None:
        organization("Never")(tx)
        raise error

    return work


@pytest.mark.parametrize("error", [ValueError("mine"), NotFound("not there"), KeyError("k")])
def test_a_work_that_fails_leaves_nothing_and_its_error_comes_out_as_it_is(
    database: Database, error: Exception
) -> None:
    database.write(organization("Before"), TESTER)
    before = state(database)
    with pytest.raises(type(error)) as caught:
        database.write(failing(error), TESTER)
    assert caught.value is error
    assert database.submit_write(failing(error), TESTER).exception(LONG) is error
    assert state(database) == before
    database.write(organization("After"), TESTER)
    assert database.read(numbers) == [1, 2]


def test_a_dry_run_runs_everything_and_leaves_nothing(database: Database) -> None:
    sealed: list[list[int]] = []

    def work(tx: Transaction) -> str:
        slug: str = organization("Rehearsed")(tx)
        revisions.seal(tx)
        sealed.append(numbers(tx))
        assert records.fetch(tx, ORGANIZATIONS, slug).version == 1
        return slug

    database.write(organization("Before"), TESTER)
    before = state(database)
    assert database.write(work, TESTER, dry_run=True) == "rehearsed"
    assert database.submit_write(work, TESTER, dry_run=True).result(LONG) == "rehearsed"
    assert sealed == [[1, 2], [1, 2]]
    assert state(database) == before


def test_a_dry_run_meets_the_same_rules_as_a_write(database: Database) -> None:
    database.write(organization("Taken"), TESTER)
    submitted = database.submit_write(organization("TAKEN"), TESTER, dry_run=True).exception(LONG)
    assert isinstance(submitted, Conflict)
    assert submitted.extra["existing"]["slug"] == "taken"
    with pytest.raises(Conflict) as caught:
        database.write(organization("TAKEN"), TESTER, dry_run=True)
    assert caught.value.extra == submitted.extra


# --- the sequence -----------------------------------------------------------------------------------------------------


def storm(database: Database) -> int:
    """8 threads with 20 writes each, of which every third fails; how many were acknowledged."""

    def one(thread: int) -> int:
        acknowledged = 0
        for n in range(20):
            work = failing(ValueError("mine")) if n % 3 == 2 else organization(f"Body {thread} {n}")
            error = database.submit_write(work, TESTER).exception(LONG)
            assert error is None or str(error) == "mine"
            acknowledged += error is None
        return acknowledged

    with ThreadPoolExecutor(8) as threads:
        return sum(threads.map(one, range(8)))


def test_the_sequence_has_no_gap_whoever_writes_and_whatever_fails(database: Database) -> None:
    acknowledged = storm(database)
    assert acknowledged == 8 * 14
    assert database.read(numbers) == list(range(1, acknowledged + 1))
    assert database.read(lambda tx: tx.sequence()) == acknowledged


def test_a_reader_never_sees_a_hole_below_a_number_that_it_has_seen(database: Database) -> None:
    over = threading.Event()

    def poll() -> list[tuple[int, list[int], int]]:
        looks = []
        while not over.is_set():
            looks.append(
                database.read(
                    lambda tx: (
                        tx.sequence(),
                        numbers(tx),
                        tx.execute(sa.select(sa.func.count()).select_from(ORGANIZATION)).scalar_one(),
                    )
                )
            )
        return looks

    with ThreadPoolExecutor(1) as thread:
        polling = thread.submit(poll)
        try:
            storm(database)
        finally:
            over.set()
        looks = polling.result(LONG)
    assert len({sequence for sequence, _, _ in looks}) > 3
    for sequence, seen, rows in looks:
        assert seen == list(range(1, sequence + 1))
        assert rows == sequence
    assert [look[0] for look in looks] == sorted(look[0] for look in looks)


# --- trying again -----------------------------------------------------------------------------------------------------


class Stumbling:
    """A work that fails so many times before it succeeds."""

    def __init__(self, times: float, fail: Work) -> None:
        self.times, self.fail, self.calls = times, fail, 0

    def __call__(self, tx: Transaction) -> Any:
        self.calls += 1
        slug = organization("Persistent")(tx)
        if self.calls <= self.times:
            self.fail(tx)
        return slug


def overtaken(_: Transaction) -> None:
    raise Again


def violate(tx: Transaction) -> None:
    """The row just written, once more under another id."""
    row = tx.execute(sa.select(ORGANIZATION)).mappings().one()
    tx.execute(sa.insert(ORGANIZATION).values({**row, "id": UUID(int=7)}))


def submitted(database: Database, work: Work) -> Any:
    return database.submit_write(work, TESTER).result(LONG)


def immediate(database: Database, work: Work) -> Any:
    return database.write(work, TESTER)


ways = pytest.mark.parametrize("way", [immediate, submitted])
Way = Callable[[Database, Work], Any]


@ways
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("fail", "times"), [(overtaken, ATTEMPTS - 1), (violate, 1)])
def test_a_write_that_another_got_in_the_way_of_is_run_again_as_a_whole(
    database: Database, way: Way, fail: Work, times: int
) -> None:
    work = Stumbling(times, fail)
    assert way(database, work) == "persistent"
    assert work.calls == times + 1
    assert database.read(numbers) == [1]


@ways
@pytest.mark.usefixtures("impatient")
def test_a_violation_is_tried_once_more_also_when_something_else_came_before(database: Database, way: Way) -> None:
    """So the loser of a deadlock may meet the rows of the winner, which is only about to commit."""
    fails = iter([overtaken, violate])
    work = Stumbling(2, lambda tx: next(fails)(tx))
    assert way(database, work) == "persistent"
    assert work.calls == 3
    assert database.read(numbers) == [1]


@ways
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("fail", "calls", "answer"), [(overtaken, ATTEMPTS, Unavailable), (violate, 2, Conflict)])
def test_a_write_that_never_succeeds_is_refused_in_the_registrys_own_words(
    database: Database, way: Way, fail: Work, calls: int, answer: type[Exception]
) -> None:
    before = state(database)
    work = Stumbling(ATTEMPTS * 2, fail)
    with pytest.raises(answer):
        way(database, work)
    assert work.calls == calls
    assert state(database) == before


@on_postgresql
def test_the_loser_of_a_deadlock_tries_again_and_both_succeed(database: Database) -> None:
    for name in ("Left", "Right"):
        database.write(organization(name), TESTER)
    both = threading.Barrier(2, timeout=LONG)
    calls: list[str] = []

    def work(first: str, second: str) -> Work:
        turns = itertools.count()

        def lock(tx: Transaction) -> None:
            calls.append(first)
            turn = next(turns)
            tx.execute(sa.text("SET LOCAL deadlock_timeout = '50ms'"))
            tx.execute(sa.select(ORGANIZATION.c.id).where(ORGANIZATION.c.slug == first).with_for_update())
            if turn == 0:
                both.wait()
            tx.execute(sa.select(ORGANIZATION.c.id).where(ORGANIZATION.c.slug == second).with_for_update())
            organization(f"After {first}")(tx)

        return lock

    futures = [database.submit_write(work(*pair), TESTER) for pair in (("left", "right"), ("right", "left"))]
    for future in futures:
        future.result(LONG)
    assert len(calls) == 3
    assert names(database) == {"Left", "Right", "After left", "After right"}


@on_postgresql
def test_who_loses_a_race_for_a_name_is_told_who_has_it(database: Database) -> None:
    inserted, go = threading.Event(), threading.Event()

    def first(tx: Transaction) -> None:
        organization("Contested")(tx)
        inserted.set()
        assert go.wait(LONG)

    def waiting() -> bool:
        statement = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return database.read(lambda tx: bool(tx.execute(statement).scalar_one()))

    winner = database.submit_write(first, TESTER)
    assert inserted.wait(LONG)
    loser = database.submit_write(organization("contested"), TESTER)
    until(waiting)
    go.set()
    winner.result(LONG)
    error = loser.exception(LONG)
    assert isinstance(error, Conflict)
    assert error.extra["existing"]["slug"] == "contested"
    assert names(database) == {"Contested"}


# --- a commit that fails ----------------------------------------------------------------------------------------------


@pytest.fixture
def doomed(database: Database) -> Database:
    """A database whose every COMMIT of an organization fails."""
    if database.engine.dialect.name == "postgresql":
        with database.engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
                " AS $$ BEGIN RAISE EXCEPTION 'not at the commit'; END $$"
            )
            connection.exec_driver_sql(
                "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON organization"
                " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
            )
    else:

        def seal(tx: Transaction) -> None:
            revisions.seal(tx)
            dangling(tx)

        database.seal = seal
    return database


@ways
@pytest.mark.usefixtures("impatient")
def test_a_commit_that_fails_never_answers_success(doomed: Database, way: Way) -> None:
    before = state(doomed)
    with pytest.raises((Conflict, exc.DBAPIError)):
        way(doomed, organization("Uncommitted"))
    assert state(doomed) == before


HOME = "/v1/organizations"
NEW = {"name": "Uncommitted", "kind": "other"}
REQUESTS: dict[str, Callable[[httpx.Client], httpx.Response]] = {
    "create": lambda client: client.post(HOME, json=NEW),
    "put": lambda client: client.put(f"{HOME}/uncommitted", json=NEW, headers={"If-None-Match": "*"}),
    "batch": lambda client: client.post(
        "/v1/batch", json={"operations": [{"verb": "create", "noun": "organizations", "body": NEW}]}
    ),
    "import": lambda client: client.post(
        "/v1/import?noun=organizations", content=json.dumps(NEW), headers={"Content-Type": "application/x-ndjson"}
    ),
    "sent again": lambda client: client.post(HOME, json=NEW, headers={"Idempotency-Key": "once"}),
}
"""Every way to write an organization."""


@pytest.mark.proves("R23")
@pytest.mark.usefixtures("impatient")
def test_a_commit_that_fails_never_answers_2xx(client: httpx.Client, doomed: Database, proof: Proof) -> None:
    before, statuses = state(doomed), list[int]()
    for turn in range(proof.rounds(10, 200)):
        answer = [*REQUESTS.values()][turn % len(REQUESTS)](client)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.status_code in (409, 500, 503), answer.text
        statuses.append(answer.status_code)
    assert state(doomed) == before
    assert client.get(HOME).json()["items"] == []
    proof.count("COMMITs that were made to fail", len(statuses), at_least=proof.rounds(10, 200))
    proof.count("of them answered 2xx", sum(status < 300 for status in statuses), at_most=0)


@on_postgresql
@pytest.mark.proves("R23", database="postgresql")
@pytest.mark.usefixtures("impatient")
def test_a_session_that_ends_in_its_commit_never_answers_2xx(
    client: httpx.Client, doomed: Database, proof: Proof
) -> None:
    with doomed.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
        )
    before, ends = state(doomed), proof.rounds(5, 50)
    for turn in range(ends):
        answer = [*REQUESTS.values()][turn % len(REQUESTS)](client)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "Read the record before you send this again" in answer.json()["detail"]
    assert state(doomed) == before
    proof.count("sessions ended in their COMMIT, none answered 2xx", ends)


# --- writes that share a commit ---------------------------------------------------------------------------------------


@contextmanager
def busy(database: Database) -> Iterator[Future[Any]]:
    """The writer is held up while the block runs; what is submitted there waits together."""
    started, go = threading.Event(), threading.Event()

    def work(tx: Transaction) -> str:
        started.set()
        assert go.wait(LONG)
        return str(organization("First")(tx))

    future = database.submit_write(work, TESTER, share=Share.closely)
    assert started.wait(LONG)
    try:
        yield future
    finally:
        go.set()


def watch_commits(database: Database, look: Callable[[], Any]) -> list[Any]:
    """What `look` found at each COMMIT, just before it went out."""
    seen: list[Any] = []
    event.listen(database.engine, "commit", lambda _: seen.append(look()))
    return seen


shares = pytest.mark.parametrize(
    ("server", "share"),
    [("sqlite", Share.freely), ("sqlite", Share.closely), ("postgresql", Share.closely)],
    indirect=["server"],
)
"""The ways in which writes may share a commit: each sealed by itself (SQLite), or all together."""
shares_on_sqlite = pytest.mark.parametrize(
    ("server", "share"), [("sqlite", Share.freely), ("sqlite", Share.closely)], indirect=["server"]
)


@shares
def test_writes_that_wait_together_share_one_commit_and_nobody_is_answered_before_it(
    database: Database, share: Share
) -> None:
    futures: list[Future[Any]] = []
    commits = watch_commits(database, lambda: [future.done() for future in futures])
    with busy(database) as first:
        futures += [database.submit_write(organization(f"Body {n}"), TESTER, share=share) for n in range(20)]
    assert [future.result(LONG) for future in (first, *futures)] == ["first", *(f"body-{n}" for n in range(20))]
    assert commits == [[False] * 20] * 2  # the first work's own, and that of all the others
    assert database.read(numbers) == list(range(1, 22))


@pytest.mark.parametrize(
    "fail",
    [
        pytest.param(failing(ValueError("mine")), id="its own error"),
        pytest.param(
            lambda tx: tx.execute(sa.text("SELECT * FROM nowhere")), id="a statement that the database cannot read"
        ),
        pytest.param(Stumbling(99, violate), id="a unique violation"),
        pytest.param(
            lambda tx: tx.execute(sa.text("UPDATE clock SET seq = NULL")), id="a value that the schema refuses"
        ),
    ],
)
@shares
@pytest.mark.usefixtures("impatient")
def test_a_work_that_fails_takes_no_other_with_it(database: Database, fail: Work, share: Share) -> None:
    with busy(database):
        works = [fail if n == 7 else organization(f"Body {n}") for n in range(20)]
        futures = [database.submit_write(work, TESTER, share=share) for work in works]
    assert [n for n, future in enumerate(futures) if future.exception(LONG)] == [7]
    assert names(database) == {"First", *(f"Body {n}" for n in range(20) if n != 7)}
    assert database.read(numbers) == list(range(1, 21))


@pytest.mark.parametrize(("wrote", "times"), [([], [1] * 5), ([organization("Never")], [2, 2, 2, 1, 1])])
@shares
def test_who_fails_before_writing_anything_makes_nobody_begin_again(
    database: Database, wrote: list[Work], times: list[int], share: Share
) -> None:
    begun: list[int] = []

    def counted(n: int) -> Work:
        def work(tx: Transaction) -> None:
            begun.append(n)
            for write in wrote if n == 3 else [organization(f"Body {n}")]:
                write(tx)
            if n == 3:
                raise Conflict("No.")

        return work

    with busy(database):
        futures = [database.submit_write(counted(n), TESTER, share=share) for n in range(6)]
    assert [n for n, future in enumerate(futures) if future.exception(LONG)] == [3]
    assert [begun.count(n) for n in range(6) if n != 3] == times
    assert names(database) == {"First", *(f"Body {n}" for n in range(6) if n != 3)}
    assert database.read(numbers) == list(range(1, 7))


@on_sqlite
@pytest.mark.parametrize("manner", [{"share": Share.apart}, {"dry_run": True}, {"share": Share.never}])
def test_who_may_well_fail_late_makes_nobody_begin_again(database: Database, manner: dict[str, Any]) -> None:
    begun: list[int] = []

    def counted(n: int) -> Work:
        def work(tx: Transaction) -> None:
            begun.append(n)
            organization(f"Body {n}")(tx)

        return work

    with busy(database):
        futures = [
            database.submit_write(failing(Conflict("No.")), TESTER, **manner)
            if n == 3
            else database.submit_write(counted(n), TESTER)
            for n in range(6)
        ]
    assert [n for n, future in enumerate(futures) if future.exception(LONG)] == [3]
    assert sorted(begun) == [0, 1, 2, 4, 5]
    assert database.read(numbers) == list(range(1, 7))


@shares
def test_a_dry_run_among_writes_that_wait_together_leaves_nothing(database: Database, share: Share) -> None:
    with busy(database):
        works = [organization(f"Body {n}") for n in range(10)]
        futures = [database.submit_write(work, TESTER, dry_run=n % 2 == 0, share=share) for n, work in enumerate(works)]
    assert [future.result(LONG) for future in futures] == [f"body-{n}" for n in range(10)]
    assert names(database) == {"First", *(f"Body {n}" for n in range(1, 10, 2))}
    assert database.read(numbers) == list(range(1, 7))


@shares_on_sqlite
@pytest.mark.usefixtures("impatient")
def test_a_shared_commit_that_fails_falls_back_to_one_by_one(database: Database, share: Share) -> None:
    commits = watch_commits(database, lambda: None)
    with busy(database):
        works = [dangling if n == 7 else organization(f"Body {n}") for n in range(20)]
        futures = [database.submit_write(work, TESTER, share=share) for work in works]
    wait_for(futures, LONG)
    errors = {n: future.exception(LONG) for n, future in enumerate(futures) if future.exception(LONG)}
    assert list(errors) == [7]
    assert isinstance(errors[7], Conflict)
    assert names(database) == {"First", *(f"Body {n}" for n in range(20) if n != 7)}
    assert database.read(numbers) == list(range(1, 21))
    assert len(commits) == 1 + 1 + 19 + 2  # the first, the shared one, and each alone, the dangling one twice


def rolled_back_by_sqlite(tx: Transaction) -> None:
    """What SQLite does by itself when the disk is full or fails: the whole transaction is undone, not the savepoint."""
    tx.connection.exec_driver_sql("ROLLBACK")
    raise exc.OperationalError("INSERT", None, sqlite3.OperationalError("database or disk is full"))


@shares_on_sqlite
def test_a_disk_that_fails_in_the_middle_of_a_group_loses_nothing_that_is_answered(
    database: Database, share: Share
) -> None:
    with busy(database):
        works = [rolled_back_by_sqlite if n == 3 else organization(f"Body {n}") for n in range(7)]
        futures = [database.submit_write(work, TESTER, share=share) for work in works]
    wait_for(futures, LONG)
    assert [n for n, future in enumerate(futures) if future.exception(LONG)] == [3]
    assert isinstance(futures[3].exception(LONG), Unavailable)
    assert names(database) == {"First", *(f"Body {n}" for n in range(7) if n != 3)}
    assert database.read(numbers) == list(range(1, 8))


@pytest.mark.usefixtures("impatient")
def test_a_seal_that_fails_for_all_falls_back_to_one_by_one(database: Database) -> None:
    whole, several = database.seal, []

    def seal(tx: Transaction) -> None:
        several.append(len(tx.pending))
        if len(tx.pending) > 1:
            raise ValueError("not together")
        whole(tx)

    database.seal = seal
    with busy(database):
        futures = [database.submit_write(organization(f"Body {n}"), TESTER, share=Share.closely) for n in range(5)]
    assert [future.result(LONG) for future in futures] == [f"body-{n}" for n in range(5)]
    assert several == [1, 5, *[1] * 5]
    assert database.read(numbers) == list(range(1, 7))


def test_writes_that_are_sealed_together_advance_the_clock_once_and_each_is_told_its_own_number(
    database: Database,
) -> None:
    told: list[Transaction] = []
    ticks: list[str] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def count(_c: Any, _d: Any, statement: str, *_: Any) -> None:
        if "UPDATE clock" in statement:
            ticks.append(statement)

    def noted(work: Work) -> Work:
        def run(tx: Transaction) -> Any:
            told.append(tx)
            return work(tx)

        return run

    with busy(database):
        works = [noted(organization(f"Body {n}")) for n in range(5)]
        futures = [database.submit_write(work, TESTER, share=Share.closely) for work in works]
    slugs = [future.result(LONG) for future in futures]
    assert len(ticks) == 2  # the first work's, and one for all the others
    stored = sa.select(revisions.TABLE.c.slug, revisions.TABLE.c.seq)
    numbered = {row.slug: row.seq for row in database.read(lambda tx: tx.execute(stored).all())}
    assert [tx.number for tx in told] == [numbered[slug] for slug in slugs] == [2, 3, 4, 5, 6]


# --- single statements -------------------------------------------------------------------------------------------------


@pytest.fixture
def narrow(server: Server) -> Iterator[Database]:
    """With one thread that reads."""
    with closing(records.open_database(server.fresh("empty"), pool_size=1)) as opened:
        yield opened


def in_a_row(database: Database, *works: tuple[Callable[[Transaction], Any], bool]) -> list[Future[Any]]:
    """Several readings, each submitted before the first has begun; true: of a single statement."""
    gate = threading.Event()
    first = database.submit_read(lambda _: gate.wait(LONG))
    futures = [database.submit_read(work, alone=alone) for work, alone in works]
    gate.set()
    first.result(LONG)
    return futures


def line(tx: Transaction) -> tuple[int, int]:
    """Which connection it is, and how many are in use."""
    tx.sequence()
    return id(tx.connection), cast(sa.QueuePool, tx.connection.engine.pool).checkedout()


def broken(tx: Transaction) -> None:
    raise ZeroDivisionError


def test_single_statements_in_a_row_share_a_connection_which_no_other_reading_has_to_do_without(
    narrow: Database,
) -> None:
    kept = [future.result(LONG) for future in in_a_row(narrow, (line, True), (line, True), (line, True))]
    assert len(set(kept)) == 1
    mixed = [future.result(LONG) for future in in_a_row(narrow, (line, True), (line, False), (line, True))]
    assert [used for _, used in mixed] == [1, 1, 1]
    until(lambda: narrow.load().in_use == 0)
    assert narrow.read(line, alone=True)[1] == 1
    assert narrow.load().in_use == 0


def test_a_connection_is_not_kept_for_long(narrow: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "KEPT", 0)
    first, second = in_a_row(narrow, (lambda tx: tx.connection, True), (lambda tx: tx.connection, True))
    assert first.result(LONG) is not second.result(LONG)
    assert first.result().closed


def test_after_a_reading_that_failed_no_connection_is_kept(narrow: Database) -> None:
    failed, after = in_a_row(narrow, (broken, True), (line, True))
    with pytest.raises(ZeroDivisionError):
        failed.result(LONG)
    assert after.result(LONG)[1] == 1
    until(lambda: narrow.load().in_use == 0)


def test_a_connection_that_is_kept_shows_what_was_written_meanwhile(narrow: Database) -> None:
    written = threading.Event()

    def later(tx: Transaction) -> int:
        written.wait(LONG)
        return tx.sequence()

    before, after = in_a_row(narrow, (Transaction.sequence, True), (later, True))
    assert before.result(LONG) == 0
    narrow.write(organization("Meanwhile"), TESTER)
    written.set()
    assert after.result(LONG) == 1


@on_sqlite
def test_who_may_ask_for_numbers_finds_those_of_the_writes_that_share_its_commit(database: Database) -> None:
    with busy(database):
        close = [database.submit_write(organization(f"Body {n}"), TESTER, share=Share.closely) for n in range(3)]
        asking = database.submit_write(numbers, TESTER)
        close += [database.submit_write(organization("Last"), TESTER, share=Share.closely)]
    assert asking.result(LONG) == [1, 2, 3, 4, 5]
    assert [future.result(LONG) for future in close] == ["body-0", "body-1", "body-2", "last"]


def test_a_record_that_is_made_and_changed_in_one_commit_has_both_in_its_history(database: Database) -> None:
    change = lambda tx: records.change(tx, ORGANIZATIONS, "body", lambda old: {**old, "acronym": "B"}, "*")  # noqa: E731
    with busy(database):
        works = [organization("Body"), change, organization("Other")]
        futures = [database.submit_write(work, TESTER, share=Share.closely) for work in works]
    wait_for(futures, LONG)
    assert futures[1].result().version == 2
    past = db.PAST["organization"].c
    kept = database.read(lambda tx: tx.execute(sa.select(past.version, past.since, past.until)).all())
    since = database.read(lambda tx: tx.execute(sa.select(ORGANIZATION.c.slug, ORGANIZATION.c.since)).all())
    assert list(map(tuple, kept)) == [(1, 2, 3)]
    assert dict(map(tuple, since)) == {"first": 1, "body": 3, "other": 4}


def test_what_is_asked_after_writes_that_share_a_commit_is_asked_once_and_finds_them_all(database: Database) -> None:
    asked: list[list[str]] = []

    def after(tx: Transaction, slugs: Any, _: Any) -> list[str]:
        asked.append(list(slugs))
        return [f"{slug} of {len(numbers(tx))}" for slug in slugs]

    with busy(database):
        works = [organization(f"Body {n}") for n in range(3)]
        futures = [database.submit_write(work, TESTER, share=Share.closely, after=after) for work in works]
    assert [future.result(LONG) for future in futures] == [f"body-{n} of 4" for n in range(3)]
    assert asked == [["body-0", "body-1", "body-2"]]


@pytest.mark.usefixtures("impatient")
def test_a_write_is_stored_and_answered_though_what_is_asked_after_it_fails(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def after(tx: Transaction, slugs: Any, _: Any) -> list[str]:
        raise Unavailable(f"not now: {len(slugs)} {tx.now}")

    future = database.submit_write(organization("Body"), TESTER, share=Share.closely, after=after)
    assert future.result(LONG) == "body"
    assert names(database) == {"Body"}
    assert "could not be asked" in caplog.text


def test_a_reading_sees_one_state_also_by_look_ups_alone(database: Database) -> None:
    """Which are handed to the driver as they are: it must be in a transaction by then."""
    database.write(organization("Body"), TESTER)

    def change(tx: Transaction) -> None:
        records.change(tx, ORGANIZATIONS, "body", lambda old: {**old, "acronym": "B"}, "*")

    def look(tx: Transaction) -> list[int]:
        seen = [records.fetch(tx, ORGANIZATIONS, "body").version]
        database.submit_write(change, TESTER).result(LONG)
        return [*seen, records.fetch(tx, ORGANIZATIONS, "body").version, tx.sequence()]

    assert database.read(look) == [1, 1, 1]
    assert database.read(lambda tx: records.fetch(tx, ORGANIZATIONS, "body").version) == 2


def test_an_empty_list_has_the_number_of_the_state_in_which_it_is_empty(database: Database) -> None:
    nothing = ORGANIZATIONS.query.model_validate({})

    def look(tx: Transaction) -> tuple[int, int]:
        items = records.browse(tx, ORGANIZATIONS, nothing).items
        database.submit_write(organization("Body"), TESTER).result(LONG)
        return len(items), tx.sequence()

    assert database.read(look) == (0, 0)


def ending_its_session(tx: Transaction) -> None:
    tx.connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")


@on_postgresql
@pytest.mark.usefixtures("impatient")
def test_a_session_that_ends_in_the_middle_of_a_group_loses_nobody_elses_write(database: Database) -> None:
    with busy(database):
        works = [ending_its_session if n == 3 else organization(f"Body {n}") for n in range(7)]
        futures = [database.submit_write(work, TESTER, share=Share.closely) for work in works]
    wait_for(futures, LONG)
    assert [n for n, future in enumerate(futures) if future.exception(LONG)] == [3]
    assert isinstance(futures[3].exception(LONG), Unavailable)
    assert names(database) == {"First", *(f"Body {n}" for n in range(7) if n != 3)}
    assert database.read(numbers) == list(range(1, 8))


def refuse_in_the_commit(database: Database, what: str) -> None:
    """Let a COMMIT that stores `Body 2` do `what` instead."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {what}; RETURN NULL; END $$"
        )
        connection.exec_driver_sql(
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON organization DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW WHEN (NEW.name = 'Body 2') EXECUTE FUNCTION refuse()"
        )


@on_postgresql
@pytest.mark.usefixtures("impatient")
def test_a_commit_that_is_refused_for_one_of_a_group_is_not_for_the_others(database: Database) -> None:
    refuse_in_the_commit(database, "RAISE EXCEPTION 'not this one'")
    with busy(database):
        works = [organization(f"Body {n}") for n in range(5)]
        futures = [database.submit_write(work, TESTER, share=Share.closely) for work in works]
    wait_for(futures, LONG)
    assert [n for n, future in enumerate(futures) if future.exception(LONG)] == [2]
    assert names(database) == {"First", "Body 0", "Body 1", "Body 3", "Body 4"}
    assert database.read(numbers) == list(range(1, 6))


@on_postgresql
@pytest.mark.usefixtures("impatient")
def test_a_group_whose_session_ends_in_its_commit_is_not_written_again_and_all_are_told(database: Database) -> None:
    refuse_in_the_commit(database, "PERFORM pg_terminate_backend(pg_backend_pid())")
    begun: list[Transaction] = []
    with busy(database):
        works = [organization(f"Body {n}") for n in range(5)]
        futures = [database.submit_write(work, TESTER, share=Share.closely, begun=begun.append) for work in works]
    errors = [future.exception(LONG) for future in futures]
    assert all(isinstance(error, Unavailable) for error in errors)
    assert {str(error) for error in errors} == {failures.UNCERTAIN}
    assert len(begun) == 5
    assert names(database) == {"First"}


@on_postgresql
def test_nobody_in_a_group_waits_for_long_for_what_one_of_them_needs(database: Database) -> None:
    """It is done on another thread, and waits there."""
    database.write(organization("Held"), TESTER)
    change = lambda tx: records.change(tx, ORGANIZATIONS, "held", lambda old: {**old, "acronym": "H"}, "*").version  # noqa: E731
    with database.engine.begin() as other:
        other.execute(sa.select(ORGANIZATION).where(ORGANIZATION.c.slug == "held").with_for_update())
        with busy(database):
            works = [organization("Body 0"), change, organization("Body 1")]
            futures = [database.submit_write(work, TESTER, share=Share.closely) for work in works]
        assert [futures[n].result(LONG) for n in (0, 2)] == ["body-0", "body-1"]
        later = database.submit_write(organization("Later"), TESTER, share=Share.closely)
        assert later.result(LONG) == "later"
        assert not futures[1].done()
    assert futures[1].result(LONG) == 2


@on_postgresql
def test_a_shared_transaction_has_its_own_limit_whatever_the_address_says(server: Server, database: Database) -> None:
    limit = lambda tx: tx.connection.exec_driver_sql("SHOW lock_timeout").scalar()  # noqa: E731
    url = sa.make_url(server.fresh("empty")).update_query_dict({"options": "-c lock_timeout=20s"})
    with closing(records.open_database(url.render_as_string(hide_password=False), pool_size=1)) as other:
        for each, usual in ((database, "5s"), (other, "20s")):
            assert each.submit_write(limit, TESTER, share=Share.closely).result(LONG) == "500ms"
            assert each.submit_write(limit, TESTER).result(LONG) == usual


@on_postgresql
@pytest.mark.usefixtures("impatient")
def test_a_line_that_is_lost_while_it_is_made_is_no_lost_commit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, lost = engines.is_pooled, list[int]()

    def ended(session: Any) -> bool:
        if not lost:
            lost.append(session.info.backend_pid)
            session.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return usual(session)

    monkeypatch.setattr(engines, "is_pooled", ended)
    database.engine.dispose()
    futures = [database.submit_write(organization(f"Body {n}"), TESTER, share=Share.closely) for n in range(3)]
    assert [future.result(LONG) for future in futures] == [f"body-{n}" for n in range(3)]
    assert lost


def test_what_is_written_is_told_also_where_no_thread_can_be_had_to_ask_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = lambda tx, slugs, _: [f"{slug} of {len(numbers(tx))}" for slug in slugs]  # noqa: E731
    with busy(database):
        futures = [
            database.submit_write(organization(f"Body {n}"), TESTER, share=Share.closely, after=after) for n in range(3)
        ]

        def none(*_: Any) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(database._turns, "submit", none)
    assert [future.result(LONG) for future in futures] == [f"body-{n} of 4" for n in range(3)]


# --- works that are done at once --------------------------------------------------------------------------------------


class Creations:
    """Creations that are done at once, and what was done so."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []

    def __call__(self, transactions: Sequence[Transaction], works: Sequence[Any]) -> list[str | None]:
        self.groups.append([work.name for work in works])
        several = [ORGANIZATIONS.write.model_validate({"name": work.name, "kind": "other"}) for work in works]
        made = bulk.create_each(transactions, ORGANIZATIONS, several)
        return [None if stored is None else stored.slug for stored in made]


class Creation:
    def __init__(self, name: str) -> None:
        self.name, self.singly = name, 0

    def __call__(self, tx: Transaction) -> Any:
        self.singly += 1
        return organization(self.name)(tx)


def submit_all(database: Database, works: Sequence[Work], at_once: Any, **more: Any) -> list[Future[Any]]:
    with busy(database):
        return [
            database.submit_write(work, Author(f"author {n}"), share=Share.closely, at_once=at_once, **more)
            for n, work in enumerate(works)
        ]


def test_works_of_one_kind_are_done_at_once_each_in_its_own_name_and_with_its_own_number(database: Database) -> None:
    at_once, begun = Creations(), list[Transaction]()
    works = [Creation(f"Body {n}") for n in range(writer.SEVERAL)]
    futures = submit_all(database, works, at_once, begun=begun.append)
    assert [future.result(LONG) for future in futures] == [f"body-{n}" for n in range(writer.SEVERAL)]
    assert at_once.groups == [[f"Body {n}" for n in range(writer.SEVERAL)]]
    assert sum(work.singly for work in works) == 0
    r = revisions.TABLE.c
    stored = database.read(lambda tx: tx.execute(sa.select(r.slug, r.author, r.seq).where(r.seq > 1)).all())
    assert sorted(map(tuple, stored)) == [(f"body-{n}", f"author {n}", n + 2) for n in range(writer.SEVERAL)]
    assert [tx.number for tx in begun] == [n + 2 for n in range(writer.SEVERAL)]


def test_who_is_refused_among_them_is_told_why_and_costs_no_other_its_place(database: Database) -> None:
    at_once = Creations()
    works = [Creation("Body 0" if n == 3 else f"Body {n}") for n in range(8)]
    futures = submit_all(database, works, at_once)
    error = futures[3].exception(LONG)
    assert isinstance(error, Conflict)
    assert error.extra["existing"]["slug"] == "body-0"
    assert [future.result(LONG) for n, future in enumerate(futures) if n != 3] == [
        f"body-{n}" for n in range(8) if n != 3
    ]
    assert [work.singly for work in works] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert database.read(numbers) == list(range(1, 9))


def test_who_may_not_write_is_refused_and_the_others_are_not(database: Database) -> None:
    guest = Author("guest", may=lambda *_: False)
    with busy(database):
        futures = [
            database.submit_write(
                Creation(f"Body {n}"), guest if n == 2 else TESTER, share=Share.closely, at_once=together
            )
            for together in [Creations()]
            for n in range(6)
        ]
    assert isinstance(futures[2].exception(LONG), Forbidden)
    assert names(database) == {"First", *(f"Body {n}" for n in range(6) if n != 2)}
    assert database.read(numbers) == list(range(1, 7))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize(
    "fail", [ValueError("mine"), "SELECT * FROM nowhere"], ids=["its own error", "a statement that cannot be read"]
)
def test_what_cannot_be_done_at_once_is_done_one_by_one(
    database: Database, fail: Exception | str, *, writes: bool
) -> None:
    def at_once(transactions: Sequence[Transaction], works: Sequence[Any]) -> list[str | None]:
        if writes:
            works[0](transactions[0])
        if isinstance(fail, Exception):
            raise fail
        transactions[0].execute(sa.text(fail))
        return []

    works = [organization(f"Body {n}") for n in range(6)]
    futures = submit_all(database, works, at_once)
    assert [future.result(LONG) for future in futures] == [f"body-{n}" for n in range(6)]
    assert database.read(numbers) == list(range(1, 8))


def known_of(transaction: Transaction, works: Sequence[Any]) -> list[str]:
    assert transaction.snapshot
    return [f"{work.name} is known" for work in works]


def with_what_is_known(_: Transaction, slugs: Sequence[str], known: Sequence[Any]) -> Any:
    return list(zip(slugs, known, strict=True))


@pytest.mark.parametrize("pause", [0.0, 0.3], ids=["at once", "only when all is stored"])
def test_what_is_asked_ahead_of_works_that_are_done_at_once_is_told_to_what_comes_after(
    database: Database, pause: float
) -> None:
    """Each work is told what is known of itself; on SQLite nobody asks ahead."""

    def ahead(tx: Transaction, works: Sequence[Any]) -> list[str]:
        time.sleep(pause)
        return known_of(tx, works)

    at_once, works = Creations(), [Creation("Body 0" if n == 2 else f"Body {n}") for n in range(5)]
    futures = submit_all(database, works, at_once, ahead=ahead, after=with_what_is_known)
    assert isinstance(futures[2].exception(LONG), Conflict)
    asked = database.primary.postgresql
    for n in (0, 1, 3, 4):
        assert futures[n].result(LONG) == (f"body-{n}", f"Body {n} is known" if asked else None)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", ["it fails", "no thread"])
def test_what_cannot_be_asked_ahead_is_not_known_and_costs_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def ahead(tx: Transaction, works: Sequence[Any]) -> list[str]:
        raise RuntimeError(f"{tx.now} is no time to ask about {len(works)}")

    def none(*_: Any, **__: Any) -> None:
        raise RuntimeError("can't start new thread")

    if how == "no thread":
        monkeypatch.setattr(database, "submit_read", none)
    works = [Creation(f"Body {n}") for n in range(3)]
    told = ahead if how == "it fails" else known_of
    futures = submit_all(database, works, Creations(), ahead=told, after=with_what_is_known)
    assert [future.result(LONG) for future in futures] == [(f"body-{n}", None) for n in range(3)]


def test_a_single_work_of_a_kind_and_works_of_other_kinds_are_done_beside(database: Database) -> None:
    many, single = Creations(), Creations()
    with busy(database):
        futures = [
            database.submit_write(
                Creation(f"Body {n}"), TESTER, share=Share.closely, at_once=single if n == 5 else many
            )
            for n in range(12)
        ]
        alone = database.submit_write(organization("Beside"), TESTER, share=Share.closely)
    assert [future.result(LONG) for future in futures] == [f"body-{n}" for n in range(12)]
    assert alone.result(LONG) == "beside"
    assert (len(many.groups), single.groups) == (1, [])
    assert database.read(numbers) == list(range(1, 15))


def test_creations_over_http_that_share_a_commit_answer_as_they_do_alone(
    client: httpx.Client, database: Database
) -> None:
    """Each with its own author's reason and its own number; the one whose name is taken is refused."""

    def create(n: int) -> httpx.Response:
        body = {"name": f"Body {min(n, 7)}", "kind": "other", "other_names": [{"value": f"B{n}", "kind": "alias"}]}
        return client.post(HOME, json=body, headers={"Change-Reason": f"because of {n}"})

    with ThreadPoolExecutor(9) as threads:
        with busy(database):
            asked = [threads.submit(create, n) for n in range(9)]
            until(lambda: database.load().waiting >= 9)
        answers = [each.result(LONG) for each in asked]
    assert sorted(answer.status_code for answer in answers) == [201] * 8 + [409]
    for n, answer in enumerate(answers):
        if answer.status_code == 201:
            record = client.get(answer.headers["location"]).json()
            assert {**answer.json(), **record} == answer.json()  # which may warn, too
            [revision] = client.get(f"{answer.headers['location']}/revisions").json()["items"]
            assert revision["reason"] == f"because of {n}"
            assert str(revision["sequence"]) == answer.headers["registry-sequence"]


@on_sqlite
def test_the_writer_survives_whatever_its_upkeep_runs_into(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @event.listens_for(database.engine, "before_cursor_execute")
    def broken(_c: Any, _d: Any, statement: str, *_: Any) -> None:
        if statement == "ANALYZE":
            raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(writer.Writer, "TENDING", 1)
    for n in range(3):
        assert database.submit_write(organization(f"Body {n}"), TESTER).result(LONG) == f"body-{n}"
    database.close()
    assert "malformed" in caplog.text


@on_sqlite
def test_writes_go_on_after_a_time_without_a_free_connection(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database.engine.pool, "_timeout", 0.2)
    held = [database.engine.connect() for _ in range(5)]
    futures = [database.submit_write(organization(f"Body {n}"), TESTER) for n in range(5)]
    errors = [future.exception(LONG) for future in futures]
    assert {type(error) for error in errors} == {Unavailable}
    for connection in held:
        connection.close()
    assert database.submit_write(organization("After"), TESTER).result(LONG) == "after"
    assert names(database) == {"After"}


# --- the end ----------------------------------------------------------------------------------------------------------


def test_closing_finishes_the_writes_that_wait(server: Server) -> None:
    url = server.fresh("empty")
    database = records.open_database(url, pool_size=1)
    closing = threading.Thread(target=database.close)
    with busy(database):
        futures = [database.submit_write(organization(f"Body {n}"), Author("tester")) for n in range(20)]
        closing.start()
    closing.join(LONG)
    assert not closing.is_alive()
    assert all(future.done() for future in futures)
    assert [future.result(0) for future in futures] == [f"body-{n}" for n in range(20)]
    again = records.open_database(url, pool_size=1)
    assert names(again) == {"First", *(f"Body {n}" for n in range(20))}
    again.close()


def test_a_closed_database_takes_no_more_writes_and_says_so_at_once(server: Server) -> None:
    database = records.open_database(server.fresh("empty"), pool_size=1)
    database.submit_write(organization("Before"), TESTER).result(LONG)
    database.close()
    with pytest.raises(RuntimeError):
        database.submit_write(organization("After"), TESTER).result(LONG)


@pytest.mark.usefixtures("impatient")
def test_a_work_that_hides_a_failed_statement_is_not_acknowledged_without_its_rows(database: Database) -> None:
    """PostgreSQL answers the COMMIT of a failed transaction with a ROLLBACK and no error: the seal notices before."""

    def work(tx: Transaction) -> str:
        slug: str = organization("Hidden")(tx)
        with suppress(exc.DBAPIError):
            tx.execute(sa.text("SELECT * FROM nowhere"))
        return slug

    if database.engine.dialect.name == "postgresql":
        with pytest.raises(exc.DBAPIError):
            database.write(work, TESTER)
        assert names(database) == set()
    else:
        assert database.write(work, TESTER) == "hidden"
        assert names(database) == {"Hidden"}


def test_an_error_of_the_database_repeats_no_values(database: Database) -> None:
    """A crash is logged with its error: what clients send, and what their keys are stored as, stay out of the log."""
    with pytest.raises(exc.DBAPIError) as crash:
        database.read(
            lambda tx: tx.execute(sa.text("SELECT * FROM nowhere WHERE digest = :digest"), {"digest": "a0b1c2"})
        )
    assert "nowhere" in str(crash.value)
    assert "a0b1c2" not in str(crash.value)


# --- a reading of one statement ---------------------------------------------------------------------------------------


def test_a_reading_that_asks_more_than_one_statement_after_all_sees_one_state(database: Database) -> None:
    tries = []

    def work(tx: Transaction) -> tuple[int, int]:
        first = count(tx)
        tries.append(first)
        database.write(organization(f"Between {len(tries)}"), TESTER)
        return first, count(tx)

    def count(tx: Transaction) -> int:
        return int(tx.execute(sa.select(sa.func.count()).select_from(ORGANIZATION)).scalar_one())

    assert database.read(work, alone=True) == (1, 1)
    assert tries == [0, 1]  # it began again, on a snapshot


def test_a_reading_of_one_statement_tells_the_state_that_it_saw(database: Database) -> None:
    slug = database.write(organization("Harbour office"), TESTER)
    seen = []

    def work(tx: Transaction) -> int:
        records.fetch(tx, ORGANIZATIONS, slug)
        seen.append(tx)
        database.write(organization(f"Later {len(seen)}"), TESTER)
        return tx.sequence()

    assert [database.read(work, alone=True) for _ in range(3)] == [1, 2, 3]
    assert len(seen) == 3


def test_what_is_not_there_is_missed_in_a_state_that_is_told(database: Database) -> None:
    def work(tx: Transaction) -> tuple[bool, int]:
        there = False
        with suppress(NotFound):
            records.fetch(tx, ORGANIZATIONS, "harbour-office")
            there = True
        if not there:
            database.write(organization("Harbour office"), TESTER)
        return there, tx.sequence()

    assert database.read(work, alone=True) == (True, 1)  # and not: missed in the state that has it


@on_postgresql
@pytest.mark.parametrize("alone", [False, True])
def test_a_session_has_the_limits_with_and_without_a_transaction(database: Database, alone: bool) -> None:  # noqa: FBT001
    def limits(tx: Transaction) -> list[Any]:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "TimeZone")
        return [tx.connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]

    assert database.read(limits, alone=alone) == ["30s", "5s", "30s", "UTC"]
