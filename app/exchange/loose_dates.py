"""Loose dates: what people write in sheets and papers becomes EDTF, or a hint that says what to write instead.

Nothing is guessed. A text is read when everybody would read it alike, and is refused when it has two readings, when a
part of it would be lost (a remark, a footnote mark) or when it needs to be known what its author meant:

* EDTF is taken at its word, before all else: 2014-12 is a month, and 2014-21 the spring of 2014. What is exported comes
  back as it was.
* 04/12/2014 is two days and refused; 13/05/2018 and 05/05/2018 are one. A person who knows of the whole file which
  number stands first may say so (`first`).
* 04.12.2014 is 4 December: whoever writes dates with dots writes the day first (DIN 5008 and its likes).
* "since 1999" says that it still goes on (1999/..); "from 2008" and "until 2016" are silent about the other end (2008/
  and /2016); a dash with nothing after it may be either, and is refused.

Names of months are read in English, French, Spanish and German.
"""

import re
import unicodedata
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Literal, NoReturn

from app.kit import edtf

MAX_LENGTH = 100
"""In characters: so much is looked at, however long a cell is."""

First = Literal["day", "month"]
"""Which of two numbers stands first in 04/12/2014."""


class DateHint(ValueError):
    """The text cannot be taken as a date; the message says what to write, to the person who wrote it."""


def edtf_of(text: str, *, first: First | None = None) -> str | None:
    """The EDTF (ISO 8601-2, as app/kit/edtf.py reads it) of what a person wrote; None where no date is stated.

    `first` is what the person says of the file: which number stands first in dates such as 04/12/2014. Raises DateHint.
    """
    if len(text) > MAX_LENGTH:
        raise DateHint(f"a date has at most {MAX_LENGTH} characters, this text has {len(text)}")
    written = _written(text)
    if _NOT_STATED.fullmatch(written):
        return None
    return _read(_in_order(written, first) if first else written)


_NOT_STATED = re.compile(
    r"""
      [-–]{0,3} | \.{1,3} | … | \?{1,3}
    | \#?n/?a | n\.a\.? | n/?d | n\.d\.? | s[./][df]\.? | k\.[ ]?a\. | nan | nat | none | null | nil
    | tb[acd] | to[ ]be[ ](?:announced|confirmed|decided|determined) | à[ ](?:confirmer|déterminer) | por[ ]confirmar
    | unknown | not[ ](?:known|stated|available|applicable|specified) | undated | no[ ]date
    | inconnue? | non[ ]précisée? | sans[ ](?:date|objet) | desconocid[ao] | sin[ ]fecha | no[ ]disponible
    | unbekannt | nicht[ ]bekannt | keine[ ]angabe
    """,
    re.VERBOSE | re.IGNORECASE,
)

_BLANKS_AROUND_SLASH = re.compile(r" ?/ ?")
# Dashes that are longer than a hyphen never stand within a date: 2009–10 is no month.
_SIGNS = str.maketrans(
    {**dict.fromkeys("‐‑﹣－", "-"), **dict.fromkeys("‒—―−", "–"), **dict.fromkeys("‘’ʼ", "'"), "／": "/", "．": "."}
)


def _written(text: str) -> str:
    """The text with plain digits of any script, single blanks, and one kind of hyphen, of dash and of apostrophe."""
    text = unicodedata.normalize("NFC", text).translate(_SIGNS)
    digits = "".join(character if (n := unicodedata.decimal(character, -1)) < 0 else str(n) for character in text)
    return _BLANKS_AROUND_SLASH.sub("/", " ".join(digits.split()))


_NUMERIC = re.compile(r"(?<![0-9])([0-9]{1,2})(?P<sign>[/.-])\s?([0-9]{1,2})(?P=sign)\s?([0-9]{4})(?![0-9])")


def _in_order(text: str, first: First) -> str:
    """The text with its days in digits turned round to YYYY-MM-DD."""
    month, day = (1, 3) if first == "month" else (3, 1)
    return _NUMERIC.sub(lambda match: f"{match[4]}-{int(match[month]):02}-{int(match[day]):02}", text)


def _is_edtf(text: str) -> bool:
    try:
        edtf.parse(text)
    except edtf.EdtfError:
        return False
    return True


def _checked(text: str) -> str:
    """The EDTF, if it is in the calendar and does not end before it begins."""
    try:
        return edtf.parse(text).text
    except edtf.EdtfError as error:
        raise DateHint(str(error)) from None


def _read(text: str) -> str:
    return text if _is_edtf(text) else _tried(PERIODS + DATES, text)


