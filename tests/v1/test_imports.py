"""Imports: what a file does, what is said of every row that cannot be taken, and that nothing is done by halves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from app.exchange import imports, staging
from app.kit import bulk
from app.kit.db import Database
from app.kit.errors import Again
from tests.support.answers import nothing_written, parameters, problem, slugs, walk
from tests.support.builders import collaboration_type, organization

Json = dict[str, Any]
NDJSON, CSV = "application/x-ndjson", "text/csv"


def post(client: httpx.Client, body: str | bytes, kind: str = NDJSON, **query: Any) -> httpx.Response:
    asked = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
    return client.post("/v1/import", params=asked, content=body, headers={"Content-Type": kind})


def lines(*records: Mapping[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def counts(answer: httpx.Response) -> tuple[int, int, int, int]:
    assert answer.status_code in (200, 207), answer.text
    body = answer.json()
    return body["created"], body["changed"], body["unchanged"], body["failed"]


def refusals(client: httpx.Client, answer: httpx.Response, status: int = 422) -> list[tuple[int, str]]:
    """The line and the field (or the column, or the code) of each fault."""
    body = problem(client, answer, status)
    return [(fault["line"], fault.get("pointer") or fault.get("column") or fault["code"]) for fault in body["errors"]]


ILO = {"slug": "ilo", "name": "International Labour Organization", "acronym": "ILO", "kind": "other"}
OFFICE = {"slug": "office", "name": "The Office", "kind": "organ", "part_of": "ilo"}


# --- NDJSON -----------------------------------------------------------------------------------------------------------


def test_a_file_of_one_noun_makes_its_records_whatever_their_order(client: httpx.Client) -> None:
    answer = post(client, lines(OFFICE, ILO), noun="organizations", rows=True)
    assert counts(answer) == (2, 0, 0, 0)
    assert answer.json()["rows"] == [
        {"line": 1, "noun": "organizations", "slug": "office", "action": "created", "warnings": []},
        {"line": 2, "noun": "organizations", "slug": "ilo", "action": "created", "warnings": []},
    ]
    assert client.get("/v1/organizations/office").json()["part_of"] == "ilo"
    assert [item["slug"] for item in client.get("/v1/changes").json()["items"]] == ["ilo", "office"]


def test_a_document_set_names_the_noun_of_each_line(client: httpx.Client) -> None:
    body = lines(
        {"noun": "citations", "slug": "c", "source": "page", "support": "states",
         "target": {"noun": "collaborations", "record": "together"}},
        {"noun": "collaborations", "slug": "together", "title": "Together", "type": "joint",
         "participants": [{"organization": "office", "role": "host"}]},
        {"noun": "sources", "slug": "page", "title": "Page", "kind": "web_page"},
        {"noun": "collaboration-types", "slug": "joint", "label": "Joint"},
        {"noun": "organizations", **OFFICE}, {"noun": "organizations", **ILO},
    )  # fmt: skip
    assert counts(post(client, body)) == (6, 0, 0, 0)
    assert client.get("/v1/collaborations/together/citations").json()["items"][0]["slug"] == "c"


def test_records_of_one_noun_may_name_each_other_in_their_lists(client: httpx.Client) -> None:
    body = lines(
        {"slug": "a", "title": "A", "kind": "treaty", "refers_to": ["b", "c"]},
        {"slug": "b", "title": "B", "kind": "treaty", "refers_to": ["a"]},
        {"slug": "c", "title": "C", "kind": "treaty", "replaces": "a"},
    )
    assert counts(post(client, body, noun="instruments")) == (3, 0, 0, 0)
    assert client.get("/v1/instruments/a").json()["refers_to"] == ["b", "c"]
    assert client.get("/v1/instruments/b").json()["refers_to"] == ["a"]


def test_a_record_without_a_latin_letter_may_name_itself_by_its_id(client: httpx.Client) -> None:
    identifier = "01935f7e-8c00-7000-8000-00000000abcd"
    body = lines({"id": identifier, "title": "Слово", "kind": "treaty", "refers_to": [identifier]})
    assert counts(post(client, body, noun="instruments")) == (1, 0, 0, 0)
    stored = client.get(f"/v1/instruments/{identifier}").json()
    assert stored["refers_to"] == [stored["slug"]]


def test_more_rows_than_are_looked_at_together_are_created_and_changed_and_told_apart(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((imports, "CHUNK"), (staging, "CHUNK"), (bulk, "GROUP")):
        monkeypatch.setattr(module, name, 7)
    many = [{"slug": f"o{n}", "name": f"Body {n}", "kind": "other"} for n in range(30)]
    many[3]["part_of"], many[20]["part_of"] = "o29", "o3"
    assert counts(post(client, lines(*many), noun="organizations")) == (30, 0, 0, 0)
    changed = [record | {"country": "CH"} for record in many]
    body = lines(*changed, many[0], {"slug": "new", "name": "New", "kind": "other", "part_of": "o20"})
    assert counts(post(client, body, noun="organizations", mode="upsert", atomic=False)) == (1, 30, 0, 1)
    versions = {record["slug"]: (record["version"], record["country"]) for record in walk(client, "/v1/organizations")}
    assert versions == {f"o{n}": (2, "CH") for n in range(30)} | {"new": (1, None)}
    numbers = [change["sequence"] for change in client.get("/v1/changes?limit=200").json()["items"]]
    assert sorted(numbers) == list(range(1, 62))


def test_records_that_are_above_themselves_are_refused(client: httpx.Client) -> None:
    body = lines(
        {"slug": "a", "name": "A", "kind": "other", "part_of": "b"},
        {"slug": "b", "name": "B", "kind": "other", "part_of": "a"},
        {"slug": "c", "name": "C", "kind": "other"},
    )
    with nothing_written(client):
        assert sorted({line for line, _ in refusals(client, post(client, body, noun="organizations"))}) == [1, 2]


def test_a_bad_row_keeps_all_out_and_every_one_is_named_with_all_that_is_wrong(client: httpx.Client) -> None:
    organization(client, name="Taken")
    good = [{"name": f"Good {n}", "kind": "other"} for n in range(500)]
    bad = [
        {"name": "", "kind": "nonsense", "country": "Switzerland"},
        {"name": "Orphan", "kind": "other", "part_of": "nobody"},
        {"name": "TAKEN", "kind": "other"},
        {"name": "Good 7", "kind": "other"},
        {"slug": "Not A Slug", "name": "X", "kind": "other"},
        {"name": "Y", "kind": "other", "motto": "none"},
    ]
    with nothing_written(client):
        found = refusals(client, post(client, lines(*good, *bad), noun="organizations"))
    assert found == [
        (501, "/name"), (501, "/kind"), (501, "/country"), (502, "/part_of"), (503, "/name"), (504, "/name"),
        (505, "/slug"), (506, "/motto"),
    ]  # fmt: skip
    with nothing_written(client):
        assert post(client, lines(*good, *bad), noun="organizations", dry_run=True).status_code == 422


def test_of_very_many_faults_the_first_are_told_and_all_bad_rows_are_counted(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "MOST_TOLD", 3)
    wrong = {"name": "", "kind": "nonesuch"}
    body = lines(wrong, ILO, wrong) + "{\n" + lines(wrong)
    refused = post(client, body, noun="organizations")
    assert refusals(client, refused)[0] == (1, "/name")
    assert len(refused.json()["errors"]) == 3
    assert refused.json()["detail"].startswith("4 rows cannot be taken")
    assert refused.json()["notes"] == ["4 more faults were found and are not told here: mend these first."]
    taken = post(client, body, noun="organizations", atomic=False)
    assert counts(taken) == (1, 0, 0, 4)
    assert (len(taken.json()["errors"]), taken.json()["notes"]) == (3, refused.json()["notes"])


def test_of_very_many_rows_with_a_warning_the_first_are_shown(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "MOST_TOLD", 1)
    assert counts(post(client, lines(ILO), noun="organizations")) == (1, 0, 0, 0)
    again = lines(*({"name": name, "acronym": "ILO", "kind": "other"} for name in ("One", "Two", "Three")))
    taken = post(client, again, noun="organizations", dry_run=True)
    assert [row["line"] for row in taken.json()["rows"]] == [1]
    assert taken.json()["notes"] == ["2 more rows have a warning."]
    every = post(client, again, noun="organizations", rows=True, dry_run=True)
    assert (len(every.json()["rows"]), every.json()["notes"]) == (3, [])


def test_a_row_that_refers_to_one_which_is_refused_says_to_which(client: httpx.Client) -> None:
    records = {"slug": "p", "name": "P", "kind": "fund"}, {"slug": "c", "name": "C", "kind": "other", "part_of": "p"}
    answer = post(client, lines(*records), noun="organizations")
    assert refusals(client, answer) == [(1, "/kind"), (2, "/part_of")]
    assert answer.json()["errors"][1]["message"] == "Line 1, to which it refers, cannot be taken."


def test_a_row_of_a_withdrawn_record_is_refused(client: httpx.Client) -> None:
    row = {"name": "Gone", "kind": "other", "withdrawn_at": "2026-01-01T00:00:00Z"}
    assert refusals(client, post(client, lines(row), noun="organizations")) == [(1, "/withdrawn_at")]


def test_a_name_that_very_many_have_is_told_in_a_few_words(client: httpx.Client) -> None:
    many = [{"name": f"Body {n:03}", "acronym": "X", "kind": "other"} for n in range(150)]
    post(client, lines(*many), noun="organizations")
    answer = post(
        client, "name,kind,part_of,acronym\nA,other,X,\nB,other,,X\n", CSV, noun="organizations", atomic=False
    )
    assert len(answer.text) < 2_000
    assert "146 more" in answer.json()["errors"][0]["message"]
    assert "145 more" in answer.json()["rows"][0]["warnings"][0]


def test_a_deep_tree_is_imported_in_about_the_time_of_a_flat_list(client: httpx.Client) -> None:
    chain = [{"slug": "b0", "name": "Body 0", "kind": "other"}]
    chain += [{"slug": f"b{n}", "name": f"Body {n}", "kind": "other", "part_of": f"b{n - 1}"} for n in range(1, 1500)]
    assert counts(post(client, lines(*reversed(chain)), noun="organizations")) == (1500, 0, 0, 0)


def test_many_records_that_name_each_other_are_imported(client: httpx.Client) -> None:
    pairs = [
        {"slug": f"i{n}", "title": f"I {n}", "kind": "treaty", "refers_to": [f"i{n}", f"i{n ^ 1}"]} for n in range(200)
    ]
    assert counts(post(client, lines(*pairs), noun="instruments")) == (200, 0, 0, 0)
    assert client.get("/v1/instruments/i7").json()["refers_to"] == ["i7", "i6"]


def test_without_atomic_the_good_rows_stay_and_the_counts_add_up(client: httpx.Client) -> None:
    records = [
        {"slug": "a", "name": "A", "kind": "other"},
        {"slug": "b", "name": "B", "kind": "nonsense"},
        {"slug": "c", "name": "C", "kind": "other", "part_of": "b"},
        {"slug": "d", "name": "D", "kind": "other", "part_of": "a"},
        {"slug": "e", "name": "A", "kind": "other"},
    ]
    answer = post(client, lines(*records), noun="organizations", atomic=False)
    assert answer.status_code == 207
    assert counts(answer) == (2, 0, 0, 3)
    assert [error["line"] for error in answer.json()["errors"]] == [2, 3, 5]
    assert slugs(client, "/v1/organizations") == ["a", "d"]


def test_a_dry_run_answers_the_same_and_leaves_nothing(client: httpx.Client) -> None:
    with nothing_written(client):
        dry = post(client, lines(ILO, OFFICE), noun="organizations", dry_run=True, rows=True).json()
    wet = post(client, lines(ILO, OFFICE), noun="organizations", rows=True).json()
    assert dry | {"dry_run": False} == wet
    assert client.get("/v1/organizations/ilo").json()["version"] == 1


def test_what_a_list_exports_can_be_imported_again(client: httpx.Client) -> None:
    post(client, lines(ILO, OFFICE), noun="organizations")
    for form, kind in (("ndjson", NDJSON), ("csv", CSV)):
        exported = client.get(f"/v1/organizations?format={form}").content
        with nothing_written(client):
            assert counts(post(client, exported, kind, noun="organizations", mode="upsert")) == (0, 0, 2, 0)


# --- modes and keys ---------------------------------------------------------------------------------------------------


def test_create_refuses_what_is_there(client: httpx.Client) -> None:
    post(client, lines(ILO), noun="organizations")
    with nothing_written(client):
        assert refusals(client, post(client, lines(OFFICE, ILO), noun="organizations")) == [(2, "conflict")]


def test_upsert_sets_what_the_row_gives_and_keeps_the_rest(client: httpx.Client) -> None:
    post(client, lines(ILO), noun="organizations")
    answer = post(
        client, lines({"slug": "ilo", "country": "CH"}, OFFICE), noun="organizations", mode="upsert", rows=True
    )
    assert counts(answer) == (1, 1, 0, 0)
    stored = client.get("/v1/organizations/ilo").json()
    assert (stored["country"], stored["acronym"], stored["version"]) == ("CH", "ILO", 2)
    assert counts(post(client, lines({"slug": "ilo", "country": "CH"}), noun="organizations", mode="upsert")) == (
        0,
        0,
        1,
        0,
    )


def test_replace_makes_the_record_what_the_row_says(client: httpx.Client) -> None:
    post(client, lines(ILO), noun="organizations")
    row = {"slug": "ilo", "name": "ILO", "kind": "other"}
    assert counts(post(client, lines(row), noun="organizations", mode="replace")) == (0, 1, 0, 0)
    assert client.get("/v1/organizations/ilo").json()["acronym"] is None
    assert refusals(client, post(client, lines({"slug": "ilo"}), noun="organizations", mode="replace")) == [
        (1, "/name"), (1, "/kind"),
    ]  # fmt: skip


def test_a_row_is_found_by_its_id_and_an_id_is_kept(client: httpx.Client) -> None:
    made = organization(client, name="Found by id")
    row = {"id": made["id"], "country": "CH"}
    assert counts(post(client, lines(row), noun="organizations", mode="upsert", key="id")) == (0, 1, 0, 0)
    fresh = {"id": "01935f7e-8c00-7000-8000-00000000abcd", "name": "Comes with an id", "kind": "other"}
    assert counts(post(client, lines(fresh), noun="organizations")) == (1, 0, 0, 0)
    assert client.get(f"/v1/organizations/{fresh['id']}").json()["slug"] == "comes-with-an-id"
    assert refusals(client, post(client, lines(fresh | {"name": "Another"}), noun="organizations")) == [(1, "conflict")]


def test_a_row_is_found_by_an_identifier(client: httpx.Client) -> None:
    organization(client, slug="it", identifiers=[{"scheme": "ror", "value": "01abc"}])
    row = {"name": "Renamed", "identifiers": [{"scheme": "ROR", "value": "01ABC"}]}
    assert counts(post(client, lines(row), noun="organizations", mode="upsert", key="ror")) == (0, 1, 0, 0)
    assert client.get("/v1/organizations/it").json()["name"] == "Renamed"


def test_without_a_key_an_organization_is_found_by_its_name(client: httpx.Client) -> None:
    organization(client, slug="it", name="Known Body", country="CH")
    row = {"name": "KNOWN body", "kind": "organ"}
    assert counts(post(client, lines(row), noun="organizations", mode="upsert")) == (0, 1, 0, 0)
    problem(client, post(client, lines({"title": "A", "kind": "treaty"}), noun="instruments", key="ror"), 422)
    organization(client, slug="other", name="Known Body", country="FR")
    assert refusals(client, post(client, lines(row), noun="organizations", mode="upsert")) == [(1, "conflict")]


def test_where_titles_tell_nothing_apart_upsert_asks_for_a_key(client: httpx.Client) -> None:
    row = {"title": "Paper", "kind": "treaty"}
    assert refusals(client, post(client, lines(row), noun="instruments", mode="upsert")) == [(1, "/slug")]
    assert counts(post(client, lines(row), noun="instruments")) == (1, 0, 0, 0)


def test_a_withdrawn_record_is_not_brought_back_by_a_file(client: httpx.Client) -> None:
    organization(client, slug="gone", name="Gone")
    client.delete("/v1/organizations/gone", headers={"If-Match": "*"})
    row = {"slug": "gone", "name": "Gone", "kind": "other"}
    for mode in ("create", "upsert", "replace"):
        assert refusals(client, post(client, lines(row), noun="organizations", mode=mode)) == [(1, "gone")]


def test_two_rows_about_one_record_are_refused(client: httpx.Client) -> None:
    row = {"slug": "a", "name": "A", "kind": "other"}
    assert refusals(client, post(client, lines(row, row | {"name": "B"}), noun="organizations")) == [(2, "conflict")]


def test_two_rows_that_turn_out_to_be_about_one_record_are_refused(client: httpx.Client) -> None:
    organization(client, slug="it", name="Known Body")
    rows = {"slug": "it", "country": "CH"}, {"name": "KNOWN BODY", "country": "FR"}, {"name": "known body"}
    with nothing_written(client):
        found = refusals(client, post(client, lines(*rows), noun="organizations", mode="upsert"))
    assert found == [(2, "conflict"), (3, "conflict")]


def test_a_slug_that_a_later_row_gives_is_not_derived_for_an_earlier_one(client: httpx.Client) -> None:
    records = {"name": "Alpha", "kind": "other"}, {"slug": "alpha", "name": "Beta", "kind": "other"}
    assert counts(post(client, lines(*records), noun="organizations")) == (2, 0, 0, 0)
    assert {record["slug"]: record["name"] for record in walk(client, "/v1/organizations")} == {
        "alpha": "Beta", "alpha-2": "Alpha",
    }  # fmt: skip


def test_an_import_that_has_to_be_run_again_does_the_same(
    client: httpx.Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, runs = imports.load, iter(range(9))

    def interrupted(*arguments: Any) -> imports.Report:
        report = load(*arguments)
        if next(runs) == 0:
            raise Again
        return report

    monkeypatch.setattr(imports, "load", interrupted)
    post(client, lines(ILO), noun="organizations")
    sheet = "id,slug,name,kind,part_of\n01935f7e-8c00-7000-8000-00000000abcd,mine,Mine,other,ILO\n"
    monkeypatch.setattr(imports, "load", interrupted)
    runs = iter(range(9))
    assert counts(post(client, sheet, CSV, noun="organizations")) == (1, 0, 0, 0)
    stored = client.get("/v1/organizations/mine").json()
    assert (stored["id"], stored["part_of"]) == ("01935f7e-8c00-7000-8000-00000000abcd", "ilo")


def test_two_imports_of_the_same_records_in_opposite_order_both_succeed(client: httpx.Client) -> None:
    records = [{"slug": f"o{n}", "name": f"Body {n}", "kind": "other"} for n in range(60)]
    post(client, lines(*records), noun="organizations")
    for turn in range(5):
        bodies = [
            lines(*({**record, "description": f"{turn} {way}"} for record in order))
            for way, order in (("down", records), ("up", records[::-1]))
        ]
        with ThreadPoolExecutor(2) as both:
            answers = list(both.map(lambda body: post(client, body, noun="organizations", mode="upsert"), bodies))
        assert [counts(answer) for answer in answers] == [(0, 60, 0, 0)] * 2
        assert len({record["description"] for record in walk(client, "/v1/organizations?fields=description")}) == 1


# --- tables -----------------------------------------------------------------------------------------------------------


def test_a_sheet_as_people_keep_it_is_taken_with_its_columns_named(client: httpx.Client) -> None:
    sheet = (
        "Partner;Type;Since;Belongs to;Contact;Other names\r\n"
        '"World Bank Group";Intergovernmental organization;since 1944;;"a@b\r\nc@d";"Groupe Banque mondiale (translation)"\r\n'
        "IFC;intergovernmental_organization;20/07/1956;world bank GROUP;;\r\n"
    ).encode("cp1252")
    answer = post(
        client, sheet, CSV, noun="organizations", rows=True,
        columns="Partner:name,Type:kind,Since:founded,Belongs to:part_of,Contact:",
    )  # fmt: skip
    assert counts(answer) == (2, 0, 0, 0)
    bank, ifc = (client.get(f"/v1/organizations/{slug}").json() for slug in ("world-bank-group", "ifc"))
    assert bank["founded"] == "1944/.."
    assert bank["other_names"] == [{"value": "Groupe Banque mondiale", "lang": None, "kind": "translation"}]
    assert (ifc["founded"], ifc["part_of"]) == ("1956-07-20", "world-bank-group")


def test_participants_in_one_cell_are_told_by_name_acronym_or_slug(client: httpx.Client) -> None:
    collaboration_type(client, label="Joint work")
    post(client, lines(ILO, {"slug": "who", "name": "World Health Organization", "acronym": "WHO", "kind": "other",
         "other_names": [{"value": "OMS", "kind": "acronym"}]}), noun="organizations")  # fmt: skip
    sheet = (
        "title,type,participants,sdgs\n"
        'One,joint-work,"ILO (partner); World Health Organization (WHO) (co-organizer); oms (Host);",3; 8\n'
    )
    assert counts(post(client, sheet, CSV, noun="collaborations")) == (1, 0, 0, 0)
    stored = client.get("/v1/collaborations/one").json()
    assert [(p["organization"], p["role"]) for p in stored["participants"]] == [
        ("ilo", "partner"), ("who", "co_organizer"), ("who", "host"),
    ]  # fmt: skip
    assert stored["sdgs"] == [3, 8]


def test_a_name_that_several_have_or_nobody_has_is_refused_with_a_hint(client: httpx.Client) -> None:
    post(client, lines({"slug": "eco-a", "name": "Economic Cooperation Organization", "acronym": "ECO", "kind": "other"},
                       {"slug": "eco-b", "name": "Ecological Council", "acronym": "ECO", "kind": "other"}),
         noun="organizations")  # fmt: skip
    sheet = "name,kind,part_of\nA,other,ECO\nB,other,Economic Coperation Organisation\nC,other,Nobody\n"
    answer = post(client, sheet, CSV, noun="organizations")
    assert refusals(client, answer) == [(2, "/part_of"), (3, "/part_of"), (4, "/part_of")]
    messages = [error["message"] for error in answer.json()["errors"]]
    assert "eco-a or eco-b" in messages[0]
    assert "Is it eco-a?" in messages[1]
    assert "Create it first" in messages[2]


def test_dates_that_may_be_read_in_two_ways_are_refused_until_their_order_is_said(client: httpx.Client) -> None:
    sheet = "name,kind,founded\nA,other,04/12/2014\nB,other,43101\nC,other,0000-00-00\n"
    answer = post(client, sheet, CSV, noun="organizations")
    assert refusals(client, answer) == [(2, "/founded"), (3, "/founded"), (4, "/founded")]
    assert "2014-12-04 or 2014-04-12" in answer.json()["errors"][0]["message"]
    assert [error["column"] for error in answer.json()["errors"]] == ["founded"] * 3
    for order, date in (("day", "2014-12-04"), ("month", "2014-04-12")):
        body = f"name,kind,founded\nBody {order},other,04/12/2014\n"
        assert counts(post(client, body, CSV, noun="organizations", dates=order)) == (1, 0, 0, 0)
        assert client.get(f"/v1/organizations/body-{order}").json()["founded"] == date


def test_an_empty_cell_clears_and_a_missing_column_keeps(client: httpx.Client) -> None:
    organization(client, slug="it", name="It", acronym="I", country="CH")
    assert counts(post(client, "slug,country\nit,\n", CSV, noun="organizations", mode="upsert")) == (0, 1, 0, 0)
    stored = client.get("/v1/organizations/it").json()
    assert (stored["acronym"], stored["country"]) == ("I", None)


@pytest.mark.parametrize(
    ("sheet", "said"),
    [
        ("name,kind,motto\nA,other,x\n", "There is no column 'motto'. Known: id, slug"),
        ("name;name;kind\nA;B;other\n", "2 columns are named 'name'"),
        ("name,Name,kind\nA,B,other\n", "Two columns are name."),
        ("", "The file is empty"),
        ("name,kind\n", "no rows below it"),
        ("PK\x03\x04etc", "save the sheet as CSV"),
        ('{"name": "A"}', "This is JSON"),
        ('name,kind\n"A,other\n', "never closes"),
    ],
)
def test_a_file_that_is_no_table_of_the_noun_says_why(client: httpx.Client, sheet: str, said: str) -> None:
    with nothing_written(client):
        body = problem(client, post(client, sheet, CSV, noun="organizations"), 422)
    assert said in body["errors"][0]["message"]


def test_a_row_with_too_many_cells_is_refused_and_the_others_are_looked_at(client: httpx.Client) -> None:
    sheet = "name,kind\nA,other,extra\nB,nonsense\n"
    found = refusals(client, post(client, sheet, CSV, noun="organizations"))
    assert found == [(2, "surplus_cells"), (3, "/kind")]


def test_the_charset_may_be_declared(client: httpx.Client) -> None:
    sheet = "name,kind\nŻubr,other\n".encode("iso-8859-2")
    assert counts(post(client, sheet, "text/csv; charset=ISO-8859-2", noun="organizations")) == (1, 0, 0, 0)
    assert slugs(client, "/v1/organizations?q=zubr") == ["zubr"]


def test_what_was_assumed_of_a_file_is_said(client: httpx.Client) -> None:
    answer = post(client, "name,kind,acronym\nCafé,other\n".encode("cp1252"), CSV, noun="organizations")
    assert counts(answer) == (1, 0, 0, 0)
    assert any("Windows-1252" in note for note in answer.json()["notes"])


@pytest.mark.parametrize("cell", ["a\0b", "a\x1bb", "W\u200bHO", "x\u202e", "   ", "n" * 256])
def test_a_cell_with_a_text_that_no_field_takes_is_refused(client: httpx.Client, cell: str) -> None:
    with nothing_written(client):
        found = refusals(client, post(client, f"name,kind\n{cell},other\nB,other\n", CSV, noun="organizations"))
    assert found == [(2, "/name")]


# --- names that resemble, warnings --------------------------------------------------------------------------------------


def test_a_new_organization_that_has_the_name_of_another_is_taken_with_a_warning(registry: httpx.Client) -> None:
    row = {"slug": "new", "name": "OECD", "kind": "other"}
    answer = post(registry, lines(row), noun="organizations")
    assert counts(answer) == (1, 0, 0, 0)
    assert answer.json()["rows"] == [
        {"line": 1, "noun": "organizations", "slug": "new", "action": "created",
         "warnings": ["'OECD' is also a name of oecd."]}
    ]  # fmt: skip


# --- what cannot be asked ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "kind", "body", "status"),
    [
        ({}, "application/json", "{}", 415),
        ({}, "text/plain", "{}", 415),
        ({}, "multipart/form-data", "{}", 415),
        ({}, "application/x-ndjson; charset=latin-1", "{}", 415),
        ({}, CSV, "name\nA\n", 422),
        ({"noun": "people"}, NDJSON, "{}", 422),
        ({"mode": "delete"}, NDJSON, "{}", 422),
        ({"columns": "nonsense"}, CSV, "name\nA\n", 422),
        ({"columns": "A:name"}, NDJSON, "{}", 422),
        ({"dates": "day"}, NDJSON, "{}", 422),
        ({"noun": "organizations", "mode": "upsert", "key": "rorr"}, NDJSON, '{"name": "A", "kind": "other"}', 422),
        ({"nuon": "organizations"}, NDJSON, "{}", 400),
    ],
)
def test_a_file_that_cannot_be_read_as_asked_is_refused(
    client: httpx.Client, query: Json, kind: str, body: str, status: int
) -> None:
    with nothing_written(client):
        problem(client, post(client, body, kind, **query), status)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('{"name": "A"', "malformed"), ("[]", "not_an_object"), ("null", "not_an_object"), ('{"a": NaN}', "malformed"),
        ('{"name": "A", "name": "B"}', "/name"), ("[" * 100 + "]" * 100, "malformed"), ("{}", "/noun"),
        ('{"noun": "people"}', "/noun"), ('{"noun": ["x"]}', "/noun"), ('{"a": 1e999}', "malformed"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_record_is_named(client: httpx.Client, line: str, code: str) -> None:
    body = lines({"noun": "organizations", **ILO}) + line + "\n"
    with nothing_written(client):
        assert [what for n, what in refusals(client, post(client, body)) if n == 2] == [code]


def test_bytes_that_are_not_utf_8_are_named_with_their_line(client: httpx.Client) -> None:
    body = b'{"name": "A", "kind": "other"}\n{"name": "\xff", "kind": "other"}\n'
    assert refusals(client, post(client, body, noun="organizations")) == [(2, "encoding")]


def test_an_empty_file_imports_nothing(client: httpx.Client) -> None:
    assert counts(post(client, "\n\n", noun="organizations")) == (0, 0, 0, 0)


def test_the_reason_of_an_import_is_in_the_history(client: httpx.Client) -> None:
    headers = {"Content-Type": NDJSON, "Change-Reason": "Partner list of March"}
    client.post("/v1/import?noun=organizations", content=lines(ILO), headers=headers)
    assert [change["reason"] for change in client.get("/v1/changes").json()["items"]] == ["Partner list of March"]


def bad_parameters(client: httpx.Client, answers: Iterable[httpx.Response]) -> list[str | None]:
    return [name for answer in answers for name in parameters(problem(client, answer, 422))]


def test_a_parameter_that_is_missing_is_named(client: httpx.Client) -> None:
    assert bad_parameters(client, [post(client, "name\nA\n", CSV)]) == ["noun"]
