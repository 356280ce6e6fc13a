"""Words: how a text is taken apart for search, and which words of it a question meant. The same on both databases, because
it happens here and not in theirs."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from app.kit.text import LETTERS, SHORT, bare, fold

LONGEST = 60
"""Letters of a word that count. PostgreSQL holds no word of 2,048 bytes."""
MARK = "\ue000"
"""Begins the token of a character that is no part of a word. No word holds one: it is of the private use area."""
_ASCII = re.compile(r"[a-z0-9]+")
_OTHERS = re.compile("[^a-z0-9 ]+")
# Written without blanks: each character is a word of its own, and several of them are a phrase.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_SPACED = 0x20000, 0x3FFFF  # the ideographs beyond the first plane


class Word(NamedTuple):
    """A word of a text, folded, and where it stands in it."""

    text: str
    start: int
    end: int


def words(text: str) -> list[str]:
    """The words of `text`: folded (no case, no marks), in its order."""
    return list(apart(text)[0])


def apart(text: str) -> tuple[Sequence[str], Sequence[str]]:
    """The words of `text` and its marks."""
    return _apart(text) if len(text) <= SHORT else _apart.__wrapped__(text)


@lru_cache(maxsize=4096)
def _apart(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    folded = fold(text)
    if folded.isascii():
        found = _ASCII.findall(folded)
        if len(folded) > LONGEST:
            found = [word[:LONGEST] for word in found]
    else:
        found = [word.text for word in _runs(folded.translate(LETTERS))]
    return tuple(found), tuple(_marks(folded))


END = "\ue003"
"""The token behind a text that others follow."""
SKETCH = "\ue002"
"""Begins the token of a sketch."""
_VOWELS = re.compile("[aeiouyhw]+")
_TWICE = re.compile(r"(.)\1+", re.DOTALL)
_ALIKE = str.maketrans("zkq", "scc")


@lru_cache(maxsize=8192)  # three quarters of the words in a set of names are these
def sketch(word: str) -> str:
    """The token that spellings of a word have in common: its first letter and the consonants behind it, doubled ones once and
    those that sound alike as one. So `organisation` and `organizaton` have one, and `labour` and `labor`."""
    alike = word[:LONGEST].translate(_ALIKE)
    rest = _VOWELS.sub("", alike[1:])
    return SKETCH + alike[:1] + _TWICE.sub(r"\1", rest)


def marks(*texts: str) -> list[str]:
    """Once each token of a character in `texts` that is no part of a word."""
    return _marks(fold("".join(texts)))


def _marks(folded: str) -> list[str]:
    others = set("".join(_OTHERS.findall(folded)))
    return sorted(mark(c) for c in others if not (c.isspace() or _is_letter(c)))


def mark(character: str) -> str:
    """The token of a character that is no part of a word."""
    return f"{MARK}{ord(character):x}"


def located(text: str) -> list[Word]:
    """The words of `text` with their places in it: `text[word.start:word.end]` is what was written."""
    if text.isascii():
        return [Word(found[0][:LONGEST], found.start(), found.end()) for found in _ASCII.finditer(text.casefold())]
    folded, places = [], []
    for n, character in enumerate(text):
        spread = bare(character).translate(LETTERS)
        folded.append(spread)
        places += [n] * len(spread)
    runs = _runs("".join(folded))
    return [Word(run.text, places[run.start], places[run.end - 1] + 1) for run in runs]


def _runs(folded: str) -> Iterator[Word]:
    start = None
    for n, character in enumerate((*folded, " ")):
        alone = _UNSPACED.match(character) or _SPACED[0] <= ord(character) <= _SPACED[1]
        if start is not None and (alone or not _is_letter(character)):
            yield Word(folded[start:n][:LONGEST], start, n)
            start = None
        if alone and _is_letter(character):
            yield Word(character, n, n + 1)
        elif start is None and not alone and _is_letter(character):
            start = n


def _is_letter(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character) == "Mc"


# --- questions --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody looks for: phrases, each a sequence of words that stand next to each other; whether the last word is
    perhaps only begun; and characters that must be there."""

    phrases: tuple[tuple[str, ...], ...]
    begun: bool
    marks: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        return [word for phrase in self.phrases for word in phrase]

    @property
    def key(self) -> str:
        return " ".join(self.words)


_CHUNKS = re.compile(r'"([^"]*)"|(\S+)')


def question(text: str) -> Question:
    """The question in a text. Words between double quotes stand next to each other, as do those that something other than a
    blank joins (`co-operation`); the last word may be the begin of one, unless it is quoted. No character has a meaning
    beyond that: a `*` or `%` is looked for as it is. Characters without which the words would be others (`C++`, `100%`)
    must be there; punctuation counts only where there is no word at all."""
    phrases, quoted = [], False
    for match in _CHUNKS.finditer(text):
        if found := tuple(words(match[1] if match[1] is not None else match[2])):
            phrases.append(found)
            quoted = match[1] is not None
    unquoted = _CHUNKS.sub(lambda match: match[1] or match[2] or "", text) if phrases else text
    telling = [c for c in unquoted if not phrases or any(map(_is_telling, fold(c)))]
    begun = bool(phrases) and not quoted and not text[-1:].isspace() and len(phrases[-1][-1]) > 1
    return Question(tuple(phrases), begun, tuple(marks("".join(telling))))


def _is_telling(character: str) -> bool:
    return character in "%#@*_\\" or (unicodedata.category(character)[0] == "S" and character not in "`´^¨")


# --- what is shown ----------------------------------------------------------------------------------------------------

SNIPPET = 160
"""Characters of a text that are shown around what was found."""


def hits(asked: Question, text: str) -> list[Word]:
    """The words of `text` that the question names."""
    wanted = set(asked.words)
    last = asked.words[-1] if asked.begun else None
    return [word for word in located(text) if word.text in wanted or (last is not None and word.text.startswith(last))]


def snippet(text: str, found: Sequence[Word]) -> str:
    """`text` as HTML, the words `found` between <mark> and </mark>; of a long text what stands around the first of them."""
    start, end = _window(text, found)
    pieces, at = ["…" if start else ""], start
    for word in found:
        if at <= word.start and word.end <= end:  # one character may hold two words: ¼
            pieces += [
                html.escape(text[at : word.start]),
                "<mark>",
                html.escape(text[word.start : word.end]),
                "</mark>",
            ]
            at = word.end
    return "".join([*pieces, html.escape(text[at:end]), "…" if end < len(text) else ""])


def _window(text: str, found: Sequence[Word]) -> tuple[int, int]:
    """From a blank to a blank, SNIPPET characters at most."""
    if len(text) <= SNIPPET:
        return 0, len(text)
    first = found[0].start if found else 0
    start = max(0, min(first - SNIPPET // 3, len(text) - SNIPPET))
    end = start + SNIPPET
    if start and (blank := text.find(" ", start, first)) >= 0:
        start = blank + 1
    if end < len(text) and (blank := text.rfind(" ", first + 1, end)) > start:
        end = blank
    return start, end


def covering(texts: Iterable[str], asked: Question) -> tuple[int, list[Word]]:
    """Which of `texts` (its number) holds most of the words asked for, the first of equals, and where."""
    best: tuple[int, int, list[Word]] = (-1, 0, [])
    for n, text in enumerate(texts):
        found = hits(asked, text)
        if (count := len({word.text for word in found})) > best[0]:
            best = (count, n, found)
    return best[1], best[2]
