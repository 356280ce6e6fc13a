"""Words: what a text holds, what a question means, and where in a text the words stand."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kit import words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("World Health Organization", ["world", "health", "organization"]),
        ("Organisation mondiale de la Santé", ["organisation", "mondiale", "de", "la", "sante"]),
        ("INFOTEC Inc./Applied", ["infotec", "inc", "applied"]),
        ("Co-operation, O’Brien & Söhne", ["co", "operation", "o", "brien", "sohne"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("Ørsted Łódź Æsir", ["orsted", "lodz", "aesir"]),
        ("İLO ilo", ["ilo", "ilo"]),
        ("Ελλάδα ΣΊΣΥΦΟΣ", ["ελλαδα", "σισυφοσ"]),
        ("منظمة الصحة العالمية", ["منظمة", "الصحة", "العالمية"]),
        ("世界卫生组织 WHO", ["世", "界", "卫", "生", "组", "织", "who"]),
        ("A_B", ["a", "b"]),
        ("100% C++", ["100", "c"]),
        ("x" * 100, ["x" * words.LONGEST]),
        ("…", []),
    ],
)
def test_a_text_is_its_words_without_case_and_marks(text: str, found: list[str]) -> None:
    assert words.words(text) == found
    assert [word.text for word in words.located(text)] == found


def test_the_same_letters_are_the_same_words_in_whatever_form_they_come() -> None:
    assert words.words("Café") == words.words("Café") == words.words("CAFE")


@given(st.text(max_size=40))
def test_words_stand_where_they_are_said_to_stand(text: str) -> None:
    found = words.located(text)
    assert [word.start for word in found] == sorted(word.start for word in found)
    for word in found:
        assert 0 <= word.start < word.end <= len(text)
        assert words.words(text[word.start : word.end])


@given(st.text(max_size=60))
def test_tokens_never_hold_what_an_index_would_read_as_more_than_letters(text: str) -> None:
    for token in (*words.words(text), *words.marks(text), *words.question(text).words, *words.question(text).marks):
        assert token
        assert not re.search(r"[\x00-/:-@\[-`{-\x7f]", token)
        assert len(token) <= words.LONGEST


@pytest.mark.parametrize(
    ("text", "phrases", "begun"),
    [
        ("oecd", (("oecd",),), True),
        ("oecd ", (("oecd",),), False),
        ("labour org", (("labour",), ("org",)), True),
        ('"labour org"', (("labour", "org"),), False),
        ('ilo "labour org" gen', (("ilo",), ("labour", "org"), ("gen",)), True),
        ("co-operation", (("co", "operation"),), True),
        ('half "open', (("half",), ("open",)), True),
        ("a AND (", (("a",), ("and",)), True),
        ("NEAR/2", (("near", "2"),), False),
        ("col:", (("col",),), True),
        ("x", (("x",),), False),
    ],
)
def test_a_question_is_phrases_and_perhaps_a_begun_word(
    text: str, phrases: tuple[tuple[str, ...], ...], *, begun: bool
) -> None:
    asked = words.question(text)
    assert (asked.phrases, asked.begun) == (phrases, begun)


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("%", "%"),
        ("_", "_"),
        ("\\", "\\"),
        ("-", "-"),
        ('"', '"'),
        ("C++", "+"),
        ("100%", "%"),
        ("wor*", "*"),
        ("a-b, c.", ""),
    ],
)
def test_characters_that_tell_must_be_there_and_punctuation_only_when_it_is_alone(text: str, marks: str) -> None:
    assert words.question(text).marks == tuple(words.mark(character) for character in marks)


@given(st.text(max_size=60))
def test_any_text_is_a_question(text: str) -> None:
    words.question(text)


@given(st.text(min_size=1, max_size=400), st.text(max_size=20))
def test_a_snippet_is_safe_html_of_a_part_of_the_text(text: str, asked: str) -> None:
    found = words.hits(words.question(asked), text)
    shown = words.snippet(text, found)
    plain = html.unescape(shown.replace("<mark>", "").replace("</mark>", ""))
    if len(text) > words.SNIPPET:
        plain = plain.removeprefix("…").removesuffix("…")
    assert plain in text
    assert len(plain) <= words.SNIPPET
    assert not re.search(r"<(?!/?mark>)", shown)
    if found:
        assert "<mark>" in shown


def test_a_snippet_marks_what_was_found_as_it_was_written() -> None:
    text = "Organisation for Economic Co‑operation & Développement"
    assert words.snippet(text, words.hits(words.question("developpement economic"), text)) == (
        "Organisation for <mark>Economic</mark> Co‑operation &amp; <mark>Développement</mark>"
    )


def test_a_long_text_is_cut_between_words_around_the_first_that_was_found() -> None:
    text = f"{'before ' * 100}needle{' after' * 100}"
    shown = words.snippet(text, words.hits(words.question("needle"), text))
    assert shown.startswith("…before")
    assert shown.endswith("after…")
    assert "<mark>needle</mark>" in shown


@given(st.text(max_size=30))
def test_folding_letter_by_letter_finds_the_words_of_the_whole(text: str) -> None:
    assert [word.text for word in words.located(text)] == words.words(text)
