"""Rows of cells: what a spreadsheet may hold of a record, and that reading it again gives the same record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from app.api.v1 import RESOURCES, citations, collaboration_types, collaborations, milestones, organizations, reviews
from app.exchange import cells
from app.exchange.passages import fingerprint
from app.kit import edtf, records
from app.kit.errors import Invalid
from app.kit.resource import Reference, Resource
from app.kit.shapes import Shape, shape_of

Json = dict[str, Any]
TABLES = (Path(__file__).parent.parent.parent / "docs/columns.md").read_text()
every_noun = pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.plural)


# --- documents that could be, and are meant badly -------------------------------------------------------------------

PIECES = (
    *"abcé漢🜁;:()[]{}\"'\\,=+-@/ \n\t1", "; ", ": ", " (acronym)", "true", "null", "[]", '""', "=HYPERLINK(1)", "en: a; fr: b"
)  # fmt: skip
TEXTS = st.one_of(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join), st.text(max_size=20))
SPECIAL = ("en", "CH", "https://a.example/x;y(z)", "urn:a:b;c", "0" * 64, "/name", "/other_names/0", "")
SLUGS = st.sampled_from(("ilo", "un-global-compact", "a", "1"))
DATES = st.sampled_from(("2014", "1999/..", "201X", "2014-12-04/2016?"))
MOMENTS = st.sampled_from(("2026-02-01T08:30:00Z", "2026-02-01T08:30:00.125Z"))


def _valid(adapter: TypeAdapter[Any], value: Any) -> bool:
    try:
        adapter.validate_python(value)
    except ValidationError:
        return False
    return True


def _values(info: FieldInfo) -> st.SearchStrategy[Any]:
    """Values of a field, as JSON has them."""
    shape = shape_of(info)
    annotated: Any = Annotated[(info.annotation, *info.metadata, info)]
    adapter: TypeAdapter[Any] = TypeAdapter(annotated)
    single = _single(shape, adapter)
    if shape.many:
        items = st.lists(single, max_size=4, unique_by=lambda item: json.dumps(item, sort_keys=True))
        return items.filter(lambda value: _valid(adapter, value))
    if shape.keyed:
        keyed = st.dictionaries(st.sampled_from(("en", "fr", "zh-Hant")), single, max_size=3)
        return keyed.filter(lambda value: _valid(adapter, value))
    return st.none() | single if shape.nullable else single


def _single(shape: Shape, adapter: TypeAdapter[Any]) -> st.SearchStrategy[Any]:
    if shape.part is not None:
        return _objects(shape.part)
    if shape.vocabulary is not None:
        return st.sampled_from([member.value for member in shape.vocabulary])
    if any(isinstance(mark, Reference) for mark in shape.marks):
        return SLUGS
    if shape.edtf:
        return DATES
    known = {datetime: MOMENTS, int: st.integers(1, 17)}
    return known[shape.kind] if shape.kind in known else _texts(shape, adapter)


def _texts(shape: Shape, adapter: TypeAdapter[Any]) -> st.SearchStrategy[str]:
    def fits(text: str) -> bool:
        return _valid(adapter, [text] if shape.many else {"en": text} if shape.keyed else text)

    fitting = [text for text in SPECIAL if fits(text)]
    texts = st.sampled_from(fitting) if fitting else st.nothing()
    return texts | TEXTS.filter(fits) if fits("any; (text) [at] {all}") else texts


def _objects(cls: type[BaseModel]) -> st.SearchStrategy[Json]:
    fields = {name: _values(info) for name, info in cls.model_fields.items() if name != "slug"}
    return st.fixed_dictionaries(fields).map(_fingerprinted)


def _fingerprinted(item: Json) -> Json:
    return item | {"fingerprint": fingerprint(item["text"])} if item.get("text") is not None else item


def _own(resource: Resource[Any], values: Mapping[str, Any]) -> Json:
    own: Json = records.validated(resource, values).model_dump(mode="json", exclude={"slug"})
    return own


@every_noun
@settings(
    max_examples=50,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(data=st.data())
def test_a_row_that_is_read_again_is_the_same_record(resource: Resource[Any], data: st.DataObject) -> None:
    drawn = data.draw(_objects(resource.write))
    if resource is milestones.RESOURCE:
        drawn["collaboration"] = "ilo"
    own = _own(resource, drawn)
    row = cells.row(resource, own)
    assert all(isinstance(cell, str) for cell in row)
    assert _own(resource, cells.values(resource, cells.columns(resource), row)) == own


@every_noun
def test_the_seeded_records_come_back_from_their_rows(registry: httpx.Client, resource: Resource[Any]) -> None:
    columns = cells.columns(resource)
    for record in registry.get(f"/v1/{resource.plural}", params={"limit": "200"}).json()["items"]:
        row = cells.row(resource, record)
        read = cells.values(resource, columns, row)
        assert read.pop("slug") == record["slug"]
        assert _own(resource, read) == records.own(resource, record)
        assert cells.key(columns, row) == record["id"]
        shown = dict(zip(columns, row, strict=True))
        assert shown["version"] == str(record["version"])
        assert shown.get("sources", "") == "; ".join(record.get("evidence", {"sources": []})["sources"])


# --- the columns ----------------------------------------------------------------------------------------------------


@every_noun
def test_the_columns_of_every_noun_are_documented(resource: Resource[Any]) -> None:
    table = TABLES.split(f"\n## {resource.plural}\n")[1].split("\n## ")[0].strip()
    rows = [f"| {name} | {meaning} | {form} |" for name, meaning, form in cells.described(resource)]
    assert table == "\n".join(["| column | meaning | form |", "|---|---|---|", *rows])
    assert tuple(name for name, _, _ in cells.described(resource)) == cells.columns(resource)


@every_noun
def test_common_columns_come_first_and_computed_ones_last(resource: Resource[Any]) -> None:
    columns = cells.columns(resource)
    assert columns[:5] == ("id", "slug", "version", "created_at", "updated_at")
    assert len(set(columns)) == len(columns)
    own = [name for name in resource.write.model_fields if name != "slug"]
    tops = list(dict.fromkeys(column.partition(".")[0] for column in columns[5:]))
    assert tops[: len(own)] == own


# --- forms ----------------------------------------------------------------------------------------------------------


def _cell(resource: Resource[Any], column: str, **fields: Any) -> str:
    return dict(zip(cells.columns(resource), cells.row(resource, fields), strict=True))[column]


def _read(resource: Resource[Any], **row: str) -> Json:
    return cells.values(resource, list(row), list(row.values()))


def _participant(organization: str, role: str, **more: Any) -> Json:
    return {"organization": organization, "role": role, "period": None, "on_behalf_of": None, "note": None, **more}


TYPES, WORK, BODIES = collaboration_types.RESOURCE, collaborations.RESOURCE, organizations.RESOURCE


@pytest.mark.parametrize(
    ("resource", "column", "value", "cell"),
    [
        (WORK, "participants", [_participant("ilo", "co_organizer"), _participant("un", "host")],
         "ilo (co_organizer); un (host)"),
        (WORK, "participants", [_participant("ilo", "speaker", note="In panels.")],
         '[{"organization":"ilo","role":"speaker","note":"In panels."}]'),
        (WORK, "sdgs", [4, 8], "4; 8"),
        (WORK, "instruments", ["sdgs", "ipfsd"], "sdgs; ipfsd"),
        (WORK, "period", "1999/..", "1999/.."),
        (WORK, "review_every_months", 24, "24"),
        (WORK, "summary", None, ""),
        (WORK, "summary", "", '""'),
        (WORK, "summary", '"', '"""'),
        (WORK, "title", "=1+1", "=1+1"),
        (BODIES, "other_names", [{"value": "OCDE (old)", "lang": None, "kind": "acronym"}], "OCDE (old) (acronym)"),
        (BODIES, "other_names", [{"value": "a;b", "lang": None, "kind": "acronym"}], '[{"value":"a;b","kind":"acronym"}]'),
        (BODIES, "identifiers", [{"scheme": "ror", "value": "https://ror.example/1", "url": None}],
         "ror: https://ror.example/1"),
        (BODIES, "identifiers", [{"scheme": "a:b", "value": "1", "url": None}], '[{"scheme":"a:b","value":"1"}]'),
        (BODIES, "other_names", [], ""),
        (TYPES, "labels", {"en": "Training", "fr": "Formation"}, "en: Training; fr: Formation"),
        (TYPES, "labels", {"fr": "a; b"}, '{"fr":"a; b"}'),
        (TYPES, "exact_matches", ["urn:a;b"], '["urn:a;b"]'),
        (citations.RESOURCE, "target.record", None, ""),
        (citations.RESOURCE, "field", "", ""),
    ],
)  # fmt: skip
def test_a_cell_is_short_where_that_says_all(resource: Resource[Any], column: str, value: Any, cell: str) -> None:
    assert _cell(resource, column, **{column: value}) == cell


