"""Tables: a delimited text file, as spreadsheets and registries write it, becomes rows, and rows become such a file.

How a file is read (RFC 4180, and what programs make of it):

* UTF-8 or UTF-16 when a byte order mark says so, else the declared charset, else UTF-8. Bytes that are nothing of
  this are read as Windows-1252, and a note says that this is an assumption. A mixture of encodings is refused.
* The delimiter is the one of , ; TAB | that stands most often in the header, or the one that Excel's `sep=;` names.
* Lines end with LF, CRLF or CR. A cell in quotes may hold line breaks, delimiters and doubled quotes.
* A row shorter than the header is filled up, which a note says. A longer one is a fault: no cell is ever shifted.
* Rows and columns with nothing in them are left out; the numbers of lines and rows count them all the same.

A cell that a spreadsheet would run as a formula is written with an apostrophe before it and read without: see `safe`.
What a cell may hold is for the field to say that it goes into; here NUL and control characters are mere characters.
"""

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import NoReturn

MOST_ROWS = 1_000_000
MOST_COLUMNS = 200
"""Short rows are filled up to the header: without this limit, a long header would make a small file a large table."""

MAX_NAME_LENGTH = 200
"""Of a column, in characters. What is longer is no name, and normalising it may take the square of its length."""

DELIMITERS = ",;\t|"
CHUNK = 64 * 1024
"""In characters: about so much is written at once."""


@dataclass(frozen=True, slots=True)
class TableFault:
    """One thing wrong with one place of a file."""

    line: int
    """Of the file, as an editor counts: 1 is the first."""
    column: str | None
    """The name of the column, where one cell is at fault."""
    code: str
    message: str
    """Worded for the person who has the file; it does not repeat the line."""
    row: int | None = None
    """The row as a spreadsheet counts, where one row is at fault."""


class TableError(ValueError):
    """The file cannot be read as a table at all; `faults` say why, each at its line."""

    def __init__(self, *faults: TableFault) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    """The line of the file on which the row begins, as an editor counts: the header stands on line 1."""
    number: int
    """The row as a spreadsheet counts, which takes a cell of several lines for one row: the header is row 1."""
    cells: tuple[str, ...]
    """As many as there are columns, not trimmed."""


@dataclass(frozen=True, slots=True)
class Table:
    columns: tuple[str, ...]
    """The header: trimmed, NFC, each name once."""
    rows: list[Row]
    """Those without a fault."""
    faults: tuple[TableFault, ...]
    """What is wrong with the other rows, in the order of lines."""
    notes: tuple[str, ...]
    """What was assumed or filled in, in sentences for the person who has the file."""
    charset: str
    delimiter: str


# --- cells that a spreadsheet would run as a formula -----------------------------------------------------------------

APOSTROPHE = "'"
_RISKY = frozenset("=+-@＝＋－＠\t\r\n'")


def safe(text: str) -> str:
    """The text as a cell that no spreadsheet runs as a formula: one that begins with = + - @ (full-width forms
    included), a tab or a line break gets an apostrophe before it, and so does one that begins with an apostrophe,
    which makes `plain` its exact reverse (OWASP, CSV Injection)."""
    return APOSTROPHE + text if text[:1] in _RISKY else text


def plain(text: str) -> str:
    """The text that `safe` was given. An apostrophe that a person wrote before a letter ('t Hooft) stays."""
    return text[1:] if text.startswith(APOSTROPHE) and text[1:2] in _RISKY else text


# --- reading ---------------------------------------------------------------------------------------------------------


