"""Matching: which organization a free text means. What is found are candidates, each with a score and a reason; to choose is
for people, or for a program that they have told how.

A name that is exactly one of an organization's comes first. Then come names whose words are alike in whatever order and
spelling, as far as they share most of their sketches (see words.sketch): those are found by the index, and compared here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any
from uuid import UUID

from rapidfuzz.distance import Indel
from rapidfuzz.fuzz import token_set_ratio, token_sort_ratio

from app.exchange import loose_names
from app.exchange.loose_names import LooseName, read_name
from app.kit import records, search, words
from app.kit.db import Transaction
from app.kit.resource import Resource
from app.kit.search import Rank, Text, key_of
from app.kit.vocabularies import Vocabulary

LEAST = 0.5
"""A candidate has at least this score."""
RESEMBLING = 0.8
"""From this score on an organization may be the same as another."""
MOST_WORDS = 8
"""So many words of a name are looked for, the longest ones."""


class Reason(Vocabulary):
    """Why an organization is a candidate."""

    own_name = "name", "The text is its name."
    other_name = "other_name", "The text is another name of it."
    acronym = "acronym", "The text is its acronym."
    former_name = "former_name", "The text is a name that it no longer bears."
    same_words = "same_words", "One of its names has the same words, in another order or spelling."
    similar = "similar", "One of its names is similar."


EXACT = {
    Rank.title: (Reason.own_name, 1.0),
    Rank.other: (Reason.other_name, 0.98),
    Rank.acronym: (Reason.acronym, 0.95),
    Rank.former: (Reason.former_name, 0.9),
}
PART = 0.97
"""By what the score is less when only a part of the text is the name: what stands beside its acronym, say."""
SAME_WORDS, SIMILAR = 0.94, 0.9


@dataclass(frozen=True, slots=True)
class Candidate:
    """An organization that may be meant: the score (0 to 1), which of its names speaks for it, and why."""

    id: UUID
    slug: str
    name: str
    score: float
    matched: str
    reason: Reason

    def shown(self) -> dict[str, Any]:
        return {
            "slug": self.slug, "name": self.name, "score": self.score, "matched": self.matched, "reason": self.reason.value,
        }  # fmt: skip


def match(tx: Transaction, organizations: Resource[Any], names: Sequence[str], limit: int) -> list[list[Candidate]]:
    """For each of some texts at most `limit` candidates, the best first."""
    return _shown(tx, organizations, guesses(tx, organizations.plural, names, limit))


@dataclass(frozen=True, slots=True)
class Guess:
    """A record that may be meant, and the key of the text that speaks for it."""

    record: UUID
    key: str
    score: float
    reason: Reason

    @property
    def order(self) -> tuple[float, UUID]:
        return -self.score, self.record


def guesses(
    tx: Transaction, noun: str, names: Sequence[str], limit: int, but: Sequence[UUID | None] | None = None
) -> list[list[Guess]]:
    """The same of records of any noun, before they are read; of each name not the record `but`."""
    read = [read_name(name) for name in names]
    exact = _exact(tx, noun, names, read)
    found = []
    owns = but or [None] * len(names)
    for text, name, own, alike in zip(names, read, owns, _alike(tx, noun, read, owns), strict=True):
        several = [*exact.get(key_of(text), ()), *_parts(name, text, exact), *alike]
        found.append(_best(guess for guess in several if guess.record != own)[:limit])
    return found


def resembling(
    tx: Transaction, organizations: Resource[Any], written: Sequence[tuple[str, UUID]]
) -> list[list[Candidate]]:
    """For each of some names, which have just been written under these ids, the organizations that may be the same body."""
    names, own = zip(*written, strict=True)
    near = guesses(tx, organizations.plural, names, 5, own)
    others = [[guess for guess in several if guess.score >= RESEMBLING] for several in near]
    return _shown(tx, organizations, others)


def _best(found: Iterable[Guess]) -> list[Guess]:
    """The best guess of each record, in the order of scores."""
    best: dict[UUID, Guess] = {}
    for guess in sorted(found, key=lambda guess: guess.order):
        best.setdefault(guess.record, guess)
    return [guess for guess in best.values() if guess.score >= LEAST]


# --- exactly ----------------------------------------------------------------------------------------------------------


def _exact(tx: Transaction, noun: str, names: Sequence[str], read: Sequence[LooseName]) -> Mapping[str, list[Guess]]:
    """By the key of a text, the organizations that have exactly this name."""
    wanted = {key_of(name) for name in (*names, *(part for each in read for part in _names(each)))}
    found: dict[str, list[Guess]] = {}
    for row in search.exactly(tx, noun, sorted(filter(None, wanted))):
        reason, score = EXACT[search.rank_of(row)]
        found.setdefault(row.key, []).append(Guess(row.record_id, row.key, score, reason))
    return found


def _names(name: LooseName) -> tuple[str, ...]:
    return (name.name, *((name.acronym,) if name.acronym else ()), *name.alternatives, *name.former)


def _parts(name: LooseName, text: str, exact: Mapping[str, list[Guess]]) -> Iterator[Guess]:
    """The guesses from a part of the text: its name without the rest, a second name, an acronym, a former name."""
    for part in _names(name):
        if key_of(part) != key_of(text):
            for guess in exact.get(key_of(part), ()):
                yield Guess(guess.record, guess.key, round(guess.score * PART, 3), guess.reason)


# --- alike ------------------------------------------------------------------------------------------------------------


def _alike(tx: Transaction, noun: str, names: Sequence[LooseName], owns: Sequence[UUID | None]) -> list[list[Guess]]:
    """For each name the guesses from names that are alike, but for those of its own record."""
    found: list[list[Guess]] = [[] for _ in names]
    parts = [
        (place, loose_names.words(part))
        for place, name in enumerate(names)
        for part in dict.fromkeys((name.name, *name.alternatives, *name.former))
    ]
    for (place, wanted), rows in zip(parts, _sharing(tx, noun, [wanted for _, wanted in parts]), strict=True):
        found[place] += [_compared(wanted, row) for row in rows if row.record_id != owns[place]]
    return found


def _sharing(tx: Transaction, noun: str, several: Sequence[Sequence[str]]) -> list[Sequence[Any]]:
    """For each of several sequences of words the names that have the sketches of all; where there are none, of all but one;
    else of two of the longest."""
    found: list[Sequence[Any]] = [()] * len(several)
    attempts = [_attempts(wanted) for wanted in several]
    while asked := {n: sets for n, each in enumerate(attempts) if not found[n] and (sets := next(each, None))}:
        for n, rows in zip(asked, search.alike(tx, noun, list(asked.values())), strict=True):
            found[n] = rows
    return found


def _attempts(wanted: Sequence[str]) -> Iterator[list[Sequence[str]]]:
    """The sets of sketches to look for, one attempt after the other; of the longest words, these first."""
    sketches = [words.sketch(word) for word in sorted(set(wanted), key=lambda word: (-len(word), word))[:MOST_WORDS]]
    for together in dict.fromkeys((len(sketches), len(sketches) - 1, 2)):
        if 0 < together <= len(sketches):
            yield list(combinations(sketches if together != 2 else sketches[:4], together))


def _compared(wanted: Sequence[str], row: Any) -> Guess:
    there = loose_names.words(row.key)
    if sorted(there) == sorted(wanted) and len(wanted) > 1:
        reason, score = Reason.same_words, SAME_WORDS
    else:
        reason, score = Reason.similar, SIMILAR * _similarity(wanted, there)
    weight = search.WEIGHTS[search.rank_of(row)] if search.rank_of(row) is Rank.former else 1.0
    return Guess(row.record_id, row.key, round(score * weight, 3), reason)


def _similarity(one: Sequence[str], other: Sequence[str]) -> float:
    """0 to 1. Words that are missing on one side count less than words that differ; of single words the letters count."""
    if len(one) == len(other) == 1:
        return Indel.normalized_similarity(one[0], other[0])
    first, second = " ".join(one), " ".join(other)
    return (0.6 * token_sort_ratio(first, second) + 0.4 * token_set_ratio(first, second)) / 100


# --- shown ------------------------------------------------------------------------------------------------------------


def _shown(tx: Transaction, organizations: Resource[Any], made: Sequence[Sequence[Guess]]) -> list[list[Candidate]]:
    found = records.texts(tx, organizations, list({guess.record for several in made for guess in several}))
    return [[_candidate(guess, *found[guess.record]) for guess in several if guess.record in found] for several in made]


def _candidate(guess: Guess, slug: str, texts: Sequence[Text]) -> Candidate:
    name = next(text.value for text in texts if text.rank is Rank.title)
    matched = next((text.value for text in texts if key_of(text.value) == guess.key), name)
    return Candidate(guess.record, slug, name, guess.score, matched, guess.reason)
