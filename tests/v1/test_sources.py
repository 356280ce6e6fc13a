"""Sources: documents in editions, passage by passage."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.answers import nothing_written, pointers, problem
from tests.support.builders import passage, patch, source

TEXT = "The Office shall report on partnerships."


def test_the_slug_comes_from_the_symbol_where_there_is_one(client: httpx.Client) -> None:
    assert source(client, title="Review of partnerships", symbol="GB.322/POL/8")["slug"] == "gb-322-pol-8"
    assert source(client, title="Review of partnerships")["slug"] == "review-of-partnerships"


def test_passages_keep_their_order_and_places(client: httpx.Client) -> None:
    passages = [passage(2, 1, 1, "Second."), passage(1, 1, 2, "First, second."), passage(0, 0, 0, "Before.")]
    record = source(client, passages=passages)
    assert record["passages"] == passages
    assert client.get(source.at(record)).json() == record
    assert patch(client, source, record, passages=passages[:1])["passages"] == passages[:1]


def test_a_passage_may_do_without_its_text(client: httpx.Client) -> None:
    bare = passage(1, 1, 1, TEXT) | {"text": None}
    assert source(client, passages=[bare])["passages"] == [bare]


def test_a_fingerprint_is_of_the_sentence_and_not_of_its_typography(client: httpx.Client) -> None:
    written = passage(1, 1, 1, '"Decent work" - for all') | {"text": "“Decent  work” – for all"}
    assert source(client, passages=[written])["passages"][0]["fingerprint"] == written["fingerprint"]


@pytest.mark.parametrize(
    ("passages", "pointer"),
    [
        ([passage(1, 1, 1, TEXT) | {"text": "Another sentence."}], "/passages/0"),
        ([passage(1, 1, 1, "One."), passage(1, 1, 1, "Two.")], "/passages"),
        ([passage(1, 1, 1, TEXT) | {"fingerprint": "ABC"}], "/passages/0/fingerprint"),
        ([passage(1, 1, 1, TEXT) | {"sentence": -1}], "/passages/0/sentence"),
        ([passage(1, 1, 1, TEXT) | {"sentence": "1"}], "/passages/0/sentence"),
        ([passage(1, 1, 1, TEXT) | {"page": 1}], "/passages/0/page"),
    ],
)
def test_a_passage_that_cannot_be_right_is_refused(client: httpx.Client, passages: list[Any], pointer: str) -> None:
    draft = source.draft(client, passages=passages)
    with nothing_written(client):
        assert pointers(problem(client, client.post(source.path, json=draft), 422)) == [pointer]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2024-03-31T02:30:00+02:00", "2024-03-31T00:30:00Z"),
        ("2024-03-31T00:30:00Z", "2024-03-31T00:30:00Z"),
        ("2024-03-31T00:30:00.25Z", "2024-03-31T00:30:00.250000Z"),
        ("2024-01-01T00:30:00+14:00", "2023-12-31T10:30:00Z"),
    ],
)
def test_a_moment_is_kept_in_utc(client: httpx.Client, given: str, shown: str) -> None:
    record = source(client, retrieved=given)
    assert record["retrieved"] == shown
    assert client.get(source.at(record)).json()["retrieved"] == shown
    same = client.patch(source.at(record), json={"retrieved": given}, headers={"If-Match": "*"})
    assert same.headers["etag"] == '"v1"'


@pytest.mark.parametrize("given", ["2024-03-31T02:30:00", "2024-03-31", "1711845000", 1711845000, "yesterday", ""])
def test_a_moment_without_its_zone_is_refused(client: httpx.Client, given: str | int) -> None:
    draft = source.draft(client) | {"retrieved": given}
    with nothing_written(client):
        assert pointers(problem(client, client.post(source.path, json=draft), 422)) == ["/retrieved"]
