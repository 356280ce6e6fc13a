"""The agenda: what is due, late or was never reviewed, what findings wait for, and the same asked as a filter."""

from __future__ import annotations

from datetime import date
from typing import Any

import httpx
import pytest

from tests.conftest import Ticking
from tests.support.answers import Json, parameters, problem, slugs, walk
from tests.support.builders import collaboration, collaboration_type, milestone, organization, patch, review, withdraw
from tests.v1.test_collaborations import on

STATUSES = ("none", "never", "overdue", "due", "current")


def reviewed(client: httpx.Client, *names: str, finding: str = "noted", **given: Any) -> Json:
    return review(client, items=[{"collaboration": name, "finding": finding} for name in names], **given)


def agenda(client: httpx.Client, query: str = "") -> list[tuple[str, str]]:
    return [(item["collaboration"], item["review_status"]) for item in walk(client, f"/v1/agenda?limit=2{query}")]


# --- the interval ----------------------------------------------------------------------------------------------------


def test_a_type_says_how_often_its_collaborations_are_reviewed_unless_they_or_a_nearer_type_do(
    client: httpx.Client,
) -> None:
    collaboration_type(client, slug="agreement", review_every_months=24)
    collaboration_type(client, slug="mou", broader="agreement")
    collaboration_type(client, slug="treaty", broader="agreement", review_every_months=12)
    collaboration_type(client, slug="chat")
    for slug, kind, own in (("a", "mou", None), ("b", "treaty", None), ("c", "mou", 6), ("d", "chat", None)):
        collaboration(client, slug=slug, type=kind, review_every_months=own)
    reviewed(client, "a", "b", "c", "d", date="2026-01-15")
    due = {slug: client.get(f"/v1/collaborations/{slug}").json()["next_review_due"] for slug in "abcd"}
    assert due == {"a": "2028-01-15", "b": "2027-01-15", "c": "2026-07-15", "d": None}
    patch(client, collaboration_type, {"slug": "agreement"}, review_every_months=None)
    assert client.get("/v1/collaborations/a").json()["review_status"] == "none"


# --- the filter ------------------------------------------------------------------------------------------------------

HELD = [
    "2025-03-01",
    "2025-02-28",
    "2024-02-29",
    "2025-06-01",
    "2025-06-02",
    "2025-05-31",
    "2025-08-31",
    "2026-02",
    "2015/..",
    "2025",
]


@pytest.mark.parametrize("today", ["2026-03-01", "2026-02-28", "2026-05-31", "2028-02-29", "2026-12-31"])
def test_the_filter_asks_what_the_record_shows(client: httpx.Client, clock: Ticking, today: str) -> None:
    on(clock, today)
    collaboration_type(client, slug="kind")
    for n, held in enumerate([*HELD, None]):
        for months in (None, 1, 12, 13, 1200):
            record = collaboration(client, slug=f"c-{n}-{months or 0}", type="kind", review_every_months=months)
            if held is not None:
                reviewed(client, record["slug"], date=held)
    shown = {item["slug"]: item["review_status"] for item in walk(client, "/v1/collaborations?limit=200")}
    for status in STATUSES:
        expected = sorted(slug for slug, found in shown.items() if found == status)
        assert slugs(client, f"/v1/collaborations?review_status={status}") == expected, status
    assert set(shown.values()) >= {"none", "never", "overdue", "current"}
    both = client.get("/v1/collaborations?review_status=never,overdue&count=true").json()["total"]
    assert both == sum(found in ("never", "overdue") for found in shown.values())


def test_a_status_that_there_is_not_is_refused(client: httpx.Client) -> None:
    assert parameters(problem(client, client.get("/v1/collaborations?review_status=late"), 422)) == ["review_status"]


# --- the agenda ------------------------------------------------------------------------------------------------------


def test_the_most_pressing_comes_first_and_what_is_well_is_left_out(client: httpx.Client) -> None:
    for slug, months, held in (
        ("late", 12, "2024-01-10"), ("later", 12, "2023-01-10"), ("soon", 12, "2025-04-10"), ("fine", 12, "2026-02-01"),
        ("unasked", None, "2020"), ("never", 24, None),
    ):  # fmt: skip
        collaboration(client, slug=slug, review_every_months=months)
        if held:
            reviewed(client, slug, date=held)
    collaboration(client, slug="over", review_every_months=12, status="ended")
    assert agenda(client) == [("later", "overdue"), ("late", "overdue"), ("soon", "due"), ("never", "never")]
    assert agenda(client, "&on=2027-02-02")[:4] == [
        ("later", "overdue"), ("late", "overdue"), ("soon", "overdue"), ("fine", "overdue"),
    ]  # fmt: skip


