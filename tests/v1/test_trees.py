"""Wholes and parts, editions and those they replace: chains that never close to a circle."""

from __future__ import annotations

import httpx
import pytest

from tests.support.answers import nothing_written, pointers, problem
from tests.support.builders import (
    Builder,
    collaboration,
    collaboration_type,
    instrument,
    organization,
    patch,
    source,
)

CHAINS = {
    "organizations.part_of": (organization, "part_of"),
    "collaboration-types.broader": (collaboration_type, "broader"),
    "collaborations.part_of": (collaboration, "part_of"),
    "instruments.replaces": (instrument, "replaces"),
    "sources.replaces": (source, "replaces"),
}
every_chain = pytest.mark.parametrize(("noun", "field"), CHAINS.values(), ids=CHAINS)
ANY = {"If-Match": "*"}


@every_chain
def test_a_circle_is_refused_whatever_its_length(client: httpx.Client, noun: Builder, field: str) -> None:
    top = noun(client)
    middle = noun(client, **{field: top["slug"]})
    bottom = noun(client, **{field: middle["id"]})
    with nothing_written(client):
        for below in (top, middle, bottom):
            for key in (below["slug"], below["id"]):
                for refused in (
                    client.patch(noun.at(top), json={field: key}, headers=ANY),
                    client.put(noun.at(top), json=top | {field: key}, headers=ANY),
                ):
                    body = problem(client, refused, 422)
                    assert pointers(body) == [f"/{field}"]
                    assert body["errors"][0]["code"] == "cycle"


@every_chain
def test_a_record_cannot_be_created_above_itself(client: httpx.Client, noun: Builder, field: str) -> None:
    draft = noun.draft(client, slug="itself", **{field: "itself"})
    with nothing_written(client):
        assert pointers(problem(client, client.post(noun.path, json=draft), 422)) == [f"/{field}"]


@every_chain
def test_a_branch_can_be_moved_and_turned_round_step_by_step(client: httpx.Client, noun: Builder, field: str) -> None:
    top = noun(client)
    middle = noun(client, **{field: top["slug"]})
    bottom = noun(client, **{field: middle["slug"]})
    assert patch(client, noun, bottom, **{field: top["slug"]})[field] == top["slug"]
    assert patch(client, noun, middle, **{field: bottom["slug"]})[field] == bottom["slug"]
    assert patch(client, noun, bottom, **{field: None})[field] is None
    assert patch(client, noun, top, **{field: middle["slug"]})[field] == middle["slug"]


@every_chain
def test_a_batch_cannot_close_a_circle_either(client: httpx.Client, noun: Builder, field: str) -> None:
    one, other = noun(client), noun(client)
    operations = [
        {"verb": "patch", "noun": noun.plural, "record": a["slug"], "if_match": "*", "body": {field: b["slug"]}}
        for a, b in ((one, other), (other, one))
    ]
    with nothing_written(client):
        body = problem(client, client.post("/v1/batch", json={"operations": operations}), 422)
    assert pointers(body) == [f"/operations/1/body/{field}"]
    assert client.get(noun.at(one)).json()[field] is None
