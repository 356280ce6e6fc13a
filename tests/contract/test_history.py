"""What every noun promises of its past: answers as of a day, the difference between two revisions, and the way back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import Ticking
from tests.support.answers import Json, nothing_written, parameters, problem, slugs, walk
from tests.support.builders import NOUNS, Builder, citation, organization, patch, withdraw

every_noun = pytest.mark.parametrize("noun", NOUNS.values(), ids=NOUNS)


def number(client: httpx.Client) -> int:
    """The number of the last write."""
    return int(client.get("/v1/changes").headers["etag"].strip('"s'))


@every_noun
def test_a_record_is_answered_as_it_stood(client: httpx.Client, noun: Builder, clock: Ticking) -> None:
    nothing = number(client)
    record = noun(client)
    seen = [(number(client), client.get(noun.at(record)).json(), clock.now.isoformat())]
    clock.now += timedelta(days=1)
    patch(client, noun, record, **noun.change)
    seen.append((number(client), client.get(noun.at(record)).json(), clock.now.isoformat()))
    clock.now += timedelta(days=1)
    withdraw(client, noun, record)
    gone = number(client)
    for last, document, moment in seen:
        for as_of in (str(last), moment, moment[:10]):
            for key in (record["slug"], record["id"]):
                answer = client.get(noun.at(key), params={"as_of": as_of})
                assert answer.json() == document, as_of
    problem(client, client.get(noun.at(record), params={"as_of": gone}), 410)
    problem(client, client.get(noun.at(record), params={"as_of": nothing}), 404)


@every_noun
def test_a_list_is_answered_as_it_stood_page_by_page(client: httpx.Client, noun: Builder) -> None:
    records = [noun(client) for _ in range(5)]
    before = number(client)
    listed = walk(client, f"{noun.path}?limit=2&sort=-created_at&count=true")
    withdraw(client, noun, records[0])
    patch(client, noun, records[1], **noun.change)
    noun(client)
    assert walk(client, f"{noun.path}?limit=2&sort=-created_at&count=true&as_of={before}") == listed
    assert walk(client, f"{noun.path}?limit=2&sort=-created_at") != listed


@every_noun
def test_what_was_is_not_modified_whatever_is_written_now(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    then = number(client)
    for path in (noun.path, noun.at(record)):
        tag = client.get(f"{path}?as_of={then}").headers["etag"]
        patch(client, noun, client.get(noun.at(record)).json(), **noun.change)
        patch(client, noun, client.get(noun.at(record)).json(), **dict.fromkeys(noun.optional))
        assert client.get(f"{path}?as_of={then}", headers={"If-None-Match": tag}).status_code == 304


@every_noun
@pytest.mark.parametrize("as_of", ["9999999", "2999-01-01", "2999-01-01T00:00:00Z", "yesterday", "2024-13-01", "-1", "1.5", "",
                                   "2024-03-28T12:00:00", "99999999999999999999"])  # fmt: skip
def test_a_past_that_lies_ahead_or_cannot_be_read_is_refused(client: httpx.Client, noun: Builder, as_of: str) -> None:
    record = noun(client)
    for path in (noun.path, noun.at(record)):
        refused = problem(client, client.get(path, params={"as_of": as_of}), 422)
        assert parameters(refused) == ["as_of"]


def test_a_cursor_of_one_day_belongs_to_no_other(client: httpx.Client) -> None:
    for _ in range(3):
        organization(client)
    last = number(client)
    following = client.get(f"{organization.path}?limit=1&as_of={last}").json()["next"]
    assert f"as_of={last}" in following
    problem(client, client.get(following.replace(f"as_of={last}", f"as_of={last - 1}")), 400)


def test_the_world_and_the_registry_have_each_their_own_time(client: httpx.Client) -> None:
    record = organization(client, slug="ilo", founded="1919")
    known = number(client)
    patch(client, organization, record, founded="1920")
    assert slugs(client, f"{organization.path}?at=1919&match=certain&as_of={known}") == ["ilo"]
    assert slugs(client, f"{organization.path}?at=1919&match=certain") == []


def test_what_is_included_and_computed_is_of_the_same_day(client: httpx.Client) -> None:
    record = organization(client, slug="ilo", acronym="ILO")
    cited = citation(client, target={"noun": "organizations", "record": "ilo"})
    then = number(client)
    seen = client.get("/v1/organizations/ilo?include=citations").json()
    patch(client, citation, cited, note="Read again.")
    withdraw(client, citation, cited)
    patch(client, organization, record, acronym=None)
    assert client.get(f"/v1/organizations/ilo?include=citations&as_of={then}").json() == seen
    assert seen["evidence"]["cited_fields"] == [""]
    assert client.get("/v1/organizations/ilo").json()["evidence"]["cited_fields"] == []


# --- differences, and the way back -----------------------------------------------------------------------------------


@every_noun
def test_a_revision_differs_from_the_one_before_in_what_was_changed(client: httpx.Client, noun: Builder) -> None:
    record = noun(client, **noun.optional)
    patch(client, noun, record, **noun.change)
    field = next(iter(noun.change))
    answer = client.get(f"{noun.at(record)}/revisions/2/diff").json()
    assert (answer["noun"], answer["slug"], answer["from"], answer["to"]) == (noun.plural, record["slug"], 1, 2)
    assert {change["pointer"].split("/")[1] for change in answer["changes"]} == {field}
    assert client.get(f"{noun.at(record)}/revisions/2/diff?against=2").json()["changes"] == []
    back = client.get(f"{noun.at(record)}/revisions/1/diff?against=2").json()["changes"]
    assert [(c["was"], c["now"]) for c in back] == [(c["now"], c["was"]) for c in answer["changes"]]
    whole = client.get(f"{noun.at(record)}/revisions/2/diff?against=0").json()["changes"]
    assert noun.required in {change["pointer"].split("/")[1] for change in whole}
    problem(client, client.get(f"{noun.at(record)}/revisions/3/diff"), 404)
    problem(client, client.get(f"{noun.at(record)}/revisions/2/diff?against=9"), 404)
    problem(client, client.get(f"{noun.at(record)}/revisions/2/diff?against=x"), 422)


def test_one_more_item_in_front_of_a_list_is_one_addition(client: httpx.Client) -> None:
    names: list[Json] = [{"value": f"Name {n}", "lang": None, "kind": "alias"} for n in range(4)]
    record = organization(client, other_names=names[1:])
    patch(client, organization, record, other_names=names)
    patch(client, organization, record, other_names=[names[0], {**names[1], "value": "Other"}, *names[3:]])

    def diff(n: int) -> Any:
        return client.get(f"{organization.at(record)}/revisions/{n}/diff").json()["changes"]

    assert diff(2) == [{"pointer": "/other_names/0", "change": "added", "was": None, "now": names[0]}]
    assert diff(3) == [
        {"pointer": "/other_names/1/value", "change": "changed", "was": "Name 1", "now": "Other"},
        {"pointer": "/other_names/2", "change": "removed", "was": names[2], "now": None},
    ]


@every_noun
def test_a_record_is_made_again_what_it_was_as_a_new_version(client: httpx.Client, noun: Builder) -> None:
    record = noun(client, **noun.optional)
    first = client.get(noun.at(record)).json()
    patch(client, noun, record, **noun.change)
    path = f"{noun.at(record)}/revisions/1/restore"
    with nothing_written(client):
        problem(client, client.post(path), 428)
        problem(client, client.post(path, headers={"If-Match": '"v1"'}), 412)
        problem(client, client.post(path.replace("/1/", "/7/"), headers={"If-Match": "*"}), 404)
    answer = client.post(path, headers={"If-Match": '"v2"', "Change-Reason": "It was right before"})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"v3"')
    assert answer.json() == first | {"version": 3, "updated_at": answer.json()["updated_at"]}
    last = client.get(f"{noun.at(record)}/revisions/3").json()
    assert (last["action"], last["reason"], last["changed"]) == ("changed", "It was right before", list(noun.change))
    with nothing_written(client):
        assert client.post(path, headers={"If-Match": "*"}).headers["etag"] == '"v3"'
    withdraw(client, noun, record)
    problem(client, client.post(path, headers={"If-Match": "*"}), 410)


def test_the_way_back_obeys_the_rules_of_today(client: httpx.Client) -> None:
    record = organization(client, name="Harbour office")
    patch(client, organization, record, name="Port authority")
    organization(client, name="HARBOUR OFFICE")
    refused = client.post(f"{organization.at(record)}/revisions/1/restore", headers={"If-Match": "*"})
    assert problem(client, refused, 409)["existing"]["slug"] == "harbour-office-2"
