"""What a user may rely on when a field holds EDTF: which texts are kept, which days they mean, what a refusal says."""

import string
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.kit.edtf import FIRST, HINT_OTHERWISE, HINTS, LAST, MAX_LENGTH, Edtf, EdtfError, parse


def day(text: str) -> date:
    return {"FIRST": FIRST, "LAST": LAST}.get(text) or date.fromisoformat(text)


def refusal(text: str) -> str:
    with pytest.raises(EdtfError) as caught:
        parse(text)
    return str(caught.value)


# --- the bounds of each form ---------------------------------------------------------------------------------

# text, earliest, begun, ended, latest
BOUNDS = [
    # level 0
    ("2014", "2014-01-01", "2014-12-31", "2014-01-01", "2014-12-31"),
    ("2014-12", "2014-12-01", "2014-12-31", "2014-12-01", "2014-12-31"),
    ("2023-02", "2023-02-01", "2023-02-28", "2023-02-01", "2023-02-28"),
    ("2024-02", "2024-02-01", "2024-02-29", "2024-02-01", "2024-02-29"),
    ("1900-02", "1900-02-01", "1900-02-28", "1900-02-01", "1900-02-28"),
    ("2014-12-04", "2014-12-04", "2014-12-04", "2014-12-04", "2014-12-04"),
    ("2000-02-29", "2000-02-29", "2000-02-29", "2000-02-29", "2000-02-29"),
    ("0001", "FIRST", "0001-12-31", "FIRST", "0001-12-31"),
    ("9999", "9999-01-01", "LAST", "9999-01-01", "LAST"),
    ("9999-12-31", "LAST", "LAST", "LAST", "LAST"),
    ("2014/2016", "2014-01-01", "2014-12-31", "2016-01-01", "2016-12-31"),
    ("2014-02/2016-02", "2014-02-01", "2014-02-28", "2016-02-01", "2016-02-29"),
    ("2014-12-04/2016-02-29", "2014-12-04", "2014-12-04", "2016-02-29", "2016-02-29"),
    ("2014-12-04/2016", "2014-12-04", "2014-12-04", "2016-01-01", "2016-12-31"),
    ("2014/2014", "2014-01-01", "2014-12-31", "2014-01-01", "2014-12-31"),
    # each end bounds the other: an interval does not end before it begins
    ("2014-06/2014", "2014-06-01", "2014-06-30", "2014-06-01", "2014-12-31"),
    ("2014/2014-06", "2014-01-01", "2014-06-30", "2014-06-01", "2014-06-30"),
    # level 1: open and unknown ends
    ("1999/..", "1999-01-01", "1999-12-31", "LAST", "LAST"),
    ("1999-05-03/..", "1999-05-03", "1999-05-03", "LAST", "LAST"),
    ("1999/", "1999-01-01", "1999-12-31", "1999-01-01", "LAST"),
    ("../2005", "FIRST", "FIRST", "2005-01-01", "2005-12-31"),
    ("/2005", "FIRST", "2005-12-31", "2005-01-01", "2005-12-31"),
    # level 1: uncertain, approximate, both
    ("2011?", "2011-01-01", "LAST", "FIRST", "2011-12-31"),
    ("2011~", "2011-01-01", "LAST", "FIRST", "2011-12-31"),
    ("2011%", "2011-01-01", "LAST", "FIRST", "2011-12-31"),
    ("2011-06~", "2011-06-01", "LAST", "FIRST", "2011-06-30"),
    ("2011-06-11?", "2011-06-11", "LAST", "FIRST", "2011-06-11"),
    ("201X?", "2010-01-01", "LAST", "FIRST", "2019-12-31"),
    ("2014?/2016", "2014-01-01", "LAST", "2016-01-01", "2016-12-31"),
    ("2014/2016~", "2014-01-01", "2014-12-31", "FIRST", "2016-12-31"),
    ("2014%/2016%", "2014-01-01", "LAST", "FIRST", "2016-12-31"),
    ("2014~/..", "2014-01-01", "LAST", "LAST", "LAST"),
    ("../2005?", "FIRST", "FIRST", "FIRST", "2005-12-31"),
    # an end that is not sure of itself does not bound the other
    ("2014~/", "2014-01-01", "LAST", "FIRST", "LAST"),
    ("/2005?", "FIRST", "LAST", "FIRST", "2005-12-31"),
    # level 1: digits left open
    ("201X", "2010-01-01", "2019-12-31", "2010-01-01", "2019-12-31"),
    ("20XX", "2000-01-01", "2099-12-31", "2000-01-01", "2099-12-31"),
    ("999X", "9990-01-01", "LAST", "9990-01-01", "LAST"),
    ("2014-XX", "2014-01-01", "2014-12-31", "2014-01-01", "2014-12-31"),
    ("2014-XX-XX", "2014-01-01", "2014-12-31", "2014-01-01", "2014-12-31"),
    ("2014-02-XX", "2014-02-01", "2014-02-28", "2014-02-01", "2014-02-28"),
    ("199X/201X", "1990-01-01", "1999-12-31", "2010-01-01", "2019-12-31"),
    # level 1: seasons
    ("2014-21", "2014-01-01", "2014-12-31", "2014-01-01", "2014-12-31"),
    ("2014-22", "2014-01-01", "2014-12-31", "2014-01-01", "2014-12-31"),
    ("2014-23", "2014-01-01", "2014-12-31", "2014-01-01", "2014-12-31"),
    ("2014-24", "2014-01-01", "2014-12-31", "2014-01-01", "2014-12-31"),
    # level 2: quarters, and the same as people write them
    ("2018-33", "2018-01-01", "2018-03-31", "2018-01-01", "2018-03-31"),
    ("2018-34", "2018-04-01", "2018-06-30", "2018-04-01", "2018-06-30"),
    ("2018-35", "2018-07-01", "2018-09-30", "2018-07-01", "2018-09-30"),
    ("2018-36", "2018-10-01", "2018-12-31", "2018-10-01", "2018-12-31"),
    ("2018-Q1", "2018-01-01", "2018-03-31", "2018-01-01", "2018-03-31"),
    ("2018-Q2", "2018-04-01", "2018-06-30", "2018-04-01", "2018-06-30"),
    ("2018-Q3", "2018-07-01", "2018-09-30", "2018-07-01", "2018-09-30"),
    ("2018-Q4", "2018-10-01", "2018-12-31", "2018-10-01", "2018-12-31"),
    ("2018-Q3/2019-Q1~", "2018-07-01", "2018-09-30", "FIRST", "2019-03-31"),
]