def _one(text: str) -> str:
    """The EDTF of a single date, not of a period."""
    return text if _is_edtf(text) and "/" not in text else _tried(DATES, text)


# --- the words -------------------------------------------------------------------------------------------------------

_MONTH_NAMES = (
    "january jan janvier janv enero ene januar jänner",
    "february feb février fevrier févr fevr fév fev febrero februar",
    "march mar mars marzo märz marz mrz",
    "april apr avril avr abril abr",
    "may mai mayo",
    "june jun juin junio juni",
    "july jul juillet juil julio juli",
    "august aug août aout agosto ago",
    "september sept sep septembre septiembre setiembre",
    "october oct octobre octubre oktober okt",
    "november nov novembre noviembre",
    "december dec décembre decembre déc diciembre dic dezember dez",
)
_MONTHS = {name: number for number, names in enumerate(_MONTH_NAMES, start=1) for name in names.split()}
_ENGLISH = [names.split()[0].capitalize() for names in _MONTH_NAMES]

_MONTH = "(" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + ")"
_YEAR = "([0-9]{4})"
_ORDINAL = "(?:st|nd|rd|th|er|[.º°])?"
_DAY = f"([0-9]{{1,2}}){_ORDINAL}"
_GAP = r"[\s.,/-]*(?:(?:of|de|del)\s+)?"
_TO = r"(?:\s*–\s*|\s+-\s+|\s+(?:to|until|till|through|bis|au|à|al|a|hasta)\s+)"
_TIGHT_TO = rf"(?:{_TO}|-)"
_FROM = r"(?:(?:from|de|du|del|desde|von|vom)\s+)?"
_SINCE = r"(?:(?:ongoing|en cours)\s+)?(?:since|seit|depuis|desde)(?:\s+(?:the|le|dem|el))?"
_FROM_ON = r"(?:with effect from|as from|from|starting(?: in)?|ab|à partir d[eu]|a partir de)(?:\s+(?:le|el|dem))?"
_UNTIL = r"(?:until|till|up to|bis|jusqu'(?:en|au|à)|hasta)"
_GOES_ON = r"(?:ongoing|on-going|to date|to the present|en cours|à ce jour|en curso|laufend)"
_NOW = rf"(?:{_GOES_ON}|(?:the )?present|current|now|today|date|aujourd'hui|(?:la )?actualidad|heute)"
_ABOUT = r"(?:(?:circa|approximately|approx|about|around|environ|vers|hacia|um|ca|c)(?![a-z])\.?|~)"
_TWO_YEARS = (
    r"(?:academic year|school year|financial year|fiscal year|biennium|année (?:académique|universitaire|scolaire)"
    r"|exercice biennal|año académico|curso(?: académico)?|bienio|studienjahr|schuljahr)"
)
_MARKS = "*†‡§¹²³⁰⁴⁵⁶⁷⁸⁹"


# --- one date --------------------------------------------------------------------------------------------------------

Match = re.Match[str]


def _month(name: str) -> int:
    return _MONTHS[name.lower()]


def _day_month_year(match: Match) -> str:
    return _checked(f"{match[3]}-{_month(match[2]):02}-{int(match[1]):02}")


def _month_day_year(match: Match) -> str:
    return _checked(f"{match[3]}-{_month(match[1]):02}-{int(match[2]):02}")


def _year_month_day(match: Match) -> str:
    return _checked(f"{match[1]}-{_month(match[2]):02}-{int(match[3]):02}")


def _month_year(match: Match) -> str:
    return _checked(f"{match[2]}-{_month(match[1]):02}")


def _year_month(match: Match) -> str:
    return _checked(f"{match[1]}-{_month(match[2]):02}")


def _year_first(match: Match) -> str:
    return _checked(f"{match[1]}-{int(match[3]):02}-{int(match[4]):02}")


def _numeric_month(match: Match) -> str:
    return _checked(f"{match[2]}-{int(match[1]):02}")


def _numeric(match: Match) -> str:
    one, two, year = int(match[1]), int(match[2]), int(match[3])
    readings = sorted({pair for pair in ((two, one), (one, two)) if _in_calendar(year, *pair)}, reverse=True)
    forms = [f"{year:04}-{month:02}-{day:02}" for month, day in readings]
    if len(readings) == 1:
        return forms[0]
    if not readings:
        raise DateHint(f"{match[0]!r} is no day of the calendar: write YYYY-MM-DD")
    names = " or ".join(f"{day} {_ENGLISH[month - 1]}" for month, day in readings)
    raise DateHint(f"{match[0]!r} may be {names}: write {' or '.join(forms)}")


