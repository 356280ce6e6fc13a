"""Tables: a delimited text file, as spreadsheets and registries write it, becomes rows, and rows become such a file.

How a file is read (RFC 4180, and what programs make of it):

* UTF-8 or UTF-16 when a byte order mark says so, else the declared charset, else UTF-8. Bytes that are nothing of
  this are read as Windows-1252, and a note says that this is an assumption. A mixture of encodings is refused.
* The delimiter is the one of , ; TAB | that stands most often in the header, or the one that Excel's `sep=;` names.
* Lines end with LF, CRLF or CR. A cell in quotes may hold line breaks, delimiters and doubled quotes.
* A row shorter than the header is filled up, which a note says. A longer one is a fault: no cell is ever shifted.
* Rows and columns with nothing in them are left out; the numbers of lines and rows count them all the same.
* Of a file with a row longer than LONGEST_ROW, or a quote that opens and never closes, what is above is read.

It is gone through from its beginning several times: to see that it is text, to see what there is to say of it as a whole,
and to read its rows, one at a time. So a million rows take no more memory than the longest of them may.

A cell that a spreadsheet would run as a formula is written with an apostrophe before it and read without: see `safe`.
What a cell may hold is for the field to say that it goes into; here NUL and control characters are mere characters.
"""

import codecs
import csv
import io
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import IO, NoReturn

MOST_ROWS = 1_000_000
MOST_COLUMNS = 200
"""Short rows are filled up to the header: without this limit, a long header would make a small file a large table."""

MAX_NAME_LENGTH = 200
"""Of a column, in characters. What is longer is no name, and normalising it may take the square of its length."""

LONGEST_ROW = 1_048_576
"""In characters, the line break behind it included."""

DELIMITERS = ",;\t|"
CHUNK = 64 * 1024
"""In characters: about so much is written at once."""
WINDOW = 64 * 1024
"""In bytes: so much is decoded at once; and in characters: so much is given to the csv module at once. No cell in it can be
longer than that module takes (131,072 characters, a limit that is one for all threads)."""


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
    rows: Iterable[Row | TableFault]
    """The rows, and in the places of others what is wrong with them; read anew whenever they are asked for."""
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


def read(source: IO[bytes], charset: str | None) -> Table:
    """The rows of a delimited text file. `charset` is the declared one (RFC 9110 8.3.2), if any.

    Raises TableError when there is no table in it, or a header that cannot be one. Faults of single rows are not
    raised but stand among the rows, so that a person sees them all at once.
    """
    text = _text(source, charset)
    beginning = _Window(text).beginning()
    _refuse_other_formats(beginning)
    layout = _layout(beginning)
    records = _filled(text, layout)
    header = next(records, None)
    if header is None:
        _refuse("empty", "The file is empty: it needs a line with the names of the columns, and rows below it")
    names = _names(header)
    survey = _surveyed(names, records)
    _refuse_sizes(header, names, survey)
    _refuse_repeated(header, names)
    _refuse_nameless(header, survey)
    return Table(
        columns=tuple(filter(None, names)),
        rows=_Rows(text, layout, names),
        notes=(*text.notes, *_filled_up(survey)),
        charset=text.charset,
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
class _Text:
    """The text of a file, decoded anew whenever it is asked for."""

    source: IO[bytes]
    codec: str
    start: int = 0
    """In bytes: the end of the byte order mark."""
    notes: tuple[str, ...] = ()

    @property
    def charset(self) -> str:
        return _NAMES.get(self.codec, self.codec)

    def pieces(self, end: int | None = None) -> Iterator[str]:
        """All of it, or what is before the byte `end`. No piece ends between CR and LF."""
        decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(self.codec)(), translate=False)
        marks = "\ufeff"  # some programs write the mark twice
        for piece in chain(_pieces(self.source, self.start, end), [b""]):
            text = decoder.decode(piece, final=not piece).lstrip(marks)
            marks = "" if text else marks
            yield text

    def misfit(self) -> int | None:
        """The place of the first byte that is no text, from 0."""
        decoder, place = codecs.getincrementaldecoder(self.codec)(), self.start
        for piece in chain(_pieces(self.source, self.start), [b""]):
            place += len(piece)
            try:
                decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                return place - len(error.object) + error.start
        return None


