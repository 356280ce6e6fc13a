"""What a user may rely on when a table is sent or fetched: the files that programs make are read, nothing is shifted,
dropped or guessed in silence, every fault is named at its line, and a table written here is read back as it was."""

from __future__ import annotations

import codecs
import csv
import io
import time
import tracemalloc
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.exchange import tables
from app.exchange.tables import Row, TableError, TableFault, plain, safe, write

bounded = settings(derandomize=True, deadline=None, max_examples=300)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
CELL = st.one_of(TEXT, st.text("='+-@\t\r\n \",;|＝＋－＠aé\0", max_size=8))


@dataclass(frozen=True)
class Table:
    """A table of which all rows were read."""

    columns: tuple[str, ...]
    rows: list[Row]
    faults: tuple[TableFault, ...]
    notes: tuple[str, ...]
    charset: str
    delimiter: str


def read(body: bytes, charset: str | None) -> Table:
    found = tables.read(io.BytesIO(body), charset)
    several = list(found.rows)
    rows = [each for each in several if isinstance(each, Row)]
    faults = tuple(each for each in several if isinstance(each, TableFault))
    assert list(found.rows) == several  # they may be read again
    return Table(found.columns, rows, faults, found.notes, found.charset, found.delimiter)


def table(text: str) -> Table:
    return read(text.encode(), None)


def cells(text: str) -> list[tuple[str, ...]]:
    found = table(text)
    assert not found.faults
    return [row.cells for row in found.rows]


def outcome(body: bytes, charset: str | None = None, **limits: int) -> Table | tuple[TableFault, ...]:
    """What reading comes to, were these the limits."""
    with pytest.MonkeyPatch.context() as patch:
        for name, limit in limits.items():
            patch.setattr(tables, name, limit)
        try:
            return read(body, charset)
        except TableError as error:
            return error.faults


def faults(text: str) -> list[tuple[int, str | None, str]]:
    return [(fault.line, fault.column, fault.code) for fault in table(text).faults]


def refusal(body: bytes, charset: str | None = None) -> TableError:
    with pytest.raises(TableError) as caught:
        read(body, charset)
    return caught.value


# --- rows and lines ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_delimiter_and_line_end_gives_the_same_rows(delimiter: str, ending: str) -> None:
    lines = ["name#type#signed", '"Polish Academy of Sciences, ; | \t x"#accord#2014', "", "###", "B##", '"a ""b"""#c#']
    found = table(ending.join(lines).replace("#", delimiter))
    assert found.columns == ("name", "type", "signed")
    assert found.delimiter == delimiter
    assert found.rows == [
        Row(2, 2, ("Polish Academy of Sciences, ; | \t x", "accord", "2014")),
        Row(5, 5, ("B", "", "")),
        Row(6, 6, ('a "b"', "c", "")),
    ]
    assert (found.faults, found.notes) == ((), ())


def test_lines_are_counted_as_an_editor_does_and_rows_as_a_spreadsheet_does() -> None:
    found = table('"long\nname",b\r\n\r\n"one\r\ntwo\rthree",x\r\nlast,y\r\n')
    assert found.columns == ("long name", "b")
    assert found.rows == [Row(4, 3, ("one\r\ntwo\rthree", "x")), Row(7, 4, ("last", "y"))]


def test_the_line_in_which_excel_names_the_delimiter_is_no_row() -> None:
    found = table("sep=;\r\nname, short;kind,x\r\nA;B\r\n")
    assert found.columns == ("name, short", "kind,x")
    assert found.rows == [Row(3, 2, ("A", "B"))]


def test_delimiters_in_quotes_are_not_counted() -> None:
    assert table('"a,b,c,d";e\n1;2\n').columns == ("a,b,c,d", "e")


def test_a_header_that_does_not_say_where_columns_end_is_refused() -> None:
    error = refusal(b"\na,b;c\n1,2;3\n")
    assert [(fault.line, fault.code) for fault in error.faults] == [(2, "delimiter")]
    assert "sep=;" in str(error)


def test_one_column_needs_no_delimiter() -> None:
    assert cells("name\nWHO\nILO\n") == [("WHO",), ("ILO",)]


def test_blanks_before_and_after_quotes_are_no_text() -> None:
    assert cells('a, b, c\n1, "Academy, Institute X" , 3\n') == [("1", "Academy, Institute X", " 3")]


