"""Workbooks: whatever a text looks like, a spreadsheet gets it as a text."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import pytest

from app.api.v1 import RESOURCES
from app.exchange import cells, workbooks
from app.kit.errors import NotAcceptable

ABOUT = workbooks.About("Concord, the whole registry", datetime(2026, 3, 1, 9, 0, tzinfo=UTC), 1042)
HOSTILE = (
    '=HYPERLINK("https://evil.example","Click")', "=1+1", "+1", "-x", "@SUM(A1)", "\t=1", "{=1}", "007", "1e9", "2014-12",
    "1999/..", "true", "https://a.example", "mailto:a@b.example", "<b>&amp;</b>", "]]>", "é漢🜁", " padded ", "a\nb", "_x0041_",
    "'=1",
)  # fmt: skip


def _made(*sheets: workbooks.Sheet) -> bytes:
    file = io.BytesIO()
    workbooks.workbook(sheets, file, about=ABOUT)
    return file.getvalue()


def _read(data: bytes) -> Any:
    return openpyxl.load_workbook(io.BytesIO(data))


def test_hostile_texts_arrive_as_the_texts_that_they_are() -> None:
    sheet = _read(_made(("names", ["name"], ([text] for text in HOSTILE))))["names"]
    found = [row[0] for row in sheet.iter_rows(min_row=2)]
    # The library that reads here leaves the escape of what looks like an escape (ECMA-376, ST_Xstring) as it stands.
    assert [cell.value.replace("_x005F_x", "_x") for cell in found] == list(HOSTILE)
    assert {cell.data_type for cell in found} == {"s"}
    assert {cell.hyperlink for cell in found} == {None}


def test_no_sheet_holds_a_formula_a_number_a_link_or_a_date() -> None:
    data = _made(("names", list(HOSTILE), [HOSTILE]))
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        for name in package.namelist():
            if name.startswith("xl/worksheets/"):
                text = package.read(name).decode()
                assert "<f>" not in text
                assert "hyperlink" not in text
                assert text.count("<c r=") == text.count('t="inlineStr"') > 0


def test_the_header_stays_in_sight_is_bold_and_filters() -> None:
    sheet = _read(_made(("organizations", ["slug", "name"], [["ilo", "International Labour Organization"]])))[
        "organizations"
    ]
    assert [cell.value for cell in sheet[1]] == ["slug", "name"]
    assert all(cell.font.bold for cell in sheet[1])
    assert not any(cell.font.bold for cell in sheet[2])
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:B2"
    assert sheet.column_dimensions["A"].width < sheet.column_dimensions["B"].width < 61


def test_the_first_sheet_says_what_this_is_and_how_much_of_it() -> None:
    made = _read(_made(("organizations", ["slug"], [["ilo"], ["un"]]), ("reviews", ["slug"], [])))
    assert made.sheetnames == ["About", "organizations", "reviews"]
    rows = [[cell for cell in row if cell] for row in made["About"].iter_rows(values_only=True)]
    assert rows[0] == [ABOUT.title]
    for line in (["Taken", "2026-03-01T09:00:00Z"], ["Sequence", "1042"], ["organizations", "2"], ["reviews", "0"]):
        assert line in rows
    assert any("POST /v1/import" in row[0] for row in rows if row)


def test_the_same_records_make_the_same_bytes() -> None:
    def sheets() -> Iterator[workbooks.Sheet]:
        yield "organizations", ["slug"], iter([["ilo"], ["un"]])

    made = _made(*sheets())
    assert _made(*sheets()) == made
    with zipfile.ZipFile(io.BytesIO(made)) as package:
        assert {part.date_time[0] for part in package.infolist()} == {1980}  # as old as a ZIP can say, not of today


@pytest.mark.parametrize("text", ["a" * 32_768, "🜁" * 16_384])
def test_a_text_that_no_cell_holds_is_refused_in_words_and_leaves_nothing(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    file = io.BytesIO()
    with pytest.raises(NotAcceptable, match="sources, row 3, column 2: a cell holds 32,767 characters"):
        workbooks.workbook([("sources", ["a", "b"], [["", ""], ["", text]])], file, about=ABOUT)
    assert file.getvalue() == b""
    assert list(tmp_path.iterdir()) == []


def test_the_longest_text_that_a_cell_holds_is_held() -> None:
    for text in ("a" * 32_767, "🜁" * 16_383):
        assert _read(_made(("sources", ["a"], [[text]])))["sources"]["A2"].value == text


def test_more_records_than_a_sheet_has_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MOST_ROWS", 3)
    assert _made(("sources", ["a"], [["1"], ["2"]]))
    with pytest.raises(NotAcceptable, match="a sheet holds 2 records"):
        _made(("sources", ["a"], [["1"], ["2"], ["3"]]))


def test_characters_that_xml_forbids_are_replaced() -> None:
    sheet = _read(_made(("names", ["name"], [["a\x00b\x1fc\ufffe"]])))["names"]
    assert sheet["A2"].value == "a\ufffdb\ufffdc\ufffd"


def test_the_seeded_registry_fits_and_reads_back(registry: httpx.Client) -> None:
    wanted: dict[str, tuple[Sequence[str], list[list[str]]]] = {}
    for noun in RESOURCES:
        records = registry.get(f"/v1/{noun.plural}", params={"limit": "200"}).json()["items"]
        wanted[noun.plural] = cells.columns(noun), [cells.row(noun, record) for record in records]
    made = _read(_made(*((name, header, rows) for name, (header, rows) in wanted.items())))
    for name, (header, rows) in wanted.items():
        found = [[cell or "" for cell in row] for row in made[name].iter_rows(values_only=True)]
        assert found == [list(header), *rows]
