"""Workbooks: sets of records as XLSX (ISO/IEC 29500), a sheet a noun, every cell a text.

A spreadsheet guesses: `=…` becomes a formula, `2014-12` the first of December, `007` seven. So nothing is left to guess: each
cell is an inline string, which no program runs or rounds. The same input makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import IO, Any

from app.kit.errors import NotAcceptable
from app.kit.text import for_xml

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST_CHARACTERS = 32_767
"""A cell holds so many, counted in UTF-16."""
MOST_ROWS = 1_048_576
"""A sheet holds so many, its header included."""
WIDTHS = (8, 60)
"""The narrowest and the widest column, in characters."""
_LOOKED_AT = 200
"""So many rows say how wide a column is: the others are not waited for."""

Sheet = tuple[str, Sequence[str], Iterable[Sequence[str]]]
"""A sheet's name (at most 31 characters), its header, its rows."""


@dataclass(frozen=True, slots=True)
class About:
    """What the first sheet says: what this is, when it was taken (aware) and at which number of the sequence."""

    title: str
    taken: datetime
    sequence: int


def workbook(sheets: Iterable[Sheet], file: IO[bytes], *, about: About) -> None:
    """Write the sheets, behind one that says what they are, into `file`. Rows are taken one by one and wait on disk.
    Raises NotAcceptable, with `file` untouched, for a text or a set of records that a sheet cannot hold."""
    import xlsxwriter  # it takes 20 ms: only who asks for a workbook waits for that

    with TemporaryDirectory(prefix="concord-workbook-") as folder:
        made = xlsxwriter.Workbook(file, {"constant_memory": True, "tmpdir": folder})
        try:
            _fill(made, sheets, about)
            made.close()
        finally:
            for sheet in made.worksheets():
                sheet.row_data_fh.close()  # of a workbook that broke off nobody else closes them


def _fill(made: Any, sheets: Iterable[Sheet], about: About) -> None:
    made.set_properties({"title": for_xml(about.title), "created": about.taken.astimezone(UTC).replace(tzinfo=None)})
    bold = made.add_format({"bold": True})
    top = made.add_format({"valign": "top"})
    first = made.add_worksheet("About")
    sizes = [
        (name, _sheet(made.add_worksheet(name), header, rows, bold=bold, top=top)) for name, header, rows in sheets
    ]
    _about(first, about, sizes, bold=bold, top=top)


def _sheet(sheet: Any, header: Sequence[str], rows: Iterable[Sequence[str]], *, bold: Any, top: Any) -> int:
    """Fill one sheet; how many rows it has below its header."""
    widths = [len(name) + 3 for name in header]  # room for the button of the filter
    count = 0
    _row(sheet, 0, header, bold)
    for row in rows:
        count += 1
        if count == MOST_ROWS:
            raise NotAcceptable(f"{sheet.get_name()}: a sheet holds {MOST_ROWS - 1:,} records. Take CSV or NDJSON.")
        _row(sheet, count, row, top)
        if count <= _LOOKED_AT:
            widths = [max(width, _width(cell)) for width, cell in zip(widths, row, strict=True)]
    _dress(sheet, count, widths)
    return count


def _dress(sheet: Any, last: int, widths: Sequence[int]) -> None:
    """What makes a sheet good to read: columns as wide as they need, a header that stays and filters."""
    from xlsxwriter.utility import xl_range

    narrowest, widest = WIDTHS
    for n, width in enumerate(widths):
        sheet.set_column(n, n, min(max(width, narrowest), widest))
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, last, len(widths) - 1)
    # Numbers are texts here on purpose; a green corner in each cell would say that they are a mistake.
    sheet.ignore_errors({"number_stored_as_text": xl_range(0, 0, last, len(widths) - 1)})


def _row(sheet: Any, number: int, cells: Sequence[str], form: Any) -> None:
    for n, cell in enumerate(cells):
        text = for_xml(cell)
        if len(text) > MOST_CHARACTERS // 2 and len(text.encode("utf-16-le")) // 2 > MOST_CHARACTERS:
            where = f"{sheet.get_name()}, row {number + 1}, column {n + 1}"
            raise NotAcceptable(f"{where}: a cell holds {MOST_CHARACTERS:,} characters. Take CSV or NDJSON.")
        sheet.write_string(number, n, text, form)


def _width(cell: str) -> int:
    return max(map(len, cell.splitlines()), default=0) + 1


def _about(sheet: Any, about: About, sizes: Sequence[tuple[str, int]], *, bold: Any, top: Any) -> None:
    moment = about.taken.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    lines: list[tuple[Sequence[str], Any]] = [
        ((about.title,), bold),
        (("Taken", moment), top),
        (("Sequence", str(about.sequence)), top),
        ((), top),
        (("Sheet", "Records"), bold),
        *(((name, str(size)), top) for name, size in sizes),
        ((), top),
        (("Every cell is text. Dates are EDTF (ISO 8601-2); an empty cell means that it is not stated.",), top),
        (("To bring changes back, save a sheet as CSV in UTF-8.",), top),
        (("CSV and NDJSON are read by `concord import` and by POST /v1/import.",), top),
    ]
    for number, (cells, form) in enumerate(lines):
        _row(sheet, number, cells, form)
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 24)
