"""Merging organizations: everything that named the one names the other, and all of it can be taken back."""

from __future__ import annotations

import random
from typing import Any

import httpx
import pytest

from tests.support.answers import Json, nothing_written, pointers, problem, sequence, slugs, walk
from tests.support.builders import (
    NOUNS,
    citation,
    collaboration,
    instrument,
    milestone,
    organization,
    patch,
    review,
    source,
    succession,
    withdraw,
)

MOVED_BY_WRITES = ("version", "updated_at", "evidence")


def merge(client: httpx.Client, merged: str, into: str, status: int = 200, **more: Any) -> Json:
    answer = client.post(f"/v1/organizations/{merged}/merge", json={"into": into, **more})
    assert answer.status_code == status, answer.text
    body: Json = answer.json()
    return body


def unmerge(client: httpx.Client, merged: str, status: int = 200) -> Json:
    answer = client.post(f"/v1/organizations/{merged}/unmerge")
    assert answer.status_code == status, answer.text
    body: Json = answer.json()
    return body


def contents(client: httpx.Client) -> dict[tuple[str, str], Json]:
    """All that the registry says, without what every write moves."""
    return {
        (noun.plural, record["slug"]): {k: v for k, v in record.items() if k not in MOVED_BY_WRITES}
        for noun in NOUNS.values()
        for record in walk(client, f"{noun.path}?withdrawn=any&limit=200")
    }


def world(client: httpx.Client) -> None:
    """An organization that everything names, and another record of the same body."""
    organization(
        client, slug="labour-office", name="Labour Office", acronym="ILO",
        other_names=[{"value": "BIT", "lang": "fr", "kind": "acronym"}],
        identifiers=[{"scheme": "isni", "value": "0000 0001"}],
    )  # fmt: skip
    organization(client, slug="ilo", name="International Labour Organization", acronym="ILO")
    organization(client, slug="library", part_of="labour-office")
    instrument(client, slug="declaration", issuer="labour-office")
    part = {"organization": "labour-office", "role": "partner"}
    proxy = {"organization": "library", "role": "host", "on_behalf_of": "labour-office"}
    collaboration(client, slug="forum", participants=[part, {"organization": "ilo", "role": "speaker"}, proxy])
    milestone(client, slug="joined", organization="labour-office", kind="membership")
    source(client, slug="page", publisher="labour-office")
    review(client, slug="session", body="labour-office")
    citation(client, slug="cited", target={"noun": "organizations", "record": "labour-office"})
    organization(client, slug="commission", name="Commission")
    succession(client, slug="founding", predecessors=["commission"], successors=["labour-office"])


def test_whatever_named_the_one_names_the_other(client: httpx.Client) -> None:
    world(client)
    outcome = merge(client, "labour-office", "ilo", reason="One body, two records")
    assert (outcome["merged"], outcome["into"], outcome["kept"]) == ("labour-office", "ilo", [])
    assert {(row["noun"], row["record"]): row["pointers"] for row in outcome["moved"]} == {
        ("organizations", "library"): ["/part_of"],
        ("instruments", "declaration"): ["/issuer"],
        ("collaborations", "forum"): ["/participants/0/organization", "/participants/2/on_behalf_of"],
        ("milestones", "joined"): ["/organization"],
        ("sources", "page"): ["/publisher"],
        ("reviews", "session"): ["/body"],
        ("citations", "cited"): ["/target/record"],
        ("successions", "founding"): ["/successors/0"],
    }
    forum = client.get("/v1/collaborations/forum").json()
    assert [p["organization"] for p in forum["participants"]] == ["ilo", "ilo", "library"]
    assert client.get("/v1/organizations/ilo").json()["evidence"]["cited_fields"] == [""]
    assert slugs(client, "/v1/collaborations?organization=ilo&role=partner") == ["forum"]
    last = walk(client, "/v1/collaborations/forum/revisions")[0]
    assert (last["reason"], last["changed"]) == ("One body, two records", ["participants"])


def test_names_and_identifiers_go_along_once(client: httpx.Client) -> None:
    world(client)
    merge(client, "labour-office", "ilo")
    record = client.get("/v1/organizations/ilo").json()
    assert record["other_names"] == [
        {"value": "Labour Office", "lang": None, "kind": "alias"},
        {"value": "BIT", "lang": "fr", "kind": "acronym"},
    ]
    assert [i["value"] for i in record["identifiers"]] == ["0000 0001"]
    assert record["name"] == "International Labour Organization"


def test_the_old_id_and_slug_lead_to_the_other_record(client: httpx.Client) -> None:
    world(client)
    old = client.get("/v1/organizations/labour-office").json()
    merge(client, "labour-office", "ilo")
    for key in ("labour-office", old["id"], old["id"].upper()):
        for below in ("", "?fields=slug", "/citations?limit=1"):
            answer = client.get(f"/v1/organizations/{key}{below}")
            assert (answer.status_code, answer.headers["location"]) == (308, f"/v1/organizations/ilo{below}")
    assert client.head("/v1/organizations/labour-office").status_code == 308
    assert client.get("/v1/organizations/labour-office", follow_redirects=True).json()["slug"] == "ilo"
    refused = client.patch("/v1/organizations/labour-office", json={}, headers={"If-Match": "*"})
    assert problem(client, refused, 410)["tombstone"]["moved_to"] == "ilo"
    problem(client, client.post("/v1/organizations/labour-office/restore"), 409)
    assert (
        "withdrawn_reference"
        in client.post(milestone.path, json=milestone.draft(client, organization="labour-office")).text
    )
    for asked in ("/v1/collaborations?organization=labour-office", "/v1/organizations?part_of=labour-office"):
        assert "merged into 'ilo'" in problem(client, client.get(asked), 422)["errors"][0]["message"]
    assert [r["action"] for r in walk(client, "/v1/organizations/labour-office/revisions")] == ["withdrawn", "created"]


