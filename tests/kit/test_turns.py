"""What a caller may rely on when there is more to do than can be done: some wait, the others are told at once (A47)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from app.kit import db, records
from app.kit import turns as turns_module
from app.kit.db import Database, Transaction
from app.kit.errors import Unavailable
from app.kit.turns import BEAT, Queue, Soon, Turns
from tests.conftest import TESTER, Server, _serving
from tests.support import waiting
from tests.support.wire import UNTRUSTING

LONG = 20
until = partial(waiting.until, seconds=LONG)


class Gate:
    """Units of work that stand in it until it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._lock = threading.Lock()
        self.now = self.most = 0

    def __call__(self, *_: Any) -> str:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        assert self._open.wait(LONG)
        with self._lock:
            self.now -= 1
        return "done"

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open()


def test_so_many_run_so_many_wait_and_the_next_is_told_at_once(gate: Gate) -> None:
    with closing(Turns(2, Queue(3, patience=LONG))) as turns:
        futures = [turns.submit(gate, Future[Any]()) for _ in range(5)]
        until(lambda: gate.now == 2)
        with pytest.raises(Unavailable, match="was not begun"):
            turns.submit(gate, Future[Any]())
        gate.open()
        assert [future.result(LONG) for future in futures] == ["done"] * 5
        assert gate.most == 2
        assert turns.submit(gate, Future[Any]()).result(LONG) == "done"


def test_who_has_waited_too_long_is_sent_away_without_having_run(gate: Gate) -> None:
    ran: list[int] = []
    with closing(Turns(1, Queue(3, patience=0.2))) as turns:
        first = turns.submit(gate, Future[Any]())
        late = [turns.submit(lambda: ran.append(1), Future[Any]()) for _ in range(3)]
        for future in late:
            with pytest.raises(Unavailable, match="was not begun"):
                future.result(LONG)
        gate.open()
        assert first.result(LONG) == "done"
        assert turns.submit(lambda: "next", Future[Any]()).result(LONG) == "next"
    assert ran == []


def test_who_has_left_is_not_worked_for(gate: Gate) -> None:
    ran: list[int] = []
    with closing(Turns(1, Queue(3, patience=LONG))) as turns:
        turns.submit(gate, Future[Any]())
        left = turns.submit(lambda: ran.append(1), Future[Any]())
        assert left.cancel()
        gate.open()
        assert turns.submit(lambda: "next", Future[Any]()).result(LONG) == "next"
    assert ran == []


def test_a_thread_rests_when_nothing_is_there_for_it_to_do_and_at_the_end(gate: Gate) -> None:
    done: list[str] = []
    with closing(Turns(1, Queue(3, patience=LONG), rest=lambda: done.append("rested"))) as turns:
        turns.submit(gate, Future[Any]())
        futures = [turns.submit(partial(done.append, text), Future[Any]()) for text in "ab"]
        gate.open()
        for future in futures:
            future.result(LONG)
        until(lambda: done == ["a", "b", "rested"])
    assert done == ["a", "b", "rested", "rested"]


def test_the_end_finishes_what_waits(gate: Gate) -> None:
    turns = Turns(1, Queue(3, patience=0.1))
    futures: list[Future[Any]] = []
    queue_is_closed = threading.Thread(target=turns.close)
    futures = [turns.submit(gate, Future[Any]())]
    until(lambda: gate.now == 1)
    queue_is_closed.start()
    gate.open()
    queue_is_closed.join(LONG)
    assert [future.result(0) for future in futures] == ["done"]
    with pytest.raises(RuntimeError):
        turns.submit(gate, Future[Any]())


SIZE, ROOM, CLIENTS = 4, 10, 60


@pytest.fixture
def small(server: Server) -> Iterator[Database]:
    """A registry with few connections and a short queue."""
    with closing(records.open_database(server.fresh("empty"), pool_size=SIZE, waiting=ROOM)) as made:
        yield made