@pytest.mark.parametrize(("text", "earliest", "begun", "ended", "latest"), BOUNDS)
def test_a_form_has_its_four_bounds(text: str, earliest: str, begun: str, ended: str, latest: str) -> None:
    assert parse(text) == Edtf(text, day(earliest), day(begun), day(ended), day(latest))


# --- matching a window of days -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "start", "end", "answer"),
    [
        ("2014", "2014-01-01", "2014-12-31", "certain"),
        ("2014", "2014-01-01", "2014-12-30", "possible"),
        ("2014", "2014-01-02", "2020-01-01", "possible"),
        ("2014", "2014-07-01", "2014-07-01", "possible"),
        ("2014", "2015-01-01", "2015-12-31", "no"),
        ("2014", "2013-01-01", "2013-12-31", "no"),
        ("2014/2016", "2015-06-01", "2015-06-01", "certain"),
        ("2014/2016", "2014-06-01", "2014-06-01", "possible"),
        ("2014/2016", "2016-06-01", "2016-06-01", "possible"),
        ("2014/2016", "2017-01-01", "LAST", "no"),
        ("1999/..", "2050-01-01", "2050-01-01", "certain"),
        ("1999/", "2050-01-01", "2050-01-01", "possible"),
        ("../2005", "1900-01-01", "1900-01-01", "certain"),
        ("/2005", "1900-01-01", "1900-01-01", "possible"),
        ("2011?", "2000-01-01", "2020-12-31", "possible"),
        ("2011?", "2012-01-01", "2012-12-31", "no"),
        ("2014~/2016", "2015-06-01", "2015-06-01", "possible"),
        ("2014~/2016", "2015-06-01", "LAST", "certain"),
    ],
)
def test_a_window_matches_certainly_possibly_or_not(text: str, start: str, end: str, answer: str) -> None:
    value, window = parse(text), (day(start), day(end))
    assert value.possible(*window) == (answer != "no")
    assert value.certain(*window) == (answer == "certain")


