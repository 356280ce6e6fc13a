"""Matching: which organization a free text means. What is found are candidates, each with a score and a reason; to choose is
for people, or for a program that they have told how.

A name that is exactly one of an organization's comes first. Then come names whose words are alike in whatever order and
spelling, as far as they share most of their sketches (see words.sketch): those are found by the index, and compared here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple
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
MOST_RESEMBLING = 5
"""So many are told of at most."""
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


class Own(NamedTuple):
    """The record that a text is the name of: it is no guess, but counts as one where it will be there."""

    record: UUID | None = None
    sketches: frozenset[str] = frozenset()


NOBODYS = Own()


class Name(NamedTuple):
    """The words of a name, and the sketches of the longest of them, these first."""

    words: Sequence[str]
    sketches: Sequence[str]

    @classmethod
    def read(cls, text: str) -> Name:
        found = loose_names.words(text)
        longest = sorted(set(found), key=lambda word: (-len(word), word))[:MOST_WORDS]
        return cls(found, [words.sketch(word) for word in longest])


@dataclass(frozen=True, slots=True)
class Sought:
    """A text that is to be matched, taken apart: its key, those of the names and acronyms that it holds beside, its names."""

    key: str
    others: Sequence[str]
    names: Sequence[Name]
    own: Own

    @classmethod
    def read(cls, text: str, own: Own = NOBODYS) -> Sought:
        name, key = read_name(text), key_of(text)
        others = dict.fromkeys(key_of(part) for part in _names(name))
        names = dict.fromkeys((name.name, *name.alternatives, *name.former))
        return cls(key, [other for other in others if other not in ("", key)], list(map(Name.read, names)), own)


def guesses(tx: Transaction, noun: str, names: Sequence[str], limit: int) -> list[list[Guess]]:
    """The same of records of any noun, before they are read."""
    return [_best(several)[:limit] for several in _guesses(tx, noun, [Sought.read(name) for name in names])]


def _guesses(tx: Transaction, noun: str, several: Sequence[Sought]) -> list[list[Guess]]:
    exact, alike = _exact(tx, noun, several), _alike(tx, noun, several)
    return [[*_named(sought, exact), *near] for sought, near in zip(several, alike, strict=True)]


def _best(found: Iterable[Guess]) -> list[Guess]:
    """The best guess of each record, in the order of scores."""
    best: dict[UUID, Guess] = {}
    for guess in sorted(found, key=lambda guess: guess.order):
        best.setdefault(guess.record, guess)
    return [guess for guess in best.values() if guess.score >= LEAST]


# --- exactly ----------------------------------------------------------------------------------------------------------


def _exact(tx: Transaction, noun: str, several: Sequence[Sought]) -> Mapping[str, list[Guess]]:
    """By the key of a text, the organizations that have exactly this name."""
    wanted = {key for sought in several for key in (sought.key, *sought.others) if key}
    return _by_key(search.exactly(tx, noun, sorted(wanted)))


def _by_key(rows: Iterable[Any]) -> dict[str, list[Guess]]:
    found: dict[str, list[Guess]] = {}
    for row in rows:
        reason, score = EXACT[search.rank_of(row)]
        found.setdefault(row.key, []).append(Guess(row.record_id, row.key, score, reason))
    return found


def _names(name: LooseName) -> tuple[str, ...]:
    return (name.name, *((name.acronym,) if name.acronym else ()), *name.alternatives, *name.former)


def _named(sought: Sought, exact: Mapping[str, list[Guess]]) -> Iterator[Guess]:
    """The guesses from the text, and from a part of it: its name without the rest, a second name, an acronym, a former name."""
    yield from exact.get(sought.key, ())
    for key in sought.others:
        for guess in exact.get(key, ()):
            yield Guess(guess.record, guess.key, round(guess.score * PART, 3), guess.reason)


# --- alike ------------------------------------------------------------------------------------------------------------


def _alike(tx: Transaction, noun: str, several: Sequence[Sought]) -> list[list[Guess]]:
    """For each text the guesses from names that are alike."""
    found: list[list[Guess]] = [[] for _ in several]
    parts = [(place, name) for place, sought in enumerate(several) for name in sought.names]
    asked = _sharing(tx, noun, [(name.sketches, several[place].own.sketches) for place, name in parts])
    for (place, name), rows in zip(parts, asked, strict=True):
        found[place] += [_compared(name.words, row) for row in rows if row.record_id != several[place].own.record]
    return found


def _sharing(
    tx: Transaction, noun: str, several: Sequence[tuple[Sequence[str], frozenset[str]]]
) -> list[Sequence[Any]]:
    """For each of several sequences of sketches the names that have all; where there are none, all but one; else two of the
    first. Beside each stand the sketches of a name that will be there, and counts as if it were."""
    found: list[Sequence[Any]] = [()] * len(several)
    attempts = {n: _attempts(sketches) for n, (sketches, _) in enumerate(several)}
    while asked := {n: sets for n, each in attempts.items() if (sets := next(each, None))}:
        for (n, sets), rows in zip(asked.items(), search.alike(tx, noun, list(asked.values())), strict=True):
            found[n] = rows
            if rows or any(several[n][1].issuperset(together) for together in sets):
                del attempts[n]
    return found


def _attempts(sketches: Sequence[str]) -> Iterator[list[Sequence[str]]]:
    """The sets of sketches to look for, one attempt after the other."""
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


# --- what resembles a new record --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What resembles a name in the state of the number `until`."""

    sought: Sought
    guesses: Sequence[Guess]
    until: int


