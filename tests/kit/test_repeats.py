"""What is written under a key, and its answer, are there together or not at all; a twin waits, and is told the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from app.kit import records, repeats
from app.kit.db import Database, Transaction
from app.kit.errors import Invalid, Outstanding
from app.kit.repeats import TABLE, Answer, Asked
from tests.conftest import TESTER, Server, Ticking
from tests.kit.test_db import on_postgresql, organization

LONG = 30
ASKED = Asked("tester", "k", "f" * 64)


class Work:
    """Creates an organization once it may go on; counts how often it was begun."""

    def __init__(self, *, fails: bool = False) -> None:
        self.begun, self.may_go_on = threading.Semaphore(0), threading.Event()
        self.times = 0
        self.fails = fails

    def __call__(self, tx: Transaction) -> tuple[Answer, bool]:
        return repeats.once(tx, ASKED, lambda: self._answer(tx))

    def _answer(self, tx: Transaction) -> Answer:
        self.times += 1
        slug = organization("Harbour office")(tx)
        self.begun.release()
        assert self.may_go_on.wait(LONG)
        if self.fails:
            raise Invalid("It breaks a rule.")
        return Answer(201, [("ETag", '"v1"'), ("ETag", "é")], slug.encode())


def at_once() -> Work:
    work = Work()
    work.may_go_on.set()
    return work


def kept(database: Database) -> list[Any]:
    return database.read(lambda tx: list(tx.execute(sa.select(TABLE.c.status, TABLE.c.body))))


def test_what_was_answered_comes_back_as_it_was(database: Database) -> None:
    first, again = at_once(), at_once()
    answer = database.write(first, TESTER)
    assert answer == (Answer(201, [("ETag", '"v1"'), ("ETag", "é")], b"harbour-office"), False)
    assert database.write(again, TESTER) == (answer[0], True)
    assert (first.times, again.times) == (1, 0)


def test_a_rehearsal_and_a_failure_leave_no_row(database: Database) -> None:
    database.write(at_once(), TESTER, dry_run=True)
    failing = Work(fails=True)
    failing.may_go_on.set()
    with pytest.raises(Invalid):
        database.write(failing, TESTER)
    assert kept(database) == []


def test_writes_that_share_a_commit_keep_their_rows_apart(database: Database) -> None:
    """On SQLite they wait for the one writer and are stored together; one that fails takes no other's row with it."""
    hold = Work()
    blocked: Future[Any] = database.submit_write(lambda _: hold.may_go_on.wait(LONG), TESTER)
    failing, working, twin = Work(fails=True), at_once(), at_once()
    failing.may_go_on.set()
    refused = database.submit_write(failing, TESTER)
    answers = [database.submit_write(work, TESTER) for work in (working, twin)]
    hold.may_go_on.set()
    blocked.result(LONG)
    assert isinstance(refused.exception(LONG), Invalid) or refused.result()[1]
    told = [answer.result(LONG) for answer in answers]
    assert {answer.body for answer, _ in told} == {b"harbour-office"}
    assert [tuple(row) for row in kept(database)] == [(201, b"harbour-office")]
    assert database.read(lambda tx: tx.sequence()) == 1


# --- a twin in flight (on SQLite it waits for its turn to write) ------------------------------------------------------


def wait_until_one_waits(database: Database) -> None:
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + LONG
    while not database.read(lambda tx: tx.execute(waiting).scalar_one()):
        assert time.monotonic() < deadline, "nobody waits"


@on_postgresql
@pytest.mark.parametrize("fails", [False, True])
def test_a_twin_waits_for_the_first_and_takes_its_place_only_if_that_fails(database: Database, *, fails: bool) -> None:
    first, twin = Work(fails=fails), at_once()
    one = database.submit_write(first, TESTER)
    assert first.begun.acquire(timeout=LONG)
    other = database.submit_write(twin, TESTER)
    wait_until_one_waits(database)
    first.may_go_on.set()
    assert isinstance(one.exception(LONG), Invalid) == fails
    answer, again = other.result(LONG)
    assert (answer.body, again, twin.times) == (b"harbour-office", not fails, int(fails))
    assert database.read(lambda tx: tx.sequence()) == 1


@pytest.fixture
def impatient(server: Server, clock: Ticking) -> Iterator[Database]:
    """A registry that waits a twentieth of a second for a lock."""
    url = make_url(server.fresh("empty")).update_query_dict({"options": "-c lock_timeout=50ms"})
    opened = records.open_database(url.render_as_string(hide_password=False), pool_size=2, clock=clock)
    yield opened
    opened.close()


@on_postgresql
def test_a_twin_that_has_waited_long_enough_is_told_so(impatient: Database) -> None:
    first = Work()
    one = impatient.submit_write(first, TESTER)
    assert first.begun.acquire(timeout=LONG)
    with pytest.raises(Outstanding):
        impatient.write(at_once(), TESTER)
    first.may_go_on.set()
    assert one.result(LONG)[1] is False
    assert impatient.write(at_once(), TESTER)[1] is True