def test_a_quote_within_a_cell_is_a_mere_character() -> None:
    assert cells('a,b\n5" pipe,O"Brien\n') == [('5" pipe', 'O"Brien')]


def test_control_characters_are_left_to_the_field() -> None:
    assert cells("a,b\nx\0y,\x1d\ufffe\x85z\n") == [("x\0y", "\x1d\ufffe\x85z")]


def test_a_trailing_delimiter_and_columns_with_nothing_in_them_are_left_out() -> None:
    assert table("a;;b;;\n1;;2;;\n3;;4\n5; ;6;;;;\n").columns == ("a", "b")
    assert cells("a;;b;;\n1;;2;;\n3;;4\n5; ;6;;;;\n") == [("1", "2"), ("3", "4"), ("5", "6")]


# --- rows that do not fit ---------------------------------------------------------------------------------------------


def test_a_short_row_is_filled_up_and_a_note_says_so() -> None:
    found = table("a,b,c\n1\n1,2,3\n1,2\n")
    assert [row.cells for row in found.rows] == [("1", "", ""), ("1", "2", "3"), ("1", "2", "")]
    assert found.notes == ("2 rows have fewer cells than the header (line 2): what is missing was read as empty.",)


def test_a_long_row_is_a_fault_and_every_one_is_listed() -> None:
    found = table("a,b\n1,2,,\nx,y,z\n3,4\n1,2,3,4,,\n")
    assert [row.cells for row in found.rows] == [("1", "2"), ("3", "4")]
    assert [(fault.line, fault.code) for fault in found.faults] == [(3, "surplus_cells"), (5, "surplus_cells")]
    assert [fault.row for fault in found.faults] == [3, 5]
    assert "has 4 cells, the header has 2" in found.faults[1].message


def test_a_quote_that_never_closes_is_named_where_it_opens() -> None:
    found = table('a,b\n1,2\n"x\ny","never\nclosed,\n5,6\n')
    assert [row.cells for row in found.rows] == [("1", "2")]
    assert [(fault.line, fault.column, fault.code) for fault in found.faults] == [(4, "b", "open_quote")]
    assert [fault.row for fault in found.faults] == [3]


def test_text_after_a_closing_quote_is_a_fault_of_its_row_alone() -> None:
    text = 'a,b\n"the "World" Bank",1\n"x",2\n3,"y"z\n'
    assert faults(text) == [(2, "a", "text_after_quote"), (4, "b", "text_after_quote")]
    assert [row.cells for row in table(text).rows] == [("x", "2")]


# --- headers ----------------------------------------------------------------------------------------------------------


def test_names_of_columns_are_trimmed_and_composed() -> None:
    assert table(" sie\u0301ge \u00a0,b\n1,2\n").columns == ("si\u00e9ge", "b")


def test_every_name_that_stands_twice_is_refused() -> None:
    error = refusal("é,b,e\u0301,b,c,b\n1,2,3,4,5,6\n".encode())
    assert [(fault.line, fault.column, fault.code) for fault in error.faults] == [
        (1, "é", "repeated_column"),
        (1, "b", "repeated_column"),
    ]
    assert "3 columns" in error.faults[1].message


def test_text_under_a_column_without_a_name_is_refused() -> None:
    error = refusal(b"Partnerships 2016;;\nname;type;signed\nA;;2014\n")
    assert [(fault.line, fault.code) for fault in error.faults] == [(1, "nameless_column")] * 2
    assert "Column 2 has no name in the header and text in line 2" in error.faults[0].message


@pytest.mark.parametrize("body", [b"", b"\n\r\n", b" \t\n", b"\xef\xbb\xbf", b",,,\n,,"])
def test_a_file_with_nothing_in_it_is_refused(body: bytes) -> None:
    assert [fault.code for fault in refusal(body).faults] == ["empty"]


@pytest.mark.parametrize("body", [b"a,b", b"a,b\n", b"a,b\n\n,,\n"])
def test_a_header_alone_is_refused(body: bytes) -> None:
    assert [fault.code for fault in refusal(body).faults] == ["no_rows"]


def test_a_line_of_prose_is_no_header() -> None:
    assert [fault.code for fault in refusal(b"x" * 201 + b"\n1\n").faults] == ["long_name"]


