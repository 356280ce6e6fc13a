"""Read-only mode: every write is refused, reading goes on, and nothing is written behind anybody's back."""

from __future__ import annotations

import re

import pytest

from app.exchange import documents
from app.kit import records
from tests.cases.refusals import refused
from tests.conftest import Server
from tests.contract.test_openapi import operations
from tests.operations.conftest import Open
from tests.test_cli import run, served

REASON = "Change-Reason"


def test_every_write_is_refused_and_says_when_to_come_back(own: Open) -> None:
    client = own("seeded", read_only=True)
    before = client.get("/v1/changes").headers["etag"]
    count = 0
    for path, verb, operation in operations(client.get("/openapi.json").json()):
        if any(parameter["name"] == REASON for parameter in operation["parameters"]):
            answer = client.request(verb, re.sub(r"\{\w+\}", "1", path), json={}, headers={"If-Match": "*"})
            body = refused(answer, 503, "read-only")
            assert "read-only" in body["detail"]
            assert int(answer.headers["retry-after"]) >= 30
            count += 1
    assert count > 40
    assert client.get("/v1/changes").headers["etag"] == before


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/readyz"), ("GET", "/livez"), ("GET", "/v1/organizations/oecd"), ("GET", "/v1/collaborations?limit=2"),
        ("GET", "/v1/export"), ("POST", "/v1/organizations/match"), ("GET", "/problems/read-only"),
    ],
)  # fmt: skip
def test_reading_goes_on(own: Open, verb: str, path: str) -> None:
    answer = own("seeded", read_only=True).request(verb, path, json={"names": ["OECD"]} if verb == "POST" else None)
    assert answer.status_code == 200


def test_the_command_neither_migrates_nor_seeds(server: Server) -> None:
    refusal = run("serve", database_url=server.fresh("blank"), read_only="true")
    assert refusal.returncode == 1
    assert "concord migrate" in refusal.stderr
    url = server.fresh("empty")
    with served(url, read_only="true") as (_, client):
        assert client.get("/v1/organizations").json()["items"] == []
        refused(client.post("/v1/organizations", json={"name": "X", "kind": "other"}), 503, "read-only")
    database = records.open_database(url, pool_size=1)
    assert database.read(lambda tx: tx.sequence()) == 0
    database.write(lambda tx: documents.load(tx, []), documents.SEEDER)  # it is the service that does not write
    database.close()
