"""What a client sees while PostgreSQL restarts, changes place, hangs or refuses: 2xx, or 503 with Retry-After, then 2xx."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from app.kit import engines, records, revisions
from app.kit.db import Database, Transaction, table_of
from app.kit.errors import Conflict, Full, Invalid, Unavailable
from app.kit.probes import ReadingProbe, ServerProbe
from app.registry.organizations import Organization
from tests.conftest import TESTER, _serving
from tests.support import servers
from tests.support.proofs import Proof
from tests.support.servers import Line, Postgres
from tests.support.waiting import until

RECOVERY = 2.0
"""Seconds in which service is back, once the server takes sessions."""
HUNG = 5.0
"""Seconds in which a request is answered though nobody answers us."""
SLACK = 4.0
"""So many times as long is waited: whether the bounds hold, the proofs say."""
WRITERS, READERS = 3, 2


@pytest.fixture(scope="module")
def own(postgresql: str) -> Iterator[Postgres]:
    """A server of this module's own, which it may stop."""
    with servers.primary() as made:
        yield made


@pytest.fixture
def database(own: Postgres) -> Iterator[Database]:
    with closing(records.open_database(own.registry(), pool_size=4)) as opened:
        yield opened


@pytest.fixture
def client(http: httpx.Client, app: FastAPI, database: Database) -> Iterator[httpx.Client]:
    yield from _serving(http, app, database)


@dataclass
class Load:
    """Clients that write and read one after the other, and note how they were answered."""

    client: httpx.Client
    prefix: str = ""
    over: threading.Event = field(default_factory=threading.Event)
    stored: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    times: dict[str, list[float]] = field(default_factory=dict)  # of the 2xx, by client
    slowest: float = 0.0
    refusals: int = 0
    back: float = 0.0  # seconds until somebody was served again

    def run(self, who: str) -> None:
        n = 0
        while not self.over.wait(0.01):
            n += 1
            name, begun = f"{self.prefix}{who} {n}", time.monotonic()
            if who.startswith("Writer"):
                answer = self.client.post("/v1/organizations", json={"name": name, "kind": "other"})
                (self.stored if answer.status_code == 201 else self.refused).append(name)
            else:
                answer = self.client.get("/v1/organizations?limit=1")
            self.slowest = max(self.slowest, time.monotonic() - begun)
            if answer.status_code == 503:
                self.refusals += 1
                assert answer.headers["retry-after"] == "1"
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["type"] in ("/problems/unavailable", "/problems/overloaded")
            else:
                assert answer.status_code in (200, 201), answer.text
                self.times.setdefault(who, []).append(time.monotonic())

    @property
    def names(self) -> list[str]:
        return [*(f"Writer {n}" for n in range(WRITERS)), *(f"Reader {n}" for n in range(READERS))]

    def any_since(self, moment: float) -> bool:
        return any(at > moment for times in list(self.times.values()) for at in list(times))

    def first_since(self, moment: float) -> float:
        return min(at for times in list(self.times.values()) for at in list(times) if at > moment)

    def all_since(self, moment: float, count: int = 1) -> bool:
        return all(sum(at > moment for at in list(self.times.get(who, ()))) >= count for who in self.names)


def under_load(client: httpx.Client, disturb: Callable[[], float], prefix: str = "") -> Load:
    """Disturb the database, and wait until everybody is served again. `disturb` returns since when that has to be so."""
    load = Load(client, prefix)
    with ThreadPoolExecutor(WRITERS + READERS) as threads:
        running = [threads.submit(load.run, who) for who in load.names]
        try:
            until(lambda: load.all_since(0, count=5))
            up = disturb()
            until(lambda: load.any_since(up), RECOVERY * SLACK)
            load.back = load.first_since(up) - up
            until(lambda: load.all_since(up), HUNG * SLACK)
            assert client.get("/livez").status_code == 200
        finally:
            load.over.set()
        for each in running:
            each.result(30)
    return load