def test_a_body_sees_its_own_reviews_and_what_nobody_has_reviewed(client: httpx.Client) -> None:
    for slug in ("gb", "board"):
        organization(client, slug=slug)
    for slug in ("ours", "theirs", "both", "nobodys"):
        collaboration(client, slug=slug, review_every_months=12)
    reviewed(client, "ours", "both", body="gb", date="2024-01-10")
    reviewed(client, "theirs", "both", body="board", date="2026-02-01")
    assert agenda(client, "&body=gb") == [("both", "overdue"), ("ours", "overdue"), ("nobodys", "never")]
    assert agenda(client, "&body=board") == [("nobodys", "never")]
    assert agenda(client) == [("ours", "overdue"), ("nobodys", "never")]
    assert parameters(problem(client, client.get("/v1/agenda?body=nobody"), 422)) == ["body"]


def test_a_finding_is_open_until_something_follows_it(client: httpx.Client, clock: Ticking) -> None:
    on(clock, "2026-01-01")
    for slug in ("changed", "met", "waiting", "content", "closing"):
        collaboration(client, slug=slug)
    milestone(client, slug="promise", collaboration="waiting", status="planned")
    for slug, finding in (
        ("changed", "adjust"), ("met", "renew"), ("waiting", "adjust"), ("content", "continue"), ("closing", "close"),
    ):  # fmt: skip
        reviewed(client, slug, finding=finding, date="2026-01-15", slug=f"r-{slug}", session="355th")
    on(clock, "2026-03-01")

    def open_ones() -> list[str]:
        return [item["collaboration"] for item in walk(client, "/v1/agenda")]

    assert open_ones() == ["changed", "closing", "met", "waiting"]
    entry = next(item for item in walk(client, "/v1/agenda") if item["collaboration"] == "waiting")
    assert entry["findings"] == [
        {
            "review": "r-waiting",
            "session": "355th",
            "date": "2026-01-15",
            "document": None,
            "finding": "adjust",
            "note": None,
        }
    ]
    assert entry["follow_up"] == {"open": True, "changes": [], "met": [], "planned": ["promise"]}
    patch(client, collaboration, {"slug": "changed"}, summary="With clearer roles.")
    milestone(client, collaboration="met", date="2026-02-10", status="met")
    patch(client, collaboration, {"slug": "closing"}, summary="Winding down.")
    assert open_ones() == ["closing", "waiting"]
    patch(client, collaboration, {"slug": "closing"}, status="ended")
    reviewed(client, "waiting", finding="noted", date="2026-02-20")
    assert open_ones() == []


def test_the_agenda_of_a_past_day_is_what_it_was(client: httpx.Client) -> None:
    collaboration(client, slug="forum", review_every_months=12)
    held = reviewed(client, "forum", date="2024-01-10")
    then = client.get("/v1/changes").headers["etag"].strip('"s')
    withdraw(client, review, held)
    assert agenda(client) == [("forum", "never")]
    assert agenda(client, f"&as_of={then}") == [("forum", "overdue")]


def test_the_agenda_is_not_modified_until_a_write_or_midnight(client: httpx.Client, clock: Ticking) -> None:
    collaboration(client, slug="forum", review_every_months=12)
    tag = client.get("/v1/agenda").headers["etag"]
    assert client.get("/v1/agenda", headers={"If-None-Match": tag}).status_code == 304
    on(clock, "2026-03-02")
    assert client.get("/v1/agenda", headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize(
    "query", ["on=2026-02-30", "on=tomorrow", "on=20260301", "on=1700000000", "limit=0", "limit=201"]
)
def test_a_bad_parameter_is_named(client: httpx.Client, query: str) -> None:
    assert parameters(problem(client, client.get(f"/v1/agenda?{query}"), 422)) == [query.partition("=")[0]]


def test_a_cursor_belongs_to_its_agenda(client: httpx.Client) -> None:
    for _ in range(3):
        collaboration(client, review_every_months=12)
    following = client.get("/v1/agenda?limit=1").json()["next"]
    problem(client, client.get(f"{following}&on={date(2026, 4, 1)}"), 400)
    problem(client, client.get(f"{following}x"), 400)
