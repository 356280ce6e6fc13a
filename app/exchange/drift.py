"""Drift: how the sentences that citations name stand in a newer text of their source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import NamedTuple

from app.exchange.passages import Document, Passage, normalise
from app.kit.vocabularies import Vocabulary

Place = tuple[int, int, int]
"""Section, paragraph, sentence."""
THRESHOLD = 0.6
"""The share of words that two sentences must have in common, in order, to be taken for one that was reworded. Below it, two
sentences of one page about different bodies begin to look alike; above 0.7, a changed year and a changed name are missed."""
MOST_WORDS = 200
"""So many words of a sentence are compared."""
MOST_RIVALS = 5
"""With so many of the sentences that share most of its rarer words is a sentence compared in full."""
MOST_COMMON = 50
"""A word that stands in more of the new sentences than this tells none of them apart, and is not looked up."""


class Verdict(Vocabulary):
    """What became of a passage."""

    holds = "holds", "The same words at the same place."
    moved = "moved", "The same words elsewhere."
    changed = "changed", "Nearly the same words, or a part of what is cited."
    gone = "gone", "Nothing like it is there."


class Old(NamedTuple):
    """A passage of the older text; its words are None where only the fingerprint is known."""

    place: Place
    fingerprint: str
    text: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Where an older passage stands in the newer text, and how near its words are (1: the same; None: it is gone)."""

    verdict: Verdict
    was: Place
    now: Place | None
    similarity: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A finding for every older passage, and the newer passages that none of the cited ones became."""

    findings: Mapping[Place, Finding]
    uncited: tuple[Passage, ...]


def compare(old: Sequence[Old], new: Document, cited: Set[Place]) -> Comparison:
    """Where each passage of `old` stands in `new`. Each new passage is taken for one old passage at most: first those of the
    same words, at the same place before others, in the order of the text; then the nearest of those that are left. Where the
    older words are not known, a passage that does not stand there word for word is gone."""
    places = {_place(passage): passage for passage in new.passages}
    matched = _exact(old, new.passages)
    left = [passage for passage in old if passage.place not in matched and passage.text is not None]
    taken = set(matched.values())
    near = _near(left, [passage for place, passage in places.items() if place not in taken])
    findings = {passage.place: _finding(passage.place, matched.get(passage.place), near) for passage in old}
    used = {finding.now for place, finding in findings.items() if place in cited}
    return Comparison(findings, tuple(passage for place, passage in places.items() if place not in used))


def verdict_of(findings: Sequence[Finding]) -> tuple[Verdict, float | None]:
    """What became of a citation that names these passages (none: the document as a whole, which is there), and how near its
    words are. One that has lost some of its passages, and not all, has changed."""
    verdicts = {finding.verdict for finding in findings}
    if verdicts <= {Verdict.holds, Verdict.moved}:
        return (Verdict.moved if Verdict.moved in verdicts else Verdict.holds), (1.0 if findings else None)
    if verdicts == {Verdict.gone}:
        return Verdict.gone, None
    return Verdict.changed, min(finding.similarity or 0.0 for finding in findings)


def _place(passage: Passage) -> Place:
    return passage.section, passage.paragraph, passage.sentence


def _finding(was: Place, exact: Place | None, near: Mapping[Place, tuple[Place, float]]) -> Finding:
    if exact is not None:
        return Finding(Verdict.holds if exact == was else Verdict.moved, was, exact, 1.0)
    if was in near:
        now, similarity = near[was]
        return Finding(Verdict.changed, was, now, similarity)
    return Finding(Verdict.gone, was, None, None)


# --- the same words ---------------------------------------------------------------------------------------------------


def _exact(old: Sequence[Old], new: Sequence[Passage]) -> dict[Place, Place]:
    """Old places and the new ones where the same words stand. A sentence that comes up several times is matched at its own
    place first, then in the order of the text."""
    places: dict[str, list[Place]] = defaultdict(list)
    for passage in new:
        places[passage.fingerprint].append(_place(passage))
    standing = {(print_, place) for print_, found in places.items() for place in found}
    matched = {each.place: each.place for each in old if (each.fingerprint, each.place) in standing}
    free = {print_: iter([place for place in found if place not in matched]) for print_, found in places.items()}
    for each in old:
        if each.place not in matched:
            place = next(free.get(each.fingerprint, iter(())), None)
            if place is not None:
                matched[each.place] = place
    return matched


# --- nearly the same words --------------------------------------------------------------------------------------------


def _near(old: Sequence[Old], new: Sequence[Passage]) -> dict[Place, tuple[Place, float]]:
    """Old places and the new ones that come nearest, at least THRESHOLD near: the best pairs first, ties in the order of the
    text."""
    pairs = sorted(_pairs(old, new), key=lambda pair: (-pair[0], pair[1], pair[2]))
    found: dict[Place, tuple[Place, float]] = {}
    taken: set[Place] = set()
    for similarity, was, now in pairs:
        if was not in found and now not in taken:
            found[was] = now, similarity
            taken.add(now)
    return found


def _pairs(old: Sequence[Old], new: Sequence[Passage]) -> Iterator[tuple[float, Place, Place]]:
    words = [_words(passage.text) for passage in new]
    index: dict[str, list[int]] = defaultdict(list)
    for n, sentence in enumerate(words):
        for word in set(sentence):
            index[word].append(n)
    for passage in old:
        mine = _words(passage.text or "")
        for n in _rivals(mine, index):
            similarity = SequenceMatcher(None, mine, words[n], autojunk=False).ratio()
            if similarity >= THRESHOLD:
                yield round(similarity, 2), passage.place, _place(new[n])


def _rivals(words: Iterable[str], index: Mapping[str, Sequence[int]]) -> list[int]:
    """The new sentences that share most words with this one, rare words counting more."""
    shared: dict[int, float] = defaultdict(float)
    for word in set(words):
        others = index.get(word, ())
        if len(others) <= MOST_COMMON:
            for n in others:
                shared[n] += 1 / len(others)
    return sorted(shared, key=lambda n: (-shared[n], n))[:MOST_RIVALS]


def _words(text: str) -> list[str]:
    return normalise(text).casefold().split()[:MOST_WORDS]