def nothing_is_lost(database: Database, load: Load) -> None:
    def work(tx: Transaction) -> tuple[set[str], list[int], int]:
        names = set(tx.execute(sa.select(table_of(Organization).c.name)).scalars())
        numbers = list(tx.execute(sa.select(revisions.TABLE.c.seq).order_by(revisions.TABLE.c.seq)).scalars())
        return names, numbers, tx.sequence()

    names, numbers, sequence = database.read(work)
    assert numbers == list(range(1, sequence + 1))
    assert sequence == len(names)
    names = {name for name in names if name.startswith(load.prefix)}
    assert set(load.stored) <= names <= {*load.stored, *load.refused}


READY = 2.0
"""Seconds in which readiness notices that the database is gone."""


@pytest.mark.parametrize("pooled", [False, True], ids=["a line of its own", "as any reader"])
def test_a_server_that_was_started_again_is_another_state_though_nothing_was_written(
    own: Postgres, *, pooled: bool
) -> None:
    """It may be another server by now, which has not seen the last writes, and has done others under the same numbers."""

    async def seen() -> tuple[Any, Any, Any]:
        probe = ReadingProbe(opened._state) if pooled else ServerProbe(opened.engine.url)
        before = await probe.state(), await probe.state()
        await asyncio.to_thread(own.restart)
        for _ in range(100):  # until it is noticed, and for as long as the probe rests
            if (after := await probe.state()) is not None:
                break
            await asyncio.sleep(0.1)
        probe.close()
        return *before, after

    with closing(records.open_database(own.registry(), pool_size=2)) as opened:
        first, again, after = asyncio.run(seen())
    assert first == again is not None
    assert first[:1] == after[:1]
    assert first != after


@pytest.mark.proves("R8", database="postgresql")
def test_a46_r8_a_restart_under_load(client: httpx.Client, database: Database, own: Postgres, proof: Proof) -> None:
    stored, refused, unready, back = 0, 0, [0.0], [0.0]
    restarts = proof.rounds(2, 20)
    for turn in range(restarts):

        def restart(mode: str = ("fast", "immediate")[turn % 2]) -> float:
            begun = time.monotonic()
            own.stop(mode)
            until(lambda: client.get("/readyz").status_code == 503, HUNG)
            unready.append(time.monotonic() - begun)
            assert client.get("/livez").status_code == 200
            own.start()
            return time.monotonic()

        load = under_load(client, restart, prefix=f"{turn} ")
        back.append(load.back)
        nothing_is_lost(database, load)
        assert load.slowest < HUNG
        stored, refused = stored + len(load.stored), refused + load.refusals
    proof.count("restarts under load", restarts)
    proof.count("requests refused with 503 and Retry-After meanwhile", refused, at_least=1)
    proof.count("acknowledged writes around restarts, all there", stored)
    proof.measure("until readiness says so, from the order to stop", max(unready), "s", at_most=READY)
    proof.measure("from the first session to the first 2xx", max(back), "s", at_most=RECOVERY)


def test_a46_sessions_that_are_ended_by_hand(client: httpx.Client, database: Database, own: Postgres) -> None:
    def terminate() -> float:
        for _ in range(5):
            own.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'registry'")
            time.sleep(0.05)
        return time.monotonic()

    nothing_is_lost(database, under_load(client, terminate))


def test_a_primary_that_takes_no_writes_refuses_them_and_is_read(
    client: httpx.Client, database: Database, own: Postgres
) -> None:
    def read_only() -> float:
        own.run("ALTER DATABASE registry SET default_transaction_read_only = on")
        own.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'registry'")
        for _ in range(3):
            answer = client.post("/v1/organizations", json={"name": "Never", "kind": "other"})
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert "no writes" in answer.json()["detail"]
            assert client.get("/v1/organizations").status_code == 200
        own.run("ALTER DATABASE registry RESET default_transaction_read_only")
        return time.monotonic()

    nothing_is_lost(database, under_load(client, read_only))


def test_a_server_without_a_free_session_refuses(client: httpx.Client, own: Postgres, database: Database) -> None:
    database.engine.dispose()
    own.run("ALTER DATABASE registry CONNECTION LIMIT 0")
    own.run("CREATE ROLE guest LOGIN")
    url = own.url().replace("postgres@", "guest@")
    with closing(records.open_database(url, pool_size=2)) as guest, pytest.raises(Unavailable):
        guest.read(lambda tx: tx.sequence())
    own.run("ALTER DATABASE registry CONNECTION LIMIT -1")
    own.run("DROP ROLE guest")


