"""Text that breaks services: A01, A03, A18, A20, A21 and A22, in every field of every noun."""

from __future__ import annotations

import functools
import json
import random
import unicodedata
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter
from pydantic_core import PydanticCustomError

from app.exchange.passages import fingerprint
from app.kit.db import Database
from app.kit.text import MOST_MARKS, clean
from tests.cases.places import Json, Place, encoded, every_write, full, objects, places, samples, texts, without_slug
from tests.cases.refusals import blames_parameter, blames_pointer, refused, same
from tests.support.answers import pointers, slugs
from tests.support.builders import NOUNS, Builder, collaboration_type, organization, patch
from tests.support.wire import Wire

MEDIA_TYPE = {"Content-Type": "application/json"}

# --- A01, A03, A22: characters that no text may hold ----------------------------------------------------------------

FORBIDDEN = [
    pytest.param("\0", id="A01-nul"),
    pytest.param("\x1f", id="A01-control-character"),
    pytest.param("\x7f", id="A01-delete"),
    pytest.param("\x85", id="A01-c1-control-character"),
    pytest.param("\u2028", id="A01-line-separator"),
    pytest.param("\ud800", id="A03-high-surrogate"),
    pytest.param("\udfff", id="A03-low-surrogate"),
    pytest.param("\ufffe", id="A03-noncharacter"),
    pytest.param("\U0010ffff", id="A03-noncharacter-of-the-last-plane"),
    pytest.param("\u202e", id="A22-right-to-left-override"),
    pytest.param("\u2066", id="A22-isolate"),
    pytest.param("\u200b", id="A22-zero-width-space"),
    pytest.param("\ufeff", id="A22-zero-width-no-break-space"),
    pytest.param("\u00ad", id="A22-soft-hyphen"),
    pytest.param("\u2060", id="A22-word-joiner"),
]


def test_a01_nul_in_every_text_field_is_refused_by_pointer_through_every_verb(
    client: httpx.Client, database: Database, wire: Wire
) -> None:
    samples(client)
    with same(client, database):
        for noun in NOUNS.values():
            for place in texts(noun.plural):
                sample = full(noun.plural) if place.steps == ("slug",) else without_slug(full(noun.plural))
                for write in every_write(wire, noun, "sample", place.put(sample, "sam\0ple")):
                    blames_pointer(write.answer, write.prefix + place.pointer)


@pytest.mark.parametrize("character", FORBIDDEN)
def test_a_forbidden_character_is_found_in_all_fields_at_once(
    client: httpx.Client, database: Database, character: str
) -> None:
    organization(client)
    with same(client, database):
        for noun in NOUNS.values():
            hostile = [place for place in texts(noun.plural) if place.steps != ("slug",)]
            document = filled(noun, hostile, lambda _: f"sam{character}ple")
            body = refused(client.post(noun.path, content=encoded(document), headers=MEDIA_TYPE), 422, "invalid")
            assert pointers(body) == [place.pointer for place in hostile], noun.plural


@pytest.mark.parametrize("character", [pytest.param("\0", id="A01-nul"), pytest.param("\ud800", id="A03-surrogate")])
def test_a_key_that_no_text_may_be_is_refused_in_every_object(
    client: httpx.Client, database: Database, wire: Wire, character: str
) -> None:
    samples(client)
    with same(client, database):
        for noun in NOUNS.values():
            for steps in objects(noun.plural):
                document = Place((*steps, f"na{character}me"), None).put(without_slug(full(noun.plural)), 1)
                above = Place(steps, None).pointer
                for write in every_write(wire, noun, "sample", document):
                    (pointer,) = pointers(refused(write.answer, 422, "invalid"))
                    assert str(pointer).startswith(write.prefix + above), (noun.plural, write.verb)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("f\0r", id="A01-nul-in-a-language-tag"),
        pytest.param("f r", id="A01-blank-in-a-language-tag"),
        pytest.param("fr~/", id="A01-pointer-signs-in-a-language-tag"),
    ],
)
def test_a_faulty_key_of_a_map_is_itself_what_the_pointer_names(
    client: httpx.Client, database: Database, key: str
) -> None:
    draft = collaboration_type.draft(client, labels={"en": "fine", key: "not"})
    with same(client, database):
        steps = key.replace("~", "~0").replace("/", "~1")
        blames_pointer(
            client.post(collaboration_type.path, content=encoded(draft), headers=MEDIA_TYPE), f"/labels/{steps}"
        )


