"""Strict JSON: what is read fast is what is read slowly, and nothing ambiguous gets through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kit.errors import Invalid, Malformed
from app.kit.strict_json import MAX_DEPTH, parse_text

NUMBERS = st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.sampled_from('ab"\\\n\u00e9\u4e2d\U0001f600{}[]0123456789eE:') | st.characters(codec="utf-8"))
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
)


WAYS = st.fixed_dictionaries({"ensure_ascii": st.booleans(), "indent": st.sampled_from([None, 1])})


@given(DOCUMENTS, WAYS)
def test_every_document_is_read_as_it_was_meant(document: Any, way: dict[str, Any]) -> None:
    text = json.dumps(document, **way)
    read = parse_text(text)
    assert read == document
    assert json.dumps(read) == json.dumps(document)  # 1 is not 1.0, and the order of keys stays


@given(st.dictionaries(TEXTS, st.integers(0, 9) | TEXTS, min_size=1, max_size=4), st.data())
def test_a_key_that_stands_twice_is_refused_however_it_is_written(document: dict[str, Any], data: Any) -> None:
    again = data.draw(st.sampled_from(sorted(document)))
    key = '"' + "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in again) + '"'
    for repeated in (key, json.dumps(again)):
        pairs = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in document.items()]
        with pytest.raises(Malformed, match="stands twice"):
            parse_text("{" + ", ".join([*pairs, f"{repeated}: 1"]) + "}")


NOT_JSON = [
    '{"a": NaN}',
    '{"a": -Infinity}',
    '{"a": 01}',
    '{"a": 1} {}',
    '{"a": "\t"}',
    '{"a": "\\x"}',
    "\ufeff{}",
    "{'a': 1}",
    "[1,]",
]


@pytest.mark.parametrize("text", NOT_JSON)
def test_what_is_no_json_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse_text(text)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 19, "-" + "9" * 400, "1" * 400 + ".5"])
def test_a_number_beyond_a_double_or_18_digits_is_refused(number: str) -> None:
    with pytest.raises(Invalid):
        parse_text(f'{{"a": [{number}]}}')


def test_depth_is_bounded() -> None:
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert parse_text(deep) == json.loads(deep)
    assert parse_text(f"[{deep[1:-1]}, {deep[1:-1]}]") == json.loads(f"[{deep[1:-1]}, {deep[1:-1]}]")
    with pytest.raises(Malformed):
        parse_text(f"[{deep}]")
