"""Collaboration types: concepts with a label of their own, in as many languages as one likes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.answers import nothing_written, pointers, problem
from tests.support.builders import collaboration_type, withdraw


def test_a_label_is_unique_whatever_its_spelling_and_place_in_the_tree(client: httpx.Client) -> None:
    event = collaboration_type(client, label="Événement")
    draft = collaboration_type.draft(client, label="evenement", broader=event["slug"])
    with nothing_written(client):
        body = problem(client, client.post(collaboration_type.path, json=draft), 409)
    assert (pointers(body), body["existing"]["slug"]) == (["/label"], event["slug"])
    withdraw(client, collaboration_type, event)
    assert collaboration_type(client, label="evenement")["slug"] == "evenement-2"


def test_labels_in_other_languages_come_back_as_they_were_written(client: httpx.Client) -> None:
    labels = {"fr": "Formation", "es-419": "Capacitación", "zh-Hans": "培训", "ar": "تدريب"}
    matches = ["http://metadata.un.org/thesaurus/1", "https://concepts.example/2", "urn:concept:3"]
    record = collaboration_type(client, labels=labels, exact_matches=matches)
    assert (record["labels"], record["exact_matches"]) == (labels, matches)
    assert client.get(collaboration_type.at(record)).json() == record


def test_a_merge_patch_reaches_into_labels(client: httpx.Client) -> None:
    record = collaboration_type(client, labels={"fr": "Formation", "es": "Formación"})
    answer = client.patch(
        collaboration_type.at(record), json={"labels": {"es": None, "de": "Schulung"}}, headers={"If-Match": '"v1"'}
    )
    assert answer.json()["labels"] == {"fr": "Formation", "de": "Schulung"}


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("labels", {"french language": "Formation"}, "/labels/french language"),
        ("labels", {"fr": ""}, "/labels/fr"),
        ("labels", {"fr": None}, "/labels/fr"),
        ("exact_matches", ["no uri"], "/exact_matches/0"),
        ("exact_matches", ["https://a.example", "javascript:alert(1)"], "/exact_matches/1"),
        ("exact_matches", ["https://a.example", "https://a.example"], "/exact_matches"),
    ],
)
def test_a_faulty_label_or_match_is_refused(client: httpx.Client, field: str, value: Any, pointer: str) -> None:
    draft = collaboration_type.draft(client) | {field: value}
    with nothing_written(client):
        assert pointers(problem(client, client.post(collaboration_type.path, json=draft), 422)) == [pointer]
