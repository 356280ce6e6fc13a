"""A record as a row of cells, and back: what tables on paper, in spreadsheets and in CSV hold of a noun.

A cell is a text and says what the record says, so that a row that is read again is the same record:

- nothing stated is an empty cell; a text that is empty, or made of quotation marks alone, stands between two of them (`""`);
- a list is `a; b; c`, texts by key are `en: Training; fr: Formation`;
- a list of objects of which two fields must be there is written by these two: `ilo (co_organizer); unctad (partner)` where
  the second is a word of a vocabulary, else `ror: 01e2; isni: 0000`;
- whenever that would not be read as exactly the same items (one has a note, a value holds a semicolon, …), and for all
  other lists of objects, the cell is JSON.

What a spreadsheet would take for a formula is left as it is: whoever writes a file for one sees to that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.kit.db import table_of
from app.kit.errors import Fault, Invalid, RegistryError
from app.kit.records import pointer_of
from app.kit.resource import COMMON, Embedded, Linked, Plan, Resource, Rows
from app.kit.shapes import Shape, default_of, shape_of
from app.kit.strict_json import parse_text
from app.kit.views import paths

SEPARATOR = "; "
_QUOTES = re.compile('"*')
_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)

Dated = Callable[[str], str | None]
"""Reads what somebody wrote for a date: EDTF, or None for nothing. Raises ValueError, in words."""


# --- forms: how one field is written in a cell, and read ------------------------------------------------------------


class Form(Protocol):
    """`write` takes what JSON holds there, `read` a text with something in it. Reading raises ValueError in words, or a
    RegistryError."""

    @property
    def about(self) -> str: ...
    def write(self, value: Any) -> str: ...
    def read(self, cell: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class Text:
    """A text as it is; a date, a moment, a word of a vocabulary and a slug are texts too."""

    about: str = "text"

    def write(self, value: str) -> str:
        return value if value.strip('"') else f'"{value}"'

    def read(self, cell: str) -> str:
        return cell[1:-1] if len(cell) > 1 and _QUOTES.fullmatch(cell) else cell


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a vocabulary; people write it with blanks and capitals."""

    words: frozenset[str]
    about: str = "word"

    def write(self, value: str) -> str:
        return value

    def read(self, cell: str) -> str:
        word = "_".join(cell.casefold().replace("-", " ").replace("_", " ").split())
        return word if word in self.words else cell


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number."""

    about: str = "whole number"

    def write(self, value: int) -> str:
        return str(value)

    def read(self, cell: str) -> int:
        if not _WHOLE.fullmatch(cell):
            raise ValueError("A whole number is written in digits alone.")
        return int(cell)


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false; spreadsheets write them in capitals."""

    about: str = "`true` or `false`"

    def write(self, value: bool) -> str:  # noqa: FBT001  # a form takes the value alone
        return "true" if value else "false"

    def read(self, cell: str) -> bool:
        if cell.lower() not in ("true", "false"):
            raise ValueError("It is true or false.")
        return cell.lower() == "true"


@dataclass(frozen=True, slots=True)
class Json:
    """Whatever has no shorter form."""

    about: str = "JSON"
    part: type[BaseModel] | None = None

    def write(self, value: Any) -> str:
        return _json(value if self.part is None else [_said(self.part, item) for item in value])

    def read(self, cell: str) -> Any:
        return parse_text(cell, called="The cell")


@dataclass(frozen=True, slots=True)
class Listed:
    """Several values: `a; b; c`."""

    item: Form
    of: str

    @property
    def about(self) -> str:
        return f"{self.of}s: `a; b; c`"

    def write(self, value: Sequence[Any]) -> str:
        return _shortest(self, SEPARATOR.join(self.item.write(item) for item in value), value)

    def read(self, cell: str) -> list[Any]:
        return _array(cell) if cell.startswith("[") else [self.item.read(piece) for piece in _pieces(cell)]


@dataclass(frozen=True, slots=True)
class Keyed:
    """Texts by key: `en: Training; fr: Formation`."""

    about: str = "texts by key: `en: Training; fr: Formation`"

    def write(self, value: Mapping[str, str]) -> str:
        return _shortest(self, SEPARATOR.join(f"{key}: {text}" for key, text in value.items()), value)

    def read(self, cell: str) -> Any:
        if cell.startswith("{"):
            return parse_text(cell, called="The cell")
        pairs = [_halves(piece) for piece in _pieces(cell)]
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("A key stands twice in it.")
        return found


