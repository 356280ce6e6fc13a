"""Identifiers: a series of them ascends."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from uuid import RFC_4122

from app.kit.ids import series


def test_a_series_of_ids_ascends_and_each_is_of_version_7_and_of_its_moment() -> None:
    moment = datetime(2026, 3, 1, 9, tzinfo=UTC)
    made = list(islice(series(moment), 5_000))
    assert made == sorted(set(made))
    assert {(each.version, each.variant, each.int >> 80) for each in made} == {
        (7, RFC_4122, int(moment.timestamp() * 1000))
    }  # fmt: skip
    assert next(series(moment)) != next(series(moment))
