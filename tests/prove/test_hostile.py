"""R19: a server to which ten thousand hostile requests are sent stays up, answers none of them with an error of its own, holds
no more memory afterwards, and goes on answering the others."""

from __future__ import annotations

import random
import re
import socket
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.support.hostile import Request, requests, too_large
from tests.support.proofs import Proof
from tests.support.wire import Wire
from tests.test_cli import served

SEED = 19
TOGETHER, BATCH = 8, 100
PATIENCE = 0.2
"""Seconds in which an answer comes to a request that may be none; then the client says that this was all."""
SECONDS = 20
STATUS = re.compile(rb"(?:\A|\n)HTTP/1\.1 (\d{3}) ")


@dataclass(frozen=True)
class Told:
    """What came back."""

    request: Request
    statuses: list[int]
    """Of whole answers: 100 Continue is none."""
    seconds: float


def ask(wire: Wire, request: Request) -> Told:
    """Send it, and read until the server hangs up."""
    began = time.monotonic()
    with wire.connect() as connection:
        connection.settimeout(PATIENCE if request.ends else SECONDS)
        with suppress(ConnectionError, TimeoutError):  # refused, and hung up on, while there is still something to send
            connection.sendall(request.raw)
        received = b"".join(_pieces(connection, may_end=request.ends))
    statuses = [int(status) for status in STATUS.findall(received)]
    return Told(request, [status for status in statuses if status >= 200], time.monotonic() - began)


def _pieces(connection: socket.socket, *, may_end: bool) -> Iterator[bytes]:
    with suppress(ConnectionError):
        while True:
            try:
                piece = connection.recv(65_536)
            except TimeoutError:
                if not may_end:
                    raise
                may_end = False
                connection.settimeout(SECONDS)
                connection.shutdown(socket.SHUT_WR)
                continue
            if not piece:
                return
            yield piece


def megabytes(process: int) -> float:
    """What a process holds in memory now."""
    (kilobytes,) = re.findall(
        r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(encoding="ascii"), re.MULTILINE
    )
    return int(kilobytes) / 1024


@pytest.mark.proves("R19")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read as Linux tells it")
def test_a_server_outlives_whatever_is_sent_to_it(server: Server, proof: Proof) -> None:
    count = proof.rounds(300, 10_000)
    drawn = requests(SEED, count)
    told: list[Told] = []
    held: list[float] = []
    with served(server.fresh("seeded"), "--no-seed", rate_limit="0", log_level="error") as (process, client):
        wire = Wire(client.base_url.port or 80)
        before = client.get("/v1/organizations/oecd").json()
        with ThreadPoolExecutor(TOGETHER) as threads:
            for start in range(0, count, BATCH):
                told += threads.map(partial(ask, wire), drawn[start : start + BATCH])
                assert wire.request("GET", "/v1/organizations?limit=1").status == 200, f"after {start + BATCH}"
                assert process.poll() is None
                held.append(megabytes(process.pid))
        after = client.get("/v1/organizations/oecd").json()
        large = [ask(wire, Request("too_large", too_large(random.Random(n))[0])) for n in range(proof.rounds(20, 200))]  # noqa: S311
        assert client.get("/readyz").status_code == 200
    assert {name: after[name] for name in ("slug", "name")} == {name: before[name] for name in ("slug", "name")}
    found = Counter(status for each in told for status in each.statuses)
    assert [each.request for each in told if not each.request.ends and not each.statuses] == []
    assert [each for each in told if len(each.statuses) > 1 and each.request.shape != "no_request"] == []
    assert {status for each in large for status in each.statuses} == {413}
    proof.count("hostile requests, of which none ended a worker", len(told), at_least=count)
    proof.count("answers of 5xx to them", sum(number for status, number in found.items() if status >= 500), at_most=0)
    proof.count("different refusals", len({status for status in found if status >= 400}), at_least=8)
    taken = 1000 * statistics.median(each.seconds for each in large)
    proof.measure("a body that is too large is refused within (median)", taken, "ms", at_most=50)
    third = len(held) // 3
    grown = max(held[-third:]) - max(held[third:-third])
    proof.measure("memory in the last third of them, over that in the second", grown, "MB", at_most=8)