@dataclass(frozen=True, slots=True)
class Pairs:
    """Objects of which two fields must be there: `first (second)` where the second is a word, else `first: second`."""

    part: type[BaseModel]
    names: tuple[str, str]
    forms: tuple[Form, Form]
    word: bool

    @property
    def about(self) -> str:
        first, second = self.names
        return f"`{first} ({second}); …`" if self.word else f"`{first}: {second}; …`"

    def write(self, value: Sequence[Mapping[str, Any]]) -> str:
        items = [_said(self.part, item) for item in value]
        if any(tuple(item) != self.names for item in items):
            return _json(items)
        return _shortest(self, SEPARATOR.join(self._compact(item) for item in items), items)

    def _compact(self, item: Mapping[str, Any]) -> str:
        first, second = (form.write(item[name]) for name, form in zip(self.names, self.forms, strict=True))
        return f"{first} ({second})" if self.word else f"{first}: {second}"

    def read(self, cell: str) -> list[Any]:
        return _array(cell) if cell.startswith("[") else [self._item(piece) for piece in _pieces(cell)]

    def _item(self, piece: str) -> dict[str, Any]:
        halves = _named(piece) if self.word else _halves(piece)
        return {name: form.read(half) for name, form, half in zip(self.names, self.forms, halves, strict=True) if half}


def _shortest(form: Form, compact: str, value: Any) -> str:
    """The compact text, if it is read as exactly `value`; else JSON."""
    try:
        same = compact != "" and form.read(compact.strip()) == value
    except (ValueError, RegistryError):
        same = False
    return compact if same else _json(value)


def _said(part: type[BaseModel], item: Mapping[str, Any]) -> dict[str, Any]:
    """What an item says: its fields, without those that hold what they hold anyway."""
    fields = part.model_fields
    return {n: item[n] for n, f in fields.items() if n in item and (f.is_required() or item[n] != default_of(f))}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _array(cell: str) -> list[Any]:
    found = parse_text(cell, called="The cell")
    if not isinstance(found, list):
        raise ValueError("A cell that begins with [ holds a JSON array.")
    return found


def _pieces(cell: str) -> list[str]:
    return [piece for part in cell.split(";") if (piece := part.strip())]


def _halves(piece: str) -> tuple[str, str]:
    first, colon, second = piece.partition(":")
    if not colon:
        raise ValueError(f"In {piece[:50]!r} a colon is missing: write key: value; key: value.")
    return first.strip(), second.strip()


def _named(piece: str) -> tuple[str, str]:
    first, bracket, second = piece.removesuffix(")").rpartition("(")
    if not bracket or not piece.endswith(")"):
        raise ValueError(f"After {piece[:50]!r} a word in parentheses is missing: write first (word); second (word).")
    return first.strip(), second.strip()


