"""SQLite's log is copied into the file beside the writes; and what becomes of that is no matter of theirs."""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from app.api.v1.organizations import RESOURCE as ORGANIZATIONS
from app.kit import checkpoints, engines, records
from app.kit.checkpoints import Checkpoints
from app.kit.db import Database, Transaction
from app.kit.errors import Busy
from tests.conftest import TESTER, Server
from tests.support.waiting import until

CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)"
on_sqlite = pytest.mark.parametrize("server", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("server", ["postgresql"], indirect=True)


@pytest.fixture
def each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write makes one necessary."""
    monkeypatch.setattr(checkpoints, "EACH", 1)


@pytest.fixture
def told(database: Database) -> list[str]:
    """The checkpoints that the database has been told to make."""
    statements: list[str] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def listen(_c: Any, _d: Any, statement: str, *_: Any) -> None:
        if "checkpoint" in statement:
            statements.append(statement)

    return statements


def create(database: Database, name: str) -> None:
    def work(tx: Transaction) -> None:
        data = ORGANIZATIONS.write.model_validate({"name": name, "kind": "other"})
        records.create(tx, ORGANIZATIONS, data)

    database.submit_write(work, TESTER).result(10)


def write_until_the_file_has(names: set[str], database: Database) -> None:
    """While a checkpoint is under way none is asked for: what came meanwhile is copied with what comes next."""
    numbers = count()

    def write() -> bool:
        create(database, f"Another {next(numbers)}")
        return names <= in_the_file(database)

    until(write)


def in_the_file(database: Database) -> set[str]:
    """The names that the file has without its log."""
    address = f"{Path(str(database.engine.url.database)).as_uri()}?immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        try:
            return {name for (name,) in connection.execute("SELECT name FROM organization")}
        except sqlite3.DatabaseError:  # it is being copied into
            return set()


@on_sqlite
@pytest.mark.usefixtures("each_time")
def test_what_is_written_is_in_the_file_soon_and_who_reads_or_writes_meanwhile_goes_on(database: Database) -> None:
    with database.engine.connect() as reader:
        create(database, "Early")
        assert reader.scalars(sa.text("SELECT name FROM organization")).all() == ["Early"]
        for n in range(5):
            create(database, f"Late {n}")
        assert reader.scalars(sa.text("SELECT name FROM organization")).all() == ["Early"]
    write_until_the_file_has({"Early", *(f"Late {n}" for n in range(5))}, database)


@on_sqlite
def test_the_log_is_copied_once_in_so_many_writes(database: Database, told: list[str]) -> None:
    for n in range(checkpoints.EACH - 1):
        create(database, f"Body {n}")
    assert told == []
    create(database, "The one")
    until(lambda: told == [CHECKPOINT])
    create(database, "One more")
    database.close()
    assert told == [CHECKPOINT]


@on_sqlite
@pytest.mark.usefixtures("each_time")
def test_a_log_that_cannot_be_copied_is_told_of_and_costs_no_write(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_c: Any, _d: Any, statement: str, *_: Any) -> None:
        if statement == CHECKPOINT:
            raise sqlite3.OperationalError("database or disk is full")

    event.listen(database.engine, "before_cursor_execute", full)
    for n in range(3):
        create(database, f"Body {n}")
    until(lambda: "the log was not copied this time" in caplog.text)
    event.remove(database.engine, "before_cursor_execute", full)
    write_until_the_file_has({"Body 0", "Body 1", "Body 2"}, database)


@on_sqlite
def test_while_one_is_under_way_no_other_is_asked_for(database: Database) -> None:
    asked: list[Future[None]] = []
    marks = Checkpoints(database.primary, lambda _, future: asked.append(future))
    for _ in range(10):
        marks.after(checkpoints.EACH)
    assert len(asked) == 1
    asked[0].set_result(None)
    marks.after(1)  # those that came meanwhile count
    assert len(asked) == 2


@on_sqlite
def test_where_no_thread_has_time_for_it_the_next_write_asks_again(database: Database) -> None:
    asked: list[Future[None]] = []

    def submit(_: Any, future: Future[None]) -> None:
        asked.append(future)
        raise Busy("too many wait")

    marks = Checkpoints(database.primary, submit)
    marks.after(checkpoints.EACH)
    marks.after(checkpoints.EACH)
    assert len(asked) == 2


@on_sqlite
def test_a_log_that_nobody_copies_beside_does_not_grow_for_ever(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a commit of somebody else, or always the next one, comes between."""
    monkeypatch.setattr(checkpoints, "EACH", 1_000_000)
    monkeypatch.setattr(engines, "SQLITE_PRAGMAS", (*engines.SQLITE_PRAGMAS, "PRAGMA wal_autocheckpoint = 40"))
    database = records.open_database(server.fresh("empty"), pool_size=1)
    log = Path(f"{database.engine.url.database}-wal")
    sizes = []
    for n in range(60):
        create(database, f"Body {n}")
        sizes.append(log.stat().st_size)
    database.close()
    assert max(sizes) < 120 * 4_120, "forty pages, and what the commits add before and behind"


@on_postgresql
@pytest.mark.usefixtures("each_time")
def test_postgresql_is_told_nothing(database: Database, told: list[str]) -> None:
    for n in range(3):
        create(database, f"Body {n}")
    database.close()
    assert told == []