# One row a state: how the registry answers when the database reports it. (PostgreSQL, Appendix A)
STATES = [
    ("08006", Unavailable),  # connection failure
    ("23505", Conflict),  # unique violation
    ("23503", Conflict),  # foreign key violation
    ("22003", Invalid),  # numeric value out of range
    ("22P05", Invalid),  # untranslatable character
    ("25006", Unavailable),  # read-only transaction: it has become a standby
    ("40001", Unavailable),  # serialization failure, again and again
    ("40P01", Unavailable),  # deadlock, again and again
    ("53000", Unavailable),  # insufficient resources
    ("53100", Full),  # disk full
    ("53200", Unavailable),  # out of memory
    ("53300", Unavailable),  # too many connections
    ("55P03", Unavailable),  # lock not available
    ("57014", Unavailable),  # cancelled: it took too long
    ("57P01", Unavailable),  # the server shuts down
    ("57P02", Unavailable),  # it crashed
    ("57P03", Unavailable),  # it starts
    ("57P05", Unavailable),  # the session was idle for too long
    ("58030", Unavailable),  # I/O error
    ("42P01", sa.exc.ProgrammingError),  # no such table: a fault of ours, which waiting will not mend
    ("XX000", sa.exc.InternalError),  # internal error
]


@pytest.mark.parametrize(("state", "expected"), STATES)
def test_what_the_database_reports_and_how_the_registry_answers(
    database: Database, monkeypatch: pytest.MonkeyPatch, state: str, expected: type[Exception]
) -> None:
    monkeypatch.setattr("app.kit.db.random.uniform", lambda *_: 0.0)

    def work(tx: Transaction) -> None:
        tx.connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$")

    with pytest.raises(expected):
        database.write(work, TESTER)
    assert database.read(lambda tx: tx.sequence()) == 0


def test_a_serialization_failure_is_tried_again(database: Database) -> None:
    for submit in (lambda work: database.submit_write(work, TESTER), database.submit_read):
        turns: list[int] = []

        def work(tx: Transaction, turns: list[int] = turns) -> int:
            turns.append(1)
            if len(turns) < 3:
                state = ("40001", "40P01")[len(turns) - 1]
                tx.connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$")
            return len(turns)

        assert submit(work).result(20) == 3


# --- the line falls silent --------------------------------------------------------------------------------------------


@pytest.fixture
def line(own: Postgres) -> Iterator[Line]:
    made = Line(own.port)
    yield made
    made.close()


@pytest.fixture
def through(own: Postgres, line: Line, http: httpx.Client, app: FastAPI) -> Iterator[tuple[httpx.Client, Database]]:
    """A client of the registry, whose database is at the other end of `line`."""
    own.registry()
    with closing(records.open_database(own.url(port=line.port), pool_size=POOL)) as database:
        client = next(serving := _serving(http, app, database))
        yield client, database
        next(serving, None)


POOL = 4
RELEASED = 2.0
"""Seconds in which nothing is left of it, once the line carries again."""


@pytest.mark.proves("R9", database="postgresql")
@pytest.mark.parametrize("trouble", ["silent", "slow"])
def test_r9_a_database_that_hangs_is_answered_for_and_nothing_stays_behind(
    own: Postgres, line: Line, through: tuple[httpx.Client, Database], proof: Proof, trouble: str
) -> None:
    client, database = through
    seconds = proof.rounds(1, 30)
    before = ours()

    def hang() -> float:
        with line.troubled(trouble):
            begun = time.monotonic()
            until(lambda: database.primary.away, HUNG * SLACK)
            assert client.get("/v1/organizations").status_code == 503
            assert min(refused(client) for _ in range(5)) < 0.5  # known by now
            until(lambda: time.monotonic() - begun > seconds, seconds + 1)
            assert client.get("/readyz").status_code == 503
            assert client.get("/livez").status_code == 200
        return time.monotonic()

    load = under_load(client, hang)
    released = time.monotonic()
    nothing_is_lost(database, load)
    until(lambda: checked_out(database) == 0)
    # Those that serve stay, and the one that writes for several.
    until(lambda: idle(own) and ours() <= before + POOL + 1)
    proof.measure(
        f"the longest wait for an answer, the line {trouble} for {seconds} s", load.slowest, "s", at_most=HUNG
    )
    proof.measure(
        f"until the pool is idle again, the line {trouble}", time.monotonic() - released, "s", at_most=RELEASED
    )