def test_a47_many_slow_requests_are_served_or_refused_within_three_seconds_and_the_pool_is_empty_afterwards(
    small: Database, http: httpx.Client, app: FastAPI, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(tx: Transaction) -> None:
        gate()
        asking(tx)

    asking = Transaction._ask
    client = next(serving := _serving(http, app, small))
    with ThreadPoolExecutor(CLIENTS) as threads:
        monkeypatch.setattr(Transaction, "_ask", slowly)
        limits = httpx.Limits(max_connections=CLIENTS)
        with httpx.Client(base_url=client.base_url, limits=limits, timeout=LONG, verify=UNTRUSTING) as many:

            def ask(number: int) -> tuple[int, float, str]:
                begun = time.monotonic()
                answer = many.get(f"/v1/organizations?limit={number + 1}")  # who asks the same waits for the same
                return answer.status_code, time.monotonic() - begun, answer.headers.get("retry-after", "")

            asked = [threads.submit(ask, n) for n in range(CLIENTS)]
            until(lambda: sum(each.done() for each in asked) == CLIENTS - SIZE)  # those in the queue, too: after 2.7 s
            gate.open()
            answers = [each.result(LONG) for each in asked]
    monkeypatch.undo()
    statuses = sorted(status for status, _, _ in answers)
    assert statuses == [200] * SIZE + [503] * (CLIENTS - SIZE)
    assert db.PATIENCE + BEAT < 3
    assert (
        max(seconds for status, seconds, _ in answers if status == 503) < 15
    )  # sixty clients are at work here as well
    assert {retry for status, _, retry in answers if status == 503} == {"1"}
    assert gate.most == SIZE
    assert client.get("/v1/organizations").status_code == 200
    pool = small.engine.pool
    assert isinstance(pool, sa.QueuePool)
    until(lambda: pool.checkedout() == 0)
    next(serving, None)


def test_a_write_behind_a_very_long_one_is_sent_away_without_having_run(
    server: Server, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    if server.kind != "sqlite":
        pytest.skip("only SQLite has one writer; the others' wait is that for a connection")
    monkeypatch.setattr(db, "WRITERS_PATIENCE", 0.2)
    ran: list[int] = []
    with closing(records.open_database(server.fresh("empty"), pool_size=1)) as database:
        long = database.submit_write(gate, TESTER)
        until(lambda: gate.now == 1)
        late = [database.submit_write(lambda _: ran.append(1), TESTER) for _ in range(3)]
        for future in late:
            with pytest.raises(Unavailable, match="was not begun"):
                future.result(LONG)
        gate.open()
        assert long.result(LONG) == "done"
        assert database.submit_write(lambda tx: tx.sequence(), TESTER).result(LONG) == 0
    assert ran == []


def test_what_has_begun_to_be_answered_waits_for_a_passing_refusal(
    registry: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export of several parts, each of which is refused once."""
    submit, refusals = Turns.submit, iter([False, False] + [True, False] * 100)
    refused: list[int] = []

    def crowded(*arguments: Any) -> Any:
        if next(refusals):
            refused.append(1)
            raise Unavailable("full")
        return submit(*arguments)

    whole = registry.get("/v1/export").text
    monkeypatch.setattr(Turns, "submit", crowded)
    assert registry.get("/v1/export").text == whole
    assert len(refused) > 3


# --- what a coroutine waits for ------------------------------------------------------------------------------------------


def test_a_coroutine_has_what_its_work_returns_or_raises() -> None:
    def fail() -> None:
        raise Unavailable("not now")

    async def ask() -> Any:
        assert await turns.submit(lambda: threading.current_thread().name, Soon[str]()) == "concord-db-0"
        with pytest.raises(Unavailable, match="not now"):
            await turns.submit(fail, Soon[None]())
        return await asyncio.gather(*(turns.submit(lambda n=n: n, Soon[int]()) for n in range(50)))  # type: ignore[misc]

    with closing(Turns(4, Queue(100, patience=LONG))) as turns:
        assert asyncio.run(ask()) == list(range(50))


def test_a_coroutine_that_has_left_is_not_worked_for_and_one_whose_loop_is_gone_harms_nobody(gate: Gate) -> None:
    ran: list[int] = []

    async def leave(*, before_it_begins: bool) -> None:
        asked = asyncio.ensure_future(_of(turns.submit(lambda: ran.append(len(gate())), Soon[None]())))
        await asyncio.sleep(0)
        if not before_it_begins:
            await asyncio.to_thread(until, lambda: gate.now == 1)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    with closing(Turns(1, Queue(3, patience=LONG))) as turns:
        asyncio.run(leave(before_it_begins=False))
        asyncio.run(leave(before_it_begins=True))
        gate.open()
        assert turns.submit(lambda: "next", Future[Any]()).result(LONG) == "next"
    assert ran == [len("done")]


async def _of(soon: Soon[None]) -> None:
    await soon


def test_who_waits_after_a_quiet_time_is_sent_away_as_well(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "QUIET", 0)
    with closing(Turns(1, Queue(3, patience=0.2))) as turns:
        turns.submit(gate, Future[Any]())
        for _ in range(2):
            until(lambda: gate.now == 1)
            with pytest.raises(Unavailable, match="was not begun"):
                turns.submit(gate, Future[Any]()).result(LONG)
            until(lambda: turns._queue._watch is None)
        gate.open()
