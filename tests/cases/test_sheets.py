"""What people of this job hold (section B of the list of cases): small invented samples of the shape that public lists, papers
and partnership sheets have, and every date and name that stands in them, with the answer of an import to each."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.kit.db import Database
from tests.cases.refusals import refused, same
from tests.cases.test_files import CSV, NDJSON, Json, counts, lines, load, sheet
from tests.support.builders import collaboration_type, organization

PARTNERS: list[Json] = [
    {"slug": "who", "name": "World Health Organization", "acronym": "WHO", "other_names": [
        {"value": "Organisation mondiale de la Santé", "lang": "fr", "kind": "translation"},
        {"value": "منظمة الصحة العالمية", "lang": "ar", "kind": "translation"},
        {"value": "OMS", "lang": "fr", "kind": "acronym"},
    ]},
    {"slug": "unicef", "name": "United Nations Children's Fund", "acronym": "UNICEF", "other_names": [
        {"value": "United Nations International Children's Emergency Fund", "kind": "former"}]},
    {"slug": "eco-a", "name": "Economic Cooperation Organization", "acronym": "ECO"},
    {"slug": "eco-b", "name": "Ecological Council", "acronym": "ECO"},
    {"slug": "x", "name": "International Organization for X"},
    {"slug": "bank", "name": "World Bank Group"},
    {"slug": "greece", "name": "Ελλάδα"},
    {"slug": "island", "name": "Ø"},
    {"slug": "lake", "name": "Lake Fund"},
]  # fmt: skip


@pytest.fixture
def partners(client: httpx.Client) -> httpx.Client:
    """A registry that knows some organizations and a type."""
    collaboration_type(client, slug="joint", label="Joint work")
    for partner in PARTNERS:
        organization(client, **partner)
    return client


def told(refusal: Json) -> list[tuple[int, str | None]]:
    return [(fault["line"], fault.get("column")) for fault in refusal["errors"]]


# --- dates ----------------------------------------------------------------------------------------------------------------

READ: dict[str, str | None] = {
    "1999": "1999", "since 1999": "1999/..", "2014-2016": "2014/2016", "2014–2016": "2014/2016", "2014/2016": "2014/2016",
    "2016-17 academic year": "2016/2017", "Q3 2018": "2018-Q3", "2018-Q3": "2018-Q3", "Sept. 2018": "2018-09",
    "septembre 2018": "2018-09", "3 May 2018": "2018-05-03", "2018-05": "2018-05", "c. 1990": "1990~", "1990s": "199X",
    "TBC": None, "n/a": None, "-": None, "": None,
    # from the table of shapes
    "October 2 to 11, 2017": "2017-10-02/2017-10-11", "with effect from 3 May 2018": "2018-05-03/", "since 2008": "2008/..",
    "March 2014": "2014-03", "2008-2009": "2008/2009", "19-07-2018": "2018-07-19", "1883": "1883", "1990-11": "1990-11",
}  # fmt: skip
REFUSED_DATES = {
    "1999-": "write 1999/.. or 1999/", "2014-15": "write 2014/2015", "03/05/2018": "write 2018-05-03 or 2018-03-05",
    "2018-05-00": "leave out what is not known: 2018-05", "before 2001": "gives no last date: write one, as in /2000",
    "ongoing": "write the start and an open end, as in 1999/..; empty if it is not stated", "43101": "2018-01-01",
    "2018*": "leave '*' out and write 2018",
    "1 January 2018 (provisionally)": "put 'provisionally' elsewhere and write 2018-01-01",
    # from the table of shapes
    "tacit renewal": "write YYYY, YYYY-MM, YYYY-MM-DD", "55152 to 55196": "spreadsheet's number", "32J46": "not an EDTF date",
    "20141": "spreadsheet's number", "Geneva": "not an EDTF date",
}  # fmt: skip


def test_b_every_date_that_has_one_reading_is_taken(client: httpx.Client) -> None:
    rows = [[f"d{n}", f"Body {n}", "other", date] for n, date in enumerate(READ)]
    answer = load(client, sheet(["slug", "name", "kind", "founded"], *rows), noun="organizations")
    assert counts(answer) == (len(rows), 0, 0, 0), answer.text
    for (slug, *_), (date, stored) in zip(rows, READ.items(), strict=True):
        assert client.get(f"/v1/organizations/{slug}").json()["founded"] == stored, date


def test_b_every_date_that_has_two_readings_is_refused_with_what_to_write(
    client: httpx.Client, database: Database
) -> None:
    rows = [[f"Body {n}", "other", date] for n, date in enumerate(REFUSED_DATES)]
    with same(client, database):
        answer = load(client, sheet(["name", "kind", "founded"], *rows), noun="organizations")
        refusal = refused(answer, 422, "invalid")
    assert told(refusal) == [(line, "founded") for line in range(2, len(rows) + 2)]
    for fault, (date, hint) in zip(refusal["errors"], REFUSED_DATES.items(), strict=True):
        assert hint in fault["message"], date
        assert fault["row"] == fault["line"]


# --- names ----------------------------------------------------------------------------------------------------------------

FUND = "UNICEF (f.k.a. United Nations International Children's Emergency Fund)"
NAMES: dict[str, str] = {
    "World Health Organization (WHO)": "who", "Organisation mondiale de la Santé / World Health Organization": "who",
    FUND: "unicef", "Int'l Org. for X": "x", "The World Bank Group": "bank", "منظمة الصحة العالمية": "who", "Ελλάδα": "greece",
    "Ø": "island",
    "Lake Fund\u00a0": "lake", "Lake\nFund": "lake",
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(name, id=f"B-{slug}-{n}") for n, (name, slug) in enumerate(NAMES.items())]
)
def test_a_name_stands_for_its_record_wherever_a_reference_belongs(partners: httpx.Client, name: str) -> None:
    meant = NAMES[name]
    answer = load(
        partners, sheet(["slug", "name", "kind", "part_of"], ["part", "A part", "other", name]), noun="organizations"
    )
    assert counts(answer) == (1, 0, 0, 0), answer.text
    assert partners.get("/v1/organizations/part").json()["part_of"] == meant
    row = ["joint-work", "Work", "joint", f"{name} (host); eco-a (partner)"]
    answer = load(partners, sheet(["slug", "title", "type", "participants"], row), noun="collaborations")
    assert counts(answer) == (1, 0, 0, 0), answer.text
    participants = partners.get("/v1/collaborations/joint-work").json()["participants"]
    assert [(each["organization"], each["role"]) for each in participants] == [(meant, "host"), ("eco-a", "partner")]


def test_b_a_name_as_it_is_written_is_the_name_of_a_new_organization(client: httpx.Client) -> None:
    """An import of organizations takes no name apart: what is in brackets may belong to it."""
    names = [*(name for name in NAMES if "\n" not in name), "ECO"]
    rows = [[f"n{n}", name, "other"] for n, name in enumerate(names)]
    answer = load(client, sheet(["slug", "name", "kind"], *rows), noun="organizations")
    assert counts(answer) == (len(rows), 0, 0, 0), answer.text
    for slug, name, _ in rows:
        assert client.get(f"/v1/organizations/{slug}").json()["name"] == name.strip()


def test_b_a_name_that_an_organization_has_already_is_taken_with_a_warning(partners: httpx.Client) -> None:
    answer = load(partners, sheet(["slug", "name", "kind"], ["new", "ECO", "other"]), noun="organizations")
    assert counts(answer) == (1, 0, 0, 0)
    assert answer.json()["rows"][0]["warnings"] == ["'ECO' is also a name of eco-a, eco-b."]


REFUSED_NAMES = [
    pytest.param("Lake\nFund", "name", "U+000A is not allowed", id="B-line-break-in-a-name"),
    pytest.param("n" * 300, "name", "At most 255 characters, these are 300", id="B-name-of-300-characters"),
    pytest.param("ECO", "part_of", "'ECO' may be eco-a or eco-b: write the slug", id="B-acronym-of-two"),
    pytest.param("n" * 300, "part_of", "Create it first, or in the same file", id="B-reference-of-300-characters"),
    pytest.param(
        "Economic Coperation Organisation", "part_of", "Is it eco-a? Then write this slug", id="B-nearly-a-name"
    ),
    pytest.param("(except contributions tied to lakes)", "part_of", "Create it first", id="B-nothing-but-a-remark"),
]


@pytest.mark.parametrize(("name", "column", "hint"), REFUSED_NAMES)
def test_a_name_that_cannot_be_told_or_kept_is_refused(
    partners: httpx.Client, database: Database, name: str, column: str, hint: str
) -> None:
    row = {"name": "A body", "kind": "other", "part_of": ""} | {column: name}
    with same(partners, database):
        refusal = refused(load(partners, sheet(list(row), list(row.values())), noun="organizations"), 422, "invalid")
    assert told(refusal) == [(2, column)]
    assert hint in refusal["errors"][0]["message"]
    if column == "part_of":
        joint = {"title": "Work", "type": "joint", "participants": f"who (host); {name} (partner)"}
        with same(partners, database):
            answer = load(partners, sheet(list(joint), list(joint.values())), noun="collaborations")
            refusal = refused(answer, 422, "invalid")
        assert told(refusal) == [(2, "participants")]
        assert refusal["errors"][0]["pointer"] == "/participants/1/organization"


def test_b_every_name_is_matched_to_those_that_may_be_meant(partners: httpx.Client) -> None:
    names = [*(name for name in NAMES if "\n" not in name), "ECO"]
    answer = partners.post("/v1/organizations/match", json={"names": names})
    assert answer.status_code == 200, answer.text
    for item in answer.json()["items"]:
        found = [candidate["slug"] for candidate in item["candidates"]]
        if item["name"] == "ECO":
            assert found == ["eco-a", "eco-b"]
            assert {candidate["score"] for candidate in item["candidates"]} == {0.95}
        else:
            meant = next(slug for name, slug in NAMES.items() if name.strip() == item["name"].strip())
            assert found[0] == meant, item
            assert item["candidates"][0]["score"] >= 0.9


@pytest.mark.parametrize(
    "name",
    [pytest.param("Lake\nFund", id="B-line-break-to-match"), pytest.param("n" * 300, id="B-300-characters-to-match")],
)
def test_a_text_that_no_name_can_be_is_not_matched(partners: httpx.Client, name: str) -> None:
    refusal = refused(partners.post("/v1/organizations/match", json={"names": ["WHO", name]}), 422, "invalid")
    assert [fault["pointer"] for fault in refusal["errors"]] == ["/names/1"]
    status, slug = (
        (400, "malformed-request") if "\n" in name else (422, "invalid")
    )  # no parameter has a control character
    refused(partners.get("/v1/organizations/match", params={"name": name}), status, slug)


# --- sheets that are taken ------------------------------------------------------------------------------------------------

Taken = tuple[str, str, dict[str, str], dict[str, Json]]
TAKEN: dict[str, Taken] = {
    # Dotted headers, established as a year or empty, two scripts in one name, a grave accent for an apostrophe.
    "ror-curation": ("organizations", sheet(
        ["names.types.ror_display", "names.types.alias", "types", "established", "links.type.website", "status",
         "locations.geonames_id"],
        ["Institute of Grain`s Study Інститут зерна", "Grain Institute*English;", "other", "1932",
         "https://grain.example/%D0%B7", "active", "703448"],
        ["Institute of Hay", "", "other", "", "", "active", "703448"]),
        {"columns": "names.types.ror_display:name,names.types.alias:,types:kind,established:founded,"
                    "links.type.website:url,status:,locations.geonames_id:"},
        {"institute-of-grain-s-study": {"name": "Institute of Grain`s Study Інститут зерна", "founded": "1932",
                                        "url": "https://grain.example/%D0%B7"},
         "institute-of-hay": {"founded": None, "url": None}}),
    # Names as they stand, an ending for the country.
    "iati-organisation-list": ("organizations", sheet(
        ["organisation-identifier", "reporting-org-ref", "reporting-org-type", "name", "kind"],
        ["XM-LAKE-1", "XM-LAKE-1", "21", "Lake Aid - UK", "other"], ["XM-LAKE-2", "XM-LAKE-9", "21", "Hill Aid - UK", "other"]),
        {"columns": "organisation-identifier:,reporting-org-ref:,reporting-org-type:"},
        {"lake-aid-uk": {"name": "Lake Aid - UK"}, "hill-aid-uk": {"name": "Hill Aid - UK"}}),
    # Ids in other spellings, blanks inside and tabs behind them, a column without a name and with nothing in it.
    "iati-registry-ids": ("organizations", "slug,name,kind,identifiers,\na,A,other,iati: xm_lake-1\t\t,\n"
        "b,B,other,iati: XM-LAKE 2 ,\n", {},
        {"a": {"identifiers": [{"scheme": "iati", "value": "xm_lake-1", "url": None}]},
         "b": {"identifiers": [{"scheme": "iati", "value": "XM-LAKE 2", "url": None}]}}),
    # Brackets at both ends, slash, comma and dash in names, two spellings of one word, old names kept.
    "dac-channels": ("organizations", sheet(
        ["code", "name", "description", "kind"], ["41001", "(Lake Plan) Special Fund", "", "other"],
        ["41002", "Joint Programme on HIV/AIDS of the Lake", "", "other"],
        ["41003", "Bank for Hills, Lakes and Roads - Western Trust Fund", "", "other"],
        ["41004", "Lake Bank (except contributions tied to roads)", "", "other"],
        ["41005", "Organisation for Hay", "", "other"], ["41006", "Organization for Straw", "", "other"]),
        {"columns": "code:"},
        {"lake-plan-special-fund": {"name": "(Lake Plan) Special Fund"},
         "joint-programme-on-hiv-aids-of-the-lake": {"name": "Joint Programme on HIV/AIDS of the Lake"},
         "bank-for-hills-lakes-and-roads-western-trust-fund": {"description": None},
         "lake-bank-except-contributions-tied-to-roads": {"name": "Lake Bank (except contributions tied to roads)"},
         "organisation-for-hay": {}, "organization-for-straw": {}}),
    "unesco-fact-sheets": ("organizations", sheet(
        ["Name", "Established in", "Headquarters", "Official relations since", "Français", "kind"],
        ["International Hay Union (IHU)", "1951", "Geneva", "1954", "Union internationale du foin (translation)", "other"]),
        {"columns": "Established in:founded,Headquarters:,Official relations since:,Français:other_names"},
        {"international-hay-union-ihu": {"founded": "1951", "other_names": [
            {"value": "Union internationale du foin", "lang": None, "kind": "translation"}]}}),
    "treaty-statements": ("instruments", sheet(
        ["Registration", "Title", "Titre", "Place and date", "Kind"],
        ["55152", "Agreement on the Lake", "Accord relatif au lac", "3 May 2018", "treaty"],
        ["55153", "Agreement on the Hill", "Accord relatif à la colline", "with effect from 4 May 2018", "treaty"]),
        {"columns": "Registration:,Titre:,Place and date:adopted"},
        {"agreement-on-the-lake": {"adopted": "2018-05-03"}, "agreement-on-the-hill": {"adopted": "2018-05-04/"}}),
    "committee-paper": ("milestones", sheet(
        ["Title", "Kind", "Status", "Date", "Organization"],
        ["Session of the committee", "session", "met", "October 2 to 11, 2017", "World Health Organization (WHO)"]), {},
        {"session-of-the-committee": {"date": "2017-10-02/2017-10-11", "organization": "who"}}),
    "governing-body-papers": ("collaborations", sheet(
        ["Title", "Type", "Period", "Budget", "Participants"],
        ["Work on hay", "Joint work", "since 2008", "1,234,567", "OMS (funder); Lake Fund (partner)"],
        ["Work on straw", "joint", "2014-2015", "40 %", ""]), {"columns": "Budget:"},
        {"work-on-hay": {"period": "2008/..", "type": "joint"}, "work-on-straw": {"period": "2014/2015"}}),
    "status-list": ("organizations", sheet(
        ["Organization", "Status", "Year", "Kind"],
        ["Union of Lakes, Hills, and Roads, International (formerly Union of Lakes)", "Roster", "1998", "other"]),
        {"columns": "Organization:name,Status:,Year:"},
        {"union-of-lakes-hills-and-roads-international-formerly-union-of-lakes": {"founded": None}}),
    # Semicolons, dd/mm/yyyy, an academic year, e-mails that are passed by, several partners in one cell.
    "partnership-sheet": ("collaborations", sheet(
        ["Convention", "Accord", "Période", "Contact", "Partenaires"],
        ["Accord cadre", "joint", "31/12/2016", "someone@university.example", "OMS (partner); Lake Fund (partner);"],
        ["Convention d’échange", "joint", "2016-17 academic year", "", "who (host)"],
        ["Coopération", "joint", "TBC", "", ""], ["Échange", "joint", "04/05/2017", "", ""], delimiter=";"),
        {"columns": "Convention:title,Accord:type,Période:period,Contact:,Partenaires:participants", "dates": "day"},
        {"accord-cadre": {"period": "2016-12-31"}, "convention-dechange": {"period": "2016/2017"},
         "cooperation": {"period": None, "participants": []}, "echange": {"period": "2017-05-04"}}),
    # A date, and its parts beside it: one of them is taken, the others are said to be passed by.
    "monitors": ("milestones", sheet(
        ["title", "kind", "status", "organization", "date", "day", "month", "year"],
        ["Report", "session", "met", "who", "2017-10", "", "10", "2017"]), {"columns": "day:,month:,year:"},
        {"report": {"date": "2017-10"}}),
    "enterprise-register": ("organizations", sheet(
        ["EnterpriseNumber", "Status", "StartDate", "TypeOfDenomination", "Language", "Denomination", "kind"],
        ["0200.065.765", "AC", "09-08-1960", "001", "2", "Veneco", "other"],
        ["0200.068.636", "AC", "16-02-1923", "001", "1", "Intercommunale", "other"]),
        {"columns": "EnterpriseNumber:,Status:,StartDate:founded,TypeOfDenomination:,Language:,Denomination:name",
         "dates": "day"},
        {"veneco": {"founded": "1960-08-09"}, "intercommunale": {"founded": "1923-02-16"}}),
}  # fmt: skip


@pytest.mark.parametrize("taken", [pytest.param(taken, id=f"B-{name}") for name, taken in TAKEN.items()])
def test_a_sheet_of_this_shape_is_taken_and_says_what_it_said(partners: httpx.Client, taken: Taken) -> None:
    noun, body, query, expected = taken
    answer = load(partners, body, noun=noun, rows="true", **query)
    assert counts(answer) == (len(expected), 0, 0, 0), answer.text
    assert [row["slug"] for row in answer.json()["rows"]] == list(expected)
    for slug, fields in expected.items():
        stored = partners.get(f"/v1/{noun}/{slug}").json()
        assert {name: stored[name] for name in fields} == fields


# --- sheets that are refused ----------------------------------------------------------------------------------------------

Refusal = tuple[str, str, dict[str, str], list[tuple[int, str | None, str]]]
REFUSED: dict[str, Refusal] = {
    "ror-headers-without-a-word-what-they-are": ("organizations", sheet(["names.types.label", "status"], ["A", "active"]), {}, [
        (1, "names.types.label", "There is no column 'names.types.label'"), (1, "status", "that it is to be passed by")]),
    "ror-lists-of-another-form": ("organizations", sheet(
        ["name", "types", "names.types.alias", "external_ids.type.isni.all", "locations.geonames_id"],
        ["Institute of Grain", "Facility; Government", "Grain; Зерно;", "0000 0001 2345 6789;", "703448"]),
        {"columns": "types:kind,names.types.alias:other_names,external_ids.type.isni.all:identifiers,"
                    "locations.geonames_id:country"},
        [(2, "other_names", "a word in parentheses is missing"), (2, "identifiers", "a colon is missing"), (2, "kind", "Input"),
         (2, "country", "pattern")]),
    "iati-types-are-numbers": ("organizations", sheet(
        ["ref", "type", "name"], ["XM-LAKE-1", "21", "Lake Aid - UK"]), {"columns": "ref:identifiers,type:kind"},
        [(2, "identifiers", "a colon is missing"), (2, "kind", "Input")]),
    "iati-a-column-without-a-name": ("organizations", "name,kind,\nA,other,xm-lake-1\n", {},
        [(1, None, "Column 3 has no name")]),
    "dac-renamed-bodies": ("organizations", sheet(
        ["name", "kind", "part_of"], ["A", "other", "World Helth Organisation"], ["B", "other", "(Hill Plan) Special Aid"]),
        {},
        [(2, "part_of", "Is it who?"), (3, "part_of", "Create it first")]),
    "dac-commas-without-quotes": ("organizations", "name,kind\nBank for Hills, Lakes and Roads,other\nB,other\n", {},
        [(2, None, "The row has 3 cells, the header has 2")]),
    # Labels and values shift when they are copied from a PDF.
    "unesco-values-that-shifted": ("organizations", sheet(
        ["name", "kind", "Established in", "Headquarters"], ["International Hay Union", "other", "Geneva", "1951"]),
        {"columns": "Established in:founded,Headquarters:country"},
        [(2, "founded", "not an EDTF date"), (2, "country", "pattern")]),
    "treaty-ranges-and-misreadings": ("instruments", sheet(
        ["title", "kind", "adopted"], ["A", "treaty", "55152 to 55196"], ["B", "treaty", "32J46"],
        ["C", "treaty", "1 January 2018 (provisionally)"]), {},
        [(2, "adopted", "spreadsheet's number"), (3, "adopted", "not an EDTF date"),
         (4, "adopted", "put 'provisionally' elsewhere")]),
    # Three partners in one paragraph, an acronym of several bodies, and "have prepared", which is no status.
    "committee-partners-in-prose": ("collaborations", sheet(
        ["title", "type", "status", "participants"],
        ["A", "joint", "have prepared", "WHO, UNICEF and the Lake Fund"], ["B", "joint", "active", "ECO (partner)"]), {},
        [(2, "participants", "a word in parentheses is missing"), (2, "status", "Input"),
         (3, "participants", "eco-a or eco-b")]),
    "governing-body-biennium-and-footnote": ("collaborations", sheet(
        ["title", "type", "period"], ["A", "joint", "2014-15"], ["B", "joint", "20141"], ["C", "joint", "2014¹"]), {},
        [(2, "period", "biennium"), (3, "period", "spreadsheet's number"), (4, "period", "footnote mark")]),
    "governing-body-money-without-quotes": ("collaborations", "title,type,Budget\nA,joint,1,234,567\n", {"columns": "Budget:"},
        [(2, None, "The row has 5 cells, the header has 3")]),
    "status-list-states-are-no-kinds": ("organizations", sheet(
        ["name", "Status", "Year"], ["Union of Lakes", "Roster", "1998"]), {"columns": "Status:kind,Year:founded"},
        [(2, "kind", "Input")]),
    "partnership-words-and-old-codes": ("organizations", sheet(
        ["Partner", "Pays", "Depuis", "kind"], ["Universität am See", "D", "tacit renewal", "other"],
        ["Universität am Berg", "AT", "ongoing", "other"], ["Université du lac", "CH", "03/04/2016", "other"], delimiter=";"),
        {"columns": "Partner:name,Pays:country,Depuis:founded"},
        [(2, "founded", "write YYYY"), (2, "country", "pattern"), (3, "founded", "open end"),
         (4, "founded", "2016-04-03 or 2016-03-04")]),
    "monitors-two-columns-for-one-date": ("organizations", sheet(
        ["name", "kind", "date", "year"], ["A", "other", "2017-10", "2016"]), {"columns": "date:founded,year:founded"},
        [(1, "year", "Two columns are founded")]),
    "enterprise-codes-and-dates": ("organizations", sheet(
        ["Denomination", "JuridicalForm", "StartDate"], ["Veneco", "014", "09-08-1960"]),
        {"columns": "Denomination:name,JuridicalForm:kind,StartDate:founded"},
        [(2, "founded", "1960-09-08 or 1960-08-09"), (2, "kind", "Input")]),
    "enterprise-languages-are-numbers": ("sources", sheet(["title", "kind", "language"], ["Register", "web_page", "2"]), {},
        [(2, "language", "pattern")]),
}  # fmt: skip


@pytest.mark.parametrize("case", [pytest.param(case, id=f"B-{name}") for name, case in REFUSED.items()])
def test_a_sheet_that_cannot_be_taken_says_in_which_row_and_column_and_why(
    partners: httpx.Client, database: Database, case: Refusal
) -> None:
    noun, body, query, expected = case
    with same(partners, database):
        refusal = refused(load(partners, body, noun=noun, **query), 422, "invalid")
    assert sorted(told(refusal), key=str) == sorted([(line, column) for line, column, _ in expected], key=str)
    for line, column, said in expected:
        (fault,) = [each for each in refusal["errors"] if (each["line"], each.get("column")) == (line, column)]
        assert said in fault["message"], fault


# --- files of other formats -------------------------------------------------------------------------------------------------

IATI = """<?xml version="1.0" encoding="UTF-8"?>
<iati-organisations version="2.03"><iati-organisation><organisation-identifier>XM-LAKE-1</organisation-identifier>
<name><narrative>Lake Aid</narrative><narrative xml:lang="fr">Aide du lac</narrative></name></iati-organisation>
</iati-organisations>
"""
ROR: Any = [{"id": "https://ror.example/01lake000", "names": [{"value": "Lake Aid", "types": ["label"], "lang": None}],
             "established": None, "status": "active", "types": ["nonprofit"]}]  # fmt: skip


def test_b_a_dump_or_an_xml_file_is_no_table_and_says_what_it_is(client: httpx.Client, database: Database) -> None:
    dump = str(ROR).replace("'", '"').replace("None", "null")
    with same(client, database):
        for body, words in ((IATI, "This is XML, not a table"), (dump, "This is JSON, not a table")):
            refusal = refused(load(client, body, CSV, noun="organizations"), 422, "invalid")
            assert words in refusal["errors"][0]["message"]
        for body, kind in ((IATI, "application/xml"), (dump, "application/json"), (dump, "application/zip")):
            answer = load(client, body, kind, noun="organizations")
            refused(answer, 415, "unsupported-media-type")
            assert answer.headers["accept-post"] == f"{NDJSON}, {CSV}"
        refusal = refused(load(client, b"PK\x03\x04dump.zip", CSV, noun="organizations"), 422, "invalid")
        assert "save the sheet as CSV" in refusal["errors"][0]["message"]


def test_b_a_record_of_another_schema_is_refused_field_by_field(client: httpx.Client, database: Database) -> None:
    """Schemas change within a series: what is not ours is never taken for ours, nor dropped."""
    with same(client, database):
        refusal = refused(load(client, lines(*ROR), NDJSON, noun="organizations"), 422, "invalid")
    assert {fault["line"] for fault in refusal["errors"]} == {1}
    assert "/id" in {fault["pointer"] for fault in refusal["errors"]}
    with same(client, database):
        without = [{name: value for name, value in record.items() if name != "id"} for record in ROR]
        refusal = refused(load(client, lines(*without), NDJSON, noun="organizations"), 422, "invalid")
    assert {"/name", "/kind", "/names", "/established", "/status", "/types"} == {
        f["pointer"] for f in refusal["errors"]
    }
