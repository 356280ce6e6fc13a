"""What requests may rely on that come at once with one key: they share a look-up, and none is told what held before it came."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from app.api.access import Lookups
from app.auth import keys
from app.auth.policy import Role
from app.kit import records
from app.kit.db import Database
from app.kit.errors import Busy
from tests.conftest import TESTER, Server

LONG = 10.0
SECRET = "concord_" + "a" * 43


@pytest.fixture
def narrow(server: Server) -> Iterator[Database]:
    """A registry with one connection for readings, for which one more may wait, and a key."""
    with closing(records.open_database(server.fresh("empty"), pool_size=1, waiting=1)) as made:
        made.write(lambda tx: keys.make(tx, "somebody", Role.editor, secret=SECRET), TESTER)
        yield made


@contextmanager
def held_up(database: Database) -> Iterator[None]:
    """Nobody's reading begins while the block runs."""
    started, go = threading.Event(), threading.Event()

    def wait(_: Any) -> None:
        started.set()
        assert go.wait(LONG)

    held = database.submit_read(wait)
    assert started.wait(LONG)
    try:
        yield
    finally:
        go.set()
        held.result(LONG)


def look_ups(database: Database) -> list[str]:
    """The questions for a key that the database is asked from now on."""
    seen: list[str] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def count(_c: Any, _d: Any, statement: str, *_: Any) -> None:
        if "api_key.digest" in statement:
            seen.append(statement)

    return seen


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work(), LONG)

    asyncio.run(bounded())


def test_those_who_wait_with_one_key_are_told_by_one_look_up(narrow: Database) -> None:
    lookups, seen = Lookups(), look_ups(narrow)

    async def work() -> None:
        with held_up(narrow):
            waiting = [asyncio.create_task(lookups.find(narrow, SECRET)) for _ in range(20)]
            await asyncio.sleep(0)
        found = await asyncio.gather(*waiting)
        assert {caller.name for caller in found if caller is not None} == {"somebody"}
        assert None not in found

    run(work)
    assert len(seen) == 1


def test_who_comes_when_a_look_up_has_begun_asks_anew(narrow: Database) -> None:
    lookups, seen = Lookups(), look_ups(narrow)

    async def work() -> None:
        assert await lookups.find(narrow, SECRET) is not None
        narrow.write(lambda tx: keys.revoke(tx, "somebody"), TESTER)
        assert await lookups.find(narrow, SECRET) is None

    run(work)
    assert len(seen) == 2


def test_a_key_that_is_revoked_while_its_look_up_waits_opens_nothing_to_all_who_share_it(narrow: Database) -> None:
    lookups = Lookups()

    async def work() -> None:
        with held_up(narrow):
            waiting = [asyncio.create_task(lookups.find(narrow, SECRET)) for _ in range(3)]
            await asyncio.sleep(0)
            with narrow.engine.begin() as connection:
                connection.exec_driver_sql("UPDATE api_key SET revoked_at = created_at")
        assert await asyncio.gather(*waiting) == [None] * 3

    run(work)


def test_who_leaves_takes_the_look_up_from_nobody(narrow: Database) -> None:
    lookups = Lookups()

    async def work() -> None:
        with held_up(narrow):
            first, second = (asyncio.create_task(lookups.find(narrow, SECRET)) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.sleep(0)
        found = await second
        assert found is not None
        assert found.name == "somebody"
        assert first.cancelled()

    run(work)


def test_a_look_up_that_was_refused_is_tried_again(narrow: Database) -> None:
    lookups = Lookups()

    async def work() -> None:
        with held_up(narrow):
            queued = narrow.submit_read(lambda _: None)
            with pytest.raises(Busy):
                await lookups.find(narrow, SECRET)
        queued.result(LONG)
        assert await lookups.find(narrow, SECRET) is not None

    run(work)