def read(body: bytes, charset: str | None) -> Table:
    """The rows of a delimited text file. `charset` is the declared one (RFC 9110 8.3.2), if any.

    Raises TableError when there is no table in it, or a header that cannot be one. Faults of single rows are not
    raised but collected in the answer, so that a person sees them all at once.
    """
    decoded = _decode(body, charset)
    _refuse_other_formats(decoded.text)
    layout = _layout(decoded.text)
    records = (record for record in _records(decoded.text, layout) if not record.blank)
    header = next(records, None)
    if header is None:
        _refuse("empty", "The file is empty: it needs a line with the names of the columns, and rows below it")
    names = _names(header)
    body_records = list(islice(records, MOST_ROWS + 1))
    _refuse_sizes(header, names, body_records)
    _refuse_repeated(header, names)
    _refuse_nameless(header, names, body_records)
    rows, faults, short = _sorted_out(names, body_records)
    return Table(
        columns=tuple(filter(None, names)),
        rows=rows,
        faults=faults,
        notes=(*decoded.notes, *short),
        charset=decoded.charset,
        delimiter=layout.delimiter,
    )


def _refuse(code: str, message: str, *, line: int = 1) -> NoReturn:
    raise TableError(TableFault(line, None, code, message))


# Encodings. The labels are those of RFC 9110 and of the WHATWG Encoding Standard, which reads "iso-8859-1" as
# Windows-1252, since the files so labelled hold its quotes and dashes and never the control characters of Latin 1.
CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "windows-1252": "cp1252",
    "cp1252": "cp1252",
    "iso-8859-2": "iso-8859-2",
    "iso-8859-15": "iso-8859-15",
    "windows-1250": "cp1250",
    "windows-1251": "cp1251",
    "windows-1253": "cp1253",
    "windows-1254": "cp1254",
    "windows-1256": "cp1256",
}
_READ_CHARSETS = (
    "utf-8, utf-16le, utf-16be, utf-16 with a byte order mark, iso-8859-1, -2, -15, windows-1250 to -1254, windows-1256"
)
_NAMES = {"utf-8": "UTF-8", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "cp1252": "Windows-1252"}
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))

# The bytes that UTF-8 has for accented letters, quotes and dashes, and that no word in Latin 1 or Windows-1252 has.
_SURELY_UTF8 = re.compile(rb"\xc3[\x80-\xbf]|\xc2[\xa0-\xbf]|\xe2\x80[\x80-\xbf]")

_SAVE_AS_CSV = "save the sheet as CSV (in Excel: CSV UTF-8) and send that file"
_BINARIES = (
    (b"PK\x03\x04", f"This is an Excel or OpenDocument workbook, or a ZIP file: {_SAVE_AS_CSV}"),
    (b"PK\x05\x06", "This is a ZIP file with nothing in it: send the table itself, as CSV"),
    (b"\xd0\xcf\x11\xe0", f"This is an Excel workbook of the old kind (.xls): {_SAVE_AS_CSV}"),
    (b"%PDF", "This is a PDF: a table in it has to be copied into a sheet and saved as CSV"),
    (b"\x1f\x8b", "This is a compressed file (gzip): unpack it and send the table itself"),
    (codecs.BOM_UTF32_LE, f"This file is encoded in UTF-32: {_SAVE_AS_CSV}"),
    (codecs.BOM_UTF32_BE, f"This file is encoded in UTF-32: {_SAVE_AS_CSV}"),
)
_TEXTS = (
    (r"\s*<(?:!doctype\s+html|html|head|body|table)\b", f"This is a web page (HTML), not a table: {_SAVE_AS_CSV}"),
    (r"\s*<[?!a-z]", "This is XML, not a table: send CSV"),
    (r"""\s*[\[{]\s*["'{}\[\]\d]""", "This is JSON, not a table: send it as application/json, or send CSV"),
    (r"\s*\{\\rtf", "This is a word processor's file (RTF): copy the table into a sheet and save it as CSV"),
)
_OTHER_FORMATS = tuple((re.compile(pattern, re.IGNORECASE), message) for pattern, message in _TEXTS)


@dataclass(frozen=True, slots=True)
class _Decoded:
    text: str
    charset: str
    notes: tuple[str, ...] = ()


def _decode(body: bytes, charset: str | None) -> _Decoded:
    for signature, message in _BINARIES:
        if body.startswith(signature):
            _refuse("not_a_table", message)
    declared = None if charset is None else _codec(charset, body)
    for mark, codec in _MARKS:
        if body.startswith(mark):
            return _decode_marked(body, mark, codec, declared)
    return _undeclared(body) if declared is None else _strictly(body, declared)


