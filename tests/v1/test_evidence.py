"""How the registry says how it knows: evidence of a record, coverage of a source, disagreements between sources."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.answers import Json, pointers, problem, slugs, walk
from tests.support.builders import citation, collaboration, milestone, organization, passage, patch, source, withdraw


def place(n: int) -> Json:
    return {"section": 1, "paragraph": 1, "sentence": n}


def about(noun: str, record: str) -> Json:
    return {"noun": noun, "record": record}


def evidence(client: httpx.Client, path: str) -> Any:
    """A record's evidence, which the record and its list show alike."""
    noun, _, slug = path.rpartition("/")
    shown = client.get(path).json()["evidence"]
    assert next(item for item in walk(client, noun) if item["slug"] == slug)["evidence"] == shown
    return shown


def test_evidence_says_which_fields_are_cited_from_where_and_read_when(client: httpx.Client) -> None:
    organization(client, slug="ilo", acronym="ILO", founded="1919")
    path = "/v1/organizations/ilo"
    assert evidence(client, path) == {
        "cited_fields": [], "citable_fields": ["/name", "/acronym", "/kind", "/founded"], "sources": [],
        "oldest_retrieved": None,
    }  # fmt: skip
    source(client, slug="page", retrieved="2026-02-01T08:30:00Z")
    source(client, slug="book", retrieved="2025-02-01T08:30:00Z")
    whole = citation(client, source="page", target=about("organizations", "ilo"))
    citation(client, source="book", target=about("organizations", "ilo"), field="/founded", support="implies")
    citation(client, source="book", target=about("organizations", "ilo"), field="/name", support="contradicts")
    assert evidence(client, path)["cited_fields"] == ["", "/founded"]
    assert evidence(client, path)["sources"] == ["book", "page"]
    assert evidence(client, path)["oldest_retrieved"] == "2025-02-01T08:30:00Z"
    withdraw(client, citation, whole)
    assert evidence(client, path)["cited_fields"] == ["/founded"]


def test_a_change_answers_with_the_evidence_as_it_is_after_it(client: httpx.Client) -> None:
    """Also of a source that is cited for itself: what tells its age is the very row that is changed."""
    made = source(client, slug="page", retrieved="2024-02-01T08:30:00Z")
    citation(client, source="page", target=about("sources", "page"), field="/title")
    assert evidence(client, "/v1/sources/page")["oldest_retrieved"] == "2024-02-01T08:30:00Z"
    answer = client.patch(
        "/v1/sources/page", json={"retrieved": "2025-02-01T08:30:00Z"}, headers={"If-Match": f'"v{made["version"]}"'}
    )
    assert answer.json()["evidence"] == evidence(client, "/v1/sources/page")
    assert answer.json()["evidence"]["oldest_retrieved"] == "2025-02-01T08:30:00Z"


def test_the_citations_of_a_record_are_listed_by_either_key_and_filtered_like_citations(client: httpx.Client) -> None:
    record = organization(client, slug="ilo")
    other = collaboration(client, slug="ilo")
    source(client, slug="page")
    for slug, noun, support in (
        ("c1", "organizations", "states"),
        ("c2", "organizations", "contradicts"),
        ("c3", "collaborations", "states"),
    ):
        citation(client, slug=slug, source="page", target=about(noun, "ilo"), support=support)
    for key in ("ilo", record["id"]):
        assert slugs(client, f"/v1/organizations/{key}/citations?limit=1") == ["c1", "c2"]
        assert slugs(client, f"/v1/organizations/{key}/citations?support=contradicts") == ["c2"]
    assert slugs(client, "/v1/collaborations/ilo/citations?source=page") == ["c3"]
    problem(client, client.get("/v1/organizations/ilo/citations?noun=organizations"), 400)
    problem(client, client.get("/v1/organizations/ilo/citations?source=nothing"), 422)
    problem(client, client.get("/v1/organizations/nobody/citations"), 404)
    withdraw(client, collaboration, other)
    problem(client, client.get("/v1/collaborations/ilo/citations"), 410)


def test_which_noun_a_record_is_of_must_be_said_once(client: httpx.Client) -> None:
    for query in ("record=ilo", "record=ilo&noun=organizations,milestones"):
        problem(client, client.get(f"/v1/citations?{query}"), 422)