def test_a_record_that_was_merged_twice_leads_on(client: httpx.Client) -> None:
    for slug in ("a", "b", "c"):
        organization(client, slug=slug)
    merge(client, "a", "b")
    merge(client, "b", "c")
    assert client.get("/v1/organizations/a", follow_redirects=True).json()["slug"] == "c"
    problem(client, client.post("/v1/organizations/a/unmerge"), 410)
    unmerge(client, "b")
    unmerge(client, "a")
    assert slugs(client, organization.path) == ["a", "b", "c"]


def test_the_registry_as_of_then_knows_nothing_of_a_merge(client: httpx.Client) -> None:
    world(client)
    before, number = contents(client), sequence(client).strip('"s')
    merge(client, "labour-office", "ilo")
    old = client.get(f"/v1/organizations/labour-office?as_of={number}").json()
    assert {k: v for k, v in old.items() if k not in MOVED_BY_WRITES} == before["organizations", "labour-office"]
    assert slugs(client, f"/v1/collaborations?organization=labour-office&as_of={number}") == ["forum"]


def test_merging_and_taking_it_back_changes_nothing(client: httpx.Client) -> None:
    world(client)
    before = contents(client)
    merge(client, "labour-office", "ilo")
    assert contents(client) != before
    back = unmerge(client, "labour-office")
    assert (back["merged"], back["into"], back["kept"], len(back["moved"])) == ("labour-office", "ilo", [], 8)
    assert contents(client) == before
    problem(client, client.post("/v1/organizations/labour-office/unmerge"), 409)
    merge(client, "labour-office", "ilo")
    unmerge(client, "labour-office")
    assert contents(client) == before


@pytest.mark.parametrize("seed", range(3))
def test_merging_and_taking_it_back_is_the_identity_whatever_names_whom(client: httpx.Client, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    bodies = [f"body-{n}" for n in range(5)]
    for n, slug in enumerate(bodies):
        organization(client, slug=slug, name=f"Body {n}", part_of=chance.choice([None, *bodies[:n]]),
                     other_names=[{"value": chance.choice("abc"), "kind": "alias"}])  # fmt: skip
    for _ in range(8):
        parts = [{"organization": chance.choice(bodies), "role": "partner"} for _ in range(chance.randrange(5))]
        collaboration(client, participants=parts)
        milestone(client, organization=chance.choice(bodies))
        citation(client, target={"noun": "organizations", "record": chance.choice(bodies)})
    before, merged = contents(client), []
    for _ in range(3):
        one, other = chance.sample([body for body in bodies if body not in merged], 2)
        if client.post(f"/v1/organizations/{one}/merge", json={"into": other}).status_code == 200:
            merged.append(one)
    assert merged
    for body in reversed(merged):
        unmerge(client, body)
    assert contents(client) == before


def test_what_somebody_has_changed_since_is_left_and_told(client: httpx.Client) -> None:
    world(client)
    merge(client, "labour-office", "ilo")
    patch(client, milestone, {"slug": "joined"}, organization="library")
    withdraw(client, source, {"slug": "page"})
    patch(client, organization, {"slug": "ilo"}, other_names=[])
    back = unmerge(client, "labour-office")
    assert sorted(row["record"] for row in back["kept"]) == ["joined", "page"]
    assert client.get("/v1/milestones/joined").json()["organization"] == "library"
    assert client.get("/v1/instruments/declaration").json()["issuer"] == "labour-office"


def test_a_merge_that_makes_no_sense_is_refused_and_changes_nothing(client: httpx.Client) -> None:
    world(client)
    organization(client, slug="whole")
    organization(client, slug="piece", part_of="whole")
    gone = organization(client, slug="gone")
    withdraw(client, organization, gone)
    with nothing_written(client):
        path = "/v1/organizations/ilo/merge"
        assert pointers(problem(client, client.post(path, json={"into": "ilo"}), 422)) == ["/into"]
        assert pointers(problem(client, client.post(path, json={}), 422)) == ["/into"]
        problem(client, client.post(path, json={"into": "nobody"}), 404)
        problem(client, client.post(path, json={"into": "gone"}), 410)
        problem(client, client.post(path, json={"into": "labour-office", "more": 1}), 422)
        problem(client, client.post(path, json={"into": "labour-office"}, headers={"If-Match": '"v9"'}), 412)
        problem(client, client.post("/v1/organizations/whole/merge", json={"into": "piece"}), 409)
        problem(client, client.post("/v1/organizations/commission/merge", json={"into": "labour-office"}), 422)
        problem(client, client.post("/v1/organizations/ilo/unmerge"), 409)
        problem(client, client.post("/v1/organizations/nobody/unmerge"), 404)


def test_a_name_that_was_taken_meanwhile_keeps_the_merge(client: httpx.Client) -> None:
    organization(client, slug="a", name="Harbour office")
    organization(client, slug="b")
    merge(client, "a", "b")
    organization(client, slug="c", name="HARBOUR OFFICE")
    with nothing_written(client):
        problem(client, client.post("/v1/organizations/a/unmerge"), 409)
