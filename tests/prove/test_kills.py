"""Processes that are killed while they write: of the registry (R4), and of the database under it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import Server
from tests.support import ledgers, servers
from tests.support.ledgers import Books
from tests.support.processes import FORKING, kill, on_linux, workers, writing
from tests.support.proofs import Proof
from tests.support.servers import Postgres
from tests.support.waiting import until
from tests.test_cli import served

PREPARED = ("--no-migrate", "--no-seed")
MOST_IN_VAIN = 4
"""So many times as often as it counts a process may be killed that was not writing at that moment."""


def written_until_cut(books: Books, port: int, drawn: random.Random, strike: Callable[[], None]) -> bool:
    """Write, strike at some moment, and write on until somebody is served again. Whether the blow cut a write short."""
    enough, cut = books.acknowledged + drawn.randint(4, 24), books.cut
    with books.written(port):
        until(lambda: books.acknowledged >= enough)
        time.sleep(drawn.random() * 0.01)  # somewhere within a write
        strike()
        until(lambda: books.acknowledged > enough + 8 or books.cut > cut)
    return books.cut > cut


@on_linux
@pytest.mark.proves("R4")
def test_a_worker_that_is_killed_takes_no_acknowledged_write_with_it_and_leaves_no_half_of_one(
    server: Server, proof: Proof
) -> None:
    drawn = random.Random(4)  # noqa: S311  # the same moments each time
    rounds, books, done = proof.rounds(3, 200), ledgers.books(server.fresh("empty")), 0
    with served(books.url, program=("-c", FORKING)) as (process, client):
        for _ in range(MOST_IN_VAIN * rounds):

            def strike() -> None:
                until(lambda: writing(process.pid))
                kill(drawn.choice(writing(process.pid)))

            done += written_until_cut(books, client.base_url.port or 80, drawn, strike)
            books.examine()
            if done == rounds:
                break
    proof.count("workers killed while they wrote", done, at_least=rounds)
    proof.count("acknowledged writes, all there and whole", books.acknowledged)
    proof.count("writes cut short by a kill, each there as a whole or not at all", books.cut)


@on_linux
@pytest.mark.proves("R4")
def test_a_server_that_is_killed_with_all_its_workers_goes_on_where_it_was(server: Server, proof: Proof) -> None:
    drawn = random.Random(40)  # noqa: S311
    rounds, books = proof.rounds(1, 20), ledgers.books(server.fresh("empty"))
    for turn in range(rounds):
        with served(books.url, *PREPARED, "--workers", "2") as (process, client):
            enough = books.acknowledged + drawn.randint(4, 40)
            with books.written(client.base_url.port or 80):
                until(lambda: books.acknowledged >= enough)  # noqa: B023
                kill(process.pid, *workers(process.pid))
                process.wait(30)
        assert books.cut > turn  # it was in the middle of something
        books.examine()
    proof.count("servers (`concord serve --workers 2`) killed with all their workers", rounds)


# --- the database ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own(postgresql: str) -> Iterator[Postgres]:
    """A server of this module's own, which it may stop."""
    with servers.primary() as made:
        yield made


def backend(own: Postgres, drawn: random.Random) -> int:
    """One of the processes that PostgreSQL has for the registry."""
    found = own.run("SELECT pid FROM pg_stat_activity WHERE datname = 'registry' ORDER BY pid")
    return int(drawn.choice(found)[0])


@pytest.mark.proves("R4b", database="postgresql")
def test_a_database_that_stops_at_once_or_whose_process_is_killed_keeps_what_was_acknowledged(
    own: Postgres, proof: Proof
) -> None:
    drawn = random.Random(44)  # noqa: S311
    rounds, books = proof.rounds(2, 50), ledgers.books(own.registry())
    blows: tuple[Callable[[], None], ...] = (
        lambda: own.restart("immediate"),
        lambda: kill(backend(own, drawn)),  # the others are ended by PostgreSQL itself, which then recovers
    )
    with served(books.url, *PREPARED, "--workers", "2") as (_, client):
        port = client.base_url.port or 80
        for turn in range(rounds):
            enough = books.acknowledged + drawn.randint(4, 24)
            with books.written(port):
                until(lambda: books.acknowledged >= enough)  # noqa: B023
                blows[turn % len(blows)]()
                answered = books.acknowledged
                until(lambda: books.acknowledged >= answered + 8)  # noqa: B023
            books.examine()
    proof.count("immediate stops, and killed processes, of PostgreSQL under load", rounds)
    proof.count("acknowledged writes meanwhile, all there and whole", books.acknowledged)
    assert books.refused or books.cut
