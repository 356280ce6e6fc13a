"""Reviews: what a body looked at, and what it found."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.answers import nothing_written, pointers, problem, slugs
from tests.support.builders import collaboration, patch, review


def test_items_keep_their_order_and_a_collaboration_may_stand_twice(client: httpx.Client) -> None:
    first, second = collaboration(client)["slug"], collaboration(client)["slug"]
    items = [
        {"collaboration": second, "finding": "renew", "note": "For two years."},
        {"collaboration": first, "finding": "noted", "note": None},
        {"collaboration": second, "finding": "adjust", "note": None},
    ]
    record = review(client, items=items)
    assert record["items"] == items
    assert patch(client, review, record, items=items[::-1])["items"] == items[::-1]


def test_a_finding_and_a_collaboration_are_asked_of_one_item(client: httpx.Client) -> None:
    first, second = collaboration(client)["slug"], collaboration(client)["slug"]
    items = [{"collaboration": first, "finding": "close"}, {"collaboration": second, "finding": "continue"}]
    record = review(client, items=items)
    asked = [(first, "close"), (first, "continue"), (second, "close"), (second, "continue")]
    found = [bool(slugs(client, f"{review.path}?collaboration={name}&finding={finding}")) for name, finding in asked]
    assert found == [True, False, False, True]
    assert slugs(client, f"{review.path}?finding=close,continue") == [record["slug"]]


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("items", [{"collaboration": "nothing", "finding": "noted"}], "/items/0/collaboration"),
        ("items", [{"collaboration": "nothing"}], "/items/0/finding"),
        ("items", [{"collaboration": "nothing", "finding": "continue_"}], "/items/0/finding"),
        ("status", "cancelled", "/status"),
        ("date", "March 2014", "/date"),
        ("document", "no-source", "/document"),
    ],
)
def test_a_faulty_field_is_named_by_its_pointer(client: httpx.Client, field: str, value: Any, pointer: str) -> None:
    draft = review.draft(client) | {field: value}
    with nothing_written(client):
        assert pointers(problem(client, client.post(review.path, json=draft), 422)) == [pointer]