def foresee(
    tx: Transaction, organizations: Resource[Any], written: Sequence[tuple[str, UUID | None]]
) -> list[Foreseen]:
    """What resembles names that are about to be written, or have been, under these ids."""
    until = tx.sequence()
    several = [Sought.read(name, Own(own, _sketches(words.apart(name)[0]))) for name, own in written]
    found = _guesses(tx, organizations.plural, several)
    return [Foreseen(sought, near, until) for sought, near in zip(several, found, strict=True)]


def resembling(
    tx: Transaction,
    organizations: Resource[Any],
    written: Sequence[tuple[str, UUID]],
    foreseen: Sequence[Foreseen | None] = (),
) -> list[list[Candidate]]:
    """For each of some names, which have been written under these ids, the organizations that may be the same body. Beside what
    is `foreseen` only those are looked at that were written later: two that come together are told of each other."""
    known, later = _up_to_date(tx, organizations, written, foreseen)
    exact = _by_key(later)
    sketched = [(row, _sketches(row.key.split(" "))) for row in later]
    others = []
    for (_, own), each in zip(written, known, strict=True):
        named = [guess for guess in (*each.guesses, *_named(each.sought, exact)) if guess.record != own]
        nearest = _best([*named, *_alike_among(sketched, each.sought, own)])[:MOST_RESEMBLING]
        others.append([guess for guess in nearest if guess.score >= RESEMBLING])
    return _shown(tx, organizations, others)


def _up_to_date(
    tx: Transaction,
    organizations: Resource[Any],
    written: Sequence[tuple[str, UUID]],
    foreseen: Sequence[Foreseen | None],
) -> tuple[Sequence[Foreseen], Sequence[Any]]:
    """What is known of each name, and the names that were written since."""
    known = [each for each in foreseen if each is not None]
    if written and len(known) == len(written):
        later = search.later(tx, organizations.plural, min(each.until for each in known))
        if later is not None:
            return known, later
    return foresee(tx, organizations, written), ()


def _alike_among(rows: Sequence[tuple[Any, frozenset[str]]], sought: Sought, own: UUID) -> Iterator[Guess]:
    """The guesses from those of some names that have the sketches of all words."""
    for name in sought.names:
        if name.sketches:
            alike = (row for row, there in rows if there.issuperset(name.sketches) and row.record_id != own)
            yield from (_compared(name.words, row) for row in alike)


def _sketches(found: Iterable[str]) -> frozenset[str]:
    return frozenset(map(words.sketch, found))


# --- shown ------------------------------------------------------------------------------------------------------------


def _shown(tx: Transaction, organizations: Resource[Any], made: Sequence[Sequence[Guess]]) -> list[list[Candidate]]:
    ids = {guess.record for several in made for guess in several}
    found = records.texts(tx, organizations, list(ids)) if ids else {}
    return [[_candidate(guess, *found[guess.record]) for guess in several if guess.record in found] for several in made]


def _candidate(guess: Guess, slug: str, texts: Sequence[Text]) -> Candidate:
    name = next(text.value for text in texts if text.rank is Rank.title)
    matched = next((text.value for text in texts if key_of(text.value) == guess.key), name)
    return Candidate(guess.record, slug, name, guess.score, matched, guess.reason)
