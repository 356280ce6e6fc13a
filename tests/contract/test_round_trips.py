"""What GET answers can be edited and sent back; what a batch cannot do it says, and where."""

from __future__ import annotations

import httpx
import pytest

from tests.support.answers import pointers, problem
from tests.support.builders import NOUNS, Builder, Json, collaboration, organization, review

every_noun = pytest.mark.parametrize("noun", NOUNS.values(), ids=NOUNS)
ANY = {"If-Match": "*"}


@every_noun
def test_an_answer_with_included_records_can_be_put_back(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    refused = client.get(noun.at(record), params={"include": "nothing"})
    allowed = refused.json()["errors"][0]["message"].removeprefix("Allowed: ").rstrip(".")
    if allowed == "nothing":
        return
    read = client.get(noun.at(record), params={"include": allowed.replace(", ", ",")})
    assert "included" in read.json()
    back = client.put(noun.at(record), json=read.json(), headers={"If-Match": read.headers["etag"]})
    assert (back.status_code, back.json()["version"]) == (200, 1)


def test_a_review_in_between_does_not_spoil_the_round_trip_of_a_collaboration(client: httpx.Client) -> None:
    record = collaboration(client, review_every_months=12)
    read = client.get(collaboration.at(record))
    items = [{"collaboration": record["slug"], "finding": "continue"}]
    review(client, status="held", date="2025-12-01", items=items)
    edited = read.json() | {"title": "Edited"}
    back = client.put(collaboration.at(record), json=edited, headers={"If-Match": read.headers["etag"]})
    assert (back.status_code, back.json()["last_reviewed"]) == (200, "2025-12-01")


def test_no_slug_is_the_same_as_none_given_where_a_record_is_replaced(client: httpx.Client) -> None:
    record = organization(client)
    assert client.put(organization.at(record), json=record | {"slug": None}, headers=ANY).status_code == 200
    for name in ("id", "slug", "version", "created_at"):
        refused = client.patch(organization.at(record), json={name: None}, headers=ANY)
        assert pointers(problem(client, refused, 422)) == [f"/{name}"]


def test_a_list_can_be_asked_for_the_moment_of_withdrawal(client: httpx.Client) -> None:
    gone, there = organization(client), organization(client)
    assert client.delete(organization.at(gone), headers=ANY).status_code == 204
    items = client.get(organization.path, params={"withdrawn": "any", "fields": "slug,withdrawn_at"}).json()["items"]
    assert {item["slug"]: "withdrawn_at" in item for item in items} == {gone["slug"]: True, there["slug"]: False}


def test_a_history_that_is_known_is_not_sent_again(client: httpx.Client) -> None:
    at = organization.at(organization(client))
    for path in (f"{at}/revisions", f"{at}/revisions/1"):
        known = {"If-None-Match": client.get(path).headers["etag"]}
        assert client.get(path, headers=known).status_code == 304


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"verb": "patch", "record": "nobody", "if_match": "*", "body": {}}, 404),
        ({"verb": "patch", "record": "there", "if_match": "7", "body": {}}, 412),
        ({"verb": "patch", "record": "there", "body": {}}, 428),
        ({"verb": "create", "body": {"slug": "there", "name": "Other", "kind": "other"}}, 409),
        ({"verb": "create", "body": {"name": "Other", "kind": "none"}}, 422),
        ({"verb": "create", "record": "there", "body": {}}, 422),
        ({"verb": "create", "if_match": "*", "body": {}}, 422),
        ({"verb": "withdraw", "record": "there", "if_match": "*", "body": {}}, 422),
        ({"verb": "restore", "record": "there", "body": {}}, 422),
        ({"verb": "put", "record": "there", "if_match": "*"}, 422),
    ],
)
def test_a_batch_says_which_operation_failed(client: httpx.Client, operation: Json, status: int) -> None:
    organization(client, slug="there")
    good = {"verb": "patch", "noun": "organizations", "record": "there", "if_match": '"v1"', "body": {"acronym": "T"}}
    refused = client.post("/v1/batch", json={"operations": [good, {"noun": "organizations"} | operation]})
    places = pointers(problem(client, refused, status))
    assert places
    assert all(place == "/operations/1" or str(place).startswith("/operations/1/") for place in places)
    assert "etag" not in refused.headers
    assert client.get("/v1/organizations/there").json()["acronym"] is None


@pytest.mark.parametrize("verb", ["GET", "HEAD", "OPTIONS", "POST", "DELETE"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1%2Forganizations", 404),
        ("/docs%2Fassets/favicon.png", 404),
        ("/docs/assets%2ffavicon.png", 404),
        ("/%FF", 400),
    ],
)
def test_a_path_that_cannot_be_read_is_refused_whatever_the_verb(
    client: httpx.Client, verb: str, path: str, status: int
) -> None:
    assert client.request(verb, path).status_code == status


def test_descendants_of_nobody_are_not_asked_for(client: httpx.Client) -> None:
    refused = client.get("/v1/organizations", params={"descendants": "true"})
    assert [error["parameter"] for error in problem(client, refused, 422)["errors"]] == ["descendants"]


@pytest.mark.parametrize("value", ["5.0", "5_0", "+5", " 5", "0x5", "٥"])
def test_a_whole_number_is_written_in_digits(client: httpx.Client, value: str) -> None:
    assert client.get("/v1/organizations", params={"limit": value}).status_code == 422
    assert client.get("/v1/changes", params={"after": value}).status_code == 422


@pytest.mark.parametrize("value", ["yes", "1", "TRUE", "on", ""])
def test_a_flag_is_true_or_false(client: httpx.Client, value: str) -> None:
    assert client.get("/v1/organizations", params={"count": value}).status_code == 422