def _pieces(source: IO[bytes], start: int = 0, end: int | None = None) -> Iterator[bytes]:
    source.seek(start)
    left = sys.maxsize if end is None else end - start
    while piece := source.read(min(WINDOW, left)):
        yield piece
        left -= len(piece)


def _text(source: IO[bytes], charset: str | None) -> _Text:
    source.seek(0)
    beginning = source.read(8)
    for signature, message in _BINARIES:
        if beginning.startswith(signature):
            _refuse("not_a_table", message)
    declared = None if charset is None else _codec(charset, beginning)
    for mark, codec in _MARKS:
        if beginning.startswith(mark):
            return _marked(_Text(source, codec, len(mark)), declared)
    return _undeclared(source, beginning) if declared is None else _throughout(_Text(source, declared))


def _codec(charset: str, beginning: bytes) -> str:
    label = charset.strip().strip('"').lower()
    if label == "utf-16":
        if not beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            _refuse("charset", "UTF-16 without a byte order mark has two readings: declare utf-16le or utf-16be")
        return "utf-16"
    if label not in CHARSETS:
        _refuse("charset", f"The charset {charset[:40]!r} is not read here: {_READ_CHARSETS} are")
    return CHARSETS[label]


def _marked(text: _Text, declared: str | None) -> _Text:
    _throughout(text)
    if declared is None or text.codec.startswith(declared):
        return text
    note = f"A byte order mark says that the file is {text.charset}, and so it was read; another charset was declared."
    return replace(text, notes=(note,))


def _undeclared(source: IO[bytes], beginning: bytes) -> _Text:
    if beginning[:2].count(b"\0") == 1:
        _refuse(
            "charset", "This looks like UTF-16 without a byte order mark: declare utf-16le or utf-16be, or send UTF-8"
        )
    text = _Text(source, "utf-8")
    misfit = text.misfit()
    if misfit is None:
        return text
    if _is_partly_utf8(source, misfit):
        _refuse_byte(text, misfit, "Some of the file is UTF-8, and here it is not: save it in one encoding")
    note = "The file is not UTF-8 and no charset was declared: it was read as Windows-1252. Check names with accents."
    return _throughout(_Text(source, "cp1252", notes=(note,)))


def _is_partly_utf8(source: IO[bytes], misfit: int) -> bool:
    if not all(map(bytes.isascii, _pieces(source, 0, misfit))):
        return True
    last = b""
    for piece in _pieces(source):
        if _SURELY_UTF8.search(last + piece):
            return True
        last = (last + piece)[-2:]  # a sign of three bytes may stand in two pieces
    return False


def _throughout(text: _Text) -> _Text:
    misfit = text.misfit()
    if misfit is not None:
        _refuse_byte(text, misfit, f"The file is not {text.charset} throughout: declare the charset that it has")
    return text


def _refuse_byte(text: _Text, place: int, message: str) -> NoReturn:
    line = 1 + sum(map(_breaks, text.pieces(place)))
    text.source.seek(place)
    byte = text.source.read(1)[0]
    _refuse("encoding", f"{message} (byte {byte:#04x}, number {place + 1} of the file)", line=line)


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
    """Where columns end, by the beginning of a text."""
    if declared := _SEPARATOR_LINE.match(text):
        return _Layout(declared[1], declared.end(), 2)
    start = len(text) - len(text.lstrip("\r\n \ufeff"))
    if start == LONGEST_ROW:
        _refuse(
            "empty", f"The first {start} characters of the file are blank: it needs a line with the names of columns"
        )
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


class _Window:
    """A part of a text, which moves to its end."""

    def __init__(self, text: _Text) -> None:
        self.held, self.position, self._pieces, self._is_last = "", 0, text.pieces(), False

    def fill(self) -> bool:
        """Whether anything is left. More than the longest row is held then, from the position on, or all that is left."""
        if len(self.held) - self.position <= LONGEST_ROW and not self._is_last:
            pieces = [self.held[self.position :]]
            size = len(pieces[0])
            for piece in self._pieces:
                pieces.append(piece)
                size += len(piece)
                if size > 2 * LONGEST_ROW:
                    break
            else:
                self._is_last = True
            self.held, self.position = "".join(pieces), 0
        return self.position < len(self.held)

    def beginning(self) -> str:
        self.fill()
        return self.held[:LONGEST_ROW]


