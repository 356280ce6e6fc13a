"""Dates as people know them: EDTF text, kept as given, and the days between which it can lie.

The Extended Date/Time Format is part of ISO 8601-2:2019; the Library of Congress publishes its
specification at https://www.loc.gov/standards/datetime/. Level 0 is supported (YYYY, YYYY-MM, YYYY-MM-DD and
intervals of them) without times of day, and of the higher levels:

    2011?  2011~  2011%    uncertain, approximate, both: at the end of any date          level 1
    201X  20XX             some year of that decade, of that century                     level 1
    2014-XX  2014-XX-XX    some month, some day of that year                             level 1
    2014-12-XX             some day of that month                                        level 1
    1999/..  ../2005       an interval with an open end (still going), an open start     level 1
    1999/  /2005           an interval whose end, whose start is not known               level 1
    2014-21 to 2014-24     spring, summer, autumn, winter of an unnamed hemisphere       level 1
    2018-33 to 2018-36     the quarters of a year                                        level 2
    2018-Q1 to 2018-Q4     the same quarters, as people write them                       our own

Years run from 0001 to 9999. Times of day, longer or negative years and the other forms of level 2 are refused.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import NoReturn

FIRST = date.min
"""0001-01-01, which also stands for a start that is open or unknown."""

LAST = date.max
"""9999-12-31, which also stands for an end that is open or unknown."""

MAX_LENGTH = 64
"""In characters. The longest text with a meaning has 23: two marked days and a slash."""


class EdtfError(ValueError):
    """The text is not a date that can be kept; the message tells the person who must fix it what to write."""


@dataclass(frozen=True, slots=True)
class Edtf:
    """A date or an interval, and what is known of the days on which it began and ended.

    A date without a slash is something that happened at an unknown moment within it: ``2014`` began and ended
    on one unknown day of that year. Of a date marked ``?``, ``~`` or ``%`` nothing is sure, so that ``begun`` is
    LAST and ``ended`` is FIRST; a mark on one end of an interval affects the bound of that end only.

    Always: earliest <= begun, ended <= latest, earliest <= latest.
    """

    text: str
    """As given."""
    earliest: date
    """The first day on which it can have begun."""
    begun: date
    """The last day on which it can have begun: from then on it surely has."""
    ended: date
    """The first day on which it can have ended: until then it surely has not."""
    latest: date
    """The last day on which it can have ended."""

    def possible(self, start: date, end: date) -> bool:
        """Whether it may overlap the days from `start` to `end`, both included."""
        return self.earliest <= end and self.latest >= start

    def certain(self, start: date, end: date) -> bool:
        """Whether it overlaps the days from `start` to `end`, both included, whatever the true dates are."""
        return self.begun <= end and self.ended >= start


@lru_cache(maxsize=4096)
def parse(text: str) -> Edtf:
    """Read EDTF (ISO 8601-2 level 0 and the parts of 1 and 2 named above) into its bounds.

    Raises EdtfError for anything else, blanks around the date included.
    """
    if len(text) > MAX_LENGTH:
        raise EdtfError(f"a date has at most {MAX_LENGTH} characters, this text has {len(text)}")
    start, slash, end = text.partition("/")
    return _interval(text, start, end) if slash else _event(text)


# The grammar of one date: year, season or quarter, month, day, mark. What it lets through is a date unless it
# names the year 0000, or a day that its month does not have.
_DATE = re.compile(
    r"""
    ([0-9]{4} | [0-9]{3}X | [0-9]{2}XX)
    (?: (?<!X) -          # digits are left open only in a year that stands alone
        (?: (2[1-4] | 3[3-6] | Q[1-4] | XX | XX-XX)
          | (0[1-9] | 1[0-2]) (?: - (?: ([0-9]{2}) | XX ) )?
        )
    )?
    ([?~%])?
    """,
    re.VERBOSE,
)

# The first and the last month of what may stand in the place of a month. ISO 8601-2 does not say when a season
# is, and spring in one hemisphere is autumn in the other: the only honest bounds are those of the year.
_YEAR = (1, 12)
_QUARTERS = ((1, 3), (4, 6), (7, 9), (10, 12))
_PARTS = (
    {"": _YEAR, "XX": _YEAR, "XX-XX": _YEAR, "21": _YEAR, "22": _YEAR, "23": _YEAR, "24": _YEAR}
    | {f"{code}": months for code, months in enumerate(_QUARTERS, start=33)}
    | {f"Q{number}": months for number, months in enumerate(_QUARTERS, start=1)}
    | {f"{month:02}": (month, month) for month in range(1, 13)}
)

_OPEN, _UNKNOWN = "..", ""
_STARTS = {_OPEN: (FIRST, FIRST, True), _UNKNOWN: (FIRST, LAST, True)}
_ENDS = {_OPEN: (LAST, LAST, True), _UNKNOWN: (FIRST, LAST, True)}


def _event(text: str) -> Edtf:
    first, last, sure = _date(text, text)
    return Edtf(text, first, last, first, last) if sure else Edtf(text, first, LAST, FIRST, last)


def _interval(text: str, start: str, end: str) -> Edtf:
    if start in _STARTS and end in _ENDS:
        _refuse(text)
    earliest, begun, start_sure = _STARTS.get(start) or _date(start, text)
    ended, latest, end_sure = _ENDS.get(end) or _date(end, text)
    if latest < earliest:
        raise EdtfError(f"{text!r} ends before it begins")
    # Nothing ends before it begins, so each end bounds the other: 2014-06/2014 cannot have ended in May. An end
    # that is not sure of itself bounds nothing.
    if start_sure and end_sure:
        return Edtf(text, earliest, min(begun, latest), max(ended, earliest), latest)
    return Edtf(text, earliest, begun if start_sure else LAST, ended if end_sure else FIRST, latest)


def _date(text: str, whole: str) -> tuple[date, date, bool]:
    """The first and the last day of a date, and whether it is free of ``?``, ``~`` and ``%``."""
    match = _DATE.fullmatch(text)
    if match is None:
        _refuse(whole, text)
    years, part, month, day, mark = match.groups("")
    try:
        return *_days(years, part or month, day), not mark
    except ValueError:
        _refuse(whole, text)


def _days(years: str, part: str, day: str) -> tuple[date, date]:
    """The first and the last day; raises ValueError when the calendar has no such day."""
    first_month, last_month = _PARTS[part]
    first_year, last_year = int(years.replace("X", "0")), int(years.replace("X", "9"))
    first_day, last_day = (int(day), int(day)) if day else (1, monthrange(last_year, last_month)[1])
    return date(first_year, first_month, first_day), date(last_year, last_month, last_day)


def _rows(*rows: tuple[str, str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern, re.IGNORECASE | re.DOTALL), hint) for pattern, hint in rows)


_NOT_STATED = "leave the field empty when the date is not stated"
_ONGOING = r"(?:ongoing|on-going|present|current|now|today|to date|en cours)"
_WORD = r"[^\W\d_]{3,}\.?"

HINT_OTHERWISE = "write YYYY, YYYY-MM, YYYY-MM-DD or an interval such as 2014/2016"

# What people write instead, and what to tell them. The first row whose pattern fits the whole text wins; \1 is
# what its groups caught. No hint chooses between two readings: it names both, or asks.
HINTS = _rows(
    (r"\s*", _NOT_STATED),
    (r"\s.*|.*\s", "remove the blanks around it"),
    (r".*[^\D0-9].*", "write the digits as 0 to 9"),
    (r"[-–—?*.]|n\.?/?[ad]\.?|tb[acd]|none|null|nil|unknown|not stated", _NOT_STATED),
    (r"(?:\.\.)?/?(?:\.\.)?", "an interval needs a date at one end at least, as in 1999/.. or ../2005"),
    # intervals in words and with dashes
    (_ONGOING, "write the start and an open end, as in 1999/.."),
    (rf"([0-9]{{4}})\s*(?:[-–—/,]|to)?\s*\(?(?:{_ONGOING}|open)\)?", r"write \1/.. for what is still going"),
    (r"([0-9]{4})/(?:unknown|\?)", r"write \1/ when the end is not known"),
    (r"([0-9]{4})\s*(?:[-–—]|to|\.\.)\s*([0-9]{4})", r"write an interval with a slash: \1/\2"),
    (r"([0-9]{4})\s*[-–—]", r"write \1/.. if it is still going, \1/ if its end is not known"),
    (r"[-–—]\s*([0-9]{4})", r"years before 0001 are not kept; if it means until \1, write /\1"),
    (r"(?:since|from|after|depuis|desde)\s+([0-9]{4})", r"write \1/.. if it began in \1 and is still going"),
    (
        r"(?:before|until|till|up to|avant|antes de)\s+([0-9]{4})",
        r"write ../\1 if its start is open, /\1 if its start is not known",
    ),
    (r".*\s/.*|.*/\s.*", "remove the blanks around the slash"),
    (r"([0-9]{4})[-–—/][0-9]{2,4}\s+\D+", r"leave the remark out and write both years in full: \1/YYYY"),
    (r"([0-9]{4})/(0[1-9]|1[0-2])", r"ambiguous: write \1-\2 for a month, or both years in full: \1/YYYY"),
    (r"([0-9]{4})/[0-9]{2}", r"write both years in full: \1/YYYY"),
    # approximate dates
    (r"(?:c|ca|circa|about|around|approx|approximately|vers)\.?\s*([0-9]{4})", r"write \1~"),
    (r"([0-9]{2})00['’]?s", r"ambiguous: write \g<1>XX for the century, \g<1>0X for the decade"),
    (r"([0-9]{3})0['’]?s", r"write \1X"),
    # parts of a year
    (r"[QT]([1-4])[\s/-]*([0-9]{4})", r"write \2-Q\1"),
    (r"([0-9]{4})[\s/-]*[QT]([1-4])", r"write \1-Q\2"),
    (
        r"(?:spring|summer|autumn|fall|winter)\s+([0-9]{4})",
        r"write \1-21 for spring, \1-22 for summer, \1-23 for autumn, \1-24 for winter",
    ),
    (rf"{_WORD},?\s+([0-9]{{4}})", r"words are not read; if it names a month, write its number: \1-MM"),
    # days
    (rf"{_WORD}[\s'’-]+[0-9]{{2}}", "ambiguous: write YYYY-MM for a month of a year, YYYY-MM-DD for a day"),
    (
        rf"[0-9]{{1,2}}\w*\.?[\s-](?:de )?{_WORD},?[\s-](?:de )?([0-9]{{4}})|{_WORD}\s[0-9]{{1,2}}\w*,?\s([0-9]{{4}})",
        r"write the month as a number: \1\2-MM-DD",
    ),
    (
        r"[0-9]{1,2}([/.-])[0-9]{1,2}\1[0-9]{2,4}",
        "ambiguous: it does not say which number is the day and which the month; write YYYY-MM-DD",
    ),
    (r"([0-9]{4})[/.]([0-9]{2})[/.]([0-9]{2})", r"write it with hyphens: \1-\2-\3"),
    (r"([0-9]{4})([0-9]{2})([0-9]{2})", r"write it with hyphens: \1-\2-\3"),
    (r"[0-9]{5}(?:\.[0-9]+)?", "ambiguous date: this may be a spreadsheet's day number; write YYYY-MM-DD"),
    (r"([0-9]{4}(?:-[0-9]{2}){0,2})\s*[*†‡§¹²³\[].*", r"leave the footnote mark out: \1"),
    (r".+\s\(.*\)", "put the remark elsewhere and write the date alone, YYYY-MM-DD if its day is known"),
    (r".*\d[T\s]\d\d?:.*", "leave the time of day out"),
    # numbers that are not in the calendar
    (r"([0-9]{4})(0[1-9]|1[0-2])", r"write it with a hyphen: \1-\2"),
    (r"000[0X].*|00XX.*|Y?-?[0-9]{5,}.*|-[0-9].*", "years run from 0001 to 9999"),
    (r"([0-9]{4})-00", r"ambiguous: there is no month 00; write \1, or both years in full: \1/YYYY"),
    (r"([0-9]{4})-00-00|([0-9]{4}-[0-9]{2})-00", r"leave out what is not known: \1\2"),
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}[?~%]?", "the calendar has no such day"),
    (
        r"([0-9]{4})-([0-9]{2})[?~%]?",
        r"ambiguous: there is no month \2; if it is a year, write both in full: \1/YYYY",
    ),
    (r"[0-9]{4}-Q.*", "the quarters are Q1, Q2, Q3 and Q4"),
    (r"[0-9]{1,3}", "write a year with four digits"),
    # signs of EDTF in the wrong place
    (r"(?-i:[0-9ux-]*[ux][0-9ux-]*)", "write a digit that is not known as a capital X"),
    (r"[0-9-]*X[0-9X-]*", "X may stand for the last digit or two of a year alone, for a whole month or a whole day"),
    (r".*[?~%]{2}.*", "write % for a date that is both uncertain (?) and approximate (~)"),
    (r"[^/]*[?~%][^/]+", "a mark (? ~ %) stands at the end of a date, or of each end of an interval"),
    (r"[\[{].*", "sets of dates are not kept: write an interval from the first to the last"),
    (r".*/.*/.*", "an interval has one slash"),
    (r".*[–—−‐‑].*", "write each hyphen as a plain -"),
)


def _refuse(*texts: str) -> NoReturn:
    """Raise the first hint that fits: the whole text is tried before the end that could not be read."""
    matches = ((pattern.fullmatch(text), hint) for text in texts for pattern, hint in HINTS)
    hint = next((match.expand(hint) for match, hint in matches if match), HINT_OTHERWISE)
    raise EdtfError(f"{texts[0]!r} is not an EDTF date: {hint}")