def test_a_header_with_a_quote_that_never_closes_is_refused() -> None:
    assert [(fault.line, fault.code) for fault in refusal(b'a,"b\n1,2\n').faults] == [(1, "open_quote")]


@pytest.mark.parametrize("name", ["'\t", "'\n"])
def test_a_header_in_which_nothing_is_a_name_leaves_no_cell_to_read(name: str) -> None:
    assert faults(f'"{name}"\n,x\n') == [(2 + name.count("\n"), None, "surplus_cells")]
    assert [fault.code for fault in refusal(f'"{name}"\nx\n'.encode()).faults] == ["nameless_column"]


@pytest.mark.parametrize(
    ("body", "advice"),
    [
        (b"PK\x03\x04rest", "save the sheet as CSV"),
        (b"PK\x05\x06rest", "send the table itself"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "save the sheet as CSV"),
        (b"%PDF-1.7", "saved as CSV"),
        (b"\x1f\x8b\x08", "unpack it"),
        (b"\xff\xfe\0\0a\0\0\0", "UTF-32"),
        (b"\n <!DOCTYPE html><title>x", "web page"),
        (b"<html><table>", "web page"),
        (b"<?xml version='1.0'?><a/>", "XML"),
        (b'{"name": 1}', "application/json"),
        (b'\n[ {"name": 1}]', "application/json"),
        (b"{\\rtf1", "word processor"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_what_to_do(body: bytes, advice: str) -> None:
    error = refusal(body)
    assert [fault.code for fault in error.faults] == ["not_a_table"]
    assert advice in str(error)


def test_a_column_named_like_the_mark_of_a_zip_file_is_a_column() -> None:
    assert table("PK,name\n1,WHO\n").columns == ("PK", "name")


# --- encodings --------------------------------------------------------------------------------------------------------

NAME = "Société «Été» – Œuvre"


@pytest.mark.parametrize(
    ("codec", "mark", "charset"),
    [
        ("utf-8", b"", None),
        ("utf-8", codecs.BOM_UTF8, None),
        ("utf-8", codecs.BOM_UTF8, "UTF-8"),
        ("utf-8", codecs.BOM_UTF8 * 2, None),
        ("utf-8", b"", "utf-8"),
        ("utf-16-le", codecs.BOM_UTF16_LE, None),
        ("utf-16-be", codecs.BOM_UTF16_BE, None),
        ("utf-16-be", codecs.BOM_UTF16_BE, "utf-16"),
        ("utf-16-le", b"", "utf-16le"),
        ("cp1252", b"", "windows-1252"),
        ("cp1252", b"", "ISO-8859-1"),
    ],
)
def test_an_encoding_that_is_marked_or_declared_is_read(codec: str, mark: bytes, charset: str | None) -> None:
    found = read(mark + f"name,b\n{NAME},1\n".encode(codec), charset)
    assert found.columns == ("name", "b")
    assert [row.cells for row in found.rows] == [(NAME, "1")]
    assert found.notes == ()


def test_other_encodings_are_read_when_declared() -> None:
    assert read("a\nœ\n".encode("iso-8859-15"), '"iso-8859-15"').rows[0].cells == ("œ",)
    assert read("a\nБанк\n".encode("cp1251"), "windows-1251").rows[0].cells == ("Банк",)


def test_bytes_that_are_not_utf8_are_read_as_windows_1252_and_a_note_says_so() -> None:
    found = read(f"a\n{NAME}\n".encode("cp1252"), None)
    assert found.rows[0].cells == (NAME,)
    assert found.charset == "Windows-1252"
    assert "no charset was declared" in found.notes[0]


def test_a_byte_order_mark_outweighs_the_declared_charset_and_a_note_says_so() -> None:
    found = read(codecs.BOM_UTF8 + "a\né\n".encode(), "windows-1252")
    assert found.rows[0].cells == ("é",)
    assert len(found.notes) == 1


@pytest.mark.parametrize(
    "charset", ["bogus", "utf-7", "idna", "hex", "rot13", "", "x" * 5000, "\ud800", "unicode_escape"]
)
def test_an_unknown_charset_is_refused_with_those_that_are_read(charset: str) -> None:
    error = refusal(b"a\n1\n", charset)
    assert [fault.code for fault in error.faults] == ["charset"]
    assert "utf-8" in str(error)
    assert len(str(error)) < 400


@pytest.mark.parametrize(
    ("body", "charset", "line", "place"),
    [
        (b"a\r\nb\r\n\xff\n", "utf-8", 3, "0xff, number 7"),
        (b"a\nb\n\x81", "windows-1252", 3, "0x81, number 5"),
        (b"a\n\x81\n", None, 2, "0x81, number 3"),
        ("a\né\n".encode() + b"\xe9\n", None, 3, "0xe9, number 6"),
        (b"a\n\xe9\n" + "é".encode(), None, 2, "0xe9, number 3"),
        ("a\né".encode()[:-1] + "’".encode(), None, 2, "0xc3"),
        (codecs.BOM_UTF16_LE + "a\nb".encode("utf-16-le") + b"\0\xd8", None, 2, "number 9"),
        (codecs.BOM_UTF16_LE + "a\nb".encode("utf-16-le") + b"\0", None, 2, "number 9"),
    ],
)
def test_bytes_that_are_no_text_are_refused_at_their_line(
    body: bytes, charset: str | None, line: int, place: str
) -> None:
    error = refusal(body, charset)
    assert [(fault.line, fault.code) for fault in error.faults] == [(line, "encoding")]
    assert place in str(error)


def test_utf16_without_a_mark_is_refused_with_what_to_declare() -> None:
    assert "utf-16le" in str(refusal("a,b\n1,2\n".encode("utf-16-le")))
    assert "utf-16le" in str(refusal("a,b\n1,2\n".encode("utf-16-le"), "utf-16"))


# --- limits -----------------------------------------------------------------------------------------------------------


def test_too_many_columns_and_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = ",".join(f"c{n}" for n in range(tables.MOST_COLUMNS + 1))
    assert [fault.code for fault in refusal(f"{wide}\n1\n".encode()).faults] == ["too_many_columns"]
    monkeypatch.setattr(tables, "MOST_ROWS", 3)
    assert len(table("a\n1\n2\n3\n").rows) == 3
    assert [(fault.line, fault.code) for fault in refusal(b"a\n1\n2\n3\n\n4\n").faults] == [(6, "too_many_rows")]


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n" + '"x"y,' * 100_000,
        "a,b\n" + '"' * 500_001,
        "a,b\n" + '"x,\n' * 100_001,
        "a,b\n" + " " * 500_000 + '"',
        "a," * 200_000 + "\n" + "1\n" * 50_000,
        "a" + "," * 200_000 + "\n" + "1\n" * 50_000,
        "\n" * 500_000 + "a\n1",
        "a\n" + "\r" * 500_000,
        "a;" + '"' * 500_000,
        "<" * 500_000,
        " " * 500_000 + "{",
        "a\n" + "x" * 500_000,
        "a" + "\u0301\u0323" * 200_000 + "\n1",
    ],
)
def test_time_grows_with_the_length_of_the_file_alone(text: str) -> None:
    begun = time.process_time()
    with suppress(TableError):
        table(text)
    assert time.process_time() - begun < 3


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r", ""])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_row_has_a_longest_length_and_the_rows_above_a_longer_one_are_read(quote: str, ending: str) -> None:
    longest = "x" * (tables.LONGEST_ROW - len(quote + quote + ending))
    assert cells(f"a\n1\n{quote}{longest}{quote}{ending}") == [("1",), (longest,)]
    found = table(f"a\n\n1\n{quote}{longest}x{quote}{ending}")
    assert found.rows == [Row(3, 3, ("1",))]
    assert [(fault.line, fault.row, fault.code) for fault in found.faults] == [(4, 4, "row_too_long")]


def test_what_never_ends_is_refused_before_it_is_held() -> None:
    longest = tables.LONGEST_ROW
    found = table('a\n1\n"' + "x\n" * longest)
    assert [(fault.line, fault.column, fault.code) for fault in found.faults] == [(3, None, "row_too_long")]
    assert "a quote in it may never close" in found.faults[0].message
    assert [row.cells for row in found.rows] == [("1",)]
    for beginning, code in (
        ("\n" * longest, "empty"),
        ("x" * longest, "row_too_long"),
        ('"' + "x\n" * longest, "row_too_long"),
    ):
        assert [(fault.line, fault.code) for fault in refusal(f"{beginning}\na\n1\n".encode()).faults] == [(1, code)]


def test_a_long_table_is_read_holding_little_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LONGEST_ROW", 10_000)
    source = io.BytesIO(b"name,note\n" + b"".join(b'"Body %d",%s\n' % (n, b"x" * 2_000) for n in range(5_000)))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        assert sum(1 for _ in tables.read(source, None).rows) == 5_000
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most - before < 1_000_000 < source.tell() / 10


def test_a_cell_longer_than_the_csv_module_takes_is_read_and_its_limit_stays() -> None:
    limit = csv.field_size_limit()
    assert len(cells("a\n" + "x" * (limit + 1))[0][0]) == limit + 1
    assert csv.field_size_limit() == limit


# --- a part at a time -------------------------------------------------------------------------------------------------

BEGINNINGS = st.sampled_from(["", "a,b\n", "a;b;c\r\n", "a|\r", "sep=;\n", "\ufeff", "\n \n", '"a\nb",c\n', "a,,b\n"])
SIGNS = ["a", ",", ";", '"', '""', "\n", "\r\n", "\r", " ", "é", "\ufeff", "😀", "'=", '"x"', '"a\rb",', "\0", "\u2028"]
TABLES = st.tuples(BEGINNINGS, st.lists(st.sampled_from(SIGNS), max_size=30).map("".join)).map("".join)
ENCODED = st.tuples(TABLES, st.sampled_from(["utf-8", "utf-8", "utf-16", "utf-16-le", "cp1252"])).map(
    lambda made: made[0].encode(made[1], "replace")
)
SPOILT = st.tuples(ENCODED, st.integers(0, 60), st.binary(max_size=2)).map(
    lambda made: made[0][: made[1]] + made[2] + made[0][made[1] :]
)


@pytest.mark.parametrize("window", [1, 2, 3, 7])
@bounded
@given(st.one_of(ENCODED, SPOILT), st.sampled_from([None, None, "utf-8", "utf-16le", "windows-1252"]))
def test_a_table_is_read_the_same_however_little_of_it_is_looked_at_at_once(
    window: int, body: bytes, charset: str | None
) -> None:
    for longest in (12, tables.LONGEST_ROW):
        whole = outcome(body, charset, LONGEST_ROW=longest)
        assert outcome(body, charset, LONGEST_ROW=longest, WINDOW=window) == whole


@pytest.mark.parametrize("window", [1, 2, 3, 7])
@pytest.mark.parametrize("sign", ["é", "«", "–"])
def test_a_mixture_of_encodings_is_seen_wherever_a_part_of_it_ends(sign: str, window: int) -> None:
    for before in range(window):
        body = b"a\n\xe9" + b"x" * before + sign.encode() + b"\n"
        assert outcome(body, WINDOW=window) == refusal(body).faults
        assert [(fault.line, fault.code) for fault in refusal(body).faults] == [(2, "encoding")]


@bounded
@given(st.lists(st.sampled_from(SIGNS), max_size=30).map("".join))
def test_a_table_without_a_row_that_is_too_long_is_read_as_if_there_were_no_limit(rows: str) -> None:
    body = f"a;b\n{rows}".encode()
    found = outcome(body, LONGEST_ROW=12, WINDOW=3)
    told = found.faults if isinstance(found, Table) else found
    if all(fault.code != "row_too_long" for fault in told):
        assert found == outcome(body)


# --- cells that a spreadsheet would run -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-x", "'-x"),
        ("@SUM", "'@SUM"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("＝1", "'＝1"),
        ("＋1", "'＋1"),
        ("－1", "'－1"),
        ("＠1", "'＠1"),
        ("'t Hooft", "''t Hooft"),
        ("'=x", "''=x"),
        ("World Bank", "World Bank"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_a_text_is_never_a_formula_and_comes_back(text: str, cell: str) -> None:
    assert safe(text) == cell
    assert plain(cell) == text


def test_an_apostrophe_that_a_person_wrote_stays() -> None:
    assert cells("a\n't Hooft\n'Ndrangheta\n'\n") == [("'t Hooft",), ("'Ndrangheta",), ("'",)]


@bounded
@given(CELL)
def test_plain_undoes_safe_for_every_text(text: str) -> None:
    assert plain(safe(text)) == text
    assert not safe(text).startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))


# --- writing ----------------------------------------------------------------------------------------------------------


def written(columns: list[str], rows: list[list[str]], *, bom: bool = False) -> bytes:
    return b"".join(write(columns, rows, bom=bom))


def test_a_table_is_written_as_rfc_4180_says() -> None:
    assert (
        written(["name", "note"], [["A, B", 'say "x"'], ["=1", "l1\nl2"], ["é", ""]]).decode()
        == 'name,note\r\n"A, B","say ""x"""\r\n"\'=1","l1\nl2"\r\né,\r\n'
    )


def test_the_mark_that_excel_needs_is_there_when_asked_for() -> None:
    assert written(["a"], [["1"]], bom=True) == codecs.BOM_UTF8 + b"a\r\n1\r\n"
    assert read(written(["a"], [["1"]], bom=True), None).columns == ("a",)


def test_a_long_table_is_written_in_chunks() -> None:
    endless = (["x" * 100, str(n)] for n in iter(int, 1))
    chunks = write(["a", "b"], endless, bom=False)
    assert all(tables.CHUNK <= len(next(chunks)) < 2 * tables.CHUNK for _ in range(3))


@bounded
@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=5), st.sampled_from([b"", codecs.BOM_UTF8]))
def test_what_is_written_is_read_back_byte_for_byte(rows: list[tuple[str, str, str]], mark: bytes) -> None:
    kept = [["x", *row] for row in rows]
    body = written(["a", "b;c", "d", "e"], kept, bom=bool(mark))
    assert body.startswith(mark)
    found = read(body, None)
    assert (found.faults, found.notes) == ((), ())
    assert found.columns == ("a", "b;c", "d", "e")
    assert [list(row.cells) for row in found.rows] == kept


