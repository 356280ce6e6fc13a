"""Loose names: what people write for an organization, taken apart to be matched and hinted at, never to be stored.

* "World Health Organization (WHO)" has a name and an acronym; "(formerly …)" and "(f.k.a. …)" hold a former name,
  "(a.k.a. …)" another one. Anything else in brackets belongs to the name: "(except contributions tied to roads)".
* " / " with blanks stands between two names of one body, as does " | ". HIV/AIDS is one word.
* "Int'l Org." is "International Organization"; an English article before the name, or last after a comma, is left out.
* A name that is nothing but an acronym is both: ECO may be any of several bodies.
"""

import re
import unicodedata
from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache, partial

from app.kit.text import fold

MAX_LENGTH = 500
"""In characters; a longer text is no name and stays whole. Normalising may take the square of the length."""


@dataclass(frozen=True, slots=True)
class LooseName:
    name: str
    """In full words, without what the other fields hold."""
    acronym: str | None = None
    former: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    """Its other names and acronyms, in the order in which they stand."""


def read_name(text: str) -> LooseName:
    """What a free name says, by the rules above. No text is refused; a blank one has an empty name."""
    written = " ".join(text.split())
    if len(written) > MAX_LENGTH:
        return LooseName(written)
    first, *others = [_taken_apart(part) for part in _parts(unicodedata.normalize("NFC", written))]
    other_names = (name for part in others for name in (part.name, part.acronym, *part.alternatives) if name)
    return LooseName(
        first.name,
        first.acronym,
        _distinct(name for part in (first, *others) for name in part.former),
        _distinct((*first.alternatives, *other_names), but=(first.name, first.acronym)),
    )


def words(name: str) -> list[str]:
    """The significant words of a name, folded (`app.kit.text.fold`), in order: without English, French and Spanish
    articles and prepositions, British and American spellings made one. All words, if none is significant. Only the
    first MAX_LENGTH characters are looked at."""
    joined = _CO.sub("co", _expanded(fold(name[:MAX_LENGTH])).replace("’", "'"))
    bare = _ELIDED.sub("", _POSSESSIVE.sub("", joined)).replace("'", "")
    if bare.isascii():
        spaced = _NO_WORD.sub(" ", bare)
    else:
        spaced = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in bare)
    found = [spelled for word in spaced.split() for spelled in _spelling(word)]
    significant = [word for word in found if word not in _STOP_WORDS] or found
    return _CO_WORDS.sub("co", " ".join(significant)).split()


def _distinct(names: Iterable[str], *, but: Container[str | None] = ()) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name not in but))


# --- one name and its brackets ---------------------------------------------------------------------------------------

_SEPARATOR = re.compile(r" [/|] ")
_LAST_BRACKETS = re.compile(r"(.*\S)\s*\(([^()]+)\)", re.DOTALL)
_ARTICLE = re.compile(r"\A(?:the\s+)+(?=\S)|(?<=\S)(?:,\s*the)+\Z", re.IGNORECASE)
_FORMER = re.compile(
    r"(?:fka|formerly(?: known as| called)?|previously(?: known as| called)?|ex|anciennement|autrefois|antes"
    r"|anteriormente|früher|ehemals)[\s:.,-]+(.+)",
    re.IGNORECASE,
)
_ALSO = re.compile(
    r"(?:aka|also(?: known as| called)?|alias|dite?|aussi|también|auch)[\s:.,-]+(.+)",
    re.IGNORECASE,
)
_ACRONYM = re.compile(r"[^\W_](?:[^\W_]|[-/&.'’ ](?=[^\W_])){1,14}")
_PLACES = frozenset(("UK", "US", "USA", "UAE", "EU", "DRC", "PRC", "DPRK"))
"""After the name of a ministry they say where it is."""
_NUMERAL = re.compile(r"[IVX]+")


def _parts(text: str) -> list[str]:
    """The text cut at each separator that stands outside of brackets."""
    parts, begun = [], 0
    for match in _SEPARATOR.finditer(text):
        before = text[begun : match.start()]
        if before.count("(") == before.count(")"):
            parts.append(before)
            begun = match.end()
    return [*parts, text[begun:]]


