"""What is measured: bounded in its labels (A65), and of all workers together."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import httpx
from prometheus_client.parser import text_string_to_metric_families

from app.kit.db import Database
from app.kit.errors import Busy
from tests.conftest import Server
from tests.operations.conftest import Open
from tests.support.builders import organization
from tests.support.processes import on_linux, workers
from tests.support.wire import UNTRUSTING
from tests.test_cli import served, until

STREAM = {"Accept": "text/event-stream"}
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def metrics(client: httpx.Client) -> Series:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(client: httpx.Client, name: str, **labels: str) -> float:
    return metrics(client).get((f"concord_{name}", frozenset(labels.items())), 0)


def requests(client: httpx.Client, route: str, method: str = "GET", status: int = 200) -> float:
    return value(client, "http_requests_total", route=route, method=method, status=str(status))


ONE = "/v1/organizations/{organization_id}"


def test_a65_hundreds_of_addresses_of_one_route_are_one_series(client: httpx.Client) -> None:
    organization(client, slug="here")
    for path in ("/v1/organizations/here", "/v1/organizations/nobody", "/nowhere"):
        client.get(path)
    client.request("LOCK", "/nowhere")
    found = requests(client, ONE, status=404)  # and the page's own series are there
    before = set(metrics(client))
    for _ in range(250):
        client.get(f"/v1/organizations/{uuid4()}")
    for n in range(50):
        client.get(f"/nowhere/{n}")
        client.request(("PROPFIND", "SEARCH", "MKCOL")[n % 3], f"/nowhere/{n}")
    after = set(metrics(client))
    assert requests(client, ONE, status=404) == found + 250
    assert after == before


def test_a_request_is_counted_and_timed_under_its_route(client: httpx.Client) -> None:
    organization(client, slug="here")
    names = {"http_requests_total": {"status": "200"}, "http_request_duration_seconds_count": {}}
    before = [value(client, name, route=ONE, method="GET", **more) for name, more in names.items()]
    client.get("/v1/organizations/here")
    after = [value(client, name, route=ONE, method="GET", **more) for name, more in names.items()]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1]


def test_a_stream_is_counted_and_not_timed(client: httpx.Client) -> None:
    timed = value(client, "http_request_duration_seconds_count", route="/v1/changes", method="GET")
    counted = requests(client, "/v1/changes")
    with client.stream("GET", "/v1/changes", headers=STREAM) as stream:
        lines = stream.iter_lines()
        next(lines)
        assert value(client, "sse_listeners") == 1
        assert value(client, "http_requests_in_flight") == 2  # the question itself, too
    until(lambda: requests(client, "/v1/changes") == counted + 1)
    assert value(client, "sse_listeners") == 0
    assert value(client, "http_request_duration_seconds_count", route="/v1/changes", method="GET") == timed


def test_the_database_is_measured(client: httpx.Client, database: Database) -> None:
    organization(client)
    assert value(client, "registry_sequence") == 1
    assert value(client, "database_up") == 1
    assert value(client, "database_connections_limit") == 5
    with holding(database, 1):
        assert value(client, "database_connections_in_use") == 1
    until(lambda: value(client, "database_connections_in_use") == 0)
    (build,) = (dict(labels) for name, labels in metrics(client) if name == "concord_build_info")
    assert build["database"] == database.engine.dialect.name
    assert re.fullmatch(r"[\d.]+", build["version"])


def test_metrics_are_told_also_while_the_database_hangs(client: httpx.Client, database: Database) -> None:
    with holding(database, 6):
        found = metrics(client)
        assert found["concord_database_up", frozenset()] == 0
        assert ("concord_registry_sequence", frozenset()) not in found
        assert found["concord_database_work_waiting", frozenset()] >= 2
    assert value(client, "database_up") == 1


@contextmanager
def holding(database: Database, units: int) -> Iterator[None]:
    """So many units of work are under way, and do not come to an end inside."""
    over, begun = threading.Event(), threading.Semaphore(0)

    def work(tx: object) -> None:
        begun.release()
        over.wait(20)

    futures = [database.submit_read(work) for _ in range(units)]
    for _ in range(min(units, 4)):
        assert begun.acquire(timeout=30)
    try:
        yield
    finally:
        over.set()
        for future in futures:
            with suppress(Busy):  # more than may run at once: the last has waited for too long
                future.result(20)


def test_metrics_answer_head_and_options_and_refuse_other_verbs(client: httpx.Client) -> None:
    head = client.head("/metrics")
    assert (head.status_code, head.content) == (200, b"")
    assert client.options("/metrics").headers["allow"] == "GET, HEAD, OPTIONS"
    refused = client.post("/metrics")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


# --- several workers --------------------------------------------------------------------------------------------------


@on_linux
def test_all_workers_are_told_together_also_when_one_dies(server: Server, tmp_path: Path) -> None:
    variables = {"TMPDIR": str(tmp_path)}
    with served(server.fresh("seeded"), "--no-seed", "--workers", "2", variables=variables) as (process, client):
        address = str(client.base_url)
        (folder,) = tmp_path.glob("concord-metrics-*")
        until(lambda: len(workers_that_count(folder)) == 2)
        for _ in range(40):
            # A new connection each, so that both get some.
            httpx.get(f"{address}/v1/organizations/oecd", verify=UNTRUSTING)
        assert requests(client, ONE) == 40
        with client.stream("GET", "/v1/changes", headers=STREAM) as stream:
            lines = stream.iter_lines()
            next(lines)
            until(lambda: told(address, "sse_listeners") == 1)
            dead = [child for child in workers(process.pid) if holds_a_stream(child, folder)]
            assert len(dead) == 1
            os.kill(dead[0], signal.SIGKILL)
            until(lambda: told(address, "sse_listeners") == 0)
        assert told(address, "http_requests_total", route=ONE, method="GET", status="200") == 40
        process.send_signal(signal.SIGTERM)
        assert (
            process.wait(30) == 0
        )  # uvicorn hears nothing while it waits for the worker that takes the dead one's place
    assert not folder.exists()


def told(address: str, name: str, **labels: str) -> float:
    """Asked on a new connection, of whichever worker takes it; -1 while the one that took it dies."""
    try:
        with httpx.Client(base_url=address, timeout=10, verify=UNTRUSTING) as client:
            return value(client, name, **labels)
    except httpx.TransportError:
        return -1


def workers_that_count(folder: Path) -> list[Path]:
    return list(folder.glob("gauge_livesum_*.db"))


def holds_a_stream(worker: int, folder: Path) -> bool:
    from prometheus_client.mmap_dict import MmapedDict

    path = folder / f"gauge_livesum_{worker}.db"
    if not path.exists():
        return False
    entries = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
    return any("sse_listeners" in key and amount == 1 for key, amount, *_ in entries)


def test_one_worker_needs_no_folder(server: Server, tmp_path: Path) -> None:
    with served(server.fresh("seeded"), "--no-seed", variables={"TMPDIR": str(tmp_path)}) as (_, client):
        client.get("/v1/organizations/oecd")
        assert list(tmp_path.iterdir()) == []
        assert requests(client, ONE) == 1


def test_what_is_put_under_a_prefix_is_counted_as_what_is_not(own: Open) -> None:
    client = own("seeded", root_path="/registry")
    client.get("/registry/v1/organizations/oecd")
    assert requests(client, ONE) == 1
