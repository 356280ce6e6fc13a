"""Text: what may be stored, the folded key that search, sort and uniqueness compare, and slugs.

Keys are computed here and never in SQL, because SQLite folds ASCII alone and PostgreSQL folds by locale.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from uuid import UUID

from pydantic_core import PydanticCustomError

SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
SLUG_LENGTH = 100
_WORDS = re.compile("[a-z0-9]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)

_UNSEEN = frozenset(("Mn", "Me", "Cf"))  # marks and format characters, which need a letter to stand on
# Zero-width joiners and direction marks are letters' companions in Persian, Hebrew and Indic scripts, so they stay.
# Overrides, isolates and zero-width spaces only serve to make one name look like another.
_DECEPTIVE = frozenset("\u00ad\u061c\u180e\u200b\u2060\ufeff") | frozenset(
    map(chr, (*range(0x202A, 0x202F), *range(0x2061, 0x2065), *range(0x2066, 0x2070), *range(0xFFF9, 0xFFFC)))
)
MOST_MARKS = 30
"""So many combining marks may follow one character: the Stream-Safe Text Format of UAX #15. Normalising sorts them, which
takes the square of their number."""
# Tibetan vowel signs that are no marks by their class, and come apart into nothing but marks when they are normalised.
_HIDDEN_MARKS = frozenset("\u0f73\u0f75\u0f81")
LETTERS = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ı": "i"})
# What XML 1.0 cannot hold, not even as a character reference. (The registry refuses most of it.)
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _forbidden(character: str, *, lines: bool) -> bool:
    if character in "\n\t":
        return not lines
    if character in _DECEPTIVE:
        return True
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Zl", "Zp") or (category == "Cn" and ord(character) & 0xFFFE == 0xFFFE)


def clean(text: str, *, lines: bool = False) -> str:
    """NFC, trimmed. Raises PydanticCustomError for NUL, controls, lone surrogates, noncharacters and for
    invisible characters that only serve look-alikes, and for a heap of combining marks; `lines` allows line breaks
    and tabs."""
    if not text.isascii() or not text.isprintable():
        marks = 0
        for character in text.replace("\r\n", "\n") if lines else text:
            if _forbidden(character, lines=lines):
                raise PydanticCustomError(
                    "forbidden_character",
                    "The character U+{code} is not allowed here",
                    {"code": f"{ord(character):04X}"},
                )
            marks = marks + 1 if unicodedata.combining(character) or character in _HIDDEN_MARKS else 0
            if marks > MOST_MARKS:
                raise PydanticCustomError(
                    "combining_marks",
                    "More than {most} combining marks on one character are no text",
                    {"most": MOST_MARKS},
                )
        text = unicodedata.normalize("NFC", text.replace("\r\n", "\n") if lines else text)
    return text.strip()


def clean_line(text: str) -> str:
    """`clean` for a text of one line that must show something."""
    if text.isascii() and text.isprintable() and (shown := text.strip()):
        return shown
    text = clean(text)
    if all(character.isspace() or unicodedata.category(character) in _UNSEEN for character in text):
        raise PydanticCustomError("blank", "A text with nothing visible in it is not allowed here")
    return text


def clean_prose(text: str) -> str:
    """`clean` for a text that may run over several lines."""
    return clean(text, lines=True)


def for_xml(text: str) -> str:
    """The text with U+FFFD for each character that XML 1.0 does not allow. Not escaped."""
    return _NOT_XML.sub("\ufffd", text)


def fold(text: str) -> str:
    """The key under which two spellings are one: NFKD, marks and invisible characters stripped, case folded,
    white space single. `İLO` and `ilo` have one key, as have `Straße` and `STRASSE`, `ÖBB` and `obb`."""
    return _folded(text) if len(text) <= SHORT else " ".join(bare(text).split())


SHORT = 255
"""Texts up to this length, as names are, are known for a while: of one name slug, key, claim and words all begin with this."""


@lru_cache(maxsize=4096)
def _folded(text: str) -> str:
    return " ".join(bare(text).split())


def bare(text: str) -> str:
    """`text` in NFKD, without marks and invisible characters, case folded; its white space as it is."""
    if text.isascii():
        return text.casefold()
    spread = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(c for c in spread if unicodedata.category(c) not in _UNSEEN)


def slugify(text: str) -> str:
    """A slug made from a name: ASCII words joined by hyphens, at most SLUG_LENGTH characters; "" where a name
    has no Latin letter or digit (the caller then has to make one)."""
    folded = fold(text)
    if not folded.isascii():
        folded = folded.translate(LETTERS).replace("’", "")
    words = _WORDS.findall(folded.replace("'", ""))
    if len(folded) <= SLUG_LENGTH - 5:
        return "-".join(words)
    slug = ""
    for word in words:
        longer = f"{slug}-{word}" if slug else word
        if len(longer) > SLUG_LENGTH - 5:  # room for "-9999", should the slug be taken
            break
        slug = longer
    return slug or (words[0][: SLUG_LENGTH - 5] if words else "")


def is_slug(text: str) -> bool:
    return len(text) <= SLUG_LENGTH and SLUG.fullmatch(text) is not None and not is_id(text)


def is_id(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


def key_of(text: str) -> UUID | str | None:
    """What a path segment or a reference names: an id, a slug, or nothing that can exist."""
    if is_id(text):
        return UUID(text)
    return text if is_slug(text) else None
