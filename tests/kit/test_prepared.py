"""Prepared statements: who asks with other values gets the answer to those, whatever was asked before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from app.kit import prepared
from app.kit.db import Database, Transaction, table_of
from app.registry.organizations import Organization

O = table_of(Organization).c  # noqa: E741
SLUGS = sa.select(O.slug).order_by(O.slug)


def _asked(database: Database, *clauses: sa.ColumnElement[bool]) -> list[str]:
    def work(tx: Transaction) -> list[str]:
        made = _made(*clauses)
        assert [row.slug for row in tx.rows(*made)] == tx.execute(*made).scalars().all()
        return [str(row.slug) for row in tx.rows(*made)]

    return database.read(work)


def _looked_up(database: Database, *clauses: sa.ColumnElement[bool]) -> list[str]:
    """The same as a single statement, which is handed to the driver."""
    made = _made(*clauses)
    return database.read(lambda tx: [str(row.slug) for row in tx.rows(*made)], alone=True)


def _plainly(database: Database, *clauses: sa.ColumnElement[bool]) -> list[str]:
    return database.read(lambda tx: [str(slug) for slug in tx.execute(SLUGS.where(*clauses)).scalars()])


def _questions(slugs: list[str], moments: list[Any]) -> Iterator[tuple[sa.ColumnElement[bool], ...]]:
    """The same questions with other values, with more of them, with none, and those that nearly look so."""
    for slug, other, moment in zip(slugs, reversed(slugs), moments, strict=True):
        yield (O.slug == slug,)
        yield (O.slug != slug, O.updated_at >= moment)
        yield (O.updated_at >= moment, O.slug != slug)
        yield (O.slug.in_([slug, other]), O.slug != other)
        yield (O.slug.in_([slug]),)
        yield (O.slug.in_([]),)
        yield (O.id == sa.select(O.id).where(O.slug == slug).scalar_subquery(),)
        yield (sa.or_(O.country.is_(None), O.slug == other),)
        yield (~(O.slug == slug),)
        yield ()


def test_each_question_has_its_own_answer(seeded: Database) -> None:
    rows = seeded.read(lambda tx: tx.execute(sa.select(O.slug, O.updated_at).order_by(O.slug).limit(8)).all())
    asked = list(_questions([row.slug for row in rows], [row.updated_at for row in rows]))
    expected = [_plainly(seeded, *each) for each in asked]
    assert [_asked(seeded, *each) for each in asked] == expected
    assert [_looked_up(seeded, *each) for each in asked] == expected
    assert len({tuple(each) for each in expected}) > 15


def _made(*clauses: sa.ColumnElement[bool]) -> tuple[sa.Select[Any], dict[str, Any]]:
    made = prepared.where(SLUGS, clauses)
    assert made is not None
    return made


def test_a_statement_is_put_together_once_for_all_values(seeded: Database) -> None:
    several = [_made(O.slug == slug, O.version > n) for n, slug in enumerate("abc")]
    assert len({id(statement) for statement, _ in several}) == 1
    assert [list(values.values()) for _, values in several] == [["a", 0], ["b", 1], ["c", 2]]


class _Moody(sa.sql.functions.FunctionElement[Any]):
    """What SQLAlchemy may not keep the SQL of."""

    inherit_cache = False
    type = sa.Boolean()


def test_what_may_mean_something_else_each_time_is_not_kept() -> None:
    assert prepared.where(SLUGS, [O.slug == "a", _Moody()]) is None


@pytest.mark.parametrize("country", [["CH"], ["CH", "US"], ["XK"]])
def test_lists_hold_what_their_filters_say(registry: Any, country: list[str]) -> None:
    for since in ("2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"):
        asked = {"country": ",".join(country), "updated_since": since, "sort": "-name", "limit": 200}
        items = registry.get("/v1/organizations", params=asked).json()["items"]
        assert all(item["country"] in country for item in items)
        everybody = registry.get("/v1/organizations", params={"limit": 200}).json()["items"]
        fitting = {item["slug"] for item in everybody if item["country"] in country and item["updated_at"] >= since}
        assert {item["slug"] for item in items} == fitting