def test_coverage_says_what_each_passage_supports_and_which_support_nothing(client: httpx.Client) -> None:
    organization(client, slug="ilo")
    milestone(client, slug="launch", organization="ilo")
    passages = [passage(1, 1, n, f"Sentence {n} states a fact.") for n in (1, 2, 3)]
    source(client, slug="page", passages=passages)
    citation(client, slug="c1", source="page", passages=[place(1)], target=about("organizations", "ilo"), field="/name")
    citation(client, slug="c2", source="page", passages=[place(1), place(3)], target=about("milestones", "launch"))
    citation(client, slug="c3", source="page", target=about("organizations", "ilo"))
    covered = client.get("/v1/sources/page/coverage").json()
    assert covered["source"] == "page"
    assert covered["summary"] == {"passages": 3, "cited": 2, "uncited": 1, "lost": 0}
    assert [[use["citation"] for use in p["citations"]] for p in covered["passages"]] == [["c1", "c2"], [], ["c2"]]
    assert covered["passages"][0]["citations"][0] == {
        "citation": "c1", "noun": "organizations", "record": "ilo", "field": "/name", "support": "states",
    }  # fmt: skip
    assert {k: v for k, v in covered["passages"][1].items() if k != "citations"} == passages[1]
    assert covered["uncited"] == [place(2)]
    assert [use["citation"] for use in covered["whole"]] == ["c3"]


def test_coverage_keeps_what_a_new_reading_lost(client: httpx.Client) -> None:
    organization(client, slug="ilo")
    record = source(client, slug="page", passages=[passage(1, 1, 1, "A sentence."), passage(1, 1, 2, "Another.")])
    citation(client, slug="c1", source="page", passages=[place(2)], target=about("organizations", "ilo"))
    before = client.get("/v1/changes").headers["etag"].strip('"s')
    patch(client, source, record, passages=[passage(1, 1, 1, "A sentence.")])
    covered = client.get("/v1/sources/page/coverage").json()
    assert covered["summary"] == {"passages": 1, "cited": 0, "uncited": 1, "lost": 1}
    assert {name: covered["lost"][0][name] for name in ("citation", *place(2))} == {"citation": "c1", **place(2)}
    assert client.get(f"/v1/sources/page/coverage?as_of={before}").json()["summary"]["cited"] == 1


def test_what_a_source_supports_is_not_modified_until_something_is_written(client: httpx.Client) -> None:
    record = source(client, slug="page")
    tag = client.get("/v1/sources/page/coverage").headers["etag"]
    assert client.get("/v1/sources/page/coverage", headers={"If-None-Match": tag}).status_code == 304
    organization(client)
    assert client.get("/v1/sources/page/coverage", headers={"If-None-Match": tag}).status_code == 200
    withdraw(client, source, record)
    problem(client, client.get("/v1/sources/page/coverage"), 410)
    problem(client, client.get("/v1/sources/nothing/coverage"), 404)


# --- disagreement ----------------------------------------------------------------------------------------------------


def disagree(client: httpx.Client, query: str = "") -> list[tuple[str, str, Any, list[Any]]]:
    return [
        (item["record"], item["field"], item["value"], [c["stated_value"] for c in item["citations"]])
        for item in walk(client, f"/v1/disagreements{query}")
    ]


@pytest.mark.parametrize(
    ("value", "stated", "agrees"),
    [
        ("1919", ["1919"], True),
        ("1919", ["1920"], False),
        ("1919", ["1919", "1920"], False),
        ("1919", ["1919-04-11"], True),
        ("1919-04", ["1919", "1919-04-11"], True),
        ("1919", ["1919?"], True),
        (None, ["1919"], False),
        ("191X", ["1919", "1912"], True),
    ],
)
def test_dates_disagree_unless_one_lies_within_the_other(
    client: httpx.Client, value: str | None, stated: list[str], *, agrees: bool
) -> None:
    organization(client, slug="ilo", founded=value)
    for text in stated:
        citation(client, target=about("organizations", "ilo"), field="/founded", stated_value=text)
    assert disagree(client) == ([] if agrees else [("ilo", "/founded", value, stated)])


