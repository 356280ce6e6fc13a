"""Exports: every list and the whole registry in other forms, whole, safe in spreadsheets, and the way back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import openpyxl
import pytest
import rdflib
from fastapi import FastAPI

from app.api.v1 import RESOURCES
from app.exchange import cells, exports, linked
from app.kit import records
from app.kit.db import Database
from tests.conftest import Server, Ticking, _serving
from tests.support.answers import parameters, problem, slugs, walk
from tests.support.builders import citation, collaboration, organization, review

Json = dict[str, Any]
NDJSON, CSV = "application/x-ndjson", "text/csv"
PLURALS = [resource.plural for resource in RESOURCES]
WITH = pytest.mark.parametrize("plural", PLURALS)


def rows(client: httpx.Client, url: str) -> list[dict[str, str]]:
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def create_many(client: httpx.Client, count: int) -> None:
    body = "".join(json.dumps({"name": f"Body {n:05}", "kind": "other"}) + "\n" for n in range(count))
    answer = client.post("/v1/import?noun=organizations", content=body, headers={"Content-Type": NDJSON})
    assert answer.status_code == 200, answer.text


@pytest.fixture
def other(server: Server, app: FastAPI, http: httpx.Client) -> Iterator[Database]:
    """A second registry, empty; put in the place of the first by `instead`."""
    opened = records.open_database(server.fresh("empty"), pool_size=2)
    yield opened
    opened.close()


# --- lists ------------------------------------------------------------------------------------------------------------


@WITH
def test_a_list_is_here_whole_in_every_form(registry: httpx.Client, plural: str) -> None:
    there = slugs(registry, f"/v1/{plural}")
    assert [row["slug"] for row in rows(registry, f"/v1/{plural}?format=csv")] == there
    lines = registry.get(f"/v1/{plural}", headers={"Accept": NDJSON})
    assert lines.headers["content-type"] == NDJSON
    assert [json.loads(line)["slug"] for line in lines.text.splitlines()] == there
    document = registry.get(f"/v1/{plural}", headers={"Accept": "application/ld+json"}).json()
    assert [node["@id"].rpartition("/")[2] for node in document["@graph"]] == there
    workbook = openpyxl.load_workbook(io.BytesIO(registry.get(f"/v1/{plural}?format=xlsx").content), read_only=True)
    assert workbook.sheetnames == ["About", plural]
    assert [str(row[1].value) for row in workbook[plural].iter_rows(min_row=2)] == there


@WITH
def test_the_lines_of_a_list_are_the_records_as_they_are_shown(registry: httpx.Client, plural: str) -> None:
    lines = registry.get(f"/v1/{plural}?format=ndjson").text.splitlines()
    assert [json.loads(line) for line in lines] == walk(registry, f"/v1/{plural}")


@WITH
def test_the_columns_of_a_list_are_the_documented_ones(registry: httpx.Client, plural: str) -> None:
    resource = next(resource for resource in RESOURCES if resource.plural == plural)
    header = registry.get(f"/v1/{plural}?format=csv").text.split("\r\n")[0]
    assert header.split(",") == list(cells.columns(resource))


def test_filters_sorts_fields_and_days_shape_an_export(registry: httpx.Client) -> None:
    query = "kind=organ&sort=-name"
    expected = slugs(registry, f"/v1/organizations?{query}")
    assert [row["slug"] for row in rows(registry, f"/v1/organizations?{query}&format=csv")] == expected
    picked = rows(registry, f"/v1/organizations?{query}&format=csv&fields=slug,name")
    assert [list(row) for row in picked] == [["slug", "name"]] * len(expected)
    organization(registry, name="Later")
    assert len(rows(registry, "/v1/organizations?format=csv&as_of=210")) == 25
    assert len(rows(registry, "/v1/organizations?format=csv")) == 26
    assert [row["slug"] for row in rows(registry, "/v1/organizations?format=csv&q=later")] == ["later"]


def test_accept_chooses_and_format_wins(registry: httpx.Client) -> None:
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    for accept, kind in (
        (browser, "application/json"), ("image/png", "application/json"), ("text/csv", "text/csv"),
        ("application/json;q=0.1, text/csv;q=0.5", "text/csv"), ("*/*", "application/json"),
    ):  # fmt: skip
        answer = registry.get("/v1/organizations", headers={"Accept": accept})
        assert answer.headers["content-type"].partition(";")[0] == kind
        assert answer.headers["vary"] == "Accept"
    answer = registry.get("/v1/organizations?format=json", headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "application/json"
    answer = registry.get("/v1/organizations?format=csv", headers={"Accept": "application/json"})
    assert answer.headers["content-disposition"] == 'attachment; filename="organizations.csv"'


def test_an_export_is_kept_by_its_tag_until_something_is_written(registry: httpx.Client) -> None:
    tags = {form: registry.get(f"/v1/organizations?format={form}").headers["etag"] for form in ("json", "csv", "xlsx")}
    assert len(set(tags.values())) == 3
    again = {"If-None-Match": tags["csv"]}
    assert registry.get("/v1/organizations?format=csv", headers=again).status_code == 304
    organization(registry)
    assert registry.get("/v1/organizations?format=csv", headers=again).status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "parameter"),
    [
        ("format=pdf", 422, "format"), ("format=csv&limit=5", 400, "limit"), ("format=csv&cursor=x", 400, "cursor"),
        ("format=ndjson&count=true", 400, "count"), ("format=csv&include=part_of", 400, "include"),
        ("format=csv&fields=nonsense", 400, "fields"), ("format=csv&sort=nonsense", 400, "sort"),
        ("format=jsonld&fields=slug", 400, "fields"), ("format=ndjson&bom=true", 400, "bom"),
        ("format=xlsx&fields=nonsense", 400, "fields"), ("format=xlsx&sort=nonsense", 400, "sort"),
        ("format=csv&part_of=nobody", 422, "part_of"), ("format=csv&as_of=99999", 422, "as_of"),
    ],
)  # fmt: skip
def test_what_an_export_cannot_do_is_told_before_it_begins(
    registry: httpx.Client, query: str, status: int, parameter: str
) -> None:
    body = problem(registry, registry.get(f"/v1/organizations?{query}"), status)
    assert parameters(body) == [parameter]
    assert registry.head(f"/v1/organizations?{query}").status_code == status


def test_the_citations_of_a_record_can_be_exported_too(registry: httpx.Client) -> None:
    found = rows(registry, "/v1/collaborations/unctad-mou/citations?format=csv")
    assert [row["slug"] for row in found] == slugs(registry, "/v1/collaborations/unctad-mou/citations")
    problem(registry, registry.get("/v1/collaborations/nobody/citations?format=csv"), 404)


def test_an_export_of_many_pages_is_one_state_of_the_registry(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_many(client, 60)
    monkeypatch.setattr(exports, "PAGE", 7)
    seen = []
    with client.stream("GET", "/v1/organizations?format=ndjson") as answer:
        lines = answer.iter_lines()
        for n, line in enumerate(lines):
            seen.append(json.loads(line)["name"])
            if n == 0:
                organization(client, name="Body 00001a")
                client.delete("/v1/organizations/body-00050", headers={"If-Match": "*"})
                client.patch("/v1/organizations/body-00059", json={"name": "Aaa"}, headers={"If-Match": "*"})
    assert seen == [f"Body {n:05}" for n in range(60)]


def test_an_export_of_a_past_day_has_the_calendar_of_that_day(client: httpx.Client, clock: Ticking) -> None:
    clock.now = datetime(2025, 12, 20, tzinfo=UTC)
    made = collaboration(client, slug="it", review_every_months=3)
    review(client, date="2025-12-15", items=[{"collaboration": made["slug"], "finding": "continue"}])
    clock.now = datetime(2026, 9, 1, tzinfo=UTC)
    for query in ("as_of=2026-01-05", "as_of=2026-01-05&review_status=due", ""):
        page = walk(client, f"/v1/collaborations?{query}")
        lines = client.get(f"/v1/collaborations?{query}&format=ndjson")
        assert [json.loads(line)["review_status"] for line in lines.text.splitlines()] == [
            record["review_status"] for record in page
        ]
    assert walk(client, "/v1/collaborations?as_of=2026-01-05")[0]["review_status"] == "due"


def test_a_stream_that_breaks_has_no_end(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    create_many(client, 20)
    monkeypatch.setattr(exports, "PAGE", 5)
    part, calls = exports.part, iter(range(9))

    def breaking(*arguments: Any) -> exports.Part:
        if next(calls) == 2:
            raise RuntimeError("the disk is gone")
        return part(*arguments)

    monkeypatch.setattr(exports, "part", breaking)
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/v1/organizations?format=csv")


# --- spreadsheets -----------------------------------------------------------------------------------------------------

HOSTILE = [
    '=HYPERLINK("http://x")',
    "+1",
    "-x",
    "@SUM(A1)",
    "=1+1",
    "'quoted",
    "'t Hooft",
    "a, b; c",
    'say "so"',
    "＝full",
]


def test_no_cell_is_a_formula_and_every_text_comes_back_as_it_was(client: httpx.Client) -> None:
    for n, text in enumerate(HOSTILE):
        organization(client, slug=f"h{n}", name=f"{text} {n}", description=f"{text}\nsecond, line")
    exported = client.get("/v1/organizations?format=csv&sort=slug").content
    for row in csv.reader(io.StringIO(exported.decode(), newline="")):
        assert not any(cell.startswith(("=", "+", "-", "@", "＝", "\t", "\r")) for cell in row)
    changed = exported.replace(b",other,", b",group,")
    answer = client.post("/v1/import?noun=organizations&mode=upsert", content=changed, headers={"Content-Type": CSV})
    assert answer.json()["changed"] == len(HOSTILE), answer.text
    for n, text in enumerate(HOSTILE):
        stored = client.get(f"/v1/organizations/h{n}").json()
        assert (stored["name"], stored["kind"]) == (f"{text} {n}", "group")
        assert stored["description"] == f"{text}\nsecond, line"
    lines = [json.loads(line) for line in client.get("/v1/organizations?format=ndjson").text.splitlines()]
    assert {line["name"] for line in lines} == {f"{text} {n}" for n, text in enumerate(HOSTILE)}


def test_a_byte_order_mark_is_there_when_it_is_asked_for(registry: httpx.Client) -> None:
    plain, marked = (registry.get(f"/v1/organizations?format=csv&bom={flag}").content for flag in ("false", "true"))
    assert plain.startswith(b"id,slug,")
    assert marked == b"\xef\xbb\xbf" + plain


def test_a_workbook_holds_texts_alone(client: httpx.Client) -> None:
    for n, text in enumerate(HOSTILE):
        organization(client, slug=f"h{n}", name=f"{text} {n}", founded="2014-12")
    workbook = openpyxl.load_workbook(io.BytesIO(client.get("/v1/export?format=xlsx").content))
    assert workbook.sheetnames[0] == "About"
    assert sorted(workbook.sheetnames[1:]) == sorted(PLURALS)
    sheet = workbook["organizations"]
    assert {cell.data_type for row in sheet.iter_rows() for cell in row if cell.value is not None} == {"s"}
    header = [cell.value for cell in sheet[1]]
    names = {row[header.index("name")].value for row in sheet.iter_rows(min_row=2)}
    assert names == {f"{text} {n}" for n, text in enumerate(HOSTILE)}
    assert {row[header.index("founded")].value for row in sheet.iter_rows(min_row=2)} == {"2014-12"}


# --- the registry as a whole ------------------------------------------------------------------------------------------


def moved(
    http: httpx.Client, app: FastAPI, database: Database, document: bytes, **query: str
) -> tuple[httpx.Response, bytes]:
    """What the import of a document into another registry answers, and the export of that one."""
    there = next(serving := _serving(http, app, database))
    imported = there.post("/v1/import", params=query, content=document, headers={"Content-Type": NDJSON})
    exported = there.get("/v1/export").content
    next(serving, None)
    return imported, exported


def test_an_export_loaded_into_an_empty_registry_makes_the_same_registry(
    registry: httpx.Client, http: httpx.Client, app: FastAPI, other: Database
) -> None:
    ids = (
        {"slug": "a", "title": "A", "kind": "treaty", "refers_to": ["b"]},
        {"slug": "b", "title": "B", "kind": "treaty"},
    )
    for body in reversed(ids):
        registry.post("/v1/instruments", json=body)
    registry.patch("/v1/instruments/b", json={"refers_to": ["a", "b"]}, headers={"If-Match": "*"})
    organization(registry, slug="gone", name="Gone")
    citation(registry, slug="orphan", target={"noun": "organizations", "record": "gone"})
    registry.delete("/v1/organizations/gone", headers={"If-Match": "*"})
    document = registry.get("/v1/export").content
    shown = {plural: walk(registry, f"/v1/{plural}") for plural in PLURALS}
    imported, exported = moved(http, app, other, document)
    assert imported.status_code == 200, imported.text
    assert exported == document
    there = next(serving := _serving(http, app, other))
    stamps = ("version", "created_at", "updated_at")
    for plural in PLURALS:
        before = [{k: v for k, v in r.items() if k not in stamps} for r in shown[plural] if r["slug"] != "orphan"]
        after = [{k: v for k, v in r.items() if k not in stamps} for r in walk(there, f"/v1/{plural}")]
        assert after == before
    next(serving, None)


def test_the_document_set_lists_a_record_behind_those_that_it_names(registry: httpx.Client) -> None:
    lines = [json.loads(line) for line in registry.get("/v1/export").text.splitlines()]
    assert len(lines) == 210
    nouns = list(dict.fromkeys(line["noun"] for line in lines))
    assert nouns.index("citations") == len(nouns) - 1
    assert list(lines[0])[:3] == ["noun", "id", "slug"]
    assert not any(value in (None, [], {}) for line in lines for value in line.values())


def test_the_registry_of_a_past_day_can_be_exported(registry: httpx.Client) -> None:
    document = registry.get("/v1/export?as_of=210").content
    organization(registry)
    assert registry.get("/v1/export?as_of=210").content == document
    assert registry.get("/v1/export").content != document


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # rdflib's own reader makes one
def test_the_whole_registry_is_here_as_linked_data_and_as_a_workbook(registry: httpx.Client) -> None:
    answer = registry.get("/v1/export", headers={"Accept": "application/ld+json"})
    document = answer.json()
    assert len(document["@graph"]) == 210
    assert document["@context"] == "/v1/context.jsonld"
    context = registry.get(document["@context"])
    assert context.headers["content-type"] == "application/ld+json"
    assert registry.get("/v1/context.jsonld", headers={"If-None-Match": context.headers["etag"]}).status_code == 304
    graph = rdflib.Graph().parse(
        data=json.dumps({**document, "@context": context.json()["@context"]}),
        format="json-ld",
        publicID="http://here.example/",
    )
    ilo = rdflib.URIRef("http://here.example/v1/organizations/ilo")
    assert rdflib.Literal("International Labour Organization") in set(graph.objects(ilo, rdflib.SKOS.prefLabel))
    assert answer.headers["content-type"] == linked.MEDIA_TYPE
    assert problem(registry, registry.get("/v1/export?format=csv"), 422)["errors"][0]["parameter"] == "format"


def test_head_tells_the_headers_of_an_export_and_reads_one_page(client: httpx.Client) -> None:
    create_many(client, 30)
    for url in ("/v1/organizations?format=csv", "/v1/export", "/v1/export?format=xlsx"):
        head, got = client.head(url), client.get(url)
        assert head.status_code == 200
        assert head.content == b""
        assert head.headers["etag"] == got.headers["etag"]
        assert head.headers["content-type"] == got.headers["content-type"]


def test_what_was_seen_of_a_collaboration_in_a_sheet_can_be_sent_back(client: httpx.Client) -> None:
    one, two = organization(client)["slug"], organization(client)["slug"]
    made = collaboration(client, participants=[{"organization": one, "role": "host"}, {"organization": two, "role": "partner",
                         "period": "2014/..", "note": "With a; semicolon"}], sdgs=[8, 17], period="1999/..")  # fmt: skip
    exported = client.get("/v1/collaborations?format=csv").content
    answer = client.post("/v1/import?noun=collaborations&mode=replace", content=exported, headers={"Content-Type": CSV})
    assert answer.json()["unchanged"] == 1, answer.text
    assert client.get(collaboration.at(made)).json()["version"] == 1
