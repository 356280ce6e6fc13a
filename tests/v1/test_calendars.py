"""Calendars: milestones and reviews, to subscribe to (RFC 5545)."""

from __future__ import annotations

from datetime import date
from typing import Any

import httpx
import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.exchange.calendar import Event, calendar, span
from app.kit import edtf
from tests.conftest import Ticking
from tests.support.answers import parameters, problem
from tests.support.builders import collaboration, milestone, organization, patch, review

DAYS = {
    "2014-12-04": ("2014-12-04", "2014-12-04"), "2014-12": ("2014-12-01", "2014-12-31"), "2014": ("2014-01-01", "2014-12-31"),
    "2014-Q3": ("2014-07-01", "2014-09-30"), "201X": ("2010-01-01", "2019-12-31"), "2014?": ("2014-01-01", "2014-12-31"),
    "2014/2016-03": ("2014-01-01", "2016-03-31"), "1999/..": ("1999-01-01", "1999-12-31"),
    "1999/": ("1999-01-01", "1999-12-31"), "../2005-06": ("2005-06-01", "2005-06-30"),
    "9999-12-31": ("9999-12-30", "9999-12-30"),
}  # fmt: skip


def events(client: httpx.Client, path: str) -> dict[str, Any]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert all(len(line) <= 75 for line in answer.content.split(b"\r\n"))
    assert b"\n" not in answer.content.replace(b"\r\n", b"")
    return {str(event["SUMMARY"]): event for event in read(answer.content)}


def read(calendar: bytes) -> list[Any]:
    return list(icalendar.Calendar.from_ical(calendar).walk("VEVENT"))


@pytest.mark.parametrize(("text", "days"), DAYS.items())
def test_an_imprecise_date_is_an_event_of_all_its_days(text: str, days: tuple[str, str]) -> None:
    assert span(edtf.parse(text)) == tuple(map(date.fromisoformat, days))


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=200))
def test_every_title_comes_back_as_it_was(title: str) -> None:
    clock = Ticking()
    made = calendar([Event("u", 1, clock(), clock(), title, "2014")], name="Milestones")
    (event,) = read(made)
    assert str(event["SUMMARY"]) == title
    assert event["DTSTART"].dt < event["DTEND"].dt


def test_a_milestone_is_an_event_with_the_records_id_and_version(client: httpx.Client) -> None:
    record = milestone(
        client, title="Signature; with, commas", date="2014-12", place="Geneva", kind="signature", status="met"
    )
    patch(client, milestone, record, description="Signed at last.")
    event = events(client, "/v1/milestones.ics")["Signature; with, commas"]
    assert (str(event["UID"]), event["SEQUENCE"]) == (record["id"], 2)
    assert (event["DTSTART"].dt, event["DTEND"].dt) == (date(2014, 12, 1), date(2015, 1, 1))
    assert (str(event["LOCATION"]), str(event["STATUS"]), str(event["TRANSP"])) == (
        "Geneva",
        "CONFIRMED",
        "TRANSPARENT",
    )
    assert str(event["X-CONCORD-EDTF"]) == "2014-12"
    assert "Signed at last." in str(event["DESCRIPTION"])


def test_what_is_promised_stands_on_its_day_and_what_has_none_is_left_out(client: httpx.Client) -> None:
    milestone(client, title="Promised", status="planned", due="2027-05-01")
    milestone(client, title="Undated", status="met")
    milestone(client, title="Cancelled", status="cancelled", date="2026")
    found = events(client, "/v1/milestones.ics")
    assert {name: str(event["STATUS"]) for name, event in found.items()} == {
        "Promised": "TENTATIVE", "Cancelled": "CANCELLED",
    }  # fmt: skip
    assert found["Promised"]["DTSTART"].dt == date(2027, 5, 1)


def test_a_calendar_takes_the_filters_of_its_list_and_no_page(client: httpx.Client) -> None:
    organization(client, slug="ilo")
    milestone(client, title="Ours", organization="ilo", date="2014", kind="session")
    milestone(client, title="Theirs", date="2015", kind="launch")
    assert set(events(client, "/v1/milestones.ics")) == {"Ours", "Theirs"}
    for query in ("organization=ilo", "kind=session", "from=2014&to=2014", "at=2014&organization=ilo&lineage=true"):
        assert set(events(client, f"/v1/milestones.ics?{query}")) == {"Ours"}, query
    for name in ("limit", "cursor", "sort", "count", "fields", "include", "format", "bom"):
        assert parameters(problem(client, client.get(f"/v1/milestones.ics?{name}=1"), 400)) == [name]
    problem(client, client.get("/v1/milestones.ics?organization=nobody"), 422)


def test_more_than_a_page_is_in_the_calendar(client: httpx.Client) -> None:
    operations = [
        {"verb": "create", "noun": "milestones", "body": {"title": f"M{n}", "kind": "other", "status": "met", "date": "2014",
                                                          "organization": "ilo"}}
        for n in range(110)
    ]  # fmt: skip
    organization(client, slug="ilo")
    for _ in range(2):
        assert client.post("/v1/batch", json={"operations": operations}).status_code == 200
    answer = client.get("/v1/milestones.ics")
    assert answer.content.count(b"BEGIN:VEVENT") == 220


def test_the_agenda_is_a_calendar_of_due_reviews(client: httpx.Client) -> None:
    record = collaboration(client, slug="forum", title="The forum", review_every_months=12)
    collaboration(client, title="Never reviewed", review_every_months=12)
    review(client, date="2024-01-10", items=[{"collaboration": "forum", "finding": "renew"}])
    found = events(client, "/v1/agenda.ics")
    assert list(found) == ["Review: The forum"]
    event = found["Review: The forum"]
    assert (str(event["UID"]), event["DTSTART"].dt) == (record["id"], date(2025, 1, 10))
    assert str(event["DESCRIPTION"]) == "Last reviewed 2024-01-10: renew."
    assert parameters(problem(client, client.get("/v1/agenda.ics?body=nobody"), 422)) == ["body"]


@pytest.mark.parametrize("path", ["/v1/milestones.ics", "/v1/agenda.ics"])
def test_a_calendar_may_be_empty_and_is_not_modified_until_a_write(client: httpx.Client, path: str) -> None:
    assert events(client, path) == {}
    tag = client.get(path).headers["etag"]
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    organization(client)
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 200
    assert client.head(path).headers["etag"] == client.get(path).headers["etag"]