@dataclass(slots=True)
class _Record:
    line: int
    number: int
    cells: list[str]
    fault: TableFault | None = None
    at: int | None = None
    """The cell that is at fault, from 0."""

    @property
    def blank(self) -> bool:
        return self.fault is None and not any(map(str.strip, self.cells))

    @property
    def width(self) -> int:
        """Without the empty cells that stand last."""
        return next((n for n in range(len(self.cells), 0, -1) if self.cells[n - 1].strip()), 0)


_QUOTED = r'" [^"]*+ (?: "" [^"]*+ )*+ "'
_CELLS = {
    delimiter: re.compile(
        rf"""
        (?: \ *+ (?P<quoted> {_QUOTED} ) (?P<after> [^{delimiter}\r\n]*+ )
          | \ *+ (?P<open> " ) [\s\S]*+
          | (?P<bare> [^{delimiter}\r\n]*+ )
        ) (?P<stop> [{delimiter}] | \r\n | \r | \n | \Z )
        """,
        re.VERBOSE,
    )
    for delimiter in DELIMITERS
}
# Rows about which RFC 4180 leaves no doubt. Of a CR that stands last it is not seen whether an LF follows.
_PLAIN_ROWS = {
    delimiter: re.compile(
        rf"""
        (?: (?: (?: {_QUOTED} | [^{delimiter}"\r\n]*+ ) [{delimiter}] )*+
            (?: {_QUOTED} | [^{delimiter}"\r\n]*+ ) (?: \r\n | \n | \r (?=[^\n]) )
        )*+
        """,
        re.VERBOSE,
    )
    for delimiter in DELIMITERS
}


