"""R18: a request that is sent again under its Idempotency-Key is done once, whatever happens to the server in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException

import pytest

from tests.conftest import Server
from tests.prove.callers import Caller
from tests.support.programs import Program
from tests.support.proofs import Proof
from tests.support.wire import Answer
from tests.test_cli import served

HOME = "/v1/organizations"
CLIENTS = 20


@contextmanager
def callers(port: int) -> Iterator[list[Caller]]:
    made = [Caller(port) for _ in range(CLIENTS)]
    yield made
    for caller in made:
        caller.close()


def post(caller: Caller, key: str) -> Answer | None:
    """The answer to the request of that key; None where the line broke, so that nobody knows what became of it."""
    try:
        return caller.ask("POST", HOME, {"name": f"Office {key}", "kind": "other"}, Idempotency_Key=key)
    except (OSError, HTTPException):
        return None


@pytest.mark.proves("R18")
def test_a_key_sent_twenty_times_at_once_and_again_after_a_crash_is_one_write(server: Server, proof: Proof) -> None:
    """The server is killed as soon as one of the twenty has been answered, or two, three, none: before, while and after it
    writes."""
    rounds, url = proof.rounds(1, 12), server.fresh("empty")
    told = unknown = 0
    first: list[Answer | None] = []
    for turn in range(rounds + 1):
        with served(url, "--no-seed") as (process, client), callers(int(client.base_url.port or 0)) as made:
            if turn:
                again = _at_once(made, f"key-{turn - 1}")
                assert None not in again
                _assert_one_write(made[0], f"Office key-{turn - 1}", [*first, *again])
                told += sum(answer is not None for answer in (*first, *again))
                unknown += first.count(None)
            if turn < rounds:
                first = _at_once(made, f"key-{turn}", kill=process, after=(turn + 1) % 4)
                process.wait(30)
    proof.count("keys that 20 clients sent at once, a kill -9 among them, and again after it", rounds, at_least=1)
    proof.count("answers that were cut off by the kill", unknown)
    proof.count("answers that were the first one once more", told - rounds, at_least=rounds * (CLIENTS - 1))


def _at_once(made: list[Caller], key: str, *, kill: Program | None = None, after: int = 0) -> list[Answer | None]:
    """What the clients are answered who send one request at once; the server is killed when so many have been answered."""
    answers: list[Answer | None] = []
    barrier = threading.Barrier(CLIENTS)

    def send(caller: Caller) -> None:
        barrier.wait(30)
        if kill is not None and after == 0:
            kill.kill()
        answers.append(post(caller, key))
        if kill is not None and len(answers) >= after:
            kill.kill()

    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(send, made))
    return answers


def _assert_one_write(caller: Caller, name: str, answers: list[Answer | None]) -> None:
    """All who were answered were told of one and the same record, and it is there once."""
    told = [answer for answer in answers if answer is not None]
    assert {answer.status for answer in told} == {201}
    assert len({answer.body for answer in told}) == 1
    found = [record for record in caller.get(f"{HOME}?limit=200")["items"] if record["name"] == name]
    assert found == [told[0].json()]
    [revision] = caller.get(f"{HOME}/{found[0]['slug']}/revisions")["items"]
    assert (revision["version"], revision["action"]) == (1, "created")