# --- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("2018-00", "2018-13", "2018-00-00", "2018-05-00", "2018-05-32", "2023-02-29", "1900-02-29", "2014-04-31"),
        *("2018-13-01", "2014-21-05", "2014-21-XX", "2014-33-01", "2018-Q0", "2018-Q5", "2018-q3", "2018-Q3-01"),
        *("../..", "/", "../", "/..", "..", "...", "2014/..?", "?", "?/2014", "/2014/", "2014//2016", "2014/2015/2016"),
        *("2016/2014", "2014-06/2014-05", "2014-12-04/2014-12-03", "2016?/2014", "201X/2009", "2014-Q3/2014-Q2"),
        *("", " ", " 2014", "2014 ", "2014\n", "\u00a02014", "2014 /2016", "2014/ 2016", "20 14", "2014\x00"),
        *("٢٠١٤", "２０１４", "2014-0٤", "2014–12", "2014−12", "2014‑12"),
        *("0000", "000X", "00XX", "0000-01-01", "-0044", "Y20140", "20140", "14", "201", "2014-5", "2014-05-3"),
        *("201x", "199u", "2XXX", "XXXX", "201X-05", "20XX-XX", "2014-1X", "2014-XX-05", "2014-05-1X", "20X4"),
        *("?2014", "2014?-05", "2014?~", "2014-05~-01", "2014??", "[2011,2012]", "{2011..2012}", "2014..2016"),
        *("2014-25", "2014-37", "1950S2", "Y17E7", "2014-05-03T10:00", "2014-05-03T10:00:00Z", "20140503", "P3Y"),
        "2014" + "-" * MAX_LENGTH,
    ],
)
def test_what_is_not_in_the_supported_part_of_edtf_is_refused(text: str) -> None:
    refusal(text)


def test_a_refusal_can_be_sent_whatever_the_text_held() -> None:
    assert refusal("\ud800 \x00\u202e").isprintable()


def test_an_interval_that_ends_before_it_begins_says_so() -> None:
    assert refusal("2016/2014") == "'2016/2014' ends before it begins"


def test_a_text_that_is_too_long_is_refused_without_repeating_it() -> None:
    assert refusal("2014" * 1000) == "a date has at most 64 characters, this text has 4000"


def test_a_refusal_of_an_interval_speaks_of_the_end_that_is_wrong() -> None:
    assert "no month 13" in refusal("2014/2015-13")
    assert "write 2014~" in refusal("c. 2014/2015")


