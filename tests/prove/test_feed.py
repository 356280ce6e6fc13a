"""R22: whoever follows the changes sees each of them once and in order, whatever is slow and whatever is started anew."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from http.client import HTTPConnection, HTTPException
from typing import Any

import pytest

from app.api.v1 import RESOURCES
from app.kit import records
from app.kit.db import Author, Transaction
from app.kit.resource import Resource
from tests.conftest import Server
from tests.prove.callers import Caller, walk_changes
from tests.support.proofs import Proof
from tests.support.waiting import until
from tests.support.wire import AUTHORIZED, free_port
from tests.test_cli import served

Json = dict[str, Any]
BROKEN = (OSError, HTTPException)
"""What a client meets whose server goes."""
HOME = "/v1/organizations"
ORGANIZATIONS: Resource[Any] = next(resource for resource in RESOURCES if resource.plural == "organizations")
FOLLOWERS = 3
"""Of each kind."""
HTTP_WRITERS, SLOW_WRITERS = 6, 2
PATIENCE = 300


class Followed:
    """What one follower has seen: that is all that it keeps when it starts anew."""

    def __init__(self) -> None:
        self.seen: list[Json] = []
        self.starts = 0

    @property
    def last(self) -> int:
        return int(self.seen[-1]["sequence"]) if self.seen else 0


class Feed:
    """A server that is stopped and started again on one port, and those who write to it and follow it."""

    def __init__(self, url: str, port: int) -> None:
        self.url, self.port = url, port
        self.polled = [Followed() for _ in range(FOLLOWERS)]
        self.streamed = [Followed() for _ in range(FOLLOWERS)]
        self.writing, self.following = threading.Event(), threading.Event()
        self.renewed = 0
        """How often the followers were told to start anew."""

    def has_told_all(self, number: int) -> bool:
        """Whether every follower has seen the change of this number."""
        return all(followed.last >= number for followed in (*self.polled, *self.streamed))

    # -- writing --

    def write(self, number: int) -> int:
        """Single writes and batches over HTTP, one after the other; how many were answered."""
        answered = 0
        with closing(Caller(self.port)) as caller:
            for n in range(1_000_000):
                if self.writing.is_set():
                    return answered
                with suppress(*BROKEN):  # nobody knows whether that was done, and the followers will tell
                    status = self._once(caller, f"w{number}-{n}", n)
                    assert status in (200, 201, 503), status
                    answered += status < 300
        return answered

    def _once(self, caller: Caller, name: str, n: int) -> int:
        if n % 3:
            return caller.ask("POST", HOME, {"slug": name, "name": name, "kind": "other"}).status
        creations = [
            {"verb": "create", "noun": "organizations", "body": {"slug": f"{name}-{m}", "name": f"{name} {m}", "kind": "other"}}
            for m in range(10)
        ]  # fmt: skip
        changes = [
            {
                "verb": "patch",
                "noun": "organizations",
                "record": f"{name}-{m}",
                "if_match": "*",
                "body": {"acronym": "A"},
            }
            for m in range(10)
        ]
        return caller.ask("POST", "/v1/batch", {"operations": creations + changes}).status

    def write_slowly(self, number: int) -> int:
        """Transactions beside the server, that write and then take their time to commit."""
        written = 0
        with closing(records.open_database(self.url, pool_size=1)) as database:
            while not self.writing.is_set():

                def work(tx: Transaction) -> None:
                    for n in range(3):
                        name = f"s{number}-{written}-{n}"  # noqa: B023  # it is called at once
                        data = records.validated(ORGANIZATIONS, {"slug": name, "name": name, "kind": "other"})
                        records.create(tx, ORGANIZATIONS, data)
                    self.writing.wait(0.03)

                database.write(work, Author("slow"))
                written += 1
                self.writing.wait(0.1)  # others want to write, too
        return written

    # -- following --

    def poll(self, followed: Followed) -> None:
        """Page after page by `next`, from what was seen last."""
        while not self.following.is_set():
            followed.starts += 1
            renewed = self.renewed
            with suppress(*BROKEN), closing(Caller(self.port)) as caller:
                address = f"/v1/changes?after={followed.last}&limit=50"
                while self.renewed == renewed and not self.following.is_set():
                    answer = caller.ask("GET", address)
                    if answer.status != 200:
                        assert answer.status == 503, answer
                        break
                    page = answer.json()
                    followed.seen += page["items"]
                    address = page["next"]
                    if not page["items"]:
                        self.following.wait(0.02)
            self.following.wait(0.02)

    def stream(self, followed: Followed) -> None:
        """Events, and after a break those behind the last that came."""
        while not self.following.is_set():
            followed.starts += 1
            renewed = self.renewed
            with suppress(*BROKEN), closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as line:
                again = {"Last-Event-ID": str(followed.last)} if followed.seen else {}
                line.request("GET", "/v1/changes", headers={"Accept": "text/event-stream", **AUTHORIZED, **again})
                answer = line.getresponse()
                if answer.status != 200:
                    assert answer.status == 503, answer.status
                else:
                    for change in _events(iter(answer.readline, b"")):
                        followed.seen.append(change)
                        if self.renewed != renewed or self.following.is_set():
                            break
            self.following.wait(0.02)


def _events(lines: Iterator[bytes]) -> Iterator[Json]:
    """The changes in a stream. An event that is cut off before its end is none; the id of each is its number."""
    event: dict[str, str] = {}
    for line in lines:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            event[name] = value
            continue
        if "data" in event:
            change: Json = json.loads(event["data"])
            assert (event["id"], event["event"]) == (str(change["sequence"]), change["action"])
            yield change
        event = {}


@pytest.mark.proves("R22")
def test_every_follower_sees_every_change_once_and_in_order(server: Server, proof: Proof) -> None:
    """Eight writers, two of them with transactions that take their time; three clients that ask for pages and three that
    listen. The server is stopped and started again meanwhile, and the followers begin anew with nothing but the last number
    that they have."""
    changes, restarts = proof.rounds(60, 10_000), proof.rounds(1, 5)
    port = free_port()
    workers = str(proof.rounds(1, 2))
    feed = Feed(server.fresh("empty"), port)
    everything: list[Json] = []
    with ThreadPoolExecutor(HTTP_WRITERS + SLOW_WRITERS + 2 * FOLLOWERS) as threads:
        try:
            work = [threads.submit(feed.poll, followed) for followed in feed.polled]
            work += [threads.submit(feed.stream, followed) for followed in feed.streamed]
            writers: list[Future[int]] = []
            for turn in range(restarts + 1):
                with served(feed.url, "--no-seed", "--workers", workers, port=port) as (_, _client):
                    if not writers:
                        writers += [threads.submit(feed.write, n) for n in range(HTTP_WRITERS)]
                        writers += [threads.submit(feed.write_slowly, n) for n in range(SLOW_WRITERS)]
                    goal = changes * (turn + 1) // (restarts + 1)
                    _until(partial(feed.has_told_all, goal), [*work, *writers])
                    feed.renewed += 1
                    if turn == restarts:
                        feed.writing.set()
                        told = sum(writer.result(60) for writer in writers)
                        with closing(Caller(port)) as caller:
                            everything += walk_changes(caller, 0)
                        _until(partial(feed.has_told_all, len(everything)), work)
        finally:
            feed.writing.set()
            feed.following.set()
    for future in work:
        future.result(60)
    numbers = list(range(1, len(everything) + 1))
    assert [change["sequence"] for change in everything] == numbers
    for followed in (*feed.polled, *feed.streamed):
        assert [change["sequence"] for change in followed.seen] == numbers
        assert followed.seen == everything
        assert followed.starts > restarts
    assert told > 0
    proof.count("changes seen by 3 pollers and 3 streams, each once and in order", len(numbers), at_least=changes)
    proof.count("restarts of the server meanwhile", restarts, at_least=1)
    proof.count("starts of followers", sum(f.starts for f in (*feed.polled, *feed.streamed)), at_least=2 * FOLLOWERS)


def _until(condition: Callable[[], bool], work: list[Future[Any]]) -> None:
    """Wait for it while all are at work; what stops one of them is what went wrong."""

    def there() -> bool:
        for future in work:
            if future.done():
                future.result()
        return condition()

    until(there, PATIENCE)