@bounded
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_another_program_reads_what_is_written(rows: list[tuple[str, str]]) -> None:
    body = written(["a", "b"], [list(row) for row in rows])
    text = io.StringIO(body.decode(), newline="")
    assert list(csv.reader(text, strict=True)) == [["a", "b"], *([safe(cell) for cell in row] for row in rows)]


@bounded
@given(
    st.one_of(
        st.binary(max_size=60),
        st.text("a,;|\t\"\r\n ='\0é", max_size=60).map(str.encode),
        st.text('ab;"\n ', max_size=30).map(lambda text: f"x;y\n{text}".encode()),
    ),
    st.sampled_from([None, "utf-8", "utf-16", "utf-16le", "windows-1252", "iso-8859-2", "bogus"]),
)
def test_no_bytes_do_more_than_be_refused(body: bytes, charset: str | None) -> None:
    try:
        found = read(body, charset)
    except TableError as error:
        places = [fault.line for fault in error.faults]
    else:
        places = [row.line for row in found.rows] + [fault.line for fault in found.faults]
        assert all(len(row.cells) == len(found.columns) for row in found.rows)
        assert len(set(found.columns)) == len(found.columns)
    assert places
    assert min(places) >= 1


# --- the shapes that people hold --------------------------------------------------------------------------------------