# What people of this job hold in their spreadsheets: accepted as it stands, or refused with this advice.
ACCEPTED = ["1999", "2014/2016", "2018-Q3", "2018-05"]
ADVICE = [
    ("since 1999", "write 1999/.. if it began in 1999 and is still going"),
    ("1999-", "write 1999/.. if it is still going, 1999/ if its end is not known"),
    ("2014-2016", "write an interval with a slash: 2014/2016"),
    ("2014–2016", "write an interval with a slash: 2014/2016"),
    ("2014-15", "ambiguous: there is no month 15; if it is a year, write both in full: 2014/YYYY"),
    ("2016-17 academic year", "leave the remark out and write both years in full: 2016/YYYY"),
    ("Q3 2018", "write 2018-Q3"),
    ("Sept. 2018", "words are not read; if it names a month, write its number: 2018-MM"),
    ("septembre 2018", "words are not read; if it names a month, write its number: 2018-MM"),
    ("3 May 2018", "write the month as a number: 2018-MM-DD"),
    ("03/05/2018", "ambiguous: it does not say which number is the day and which the month"),
    ("2018-05-00", "leave out what is not known: 2018-05"),
    ("c. 1990", "write 1990~"),
    ("1990s", "write 199X"),
    ("before 2001", "write ../2001 if its start is open, /2001 if its start is not known"),
    ("ongoing", "write the start and an open end, as in 1999/.."),
    ("TBC", "leave the field empty when the date is not stated"),
    ("n/a", "leave the field empty when the date is not stated"),
    ("-", "leave the field empty when the date is not stated"),
    ("", "leave the field empty when the date is not stated"),
    ("43101", "ambiguous date: this may be a spreadsheet's day number"),
    ("2018*", "leave the footnote mark out: 2018"),
    ("1 January 2018 (provisionally)", "write the date alone, YYYY-MM-DD if its day is known"),
    # not in that list, and as common
    ("1/2/2018", "ambiguous: it does not say which number is the day and which the month"),
    ("3.5.2018", "ambiguous: it does not say which number is the day and which the month"),
    ("Jan-18", "ambiguous: write YYYY-MM for a month of a year, YYYY-MM-DD for a day"),
    ("43101.5", "ambiguous date: this may be a spreadsheet's day number"),
    ("2018-13", "ambiguous: there is no month 13"),
    ("1999-00", "ambiguous: there is no month 00; write 1999, or both years in full: 1999/YYYY"),
    ("2018-00-00", "leave out what is not known: 2018"),
    ("2023-02-29", "the calendar has no such day"),
    (" 2014", "remove the blanks around it"),
    ("2014 / 2016", "remove the blanks around the slash"),
    ("٢٠١٤", "write the digits as 0 to 9"),
    ("..", "an interval needs a date at one end at least, as in 1999/.. or ../2005"),
    ("1999 – present", "write 1999/.. for what is still going"),
    ("1999/open", "write 1999/.. for what is still going"),
    ("1999/unknown", "write 1999/ when the end is not known"),
    ("2014..2016", "write an interval with a slash: 2014/2016"),
    ("-2005", "years before 0001 are not kept; if it means until 2005, write /2005"),
    ("2018/05", "ambiguous: write 2018-05 for a month, or both years in full: 2018/YYYY"),
    ("2014/16", "write both years in full: 2014/YYYY"),
    ("1900s", "ambiguous: write 19XX for the century, 190X for the decade"),
    ("2018 Q3", "write 2018-Q3"),
    ("Spring 2018", "write 2018-21 for spring"),
    ("12 de mayo de 2018", "write the month as a number: 2018-MM-DD"),
    ("May 3, 2018", "write the month as a number: 2018-MM-DD"),
    ("2018/05/03", "write it with hyphens: 2018-05-03"),
    ("20180503", "write it with hyphens: 2018-05-03"),
    ("201805", "write it with a hyphen: 2018-05"),
    ("2014-05-03T10:00", "leave the time of day out"),
    ("0000", "years run from 0001 to 9999"),
    ("2018-Q5", "the quarters are Q1, Q2, Q3 and Q4"),
    ("99", "write a year with four digits"),
    ("199u", "write a digit that is not known as a capital X"),
    ("201X-05", "X may stand for the last digit or two of a year alone"),
    ("2011?~", "write % for a date that is both uncertain (?) and approximate (~)"),
    ("2011?-06", "a mark (? ~ %) stands at the end of a date"),
    ("[2011,2012]", "sets of dates are not kept: write an interval from the first to the last"),
    ("2014/2015/2016", "an interval has one slash"),
    ("2014–12", "write each hyphen as a plain -"),
    ("hello", HINT_OTHERWISE),
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_a_common_way_to_write_a_date_is_kept(text: str) -> None:
    assert parse(text).text == text


@pytest.mark.parametrize(("text", "advice"), ADVICE)
def test_a_common_slip_is_answered_with_what_to_write(text: str, advice: str) -> None:
    message = refusal(text)
    assert message.startswith(f"{text!r} is not an EDTF date: ")
    assert advice in message


def test_every_hint_is_reached_by_one_of_these_slips() -> None:
    winners = [next((row for row in HINTS if row[0].fullmatch(text)), None) for text, _ in ADVICE]
    assert [pattern.pattern for pattern, hint in HINTS if (pattern, hint) not in winners] == []


@pytest.mark.parametrize(
    "text", ["since 1999", "2014-2016", "Q3 2018", "c. 1990", "1990s", "2018*", "2018-05-00", "20180503", "1999/open"]
)
def test_following_the_advice_gives_a_date_that_is_kept(text: str) -> None:
    words = refusal(text).split(": ", 1)[1].replace(",", " ").split()
    suggested = [word for word in words if word[:3].isdigit()]
    assert parse(suggested[0])


# --- properties, against a model that enumerates the true dates ----------------------------------------------
#
# The model counts in months and knows nothing of bounds: a text is the set of months in which it may have begun
# and the set in which it may have ended. Windows are whole months, so a month is all that they can tell apart. It
# enumerates the years 1998 to 2005; the months of FIRST and LAST stand for everything before and after.

Months = frozenset[int]
BEFORE, AFTER = 1 * 12, 9999 * 12 + 11
TIME = range(1998 * 12, 2006 * 12)


@dataclass(frozen=True)
class Written:
    """A text, with the months that its author may have meant."""

    text: str
    months: Months


def first_day(month: int) -> date:
    return date(month // 12, month % 12 + 1, 1)


def last_day(month: int) -> date:
    year, index = divmod(month, 12)
    return date(year, index + 1, monthrange(year, index + 1)[1])


def written_in(year: int) -> list[Written]:
    january = year * 12
    whole = frozenset(range(january, january + 12))
    texts = [f"{year}", f"{year}-XX", f"{year}-XX-XX", *(f"{year}-{season}" for season in range(21, 25))]
    rows = [Written(text, whole) for text in texts]
    for quarter in range(4):
        months = frozenset(range(january + 3 * quarter, january + 3 * quarter + 3))
        rows += [Written(f"{year}-Q{quarter + 1}", months), Written(f"{year}-{33 + quarter}", months)]
    for month in range(12):
        text = f"{year}-{month + 1:02}"
        rows += [Written(form, frozenset({january + month})) for form in (text, f"{text}-XX", f"{text}-28")]
    return rows


DATES = st.sampled_from([row for year in range(2000, 2004) for row in written_in(year)])
STARTS = st.one_of(
    DATES, st.just(Written("..", frozenset({BEFORE}))), st.just(Written("", frozenset({BEFORE, *TIME, AFTER})))
)
ENDS = st.one_of(
    DATES, st.just(Written("..", frozenset({AFTER}))), st.just(Written("", frozenset({BEFORE, *TIME, AFTER})))
)
WINDOWS = st.tuples(*[st.sampled_from([BEFORE, *TIME, AFTER])] * 2).map(sorted).map(tuple)


def overlaps(pair: tuple[int, int], window: tuple[int, ...]) -> bool:
    return pair[0] <= window[1] and pair[1] >= window[0]


def assert_agrees(text: str, pairs: list[tuple[int, int]], window: tuple[int, ...]) -> None:
    value, days = parse(text), (first_day(window[0]), last_day(window[1]))
    assert value.possible(*days) == any(overlaps(pair, window) for pair in pairs)
    assert value.certain(*days) == all(overlaps(pair, window) for pair in pairs)


@given(DATES, WINDOWS)
def test_a_date_matches_as_if_every_moment_within_it_were_tried(when: Written, window: tuple[int, ...]) -> None:
    assert_agrees(when.text, [(month, month) for month in when.months], window)


@given(STARTS, ENDS, WINDOWS)
def test_an_interval_matches_as_if_every_start_and_end_were_tried(
    start: Written, end: Written, window: tuple[int, ...]
) -> None:
    assume(not {start.text, end.text} <= {"", ".."})
    text = f"{start.text}/{end.text}"
    pairs = [(begun, ended) for begun, ended in product(start.months, end.months) if begun <= ended]
    if pairs:
        assert_agrees(text, pairs, window)
    else:
        assert "ends before it begins" in refusal(text)


DAYS = st.dates()
MARKS = st.sampled_from(["", "?", "~", "%"])


@st.composite
def dates_around(draw: st.DrawFn, within: st.SearchStrategy[date] = DAYS) -> tuple[date, str]:
    """A day, and a text of any precision that contains it."""
    known = draw(within)
    text = known.isoformat()
    decade, century, quarter = text[:3] + "X", text[:2] + "XX", f"{text[:4]}-Q{(known.month + 2) // 3}"
    forms = [text, text[:7], text[:4], f"{text[:7]}-XX", f"{text[:4]}-XX", f"{text[:4]}-XX-XX", quarter]
    forms += [form for form in (decade, century) if not form.startswith(("000X", "00XX"))]
    return known, draw(st.sampled_from(forms))


@st.composite
def valid_texts(draw: st.DrawFn) -> str:
    ends = sorted([draw(dates_around()), draw(dates_around())])
    start, end = (text + draw(MARKS) for _, text in ends)
    return draw(st.sampled_from([start, f"{start}/{end}", f"{start}/..", f"{start}/", f"../{end}", f"/{end}"]))


@given(dates_around())
def test_the_bounds_of_a_date_contain_every_day_that_it_may_mean(around: tuple[date, str]) -> None:
    known, text = around
    value = parse(text)
    assert value.earliest == value.ended <= known <= value.begun == value.latest


@given(dates_around(), dates_around(), MARKS, MARKS)
def test_the_bounds_of_an_interval_contain_its_true_start_and_end(
    one: tuple[date, str], other: tuple[date, str], first_mark: str, last_mark: str
) -> None:
    (start, start_text), (end, end_text) = sorted([one, other])
    value = parse(f"{start_text}{first_mark}/{end_text}{last_mark}")
    assert value.earliest <= start <= value.begun
    assert value.ended <= end <= value.latest


@given(valid_texts())
def test_the_text_is_kept_and_its_bounds_are_in_order(text: str) -> None:
    value = parse(text)
    assert value.text == text
    assert FIRST <= value.earliest <= value.begun <= LAST
    assert FIRST <= value.ended <= value.latest <= LAST
    assert value.earliest <= value.latest


@given(valid_texts(), DAYS, DAYS)
def test_what_is_certain_is_possible(text: str, one: date, other: date) -> None:
    value, window = parse(text), sorted([one, other])
    assert value.possible(*window) or not value.certain(*window)


@given(valid_texts(), st.lists(DAYS, min_size=4, max_size=4).map(sorted))
def test_widening_a_window_never_loses_a_match(text: str, days: list[date]) -> None:
    value, narrow, wide = parse(text), (days[1], days[2]), (days[0], days[3])
    assert value.possible(*narrow) <= value.possible(*wide)
    assert value.certain(*narrow) <= value.certain(*wide)


@given(dates_around(), st.sampled_from("?~%"), st.dates(FIRST + timedelta(1)), DAYS)
def test_a_marked_date_is_as_possible_as_a_plain_one_and_certain_only_of_all_time(
    around: tuple[date, str], mark: str, start: date, end: date
) -> None:
    assume(start <= end)
    plain, marked = parse(around[1]), parse(around[1] + mark)
    assert marked.possible(start, end) == plain.possible(start, end)
    assert not marked.certain(start, end)
    assert marked.certain(FIRST, LAST)


NEARLY = st.text(alphabet=string.digits + "0123456789XQxu-/.?~% –sT*(", max_size=MAX_LENGTH)


@given(st.one_of(NEARLY, st.text()))
def test_any_text_is_kept_or_refused_with_a_message(text: str) -> None:
    try:
        value = parse(text)
    except EdtfError as error:
        assert str(error)  # noqa: PT017  (whether it is raised at all depends on the text)
    else:
        assert value.text == text