# --- the columns of a noun ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    """One column: where its value stands in the record, and how it is written. `written` are those that a row is read
    for."""

    name: str
    path: tuple[str, ...]
    form: Form
    meaning: str
    empty: Any = None
    dated: bool = False
    written: bool = False

    def read(self, cell: str, dated: Dated) -> Any:
        text: str | None = cell.strip()
        if text and self.dated:
            text = dated(text)
        return self.form.read(text) if text else copy(self.empty)


def columns(resource: Resource[Any]) -> tuple[str, ...]:
    """The names of the noun's columns: the common fields; its own in the order of its input class, an object's fields
    behind its name and a dot; the computed ones that are single values; `sources`, those of its evidence. Stable: a new
    field adds a column and moves no value to another."""
    return tuple(_layout(resource))


def row(resource: Resource[Any], document: Mapping[str, Any]) -> list[str]:
    """The cells of a record, as GET answers it, in the order of `columns`."""
    write: type[BaseModel] = resource.write
    return [render(document) for render in _renderers(write, resource.read)]


def described(resource: Resource[Any]) -> Iterator[tuple[str, str, str]]:
    """Of each column the name, what it means, and the form of its cells."""
    links = paths(resource)
    for column in _layout(resource).values():
        link = links.get(column.name)
        yield column.name, column.meaning, column.form.about if link is None else _of_link(link, column.form)


def _of_link(link: Linked, form: Form) -> str:
    noun = "a record of the noun beside it" if link.table is None else link.table.info["noun"]
    return f"slugs of {noun}: `a; b; c`" if isinstance(form, Listed) else f"slug of {noun}"


Renderer = Callable[[Any], str]
"""Writes one cell of a document."""


@cache
def _renderers(write: type[BaseModel], read: type[BaseModel]) -> list[Renderer]:
    """What writes the cells of a row, in its order. Made once: a million rows have twenty million cells."""
    return [_renderer(column) for column in _laid_out(write, read).values()]


def _renderer(column: Column) -> Renderer:
    *outer, last = column.path
    form, empty = column.form.write, column.empty

    def plain(document: Any) -> str:
        value: str | None = document.get(last)
        return "" if value is None else value if value and value[0] != '"' else form(value)

    def any_other(document: Any) -> str:
        for step in outer:
            document = document.get(step)
            if not isinstance(document, dict):
                return ""
        value = document.get(last)
        if value is None or (not value and isinstance(value, str | list | dict) and value == empty):
            return ""
        return form(value)

    return plain if isinstance(column.form, Text) and not outer and empty is None else any_other


def _layout(resource: Resource[Any]) -> dict[str, Column]:
    write: type[BaseModel] = resource.write
    return _laid_out(write, resource.read)


@cache
def _laid_out(write: type[BaseModel], read: type[BaseModel]) -> dict[str, Column]:
    """The columns of a noun, by name. Kept: drawing them takes longer than writing a row."""
    shown = read.model_fields
    own = [column for name, info in write.model_fields.items() if name not in COMMON for column in _own((name,), info)]
    common = [Column(name, (name,), form_of(shape_of(shown[name])), _meaning(name, shown[name])) for name in COMMON]
    computed = [
        Column(name, (name,), form, _meaning(name, info))
        for name, info in shown.items()
        if name not in write.model_fields
        and name not in COMMON
        and isinstance(form := form_of(shape_of(info)), _SINGLE)
    ]
    sources = [_SOURCES] if "evidence" in shown else []
    return {column.name: column for column in (*common, *own, *computed, *sources)}


def _own(path: tuple[str, ...], info: FieldInfo) -> Iterator[Column]:
    shape = shape_of(info)
    if shape.part is not None and shape.single:
        for name, inner in shape.part.model_fields.items():
            yield from _own((*path, name), inner)
        return
    empty = None if shape.nullable else [] if shape.many else {} if shape.keyed else default_of(info)
    dated = shape.edtf and shape.single
    yield Column(".".join(path), path, form_of(shape), _meaning(path[-1], info), empty, dated, written=True)


_SOURCES = Column("sources", ("evidence", "sources"), Listed(Text(), "slug"), "The sources that are cited for it.", [])
_SINGLE = (Text, Word, Whole, Flag)
_SCALARS: tuple[tuple[tuple[type, ...], Form], ...] = (
    ((bool,), Flag()),
    ((int,), Whole()),
    ((datetime,), Text("moment (RFC 3339)")),
    ((date,), Text("day")),
    ((str,), Text()),
)


def form_of(shape: Shape) -> Form:
    """How such a field is written in a cell."""
    if shape.keyed:
        return Keyed() if shape.is_a(str) else Json()
    if shape.part is not None:
        return _objects(shape.part) if shape.many else Json()
    single = _single(shape)
    return Listed(single, single.about) if shape.many and not isinstance(single, Json) else single


def _single(shape: Shape) -> Form:
    if shape.vocabulary is not None:
        return Word(frozenset(shape.vocabulary))
    if shape.edtf:
        return Text("date (EDTF)")
    return next((form for classes, form in _SCALARS if shape.is_a(*classes)), Json())


def _objects(part: type[BaseModel]) -> Form:
    needed = {name: shape_of(info) for name, info in part.model_fields.items() if info.is_required()}
    forms = [_single(shape) for shape in needed.values() if shape.single]
    if len(needed) != 2 or len(forms) != 2 or any(isinstance(form, Json) for form in forms):
        return Json(part=part)
    (one, _), (other, second) = needed.items()
    return Pairs(part, (one, other), (forms[0], forms[1]), word=second.vocabulary is not None)


def _meaning(name: str, info: FieldInfo) -> str:
    """The field's description; else that of its vocabulary or of its items; else its name in words."""
    shape = shape_of(info)
    about = shape.vocabulary or shape.part
    words = name.replace("_", " ").capitalize() + "."
    return " ".join((info.description or (about.__doc__ if about else None) or words).split())


# --- reading a row --------------------------------------------------------------------------------------------------


def values(
    resource: Resource[Any], columns: Sequence[str], cells: Sequence[str], *, dated: Dated = lambda text: text
) -> dict[str, Any]:
    """The document that a row says, as `records.validated` takes it: the fields that have a column, and the slug if the row
    gives one. An empty cell is null, an empty list, or what the field holds when nothing is said of it. The common and
    computed columns are read past (the id: `key`). `dated` reads the cells of dates.
    Raises Invalid, with a pointer to the field for each column that is unknown or repeated and each cell that cannot be
    read."""
    layout = _layout(resource)
    faults = [*_astray(layout, columns, cells)]
    found: dict[str, Any] = {}
    for name, cell in zip(columns, cells, strict=False):
        column = layout.get(name)
        if name == "slug" and cell.strip():
            found[name] = cell.strip()
        elif column is not None and column.written:
            try:
                _put(found, column.path, column.read(cell, dated))
            except (ValueError, RegistryError) as error:
                faults.append(Fault("cell", f"{name}: {error}", pointer=_pointer(column)))
    if faults:
        raise Invalid("Some cells cannot be read.", faults=faults)
    return found


