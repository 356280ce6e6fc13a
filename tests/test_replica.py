"""Readings go to a streaming replica, and nobody sees an older state than the one that he has seen. Both servers are real."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.kit import records
from app.kit.db import Database, Transaction
from app.kit.errors import Unavailable
from tests.conftest import _serving
from tests.support import servers
from tests.support.builders import organization, source
from tests.support.servers import Postgres
from tests.support.waiting import until
from tests.support.wire import UNTRUSTING, free_port

HEADER = "Registry-Sequence"


@dataclass
class Pair:
    """A primary and the replica that follows it, each with its own view of who read where."""

    primary: Postgres
    replica: Postgres
    database: Database

    def hold(self) -> None:
        """The replica stays where it is."""
        self.replica.run("SELECT pg_wal_replay_pause()", "registry")
        until(lambda: self.replica.run("SELECT pg_get_wal_replay_pause_state()") == [("paused",)])

    def go_on(self) -> None:
        self.replica.run("SELECT pg_wal_replay_resume()")

    def caught_up(self) -> None:
        [(where,)] = self.primary.run("SELECT pg_current_wal_lsn()")
        until(lambda: self.replica.run(f"SELECT pg_last_wal_replay_lsn() >= '{where}'") == [(True,)])


@pytest.fixture(scope="module")
def both(postgresql: str) -> Iterator[tuple[Postgres, Postgres]]:
    with servers.primary() as primary, servers.standby(primary) as replica:
        yield primary, replica


@pytest.fixture
def pair(both: tuple[Postgres, Postgres]) -> Iterator[Pair]:
    """An empty registry on both."""
    primary, replica = both
    url = primary.registry()
    with closing(records.open_database(url, pool_size=4, replica_url=replica.url())) as database:
        made = Pair(primary, replica, database)
        made.caught_up()
        yield made
        made.go_on()


@pytest.fixture
def client(http: httpx.Client, app: FastAPI, pair: Pair) -> Iterator[httpx.Client]:
    yield from _serving(http, app, pair.database)


def post(client: httpx.Client, name: str) -> httpx.Response:
    answer = client.post("/v1/organizations", json={"name": name, "kind": "other"})
    assert answer.status_code == 201
    return answer


def names(client: httpx.Client, **headers: str) -> set[str]:
    answer = client.get("/v1/organizations", headers={name.replace("_", "-"): value for name, value in headers.items()})
    assert answer.status_code == 200
    return {record["name"] for record in answer.json()["items"]}


def on_the_replica(tx: Transaction) -> bool:
    return bool(tx.connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar())


def test_readings_go_to_the_replica_and_to_the_primary_where_they_ask_for_it(pair: Pair) -> None:
    assert pair.database.submit_read(on_the_replica).result(20)
    assert not pair.database.submit_read(on_the_replica, primary=True).result(20)


def test_who_says_nothing_may_see_an_older_state_and_is_told_which(client: httpx.Client, pair: Pair) -> None:
    pair.hold()
    assert post(client, "New").headers[HEADER] == "1"
    answer = client.get("/v1/organizations")
    assert (answer.json()["items"], answer.headers[HEADER], answer.headers["etag"]) == ([], "0", '"s0"')
    pair.go_on()
    pair.caught_up()
    assert names(client) == {"New"}


WAYS = [
    {"Registry-Sequence": "1"},
    {"If-None-Match": '"s1"'},
    {"If-None-Match": 'W/"v1.s1.d20260301", "s0"'},
    {"If-None-Match": '"s1.csv"'},
    {"If-None-Match": '"v1"'},
    {"If-None-Match": '"v7"'},
]


@pytest.mark.parametrize("headers", WAYS, ids=lambda headers: " ".join(headers.values()))
def test_who_says_what_he_has_seen_sees_nothing_older(
    client: httpx.Client, pair: Pair, headers: dict[str, str]
) -> None:
    pair.hold()
    post(client, "New")
    assert client.get("/v1/organizations/new").status_code == 404
    for address in ("/v1/organizations/new", "/v1/organizations/new/revisions", "/v1/organizations/new/revisions/1"):
        answer = client.get(address, headers=headers)
        assert answer.status_code in (200, 304)
        assert answer.headers[HEADER] == "1"
    assert client.get("/v1/search?q=new", headers=headers).headers[HEADER] == "1"


def test_numbers_in_the_question_count_as_well(client: httpx.Client, pair: Pair) -> None:
    pair.hold()
    post(client, "New")
    post(client, "Newer")
    assert [change["slug"] for change in client.get("/v1/changes?after=0").json()["items"]] == []
    assert [change["slug"] for change in client.get("/v1/changes?after=1").json()["items"]] == ["newer"]
    assert client.get("/v1/changes?after=2").headers[HEADER] == "2"
    assert client.get("/v1/organizations/newer?as_of=2").status_code == 200
    today = pair.database.clock().date().isoformat()
    assert client.get(f"/v1/organizations/newer?as_of={today}").status_code == 200


def test_a_reader_of_the_feed_gets_each_change_once(client: httpx.Client, pair: Pair) -> None:
    pair.hold()
    post(client, "New")
    headers = {"Accept": "text/event-stream"}
    with client.stream("GET", "/v1/changes?after=0", headers=headers) as stream:
        lines = (line for line in stream.iter_lines() if line.startswith(("id", "data")))
        pair.go_on()
        assert next(lines).startswith("data")
        assert next(lines) == "id: 1"
        post(client, "Newer")
        assert json.loads(next(lines).removeprefix("data: "))["slug"] == "newer"
        assert next(lines) == "id: 2"
    pair.hold()
    post(client, "Newest")
    with client.stream("GET", "/v1/changes", headers=headers | {"Last-Event-ID": "3"}) as stream:
        assert stream.headers[HEADER] == "3"


def test_an_export_is_of_one_state_though_its_parts_are_read_on_two_sides(client: httpx.Client, pair: Pair) -> None:
    post(client, "Before")
    pair.caught_up()
    pair.hold()
    post(client, "After")
    for kind in ("ndjson", "xlsx"):
        answer = client.get(f"/v1/organizations?format={kind}", headers={HEADER: "2"})
        assert answer.headers[HEADER] == "2"
        assert answer.headers["etag"] == f'"s2.{kind}"'
    lines = client.get("/v1/organizations?format=ndjson", headers={HEADER: "2"}).text.splitlines()
    assert {json.loads(line)["name"] for line in lines} == {"Before", "After"}


def test_warnings_of_a_write_come_from_where_it_was_stored(client: httpx.Client, pair: Pair) -> None:
    pair.hold()
    post(client, "International Harbour Office")
    body = {"name": "International Harbor Office", "kind": "other"}
    assert client.post("/v1/organizations", json=body).json()["warnings"]


def test_keys_which_have_no_number_are_read_where_they_are_kept(client: httpx.Client, pair: Pair) -> None:
    pair.hold()
    made = client.post("/v1/keys", json={"name": "maria.rossi", "role": "reader"})
    assert client.get(made.headers["location"]).status_code == 200
    assert client.delete(made.headers["location"]).status_code == 204
    assert client.get(made.headers["location"]).json()["revoked_by"] == "tester"
    listed = client.get("/v1/keys").json()["items"]
    assert {key["name"]: key["revoked_by"] for key in listed} == {"maria.rossi": "tester", "tester": None}


def test_proposals_which_have_no_number_are_read_where_they_are_kept(client: httpx.Client, pair: Pair) -> None:
    record, page = organization(client), source(client)
    pair.hold()
    wanted = {
        "noun": "organizations", "record": record["slug"], "patch": {"country": "CH"}, "citation": {"source": page["slug"]},
        "reason": "It says so.",
    }  # fmt: skip
    made = client.post("/v1/proposals", json=wanted)
    assert made.status_code == 201
    address = made.headers["location"]
    assert client.get(address).json()["status"] == "open"
    assert [item["id"] for item in client.get("/v1/proposals").json()["items"]] == [made.json()["id"]]
    assert client.post(f"{address}/retract", json={}).json()["status"] == "retracted"
    assert client.get(address).json()["status"] == "retracted"


@pytest.mark.parametrize("number", ["", "-1", "x", "1.0", "01", "1, 2", "9" * 19, "\u0661".encode().decode("latin-1")])
def test_a_number_that_cannot_be_read_is_refused(registry: httpx.Client, number: str) -> None:
    answer = registry.get("/v1/organizations", headers=[(HEADER.encode(), number.encode("latin-1"))])
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["parameter"] == HEADER


def test_a_number_that_lies_ahead_is_no_error(registry: httpx.Client) -> None:
    assert registry.get("/v1/organizations", headers={HEADER: "999999999"}).status_code == 200


# --- one of the two is away -------------------------------------------------------------------------------------------


def test_without_the_replica_the_primary_answers_and_it_comes_back(client: httpx.Client, pair: Pair) -> None:
    post(client, "Body")
    pair.caught_up()
    pair.replica.stop("immediate")
    try:
        begun = time.monotonic()
        for _ in range(20):
            assert names(client) == {"Body"}
        assert time.monotonic() - begun < 20  # nobody waits a second for one that is away
    finally:
        pair.replica.start()
    until(lambda: pair.database.submit_read(on_the_replica).result(20))


def test_without_the_primary_readings_go_on_and_writes_are_refused(client: httpx.Client, pair: Pair) -> None:
    post(client, "Body")
    pair.caught_up()
    pair.primary.stop()
    # Who sends a key asks the primary whether it still opens.
    stranger = httpx.Client(base_url=client.base_url, timeout=30, verify=UNTRUSTING)
    try:
        for _ in range(5):
            assert names(stranger) == {"Body"}
            assert client.get("/v1/organizations").status_code == 503
            refused = client.post("/v1/organizations", json={"name": "Never", "kind": "other"})
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert stranger.get("/v1/organizations", headers={HEADER: "2"}).status_code == 503
        assert stranger.get("/v1/organizations", headers={HEADER: "1"}).status_code == 200
    finally:
        stranger.close()
        pair.primary.start()
    post(client, "After")
    assert names(client, Registry_Sequence="2") == {"Body", "After"}


def test_a_replica_that_is_far_behind_is_left_alone_until_it_has_caught_up(
    client: httpx.Client, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.kit.replicas.FAR_BEHIND", 0.1)
    monkeypatch.setattr("app.kit.replicas.STEP", 0.0)
    pair.hold()
    post(client, "New")
    until(lambda: not pair.database.submit_read(on_the_replica).result(20))
    assert names(client) == {"New"}
    pair.primary.stop()  # then an old answer is better than none
    try:
        with httpx.Client(base_url=client.base_url, timeout=30, verify=UNTRUSTING) as stranger:
            assert names(stranger) == set()
    finally:
        pair.primary.start()
    pair.go_on()
    until(lambda: pair.database.submit_read(on_the_replica).result(20))


def test_a_silent_replica_costs_a_few_seconds_once(pair: Pair) -> None:
    line = servers.Line(pair.replica.port)
    url = pair.replica.url(port=line.port)
    with closing(records.open_database(pair.primary.url(), pool_size=4, replica_url=url)) as database:
        assert database.submit_read(on_the_replica).result(20)
        line.through.clear()
        begun = time.monotonic()
        assert not database.submit_read(on_the_replica).result(20)
        assert time.monotonic() - begun < 15
        assert min(asked(database) for _ in range(5)) < 0.5  # the machine may do other things as well now and then
        line.through.set()
        until(lambda: database.submit_read(on_the_replica).result(20))
    line.close()


def asked(database: Database) -> float:
    """Seconds until it was known that this is not for the replica."""
    begun = time.monotonic()
    assert not database.submit_read(on_the_replica).result(20)
    return time.monotonic() - begun


def test_only_postgresql_has_replicas(both: tuple[Postgres, Postgres], tmp_path: object) -> None:
    with pytest.raises(ValueError, match="both addresses"):
        records.open_database(f"sqlite:///{tmp_path}/registry.db", replica_url=both[1].url())


def test_a_state_that_neither_side_can_show_is_not_faked(pair: Pair) -> None:
    with (
        pytest.raises(Unavailable),
        closing(records.open_database(pair.primary.url(port=free_port()), replica_url=pair.replica.url())) as database,
    ):
        database.submit_read(on_the_replica, at_least=10).result(20)


def test_what_one_side_answers_is_not_kept_as_the_state_that_the_other_has_shown(
    client: httpx.Client, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica was away when the probe asked, and was found to answer before the rows were read."""
    ask, elsewhere = Database._state, list[bool]()

    async def state(self: Database) -> Any:
        assert self.replica is not None
        self.replica.away = bool(elsewhere)
        try:
            return await ask(self)
        finally:
            self.replica.away = False

    monkeypatch.setattr(Database, "_state", state)
    # Who comes with a key is looked up each time.
    with httpx.Client(base_url=client.base_url, timeout=30, verify=UNTRUSTING) as anybody:
        for _ in range(3):
            names(anybody)
        pair.hold()
        assert client.post("/v1/organizations", json={"name": "New", "kind": "other"}).status_code == 201
        elsewhere.append(True)
        assert names(anybody) == set()
        elsewhere.clear()
        pair.go_on()
        pair.caught_up()
        for _ in range(3):
            assert names(anybody) == {"New"}
