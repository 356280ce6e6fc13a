"""Ten thousand clients listen to the changes of one worker: in a stated memory, told within seconds, in nobody's way."""

from __future__ import annotations

import pytest

from tests.conftest import Server
from tests.support import costs, crowds
from tests.support.asking import asking
from tests.support.crowds import Crowd
from tests.support.proofs import Proof
from tests.test_cli import served

ARRIVALS = 200
"""So many come at once: a client library waits for its answer before it opens more."""
BUSY = b"HTTP/1.1 503 "
LINUX = pytest.mark.skipif(not costs.KNOWN, reason="NOT TESTED: this system does not tell what a process uses")


def listen(after: str) -> bytes:
    head = f"GET /v1/changes?after={after} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n"
    return head.encode()


@LINUX
@pytest.mark.proves("SSE")
def test_ten_thousand_listeners_hear_of_each_write_and_keep_nobody_waiting(server: Server, proof: Proof) -> None:
    clients, writes = proof.rounds(200, 10_000), proof.rounds(3, 20)
    if not crowds.room(clients):
        pytest.skip(f"NOT TESTED: the system lets a process open fewer than {clients} files (ulimit -n)")
    url, room = server.fresh("seeded"), str(clients)
    with (
        served(url, "--no-seed", fork=False, max_listeners=room, rate_limit="0") as (process, client),
        Crowd(client.base_url.port) as crowd,  # type: ignore[arg-type]
    ):
        newest = client.get("/v1/changes?limit=1").headers["registry-sequence"]
        before, refused = costs.memory(process.pid), 0
        while len(crowd) < clients:
            for _ in range(min(ARRIVALS, clients - len(crowd))):
                crowd.join(listen(newest))
            crowd.until(lambda: crowd.count(b"\nretry: ") + crowd.count(BUSY) == len(crowd), 120)
            refused += crowd.leave(BUSY)  # they come again, as they were told
        each = (costs.memory(process.pid) - before) / clients
        proof.count("clients that listen to one worker", len(crowd) - len(crowd.closed), at_least=clients)
        proof.count("clients that were told to come again before they could listen", refused)
        proof.measure("memory of a client that listens", each / 1_024, "KiB", at_most=48)
        assert client.get("/v1/changes", headers={"Accept": "text/event-stream"}).status_code == 503

        with costs.working(process.pid) as idle:
            crowd.listen(proof.rounds(1, 20))
        proof.measure("part of a processor while nothing happens", 100 * idle.part, "%", at_most=15)

        slowest = 0.0
        with asking(client.base_url.port, "/v1/organizations?limit=1") as others:  # type: ignore[arg-type]
            for number in range(writes):
                made = client.post("/v1/organizations", json={"name": f"Heard by all {number}", "kind": "other"})
                slug = made.json()["slug"].encode()
                slowest = max(slowest, crowd.until(lambda slug=slug: crowd.count(slug) == clients, 60))  # type: ignore[misc]
        proof.measure("from a write until the last has heard of it", slowest, "s", at_most=5)
        proof.measure("p99 of others' reads while all are told", others.percentile(0.99), "ms", at_most=100)
        proof.count("reads of others that were refused or cut", others.refused, at_most=0)
        proof.count("streams that broke", len(crowd.closed), at_most=0)

        process.terminate()
        proof.measure(
            "until all are closed at a stop", crowd.until(lambda: len(crowd.closed) == clients, 30), "s", at_most=8
        )
        assert crowd.count(b"0\r\n\r\n") == clients, "a stream that ends says so"
        assert process.wait(20) == 0
