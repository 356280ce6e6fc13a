"""What a user may rely on when dates come out of sheets and papers: what has one meaning is read, what has two is
refused with words that say what to write, and nothing is guessed, dropped or changed on the way."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.exchange.loose_dates import DATES, MAX_LENGTH, PERIODS, DateHint, First, edtf_of
from app.kit import edtf
from tests.support import costs

bounded = settings(derandomize=True, deadline=None, max_examples=500)
DOCUMENT = Path(__file__).parents[2] / "docs/dates.md"


def hint(text: str, *, first: First | None = None) -> str:
    with pytest.raises(DateHint) as caught:
        edtf_of(text, first=first)
    return str(caught.value)


READ = [
    # years and spans of years
    ("1999", "1999"),
    ("since 1999", "1999/.."),
    ("Since 1999", "1999/.."),
    ("seit 1999", "1999/.."),
    ("depuis 1999", "1999/.."),
    ("depuis le 3 mai 1999", "1999-05-03/.."),
    ("desde 1999", "1999/.."),
    ("ongoing since 1999", "1999/.."),
    ("since c. 1990", "1990~/.."),
    ("since March 2014", "2014-03/.."),
    ("2014 - ongoing", "2014/.."),
    ("2014 – ongoing", "2014/.."),
    ("2014-present", "2014/.."),
    ("2014-ongoing", "2014/.."),
    ("2014 to date", "2014/.."),
    ("2014 to the present", "2014/.."),
    ("2014 (ongoing)", "2014/.."),
    ("2014, ongoing", "2014/.."),
    ("2014 / ongoing", "2014/.."),
    ("from 2014 to present", "2014/.."),
    ("3 May 2014 - present", "2014-05-03/.."),
    ("sept. 2014 à ce jour", "2014-09/.."),
    ("from 2008", "2008/"),
    ("from 3 May 2008 onwards", "2008-05-03/"),
    ("2008 onwards", "2008/"),
    ("à partir de 2008", "2008/"),
    ("with effect from 1 January 2018", "2018-01-01/"),
    ("until 2016", "/2016"),
    ("until 3 March 2016", "/2016-03-03"),
    ("jusqu’en 2016", "/2016"),
    ("2014-2016", "2014/2016"),
    ("2014–2016", "2014/2016"),
    ("2014 — 2016", "2014/2016"),
    ("2014/2016", "2014/2016"),
    ("2014 / 2016", "2014/2016"),
    ("2014 to 2016", "2014/2016"),
    ("de 2014 à 2016", "2014/2016"),
    ("von 2014 bis 2016", "2014/2016"),
    ("desde 2014 hasta 2016", "2014/2016"),
    ("2008-2009", "2008/2009"),
    ("c. 1990 - 1995", "1990~/1995"),
    ("2016-17 academic year", "2016/2017"),
    ("2016-2017 academic year", "2016/2017"),
    ("1999-00 academic year", "1999/2000"),
    ("academic year 2016/17", "2016/2017"),
    ("année académique 2016-2017", "2016/2017"),
    ("biennium 2014-15", "2014/2015"),
    # parts of a year
    ("Q3 2018", "2018-Q3"),
    ("Q3/2018", "2018-Q3"),
    ("2018-Q3", "2018-Q3"),
    ("2018 Q3", "2018-Q3"),
    ("2018q3", "2018-Q3"),
    ("2018-35", "2018-35"),
    ("3rd quarter 2018", "2018-Q3"),
    ("3e trimestre 2018", "2018-Q3"),
    ("Sept. 2018", "2018-09"),
    ("Sept 2018", "2018-09"),
    ("Sept-2018", "2018-09"),
    ("September 2018", "2018-09"),
    ("September, 2018", "2018-09"),
    ("septembre 2018", "2018-09"),
    ("sept. 2018", "2018-09"),
    ("septiembre de 2018", "2018-09"),
    ("2018 September", "2018-09"),
    ("août 2018", "2018-08"),
    ("aou\u0302t 2018", "2018-08"),
    ("AOÛT 2018", "2018-08"),
    ("février 2018", "2018-02"),
    ("enero 2018", "2018-01"),
    ("dic. 2018", "2018-12"),
    ("März 2018", "2018-03"),
    ("Jänner 2018", "2018-01"),
    ("Dez. 2018", "2018-12"),
    ("2018-05", "2018-05"),
    ("2014-12", "2014-12"),
    ("05/2018", "2018-05"),
    ("05.2018", "2018-05"),
    # days
    ("3 May 2018", "2018-05-03"),
    ("3\u00a0May\u00a02018", "2018-05-03"),
    ("  3\n May 2018 ", "2018-05-03"),
    ("3rd May 2018", "2018-05-03"),
    ("3rd of May, 2018", "2018-05-03"),
    ("May 3, 2018", "2018-05-03"),
    ("May 3rd 2018", "2018-05-03"),
    ("1er mai 2018", "2018-05-01"),
    ("1º de mayo de 2018", "2018-05-01"),
    ("3. Mai 2018", "2018-05-03"),
    ("03-May-2018", "2018-05-03"),
    ("3May2018", "2018-05-03"),
    ("2018 May 3", "2018-05-03"),
    ("13/05/2018", "2018-05-13"),
    ("05/13/2018", "2018-05-13"),
    ("5/5/2018", "2018-05-05"),
    ("13-05-2018", "2018-05-13"),
    ("29/2/2016", "2016-02-29"),
    ("31.12.2014", "2014-12-31"),
    ("04.12.2014", "2014-12-04"),
    ("4. 12. 2014", "2014-12-04"),
    ("2018/05/03", "2018-05-03"),
    ("2018.5.3", "2018-05-03"),
    ("٣ May ٢٠١٨", "2018-05-03"),
    ("２０１８－０５－０３", "2018-05-03"),
    ("2018\u201105\u201103", "2018-05-03"),
    ("October 2 to 11, 2017", "2017-10-02/2017-10-11"),
    ("October 2-11, 2017", "2017-10-02/2017-10-11"),
    ("October 2–11, 2017", "2017-10-02/2017-10-11"),
    ("2-11 October 2017", "2017-10-02/2017-10-11"),
    ("2 – 11 October 2017", "2017-10-02/2017-10-11"),
    ("du 2 au 11 octobre 2017", "2017-10-02/2017-10-11"),
    ("del 2 al 11 de octubre de 2017", "2017-10-02/2017-10-11"),
    ("vom 2. bis 11. Oktober 2017", "2017-10-02/2017-10-11"),
    ("2 October to 3 November 2017", "2017-10-02/2017-11-03"),
    ("October 2 - November 3, 2017", "2017-10-02/2017-11-03"),
    ("March-May 2015", "2015-03/2015-05"),
    ("March – May 2015", "2015-03/2015-05"),
    ("March 2015 – May 2016", "2015-03/2016-05"),
    ("12 December 2014 - 3 March 2015", "2014-12-12/2015-03-03"),
    ("13/05/2018 - 31/05/2018", "2018-05-13/2018-05-31"),
    ("31.12.2014–01.03.2015", "2014-12-31/2015-03-01"),
    # what is not certain
    ("c. 1990", "1990~"),
    ("c.1990", "1990~"),
    ("c1990", "1990~"),
    ("ca 1990", "1990~"),
    ("ca. 1990", "1990~"),
    ("circa 1990", "1990~"),
    ("around 1990", "1990~"),
    ("about May 1990", "1990-05~"),
    ("~1990", "1990~"),
    ("vers 1990", "1990~"),
    ("um 1990", "1990~"),
    ("1990s", "199X"),
    ("the 1990s", "199X"),
    ("1990’s", "199X"),
    ("1990er Jahre", "199X"),
    ("années 1990", "199X"),
    ("2018?", "2018?"),
    ("2018~", "2018~"),
    ("May 2018?", "2018-05?"),
]


@pytest.mark.parametrize(("text", "expected"), READ)
def test_what_has_one_meaning_is_read(text: str, expected: str) -> None:
    assert edtf_of(text) == expected
    assert edtf.parse(expected).text == expected


NOT_STATED = (
    "| |\u00a0|-|–|—|--|.|…|?|??|n/a|N/A|n.a.|NA|#N/A|n.d.|s.d.|TBC|tbd|TBA|to be confirmed|à confirmer|unknown|Unknown"
    "|not stated|not known|inconnu|desconocido|unbekannt|none|NULL|NaN|NaT"
)


@pytest.mark.parametrize("text", NOT_STATED.split("|"))
def test_what_states_no_date_is_none(text: str) -> None:
    assert edtf_of(text) is None


REFUSED = [
    ("04/12/2014", "'04/12/2014' may be 4 December or 12 April: write 2014-12-04 or 2014-04-12"),
    ("03/05/2018", "may be 3 May or 5 March: write 2018-05-03 or 2018-03-05"),
    ("1/2/2018", "may be 1 February or 2 January: write 2018-02-01 or 2018-01-02"),
    ("04-12-2014", "may be 4 December or 12 April"),
    ("1 June 2017 - 04/12/2017", "may be 4 December or 12 April"),
    ("since 04/12/2014", "'04/12/2014' may be"),
    ("31/31/2018", "no day of the calendar"),
    ("30/02/2018", "no day of the calendar"),
    ("05.13.2018", "no such day"),
    ("13/2018", "no month 13"),
    ("2014-15", "an academic year, a biennium or the years 2014 to 2015: write 2014/2015"),
    ("2014/15", "write 2014/2015"),
    ("2014–15", "write 2014/2015"),
    ("1999-00", "no month 00"),
    ("1999/00", "write 1999/2000"),
    ("2009–10", "may be October 2009 or the years 2009 to 2010: write 2009-10 or 2009/2010"),
    ("2009/10", "may be October 2009 or"),
    ("2014/10", "2014-10 for a month"),
    ("2014–21", "write 2014/2021"),
    ("2014-17 academic year", "not two years that follow each other"),
    ("1999-", "write 1999/.. or 1999/"),
    ("1999 –", "write 1999/.. or 1999/"),
    ("-2014", "write /2014"),
    ("2016-2014", "ends before it begins"),
    ("December - March 2015", "write both years"),
    ("ongoing", "does not say since when"),
    ("present", "does not say since when"),
    ("en cours", "does not say since when"),
    ("before 2001", "write one, as in /2000"),
    ("after 2001", "write one, as in 2002/"),
    ("between 2014 and 2016", "a moment or a span"),
    ("1900s", "write 19XX or 190X"),
    ("early 1990s", "has no exact form"),
    ("spring 2014", "2014-21 for spring"),
    ("2018-05-00", "leave out what is not known: 2018-05"),
    ("2018-00-00", "leave out what is not known: 2018"),
    ("0000-00-00", "a database's empty date"),
    ("0000-00-00 00:00:00", "a database's empty date"),
    ("0000", "0001 to 9999"),
    ("2018-13", "there is no month 13"),
    ("2023-02-29", "the calendar has no such day"),
    ("31 June 2018", "the calendar has no such day"),
    ("43101", "a spreadsheet's number for 2018-01-01"),
    ("43101.0", "a spreadsheet's number for 2018-01-01"),
    ("36526.75", "a spreadsheet's number for 2000-01-01"),
    ("Jan-18", "may be January 2018 or 18 January of some year: write 2018-01, or YYYY-01-18"),
    ("18-Jan", "may be January 2018 or 18 January of some year"),
    ("3 May", "may be May 2003 or 3 May of some year"),
    ("Jan-99", "four digits"),
    ("May 2018 - Jan-18", "may be January 2018"),
    ("3 May 18", "four digits"),
    ("03/05/18", "ambiguous"),
    ("2018*", "leave '*' out and write 2018"),
    ("2018¹", "leave '¹' out and write 2018"),
    ("2014 (current)", "put 'current' elsewhere and write 2014"),
    ("2014 current", "write 2014/.. for what is still going"),
    ("as of 2014", "write YYYY"),
    ("since 1999 †", "leave '†' out and write 1999/.."),
    ("3 May 2018 [1]", "put '1' elsewhere and write 2018-05-03"),
    ("1 January 2018 (provisionally)", "put 'provisionally' elsewhere and write 2018-01-01"),
    ("2014-2016 (signed)", "put 'signed' elsewhere and write 2014/2016"),
    ("1 January 2018 provisionally", "not an EDTF date"),
    ("c. 2014/2016", "mark each end"),
    ("2018-05-03T00:00:00", "leave the time of day out"),
    ("20141204", "2014-12-04"),
    ("tacit renewal", "write YYYY"),
    ("2012-2014, 2016", "write YYYY"),
    ("99", "four digits"),
    ("\0", "write YYYY"),
    ("2018\0", "write YYYY"),
    ("\ud800", "write YYYY"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_what_has_two_meanings_or_would_be_lost_is_refused_with_what_to_write(text: str, words: str) -> None:
    message = hint(text)
    assert words in message
    message.encode()


def test_a_person_may_say_which_number_stands_first() -> None:
    assert edtf_of("04/12/2014", first="day") == "2014-12-04"
    assert edtf_of("04/12/2014", first="month") == "2014-04-12"
    assert edtf_of("4-12-2014 - 5-1-2015", first="day") == "2014-12-04/2015-01-05"
    assert edtf_of("since 04.12.2014", first="month") == "2014-04-12/.."
    assert edtf_of("2014-12", first="day") == "2014-12"
    assert "no such day" in hint("04/13/2014", first="day")


def test_a_long_text_is_refused_at_once() -> None:
    assert f"at most {MAX_LENGTH} characters" in hint("1" * (MAX_LENGTH + 1))
    assert edtf_of(" " * (MAX_LENGTH - 4) + "1999") == "1999"


@pytest.mark.parametrize(
    "piece",
    ["1 ", " - ", "– ", "to ", "since ", "2014-", "2 May ", "(", "a (b) ", "* ", "c. ", "/ ", ". ", "n.a.", "2014 a "],
)
def test_the_worst_text_takes_a_moment(piece: str) -> None:
    with costs.within(0.5):
        for text in (
            (piece * 100)[:MAX_LENGTH],
            ("2014 - " + piece * 100)[:MAX_LENGTH],
            ("du " + piece * 100)[:MAX_LENGTH],
        ):
            with suppress(DateHint):
                edtf_of(text)


WORDS = """2014 1999 1 31 12 05 - – / . , since until from to ongoing May septembre mayo Dez Q3 s ~ ? X XX .. c. ( ) *
    1990s n/a 0000 43101 of de 1st before academic year"""
PIECES = st.sampled_from(WORDS.split())
WRITTEN = st.one_of(
    st.text(max_size=20),
    st.text("0123456789-/. –XQ?~", max_size=12),
    st.lists(PIECES, max_size=7).map(" ".join),
    st.lists(PIECES, max_size=7).map("".join),
)


@bounded
@given(WRITTEN, st.sampled_from([None, "day", "month"]))
def test_every_text_is_edtf_or_not_stated_or_a_hint_and_edtf_stays_what_it_is(text: str, first: First | None) -> None:
    try:
        found = edtf_of(text, first=first)
    except DateHint as refused:
        message = str(refused)
    else:
        message = "read"
        if found is not None:
            assert edtf.parse(found).text == found
            assert edtf_of(found) == found
    assert message


@bounded
@given(st.dates(), st.sampled_from(["%d %B %Y", "%B %d, %Y", "%d-%b-%Y", "%Y/%m/%d", "%d.%m.%Y", "%Y-%m-%d"]))
def test_every_day_is_read_in_every_form_that_has_one_reading(day: object, form: str) -> None:
    written = format(day, form.replace("%Y", f"{str(day)[:4]}"))
    assert edtf_of(written) == str(day)


def test_every_row_has_its_reason() -> None:
    assert all(row.why for row in PERIODS + DATES)


def documented() -> list[tuple[str, str]]:
    section = DOCUMENT.read_text().split("## What people write")[1]
    rows = re.findall(r"^\| (.+?) \| (.*`.*) \|$", section, re.MULTILINE)
    return [(text, outcome) for outcome, texts in rows for text in re.findall(r"`([^`]+)`", texts)]


@pytest.mark.parametrize(("text", "outcome"), documented())
def test_what_the_document_says_of_a_text_is_so(text: str, outcome: str) -> None:
    if outcome == "not stated":
        assert edtf_of(text) is None
    elif outcome.startswith("`"):
        assert edtf_of(text) == outcome.strip("`")
    else:
        assert hint(text) == f"{text!r} {outcome}"


def test_the_document_has_examples() -> None:
    assert len(documented()) > 70
