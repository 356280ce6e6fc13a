"""Moments, dates and tags that break services: A26, A27, A34 and A35."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from app.kit.db import Database
from tests.cases.places import Json, encoded, places
from tests.cases.places import samples as make_samples
from tests.cases.refusals import blames_pointer, refused, same
from tests.support.answers import slugs, walk
from tests.support.builders import NOUNS, milestone, organization, patch, source
from tests.support.wire import ANY, JSON, Wire

# --- A26: one moment, however written -------------------------------------------------------------------------------

MOMENTS = [
    pytest.param("2024-03-31T00:30:00Z", "2024-03-31T00:30:00Z", id="A26-utc"),
    pytest.param("2024-03-31T02:30:00+02:00", "2024-03-31T00:30:00Z", id="A26-an-hour-that-summer-time-skips"),
    pytest.param("2024-10-27T02:30:00+02:00", "2024-10-27T00:30:00Z", id="A26-an-hour-that-there-is-twice-first"),
    pytest.param("2024-10-27T02:30:00+01:00", "2024-10-27T01:30:00Z", id="A26-an-hour-that-there-is-twice-second"),
    pytest.param("2024-12-31T23:59:59-05:00", "2025-01-01T04:59:59Z", id="A26-next-year-in-utc"),
    pytest.param("2024-03-01T00:00:00+05:45", "2024-02-29T18:15:00Z", id="A26-leap-day-in-utc"),
    pytest.param("2024-03-31T00:30:00+00:00", "2024-03-31T00:30:00Z", id="A26-zero-offset"),
    pytest.param("2024-03-31T00:30:00-00:00", "2024-03-31T00:30:00Z", id="A26-minus-zero-offset"),
    pytest.param("2024-03-31T00:30:00.000001Z", "2024-03-31T00:30:00.000001Z", id="A26-microsecond"),
    pytest.param("2024-03-31T00:30:00.5Z", "2024-03-31T00:30:00.500000Z", id="A26-half-a-second"),
    pytest.param("1883-11-18T12:00:00-05:00", "1883-11-18T17:00:00Z", id="A26-before-time-zones"),
    pytest.param("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", id="A26-first"),
    pytest.param("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z", id="A26-last"),
]


@pytest.mark.parametrize(("given", "kept"), MOMENTS)
def test_a_moment_is_kept_in_utc_and_found_at_its_place(client: httpx.Client, given: str, kept: str) -> None:
    record = source(client, retrieved=given)
    assert record["retrieved"] == kept
    at = source.at(record)
    assert client.get(at).json()["retrieved"] == kept
    assert client.get(source.path).json()["items"][0]["retrieved"] == kept
    assert client.get(f"{at}/revisions/1").json()["record"]["retrieved"] == kept
    put = client.put(at, json=record, headers={"If-Match": "*"})
    assert (put.status_code, put.json()["version"]) == (200, 1)
    assert patch(client, source, record, retrieved=given)["version"] == 1, "the same moment is no change"
    twin = source(client, retrieved=kept)["slug"]
    early, late = (
        source(client, retrieved="0001-01-01T00:00:00Z"),
        source(client, retrieved="9999-12-31T23:59:59.999999Z"),
    )
    order = slugs(client, f"{source.path}?sort=retrieved&limit=1")
    assert sorted(order) == sorted([record["slug"], twin, early["slug"], late["slug"]])
    assert abs(order.index(record["slug"]) - order.index(twin)) == 1


def test_a26_updated_since_reads_zones_around_midnight(client: httpx.Client, database: Database) -> None:
    database.clock = lambda: datetime(2026, 3, 28, 23, 59, 59, 999_999, tzinfo=UTC)
    before = organization(client)["slug"]
    database.clock = lambda: datetime(2026, 3, 29, 0, 0, 0, tzinfo=UTC)
    after = organization(client)["slug"]
    for moment, found in (
        ("2026-03-29T00:00:00Z", [after]),
        ("2026-03-29T02:00:00+02:00", [after]),
        ("2026-03-28T19:00:00-05:00", [after]),
        ("2026-03-28T23:59:59.999999Z", [before, after]),
        ("2026-03-29T00:00:00+02:00", [before, after]),
        ("2026-03-29T00:00:00.000001Z", []),
    ):
        answer = client.get(organization.path, params={"updated_since": moment})
        assert sorted(item["slug"] for item in answer.json()["items"]) == sorted(found), moment


# --- A27: a date is no more precise than it was given ----------------------------------------------------------------

DATES = [
    "1883", "1990-11", "2018-Q3", "2018-33", "2018-21", "2014-12-04", "201X", "20XX", "2014-XX", "2014-12-XX", "2011?",
    "2011~", "2011%", "2014-12-04~", "1999/..", "1999/", "../2005", "/2005", "2014/2016", "2014-06/2016-01-01", "2024-02-29",
    "0001", "9999-12-31", "1900-01-01",
]  # fmt: skip
NO_DATES = [
    "2018-00-00", "2018-13", "2023-02-29", "2018-05-00", "2018-00", "1900-02-29", "2018-Q5", "2018-Q0", "18-05", "20180501",
    "43101", "1/2/2018", "03/05/2018", "Jan-18", "Sept. 2018", "septembre 2018", "3 May 2018", "since 1999", "1999-",
    "2014-2016", "2014–2016", "2014-15", "2014/15", "2016-17 academic year", "Q3 2018", "c. 1990", "1990s", "before 2001",
    "ongoing", "TBC", "n/a", "-", "", " ", "2018 ", " 2018", "2018*", "1 January 2018 (provisionally)", "2016/2014", "10000",
    "-0001", "0000", "../..", "/", "2018-05-01T00:00:00Z", "２０１８", "٢٠١٨", "2018\n", "2018\u00a0",
]  # fmt: skip


def test_a27_dates_come_back_as_they_were_written_from_every_field(client: httpx.Client, wire: Wire) -> None:
    make_samples(client)
    for noun, field in date_fields():
        dates = DATES if noun is milestone else DATES[:4]
        for date in dates:
            body = encoded({field: date})
            changed = wire.request("PATCH", noun.at("sample"), headers=[JSON, ANY], body=body)
            assert (changed.status, changed.json()[field]) == (200, date), (noun.plural, field)
        version = changed.json()["version"]
        assert wire.request("GET", noun.at("sample")).json()[field] == dates[-1]
        history = [
            wire.request("GET", f"{noun.at('sample')}/revisions/{n}").json()["record"][field]
            for n in range(version - len(dates) + 1, version + 1)
        ]
        assert history == dates
        assert {record["slug"]: record[field] for record in walk(client, noun.path)}["sample"] == dates[-1]


def test_a27_what_is_no_date_is_refused_in_every_field(client: httpx.Client, database: Database, wire: Wire) -> None:
    make_samples(client)
    numbers: list[Any] = [2018, 43101, 1883.5, True, [2018], {"year": 2018}]
    with same(client, database):
        for noun, field in date_fields():
            for date in [*NO_DATES, *numbers] if noun is milestone else ["2018-00-00", "43101", 2018, ""]:
                answer = wire.request("PATCH", noun.at("sample"), headers=[JSON, ANY], body=encoded({field: date}))
                blames_pointer(answer, f"/{field}")


def test_a27_dates_are_sorted_by_their_first_day_and_then_by_age(client: httpx.Client) -> None:
    dates = [
        "2018-Q3",
        "2018-07-01",
        "2018",
        None,
        "2018-01",
        "../2018",
        "201X",
        "2018-07",
        "2018-01-01?",
        "2018-12-31/..",
    ]
    made = [milestone(client, date=date)["date"] for date in dates]
    assert made == dates
    up = [
        "../2018",
        "201X",
        "2018",
        "2018-01",
        "2018-01-01?",
        "2018-Q3",
        "2018-07-01",
        "2018-07",
        "2018-12-31/..",
        None,
    ]
    assert [record["date"] for record in walk(client, f"{milestone.path}?sort=date&limit=3")] == up
    assert [record["date"] for record in walk(client, f"{milestone.path}?sort=-date&limit=3")] == [*up[-2::-1], None]


def date_fields() -> list[tuple[Any, str]]:
    """Every EDTF field that a noun has at its top."""
    return [
        (noun, str(place.steps[0]))
        for noun in NOUNS.values()
        for place in places(noun.plural)
        if len(place.steps) == 1 and place.accepts("2018-Q3") and not place.accepts("Ω")
    ]


# --- A34, A35: tags -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "br, gzip, deflate", "zstd", "identity", "*", "identity;q=0"])
def test_a34_the_tag_of_an_answer_can_be_sent_back_whatever_encoding_was_asked_for(
    client: httpx.Client, wire: Wire, encoding: str
) -> None:
    make_samples(client)
    for noun in NOUNS.values():
        answer = wire.request("GET", noun.at("sample"), headers=[("Accept-Encoding", encoding)])
        tag = str(answer.header("etag"))
        assert (answer.status, tag.startswith('"v1')) == (200, True)
        assert wire.request("GET", noun.at("sample"), headers=[("If-None-Match", tag)]).status == 304
        body = encoded(noun.change)
        changed = wire.request("PATCH", noun.at("sample"), headers=[JSON, ("If-Match", tag)], body=body)
        assert changed.status == 200, noun.plural


def test_a34_a_weak_tag_never_matches_a_write_but_does_a_reading(
    client: httpx.Client, database: Database, wire: Wire
) -> None:
    make_samples(client)
    with same(client, database):
        for noun in NOUNS.values():
            weak = f"W/{wire.request('GET', noun.at('sample')).header('etag')}"
            headers = [JSON, ("If-Match", weak)]
            refused(wire.request("PATCH", noun.at("sample"), headers=headers, body=b"{}"), 412, "precondition-failed")
            refused(wire.request("DELETE", noun.at("sample"), headers=headers), 412, "precondition-failed")
            assert wire.request("GET", noun.at("sample"), headers=[("If-None-Match", weak)]).status == 304


def test_a35_two_writes_of_one_moment_have_two_tags(client: httpx.Client, database: Database) -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    database.clock = lambda: moment
    for noun in NOUNS.values():
        record = noun(client)
        tags = [client.get(noun.at(record)).headers["etag"]]
        for value in (next(iter(noun.change.values())), None):
            change: Json = {next(iter(noun.change)): value}
            answer = client.patch(noun.at(record), json=change, headers={"If-Match": tags[-1]})
            assert answer.status_code == 200, answer.text
            assert answer.json()["updated_at"] == record["created_at"]
            tags.append(answer.headers["etag"])
        assert len(set(tags)) == 3
        for stale in tags[:2]:
            answer = client.patch(noun.at(record), json=noun.change, headers={"If-Match": stale})
            body = refused(answer, 412, "precondition-failed")
            assert (body["version"], body["changed"]) == (3, list(noun.change))