def _dotted(match: Match) -> str:
    return _checked(f"{match[3]}-{int(match[2]):02}-{int(match[1]):02}")


def _in_calendar(year: int, month: int, day: int) -> bool:
    return year > 0 and 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]


def _quarter(match: Match) -> str:
    return _checked(f"{match['year']}-Q{match['quarter']}")


def _decade(match: Match) -> str:
    tens = match["tens"]
    if tens.endswith("0"):
        raise DateHint(f"{match[0]!r} may be a century or a decade: write {tens[:2]}XX or {tens}X")
    return _checked(f"{tens}X")


def _approximate(match: Match) -> str:
    return _checked(f"{_one(match[1])}~")


def _uncertain(match: Match) -> str:
    return _checked(f"{_one(match[1])}?")


# --- periods ---------------------------------------------------------------------------------------------------------


def _open_end(match: Match) -> str:
    return _checked(f"{_one(match[1])}/..")


def _unknown_end(match: Match) -> str:
    return _checked(f"{_one(match[1])}/")


def _unknown_start(match: Match) -> str:
    return _checked(f"/{_one(match[1])}")


def _from_to(match: Match) -> str:
    return _checked(f"{_one(match[1])}/{_one(match[2])}")


def _two_years(match: Match) -> str:
    start, end = int(match["start"]), _second_year(match["start"], match["end"])
    if end != start + 1:
        raise DateHint(f"{match[0]!r} is not two years that follow each other: write both in full, as in 2016/2017")
    return _checked(f"{start:04}/{end:04}")


def _second_year(start: str, end: str) -> int:
    """1999 and 00 are 1999 and 2000."""
    if len(end) == 4:
        return int(end)
    year = int(start) // 100 * 100 + int(end)
    return year if year > int(start) else year + 100


def _days_of_month(match: Match) -> str:
    month = f"{match[4]}-{_month(match[3]):02}"
    return _checked(f"{month}-{int(match[1]):02}/{month}-{int(match[2]):02}")


def _month_days(match: Match) -> str:
    month = f"{match[4]}-{_month(match[1]):02}"
    return _checked(f"{month}-{int(match[2]):02}/{month}-{int(match[3]):02}")


def _one_year(match: Match) -> str:
    """The year stands once, at the end of the period."""
    year = match["year"]
    start, end = (_one(f"{match[side]} {year}") for side in ("start", "end"))
    if end < start:
        raise DateHint(f"{match[0]!r} ends before it begins: write both years, as in 2014-12/2015-03")
    return _checked(f"{start}/{end}")


# --- hints -----------------------------------------------------------------------------------------------------------


def _hint(message: str) -> Callable[[Match], NoReturn]:
    """A function that refuses what was matched. In the message, {0} is the text and {1} its first group."""

    def refuse(match: Match) -> NoReturn:
        raise DateHint(message.format(repr(match[0]), *match.groups("")))

    return refuse


def _remark(match: Match) -> NoReturn:
    form = _read(match[1])
    raise DateHint(f"{match[0]!r} has a remark: put {match[2]!r} elsewhere and write {form}")


def _footnote(match: Match) -> NoReturn:
    form = _read(match[1])
    raise DateHint(f"{match[0]!r} has a footnote mark: leave {match[2]!r} out and write {form}")


def _short_year(match: Match) -> str:
    start, end = match[1], _second_year(match[1], match[2])
    if end - int(start) > 30 or match[0].endswith("-00"):  # of 2018-13 and 1999-00 the strict reader says what they are
        return _checked(match[0])
    years, both = f"the years {start} to {end:04}", f"{start}/{end:04}"
    if not 1 <= int(match[2]) <= 12:
        raise DateHint(f"{match[0]!r} may be an academic year, a biennium or {years}: write {both}")
    month = _ENGLISH[int(match[2]) - 1]
    raise DateHint(f"{match[0]!r} may be {month} {start} or {years}: write {start}-{match[2]} or {both}")


def _day_number(match: Match) -> NoReturn:
    # Day 1 is 1 January 1900, and 1900 counts as a leap year: a fault of 1983 that every spreadsheet keeps.
    day = date(1899, 12, 30) + timedelta(days=int(match[1]))
    raise DateHint(f"{match[0]!r} may be a spreadsheet's number for {day.isoformat()}: if it is, write that")


def _month_and_number(match: Match) -> NoReturn:
    name, number = match["name"] or match["name_last"], match["number"] or match["number_first"]
    month, name = _month(name), _ENGLISH[_month(name) - 1]
    if not 1 <= int(number) <= 31:
        raise DateHint(f"{match[0]!r}: write the year with four digits, as in YYYY-{month:02}")
    raise DateHint(
        f"{match[0]!r} may be {name} 20{number:0>2} or {int(number)} {name} of some year: "
        f"write 20{number:0>2}-{month:02}, or YYYY-{month:02}-{number:0>2}"
    )


