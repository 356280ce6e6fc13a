"""Hits: the records that answer a question in words, of all nouns together, each with the text that answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.kit import records, search, words
from app.kit.db import Transaction
from app.kit.resource import Resource
from app.kit.search import Found, Text
from app.kit.words import Question


@dataclass(frozen=True, slots=True)
class Hit:
    """A record that answers: its title, and of the text that answers best its place in the record (a JSON Pointer) and a part
    of it, as HTML with <mark> around the words."""

    noun: str
    id: UUID
    slug: str
    title: str
    score: float
    field: str
    snippet: str


def find(
    tx: Transaction, nouns: Mapping[str, Resource[Any]], text: str, *, only: Sequence[str], limit: int
) -> list[Hit]:
    """At most `limit` records of the nouns `only` (empty: of all) that answer `text`, the best first. Two statements to find
    the rows, one a noun to read the records."""
    asked = words.question(text)
    found = search.search(tx, asked, only, limit)
    shown = _shown(tx, nouns, found)
    return [_hit(asked, each, *shown[each.record]) for each in found if each.record in shown]


def _shown(
    tx: Transaction, nouns: Mapping[str, Resource[Any]], found: Sequence[Found]
) -> dict[UUID, tuple[str, list[Text]]]:
    """Of each record its slug and its texts."""
    shown: dict[UUID, tuple[str, list[Text]]] = {}
    for noun in dict.fromkeys(each.noun for each in found):
        ids = [each.record for each in found if each.noun == noun]
        shown |= records.texts(tx, nouns[noun], ids)
    return shown


def _hit(asked: Question, found: Found, slug: str, texts: Sequence[Text]) -> Hit:
    text, hits = _answering(asked, found, texts)
    snippet = words.snippet(text.value, hits)
    return Hit(found.noun, found.record, slug, _title(slug, texts), found.score, text.pointer, snippet)


def _answering(asked: Question, found: Found, texts: Sequence[Text]) -> tuple[Text, list[words.Word]]:
    """The text that was found; where only all of them together answer, the one that has most of the words."""
    for text in texts if found.key is not None else ():
        if search.key_of(text.value) == found.key:
            return text, words.hits(asked, text.value)
    place, hits = words.covering((text.value for text in texts), asked)
    return texts[place], hits


def _title(slug: str, texts: Sequence[Text]) -> str:
    return next((text.value for text in texts if text.rank is search.Rank.title), slug)
