"""A list that is found along its order is the list that its filters find."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from app.kit import paging, walks
from app.kit.db import Database
from tests.support.answers import walk

FILTERS = (
    "kind=organ",
    "country=CH,FR",
    "kind=organ,group&country=CH,FR",
    "country=LI",
    "kind=organ&withdrawn=any",
)
SORTS = ("name", "-name", "updated_at", "-updated_at", "founded", "-founded", "slug")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is large and far for others is not for these tests."""
    for name, value in (("LARGE", 1), ("FAR", 12)):
        monkeypatch.setattr(walks, name, value)
    walks._counted.clear()
    paging._near.cache_clear()
    yield
    walks._counted.clear()
    paging._near.cache_clear()


@pytest.mark.parametrize("sort", SORTS)
def test_every_page_is_the_same_with_and_without_walks(
    registry: httpx.Client, app: FastAPI, small: None, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    def pages() -> list[list[Any]]:
        app.state.kept.forget()
        asked = [f"{filters}&sort={sort}&limit={limit}" for filters, limit in product(FILTERS, (1, 3, 200))]
        return [walk(registry, f"/v1/organizations?{each}") for each in asked]

    found = pages()
    monkeypatch.setattr(walks, "along", lambda *_: None)
    assert pages() == found


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
def test_a_broad_filter_is_walked_and_a_narrow_one_is_not(
    registry: httpx.Client, seeded: Database, small: None
) -> None:
    asked: list[str] = []
    sa.event.listen(seeded.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))

    def is_walked(query: str) -> bool:
        asked.clear()
        registry.get(f"/v1/organizations?{query}").raise_for_status()
        return any("+organization.kind " in statement for statement in asked)

    assert is_walked("kind=organ&sort=name&limit=1")
    assert not is_walked("kind=association&sort=name&limit=1")
    assert not is_walked("kind=organ&country=CH&sort=name&limit=1")
    assert not is_walked("kind=organ&sort=slug&limit=1")