def refused(client: httpx.Client) -> float:
    """Seconds until a read was refused."""
    begun = time.monotonic()
    assert client.get("/v1/organizations").status_code == 503
    return time.monotonic() - begun


def test_a_line_that_falls_silent_while_a_session_is_made_is_noticed_as_any_other(
    line: Line, through: tuple[httpx.Client, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looked up a key on it would keep all who come with that key waiting."""
    client, database = through
    usual = engines.is_pooled
    with ExitStack() as trouble:

        def fallen_silent(session: Any) -> bool:
            if line.through.is_set():
                trouble.enter_context(line.troubled("silent"))
            return usual(session)

        monkeypatch.setattr(engines, "is_pooled", fallen_silent)
        database.engine.dispose()
        assert refused(client) < HUNG * SLACK
        until(lambda: database.primary.away, HUNG * SLACK)
        assert refused(client) < HUNG * SLACK
        monkeypatch.setattr(engines, "is_pooled", usual)
    until(lambda: client.get("/v1/organizations").status_code == 200, HUNG * SLACK)


@pytest.mark.proves("R9", database="postgresql")
def test_r9_lines_that_are_cut_are_made_anew(
    own: Postgres, line: Line, through: tuple[httpx.Client, Database], proof: Proof
) -> None:
    client, database = through
    cuts = proof.rounds(5, 100)

    def cut() -> float:
        for _ in range(cuts):
            line.cut()
            time.sleep(0.05)
        return time.monotonic()

    load = under_load(client, cut)
    nothing_is_lost(database, load)
    until(lambda: checked_out(database) == 0 and idle(own))
    proof.count("times that all lines to the database were cut under load", cuts)
    proof.measure("the longest wait for an answer, lines cut", load.slowest, "s", at_most=HUNG)


def ours() -> int:
    """Threads of the registry. The one that sends away who waits too long is none of them: it stays for two seconds."""
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("concord")]
    return len(names) - ("concord-turns" in names)


def checked_out(database: Database) -> int:
    pool = database.engine.pool
    assert isinstance(pool, sa.QueuePool)
    return pool.checkedout()


def idle(own: Postgres) -> bool:
    """Whether PostgreSQL has no more sessions than the pool, and none at work."""
    found = own.run("SELECT state FROM pg_stat_activity WHERE datname = 'registry'")
    return len(found) <= POOL + 1 and {state for (state,) in found} <= {"idle"}


def test_a_statement_that_takes_long_is_left_to_it(own: Postgres, database: Database) -> None:
    def slow(tx: Transaction) -> Any:
        return tx.connection.exec_driver_sql("SELECT pg_sleep(2.2)").rowcount

    assert database.submit_read(slow).result(20) == 1
    assert not database.primary.away


# --- failover -----------------------------------------------------------------------------------------------------------


def test_of_several_addresses_the_one_that_takes_writes_is_found_again_after_a_failover(
    postgresql: str, http: httpx.Client, app: FastAPI
) -> None:
    with servers.primary() as first, servers.standby(first) as second:
        first.registry()
        [(end,)] = first.run("SELECT pg_current_wal_lsn()")
        until(lambda: second.run(f"SELECT pg_last_wal_replay_lsn() >= '{end}'") == [(True,)])
        # The standby stands first: it is passed by as long as it is one.
        first.run("ALTER SYSTEM SET synchronous_standby_names = '*'")  # what is acknowledged is on both
        first.run("SELECT pg_reload_conf()")
        url = f"postgresql://postgres@/registry?host=127.0.0.1:{second.port}&host=127.0.0.1:{first.port}"
        with closing(records.open_database(url, pool_size=4)) as database:
            client = next(serving := _serving(http, app, database))

            def fail_over() -> float:
                first.stop("immediate")
                second.promote()
                return time.monotonic()

            nothing_is_lost(database, under_load(client, fail_over))
            next(serving, None)
