"""Files: what an import reads. NDJSON, a record a line, as exports and the seed have it; or a table (CSV) of one noun."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import IO, Any
from urllib.parse import unquote

from app.exchange import cells, tables
from app.exchange.imports import File, Problem
from app.exchange.loose_dates import First, edtf_of
from app.exchange.staging import Row
from app.kit.errors import RegistryError
from app.kit.resource import Resource
from app.kit.strict_json import parse_text

LONGEST_LINE = 1_048_576
"""Bytes of one record."""
NDJSON, CSV = "application/x-ndjson", "text/csv"
Nouns = Mapping[str, Resource[Any]]
"""The nouns, by their names in paths."""

# --- NDJSON -----------------------------------------------------------------------------------------------------------


def lines(source: bytes | IO[bytes], nouns: Nouns, noun: Resource[Any] | None) -> File:
    """A record a line, each a JSON object: of `noun`, or with the name of its noun in the field `noun`. Blank lines are passed
    by. A source on disk is read line by line."""
    return File(_Lines(_seekable(source), nouns, noun))


def _seekable(source: bytes | IO[bytes]) -> IO[bytes]:
    return BytesIO(source) if isinstance(source, bytes) else source


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines of a file, from the first one whenever it is asked."""

    source: IO[bytes]
    nouns: Nouns
    noun: Resource[Any] | None

    def __iter__(self) -> Iterator[Row | Problem]:
        self.source.seek(0)
        for number, line in enumerate(_cut(self.source), 1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if text.strip():
                try:
                    yield _line(number, text, self.nouns, self.noun)
                except _Unread as unread:
                    yield from unread.problems


def _cut(source: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file; of one that is too long only so much that it is seen."""
    while line := source.readline(LONGEST_LINE + 2):
        yield line.removesuffix(b"\n")
        while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            line = source.readline(LONGEST_LINE)


class _Unread(Exception):
    """A line that is no record."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems


def _line(number: int, line: bytes, nouns: Nouns, noun: Resource[Any] | None) -> Row:
    values = _object(number, line)
    named = values.pop("noun", None)
    if noun is None and (not isinstance(named, str) or named not in nouns):
        allowed = f"Say in the field `noun` of which noun it is: {', '.join(nouns)}."
        raise _Unread(Problem(number, "noun", allowed, pointer="/noun"))
    if noun is not None and named not in (None, noun.plural):
        message = f"This file is one of {noun.plural}, and this record says that it is of {str(named)[:50]!r}."
        raise _Unread(Problem(number, "noun", message, pointer="/noun"))
    return Row(number, noun or nouns[named], values)


def _object(number: int, line: bytes) -> dict[str, Any]:
    if len(line) > LONGEST_LINE:
        raise _Unread(Problem(number, "line_too_long", f"A record may have {LONGEST_LINE} bytes."))
    try:
        values = parse_text(line.decode(), called="The line")
    except UnicodeDecodeError as error:
        raise _Unread(Problem(number, "encoding", f"The line is not UTF-8: byte {error.start} does not fit.")) from None
    except RegistryError as error:
        raise _Unread(*(_problem(number, error))) from None
    if not isinstance(values, dict):
        raise _Unread(Problem(number, "not_an_object", "A record is a JSON object.", pointer=""))
    return values


def _problem(number: int, error: RegistryError) -> Iterator[Problem]:
    if not error.faults:
        yield Problem(number, "malformed", error.detail)
    for fault in error.faults:
        yield Problem(number, fault.code, f"{error.detail} {fault.message}", pointer=fault.pointer)


# --- tables -----------------------------------------------------------------------------------------------------------


def table(
    source: bytes | IO[bytes],
    noun: Resource[Any],
    *,
    charset: str | None = None,
    renamed: Mapping[str, str] | None = None,
    first: First | None = None,
) -> File:
    """The rows of a delimited text file. Its columns are the noun's (see cells.columns), in any order and whatever their case;
    `renamed` says which other column is which, or with "" that one is to be passed by. References may be names, dates may be
    written as people write them; `first` says whether day or month stands first in them. A source on disk is
    read row by row."""
    try:
        read = tables.read(_seekable(source), charset)
    except tables.TableError as error:
        return File([_of_table(fault) for fault in error.faults])
    names, unknown = _columns(read.columns, noun, renamed or {})
    if unknown:
        return File(unknown, read.notes)
    return File(_Rows(read.rows, noun, names, partial(edtf_of, first=first)), read.notes)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a table, from the first one whenever it is asked."""

    rows: Iterable[tables.Row | tables.TableFault]
    noun: Resource[Any]
    names: Sequence[str | None]
    dated: cells.Dated

    def __iter__(self) -> Iterator[Row | Problem]:
        for each in self.rows:
            if isinstance(each, tables.TableFault):
                yield _of_table(each)
            else:
                yield from _row(each, self.noun, self.names, self.dated)


def renamed(text: str) -> dict[str, str]:
    """`Partner:name,Contact:` → {"Partner": "name", "Contact": ""}. A comma or colon in a name is percent-encoded. Raises
    ValueError."""
    pairs = [piece.rpartition(":") for piece in text.split(",") if piece]
    if not all(colon and name for name, colon, _ in pairs):
        raise ValueError("Write Partner:name,Contact: (its column, a colon, ours or nothing).")
    return {unquote(name).strip(): unquote(target).strip() for name, _, target in pairs}


def _columns(
    given: Sequence[str], noun: Resource[Any], renamed: Mapping[str, str]
) -> tuple[list[str | None], list[Problem]]:
    """Which column of the noun each given one is (None: to be passed by), and what is wrong with the others."""
    known = {_plain(name): name for name in cells.columns(noun)}
    meant = {_plain(name): target for name, target in renamed.items()}
    names: list[str | None] = []
    problems = []
    for name in given:
        target = meant.get(_plain(name), name)
        found = known.get(_plain(target)) if target else None
        if target and (found is None or found in names):
            problems.append(_astray(name, found, known.values()))
        names.append(found)
    strangers = [name for name in renamed if _plain(name) not in map(_plain, given)]
    problems += [
        Problem(1, "unknown_column", f"The file has no column {name[:80]!r}.", column=name) for name in strangers
    ]
    return names, problems


def _astray(name: str, found: str | None, known: Iterable[str]) -> Problem:
    if found is not None:
        return Problem(1, "repeated_column", f"Two columns are {found}.", column=name)
    message = (
        f"There is no column {name[:80]!r}. Known: {', '.join(known)}. Say which one it is (columns={name[:80]}:name), "
        f"or that it is to be passed by (columns={name[:80]}:)."
    )
    return Problem(1, "unknown_column", message, column=name)


def _plain(name: str) -> str:
    return name.casefold().replace(" ", "_").replace("-", "_")


def _row(
    row: tables.Row, noun: Resource[Any], names: Sequence[str | None], dated: cells.Dated
) -> Iterator[Row | Problem]:
    """What is wrong with cells of the row, and the row without these."""
    pairs = [(name, cell) for name, cell in zip(names, row.cells, strict=True) if name is not None]
    faulty: set[str] = set()
    try:
        values = cells.values(noun, *_apart(pairs), dated=dated)
    except RegistryError as error:
        yield from _of_cells(row, noun, error)
        faulty = {fault.pointer or "" for fault in error.faults}
        columns = {cells.column_at(noun, pointer) for pointer in faulty}
        values = cells.values(noun, *_apart([pair for pair in pairs if pair[0] not in columns]), dated=dated)
    identifier = dict(pairs).get("id", "").strip()
    given = {**values, **({"id": identifier} if identifier else {})}
    yield Row(row.line, noun, given, number=row.number, named=True, faulty=faulty)


def _apart(pairs: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [name for name, _ in pairs], [cell for _, cell in pairs]


def _of_table(fault: tables.TableFault) -> Problem:
    return Problem(fault.line, fault.code, fault.message, column=fault.column, row=fault.row)


def _of_cells(row: tables.Row, noun: Resource[Any], error: RegistryError) -> Iterator[Problem]:
    for fault in error.faults:
        column = cells.column_at(noun, fault.pointer) if fault.pointer else None
        yield Problem(row.line, fault.code, fault.message, pointer=fault.pointer, column=column, row=row.number)
