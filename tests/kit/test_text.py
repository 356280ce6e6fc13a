"""What a user may rely on when a text is stored, searched or made into an address: which spellings are one, which
characters are refused, and that no text, however odd, does more than be refused."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from app.kit.text import SLUG_LENGTH, clean, clean_line, clean_prose, fold, is_id, is_slug, key_of, slugify

bounded = settings(derandomize=True, deadline=None, max_examples=300)
ANY = st.text(st.characters(), max_size=60)  # surrogates as well
ODD = st.text(
    st.sampled_from("aZ9 -'’ßİıſﬁÅÅéüØøÆœÞΣςσ\u0345\u0301\u0323\u200b\u200c\u200f\u202e\ufeff中Ⅻ①𝔸\t\n"), max_size=40
)
TEXTS = st.one_of(ANY, ODD)


# --- folding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ÖBB", "öbb"),
        ("ÖBB", "obb"),
        ("STRASSE", "Straße"),
        ("STRASSE", "straẞe"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
        ("İLO", "ilo"),
        ("e\u0301cole", "ÉCOLE"),
        ("ﬁnance", "FINANCE"),
        ("W\u200bHO", "WHO"),
        ("  World   Bank ", "world bank"),
        ("World\u00a0Bank", "WORLD BANK"),
        ("Ⅻ", "xii"),
        ("ＩＬＯ", "ilo"),
        ("می\u200cخواهم", "میخواهم"),
    ],
)
def test_two_spellings_of_one_name_have_one_key(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"), [("WHO", "WHO2"), ("ILO", "IL O"), ("中", "国"), ("кот", "кит"), ("a-b", "ab")]
)
def test_two_names_have_two_keys(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@bounded
@given(TEXTS)
def test_a_key_folded_again_is_itself(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@bounded
@given(TEXTS.filter(lambda t: not any(0xD800 <= ord(c) <= 0xDFFF for c in t)))
def test_a_key_does_not_depend_on_the_normal_form_that_a_text_is_in(text: str) -> None:
    keys = {fold(unicodedata.normalize(form, text)) for form in ("NFC", "NFD", "NFKC", "NFKD")}
    assert keys == {fold(text)}


@bounded
@given(TEXTS)
def test_a_key_has_single_blanks_and_none_at_its_ends(text: str) -> None:
    assert fold(text) == " ".join(fold(text).split())


# --- slugs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("European Union", "european-union"),
        ("Straße İLO", "strasse-ilo"),
        ("Ørsted & Łódź", "orsted-lodz"),
        ("Employers' Organization", "employers-organization"),
        ("l’Œuvre", "loeuvre"),
        ("GB.322/POL/8", "gb-322-pol-8"),
        ("Εταιρεία", ""),
        ("中国", ""),
        ("中国 2030", "2030"),
        ("---", ""),
        ("", ""),
        ("a" * 300, "a" * 95),
    ],
)
def test_a_slug_is_made_of_the_latin_words_of_a_name(name: str, slug: str) -> None:
    assert slugify(name) == slug


@bounded
@given(TEXTS)
def test_any_name_gives_a_slug_or_nothing(name: str) -> None:
    slug = slugify(name)
    assert slug == "" or is_slug(slug)
    assert len(slug) <= SLUG_LENGTH - 5


@bounded
@given(TEXTS)
def test_a_slug_made_into_a_slug_is_itself(name: str) -> None:
    assert slugify(slugify(name)) == slugify(name)


@given(st.uuids())
@bounded
def test_an_id_is_never_taken_for_a_slug(identifier: object) -> None:
    text = str(identifier)
    assert (is_id(text), is_slug(text), key_of(text)) == (True, False, identifier)
    assert key_of(text.upper()) == identifier


@bounded
@given(TEXTS)
def test_any_text_names_an_id_a_slug_or_nothing(text: str) -> None:
    assert key_of(text) in (None, text)


@pytest.mark.parametrize("text", ["", "-", "a-", "-a", "a--b", "A", "a_b", "é", "a\n", "٣", "a" * 101])
def test_what_is_no_slug_names_nothing(text: str) -> None:
    assert key_of(text) is None


# --- cleaning ---------------------------------------------------------------------------------------------------------


def code(text: str, *, lines: bool = False) -> str:
    with pytest.raises(PydanticCustomError) as caught:
        clean_prose(text) if lines else clean_line(text)
    return caught.value.type


@pytest.mark.parametrize(
    "text",
    [
        "WHO\u202e", "W\u200bHO", "\u200b", "\ufeffWHO", "WHO\u2066x\u2069", "W\u00adHO", "W\u2060HO", "a\x00b", "a\x7fb",
        "a\x85b", "a\x1bb", "\ud800", "a\udfffb", "\ufffe", "\U0010ffff", "\ufdd0"[:0] + "\uffff", "a\u2028b", "a\u2029b",
        "a\ufff9b",
    ],
)  # fmt: skip
def test_what_only_serves_look_alikes_or_is_no_character_is_refused(text: str) -> None:
    assert code(text) == "forbidden_character"
    assert code(text, lines=True) == "forbidden_character"


@pytest.mark.parametrize("text", ["", " ", "\u00a0\u3000", "\u200c", " \u200d\u200e "])
def test_a_line_with_nothing_to_see_is_refused(text: str) -> None:
    assert code(text) == "blank"


@pytest.mark.parametrize(
    "text",
    [
        "می\u200cخواهم",
        'ארגון "העבודה"',
        "צה״ל",
        "ก็ที่",
        "Việt Nam",
        "L’Œuvre",
        "क्\u200dष",
        "👩\u200d🔬",
        "العمل\u200f",
        "𐀀",
    ],
)
def test_texts_of_every_script_stay_as_they_are(text: str) -> None:
    assert clean_line(text) == text
    assert clean_prose(text) == text


def test_a_text_is_composed_and_trimmed() -> None:
    assert clean("  e\u0301cole\u3000") == "école"


def test_prose_keeps_its_lines_and_a_line_has_none() -> None:
    assert clean_prose("é one\r\ntwo\tthree\n") == "é one\ntwo\tthree"
    assert clean_prose("one\r\ntwo") == "one\ntwo"
    assert code("one\ntwo") == "forbidden_character"
    assert code("one\ttwo") == "forbidden_character"
    assert code("one\rtwo", lines=True) == "forbidden_character"


@bounded
@given(TEXTS, st.booleans())
def test_any_text_is_cleaned_or_refused_and_a_clean_one_stays(text: str, lines: bool) -> None:  # noqa: FBT001
    try:
        cleaned = clean(text, lines=lines)
    except PydanticCustomError:
        return
    assert clean(cleaned, lines=lines) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert cleaned == cleaned.strip()
    cleaned.encode()
    assert "\x00" not in cleaned


def test_a_heap_of_combining_marks_is_refused_before_it_costs_time() -> None:
    heap = "a" + "\u0301\u0323" * 500_000
    start = time.process_time()
    assert code(heap) == "combining_marks"
    assert code(heap, lines=True) == "combining_marks"
    assert code("x" * 100 + "e" + "\u0323" * 31) == "combining_marks"
    assert time.process_time() - start < 5


def test_as_many_marks_as_any_language_needs_are_kept() -> None:
    text = "x" + "\u0323" * 15 + "\u0301" * 15
    assert clean_line(text * 3) == unicodedata.normalize("NFC", text * 3)