def _otherwise(match: Match) -> NoReturn:
    _checked(match[0])
    raise DateHint(f"{match[0]!r} is a period, where one date is needed: mark each end of it")


@dataclass(frozen=True)
class Row:
    looks: str
    """What the whole text has to look like, as a regular expression."""
    read: Callable[[Match], str]
    """Its EDTF; raises DateHint."""
    why: str
    """Why it is read so, or why it is refused."""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Made when the first date is read: all of them take 20 ms, and few who start the program read one."""
        return re.compile(self.looks, re.IGNORECASE | re.DOTALL)


def _rows(*rows: tuple[str, Callable[[Match], str], str]) -> tuple[Row, ...]:
    return tuple(Row(*row) for row in rows)


def _tried(rows: tuple[Row, ...], text: str) -> str:
    """By the first row that fits. The last row of DATES fits everything."""
    return next(row.read(match) for row in rows if (match := row.pattern.fullmatch(text)))


PERIODS = _rows(
    (
        _NOW,
        _hint("{0} does not say since when: write the start and an open end, as in 1999/..; empty if it is not stated"),
        "a state is no date",
    ),
    (
        rf"(?:{_SINCE}\s+|{_FROM})(.+?)(?:\s*[-–/]\s*|{_TO}){_NOW}",
        _open_end,
        "2014 - present: it ends with the present",
    ),
    (rf"(?:{_SINCE}\s+|{_FROM})(.+?),?\s+\(?{_GOES_ON}\)?", _open_end, "2014 (ongoing): it says that it goes on"),
    (
        rf"(?:{_TWO_YEARS}\s+)(?P<start>[0-9]{{4}})\s*[-–/]\s*(?P<end>[0-9]{{2}}(?:[0-9]{{2}})?)",
        _two_years,
        "the words say that the second number is a year",
    ),
    (
        rf"(?P<start>[0-9]{{4}})\s*[-–/]\s*(?P<end>[0-9]{{2}}(?:[0-9]{{2}})?)\s+\(?{_TWO_YEARS}\)?",
        _two_years,
        "the same, with the words last",
    ),
    (r"(.+?)\s*[(\[]\s*(.+?)\s*[)\]]\.?", _remark, "what stands in brackets would be lost"),
    (rf"(.+?)\s*([{_MARKS}]+)", _footnote, "what a footnote says would be lost"),
    (rf"{_YEAR}\s*[-–/]\s*([0-9]{{2}})", _short_year, "a month, a span, a biennium or an academic year"),
    (rf"{_FROM}{_YEAR}{_TIGHT_TO}{_YEAR}", _from_to, "two years in full are a span"),
    (rf"{_FROM}{_DAY}{_TIGHT_TO}{_DAY}{_GAP}{_MONTH}{_GAP}{_YEAR}", _days_of_month, "2-11 October 2017"),
    (rf"{_FROM}{_MONTH}{_GAP}{_DAY}{_TIGHT_TO}{_DAY}{_GAP}{_YEAR}", _month_days, "October 2 to 11, 2017"),
    (
        rf"{_FROM}(?P<start>(?:{_DAY}{_GAP})?{_MONTH}){_TIGHT_TO}(?P<end>(?:{_DAY}{_GAP})?{_MONTH}){_GAP}(?P<year>[0-9]{{4}})",
        _one_year,
        "2 October to 3 November 2017, and March-May 2015: the year is said once",
    ),
    (
        rf"{_FROM}(?P<start>{_MONTH}{_GAP}{_DAY}){_TIGHT_TO}(?P<end>{_MONTH}{_GAP}{_DAY}){_GAP}(?P<year>[0-9]{{4}})",
        _one_year,
        "October 2 to November 3, 2017",
    ),
    (rf"{_FROM}(.+?){_TO}(.+)", _from_to, "two dates with a dash or a word between them"),
    (rf"{_SINCE}\s+(.+)", _open_end, "since, seit, depuis and desde are said of what goes on"),
    (rf"{_FROM_ON}\s+(.+?)(?:\s+on(?:wards?)?)?", _unknown_end, "the end is not stated"),
    (r"(.+?)\s+onwards?", _unknown_end, "the end is not stated"),
    (rf"{_UNTIL}\s+(.+)", _unknown_start, "the start is not stated"),
    (
        r"(?:before|prior to|avant|antes de|vor)\s+(.+)",
        _hint("{0} gives no last date: write one, as in /2000, or an approximate date, as in 2000~"),
        "an interval that ends with the year itself would say too much",
    ),
    (
        r"(?:after|après|después de|nach)\s+(.+)",
        _hint("{0} gives no first date: write one, as in 2002/, or an approximate date, as in 2002~"),
        "an interval that begins with the year itself would say too much",
    ),
    (
        r"(?:between|entre|zwischen)\s+(.+)",
        _hint("{0} may be a moment or a span: write 2014/2016 for a span, 2015~ for a moment near it"),
        "a moment that is not known is no period",
    ),
    (
        rf"{_YEAR}\s*[-–]",
        _hint("{0} may still be going, or its end is not known: write {1}/.. or {1}/"),
        "a dash says less than a word",
    ),
)

DATES = _rows(
    (rf"{_DAY}{_GAP}{_MONTH}{_GAP}{_YEAR}", _day_month_year, "3 May 2018, 1er mai 2018, 3 de mayo de 2018"),
    (rf"{_MONTH}{_GAP}{_DAY}[\s,.]+{_YEAR}", _month_day_year, "May 3, 2018"),
    (rf"{_YEAR}{_GAP}{_MONTH}{_GAP}{_DAY}", _year_month_day, "2018 May 3"),
    (rf"{_MONTH}{_GAP}{_YEAR}", _month_year, "Sept. 2018"),
    (rf"{_YEAR}{_GAP}{_MONTH}", _year_month, "2018 September"),
    (rf"([0-9]{{1,2}})/([0-9]{{1,2}})/{_YEAR}", _numeric, "13/05/2018 is one day, 04/12/2014 may be two"),
    (rf"([0-9]{{1,2}})-([0-9]{{1,2}})-{_YEAR}", _numeric, "the same: hyphens are written in either order too"),
    (rf"([0-9]{{1,2}})\.\s?([0-9]{{1,2}})\.\s?{_YEAR}", _dotted, "dots are written by those who put the day first"),
    (rf"{_YEAR}([/.])([0-9]{{1,2}})\2([0-9]{{1,2}})", _year_first, "nobody writes year, day, month"),
    (rf"([0-9]{{1,2}})[/.-]{_YEAR}", _numeric_month, "a month and its year"),
    (r"[qt](?P<quarter>[1-4])[\s,/-]*(?P<year>[0-9]{4})", _quarter, "Q3 2018, T3 2018"),
    (r"(?P<year>[0-9]{4})[\s,/-]*[qt](?P<quarter>[1-4])", _quarter, "2018 Q3"),
    (
        r"(?P<quarter>[1-4])(?:st|nd|rd|th|er|e|ème|\.|º)?\s+(?:quarter|trimestre|quartal)\s+(?:of\s+|de\s+)?(?P<year>[0-9]{4})",
        _quarter,
        "3rd quarter of 2018, 3e trimestre 2018",
    ),
    (r"(?:the\s+)?(?P<tens>[0-9]{3})0(?:'?s|er(?:\s+jahre)?)", _decade, "1990s, 1990er Jahre"),
    (r"(?:les\s+|los\s+)?(?:années|años)\s+(?P<tens>[0-9]{3})0", _decade, "années 1990"),
    (rf"{_ABOUT}\s*(.+)", _approximate, "c. 1990"),
    (r"(.+?)\s*\?", _uncertain, "May 2018?"),
    # what is refused
    (
        rf"(?P<name>{_MONTH})[\s.,'-]*(?P<number>[0-9]{{2}})|(?P<number_first>[0-9]{{1,2}}){_ORDINAL}{_GAP}(?P<name_last>{_MONTH})",
        _month_and_number,
        "a spreadsheet shows both months and days so",
    ),
    (rf"{_DAY}{_GAP}{_MONTH}{_GAP}'?[0-9]{{2}}", _hint("{0}: write the year with four digits"), "1918 or 2018"),
    (r"([1-9][0-9]{4})(?:\.[0-9]+)?", _day_number, "a spreadsheet's day number, or anything else"),
    (r"0000-00-00(?:\s.*)?", _hint("{0} is a database's empty date: leave the field empty"), "it is no day"),
    (
        r"(?:(?:the\s+)?(?:early|mid|late|beginning of|end of)|début|fin|milieu|anfang|ende|mitte)[\s-]+(.+)",
        _hint("{0} has no exact form: write the year or the decade, as in 1991~ or 199X"),
        "EDTF has no early and late",
    ),
    (r".*", _otherwise, "the strict reader says what it misses"),
)
