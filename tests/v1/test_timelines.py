"""The timeline: periods and dates in their order, what is not known of them, and the picture of both."""

from __future__ import annotations

import re
from datetime import date
from typing import Any
from xml.etree import ElementTree as Xml

import httpx
import pytest

from app.exchange import svg
from app.exchange.timelines import AXIS, DATES, LEFT, TITLES, Span, _Axis, span
from app.kit import edtf
from app.kit.db import Database
from app.registry import timelines
from app.registry.timelines import DateField, Item
from tests.contract.test_lists import statements
from tests.support.answers import Json, parameters, problem
from tests.support.builders import collaboration, collaboration_type, milestone, organization, patch, withdraw

SVG = f"{{{svg.NAMESPACE}}}"
LOW, HIGH = LEFT + TITLES + DATES, LEFT + TITLES + DATES + AXIS


def asked(client: httpx.Client, query: str = "") -> Json:
    answer = client.get(f"/v1/timeline?{query}", headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def dated(client: httpx.Client, query: str = "") -> list[str]:
    return [item["slug"] for item in asked(client, query)["items"]]


def undated(client: httpx.Client, query: str = "") -> list[str]:
    return [item["slug"] for item in asked(client, query)["undated"]]


def drawn(client: httpx.Client, query: str = "") -> Xml.Element:
    answer = client.get(f"/v1/timeline?{query}", headers={"Accept": "image/svg+xml"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml"), answer.text
    return Xml.fromstring(answer.content)  # noqa: S314  # what we wrote ourselves


# --- what is on it --------------------------------------------------------------------------------------------------------


def test_what_is_dated_comes_by_date_and_slug_and_what_is_not_is_listed_apart(client: httpx.Client) -> None:
    organization(client, slug="ilo")
    for slug, period in (("b", "2014"), ("a", "2014"), ("c", "1999/.."), ("d", "../2005"), ("e", None)):
        collaboration(client, slug=slug, period=period)
    for slug, given in (
        ("m", {"date": "2014-01"}), ("n", {"date": "2013-12-31"}), ("o", {}), ("p", {"due": "2030", "status": "planned"}),
        ("q", {"date": "2012", "due": "2010"}),
    ):  # fmt: skip
        milestone(client, slug=slug, organization="ilo", **given)
    assert dated(client) == ["d", "c", "q", "n", "a", "b", "m", "p"]
    assert undated(client) == ["e", "o"]
    found = asked(client)
    assert (found["from"], found["to"], found["truncated"]) == ("1999-01-01", "2030-12-31", False)
    assert {item["slug"]: item["field"] for item in found["items"]} == {
        "d": "period", "c": "period", "q": "date", "n": "date", "a": "period", "b": "period", "m": "date", "p": "due",
    }  # fmt: skip


def test_an_item_says_what_it_is_and_what_is_known_of_its_date(client: httpx.Client) -> None:
    kind = collaboration_type(client, slug="project", label="A project")["slug"]
    collaboration(client, slug="forum", title="The forum", type=kind, period="1999/2004?", status="ended")
    assert asked(client)["items"] == [
        {
            "noun": "collaborations", "slug": "forum", "title": "The forum", "kind": "project", "kind_label": "A project",
            "status": "ended", "field": "period", "date": "1999/2004?", "earliest": "1999-01-01", "begun": "1999-12-31",
            "ended": "0001-01-01", "latest": "2004-12-31",
        }
    ]  # fmt: skip


def test_a_withdrawn_record_is_not_on_it(client: httpx.Client) -> None:
    withdraw(client, collaboration, collaboration(client, period="2014"))
    withdraw(client, milestone, milestone(client, date="2014"))
    assert (dated(client), undated(client)) == ([], [])


def test_of_an_organization_it_shows_its_life_its_collaborations_and_the_milestones_of_both(
    client: httpx.Client,
) -> None:
    organization(client, slug="ilo", name="The office", founded="1919-04-11", kind="intergovernmental_organization")
    organization(client, slug="other")
    for slug, name in (("ours", "ilo"), ("theirs", "other")):
        collaboration(client, slug=slug, period="2001", participants=[{"organization": name, "role": "partner"}])
    milestone(client, slug="own", organization="ilo", date="2000")
    milestone(client, slug="of-ours", collaboration="ours", date="2002")
    milestone(client, slug="of-theirs", collaboration="theirs", date="2003")
    assert dated(client, "organization=ilo") == ["ilo", "own", "ours", "of-ours"]
    assert dated(client, "organization=other") == ["theirs", "of-theirs"]
    assert undated(client, "organization=other") == ["other"]
    (life,) = (item for item in asked(client, "organization=ilo")["items"] if item["noun"] == "organizations")
    assert (life["date"], life["field"], life["title"]) == ("1919-04-11/..", "life", "The office")
    assert (life["earliest"], life["begun"], life["ended"], life["latest"]) == (
        "1919-04-11", "1919-04-11", "9999-12-31", "9999-12-31",
    )  # fmt: skip
    patch(client, organization, {"slug": "ilo"}, founded=None, dissolved="1946?")
    (life,) = (item for item in asked(client, "organization=ilo")["items"] if item["noun"] == "organizations")
    assert (life["date"], life["earliest"], life["begun"], life["ended"], life["latest"]) == (
        "/1946?", "0001-01-01", "9999-12-31", "0001-01-01", "1946-12-31",
    )  # fmt: skip


def test_of_a_collaboration_it_shows_its_period_and_its_milestones(client: httpx.Client) -> None:
    organization(client, slug="ilo")
    parts = [{"organization": "ilo", "role": "partner"}]
    collaboration(client, slug="forum", period="2001", participants=parts)
    collaboration(client, slug="other", period="2001", participants=parts)
    milestone(client, slug="held", collaboration="forum", date="2002")
    milestone(client, slug="elsewhere", organization="ilo", date="2002")
    assert dated(client, "collaboration=forum") == ["forum", "held"]
    assert dated(client, "collaboration=forum&organization=ilo") == ["forum", "held"]
    organization(client, slug="stranger")
    assert dated(client, "collaboration=forum&organization=stranger") == []


def test_a_window_is_read_as_lists_read_it(client: httpx.Client) -> None:
    for slug, period in (("a", "2014"), ("b", "201X"), ("c", "2010/2020"), ("d", "1990"), ("e", None), ("f", "2014?")):
        collaboration(client, slug=slug, period=period)
    for query in (
        "from=2014&to=2014",
        "from=2014&to=2014&match=certain",
        "from=2000",
        "to=1990",
        "to=2013&match=certain",
    ):
        listed = client.get(f"/v1/collaborations?{query}&sort=period").json()["items"]
        assert sorted(dated(client, query)) == sorted(item["slug"] for item in listed), query
    assert undated(client, "from=2014") == ["e"]
    assert undated(client, "from=2014&match=certain") == undated(client, "match=certain") == []
    found = asked(client, "from=2014&to=2015-06")
    assert (found["from"], found["to"]) == ("2014-01-01", "2015-06-30")
    assert asked(client, "from=2014")["from"] == "2014-01-01"
    assert dated(client, "match=certain") == dated(client)


def test_a_promise_is_in_the_window_of_its_day(client: httpx.Client) -> None:
    milestone(client, slug="promised", due="2030", status="planned")
    milestone(client, slug="met", due="2030", date="2029", status="met")
    assert dated(client, "from=2030") == ["promised"]
    assert dated(client, "to=2029") == ["met"]


def test_a_life_is_in_the_window_while_it_lasted(client: httpx.Client) -> None:
    organization(client, slug="old", founded="1900", dissolved="1950")
    assert dated(client, "organization=old&from=1940&to=1945") == ["old"]
    assert dated(client, "organization=old&from=1951") == []


def test_the_timeline_of_a_past_state_is_what_it_was(client: httpx.Client) -> None:
    record = collaboration(client, slug="forum", period="2014")
    then = client.get("/v1/changes").headers["etag"].strip('"s')
    patch(client, collaboration, record, period="2015")
    assert asked(client)["items"][0]["date"] == "2015"
    assert asked(client, f"as_of={then}&collaboration=forum")["items"][0]["date"] == "2014"
    withdraw(client, collaboration, record)
    assert dated(client) == []


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ("organization=nobody", 422, ["organization"]), ("collaboration=nothing", 422, ["collaboration"]),
        ("from=soon", 422, ["from"]), ("from=2015&to=2014", 422, ["to"]), ("match=perhaps", 422, ["match"]),
        ("format=graphml", 422, ["format"]), ("limit=5", 400, ["limit"]),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_named(client: httpx.Client, query: str, status: int, named: list[str]) -> None:
    assert parameters(problem(client, client.get(f"/v1/timeline?{query}"), status)) == named


def test_a_merged_organization_names_the_other(client: httpx.Client) -> None:
    organization(client, slug="old")
    organization(client, slug="new")
    client.post("/v1/organizations/old/merge", json={"into": "new"}, headers={"If-Match": "*"})
    assert "'new'" in problem(client, client.get("/v1/timeline?organization=old"), 422)["errors"][0]["message"]


def test_of_too_many_items_the_earliest_are_there_and_the_answer_says_so(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timelines, "MOST", 2)
    for year in (2001, 2002):
        collaboration(client, slug=f"c{year}", period=str(year))
    assert asked(client)["truncated"] is False
    collaboration(client, slug="c2000", period="2000")
    assert (dated(client), asked(client)["truncated"]) == (["c2000", "c2001"], True)
    assert "there are more" in " ".join(drawn(client).itertext())


def test_the_timeline_costs_the_same_statements_whatever_its_size(client: httpx.Client, database: Database) -> None:
    def costs() -> list[int]:
        found = []
        for query in ("", "organization=ilo", "organization=ilo&from=2000&match=certain", "collaboration=c0"):
            with statements(database) as sent:
                assert client.get(f"/v1/timeline?{query}").status_code == 200
            found.append(len(sent))
        return found

    organization(client, slug="ilo")
    parts = [{"organization": "ilo", "role": "partner"}]
    collaboration(client, slug="c0", period="2014", participants=parts)
    small = costs()
    assert small == [3, 5, 5, 4]
    for n in range(1, 10):
        collaboration(client, slug=f"c{n}", period=f"{2000 + n}", participants=parts)
        milestone(client, collaboration=f"c{n}", date=f"{2000 + n}")
    assert costs() == small


# --- its forms ------------------------------------------------------------------------------------------------------------


def test_each_form_has_its_own_tag_until_something_is_written(registry: httpx.Client) -> None:
    tags = set()
    for form in ("application/json", "image/svg+xml"):
        answer = registry.get("/v1/timeline", headers={"Accept": form})
        tags.add(answer.headers["etag"])
        again = registry.get("/v1/timeline", headers={"Accept": form, "If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.headers["vary"]) == (304, "Accept")
    assert len(tags) == 2
    named = registry.get("/v1/timeline?format=svg", headers={"Accept": "application/json"})
    assert named.headers["content-type"] == "image/svg+xml"
    assert registry.get("/v1/timeline").headers["content-type"] == "application/json"
    problem(registry, registry.get("/v1/timeline", headers={"Accept": "text/csv"}), 406)
    milestone(registry)
    changed = registry.get("/v1/timeline", headers={"If-None-Match": '"s210.json"'})
    assert changed.status_code == 200


def test_a_picture_is_self_contained_described_and_the_same_each_time(registry: httpx.Client) -> None:
    answer = registry.get("/v1/timeline?format=svg")
    root = Xml.fromstring(answer.content)  # noqa: S314
    assert (root.get("role"), [child.tag.removeprefix(SVG) for child in root][:2]) == ("img", ["title", "desc"])
    assert not re.search(rb"href|url\((?!#)|@import|javascript|<script|\son\w+=", answer.content)
    policy = answer.headers["content-security-policy"]
    assert policy == f"default-src 'none'; style-src '{svg.STYLE_HASH}'; frame-ancestors 'none'"
    assert registry.get("/v1/timeline?format=svg").content == answer.content
    told = " ".join(root.itertext())
    found = registry.get("/v1/timeline").json()
    assert all(item["title"] in told for item in (*found["items"], *found["undated"]))
    assert all(item["date"] in told for item in found["items"])
    used = {str(each.get("fill"))[5:-1] for each in root.iter(f"{SVG}rect") if "url" in str(each.get("fill"))}
    assert used <= {each.get("id") for each in root.iter(f"{SVG}linearGradient")}


def test_titles_are_text_and_nothing_else(client: httpx.Client) -> None:
    for title in ("<script>alert(1)</script>", "]]>", "\"'&amp;", "منظمة"):
        collaboration(client, title=title, period="2014")
        milestone(client, title=title)
    told = " ".join(drawn(client).itertext())
    assert all(told.count(title) >= 4 for title in ("<script>alert(1)</script>", "]]>", "\"'&amp;", "منظمة"))
    assert not {element.tag.rpartition("}")[2] for element in drawn(client).iter()} & {"script"}


def test_a_timeline_of_nothing_is_a_picture_too(client: httpx.Client) -> None:
    assert asked(client) == {"from": None, "to": None, "items": [], "undated": [], "truncated": False}
    assert "0 dated, 0 undated" in " ".join(drawn(client).itertext())
    collaboration(client, period="9999-12-31")
    collaboration(client, period="0001-01-01")
    collaboration(client, period="../2005")
    assert len(list(drawn(client).iter(f"{SVG}path"))) > 2
    assert drawn(client, "from=9999-12-31").get("role") == "img"


# --- how a date is drawn ----------------------------------------------------------------------------------------------------


def bar(text: str) -> Span:
    """Of a date on an axis from 2000 to 2019."""
    day = edtf.parse(text)
    bounds = (day.earliest, day.begun, day.ended, day.latest)
    item = Item("collaborations", "x", "X", "project", "Project", None, DateField.period, text, *bounds)
    return span(item, _Axis(date(2000, 1, 1), date(2019, 12, 31)))


def test_a_year_is_a_bar_of_that_year_with_soft_ends() -> None:
    year = bar("2010")
    assert year.left < year.sure == year.until < year.right
    assert year.right - year.left == pytest.approx(AXIS / 20.8, rel=0.02)
    assert (year.from_before, year.goes_on) == (False, False)


def test_what_is_certain_of_a_period_is_full() -> None:
    period = bar("2005/2010")
    assert period.left < period.sure < period.until < period.right
    exact = bar("2005-01-01/2010-12-31")
    assert (exact.left, exact.right) == (exact.sure, exact.until)


def test_an_open_end_runs_to_the_edge_with_an_arrow_and_an_unknown_one_fades() -> None:
    going, unknown = bar("2005/.."), bar("2005/")
    assert (going.right, going.until, going.goes_on) == (HIGH, HIGH, True)
    assert not unknown.goes_on
    assert unknown.left < unknown.sure == unknown.until < unknown.right < HIGH
    assert unknown.sure == pytest.approx(going.sure)
    before, since = bar("../2005"), bar("/2005")
    assert (before.left, before.from_before) == (LOW, True)
    assert not since.from_before
    assert LOW < since.left < since.sure


@pytest.mark.parametrize(
    "text", ["1990/2030", "1980", "2040", "1980/..", "2040/..", "../1980", "2005?/2010", "2005/2010~", "0001/.."]
)
def test_a_bar_stays_on_the_axis(text: str) -> None:
    drawn = bar(text)
    assert LOW <= drawn.left <= drawn.sure <= drawn.until <= drawn.right <= HIGH


def test_a_date_that_is_marked_has_a_broken_outline(client: httpx.Client) -> None:
    def outlines() -> list[Any]:
        return [rect for rect in drawn(client).iter(f"{SVG}rect") if "unsure" in str(rect.get("class"))]

    collaboration(client, period="2000/2014")
    assert outlines() == []
    for period in ("2011?", "2011~/2014", "2011/2014%"):
        collaboration(client, period=period)
    assert len(outlines()) == 3