def _codec(charset: str, body: bytes) -> str:
    label = charset.strip().strip('"').lower()
    if label == "utf-16":
        if not body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            _refuse("charset", "UTF-16 without a byte order mark has two readings: declare utf-16le or utf-16be")
        return "utf-16"
    if label not in CHARSETS:
        _refuse("charset", f"The charset {charset[:40]!r} is not read here: {_READ_CHARSETS} are")
    return CHARSETS[label]


def _decode_marked(body: bytes, mark: bytes, codec: str, declared: str | None) -> _Decoded:
    decoded = _strictly(body, codec, start=len(mark))
    if declared is None or codec.startswith(declared):
        return decoded
    note = f"A byte order mark says that the file is {_NAMES[codec]}, and so it was read; another charset was declared."
    return replace(decoded, notes=(note,))


def _undeclared(body: bytes) -> _Decoded:
    if body[:2].count(b"\0") == 1:
        _refuse(
            "charset", "This looks like UTF-16 without a byte order mark: declare utf-16le or utf-16be, or send UTF-8"
        )
    try:
        return _Decoded(body.decode(), "UTF-8")
    except UnicodeDecodeError as error:
        if _SURELY_UTF8.search(body) or not body[: error.start].isascii():
            _refuse_byte(error, "Some of the file is UTF-8, and here it is not: save it in one encoding")
    note = "The file is not UTF-8 and no charset was declared: it was read as Windows-1252. Check names with accents."
    return replace(_strictly(body, "cp1252"), notes=(note,))


def _strictly(body: bytes, codec: str, *, start: int = 0) -> _Decoded:
    name = _NAMES.get(codec, codec)
    try:
        return _Decoded(body[start:].decode(codec).lstrip("\ufeff"), name)  # some programs write the mark twice
    except UnicodeDecodeError as error:
        _refuse_byte(error, f"The file is not {name} throughout: declare the charset that it has", start=start)


def _refuse_byte(error: UnicodeDecodeError, message: str, *, start: int = 0) -> NoReturn:
    before = error.object[: error.start].decode(error.encoding, errors="replace")
    place = f"byte {error.object[error.start]:#04x}, number {start + error.start + 1} of the file"
    _refuse("encoding", f"{message} ({place})", line=1 + _breaks(before))


def _refuse_other_formats(text: str) -> None:
    for pattern, message in _OTHER_FORMATS:
        if pattern.match(text):
            _refuse("not_a_table", message)


# The delimiter.


@dataclass(frozen=True, slots=True)
class _Layout:
    delimiter: str
    position: int = 0
    """Where the table begins, in characters."""
    line: int = 1


_SEPARATOR_LINE = re.compile(rf"sep=([{DELIMITERS}])(?:\r\n|\r|\n)", re.IGNORECASE)
_QUOTED_OR_NOT = re.compile(r'"[^"]*+"|[^"\r\n]++|["\r\n]')


def _layout(text: str) -> _Layout:
    if declared := _SEPARATOR_LINE.match(text):
        return _Layout(declared[1], declared.end(), 2)
    start = len(text) - len(text.lstrip("\r\n \ufeff"))
    counts: Counter[str] = Counter()
    for piece in _QUOTED_OR_NOT.finditer(text, start):
        if piece[0] in "\r\n":
            break
        if not piece[0].startswith('"'):
            counts.update({delimiter: piece[0].count(delimiter) for delimiter in DELIMITERS})
    (best, most), (second, next_most), *_ = (counts or Counter(dict.fromkeys(DELIMITERS, 0))).most_common()
    if most and most == next_most:
        _refuse(
            "delimiter",
            f"The header has as many {best!r} as {second!r}, so it does not say where columns end: "
            "put sep=; (or sep=,) on a line of its own before it",
            line=1 + _breaks(text[:start]),
        )
    return _Layout(best if most else ",")


# Rows.