def test_a_curation_sheet_with_dotted_headers_keeps_its_lists_whole() -> None:
    found = table(
        "id,names.types.label,names.types.alias,external_ids.type.isni.all,established,types,links.type.website\n"
        ",Lake Institute*English,Озерный институт*Russian; L`Institut du lac*French; ,0000 0001 2345 6789,1961,"
        "Facility; Government,https://lake.example/%D0%BE\n"
        ",Hill Centre*English,,,,,\n"
    )
    assert found.columns[:2] == ("id", "names.types.label")
    assert found.rows[0].cells[2] == "Озерный институт*Russian; L`Institut du lac*French; "
    assert found.rows[0].cells[3:6] == ("0000 0001 2345 6789", "1961", "Facility; Government")
    assert found.rows[1] == Row(3, 3, ("", "Hill Centre*English", "", "", "", "", ""))


def test_a_list_of_organization_identifiers_is_read_with_its_tabs_and_odd_columns() -> None:
    found = table(
        "publisher id\tid in file\tid on registry\t\n"
        "lake-aid\tXX-REG-12 34\txx_reg-1234\t\t\n"
        "hill-aid\tXX-REG-9\t\t\n"
        "Lake Aid - UK\tXX-9\n"
    )
    assert found.columns == ("publisher id", "id in file", "id on registry")
    assert [row.cells[2] for row in found.rows] == ["xx_reg-1234", "", ""]
    assert "1 row has fewer cells" in found.notes[0]


