"""Matching: which organization a name means, and what the answer to a creation warns of."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa

from app.api.v1.organizations import RESOURCE as ORGANIZATIONS
from app.exchange import matching
from app.kit import search
from app.kit.db import Database
from tests.support.answers import nothing_written, parameters, pointers, problem
from tests.support.builders import organization

Json = dict[str, Any]


def other(value: str, kind: str) -> Json:
    return {"value": value, "lang": None, "kind": kind}


def matches(client: httpx.Client, name: str, limit: int = 5) -> list[Json]:
    answer = client.get("/v1/organizations/match", params={"name": name, "limit": limit})
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["items"]
    assert [item["score"] for item in found] == sorted((item["score"] for item in found), reverse=True)
    assert all(0 <= item["score"] <= 1 for item in found)
    return found


@pytest.fixture
def health(client: httpx.Client) -> httpx.Client:
    """A registry of bodies with names in several languages, old ones, and an acronym that two of them have."""
    for slug, name, acronym, names in (
        ("who", "World Health Organization", "WHO",
         [other("Organisation mondiale de la Santé", "official"), other("OMS", "acronym"),
          other("منظمة الصحة العالمية", "official")]),
        ("oecd", "Organisation for Economic Co-operation and Development", "OECD",
         [other("Organisation de coopération et de développement économiques", "official"), other("OCDE", "acronym")]),
        ("unctad", "United Nations Conference on Trade and Development", "UNCTAD",
         [other("UN Trade and Development", "short")]),
        ("unicef", "United Nations Children's Fund", "UNICEF",
         [other("United Nations International Children's Emergency Fund", "former")]),
        ("ilo", "International Labour Organization", "ILO", []),
        ("eco-1", "Economic Cooperation Organization", "ECO", []),
        ("eco-2", "European Council of Optics", "ECO", []),
        ("bank", "World Bank Group", None, [other("The World Bank", "alias")]),
    ):  # fmt: skip
        organization(client, slug=slug, name=name, acronym=acronym, other_names=names)
    return client


@pytest.mark.parametrize(
    ("name", "slug", "reason", "least"),
    [
        ("World Health Organization", "who", "name", 1),
        ("world HEALTH organization", "who", "name", 1),
        ("Organisation mondiale de la sante", "who", "other_name", 0.98),
        ("OMS", "who", "acronym", 0.95),
        ("World Health Organization (WHO)", "who", "name", 0.97),
        ("Organisation mondiale de la Santé / World Health Organization", "who", "name", 0.95),
        ("منظمة الصحة العالمية", "who", "other_name", 0.98),
        ("Organisation for Economic Cooperation & Development", "oecd", "same_words", 0.94),
        ("Organization for Economic Co-operation and Development", "oecd", "same_words", 0.94),
        ("OCDE", "oecd", "acronym", 0.95),
        ("UN Trade and Development", "unctad", "other_name", 0.98),
        ("UNICEF (f.k.a. United Nations International Children's Emergency Fund)", "unicef", "acronym", 0.9),
        ("United Nations International Children's Emergency Fund", "unicef", "former_name", 0.9),
        ("Internatonal Labor Organisation", "ilo", "similar", 0.85),
        ("Int'l Labour Org.", "ilo", "name", 0.95),
        ("Labour Organization, International", "ilo", "same_words", 0.9),
        ("Wrold Health Organization", "who", "similar", 0.8),
        ("The World Bank Group", "bank", "name", 0.95),
        ("  ILO ", "ilo", "acronym", 0.95),
    ],
)
def test_a_name_as_people_write_it_leads_to_its_organization(
    health: httpx.Client, name: str, slug: str, reason: str, least: float
) -> None:
    best = matches(health, name)[0]
    assert (best["slug"], best["reason"]) == (slug, reason)
    assert best["score"] >= least


def test_an_acronym_of_several_bodies_names_them_all_with_the_same_score(health: httpx.Client) -> None:
    found = matches(health, "ECO")
    assert {item["slug"] for item in found[:2]} == {"eco-1", "eco-2"}
    assert found[0]["score"] == found[1]["score"]


def test_a_candidate_says_which_of_its_names_speaks_for_it(health: httpx.Client) -> None:
    assert matches(health, "oms", limit=1) == [
        {"slug": "who", "name": "World Health Organization", "score": 0.95, "matched": "OMS", "reason": "acronym"}
    ]


def test_what_resembles_nothing_has_no_candidates(health: httpx.Client) -> None:
    for name in ("Zanzibar Football Club", "…", "%", "x" * 255):
        assert matches(health, name) == []


def test_a_list_of_names_is_matched_in_its_order(health: httpx.Client) -> None:
    names = ["OCDE", "nobody at all", "Intl. Labor Organization"]
    with nothing_written(health):
        answer = health.post("/v1/organizations/match", json={"names": names, "limit": 1})
    assert answer.status_code == 200
    items = answer.json()["items"]
    assert [item["name"] for item in items] == names
    assert [[c["slug"] for c in item["candidates"]] for item in items] == [["oecd"], [], ["ilo"]]


def test_a_list_takes_few_statements(health: httpx.Client, database: Database) -> None:
    statements: list[str] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    health.post("/v1/organizations/match", json={"names": ["OCDE", "WHO", "ILO"] * 30})
    assert len(statements) < 30


def test_each_of_very_many_names_has_the_candidates_that_it_has_alone(health: httpx.Client) -> None:
    """Sixteen are asked together, and then eight, four, two or one: none is given what another means."""
    asked = ["Health Organization", "Organisation for Economic Cooperation", "nobody", "Trade Development Conference",
             "World Labour Organization", "OCDE", "Developement and Trade", "World Health Organisation", "…"]  # fmt: skip
    names = [f"{name} {n}" if n % 4 == 0 else name for n, name in enumerate(asked * 5)]
    items = health.post("/v1/organizations/match", json={"names": names}).json()["items"]
    alone = {name: matches(health, name) for name in set(names)}
    assert len(names) == 45
    assert sum(map(bool, alone.values())) > len(alone) / 2
    assert [item["candidates"] for item in items] == [alone[name] for name in names]


@pytest.mark.parametrize(
    ("query", "status", "parameter"),
    [
        ("", 422, "name"), ("name=", 422, "name"), ("name=a&limit=0", 422, "limit"), ("name=a&limit=21", 422, "limit"),
        ("name=a&nmae=b", 400, "nmae"), ("name=%00", 400, "name"), (f"name={'x' * 256}", 422, "name"),
    ],
)  # fmt: skip
def test_a_question_that_cannot_be_asked_names_its_parameter(
    client: httpx.Client, query: str, status: int, parameter: str
) -> None:
    assert parameters(problem(client, client.get(f"/v1/organizations/match?{query}"), status)) == [parameter]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({}, "/names"), ({"names": []}, "/names"), ({"names": ["a"] * 501}, "/names"), ({"names": ["a", ""]}, "/names/1"),
     ({"names": ["a"], "limit": 0}, "/limit"), ({"names": ["a"], "more": 1}, "/more")],
)  # fmt: skip
def test_a_list_that_cannot_be_matched_says_where(client: httpx.Client, body: Json, pointer: str) -> None:
    assert pointers(problem(client, client.post("/v1/organizations/match", json=body), 422)) == [pointer]


def test_the_answer_is_kept_until_something_is_written(health: httpx.Client) -> None:
    tag = health.get("/v1/organizations/match?name=WHO").headers["etag"]
    assert health.get("/v1/organizations/match?name=WHO", headers={"If-None-Match": tag}).status_code == 304


# --- creating what is there perhaps -----------------------------------------------------------------------------------


def test_a_new_organization_that_resembles_another_is_created_with_a_warning(health: httpx.Client) -> None:
    answer = health.post("/v1/organizations", json={"name": "World Health Organisation", "kind": "other"})
    assert answer.status_code == 201
    (warning,) = answer.json()["warnings"]
    assert warning["code"] == "resembles"
    assert warning["candidate"]["slug"] == "who"
    assert "warnings" not in health.get(answer.headers["location"]).json()


def test_what_was_answered_with_a_warning_can_be_edited_and_sent_back(health: httpx.Client) -> None:
    answer = health.post("/v1/organizations", json={"name": "World Health Organisation", "kind": "other"})
    again = health.put(
        answer.headers["location"], json=answer.json() | {"country": "CH"}, headers={"If-Match": answer.headers["etag"]}
    )
    assert again.status_code == 200, again.text
    assert again.json()["country"] == "CH"


def test_a_name_like_no_other_has_no_warning(health: httpx.Client) -> None:
    assert "warnings" not in health.post("/v1/organizations", json={"name": "Quite Different", "kind": "other"}).json()


NEWCOMERS = (
    "World Health Organisation (WHO)", "Int'l Labour Org.", "ECO", "Group of the World Bank", "UN Trade & Development / UNCTAD",
    "Zonal Board for Bees", "Bees: the Zonal Board", "Quite Different", "Zonal Board", "International",
)  # fmt: skip


@pytest.fixture
def newcomers(health: httpx.Client, database: Database) -> tuple[list[tuple[str, UUID]], list[matching.Foreseen]]:
    """Names that were written after it was asked what resembles them, some of them like each other; and what was said."""
    names = [(name, None) for name in NEWCOMERS]
    foreseen = database.read(lambda tx: matching.foresee(tx, ORGANIZATIONS, names))
    written = [(name, UUID(organization(health, name=name)["id"])) for name in NEWCOMERS]
    return written, foreseen


@pytest.mark.parametrize("most", [search.LATER, 3], ids=["few came meanwhile", "many did"])
def test_what_was_foreseen_with_what_came_meanwhile_is_what_is_found_afterwards(
    database: Database, newcomers: Any, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    written, foreseen = newcomers
    afterwards = database.read(lambda tx: matching.resembling(tx, ORGANIZATIONS, written))
    monkeypatch.setattr(search, "LATER", most)
    assert database.read(lambda tx: matching.resembling(tx, ORGANIZATIONS, written, foreseen)) == afterwards
    slugs = [{candidate.slug for candidate in several} for several in afterwards]
    assert slugs[:4] == [{"who"}, {"ilo"}, {"eco-1", "eco-2"}, {"bank"}]
    assert (slugs[5], slugs[6]) == ({"bees-the-zonal-board"}, {"zonal-board-for-bees"}), "each is told of the other"
    assert slugs[7] == set()


def test_what_was_withdrawn_since_it_was_foreseen_is_not_told(
    health: httpx.Client, database: Database, newcomers: Any
) -> None:
    written, foreseen = newcomers
    health.delete("/v1/organizations/who", headers={"If-Match": "*"}).raise_for_status()
    told = database.read(lambda tx: matching.resembling(tx, ORGANIZATIONS, written, foreseen))
    assert told[0] == []
    assert told == database.read(lambda tx: matching.resembling(tx, ORGANIZATIONS, written))


def test_what_is_asked_where_all_is_foreseen_and_nothing_is_alike_is_one_statement(
    health: httpx.Client, database: Database
) -> None:
    name = "Quite Different"
    foreseen = database.read(lambda tx: matching.foresee(tx, ORGANIZATIONS, [(name, None)]))
    written = [(name, UUID(organization(health, name=name)["id"]))]
    told = database.read(lambda tx: (matching.resembling(tx, ORGANIZATIONS, written, foreseen), tx.left), alone=True)
    assert told == ([[]], 0)


def test_an_identifier_that_another_has_is_a_conflict(health: httpx.Client) -> None:
    identifiers = [{"scheme": "ror", "value": "01f80g185"}]
    organization(health, slug="first", identifiers=identifiers)
    body = {"name": "Second", "kind": "other", "identifiers": identifiers}
    assert problem(health, health.post("/v1/organizations", json=body), 409)["existing"]["slug"] == "first"


def test_the_address_of_matching_is_no_slug(client: httpx.Client) -> None:
    assert organization(client, name="Match")["slug"] == "match-2"
    answer = client.post("/v1/organizations", json={"slug": "match", "name": "M", "kind": "other"})
    assert pointers(problem(client, answer, 422)) == ["/slug"]
    put = client.put("/v1/organizations/match", json={"name": "M", "kind": "other"}, headers={"If-None-Match": "*"})
    assert problem(client, put, 405)
    assert put.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert client.get("/v1/organizations/match/revisions").status_code == 404
    assert (
        client.put("/v1/collaboration-types/match", json={"label": "M"}, headers={"If-None-Match": "*"}).status_code
        == 201
    )
