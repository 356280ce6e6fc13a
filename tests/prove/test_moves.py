"""Very many rows in and out: the memory that it takes does not grow with them, and others are answered meanwhile."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from app.kit import records
from tests.benchmarks import streams
from tests.benchmarks.registries import ORGANIZATIONS, count
from tests.benchmarks.streams import Flow
from tests.conftest import Server
from tests.support.proofs import Proof

MEGABYTE = 1_000_000
PAUSE = 0.02
"""Seconds between two requests of somebody else."""
ASKED = ("/v1/organizations?limit=20", "/v1/organizations?sort=-updated_at&limit=20", "/v1/changes?limit=5")
IN_TIME = "/readyz"
"""Which is answered within two seconds, by 503 if need be: on a machine with five other things to do that comes to pass."""


@contextmanager
def asking(client: httpx.Client, asked: Sequence[str]) -> Iterator[list[float]]:
    """Somebody else asks the registry this and that; the seconds that each answer took."""
    over, seconds, failed = threading.Event(), list[float](), list[httpx.Response]()

    def ask() -> None:
        while not over.wait(PAUSE):
            begun = time.perf_counter()
            answer = client.get(asked[len(seconds) % len(asked)])
            seconds.append(time.perf_counter() - begun)
            if answer.status_code != 200:
                failed.append(answer)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield seconds
    finally:
        over.set()
        thread.join()
    assert not failed, failed[0].text


MOVES = {
    "ndjson": (("import", "import of NDJSON", 128), ("export", "export of NDJSON", 64)),
    "csv": (("import", "import of CSV", 128), ("export", "export as CSV", 64)),
}
"""By the form of the file: what is done, what it is called, and by how many megabytes it may grow."""


@pytest.mark.proves("R10")
@pytest.mark.parametrize("form", MOVES)
def test_rows_go_in_and_out_in_flat_memory_while_others_are_answered(
    server: Server, http: httpx.Client, app: FastAPI, tmp_path: Path, proof: Proof, form: str
) -> None:
    rows, url = proof.rounds(2_000, 1_000_000), server.fresh("empty")
    path = streams.written(tmp_path, form, rows)
    before = app.state.database
    app.state.database = database = records.open_database(url)
    try:
        for verb, about, most in MOVES[form]:
            with asking(http, (*ASKED, IN_TIME) if proof.full else ASKED) as seconds:
                flow = streams.run(verb, form, url, *([str(path)] if verb == "import" else []))
            told(proof, about, flow, seconds, most)
            assert flow.rows == rows
        assert count(database, ORGANIZATIONS) == rows
    finally:
        app.state.database = before
        database.close()


@pytest.mark.proves("R10")
def test_a_file_of_nothing_but_faults_is_refused_in_flat_memory(server: Server, tmp_path: Path, proof: Proof) -> None:
    rows, url = proof.rounds(7_000, 300_000), server.fresh("empty")
    flow = streams.run("import", "flawed", url, str(streams.written(tmp_path, "flawed", rows)))
    assert flow.rows == rows
    told(proof, "import of rows that are all wrong", flow, [], 64)


def told(proof: Proof, what: str, flow: Flow, seconds: list[float], most: int) -> None:
    """Write down what one of them took."""
    proof.measure(f"{what}: rows a second", round(flow.rate), "/s")
    if flow.grown is not None:  # elsewhere than on Linux nobody tells
        assert flow.grown <= most * MEGABYTE
        proof.measure(f"{what}: memory over that of an idle process", flow.grown / MEGABYTE, "MB", at_most=most)
    if len(seconds) > 100:  # of few no hundredth can be told
        slowest = statistics.quantiles(seconds, n=100)[-1] * 1000
        proof.measure(f"{what}: 99 of 100 requests of others, answered within", slowest, "ms", at_most=200)
