"""Successions: an organization's lineage, and what lists find through it."""

from __future__ import annotations

import httpx

from tests.support.answers import pointers, problem, slugs
from tests.support.builders import collaboration, milestone, organization, succession, withdraw


def chain(client: httpx.Client) -> None:
    """gatt → wto ← office; wto → court (split)."""
    for slug in ("gatt", "office", "wto", "court", "other"):
        organization(client, slug=slug)
        collaboration(client, slug=f"of-{slug}", participants=[{"organization": slug, "role": "signatory"}])
    succession(
        client, slug="founding", kind="merger", date="1995-01-01", predecessors=["gatt", "office"], successors=["wto"]
    )
    succession(client, slug="outsourcing", kind="split", date="2001", predecessors=["wto"], successors=["court"])


def test_lineage_finds_what_predecessors_signed_and_says_through_which_event(client: httpx.Client) -> None:
    chain(client)
    answer = client.get("/v1/collaborations?organization=court&lineage=true&role=signatory").json()
    assert [item["slug"] for item in answer["items"]] == ["of-court", "of-gatt", "of-office", "of-wto"]
    assert answer["lineage"] == [
        {"organization": "gatt", "became": "wto", "succession": "founding", "kind": "merger", "date": "1995-01-01"},
        {"organization": "office", "became": "wto", "succession": "founding", "kind": "merger", "date": "1995-01-01"},
        {"organization": "wto", "became": "court", "succession": "outsourcing", "kind": "split", "date": "2001"},
    ]
    assert slugs(client, "/v1/collaborations?organization=wto&lineage=true") == ["of-gatt", "of-office", "of-wto"]
    assert slugs(client, "/v1/collaborations?organization=gatt&lineage=true") == ["of-gatt"]
    assert "lineage" not in client.get("/v1/collaborations?organization=court").json()
    milestone(client, slug="joined", organization="gatt")
    assert slugs(client, "/v1/milestones?organization=court&lineage=true") == ["joined"]


def test_an_event_that_was_withdrawn_leads_nowhere_and_as_of_then_it_did(client: httpx.Client) -> None:
    chain(client)
    then = client.get("/v1/changes").headers["etag"].strip('"s')
    withdraw(client, succession, {"slug": "outsourcing"})
    assert slugs(client, "/v1/collaborations?organization=court&lineage=true") == ["of-court"]
    answer = client.get(f"/v1/collaborations?organization=court&lineage=true&as_of={then}").json()
    assert (len(answer["items"]), len(answer["lineage"])) == (4, 3)


def test_lineage_starts_from_an_organization(client: httpx.Client) -> None:
    problem(client, client.get("/v1/collaborations?lineage=true"), 422)
    problem(client, client.get("/v1/collaborations?lineage=true&organization=nobody"), 422)


def test_nobody_comes_from_itself(client: httpx.Client) -> None:
    chain(client)
    for before, after in ((["wto"], ["wto"]), (["court"], ["gatt"]), (["court", "other"], ["other"])):
        draft = {"kind": "rename", "predecessors": before, "successors": after}
        assert pointers(problem(client, client.post(succession.path, json=draft), 422)) == ["/successors/0"]
    for name in ("predecessors", "successors"):
        refused = client.post(succession.path, json=succession.draft(client) | {name: []})
        assert pointers(problem(client, refused, 422)) == [f"/{name}"]