def test_a_disagreement_shows_both_passages_and_ends_when_the_record_is_set_right(client: httpx.Client) -> None:
    record = milestone(client, slug="launch", date="1999", place="Geneva")
    source(client, slug="page", passages=[passage(1, 1, 1, "It began in 1999.")])
    source(client, slug="book", passages=[passage(1, 1, 1, "It began in 2000.")])
    for slug, where, value in (("c1", "page", "1999"), ("c2", "book", "2000")):
        citation(
            client, slug=slug, source=where, passages=[place(1)], target=about("milestones", "launch"), field="/date",
            stated_value=value,
        )  # fmt: skip
    citation(client, target=about("milestones", "launch"), field="/place", stated_value="GENEVA")
    (found,) = walk(client, "/v1/disagreements")
    assert (found["noun"], found["record"], found["field"], found["value"]) == ("milestones", "launch", "/date", "1999")
    assert [(c["citation"], c["source"], c["stated_value"], c["passages"]) for c in found["citations"]] == [
        ("c1", "page", "1999", [{**place(1), "text": "It began in 1999."}]),
        ("c2", "book", "2000", [{**place(1), "text": "It began in 2000."}]),
    ]
    assert client.get("/v1/disagreements?noun=organizations").json()["items"] == []
    then = client.get("/v1/changes").headers["etag"].strip('"s')
    patch(client, milestone, record, date="1999/2000")
    assert disagree(client) == []
    assert [row[0] for row in disagree(client, f"?as_of={then}")] == ["launch"]


def test_the_other_side_is_what_stands_for_the_records_own_value(client: httpx.Client) -> None:
    organization(client, slug="ilo", founded="1919")
    for slug, field, value in (
        ("whole", "", None),
        ("same", "/founded", None),
        ("other", "/name", None),
        ("denies", "/founded", "1920"),
    ):
        citation(client, slug=slug, target=about("organizations", "ilo"), field=field, stated_value=value)
    (found,) = walk(client, "/v1/disagreements")
    assert [(c["citation"], c["stated_value"]) for c in found["citations"]] == [("denies", "1920"), ("same", None)]
    withdraw(client, citation, {"slug": "same"})
    (found,) = walk(client, "/v1/disagreements")
    assert [c["citation"] for c in found["citations"]] == ["denies", "whole"]


def test_a_contradiction_disagrees_whatever_it_says_and_a_withdrawn_record_with_nobody(client: httpx.Client) -> None:
    record = organization(client, slug="ilo")
    citation(client, target=about("organizations", "ilo"), support="contradicts")
    assert disagree(client) == [("ilo", "", None, [None])]
    withdraw(client, organization, record)
    assert disagree(client) == []


@pytest.mark.parametrize(
    "field", ["/participants/x/role", "/participants/99/role", "/title/deeper", "/a~1b", "/participants"]
)
def test_a_field_that_is_not_there_is_compared_as_empty(client: httpx.Client, field: str) -> None:
    collaboration(client, slug="forum")
    citation(client, target=about("collaborations", "forum"), field=field, stated_value="something")
    assert client.get("/v1/disagreements").status_code == 200


def test_disagreements_are_paged_each_once(client: httpx.Client) -> None:
    for n in range(7):
        organization(client, slug=f"body-{n}", founded="1919")
        citation(
            client,
            target=about("organizations", f"body-{n}"),
            field="/founded",
            stated_value="1920" if n % 2 else "1919",
        )
        citation(client, target=about("organizations", f"body-{n}"), field="/name", stated_value="Another")
    whole = sorted(disagree(client))
    assert len(whole) == 10
    for limit in (1, 3, 10):
        assert sorted(disagree(client, f"?limit={limit}")) == whole
    following = client.get("/v1/disagreements?limit=1").json()["next"]
    problem(client, client.get(following + "x"), 400)
    problem(client, client.get(following.replace("limit=1", "limit=1&noun=milestones")), 400)


def test_a_stated_value_is_text(client: httpx.Client) -> None:
    draft = citation.draft(client)
    assert pointers(problem(client, client.post("/v1/citations", json=draft | {"stated_value": 1919}), 422)) == [
        "/stated_value"
    ]
