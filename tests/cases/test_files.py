"""Files that go in and out: A52 (flat memory), A53 (all or nothing), A54 (formulas), A55 (byte order mark), and A26, A27 and
A28 as far as files hold moments and dates. What people of this job hold is in test_sheets.py."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Sequence
from typing import Any

import httpx
import openpyxl
import pytest

from app.api.v1 import RESOURCES
from app.exchange import cells, exports, files, imports
from app.kit.db import Database
from tests.cases.places import RESOURCE, samples
from tests.cases.refusals import refused, same
from tests.cases.test_text import filled, free_texts
from tests.conftest import TESTER
from tests.support.answers import slugs, walk
from tests.support.builders import NOUNS, Builder, citation, organization

Json = dict[str, Any]
CSV, NDJSON = "text/csv", "application/x-ndjson"


def sheet(*rows: Sequence[str], delimiter: str = ",") -> str:
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=delimiter).writerows(rows)
    return written.getvalue()


def lines(*documents: Json) -> str:
    return "".join(json.dumps(document) + "\n" for document in documents)


def load(client: httpx.Client, body: str | bytes, kind: str = CSV, **query: str) -> httpx.Response:
    return client.post("/v1/import", params=query, content=body, headers={"Content-Type": kind})


def cells_of(body: bytes) -> list[list[str]]:
    """As the csv module reads them, with nothing said about a byte order mark."""
    return list(csv.reader(io.StringIO(body.decode(), newline="")))


def counts(answer: httpx.Response) -> tuple[int, int, int, int]:
    assert answer.status_code in (200, 207), answer.text
    body = answer.json()
    return body["created"], body["changed"], body["unchanged"], body["failed"]


# --- A52: an export of many ---------------------------------------------------------------------------------------------

MANY, PAGE = 4_000, 100
ADDRESS = "https://organization.example/" + "x" * 1_900
"""Long, so that a registry of a few seconds is some eight megabytes."""


def test_a52_an_export_has_every_record_and_holds_a_few_pages_of_them_at_a_time(
    client: httpx.Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PAGE", PAGE)
    create_many(database)
    for form, header in (("csv", 1), ("ndjson", 0)):
        count, size, held = exported(client, f"/v1/organizations?format={form}")
        assert count == MANY + header
        assert size > MANY * len(ADDRESS)
        assert held < size / 4, (form, held, size)


def create_many(database: Database) -> None:
    """So many organizations, by one import."""
    drafts = ({"slug": f"body-{n}", "name": f"Body {n}", "kind": "other", "url": ADDRESS} for n in range(MANY))
    file = files.lines(lines(*drafts).encode(), RESOURCE, RESOURCE["organizations"])
    report = database.write(lambda tx: imports.load(tx, RESOURCES, file, imports.Wish()), TESTER)
    assert report.count("created") == MANY


def exported(client: httpx.Client, path: str) -> tuple[int, int, int]:
    """How many lines an export has, its length, and how many bytes more than before this process (the server's as well) held
    at the most meanwhile."""
    count = size = 0
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        with client.stream("GET", path, timeout=60) as answer:
            for piece in answer.iter_bytes():
                count, size = count + piece.count(b"\n"), size + len(piece)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return count, size, most - before


# --- A53: one bad row in a thousand ---------------------------------------------------------------------------------------

THOUSAND = 1_000
BAD = {500: ["", "other", "2014-13"], 501: ["Body 1", "other", "2014"]}  # row 501 has the name of row 1


def thousand(kind: str) -> str:
    rows = [BAD.get(n, [f"Body {n}", "other", "2014"]) for n in range(1, THOUSAND + 1)]
    if kind == CSV:
        return sheet(["name", "kind", "founded"], *rows)
    return lines(*(dict(zip(("name", "kind", "founded"), row, strict=True)) for row in rows))


@pytest.mark.parametrize(
    ("kind", "header"), [pytest.param(CSV, 1, id="A53-csv"), pytest.param(NDJSON, 0, id="A53-ndjson")]
)
def test_of_a_thousand_rows_with_two_bad_ones_all_or_the_good_ones_are_stored(
    client: httpx.Client, database: Database, kind: str, header: int
) -> None:
    body = thousand(kind)
    places = [(500 + header, "/name"), (500 + header, "/founded"), (501 + header, "/name")]
    for query in ({}, {"dry_run": "true"}):
        with same(client, database):
            refusal = refused(load(client, body, kind, noun="organizations", **query), 422, "invalid")
        assert sorted((fault["line"], fault["pointer"]) for fault in refusal["errors"]) == sorted(places)
        assert "2 rows cannot be taken" in refusal["detail"]
    with same(client, database):
        dry = load(client, body, kind, noun="organizations", atomic="false", dry_run="true")
    assert (dry.status_code, counts(dry)) == (207, (998, 0, 0, 2))
    wet = load(client, body, kind, noun="organizations", atomic="false")
    assert (wet.status_code, counts(wet)) == (207, (998, 0, 0, 2))
    assert wet.json()["errors"] == dry.json()["errors"] == refusal["errors"]
    stored = client.get("/v1/organizations?count=true&limit=1").json()["total"]
    assert stored == client.get("/v1/changes?after=997").json()["items"][-1]["sequence"] == 998
    again = load(client, body, kind, noun="organizations", atomic="false", mode="upsert")
    # Where nothing else says which record a row is, its name does: row 501 is now about the record of row 1, too.
    assert counts(again) == (0, 0, 998, 2)


# --- A54: formulas --------------------------------------------------------------------------------------------------------

FORMULAS = [
    '=HYPERLINK("http://evil.example";"x")',
    "+1+1",
    "-x",
    "@SUM(A1)",
    "＝1",
    "＋1",
    "－1",
    "＠A",
    "'=1",
    "''quoted",
    "'t Hooft",
    '"=1"',
    "=1\n=2",
    "a;=1;b",
]
BEGINS = tuple("=+-@＝＋－＠\t\r\n")


def hostile(client: httpx.Client, noun: Builder) -> list[Json]:
    """A record for each of these texts, which stands in every place of the noun that takes a text."""
    made: list[Json] = []
    for text in FORMULAS:
        one = filled(noun, free_texts(noun.plural), lambda _, text=text: text.replace("\n", " "))  # type: ignore[misc]
        prose = [place for place in free_texts(noun.plural) if place.accepts("a\nb")]
        for place in prose:
            one = place.put(one, text)
        for name in ("identifiers", "passages", "instruments", "refers_to"):  # unique, or of a form that a text has not
            one.pop(name, None)
        if noun.title is not None:
            one |= {noun.title: f"{one[noun.title]} {len(made)}"}
        answer = client.post(noun.path, json=one)
        assert answer.status_code == 201, answer.text
        made.append(answer.json())
    return made


@pytest.mark.parametrize("plural", [pytest.param(plural, id=f"A54-{plural}") for plural in NOUNS])
def test_no_cell_of_any_list_is_a_formula_and_the_file_is_the_way_back(client: httpx.Client, plural: str) -> None:
    noun = NOUNS[plural]
    samples(client)
    hostile(client, noun)
    before = client.get(f"{noun.path}?format=ndjson").content
    table = client.get(f"{noun.path}?format=csv").content
    header, *rows = cells_of(table)
    assert len(rows) == len(slugs(client, noun.path)) >= len(FORMULAS)
    assert not [cell for row in rows for cell in row if cell.startswith(BEGINS)]
    assert any(cell.startswith("'=") for row in rows for cell in row)
    for mode in ("upsert", "replace"):
        answer = load(client, table, noun=plural, mode=mode)
        assert counts(answer) == (0, 0, len(rows), 0), answer.text
    assert client.get(f"{noun.path}?format=ndjson").content == before  # no version is another one
    told = [json.loads(line) for line in before.splitlines()]
    assert told == walk(client, noun.path)
    written = [dict(zip(header, row, strict=True)) for row in rows]
    assert [row["slug"] for row in written] == [each["slug"] for each in told]


def test_a54_what_comes_back_into_an_empty_registry_has_the_same_bytes(client: httpx.Client) -> None:
    made: dict[str, Json] = {}
    for n, text in enumerate(FORMULAS):
        one = {"slug": f"h{n}", "name": text.replace("\n", " "), "description": text, "acronym": "=A"}
        made[f"h{n}"] = organization(client, **one)
    table = client.get("/v1/organizations?format=csv&fields=slug,name,description,acronym,kind").content
    for slug in made:
        client.patch(f"/v1/organizations/{slug}", json={"name": f"Plain {slug}", "description": None, "acronym": None},
                     headers={"If-Match": "*"})  # fmt: skip
    assert counts(load(client, table, noun="organizations", mode="upsert")) == (0, len(made), 0, 0)
    for record in walk(client, "/v1/organizations"):
        for field in ("name", "description", "acronym"):
            assert record[field] == made[record["slug"]][field], record["slug"]


def test_a54_the_citations_of_a_record_and_workbooks_are_no_formulas_either(client: httpx.Client) -> None:
    body = organization(client, slug="cited", name="=1+1")
    target = {"noun": "organizations", "record": body["slug"]}
    for n, text in enumerate(FORMULAS):
        citation(client, slug=f"c{n}", target=target, note=text)
    path = "/v1/organizations/cited/citations"
    header, *rows = cells_of(client.get(f"{path}?format=csv").content)
    notes = {row[header.index("slug")]: row[header.index("note")] for row in rows}
    assert len(notes) == len(FORMULAS)
    assert not [cell for row in rows for cell in row if cell.startswith(BEGINS)]
    told = [json.loads(line) for line in client.get(f"{path}?format=ndjson").text.splitlines()]
    assert {each["slug"]: each["note"] for each in told} == {f"c{n}": text for n, text in enumerate(FORMULAS)}
    for address in (f"{path}?format=xlsx", "/v1/organizations?format=xlsx", "/v1/export?format=xlsx"):
        workbook = openpyxl.load_workbook(io.BytesIO(client.get(address).content))
        found = [cell for page in workbook for row in page.iter_rows() for cell in row if cell.value is not None]
        assert not [cell for cell in found if cell.data_type == "f" or cell.hyperlink]
        assert any(str(cell.value).startswith("=") and cell.data_type == "s" for cell in found)


# --- A55: the byte order mark, and what a cell may hold -----------------------------------------------------------------------

AWKWARD = [
    pytest.param("one\ntwo\n\nthree", id="A55-line-breaks"),
    pytest.param('say "so", he said; and "then"', id="A55-quotes-and-commas"),
    pytest.param("a;b\tc|d", id="A55-other-delimiters"),
    pytest.param('"', id="A55-one-quote"),
    pytest.param('""', id="A55-two-quotes"),
    pytest.param("sep=;", id="A55-a-line-of-excel"),
    pytest.param("{}[]:\\n\\", id="A55-signs-of-json"),
    pytest.param("Ż — «Łódź» 国际 👩🏽\u200d🔬 \u200fצה״ל", id="A55-signs-of-many-scripts"),
]


@pytest.mark.parametrize("text", AWKWARD)
@pytest.mark.parametrize("bom", ["false", "true"])
def test_the_text_of_a_cell_survives_the_way_out_and_in(client: httpx.Client, text: str, bom: str) -> None:
    made = organization(client, slug="it", description=text, other_names=[{"value": "a; b (c)", "kind": "translation"}])
    table = client.get(f"/v1/organizations?format=csv&bom={bom}").content
    assert table.startswith(b"\xef\xbb\xbf") == (bom == "true")
    header, row = cells_of(table.removeprefix(b"\xef\xbb\xbf"))
    assert header[0] == "id"
    if not set(text) <= {'"'}:  # a text of quotation marks alone stands between two more
        assert row[header.index("description")] == text
    client.patch("/v1/organizations/it", json={"description": None, "other_names": []}, headers={"If-Match": "*"})
    assert counts(load(client, table, noun="organizations", mode="replace")) == (0, 1, 0, 0)
    stored = client.get("/v1/organizations/it").json()
    assert (stored["description"], stored["other_names"]) == (text, made["other_names"])


def test_a55_every_csv_begins_with_its_first_header_unless_a_mark_is_asked_for(registry: httpx.Client) -> None:
    for path in (*(f"/v1/{plural}" for plural in NOUNS), "/v1/collaborations/unctad-mou/citations"):
        plain = registry.get(f"{path}?format=csv").content
        assert plain.startswith(b"id,slug,"), path
        assert registry.get(path, headers={"Accept": "text/csv"}).content == plain
        assert registry.get(f"{path}?format=csv&bom=true").content == b"\xef\xbb\xbf" + plain


# --- A26, A27, A28: moments and dates in files ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "stored"),
    [
        pytest.param("2024-03-31T02:30:00+02:00", "2024-03-31T00:30:00Z", id="A26-an-hour-that-summer-time-skips"),
        pytest.param("2024-03-31T23:30:00-05:00", "2024-04-01T04:30:00Z", id="A26-over-midnight"),
        pytest.param("2024-03-31T02:30:00Z", "2024-03-31T02:30:00Z", id="A26-utc"),
        pytest.param("2024-03-31 02:30:00+00:00", "2024-03-31T02:30:00Z", id="A26-a-blank-for-the-t"),
        pytest.param("", None, id="A26-not-stated"),
        pytest.param("2024-03-31T02:30:00", "", id="A26-no-zone"),
        pytest.param("2024-03-31", "", id="A26-no-time"),
        pytest.param("45382", "", id="A26-a-number-of-a-spreadsheet"),
        pytest.param("1711852200", "", id="A26-seconds"),
        pytest.param("31/03/2024 02:30", "", id="A26-as-people-write"),
    ],
)
def test_a_moment_in_a_sheet_has_its_zone_and_comes_back_in_utc(
    client: httpx.Client, database: Database, cell: str, stored: str | None
) -> None:
    body = sheet(["slug", "title", "kind", "retrieved"], ["page", "Page", "web_page", cell])
    if stored == "":
        with same(client, database):
            refusal = refused(load(client, body, noun="sources"), 422, "invalid")
        assert [(fault["line"], fault["column"]) for fault in refusal["errors"]] == [(2, "retrieved")]
        return
    assert counts(load(client, body, noun="sources")) == (1, 0, 0, 0)
    record = client.get("/v1/sources/page").json()
    assert record["retrieved"] == stored
    table = client.get("/v1/sources?format=csv").content
    header, row = cells_of(table)
    assert row[header.index("retrieved")] == (stored or "")
    assert counts(load(client, table, noun="sources", mode="replace")) == (0, 0, 1, 0)


IN_ORDER = ["1883", "1883-02", "1990-11", "1990-11-05", "1999/..", "201X", "2011?", "2014/2016", "2018-Q3"]


def test_a27_a_date_keeps_its_precision_from_file_to_file_and_sorts_by_its_first_day(client: httpx.Client) -> None:
    organization(client, slug="un", name="UN")
    rows = [[f"m{n}", f"Milestone {n}", "session", "met", "un", date] for n, date in enumerate(IN_ORDER)]
    body = sheet(["slug", "title", "kind", "status", "organization", "date"], *rows)
    assert counts(load(client, body, noun="milestones")) == (len(rows), 0, 0, 0)
    for query in ("sort=slug", "sort=date"):
        assert [record["date"] for record in walk(client, f"/v1/milestones?{query}")] == IN_ORDER
    table = client.get("/v1/milestones?format=csv").content
    header, *written = cells_of(table)
    assert [row[header.index("date")] for row in written] == IN_ORDER
    told = client.get("/v1/milestones?format=ndjson").text
    assert [json.loads(line)["date"] for line in told.splitlines()] == IN_ORDER
    assert counts(load(client, table, noun="milestones", mode="replace")) == (0, 0, len(rows), 0)
    document = client.get("/v1/export").content
    assert counts(load(client, document, NDJSON, mode="replace")) == (0, 0, len(rows) + 1, 0)


@pytest.mark.parametrize("kind", [pytest.param(CSV, id="A27-csv"), pytest.param(NDJSON, id="A27-ndjson")])
@pytest.mark.parametrize("date", ["2018-00-00", "2018-13", "2023-02-29", "2018-02-30", "0000", "12018", "2018-5"])
def test_a_day_that_no_calendar_has_is_refused_in_files_too(
    client: httpx.Client, database: Database, kind: str, date: str
) -> None:
    row = {"name": "A", "kind": "other", "founded": date}
    body = sheet(list(row), list(row.values())) if kind == CSV else lines(row)
    with same(client, database):
        refusal = refused(load(client, body, kind, noun="organizations"), 422, "invalid")
    assert [fault["pointer"] for fault in refusal["errors"]] == ["/founded"]


SPREADSHEET_DATES = [
    pytest.param("43101", "2018-01-01", id="A28-number-of-a-spreadsheet"),
    pytest.param("43101.5", "2018-01-01", id="A28-number-with-a-time"),
    pytest.param("1/2/2018", "2018-02-01 or 2018-01-02", id="A28-day-and-month"),
    pytest.param("Jan-18", "2018-01, or YYYY-01-18", id="A28-month-and-number"),
    pytest.param("18-Jan", "2018-01, or YYYY-01-18", id="A28-number-and-month"),
]


@pytest.mark.parametrize(("cell", "said"), SPREADSHEET_DATES)
def test_what_a_spreadsheet_made_of_a_date_is_refused_with_its_row_and_column(
    client: httpx.Client, database: Database, cell: str, said: str
) -> None:
    rows = [["A\nof two lines", "other", "2018"], ["B", "other", cell], ["C", "other", "2018-01"]]
    body = sheet(["description", "kind", "founded", "name"], *([*row, f"Body {n}"] for n, row in enumerate(rows)))
    with same(client, database):
        refusal = refused(load(client, body, noun="organizations"), 422, "invalid")
    (fault,) = refusal["errors"]
    assert (fault["line"], fault["row"], fault["column"], fault["pointer"]) == (4, 3, "founded", "/founded")
    assert said in fault["message"]
    with same(client, database):
        document = {"name": "B", "kind": "other", "founded": cell}
        refused(load(client, lines(document), NDJSON, noun="organizations"), 422, "invalid")


@pytest.mark.parametrize("plural", [pytest.param(plural, id=f"A28-{plural}") for plural in NOUNS])
def test_every_date_of_every_noun_is_refused_alike(client: httpx.Client, database: Database, plural: str) -> None:
    """Whatever column a spreadsheet's number stands in, nobody takes it for a date."""
    samples(client)
    dates = {"founded", "dissolved", "adopted", "revised", "period", "date", "due", "published"}
    for name in dates & set(cells.columns(RESOURCE[plural])):
        row = {"slug": "sample", name: "43101"}
        with same(client, database):
            answer = load(client, sheet(list(row), list(row.values())), noun=plural, mode="upsert")
            (fault,) = refused(answer, 422, "invalid")["errors"]
        assert (fault["line"], fault["column"]) == (2, name)
