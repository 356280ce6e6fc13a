"""Calendars: milestones and reviews as iCalendar (RFC 5545), to subscribe to.

A date that is not exact to the day is an event of all days on which it may lie, transparent, so that it blocks nobody. Its text
as the registry has it stands in X-CONCORD-EDTF, and in the description where it is not a plain day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from app.kit import edtf
from app.kit.text import for_xml

if TYPE_CHECKING:
    import icalendar

MEDIA_TYPE = "text/calendar"
PRODUCT = "-//Concord//Registry of partnerships//EN"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Event:
    """One event: `date` is EDTF, `id` and `version` the record's, `tentative` whether it is only planned."""

    id: str
    version: int
    created_at: datetime
    updated_at: datetime
    title: str
    date: str
    description: str | None = None
    place: str | None = None
    url: str | None = None
    categories: Sequence[str] = ()
    tentative: bool = False
    cancelled: bool = False


def calendar(events: Iterable[Event], *, name: str) -> bytes:
    """The calendar `name`. Without events it is empty, which every program takes that reads calendars."""
    import icalendar  # it takes 25 ms and 5 MB: only who asks for a calendar waits for that

    made = icalendar.Calendar()
    for field, value in (
        ("PRODID", PRODUCT), ("VERSION", "2.0"), ("CALSCALE", "GREGORIAN"), ("NAME", name), ("X-WR-CALNAME", name),
    ):  # fmt: skip
        made.add(field, value)
    for event in events:
        made.add_component(_event(event))
    return bytes(made.to_ical())


def _event(event: Event) -> icalendar.Event:
    import icalendar

    parsed = edtf.parse(event.date)
    first, last = span(parsed)
    made = icalendar.Event()
    made.add("UID", event.id)
    made.add("SEQUENCE", event.version)
    made.add("DTSTAMP", event.updated_at)
    made.add("CREATED", event.created_at)
    made.add("LAST-MODIFIED", event.updated_at)
    made.add("SUMMARY", for_xml(event.title))
    made.add("DTSTART", first)
    made.add("DTEND", last + timedelta(1))
    made.add("TRANSP", "TRANSPARENT")
    made.add("STATUS", _status(event, parsed))
    made.add("X-CONCORD-EDTF", event.date)
    for field, value in (("LOCATION", event.place), ("URL", event.url), ("CATEGORIES", list(event.categories))):
        if value:
            made.add(field, for_xml(value) if isinstance(value, str) else value)
    if description := _description(event):
        made.add("DESCRIPTION", for_xml(description))
    return made


def span(when: edtf.Edtf) -> tuple[date, date]:
    """The first and the last day of the event. An end that is open or unknown gives none to mark, so that only the other end is
    shown; and DTEND, the day after, must be in the calendar."""
    first, last = when.earliest, when.latest
    if when.latest == edtf.LAST:
        last = first if when.begun == edtf.LAST else when.begun
    if when.earliest == edtf.FIRST:
        first = last if when.ended == edtf.FIRST else when.ended
    last = min(max(first, last), edtf.LAST - timedelta(1))
    return min(first, last), last


def _status(event: Event, when: edtf.Edtf) -> str:
    if event.cancelled:
        return "CANCELLED"
    unsure = when.begun == edtf.LAST or any(mark in event.date for mark in "?~%")
    return "TENTATIVE" if event.tentative or unsure else "CONFIRMED"


def _description(event: Event) -> str:
    exact = _DAY.fullmatch(event.date)
    return "\n\n".join(text for text in (event.description, None if exact else f"Date: {event.date}") if text)
