"""Citations: which passage says what of which record."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.answers import nothing_written, pointers, problem, slugs
from tests.support.builders import Json, citation, milestone, organization, passage, patch, source

ANY = {"If-Match": "*"}


def place(section: int, paragraph: int, sentence: int) -> Json:
    return {"section": section, "paragraph": paragraph, "sentence": sentence}


def test_a_cited_passage_is_one_of_the_source(client: httpx.Client) -> None:
    read = source(client, passages=[passage(1, 1, 1, "One."), passage(1, 2, 1, "Two.")])["slug"]
    record = citation(client, source=read, passages=[place(1, 2, 1), place(1, 1, 1)])
    assert record["passages"] == [place(1, 2, 1), place(1, 1, 1)]
    wanted = [place(1, 1, 1), place(1, 1, 2), place(2, 1, 1)]
    draft = citation.draft(client, source=read, passages=wanted)
    with nothing_written(client):
        for refused in (
            client.post(citation.path, json=draft),
            client.patch(citation.at(record), json={"passages": wanted}, headers=ANY),
        ):
            body = problem(client, refused, 422)
            assert pointers(body) == ["/passages/1", "/passages/2"]
            assert {fault["code"] for fault in body["errors"]} == {"unknown_passage"}


def test_a_change_of_source_asks_for_the_passages_again(client: httpx.Client) -> None:
    first = source(client, passages=[passage(1, 1, 1, "One.")])["slug"]
    second = source(client, passages=[passage(3, 1, 1, "Three.")])["slug"]
    record = citation(client, source=first, passages=[place(1, 1, 1)])
    refused = client.patch(citation.at(record), json={"source": second}, headers=ANY)
    assert pointers(problem(client, refused, 422)) == ["/passages/0"]
    assert patch(client, citation, record, source=second, passages=[place(3, 1, 1)])["source"] == second


def test_any_passage_can_be_cited_of_a_source_whose_passages_are_not_known(client: httpx.Client) -> None:
    record = citation(client, source=source(client)["slug"], passages=[place(9, 9, 9)])
    assert record["passages"] == [place(9, 9, 9)]


def test_a_source_can_be_cited_as_a_whole(client: httpx.Client) -> None:
    read = source(client, passages=[passage(1, 1, 1, "One.")])["slug"]
    assert citation(client, source=read)["passages"] == []


def test_a_slug_is_derived_from_the_target_and_numbered(client: httpx.Client) -> None:
    target = {"noun": "organizations", "record": organization(client, slug="ilo")["slug"]}
    assert [citation(client, target=target)["slug"] for _ in range(3)] == [
        "organizations-ilo",
        "organizations-ilo-2",
        "organizations-ilo-3",
    ]


def test_a_target_is_looked_up_among_the_records_of_its_noun(client: httpx.Client) -> None:
    organization(client, slug="shared")
    draft = citation.draft(client, target={"noun": "milestones", "record": "shared"})
    with nothing_written(client):
        assert pointers(problem(client, client.post(citation.path, json=draft), 422)) == ["/target/record"]
    milestone(client, slug="shared")
    record = citation(client, **draft)
    assert record["target"] == {"noun": "milestones", "record": "shared"}
    moved = patch(client, citation, record, target={"noun": "organizations"})
    assert moved["target"] == {"noun": "organizations", "record": "shared"}


@pytest.mark.parametrize("field", ["", "/name", "/participants/0/role", "/labels/a~1b", "/other_names/0/value"])
def test_a_field_is_a_json_pointer(client: httpx.Client, field: str) -> None:
    assert citation(client, field=field)["field"] == field


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("field", "name", "/field"),
        ("field", "/a~2b", "/field"),
        ("field", None, "/field"),
        ("support", "proves", "/support"),
        ("target", {"noun": "citations", "record": "x"}, "/target/noun"),
        ("target", {"noun": "organizations"}, "/target/record"),
        ("target", "organizations/x", "/target"),
        ("passages", [place(1, 1, 1), place(1, 1, 1)], "/passages"),
        ("passages", [{"section": 1, "paragraph": 1}], "/passages/0/sentence"),
    ],
)
def test_a_faulty_field_is_named_by_its_pointer(client: httpx.Client, field: str, value: Any, pointer: str) -> None:
    draft = citation.draft(client) | {field: value}
    with nothing_written(client):
        assert pointers(problem(client, client.post(citation.path, json=draft), 422)) == [pointer]


def test_a_citation_can_be_edited_after_its_target_was_withdrawn_and_its_source_read_anew(client: httpx.Client) -> None:
    place = {"section": 1, "paragraph": 1, "sentence": 1}
    read = source(client, passages=[place | {"fingerprint": "0" * 64}])
    target = organization(client)
    made = citation(
        client, source=read["slug"], passages=[place], target={"noun": "organizations", "record": target["slug"]}
    )
    headers = {"If-Match": "*"}
    assert client.delete(organization.at(target), headers=headers).status_code == 204
    assert client.patch(source.at(read), json={"passages": []}, headers=headers).status_code == 200
    moved = [place | {"section": 2, "fingerprint": "1" * 64}]
    assert client.patch(source.at(read), json={"passages": moved}, headers=headers).status_code == 200
    edited = client.patch(citation.at(made), json={"note": "Checked."}, headers=headers)
    assert edited.status_code == 200
    refused = client.patch(citation.at(made), json={"passages": [place, place | {"section": 9}]}, headers=headers)
    assert [error["code"] for error in refused.json()["errors"]] == ["unknown_passage", "unknown_passage"]


def test_citations_for_withdrawn_records_are_found_and_left_out(client: httpx.Client) -> None:
    gone = organization(client)
    target = {"noun": "organizations", "record": gone["slug"]}
    citation(client, slug="orphan", target=target)
    citation(client, slug="other")
    assert slugs(client, "/v1/citations?orphaned=true") == []
    client.delete(organization.at(gone), headers={"If-Match": "*"})
    assert slugs(client, "/v1/citations?orphaned=true") == ["orphan"]
    assert slugs(client, "/v1/citations?orphaned=false") == ["other"]