@dataclass(frozen=True, slots=True)
class _Record:
    line: int
    number: int
    cells: list[str]
    fault: TableFault | None = None
    at: int = 0
    """The cell that is at fault, from 0."""

    @property
    def blank(self) -> bool:
        return self.fault is None and not any(map(str.strip, self.cells))

    @property
    def width(self) -> int:
        """Without the empty cells that stand last."""
        return next((n for n in range(len(self.cells), 0, -1) if self.cells[n - 1].strip()), 0)


_BREAK = re.compile(r"\r\n|\r|\n")
_CELLS = {
    delimiter: re.compile(
        rf"""
        (?: \ *+ " (?P<quoted> [^"]*+ (?: "" [^"]*+ )*+ ) " (?P<after> [^{delimiter}\r\n]*+ )
          | \ *+ (?P<open> " ) [\s\S]*+
          | (?P<bare> [^{delimiter}\r\n]*+ )
        ) (?P<stop> [{delimiter}] | \r\n | \r | \n | \Z )
        """,
        re.VERBOSE,
    )
    for delimiter in DELIMITERS
}


def _breaks(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _records(text: str, layout: _Layout) -> Iterator[_Record]:
    """Every row of the file, blank ones and those with a fault included. Each character is looked at a few times."""
    position, line, number = layout.position, layout.line, 1
    while position < len(text):
        stop = _BREAK.search(text, position)
        end, following = (stop.start(), stop.end()) if stop else (len(text), len(text))
        if text.find('"', position, end) < 0:  # the csv module's limit on the size of a cell is one for all threads
            yield _Record(line, number, text[position:end].split(layout.delimiter))
        else:
            record, following = _quoted(text, position, _Record(line, number, []), layout.delimiter)
            yield record
        line, number, position = line + _breaks(text[position:following]), number + 1, following


def _quoted(text: str, start: int, record: _Record, delimiter: str) -> tuple[_Record, int]:
    """The record with its cells, some of them in quotes, and the place where the next one begins."""
    end = start
    for match in _CELLS[delimiter].finditer(text, start):
        if record.fault is None and (slip := _slip(match)):  # one a row, or counting lines would take its square
            line = record.line + _breaks(text[start : match.start()])
            record = replace(record, fault=TableFault(line, None, *slip), at=len(record.cells))
        quoted, bare = match["quoted"], match["bare"]
        record.cells.append(bare or "" if quoted is None else quoted.replace('""', '"'))
        end = match.end()
        if match["stop"] != delimiter:
            break
    return record, end


def _slip(match: re.Match[str]) -> tuple[str, str] | None:
    if match["open"]:
        return "open_quote", "A quote opens here and never closes: nothing from this line on was read"
    if after := (match["after"] or "").strip():
        return (
            "text_after_quote",
            f"After the quote that closes the cell stands {after[:40]!r}: a quote inside a cell is written twice",
        )
    return None


def _names(header: _Record) -> list[str]:
    """The names of the columns, "" where one has none."""
    if header.fault:
        raise TableError(header.fault)
    longest = max(map(len, header.cells))
    if longest > MAX_NAME_LENGTH:
        message = f"The name of a column has {longest} characters, at most {MAX_NAME_LENGTH} are read"
        _refuse("long_name", f"{message}: is the first line a header?", line=header.line)
    return [" ".join(unicodedata.normalize("NFC", plain(cell)).split()) for cell in header.cells]


def _refuse_sizes(header: _Record, names: list[str], records: list[_Record]) -> None:
    named = len(list(filter(None, names)))
    if named > MOST_COLUMNS:
        message = f"{named} columns are too many: at most {MOST_COLUMNS} are read"
        _refuse("too_many_columns", message, line=header.line)
    if not records:
        message = "The file has a header and no rows below it, or its first row is not a header"
        _refuse("no_rows", message, line=header.line)
    if len(records) > MOST_ROWS:
        message = f"The file has more than {MOST_ROWS} rows: split it into several"
        _refuse("too_many_rows", message, line=records[MOST_ROWS].line)


def _refuse_repeated(header: _Record, names: list[str]) -> None:
    faults = [
        TableFault(header.line, name, "repeated_column", f"{count} columns are named {name!r}: rename or remove one")
        for name, count in Counter(filter(None, names)).items()
        if count > 1
    ]
    if faults:
        raise TableError(*faults)


def _refuse_nameless(header: _Record, names: list[str], records: list[_Record]) -> None:
    """Columns without a name are left out, if there is nothing in them."""
    nameless = {n for n, name in enumerate(names) if not name}
    if not nameless:
        return
    first_uses: dict[int, int] = {}
    for record in records:
        for n, cell in enumerate(record.cells):
            if n in nameless and cell.strip():
                first_uses.setdefault(n, record.line)
    faults = [
        TableFault(
            header.line,
            None,
            "nameless_column",
            f"Column {n + 1} has no name in the header and text in line {line}: name it, or empty it; a title has to "
            "go, since the first line is the header",
        )
        for n, line in sorted(first_uses.items())
    ]
    if faults:
        raise TableError(*faults)


def _sorted_out(names: list[str], records: list[_Record]) -> tuple[list[Row], tuple[TableFault, ...], tuple[str, ...]]:
    """The good rows, the faults of the others, and a note on rows that were filled up."""
    kept = [n for n, name in enumerate(names) if name]
    needed = 1 + kept[-1]
    rows, faults, short = [], [], []
    for record in records:
        if fault := _fault(record, names):
            faults.append(fault)
            continue
        cells = record.cells
        if len(cells) < needed:
            short.append(record.line)
            cells = [*cells, *[""] * (needed - len(cells))]
        rows.append(Row(record.line, record.number, tuple([plain(cells[n]) for n in kept])))
    return rows, tuple(faults), _filled_up(short)


def _fault(record: _Record, names: list[str]) -> TableFault | None:
    if record.fault:
        column = names[record.at] or None if record.at < len(names) else None
        return replace(record.fault, column=column, row=record.number)
    if len(record.cells) > len(names) and (width := record.width) > len(names):
        message = f"The row has {width} cells, the header has {len(names)}: a cell that holds a delimiter needs quotes"
        return TableFault(record.line, None, "surplus_cells", message, record.number)
    return None


def _filled_up(lines: list[int]) -> tuple[str, ...]:
    if not lines:
        return ()
    number = "1 row has" if len(lines) == 1 else f"{len(lines)} rows have"
    return (f"{number} fewer cells than the header (line {lines[0]}): what is missing was read as empty.",)


# --- writing ---------------------------------------------------------------------------------------------------------

# More than RFC 4180 asks for: the other delimiters and `sep=` too, lest a reader that looks for them be misled.
_NEEDS_QUOTES = re.compile(rf'["\r\n={DELIMITERS}]')
_AS_IT_IS = re.compile(rf"""[^\s"{re.escape(DELIMITERS + "".join(_RISKY))}][^"\r\n={DELIMITERS}]*+(?<!\s)""").fullmatch


def write(columns: Sequence[str], rows: Iterable[Sequence[str]], *, bom: bool) -> Iterator[bytes]:
    """The table as CSV (RFC 4180) in UTF-8, in chunks: CRLF, commas, every cell made `safe` here.

    A byte order mark (`bom`) is what Excel needs to see UTF-8, and what breaks the first header for other readers.
    """
    pending, size = ["\ufeff"] if bom else [], 0
    for row in chain([columns], rows):
        line = _written(row)
        pending.append(line)
        size += len(line)
        if size >= CHUNK:
            yield "".join(pending).encode()
            pending, size = [], 0
    if pending:
        yield "".join(pending).encode()


def rows(several: Iterable[Sequence[str]]) -> bytes:
    """Some rows of such a table, without its header."""
    return "".join(map(_written, several)).encode()


def _written(row: Sequence[str]) -> str:
    # Most cells are empty or as they are, which one look tells.
    return ",".join([cell if not cell or _AS_IT_IS(cell) else _cell(cell) for cell in row]) + "\r\n"


def _cell(text: str) -> str:
    text = safe(text)
    quoted = _NEEDS_QUOTES.search(text) or text[:1].isspace() or text[-1:].isspace()
    return '"' + text.replace('"', '""') + '"' if quoted else text
