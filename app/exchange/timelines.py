"""Timelines as pictures (SVG): what is known of a date is drawn full, what is not fades.

A year is a bar of that year with soft ends; what is still going on runs into an arrow; what has an end that nobody knows
fades out; a date marked `?`, `~` or `%` has a broken outline.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple
from xml.etree import ElementTree as Xml

from app.exchange import svg
from app.exchange.markup import document, element
from app.exchange.svg import number
from app.kit import edtf
from app.registry.timelines import DateField, Item, Timeline

LEFT, TITLES, DATES, AXIS, RIGHT = 28, 330, 100, 620, 40
"""Pixels: the margin, the columns of titles and of dates, the axis, and what is beyond it."""
WIDTH = LEFT + TITLES + DATES + AXIS + RIGHT
ROW, HEAD, FOOT = 24, 96, 24
BAR = 10
COLOURED = {"collaborations": 0, "milestones": 1, "organizations": 4}
FADED = 120
"""So far what has no known end goes on, at most."""
LEAST = 9
"""A bar that is shorter is a diamond."""
YEAR = 365.25


class Span(NamedTuple):
    """A bar, in pixels: it fades in from `left` to `sure`, is full to `until`, and fades out to `right`. With an arrow where
    it goes on."""

    left: float
    sure: float
    until: float
    right: float
    from_before: bool
    goes_on: bool


def extent(timeline: Timeline, window: tuple[date, date] | None) -> tuple[date | None, date | None]:
    """The first and the last day of a timeline: of the window, where it has an end, or of the dates that are known."""
    days = (day for item in timeline.items for day in (item.earliest, item.begun, item.ended, item.latest))
    known = [day for day in days if day is not None and day not in (edtf.FIRST, edtf.LAST)]
    start, end = window or (edtf.FIRST, edtf.LAST)
    first = min(known, default=None) if start == edtf.FIRST else start
    last = max(known, default=None) if end == edtf.LAST else end
    return first, last


def picture(timeline: Timeline, window: tuple[date, date] | None, title: str) -> bytes:
    """The picture of a timeline. The same timeline has the same bytes."""
    axis = _Axis(*extent(timeline, window))
    undated = len(timeline.undated)
    height = HEAD + ROW * len(timeline.items) + (ROW * (undated + 2) if undated else 0) + FOOT
    count = _count(timeline)
    root = svg.picture(left=0, top=0, width=WIDTH, height=height, title=title, about=f"{count}. {_ABOUT}")
    _gradients(root)
    svg.text(root, LEFT, 34, svg.shortened(title, WIDTH - 2 * LEFT, 18), "h")
    svg.text(root, LEFT, 54, count, "soft")
    _key(root, sorted({item.noun for item in (*timeline.items, *timeline.undated)}))
    bottom = HEAD + ROW * len(timeline.items)
    if timeline.items:
        _grid(root, axis, bottom)
    for place, item in enumerate(timeline.items):
        _row(root, axis, item, HEAD + ROW * place)
    _apart(root, timeline.undated, bottom + ROW)
    return document(root)


_ABOUT = (
    "Bars are full where a date is certain and fade where it is not; an arrow means that it goes on; a broken outline "
    "that the date is uncertain or approximate."
)


def _count(timeline: Timeline) -> str:
    dated, undated = len(timeline.items), len(timeline.undated)
    more = "; there are more" if timeline.truncated else ""
    return f"{dated} dated, {undated} undated{more}"


class _Axis:
    """Where a day is on the page."""

    def __init__(self, first: date | None, last: date | None) -> None:
        start, end = (day.toordinal() if day else None for day in (first, last))
        start = start if start is not None else (end or date(2000, 1, 1).toordinal()) - 365
        end = max(end if end is not None else start, start + 365)
        slack = (end - start) * 0.02
        self.start, self.end = start - slack, end + slack + 1

    def __call__(self, day: float) -> float:
        return LEFT + TITLES + DATES + (day - self.start) / (self.end - self.start) * AXIS

    @property
    def years(self) -> float:
        return (self.end - self.start) / YEAR

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Places with their text: years, or months where there are few years."""
        step = next((each for each in (1, 2, 5, 10, 20, 25, 50, 100, 200, 500) if self.years / each <= 13), 1000)
        first, last = (date.fromordinal(max(1, min(int(day), edtf.LAST.toordinal()))) for day in (self.start, self.end))
        for year in range(first.year, last.year + 1):
            if year % step == 0 and date(year, 1, 1).toordinal() >= self.start:
                yield self(date(year, 1, 1).toordinal()), str(year)
            for month in (4, 7, 10) if self.years <= 4 else ():
                day = date(year, month, 1).toordinal()
                if self.start <= day <= self.end:
                    yield self(day), f"{year}-{month:02}"


def span(item: Item, axis: _Axis) -> Span:
    """Where the bar of a dated item is. What reaches beyond the axis is cut at its ends."""
    low, high = LEFT + TITLES + DATES, float(LEFT + TITLES + DATES + AXIS)
    begun, ended = item.begun or edtf.LAST, item.ended or edtf.FIRST
    sure, until = axis(begun.toordinal()), axis(ended.toordinal() + 1)
    left, right = axis((item.earliest or edtf.FIRST).toordinal()), axis((item.latest or edtf.LAST).toordinal() + 1)
    from_before, goes_on = begun == edtf.FIRST, ended == edtf.LAST
    if item.earliest == edtf.FIRST and not from_before:
        left = min(until, right) - FADED if ended != edtf.FIRST else right - FADED
    if item.latest == edtf.LAST and not goes_on:
        right = (sure if begun != edtf.LAST else left) + FADED
    if sure > until:  # no day of it is certain
        sure = until = _core(item, left, right, sure, until)
    left, right = min(left, sure), max(right, until)
    a, b, c, d = (min(max(x, low), high) for x in (left, sure, until, right))
    return Span(a, b, c, d, from_before or left < low, goes_on or right > high)


