from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kit.outlines import FIELDS, Outline, Outlines

NAMES = [f"field_{n}" for n in range(FIELDS)]
VALUES = st.sampled_from([None, "", [], {}, "text", 0, 0.0, False, True, [None], {"a": None}])
HOLDING = ["text", 0, 0.0, False, True, [None], {"a": None}]


@given(st.integers(1, FIELDS), st.data())
def test_a_shape_tells_which_fields_hold_something(fields: int, data: st.DataObject) -> None:
    names = NAMES[:fields]
    values: dict[str, Any] = {name: data.draw(VALUES) for name in names}
    outlines = Outlines(names)
    shape = outlines.of({"id": "x", **values})
    holding = tuple(name for name in names if any(values[name] is each or values[name] == each for each in HOLDING))
    assert len(shape) == 8
    assert outlines.read(shape) == Outline(is_todays=True, stated=holding)
    assert outlines.stated(msgspec.json.encode({"id": "x", **values})) == holding


def test_a_plain_shape_is_todays_and_tells_nothing() -> None:
    assert Outlines(NAMES).read(Outlines(NAMES).plain) == Outline(is_todays=True, stated=None)


@pytest.mark.parametrize("names", [NAMES[:-1], NAMES[::-1], [*NAMES, "more"], ["name"]])
def test_a_document_with_other_fields_has_no_shape_of_todays(names: list[str]) -> None:
    other, todays = Outlines(names), Outlines(NAMES)
    for shape in (other.of(dict.fromkeys(names)), other.of(dict.fromkeys(names, 1)), other.plain):
        assert todays.read(shape) == Outline(is_todays=False, stated=None)


@pytest.mark.parametrize("shape", ["", "older", "????????"])
def test_what_is_no_shape_is_not_todays(shape: str) -> None:
    assert not Outlines(NAMES).read(shape).is_todays


def test_what_cannot_be_read_of_a_shape_is_read_in_the_document() -> None:
    shape = Outlines(NAMES).of(dict.fromkeys(NAMES))
    assert Outlines(NAMES).read(shape[:4] + "A?AA") == Outline(is_todays=True, stated=None)


def test_of_more_fields_than_a_shape_can_tell_it_tells_none() -> None:
    names = [*NAMES, "one_more"]
    outlines = Outlines(names)
    assert outlines.of(dict.fromkeys(names, 1)) == outlines.plain
    assert outlines.read(outlines.plain) == Outline(is_todays=True, stated=None)
