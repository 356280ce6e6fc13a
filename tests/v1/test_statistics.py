"""The statistics: what they count, and that they agree with what the lists answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.kit.db import Database
from app.registry.collaborations import ParticipantRole
from app.registry.milestones import MilestoneKind
from tests.conftest import Ticking
from tests.contract.test_lists import statements
from tests.support.answers import Json, parameters, problem, walk
from tests.support.builders import (
    NOUNS,
    citation,
    collaboration,
    collaboration_type,
    instrument,
    milestone,
    organization,
    patch,
    review,
    source,
    succession,
    withdraw,
)
from tests.v1.test_collaborations import on

YEARS = {
    "2014": "2014", "2014-12-04": "2014", "2014-Q4": "2014", "1999/..": "1999", "1999/": "1999", "2014-03/2016": "2014",
    "2005-XX": "2005", "201X": None, "2014?": None, "2011~/2014": None, "../2005": None, "/2005": None, "20XX": None,
}  # fmt: skip


def stats(client: httpx.Client, query: str = "") -> Json:
    answer = client.get(f"/v1/stats?{query}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def test_an_empty_registry_has_every_value_with_nothing_in_it(client: httpx.Client) -> None:
    found = stats(client)
    assert found["totals"] == dict.fromkeys(sorted(NOUNS), 0)
    assert found["collaborations"]["role"] == dict.fromkeys(sorted(role.value for role in ParticipantRole), 0)
    assert found["milestones"]["kind"] == dict.fromkeys(sorted(kind.value for kind in MilestoneKind), 0)
    assert found["collaborations"]["begun"] == {"uncertain": 0, "undated": 0, "years": {}}
    nothing = {"records": {"cited": 0, "uncited": 0}, "fields": {"citable": 0, "cited": 0, "share": None}}
    assert found["evidence"] == dict.fromkeys(sorted(noun for noun in NOUNS if noun != "citations"), nothing)


def test_names_are_sorted(registry: httpx.Client) -> None:
    def names(value: Any) -> None:
        if isinstance(value, dict) and all(isinstance(each, int) for each in value.values()):
            assert list(value) == sorted(value)
        for each in value.values() if isinstance(value, dict) else ():
            names(each)

    names(stats(registry))
    assert list(stats(registry)["evidence"]) == sorted(stats(registry)["evidence"])


def test_the_counts_are_those_of_the_lists(registry: httpx.Client) -> None:
    found = stats(registry)
    for noun in NOUNS:
        assert found["totals"][noun] == registry.get(f"/v1/{noun}?count=true&limit=1").json()["total"], noun
    for noun, field in (
        ("organizations", "kind"), ("collaborations", "status"), ("collaborations", "review_status"), ("milestones", "kind"),
        ("milestones", "status"), ("collaborations", "type"),
    ):  # fmt: skip
        for value, count in found[noun][field].items():
            listed = registry.get(f"/v1/{noun}?count=true&limit=1&{field}={value}").json()["total"]
            assert listed == count, (noun, field, value)
    records = walk(registry, "/v1/collaborations?limit=200")
    roles = [part["role"] for record in records for part in record["participants"]]
    assert found["collaborations"]["role"] == {
        role.value: roles.count(role) for role in sorted(ParticipantRole, key=str)
    }


def full(client: httpx.Client) -> None:
    """Records of every noun, some with much in them and some with little, and citations of all sorts."""
    organization(
        client, slug="full", acronym="F", country="CH", founded="1919", other_names=[{"value": "Full", "kind": "short"}]
    )
    organization(client, slug="bare", description="")
    collaboration_type(client, slug="kind", labels={"fr": "Genre"}, exact_matches=["https://concepts.example/x"])
    collaboration_type(client, slug="plain")
    parts = [{"organization": "full", "role": "partner", "note": "x"}]
    collaboration(client, slug="work", type="kind", participants=parts, sdgs=[8], period="2014", review_every_months=12)
    milestone(client, slug="met", collaboration="work", date="2014")
    instrument(client, slug="paper", refers_to=[])
    source(client, slug="page")
    review(client, slug="held", items=[{"collaboration": "work", "finding": "noted"}], date="2015")
    succession(client, slug="became")
    for noun, record, field in (
        ("organizations", "full", ""), ("organizations", "full", "/name"), ("organizations", "full", "/other_names/0/value"),
        ("organizations", "full", "/other_names"), ("organizations", "bare", "/acronym"), ("collaborations", "work", "/period"),
        ("collaborations", "work", "/participants/0/role"), ("collaboration-types", "kind", "/labels"),
        ("milestones", "met", "/date"), ("milestones", "met", "/date"),
    ):  # fmt: skip
        citation(client, source="page", target={"noun": noun, "record": record}, field=field)
    against = {"noun": "organizations", "record": "bare"}
    citation(client, source="page", target=against, field="/name", support="contradicts")
    gone = citation(client, source="page", target={"noun": "instruments", "record": "paper"}, field="/title")
    withdraw(client, citation, gone)


def test_the_evidence_is_that_of_the_records(client: httpx.Client) -> None:
    full(client)
    found = stats(client)["evidence"]
    for noun in found:
        evidence = [record["evidence"] for record in walk(client, f"/v1/{noun}?limit=200")]
        cited = sum(bool(each["cited_fields"]) for each in evidence)
        assert found[noun]["records"] == {"cited": cited, "uncited": len(evidence) - cited}, noun
        citable = [(n, field) for n, each in enumerate(evidence) for field in each["citable_fields"]]
        named = {(n, "/" + f.split("/")[1]) for n, each in enumerate(evidence) for f in each["cited_fields"] if f}
        both = len(named & set(citable))
        assert found[noun]["fields"] == {
            "citable": len(citable), "cited": both, "share": round(both / len(citable), 4) if citable else None,
        }, noun  # fmt: skip
    assert found["organizations"]["fields"]["cited"] == 2
    assert found["instruments"]["records"] == {"cited": 0, "uncited": 1}


def test_the_evidence_of_the_seed_is_that_of_its_records(registry: httpx.Client) -> None:
    for noun, found in stats(registry)["evidence"].items():
        evidence = [record["evidence"] for record in walk(registry, f"/v1/{noun}?limit=200")]
        assert found["fields"]["citable"] == sum(len(each["citable_fields"]) for each in evidence), noun


@pytest.mark.parametrize(("text", "year"), YEARS.items())
def test_a_record_counts_for_the_year_in_which_it_surely_began(
    client: httpx.Client, text: str, year: str | None
) -> None:
    collaboration(client, period=text)
    collaboration(client)
    milestone(client, date=text)
    expected = {"uncertain": int(year is None), "undated": 1, "years": {year: 1} if year else {}}
    found = stats(client)
    assert found["collaborations"]["begun"] == expected
    assert found["milestones"]["happened"] == expected | {"undated": 0}


def test_years_come_in_their_order_and_the_first_ones_have_four_digits(client: httpx.Client) -> None:
    for text in ("2014", "0987", "1999", "2014-01"):
        collaboration(client, period=text)
    assert list(stats(client)["collaborations"]["begun"]["years"].items()) == [("0987", 1), ("1999", 1), ("2014", 2)]


def test_what_was_withdrawn_does_not_count(client: httpx.Client) -> None:
    full(client)
    before = stats(client)
    kind = {"type": "kind", "period": "2014", "participants": [{"organization": "full", "role": "host"}]}
    extra = collaboration(client, review_every_months=12, **kind)
    cited = citation(client, source="page", target={"noun": "collaborations", "record": extra["slug"]}, field="/period")
    event = milestone(client, collaboration=extra["slug"], date="2014")
    assert stats(client) != before
    for builder, record in ((milestone, event), (collaboration, extra), (citation, cited)):
        withdraw(client, builder, record)
    assert stats(client) == before


def test_a_citation_of_a_withdrawn_record_counts_for_no_evidence(client: httpx.Client) -> None:
    record = organization(client)
    citation(client, target={"noun": "organizations", "record": record["slug"]}, field="/name")
    withdraw(client, organization, record)
    assert stats(client)["evidence"]["organizations"] == {
        "records": {"cited": 0, "uncited": 0}, "fields": {"citable": 0, "cited": 0, "share": None},
    }  # fmt: skip


def test_reviews_stand_as_the_calendar_says(client: httpx.Client, clock: Ticking) -> None:
    for slug in ("late", "soon", "fine", "never"):
        collaboration(client, slug=slug, review_every_months=12)
    collaboration(client, slug="unasked")
    for slug, held in (("late", "2024-01-10"), ("soon", "2025-04-10"), ("fine", "2026-02-01")):
        review(client, date=held, items=[{"collaboration": slug, "finding": "noted"}])
    counts = {"current": 1, "due": 1, "never": 1, "none": 1, "overdue": 1}
    assert stats(client)["collaborations"]["review_status"] == counts
    tag = client.get("/v1/stats").headers["etag"]
    assert client.get("/v1/stats", headers={"If-None-Match": tag}).status_code == 304
    on(clock, "2026-04-11")
    assert client.get("/v1/stats", headers={"If-None-Match": tag}).status_code == 200
    assert stats(client)["collaborations"]["review_status"] == counts | {"due": 0, "overdue": 2}
    assert stats(client, "as_of=2026-03-01")["collaborations"]["review_status"] == counts


def test_the_statistics_of_a_past_state_are_what_they_were(client: httpx.Client) -> None:
    full(client)
    before = stats(client)
    then = client.get("/v1/changes").headers["etag"].strip('"s')
    patch(client, collaboration, {"slug": "work"}, period="2001", status="ended", participants=[])
    organization(client)
    withdraw(client, milestone, {"slug": "met"})
    assert stats(client) != before
    assert stats(client, f"as_of={then}") == before
    assert parameters(problem(client, client.get("/v1/stats?as_of=9999999"), 422)) == ["as_of"]
    assert parameters(problem(client, client.get("/v1/stats?limit=1"), 400)) == ["limit"]


def test_the_statistics_cost_the_same_statements_whatever_there_is(client: httpx.Client, database: Database) -> None:
    def cost() -> int:
        with statements(database) as sent:
            assert client.get("/v1/stats").status_code == 200
        return len(sent)

    small = cost()
    full(client)
    assert cost() == small == 13
