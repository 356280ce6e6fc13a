"""Organizations: whose name and whose identifiers are whose."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.answers import nothing_written, pointers, problem, slugs
from tests.support.builders import organization, patch, withdraw

ANY = {"If-Match": "*"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Global Compact", "Global Compact"),
        ("Global Compact", "  global   COMPACT "),
        ("ÖBB", "öbb"),
        ("Straße", "STRASSE"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("İLO", "ilo"),
        ("Organisation météorologique", "Organisation meteorologique"),
        ("WHO", "W\u200dHO"),
    ],
)
def test_two_spellings_of_a_name_are_one_name(client: httpx.Client, first: str, second: str) -> None:
    record = organization(client, name=first)
    draft = organization.draft(client, name=second)
    with nothing_written(client):
        body = problem(client, client.post(organization.path, json=draft), 409)
    assert body["existing"] == {"id": record["id"], "slug": record["slug"]}
    assert pointers(body) == ["/name"]


def test_country_and_parent_tell_namesakes_apart(client: httpx.Client) -> None:
    parents = [organization(client)["slug"] for _ in range(2)]
    namesakes: list[dict[str, Any]] = [
        {},
        {"country": "CH"},
        {"country": "FR"},
        {"part_of": parents[0]},
        {"part_of": parents[1]},
        {"country": "CH", "part_of": parents[0]},
    ]
    made = [organization(client, name="Ministry of Labour", **apart) for apart in namesakes]
    assert [record["slug"] for record in made] == ["ministry-of-labour"] + [
        f"ministry-of-labour-{n}" for n in range(2, 7)
    ]
    for apart, record in zip(namesakes, made, strict=True):
        draft = organization.draft(client, name="ministry of labour", **apart)
        body = problem(client, client.post(organization.path, json=draft), 409)
        assert body["existing"]["slug"] == record["slug"]


def test_a_change_may_not_take_anothers_name_either(client: httpx.Client) -> None:
    taken, other = organization(client, name="Taken"), organization(client, name="Taken", country="CH")
    third = organization(client)
    with nothing_written(client):
        for refused in (
            client.patch(organization.at(third), json={"name": "TAKEN"}, headers=ANY),
            client.put(organization.at(third), json=third | {"name": "taken"}, headers=ANY),
            client.patch(organization.at(other), json={"country": None}, headers=ANY),
        ):
            assert problem(client, refused, 409)["existing"]["slug"] == taken["slug"]
    assert patch(client, organization, taken, name="TAKEN")["name"] == "TAKEN"


def test_a_name_is_free_again_after_renaming_and_after_withdrawal(client: httpx.Client) -> None:
    renamed = organization(client, name="First")
    patch(client, organization, renamed, name="Second")
    withdrawn = organization(client, name="First")
    withdraw(client, organization, withdrawn)
    heir = organization(client, name="First")
    with nothing_written(client):
        body = problem(client, client.post(f"{organization.at(withdrawn)}/restore"), 409)
    assert body["existing"]["slug"] == heir["slug"]
    withdraw(client, organization, heir)
    assert client.post(f"{organization.at(withdrawn)}/restore").json()["name"] == "First"


ROR = {"scheme": "ror", "value": "01xqhr703", "url": None}


@pytest.mark.parametrize(
    "same", [ROR, {"scheme": "ROR", "value": "01XQHR703"}, {**ROR, "url": "https://ror.org/01xqhr703"}]
)
def test_an_identifier_belongs_to_one_organization(client: httpx.Client, same: dict[str, Any]) -> None:
    owner = organization(client, identifiers=[{"scheme": "isni", "value": "01xqhr703"}, ROR])
    other = organization(client, identifiers=[{"scheme": "isni", "value": "2"}])
    draft = organization.draft(client, identifiers=[{"scheme": "isni", "value": "3"}, same])
    with nothing_written(client):
        for refused in (
            client.post(organization.path, json=draft),
            client.patch(organization.at(other), json={"identifiers": [*other["identifiers"], same]}, headers=ANY),
        ):
            body = problem(client, refused, 409)
            assert body["existing"] == {"id": owner["id"], "slug": owner["slug"]}
            assert pointers(body) == ["/identifiers/1"]


def test_an_identifier_stands_once_in_its_list(client: httpx.Client) -> None:
    draft = organization.draft(client, identifiers=[ROR, {"scheme": "isni", "value": "1"}, {**ROR, "scheme": "Ror"}])
    with nothing_written(client):
        assert pointers(problem(client, client.post(organization.path, json=draft), 422)) == ["/identifiers/2"]


def test_an_organization_keeps_and_reorders_its_own_identifiers(client: httpx.Client) -> None:
    both = [ROR, {"scheme": "isni", "value": "1", "url": None}]
    record = organization(client, identifiers=both)
    for wanted in (both[::-1], [ROR], both, []):
        assert patch(client, organization, record, identifiers=wanted)["identifiers"] == wanted


def test_an_identifier_is_free_again_after_removal_and_after_withdrawal(client: httpx.Client) -> None:
    first = organization(client, identifiers=[ROR])
    patch(client, organization, first, identifiers=[])
    second = organization(client, identifiers=[ROR])
    withdraw(client, organization, second)
    third = organization(client, identifiers=[ROR])
    with nothing_written(client):
        body = problem(client, client.post(f"{organization.at(second)}/restore"), 409)
    assert body["existing"]["slug"] == third["slug"]
    assert client.get(organization.at(second)).status_code == 410
    withdraw(client, organization, third)
    assert client.post(f"{organization.at(second)}/restore").json()["identifiers"] == [ROR]
    refused = client.patch(organization.at(first), json={"identifiers": [ROR]}, headers=ANY)
    assert problem(client, refused, 409)["existing"]["slug"] == second["slug"]


def test_other_names_keep_their_order_and_may_repeat(client: httpx.Client) -> None:
    names = [
        {"value": "Organisation internationale du Travail", "lang": "fr", "kind": "official"},
        {"value": "منظمة العمل الدولية", "lang": "ar", "kind": "official"},
        {"value": "OIT", "lang": "fr", "kind": "acronym"},
        {"value": "OIT", "lang": "es", "kind": "acronym"},
        {"value": "OIT", "lang": None, "kind": "acronym"},
    ]
    record = organization(client, other_names=names)
    assert record["other_names"] == names
    assert patch(client, organization, record, other_names=names[::-1])["other_names"] == names[::-1]
    organization(client, other_names=names)  # other names are nobody's alone


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("name", "", "/name"),
        ("name", "   ", "/name"),
        ("name", "a" * 256, "/name"),
        ("name", "two\nlines", "/name"),
        ("name", 7, "/name"),
        ("kind", "company ", "/kind"),
        ("country", "ch", "/country"),
        ("country", "Switzerland", "/country"),
        ("url", "javascript:alert(1)", "/url"),
        ("url", "//oecd.example", "/url"),
        ("founded", "2023-02-29", "/founded"),
        ("founded", "ongoing", "/founded"),
        ("dissolved", "2014-15", "/dissolved"),
        ("part_of", "Not A Slug", "/part_of"),
        ("other_names", [{"value": "OIT"}], "/other_names/0/kind"),
        ("other_names", [{"value": "OIT", "kind": "acronym", "lang": "french language"}], "/other_names/0/lang"),
        ("identifiers", [ROR, {"scheme": "isni"}], "/identifiers/1/value"),
        ("identifiers", {"ror": "1"}, "/identifiers"),
    ],
)
def test_a_faulty_field_is_named_by_its_pointer(client: httpx.Client, field: str, value: Any, pointer: str) -> None:
    record = organization(client)
    draft = organization.draft(client) | {field: value}
    with nothing_written(client):
        for refused in (
            client.post(organization.path, json=draft),
            client.patch(organization.at(record), json={field: value}, headers=ANY),
        ):
            assert pointers(problem(client, refused, 422)) == [pointer]


def test_every_fault_of_a_body_is_told_at_once(client: httpx.Client) -> None:
    body = {"name": "", "kind": "none", "country": "xx", "founded": "soon", "nonsense": 1}
    found = pointers(problem(client, client.post(organization.path, json=body), 422))
    assert sorted(map(str, found)) == ["/country", "/founded", "/kind", "/name", "/nonsense"]


def test_names_sort_and_come_back_as_they_were_written(client: httpx.Client) -> None:
    names = ["Ångström Institute", "École nationale", "eclat", "Zürich Forum", "Łódź Council"]
    for name in names:
        assert organization(client, name=name)["name"] == name
    assert slugs(client, f"{organization.path}?sort=name") == [
        "angstrom-institute",
        "eclat",
        "ecole-nationale",
        "zurich-forum",
        "lodz-council",  # its first letter has no plain form in Unicode
    ]