def _breaks(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _filled(text: _Text, layout: _Layout) -> Iterator[_Record]:
    """The rows that are not blank, and of these the header first."""
    return (record for record in _records(_Window(text), layout) if not record.blank)


def _records(window: _Window, layout: _Layout) -> Iterator[_Record]:
    """Every row of the file, blank ones and those with a fault included. Each character is looked at a few times."""
    window.fill()
    window.position, line, number = layout.position, layout.line, 1
    while window.fill():
        text, start = window.held, window.position
        if rows := _plain_rows(text, start, layout.delimiter):
            window.position += len(rows)
            above, reader = line, csv.reader(io.StringIO(rows, newline=""), delimiter=layout.delimiter)
            for cells in reader:
                yield _Record(line, number, cells)
                line, number = above + reader.line_num, number + 1
            continue
        record, window.position = _by_cells(text, start, _Record(line, number, []), layout.delimiter)
        if window.position - start > LONGEST_ROW:
            yield _Record(line, number, [], _too_long(line))
            return
        yield record
        line, number = line + _breaks(text[start : window.position]), number + 1


def _plain_rows(text: str, start: int, delimiter: str) -> str:
    """Rows at a place of a text that the csv module reads as they are read here, "" where the first is none."""
    found = _PLAIN_ROWS[delimiter].match(text, start, start + min(WINDOW, LONGEST_ROW))
    return found[0] if found else ""


def _too_long(line: int) -> TableFault:
    message = f"The row has more than {LONGEST_ROW} characters; a quote in it may never close"
    return TableFault(line, None, "row_too_long", f"{message}: nothing from this line on was read")


def _by_cells(text: str, start: int, record: _Record, delimiter: str) -> tuple[_Record, int]:
    """The record with its cells, and the place where the next one begins; of one that is too long so much that this is seen."""
    end = start
    for match in _CELLS[delimiter].finditer(text, start, start + LONGEST_ROW + 1):
        if record.fault is None and (slip := _slip(match)):  # one a row, or counting lines would take its square
            line = record.line + _breaks(text[start : match.start()])
            record.fault, record.at = TableFault(line, None, *slip), len(record.cells)
        quoted, bare = match["quoted"], match["bare"]
        record.cells.append(bare or "" if quoted is None else quoted[1:-1].replace('""', '"'))
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


@dataclass(slots=True)
class _Survey:
    """What there is to say of all rows together."""

    count: int = 0
    last: int = 0
    """The line of the last one that was looked at."""
    texts: dict[int, int] = field(default_factory=dict)
    """By the places of columns without a name, the line of their first text."""
    short: int = 0
    """How many rows are filled up."""
    first_short: int = 0
    """The line of the first of these."""


def _surveyed(names: Sequence[str], records: Iterator[_Record]) -> _Survey:
    nameless = {n for n, name in enumerate(names) if not name}
    needed, survey = _needed(names), _Survey()
    for record in islice(records, MOST_ROWS + 1):
        survey.count += 1
        survey.last = record.line
        if nameless:
            for n, cell in enumerate(record.cells):
                if n in nameless and cell.strip():
                    survey.texts.setdefault(n, record.line)
        if len(record.cells) < needed and not record.fault:
            survey.short += 1
            survey.first_short = survey.first_short or record.line
    return survey


def _needed(names: Sequence[str]) -> int:
    """As many cells a row has to have."""
    return max((n for n, name in enumerate(names, 1) if name), default=0)


def _refuse_sizes(header: _Record, names: Sequence[str], survey: _Survey) -> None:
    named = len(list(filter(None, names)))
    if named > MOST_COLUMNS:
        message = f"{named} columns are too many: at most {MOST_COLUMNS} are read"
        _refuse("too_many_columns", message, line=header.line)
    if not survey.count:
        message = "The file has a header and no rows below it, or its first row is not a header"
        _refuse("no_rows", message, line=header.line)
    if survey.count > MOST_ROWS:
        message = f"The file has more than {MOST_ROWS} rows: split it into several"
        _refuse("too_many_rows", message, line=survey.last)


def _refuse_repeated(header: _Record, names: Sequence[str]) -> None:
    faults = [
        TableFault(header.line, name, "repeated_column", f"{count} columns are named {name!r}: rename or remove one")
        for name, count in Counter(filter(None, names)).items()
        if count > 1
    ]
    if faults:
        raise TableError(*faults)


def _refuse_nameless(header: _Record, survey: _Survey) -> None:
    """Columns without a name are left out, if there is nothing in them."""
    faults = [
        TableFault(
            header.line,
            None,
            "nameless_column",
            f"Column {n + 1} has no name in the header and text in line {line}: name it, or empty it; a title has to "
            "go, since the first line is the header",
        )
        for n, line in sorted(survey.texts.items())
    ]
    if faults:
        raise TableError(*faults)


def _filled_up(survey: _Survey) -> tuple[str, ...]:
    if not survey.short:
        return ()
    number = "1 row has" if survey.short == 1 else f"{survey.short} rows have"
    where = f"line {survey.first_short}"
    return (f"{number} fewer cells than the header ({where}): what is missing was read as empty.",)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows below the header, those that are good and what is wrong with the others."""

    text: _Text
    layout: _Layout
    names: Sequence[str]

    def __iter__(self) -> Iterator[Row | TableFault]:
        kept = [n for n, name in enumerate(self.names) if name]
        needed = _needed(self.names)
        for record in islice(_filled(self.text, self.layout), 1, None):
            if fault := _fault(record, self.names):
                yield fault
                continue
            cells = record.cells
            if len(cells) < needed:
                cells += [""] * (needed - len(cells))
            yield Row(record.line, record.number, tuple([plain(cells[n]) for n in kept]))


def _fault(record: _Record, names: Sequence[str]) -> TableFault | None:
    if record.fault:
        column = names[record.at] or None if record.at is not None and record.at < len(names) else None
        return replace(record.fault, column=column, row=record.number)
    if len(record.cells) > len(names) and (width := record.width) > len(names):
        message = f"The row has {width} cells, the header has {len(names)}: a cell that holds a delimiter needs quotes"
        return TableFault(record.line, None, "surplus_cells", message, record.number)
    return None


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
