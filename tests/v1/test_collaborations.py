"""Collaborations: their participants, and what the calendar says of their review."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.conftest import Ticking
from tests.support.answers import nothing_written, pointers, problem, slugs, walk
from tests.support.builders import Json, collaboration, collaboration_type, organization, patch, review, withdraw

ANY = {"If-Match": "*"}


def on(clock: Ticking, day: str, time: str = "12:00:00") -> None:
    """Wind the clock to a day."""
    clock.now = datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=UTC)


def standing(client: httpx.Client, record: Json) -> tuple[Any, Any, Any]:
    """The three computed fields, which record and list show alike."""
    read: Json = client.get(collaboration.at(record)).json()
    assert [item for item in walk(client, collaboration.path) if item["slug"] == record["slug"]] == [read]
    return read["last_reviewed"], read["next_review_due"], read["review_status"]


def reviewed(client: httpx.Client, record: Json, **given: Any) -> Json:
    """A review that looked at the collaboration."""
    items = [{"collaboration": record["slug"], "finding": "continue"}]
    return review(client, **{"status": "held", "items": items} | given)


# --- participants ---------------------------------------------------------------------------------------------------


def test_participants_are_created_with_it_keep_their_order_and_may_repeat(client: httpx.Client) -> None:
    ilo, oecd = organization(client)["slug"], organization(client)["slug"]
    given = [
        {"organization": oecd, "role": "host", "period": "2014/2016", "on_behalf_of": ilo, "note": "In Paris."},
        {"organization": ilo, "role": "speaker", "period": None, "on_behalf_of": None, "note": None},
        {"organization": ilo, "role": "speaker", "period": None, "on_behalf_of": None, "note": None},
        {"organization": oecd, "role": "speaker", "period": "2015~", "on_behalf_of": None, "note": None},
    ]
    record = collaboration(client, participants=given)
    assert record["participants"] == given
    assert client.get(collaboration.at(record)).json() == record
    (entry,) = client.get(f"{collaboration.at(record)}/revisions").json()["items"]
    assert entry["action"] == "created"
    for wanted in (given[::-1], given[:1], [*given, *given], []):
        assert patch(client, collaboration, record, participants=wanted)["participants"] == wanted
        assert (record["slug"] in slugs(client, f"{collaboration.path}?organization={oecd}")) == bool(wanted)


def test_nothing_is_created_when_one_participant_is_faulty(client: httpx.Client) -> None:
    ilo = organization(client)["slug"]
    good = {"organization": ilo, "role": "partner"}
    faults = {
        "/participants/1/organization": {"organization": "nobody", "role": "partner"},
        "/participants/1/on_behalf_of": {**good, "on_behalf_of": "nobody"},
        "/participants/1/role": {"organization": ilo, "role": "friend"},
        "/participants/1/period": {**good, "period": "long ago"},
        "/participants/1/since": {**good, "since": "2014"},
    }
    draft = collaboration.draft(client)
    with nothing_written(client):
        for pointer, faulty in faults.items():
            refused = client.post(collaboration.path, json=draft | {"participants": [good, faulty]})
            assert pointers(problem(client, refused, 422)) == [pointer]
    assert walk(client, collaboration.path) == []


def test_a_role_and_an_organization_are_asked_of_one_participant(client: httpx.Client) -> None:
    ilo, oecd = organization(client)["slug"], organization(client)["slug"]
    parts = [{"organization": ilo, "role": "speaker"}, {"organization": oecd, "role": "host"}]
    record = collaboration(client, participants=parts)
    found = {
        (name, role): slugs(client, f"{collaboration.path}?organization={name}&role={role}")
        for name in (ilo, oecd)
        for role in ("speaker", "host", "speaker,host")
    }
    here: list[str] = [record["slug"]]
    nowhere: list[str] = []
    assert found == {
        (ilo, "speaker"): here,
        (ilo, "host"): nowhere,
        (ilo, "speaker,host"): here,
        (oecd, "speaker"): nowhere,
        (oecd, "host"): here,
        (oecd, "speaker,host"): here,
    }


def test_what_is_not_stated_is_empty_and_its_status_unknown(client: httpx.Client) -> None:
    kind = collaboration_type(client)["slug"]
    record = collaboration(client, title="Bare", type=kind)
    empty = {"summary", "period", "part_of", "review_every_months", "last_reviewed", "next_review_due"}
    assert {name for name, value in record.items() if value is None} == empty
    assert {name for name, value in record.items() if value == []} == {"instruments", "sdgs", "participants"}
    assert (record["status"], record["review_status"]) == ("unknown", "none")


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("sdgs", [0], "/sdgs/0"),
        ("sdgs", [8, 18], "/sdgs/1"),
        ("sdgs", [8, 8], "/sdgs"),
        ("review_every_months", 0, "/review_every_months"),
        ("review_every_months", 1201, "/review_every_months"),
        ("review_every_months", "24", "/review_every_months"),
        ("review_every_months", 1.5, "/review_every_months"),
        ("status", None, "/status"),
        ("type", None, "/type"),
        ("period", "1999-", "/period"),
        ("instruments", ["mne", "mne"], "/instruments"),
    ],
)
def test_a_faulty_field_is_named_by_its_pointer(client: httpx.Client, field: str, value: Any, pointer: str) -> None:
    draft = collaboration.draft(client) | {field: value}
    with nothing_written(client):
        assert pointers(problem(client, client.post(collaboration.path, json=draft), 422)) == [pointer]


# --- the review that is due -----------------------------------------------------------------------------------------


def test_no_review_is_due_where_none_is_asked_for(client: httpx.Client) -> None:
    record = collaboration(client)
    assert standing(client, record) == (None, None, "none")
    reviewed(client, record, date="2025-11-03")
    assert standing(client, record) == ("2025-11-03", None, "none")


def test_a_review_that_was_never_held_is_said_to_be_missing(client: httpx.Client) -> None:
    record = collaboration(client, review_every_months=24)
    assert standing(client, record) == (None, None, "never")
    reviewed(client, record, status="planned", date="2025-11-03")
    reviewed(client, record, date=None)
    reviewed(client, collaboration(client), date="2025-11-03")
    assert standing(client, record) == (None, None, "never")


@pytest.mark.parametrize(
    ("held", "months", "due", "days"),
    [
        (
            "2025-03-10",
            24,
            "2027-03-10",
            {
                "2026-03-01": "current",
                "2026-12-09": "current",
                "2026-12-10": "due",
                "2027-03-10": "due",
                "2027-03-11": "overdue",
                "2040-01-01": "overdue",
            },
        ),
        ("2025", 12, "2026-12-31", {"2026-09-30": "current", "2026-10-01": "due", "2027-01-01": "overdue"}),
        ("2025-02", 12, "2026-02-28", {"2026-02-28": "due", "2026-03-01": "overdue"}),
        ("2024-02-29", 12, "2025-02-28", {"2026-03-01": "overdue"}),
        ("2024-08-31", 18, "2026-02-28", {"2026-03-01": "overdue"}),
        ("2026-02-01/2026-02-20", 1, "2026-03-20", {"2026-03-01": "due"}),
        ("2020/..", 1200, "9999-12-31", {"2026-03-01": "current"}),
    ],
)
def test_the_calendar_alone_moves_a_review_from_current_to_overdue(
    client: httpx.Client, clock: Ticking, held: str, months: int, due: str, days: dict[str, str]
) -> None:
    record = collaboration(client, review_every_months=months)
    reviewed(client, record, date=held)
    found = {}
    for day in days:
        on(clock, day)
        last, following, found[day] = standing(client, record)
        assert (last, following) == (held, due)
    assert found == days


def test_the_latest_review_that_was_held_counts(client: httpx.Client, clock: Ticking) -> None:
    record = collaboration(client, review_every_months=12)
    later = reviewed(client, record, date="2025-12-01")
    reviewed(client, record, date="2024-06-30")
    reviewed(client, record, status="planned", date="2026-12-01")
    assert standing(client, record) == ("2025-12-01", "2026-12-01", "current")
    withdraw(client, review, later)
    assert standing(client, record) == ("2024-06-30", "2025-06-30", "overdue")
    client.post(f"{review.at(later)}/restore")
    assert standing(client, record) == ("2025-12-01", "2026-12-01", "current")
    patch(client, review, later, items=[])
    assert standing(client, record) == ("2024-06-30", "2025-06-30", "overdue")


def test_a_changed_interval_moves_the_date(client: httpx.Client) -> None:
    record = collaboration(client, review_every_months=12)
    reviewed(client, record, date="2025-12-01")
    changed = patch(client, collaboration, record, review_every_months=1)
    assert (changed["next_review_due"], changed["review_status"]) == ("2026-01-01", "overdue")
    assert standing(client, record) == ("2025-12-01", "2026-01-01", "overdue")


def test_a_review_reaches_readers_who_hold_an_etag_and_is_no_new_version(client: httpx.Client) -> None:
    record = collaboration(client, review_every_months=12)
    held = {path: client.get(path).headers["etag"] for path in (collaboration.at(record), collaboration.path)}
    reviewed(client, record, date="2025-12-01")
    for path, tag in held.items():
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 200
    assert client.get(collaboration.at(record)).json()["version"] == 1
    last = held[collaboration.at(record)]
    assert client.patch(collaboration.at(record), json={"summary": "x"}, headers={"If-Match": last}).status_code == 200


def test_midnight_reaches_readers_who_hold_an_etag(client: httpx.Client, clock: Ticking) -> None:
    record = collaboration(client, review_every_months=12)
    reviewed(client, record, date="2025-03-10")
    paths = (collaboration.at(record), collaboration.path)
    on(clock, "2026-03-10", "23:59:59")
    held = {path: client.get(path).headers["etag"] for path in paths}
    assert [client.get(path, headers={"If-None-Match": held[path]}).status_code for path in paths] == [304, 304]
    on(clock, "2026-03-11", "00:00:00")
    assert [client.get(path, headers={"If-None-Match": held[path]}).status_code for path in paths] == [200, 200]
    assert standing(client, record)[2] == "overdue"


def test_computed_fields_may_be_sent_back_and_never_written(client: httpx.Client) -> None:
    record = collaboration(client, review_every_months=12)
    reviewed(client, record, date="2025-12-01")
    read = client.get(collaboration.at(record)).json()
    with nothing_written(client):
        same = client.put(collaboration.at(record), json=read, headers=ANY)
        assert (same.status_code, same.json()) == (200, read)
        for field, value in (("review_status", "overdue"), ("last_reviewed", "2026"), ("next_review_due", None)):
            left_out = client.put(collaboration.at(record), json=read | {field: value}, headers=ANY)
            assert (left_out.status_code, left_out.json()) == (200, read)
            refused = client.patch(collaboration.at(record), json={field: value}, headers=ANY)
            assert value is None or pointers(problem(client, refused, 422)) == [f"/{field}"]
        draft = collaboration.draft(client, type=read["type"])
        refused = client.post(collaboration.path, json=draft | {"review_status": "none"})
        assert pointers(problem(client, refused, 422)) == ["/review_status"]