def _taken_apart(part: str) -> LooseName:
    name = _without_article(_expanded(part))
    acronym: str | None = None
    former: list[str] = []
    others: list[str] = []
    while match := _LAST_BRACKETS.fullmatch(name):
        inside = match[2].strip()
        if earlier := _FORMER.fullmatch(inside):
            former.insert(0, earlier[1])
        elif another := _ALSO.fullmatch(inside):
            others.insert(0, another[1])
        elif _is_acronym(inside):
            others[:0] = [acronym] if acronym else []
            acronym = inside
        else:
            break
        name = _without_article(match[1])
    if acronym is None and " " not in name and _is_acronym(name):
        acronym = name
    return LooseName(name, acronym, tuple(former), tuple(others))


def _without_article(name: str) -> str:
    return _ARTICLE.sub("", name)


def _is_acronym(text: str) -> bool:
    """Short, and capitals for the most part: WHO, G20, CoE, ITU-R, IPA CIS."""
    if not _ACRONYM.fullmatch(text) or text in _PLACES or _NUMERAL.fullmatch(text) or text.count(" ") > 1:
        return False
    capitals = sum(character.isupper() for character in text)
    return capitals > 0 and 2 * capitals >= sum(character.isalpha() for character in text)


# --- words -----------------------------------------------------------------------------------------------------------

# Only what has one meaning: "comm." may be a commission or a committee, "fed." a federation or federal.
_ABBREVIATIONS = (
    (r"int['’]l\.?|intl\.|int\.", "international"),
    (r"nat['’]l\.?|natl\.|nat\.", "national"),
    (r"gov['’]t\.?|govt\.", "government"),
    (r"orgs?\.|orgn\.", "organization"),
    (r"econ\.", "economic"),
    (r"co-?op\.", "co-operation"),
    (r"dev\.", "development"),
    (r"univ\.", "university"),
    (r"inst\.", "institute"),
    (r"min\.", "ministry"),
    (r"dep['’]t\.?|dept\.", "department"),
    (r"ass['’]n\.?|assn\.|assoc\.", "association"),
    (r"acad\.", "academy"),
    (r"soc\.", "society"),
    (r"found\.", "foundation"),
    (r"ctr\.|cent\.", "centre"),
    (r"conf\.", "conference"),
    (r"sci\.", "sciences"),
    (r"(?<=\s)&(?=\s)", "and"),
)


@cache
def _abbreviations() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(rf"(?<![\w'’.])(?:{looks})(?!\w)", re.IGNORECASE), word) for looks, word in _ABBREVIATIONS)


_DOTTED = re.compile(r"(?<![\w.])(?:[^\W\d_]\.){2,}")

_SPELLINGS = {
    "un": "united nations",
    "labour": "labor",
    "centre": "center",
    "centres": "centers",
    "programme": "program",
    "programmes": "programs",
    "defence": "defense",
    "harbour": "harbor",
    "harbours": "harbors",
    "neighbourhood": "neighborhood",
    "behaviour": "behavior",
    "behavioural": "behavioral",
    "theatre": "theater",
    "intl": "international",
    "natl": "national",
    "govt": "government",
    "orgn": "organization",
    "dept": "department",
    "assn": "association",
    "ctr": "center",
}
_IZATION = re.compile(r"isation(s|al)?\Z")
_CO = re.compile(r"\bco[-‐](?=o)")
_CO_WORDS = re.compile(r"\bco (?=operati|ordinat)")
_NO_WORD = re.compile("[^0-9A-Za-z]+")
"""What stands between words in ASCII."""
_POSSESSIVE = re.compile(r"(?<=\w)'s(?!\w)")
_ELIDED = re.compile(r"(?<![\w'])(?:l|d|qu)'(?=\w)")
_ENGLISH = "a an and at by for from in of on the to with"
_FRENCH = "a au aux d de des du en et l la le les par pour sur"
_SPANISH = "al con de del el en la las los para por y"
_STOP_WORDS = frozenset(f"{_ENGLISH} {_FRENCH} {_SPANISH}".split())


_SHORTENED = re.compile(r"[.'’&]")
"""What every abbreviation holds one of. Most names have none, and would be looked through twenty times."""


def _expanded(name: str) -> str:
    if not _SHORTENED.search(name):
        return name
    for pattern, word in _abbreviations():
        name = pattern.sub(partial(_in_full, word), name)
    return _DOTTED.sub(lambda match: match[0].replace(".", ""), name)


def _in_full(word: str, match: re.Match[str]) -> str:
    return word.capitalize() if match[0][0].isupper() else word


@lru_cache(maxsize=4096)  # names are made of few words
def _spelling(word: str) -> tuple[str, ...]:
    return tuple(_IZATION.sub(r"ization\1", _SPELLINGS.get(word, word)).split())