@pytest.mark.parametrize(
    "reason",
    [
        pytest.param("%00", id="A01-nul-in-a-reason"),
        pytest.param("%ED%A0%80", id="A03-surrogate-in-a-reason"),
        pytest.param("%E2%80%AE", id="A22-override-in-a-reason"),
        pytest.param("%0D%0Aforged", id="A01-line-break-in-a-reason"),
    ],
)
def test_a_reason_that_no_text_may_be_stops_every_write(client: httpx.Client, database: Database, reason: str) -> None:
    record = organization(client)
    at, headers = organization.at(record), {"If-Match": "*", "Change-Reason": reason}
    with same(client, database):
        for answer in (
            client.post(organization.path, json=organization.draft(client), headers=headers),
            client.put(at, json=organization.draft(client), headers=headers),
            client.patch(at, json={"description": "x"}, headers=headers),
            client.delete(at, headers=headers),
            client.post(f"{at}/restore", headers=headers),
            client.post(
                "/v1/batch", json={"operations": [{"verb": "restore", "noun": "organizations"}]}, headers=headers
            ),
        ):
            refused(answer, 400, "malformed-request")


# --- A22: what people really write ----------------------------------------------------------------------------------

LEGAL = [
    pytest.param("می\u200cخواهم", id="A22-persian-with-a-non-joiner"),
    pytest.param('צה"ל \u200fבע״מ', id="A22-hebrew-with-quotes-and-a-direction-mark"),
    pytest.param("ก๊กก๊กไม้หันอากาศน้ำ", id="A22-thai-with-combining-marks"),
    pytest.param("क्\u200dष", id="A22-devanagari-with-a-joiner"),
    pytest.param("منظمة الصحة العالمية", id="A22-arabic"),
    pytest.param("Ελλάδα · Łódź · Đà Nẵng · Ø", id="A22-marks-of-many-kinds"),
    pytest.param("👩🏽\u200d🔬 𝔘𝔫𝔦", id="A22-emoji-joined-and-astral-letters"),
    pytest.param("<b>&amp;</b> 'x' -- ; \\ % _ /", id="A22-signs-of-other-languages"),
]


@pytest.mark.parametrize("text", LEGAL)
def test_real_text_comes_back_as_it_was_sent_from_every_field(client: httpx.Client, text: str) -> None:
    assert unicodedata.is_normalized("NFC", text)
    samples(client)
    for noun in NOUNS.values():
        places = free_texts(noun.plural)
        stored = client.post(noun.path, json=fingerprinted(filled(noun, places, lambda _: text))).json()
        assert [at(stored, place) for place in places] == [text] * len(places), noun.plural
        raw = client.get(noun.at(stored)).content
        assert raw.count(json.dumps(text, ensure_ascii=False).encode()) == len(places)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("\u200b", id="A22-name-of-a-zero-width-space"),
        pytest.param("\ufeff", id="A22-name-of-a-byte-order-mark"),
        pytest.param("\u200d", id="A22-name-of-a-joiner"),
        pytest.param("\u200f\u200e", id="A22-name-of-direction-marks"),
        pytest.param(" \u00a0\u3000 ", id="A22-name-of-blanks"),
        pytest.param("\U000e0041\U000e0042", id="A22-name-of-tag-characters"),
        pytest.param("\ufe0f", id="A22-name-of-a-variation-selector"),
        pytest.param("\u034f", id="A22-name-of-a-grapheme-joiner"),
        pytest.param("\u0301", id="A22-name-of-a-combining-mark"),
        pytest.param("\u0301 \u0301", id="A22-name-of-marks-and-a-blank"),
        pytest.param("", id="A22-empty-name"),
    ],
)
def test_a_required_name_shows_something(client: httpx.Client, database: Database, wire: Wire, name: str) -> None:
    record = organization(client)["slug"]
    with same(client, database):
        for write in every_write(wire, organization, record, {"name": name, "kind": "other"}):
            blames_pointer(write.answer, f"{write.prefix}/name")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("W\u200dHO", id="A22-joiner-inside"),
        pytest.param("WHO\u200e", id="A22-direction-mark-behind"),
        pytest.param("ＷＨＯ", id="A22-fullwidth"),
        pytest.param("WH\u0332O", id="A22-combining-line"),
        pytest.param("WHO\U000e0041", id="A22-tag-character"),
        pytest.param("WHO\ufe0f", id="A22-variation-selector"),
        pytest.param("WHO\u034f", id="A22-grapheme-joiner"),
        pytest.param("\u00a0Who ", id="A22-blanks-around"),
    ],
)
def test_a_name_that_looks_like_another_is_taken(client: httpx.Client, database: Database, name: str) -> None:
    existing = organization(client, name="WHO")
    with same(client, database):
        body = refused(client.post(organization.path, json={"name": name, "kind": "other"}), 409, "conflict")
        assert body["existing"] == {"id": existing["id"], "slug": "who"}