@pytest.mark.parametrize(
    ("resource", "column", "cell", "value"),
    [
        (WORK, "sdgs", " 4;8 ; ", [4, 8]),
        (WORK, "sdgs", "[4, 8]", [4, 8]),
        (WORK, "participants", "ilo(host) ;; un ( partner );",
         [{"organization": "ilo", "role": "host"}, {"organization": "un", "role": "partner"}]),
        (WORK, "review_every_months", "", None),
        (WORK, "participants", " ", []),
        (WORK, "status", "", "unknown"),
        (WORK, "title", "  Padded ", "Padded"),
        (TYPES, "labels", "", {}),
        (TYPES, "labels", "fr:Formation;", {"fr": "Formation"}),
        (BODIES, "identifiers", "ror: https://ror.example/1", [{"scheme": "ror", "value": "https://ror.example/1"}]),
    ],
)  # fmt: skip
def test_cells_are_read_as_people_write_them(resource: Resource[Any], column: str, cell: str, value: Any) -> None:
    assert _read(resource, **{column: cell}) == {column: value}


@pytest.mark.parametrize(
    ("column", "cell", "says"),
    [
        ("participants", '[{"organization": "ilo"', "The cell is not JSON"),
        ("participants", '[{"role": "host", "role": "host"}]', "stands twice"),
        ("participants", "[NaN]", "NaN is not JSON"),
        ("participants", "[" * 70 + "]" * 70, "nested more than 64 levels"),
        ("participants", "ilo", "a word in parentheses is missing"),
        ("participants", "(host", "a word in parentheses is missing"),
        ("sdgs", "4, 8", "digits alone"),
        ("sdgs", "1" * 19, "digits alone"),
        ("sdgs", "4.0", "digits alone"),
        ("review_every_months", "1_0", "digits alone"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(column: str, cell: str, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        _read(WORK, title="T", **{column: cell})
    [fault] = refused.value.faults
    assert fault.pointer == f"/{column}"
    assert fault.message.startswith(f"{column}: ")
    assert says in fault.message


def test_a_label_needs_its_language_and_has_it_once() -> None:
    for cell in ("Formation", "fr: a; fr: b", '{"fr": "a", "fr": "b"}', "{"):
        with pytest.raises(Invalid):
            _read(TYPES, labels=cell)


def test_a_half_of_a_pair_that_is_missing_is_told_by_the_rules_of_the_noun() -> None:
    with pytest.raises(Invalid) as refused:
        records.validated(BODIES, _read(BODIES, name="A", kind="other", identifiers="ror:"))
    assert [fault.pointer for fault in refused.value.faults] == ["/identifiers/0/value"]


def test_unknown_and_repeated_columns_are_told_with_those_that_are_known() -> None:
    with pytest.raises(Invalid) as refused:
        cells.values(WORK, ["title", "titel", "title", ""], ["a", "b", "c", "d"])
    faults = refused.value.faults
    assert [fault.code for fault in faults] == ["unknown_column", "repeated_column", "unknown_column"]
    assert "participants" in faults[0].message


def test_a_row_has_a_cell_for_each_column_and_a_spreadsheets_empty_ones_do_no_harm() -> None:
    for row in (["a"], ["a", "b", "c"]):
        with pytest.raises(Invalid):
            cells.values(WORK, ["title", "summary"], row)
    assert cells.values(WORK, ["title", "", ""], ["a", "", " ", ""]) == {"title": "a"}


def test_what_the_registry_keeps_is_read_past() -> None:
    row = {"id": "x", "version": "seven", "updated_at": "?", "review_status": "due", "sources": "a", "title": "T"}
    assert _read(WORK, **row) == {"title": "T"}
    assert cells.key(list(row), list(row.values())) == "x"
    assert cells.key(["slug", "id"], [" s ", ""]) == "s"
    assert cells.key(["title"], ["T"]) is None


def test_dates_go_through_the_reader_that_is_given() -> None:
    def dated(text: str) -> str | None:
        return None if text == "n/a" else edtf.parse(text.replace("since ", "") + "/..").text

    columns = ["title", "period"]
    assert cells.values(WORK, columns, ["since 1999", "since 1999"], dated=dated)["period"] == "1999/.."
    assert cells.values(WORK, columns, ["n/a", "n/a"], dated=dated) == {"title": "n/a", "period": None}
    with pytest.raises(Invalid) as refused:
        cells.values(WORK, columns, ["a", "spring"], dated=dated)
    assert [fault.pointer for fault in refused.value.faults] == ["/period"]


def test_a_fault_in_a_record_leads_to_its_column() -> None:
    assert cells.column_at(WORK, "/participants/0/role") == "participants"
    assert cells.column_at(citations.RESOURCE, "/target/record") == "target.record"
    assert cells.column_at(WORK, "/part") is None
    assert cells.column_at(WORK, "") is None


class Odd(BaseModel):
    """Fields of kinds that no noun has yet."""

    flag: bool
    share: float
    grid: list[list[int]]
    counts: dict[str, int]
    flags: list[bool]
    maybe: bool | None = None


@pytest.mark.parametrize(
    ("field", "value", "cell"),
    [
        ("flag", True, "true"),
        ("maybe", False, "false"),
        ("share", 0.5, "0.5"),
        ("grid", [[1], []], "[[1],[]]"),
        ("counts", {"a": 1}, '{"a":1}'),
        ("flags", [True, False], "true; false"),
        ("flags", [], "[]"),
    ],
)
def test_a_field_of_any_kind_has_a_form(field: str, value: Any, cell: str) -> None:
    form = cells.form_of(shape_of(Odd.model_fields[field]))
    assert form.write(value) == cell
    assert form.read(cell) == value


def test_a_spreadsheets_capitals_are_true_or_false_and_nothing_else_is() -> None:
    form = cells.form_of(shape_of(Odd.model_fields["flag"]))
    assert (form.read("TRUE"), form.read("False")) == (True, False)
    with pytest.raises(ValueError, match="true or false"):
        form.read("yes")


# --- references -----------------------------------------------------------------------------------------------------


def test_references_are_found_before_a_document_is_valid_and_can_be_replaced() -> None:
    document = cells.values(
        WORK,
        ["type", "participants", "instruments"],
        ["Joint event", "International Labour Organization (host)", "SDGs; MNE Declaration"],
    )
    found = [(named.pointer, named.table.name, named.text) for named in cells.walk_references(WORK, document)]
    assert found == [
        ("/type", "collaboration_type", "Joint event"),
        ("/instruments/0", "instrument", "SDGs"),
        ("/instruments/1", "instrument", "MNE Declaration"),
        ("/participants/0/organization", "organization", "International Labour Organization"),
    ]
    for named in cells.walk_references(WORK, document):
        named.put(f"slug-{named.table.name}")
    assert document["type"] == "slug-collaboration_type"
    assert document["instruments"] == ["slug-instrument", "slug-instrument"]
    assert document["participants"][0]["organization"] == "slug-organization"


def test_the_noun_of_a_cited_record_chooses_where_its_name_is_looked_up() -> None:
    noun = citations.RESOURCE
    document = {"source": "The page", "target": {"noun": "instruments", "record": "SDGs"}}
    tables = {named.pointer: named.table.name for named in cells.walk_references(noun, document)}
    assert tables == {"/source": "source", "/target/record": "instrument"}
    for target in ({"noun": "nothing", "record": "SDGs"}, {"record": "SDGs"}, "SDGs", None, [1]):
        assert [named.pointer for named in cells.walk_references(noun, {"source": 7, "target": target})] == []


def test_what_is_no_reference_is_passed_by() -> None:
    for items in (None, "x", [None, 3, "x", {"collaboration": 4}]):
        assert list(cells.walk_references(reviews.RESOURCE, {"items": items})) == []