def key(columns: Sequence[str], cells: Sequence[str]) -> str | None:
    """Which record the row is: its id, else its slug, else None."""
    given = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
    return given.get("id") or given.get("slug") or None


def column_at(resource: Resource[Any], pointer: str) -> str | None:
    """The column in which a fault at this JSON Pointer lies (`/participants/0/role`: participants), if any does."""
    layout = _layout(resource).values()
    return next((c.name for c in layout if f"{pointer}/".startswith(f"{_pointer(c)}/")), None)


def _astray(layout: Mapping[str, Column], columns: Sequence[str], cells: Sequence[str]) -> Iterator[Fault]:
    """What is wrong with the row as a whole. A spreadsheet's empty columns are nothing wrong."""
    for n, name in enumerate(columns):
        if name and name in columns[:n]:
            yield Fault("repeated_column", f"The column {name[:50]!r} stands twice.", pointer=pointer_of([name[:50]]))
        elif name not in layout and (name or "".join(cells[n : n + 1]).strip()):
            known = ", ".join(layout)
            yield Fault(
                "unknown_column", f"There is no column {name[:50]!r}. Known: {known}.", pointer=pointer_of([name[:50]])
            )
    if len(cells) < len(columns) or any(cell.strip() for cell in cells[len(columns) :]):
        yield Fault("cells", f"The row has {len(cells)} cells, and there are {len(columns)} columns.", pointer="")


def _put(document: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for step in path[:-1]:
        document = document.setdefault(step, {})
    document[path[-1]] = value


def _pointer(column: Column) -> str:
    return pointer_of(column.path)


# --- references of a document that is not validated yet -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Named:
    """A reference as somebody wrote it: where it stands, which table it leads to, its text; and a way to put another text
    (a slug) in its place."""

    pointer: str
    table: sa.Table
    text: str
    put: Callable[[str], None]


def walk_references(resource: Resource[Any], document: Mapping[str, Any]) -> Iterator[Named]:
    """Every reference in a document that need not be valid: whatever is no text where a reference belongs is passed by."""
    yield from _references(resource.plan, document, "")


def referring(resource: Resource[Any], to: sa.Table | None = None) -> Iterator[str]:
    """The fields of a noun that hold references: to any, or to one table."""
    for planned in resource.plan.fields:
        tables = list(_referred(planned))
        if tables if to is None else any(table in (to, None) for table in tables):
            yield planned.name


def _referred(planned: Any) -> Iterator[sa.Table | None]:
    """The tables to which a field refers; None for one that a field beside it names."""
    if isinstance(planned, Linked):
        yield planned.table
    elif isinstance(planned, Rows) and planned.item is not None:
        yield from _referred(planned.item)
    elif isinstance(planned, Rows | Embedded) and planned.plan is not None:
        for inner in planned.plan.fields:
            yield from _referred(inner)


def _references(plan: Plan, document: Any, pointer: str) -> Iterator[Named]:
    if not isinstance(document, dict):
        return
    for planned in plan.fields:
        value, where = document.get(planned.name), f"{pointer}/{planned.name}"
        if isinstance(planned, Linked):
            yield from _reference(planned, document, document, planned.name, where)
        elif isinstance(planned, Embedded):
            yield from _references(planned.plan, value, where)
        elif isinstance(planned, Rows) and isinstance(value, list):
            yield from _in_rows(planned, value, document, where)


def _in_rows(planned: Rows, items: list[Any], document: dict[str, Any], pointer: str) -> Iterator[Named]:
    for n, item in enumerate(items):
        if planned.plan is not None:
            yield from _references(planned.plan, item, f"{pointer}/{n}")
        elif isinstance(planned.item, Linked):
            yield from _reference(planned.item, document, items, n, f"{pointer}/{n}")


def _reference(link: Linked, around: dict[str, Any], holder: Any, place: Any, pointer: str) -> Iterator[Named]:
    """`around` is the object whose field `noun` may choose the table; `holder[place]` is the reference."""
    text = holder[place] if isinstance(holder, list) else holder.get(place)
    table = link.table
    if table is None:
        model = (link.among or {}).get(str(around.get("noun")))
        table = None if model is None else table_of(model)
    if isinstance(text, str) and table is not None:
        yield Named(pointer, table, text, lambda slug: holder.__setitem__(place, slug))