# --- A20: how long a text may be ------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [pytest.param("🌍", id="A20-four-byte"), pytest.param("e\u0301", id="A20-decomposed")])
def test_a_text_of_the_longest_length_counts_characters_after_normalisation(client: httpx.Client, unit: str) -> None:
    samples(client)
    for noun in NOUNS.values():
        places = free_texts(noun.plural)
        stored = client.post(
            noun.path, json=fingerprinted(filled(noun, places, lambda place: unit * longest(place)))
        ).json()
        for place in places:
            assert at(stored, place) == unicodedata.normalize("NFC", unit) * longest(place), (
                noun.plural,
                place.pointer,
            )


SCRIPTS = [
    pytest.param("\uac01\ub4a4\uc3d9\ud79d", id="A14-hangul"),  # a key holds three letters of three bytes for each
    pytest.param("การค้าโลก", id="A14-thai"),
    pytest.param("国际劳工组织", id="A14-chinese"),
    pytest.param("\U00020000\U00020111\U00020223", id="A14-four-byte"),
    pytest.param("\ufdfa\ufdfb", id="A14-ligatures-of-18-letters"),
    pytest.param("\u3305\u3316\u3356", id="A14-squared-words"),
    pytest.param('"\\', id="A14-signs-that-json-escapes"),
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_list_is_walked_past_names_of_the_greatest_length_in_any_script(client: httpx.Client, script: str) -> None:
    """The cursor holds the key of the last name of its page, which is far longer than the name."""
    samples(client)
    for noun in NOUNS.values():
        if noun.title is not None:
            title = next(place for place in places(noun.plural) if place.steps == (noun.title,))
            for n in range(3):
                noun(client, **{noun.title: (f"{n}" + script * longest(title))[: longest(title)]})
            up = slugs(client, f"{noun.path}?sort={noun.title}&limit=1")
            assert up == slugs(client, f"{noun.path}?sort={noun.title}")
            assert up[::-1] == slugs(client, f"{noun.path}?sort=-{noun.title}&limit=1")
            assert len(set(up) - {"another-sample"}) == 4, noun.plural


UNLIKE = [
    pytest.param([*map(chr, range(0xAC00, 0xD7A4))], id="A20-hangul"),
    pytest.param([*map(chr, range(0x20000, 0x2A000))], id="A20-four-byte"),
    pytest.param(["\ufdf0", "\ufdf3", "\ufdf8", "\ufdf9", "\ufdfa", "\ufdfb"], id="A20-ligatures"),
    pytest.param([*map(chr, range(0x3300, 0x3358)), *map(chr, range(0xAC00, 0xD7A4))], id="A20-words-and-hangul"),
]


@pytest.mark.parametrize("characters", UNLIKE)
def test_keys_that_hardly_compress_fit_into_the_indexes_of_both_databases(
    client: httpx.Client, characters: list[str]
) -> None:
    """An index of PostgreSQL holds no more than 2704 bytes a row, compressed; SQLite's have no such limit."""
    drawn = random.Random(1)  # noqa: S311  # the same ones each time
    samples(client)
    for noun in NOUNS.values():
        places = free_texts(noun.plural)
        document = filled(noun, places, lambda place: "".join(drawn.choices(characters, k=longest(place))))
        answer = client.post(noun.path, json=fingerprinted(document))
        assert answer.status_code == 201, answer.text


def test_a20_no_character_hides_a_mark_from_the_count(client: httpx.Client, database: Database) -> None:
    """Some characters are no marks by themselves, and come apart into nothing else when they are normalised."""
    marks = [
        character
        for character in map(chr, (*range(0xD800), *range(0xE000, 0x110000)))
        if unicodedata.combining(unicodedata.normalize("NFD", character)[0])
    ]
    assert len(marks) > 900
    for mark in marks:
        with pytest.raises(PydanticCustomError, match="combining marks"):
            clean("e" + mark * (MOST_MARKS + 1))
    assert organization(client, name="Organization " + "e\u0301" * 40)["name"].endswith("é" * 40)
    with same(client, database):
        for text in ("\u0344", "\u0f73", "\u0f75", "\u0f81", "\u0301"):
            draft = {"name": "A" + text * (MOST_MARKS + 1), "kind": "other"}
            body = blames_pointer(client.post(organization.path, json=draft), "/name")
            assert body["errors"][0]["code"] == "combining_marks"


@pytest.mark.parametrize(
    ("unit", "times"),
    [
        pytest.param("a", None, id="A20-one-more-than-the-limit"),
        pytest.param("🌍", None, id="A20-one-more-four-byte-than-the-limit"),
        pytest.param("a", 100_000, id="A20-hundred-thousand"),
    ],
)
def test_a_longer_text_is_refused_through_every_verb_with_the_limit_in_the_message(
    client: httpx.Client, database: Database, wire: Wire, unit: str, times: int | None
) -> None:
    samples(client)
    with same(client, database):
        for noun in NOUNS.values():
            places = free_texts(noun.plural)
            document = filled(noun, places, lambda place: unit * (times or longest(place) + 1))
            for write in every_write(wire, noun, "sample", document):
                faults = refused(write.answer, 422, "invalid")["errors"]
                assert [fault["pointer"] for fault in faults] == [write.prefix + place.pointer for place in places]
                for fault, place in zip(faults, places, strict=True):
                    assert f"At most {longest(place)} characters" in fault["message"], write.verb


def test_a20_texts_of_a_fixed_form_have_an_end_too(client: httpx.Client, database: Database, wire: Wire) -> None:
    samples(client)
    with same(client, database):
        for noun in NOUNS.values():
            fixed = [place for place in texts(noun.plural) if place not in free_texts(noun.plural)]
            fixed = [place for place in fixed if place.steps != ("slug",)]
            document = without_slug(full(noun.plural))
            for place in fixed:
                document = place.put(document, at(document, place) * 5_000)
            for write in every_write(wire, noun, "sample", document):
                body = refused(write.answer, 422, "invalid")
                assert pointers(body) == [write.prefix + place.pointer for place in fixed]


def test_a20_an_address_may_be_long_and_has_an_end(client: httpx.Client, database: Database) -> None:
    record = organization(client)
    address = "https://organization.example/" + "é" * (2_000 - 29)
    assert patch(client, organization, record, url=address)["url"] == address
    with same(client, database):
        refusal = client.patch(organization.at(record), json={"url": address + "é"}, headers={"If-Match": "*"})
        blames_pointer(refusal, "/url")


# --- A21, A18: one rule for what is the same, and no signs with a meaning of their own ----------------------------------

PAIRS = [
    pytest.param("ÖBB", "öbb", id="A21-umlaut"),
    pytest.param("STRASSE", "Straße", id="A21-sharp-s"),
    pytest.param("ΣΊΣΥΦΟΣ", "σίσυφος", id="A21-final-sigma"),
    pytest.param("İLO", "ilo", id="A21-dotted-capital-i"),
    pytest.param("ÉCLAIR", "e\u0301clair", id="A21-decomposed"),
    pytest.param("ﬁnance", "FINANCE", id="A21-ligature"),
    pytest.param("МОТ", "мот", id="A21-cyrillic"),
    pytest.param("Å", "\u212b", id="A21-angstrom-sign"),
    pytest.param("A  B", "a b", id="A21-blanks"),
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_spellings_of_one_name_conflict_through_every_verb(
    client: httpx.Client, database: Database, wire: Wire, first: str, second: str
) -> None:
    for noun, field in ((organization, "name"), (collaboration_type, "label")):
        holder, rival = noun(client, **{field: first}), noun(client)["slug"]
        draft = noun.draft(client, **{field: second})
        with same(client, database):
            for write in every_write(wire, noun, rival, draft):
                body = refused(write.answer, 409, "conflict")
                assert body["existing"] == {"id": holder["id"], "slug": holder["slug"]}, write.verb
                assert pointers(body) == [f"{write.prefix}/{field}"]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_spellings_of_one_identifier_conflict(
    client: httpx.Client, database: Database, first: str, second: str
) -> None:
    holder = organization(client, identifiers=[{"scheme": first, "value": second}])
    with same(client, database):
        draft = organization.draft(client, identifiers=[{"scheme": second, "value": first}])
        body = refused(client.post(organization.path, json=draft), 409, "conflict")
        assert (body["existing"]["slug"], pointers(body)) == (holder["slug"], ["/identifiers/0"])


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_spellings_of_one_name_sort_side_by_side(client: httpx.Client, first: str, second: str) -> None:
    """By key, then by age: so the later spelling comes directly behind the earlier one, on both databases."""
    made = [
        organization(client, name=name, country=country)["slug"] for name, country in ((second, "CH"), (first, "FR"))
    ]
    organization(client, name="0 before")
    organization(client, name="\U0010fffd behind")
    assert slugs(client, f"{organization.path}?sort=name")[1:-1] == made
    assert slugs(client, f"{organization.path}?sort=-name")[1:-1] == made[::-1]


def test_a18_signs_that_sql_matches_with_are_signs_like_any_other(client: httpx.Client, database: Database) -> None:
    names = ["100% Foundation", "100X Foundation", "A_B", "AXB", "A\\B", "A%", "A*B", "A?B", "A'B", 'A"B', "A;--"]
    made = [organization(client, name=name) for name in names]
    assert [record["name"] for record in made] == names
    with same(client, database):
        for name, record in zip(names, made, strict=True):
            body = refused(client.post(organization.path, json={"name": name, "kind": "other"}), 409, "conflict")
            assert body["existing"]["slug"] == record["slug"]
        for sign in ("%25", "_", "A_B", "%5C", "*", "'"):
            for parameter in ("kind", "country", "part_of", "withdrawn", "updated_since"):
                answer = client.get(f"{organization.path}?{parameter}={sign}")
                blames_parameter(answer, 422, "invalid", parameter)


# --- places ---------------------------------------------------------------------------------------------------------


@functools.cache
def free_texts(noun: str) -> list[Place]:
    """The places that take a text of any form."""
    return [place for place in places(noun) if place.core is str and place.accepts("Ω à % שלום")]


@functools.cache
def longest(place: Place) -> int:
    """How many characters the description of a field promises."""
    schema = TypeAdapter(place.annotation).json_schema()
    length: int = next(s["maxLength"] for s in schema.get("anyOf", [schema]) if "maxLength" in s)
    return length


def filled(noun: Builder, places: list[Place], text: Callable[[Place], str]) -> Json:
    """A body with a text in each of these places."""
    document = without_slug(full(noun.plural))
    for place in places:
        document = place.put(document, text(place))
    return document


def fingerprinted(document: Json) -> Json:
    """`document`, its passages with the fingerprints of their texts."""
    for passage in document.get("passages", ()):
        if "text" in passage:
            passage["fingerprint"] = fingerprint(unicodedata.normalize("NFC", passage["text"]))
    return document


def at(document: Any, place: Place) -> Any:
    for step in place.steps:
        document = document[step]
    return document