def test_a_dump_that_is_no_table_is_refused_with_what_to_send() -> None:
    dump = b'[\n  {"id": "https://lake.example/1", "names": [{"value": "Lake Institute", "types": ["label"]}]}\n]'
    assert "application/json" in str(refusal(dump))
    file = b"<iati-organisations version='2.03'><iati-organisation/></iati-organisations>"
    assert "XML" in str(refusal(file))


def test_a_list_of_bodies_with_a_status_keeps_commas_and_remarks_in_names() -> None:
    assert cells(
        "Organization,Status,Year\r\n"
        '"Union of Lakes, Rivers and Hills (formerly Union of Lakes), International",Special,1996\r\n'
        "Lake Aid - UK,Roster,\r\n"
    ) == [
        ("Union of Lakes, Rivers and Hills (formerly Union of Lakes), International", "Special", "1996"),
        ("Lake Aid - UK", "Roster", ""),
    ]


def test_a_list_of_treaties_copied_from_a_page_shows_where_columns_ran_together() -> None:
    found = table(
        "No.\tParties\tTitle\tPlace and date\n"
        "55152 to 55196\tLakeland and Hillland\tAgreement on lakes\tOslo, 3 May 2018\n"
        "55197\tLakeland\tand Hillland\tAccord sur les lacs\tOslo, 3 mai 2018\n"
    )
    assert [(row.line, row.cells[0]) for row in found.rows] == [(2, "55152 to 55196")]
    assert [(fault.line, fault.code) for fault in found.faults] == [(3, "surplus_cells")]


