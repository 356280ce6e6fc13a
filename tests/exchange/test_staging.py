"""Staging: what is put down is what is taken up, and rows come behind those that they refer to."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.v1 import RESOURCES
from app.exchange import staging
from app.exchange.staging import Row, Stage, ordered
from app.kit.resource import Resource

ORGANIZATIONS: Resource[Any] = next(noun for noun in RESOURCES if noun.plural == "organizations")


@pytest.fixture
def stage() -> Iterator[Stage]:
    with closing(Stage()) as made:
        made.nouns["organizations"] = ORGANIZATIONS
        yield made


def row(n: int, **values: Any) -> Row:
    made = Row(n + 1, ORGANIZATIONS, values)
    made.n, made.slug = n, f"body-{n}"
    return made


@pytest.mark.parametrize("text", ["plain", "Ünïcode 中", "half \ud800 a character", "a\0b"])
def test_a_row_is_taken_up_as_it_was_put_down(stage: Stage, text: str) -> None:
    put = row(0, name=text, other_names=[{"value": text}], founded=None, score=1.5, large=10**17)
    put.faulty = {"", "/name"}
    stage.add([put])
    [[found]] = stage.rows("noun = ?", "organizations")
    assert (found.values, found.faulty, found.slug, found.line) == (put.values, put.faulty, put.slug, put.line)


def test_more_rows_than_a_chunk_come_in_the_order_of_the_file(stage: Stage) -> None:
    many = 2 * staging.CHUNK + 1
    stage.add([row(n) for n in range(many)])
    assert [each.n for rows in stage.rows("slug IS NOT NULL") for each in rows] == list(range(many))
    places = [n * 7 % many for n in range(many)]
    assert [each.n for each in stage.at(places)] == places


def test_the_first_row_of_a_key_has_it(stage: Stage) -> None:
    stage.add([row(0), row(1)])
    assert [stage.claim("organizations", "x", n) for n in (0, 1, 0)] == [0, 0, 0]
    assert stage.holder("organizations", "x") == 1
    assert stage.holder("instruments", "x") is None


@given(st.integers(1, 40).flatmap(lambda size: st.tuples(
    st.just(size), st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=60))))  # fmt: skip
def test_each_place_comes_behind_those_it_refers_to_and_circles_stay_apart(
    made: tuple[int, list[tuple[int, int]]],
) -> None:
    size, drawn = made
    edges = [(one, other) for one, other in drawn if one != other]
    order, rest = ordered(array("I", range(size)), edges)
    assert sorted([*order, *rest]) == list(range(size))
    place = {n: at for at, n in enumerate(order)}
    assert all(place[other] < place[one] for one, other in edges if one in place)
    assert all(any(one == n and other in rest for one, other in edges) for n in rest)