def _core(item: Item, left: float, right: float, sure: float, until: float) -> float:
    """The place where a bar without a certain day is darkest: at its end that is known, or in the middle."""
    begin_known = item.begun != edtf.LAST and item.earliest != edtf.FIRST
    end_known = item.ended != edtf.FIRST and item.latest != edtf.LAST
    if begin_known == end_known:
        return (left + right) / 2
    return min(max(sure if begin_known else until, left), right)


# --- drawing ------------------------------------------------------------------------------------------------------------


def _gradients(root: Xml.Element) -> None:
    held = element(root, "defs")
    for n in sorted(COLOURED.values()):
        for name, stops in (("in", (0.1, 1)), ("out", (1, 0.1))):
            made = element(held, "linearGradient", id=f"{name}-{n}")
            for offset, opacity in enumerate(stops):
                element(made, "stop", offset=offset, stop_opacity=opacity, class_=f"s{n}")


def _key(root: Xml.Element, nouns: Sequence[str]) -> None:
    x = float(LEFT + TITLES + DATES)
    for noun in nouns:
        element(root, "rect", x=number(x), y=46, width=16, height=8, rx=2, class_=f"f{COLOURED[noun]}")
        svg.text(root, x + 22, 54, noun, "soft")
        x += 40 + svg.measure(noun)


def _grid(root: Xml.Element, axis: _Axis, bottom: float) -> None:
    held = element(root, "g")
    for x, label in axis.ticks():
        element(held, "path", d=f"M{number(x)} {HEAD - 8}V{number(bottom)}", class_="grid")
        svg.text(held, x, HEAD - 14, label, "soft", anchor="middle")


def _row(root: Xml.Element, axis: _Axis, item: Item, top: float) -> None:
    held = element(root, "g")
    element(held, "title", _told(item))
    _words(held, item, top)
    _bar(held, span(item, axis), item, top + (ROW - BAR) / 2)


def _words(held: Xml.Element, item: Item, top: float) -> None:
    svg.text(held, LEFT, top + 16, svg.shortened(item.title, TITLES - 16))
    svg.text(held, LEFT + TITLES, top + 16, _when(item), "soft")


def _bar(held: Xml.Element, drawn: Span, item: Item, top: float) -> None:
    colour = COLOURED[item.noun]
    if drawn.right - drawn.left < LEAST:
        _diamond(held, (drawn.left + drawn.right) / 2, top + BAR / 2, f"f{colour}")
        return
    for x, to, fill in ((drawn.left, drawn.sure, "in"), (drawn.until, drawn.right, "out")):
        if to > x:
            element(held, "rect", **_rect(x, to, top), fill=f"url(#{fill}-{colour})")
    if drawn.until > drawn.sure:
        element(held, "rect", **_rect(drawn.sure, drawn.until, top), class_=f"f{colour}")
    if any(mark in str(item.date) for mark in "?~%"):
        element(held, "rect", **_rect(drawn.left, drawn.right, top), class_=f"unsure c{colour}")
    for there, x, to in ((drawn.from_before, drawn.left, -9), (drawn.goes_on, drawn.right, 9)):
        if there:
            d = f"M{number(x)} {number(top - 3)}L{number(x + to)} {number(top + BAR / 2)}L{number(x)} {number(top + BAR + 3)}z"
            element(held, "path", d=d, class_=f"f{colour}")


def _rect(x: float, to: float, top: float) -> dict[str, str]:
    return {"x": number(x), "y": number(top), "width": number(to - x), "height": str(BAR)}


def _diamond(held: Xml.Element, x: float, y: float, style: str) -> None:
    d = f"M{number(x - 6)} {number(y)}L{number(x)} {number(y - 6)}L{number(x + 6)} {number(y)}L{number(x)} {number(y + 6)}z"
    element(held, "path", d=d, class_=style)


def _apart(root: Xml.Element, undated: Sequence[Item], top: float) -> None:
    if not undated:
        return
    held = element(root, "g")
    svg.text(held, LEFT, top + 16, "Undated", "b")
    for place, item in enumerate(undated, start=1):
        row = element(held, "g")
        element(row, "title", _told(item))
        y = top + ROW * place + 16
        element(row, "rect", x=LEFT, y=number(y - 9), width=8, height=8, rx=2, class_=f"f{COLOURED[item.noun]}")
        about = " · ".join(filter(None, (item.kind_label, item.status))).replace("_", " ")
        svg.text(row, LEFT + 16, y, svg.shortened(item.title, TITLES + DATES - 32))
        svg.text(row, LEFT + TITLES + DATES, y, about, "soft")


def _told(item: Item) -> str:
    """An item in words."""
    status = f", {item.status}".replace("_", " ") if item.status else ""
    return f"{item.title}: {_when(item)}{status}"


def _when(item: Item) -> str:
    return "undated" if item.date is None else f"due {item.date}" if item.field is DateField.due else item.date