def test_a_list_of_channels_keeps_parentheses_slashes_and_empty_descriptions() -> None:
    assert cells(
        "code,name,description\r\n"
        "47001,(Lake Plan) Special Fund for HIV/AIDS,\r\n"
        '47002,"Bank for Hills, Lakes - Western Trust Fund (except contributions tied to roads)",\r\n'
    ) == [
        ("47001", "(Lake Plan) Special Fund for HIV/AIDS", ""),
        ("47002", "Bank for Hills, Lakes - Western Trust Fund (except contributions tied to roads)", ""),
    ]


def test_a_fact_sheet_copied_from_a_page_keeps_values_where_they_are() -> None:
    found = table(
        "Name\tEstablished in\tHeadquarters\tOfficial relations since\n"
        "Union of Lakes (UL)\t1952\tOslo\t2008-2009\n"
        "Union des collines (UC)\t\t1964\tParis\tsince 1970\n"
    )
    assert [row.cells for row in found.rows] == [("Union of Lakes (UL)", "1952", "Oslo", "2008-2009")]
    assert [(fault.line, fault.code) for fault in found.faults] == [(3, "surplus_cells")]


def test_a_ministry_sheet_keeps_several_partners_in_one_cell() -> None:
    found = read(
        (
            "Partenaire;Type;Pays;Signé le;Début;Fin;Statut;Contact\r\n"
            '"Université du Lac\nInstitut des Collines";accord cadre;D;13/05/2016;2016-17;ongoing;tacit renewal;\r\n'
            "École d’été;convention;A;;TBC;n/a;;\r\n"
            ";;;;;;;\r\n"
        ).encode("cp1252"),
        None,
    )
    assert found.charset == "Windows-1252"
    assert found.columns[3] == "Signé le"
    assert found.rows[0].cells[0] == "Université du Lac\nInstitut des Collines"
    assert [(row.line, row.number) for row in found.rows] == [(2, 2), (4, 3)]


def test_a_monitor_with_split_dates_keeps_each_part_apart() -> None:
    assert cells("unit:name,date,date:day,date:month,date:year\nLake Guard,2012-05,,5,2012\nHill Guard,,,,\n") == [
        ("Lake Guard", "2012-05", "", "5", "2012"),
        ("Hill Guard", "", "", "", ""),
    ]


def test_a_register_of_enterprises_keeps_leading_zeros_and_codes() -> None:
    assert cells(
        '"EntityNumber","Language","TypeOfDenomination","Denomination","StartDate"\r\n'
        '"0200.065.765","2","001","Intergemeentelijke vereniging ""Het Meer""","09-08-1960"\r\n'
    ) == [("0200.065.765", "2", "001", 'Intergemeentelijke vereniging "Het Meer"', "09-08-1960")]
