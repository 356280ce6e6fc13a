"""A noun is a description: its classes, columns and rules, and the plan by which its fields reach its columns.

The plan is drawn once, when the description is made, and a field that finds no column (or a column's name that finds no
field) stops the program there, not a request later.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from functools import cached_property, lru_cache
from typing import Annotated, Any, Generic, NamedTuple, TypeVar, Union
from uuid import UUID

import msgspec
import sqlalchemy as sa
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sqlalchemy.orm import InstrumentedAttribute, Mapper

from app.kit import edtf
from app.kit.db import NUMBER, Record, Transaction, UtcDateTime, table_of
from app.kit.outlines import Outlines
from app.kit.search import Texts
from app.kit.text import fold

In = TypeVar("In", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Reference:
    """Marks a field that holds the slug (or id) of another record.

    The table is the one that the column's foreign key names; where a sibling field `noun` chooses among several nouns,
    `among` maps that field's values to their tables.
    """

    among: Mapping[str, type[Record]] | None = None


Ref = Annotated[str, Reference()]


@dataclass(frozen=True, slots=True)
class Link:
    """A reference found in a document: where it stands and what it names."""

    pointer: str
    table: sa.Table
    key: str


@dataclass(frozen=True, slots=True)
class Target:
    """The record that a link resolved to."""

    id: UUID
    slug: str


Targets = Mapping[tuple[str, str], Target]  # (table, key as given) -> the record


# --- the plan: one small object a field -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plain:
    """A field that goes into the column of its name as it is."""

    name: str
    column: str
    folded: tuple[str, ...] = ()  # further columns that hold its folded key
    moment: bool = False

    @property
    def straight(self) -> bool:
        """Whether what is given, shown and stored is one and the same."""
        return type(self) is Plain and not self.folded and not self.moment

    def links(self, value: Any, pointer: str, around: Any) -> Iterator[Link]:  # noqa: ARG002
        return iter(())

    def show(self, value: Any, targets: Targets, around: Any) -> Any:  # noqa: ARG002
        return value.astimezone(UTC) if self.moment and value is not None else value

    def fill(self, row: dict[str, Any], value: Any, targets: Targets, around: Any) -> None:  # noqa: ARG002
        row[self.column] = value
        for column in self.folded:
            row[column] = fold(value)


@dataclass(frozen=True)
class Dated(Plain):
    """An EDTF field: its text and four bounds."""

    def fill(self, row: dict[str, Any], value: Any, targets: Targets, around: Any) -> None:  # noqa: ARG002
        text, *bounds = self.columns
        row[text] = value
        if value is None:
            row.update(dict.fromkeys(bounds))
        else:
            date = edtf.parse(value)
            row.update(zip(bounds, (date.earliest, date.begun, date.ended, date.latest), strict=True))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"{self.column}_{part}" for part in ("edtf", "earliest", "begun", "ended", "latest"))


@dataclass(frozen=True, slots=True)
class Linked:
    """A field that names another record: shown as its slug, stored as its id."""

    name: str
    column: str
    table: sa.Table | None
    among: Mapping[str, type[Record]] | None

    def _table(self, around: Any) -> sa.Table:
        return self.table if self.table is not None else table_of((self.among or {})[around.noun])

    def links(self, value: Any, pointer: str, around: Any) -> Iterator[Link]:
        if value is not None:
            yield Link(pointer, self._table(around), value)

    def show(self, value: Any, targets: Targets, around: Any) -> Any:
        return None if value is None else targets[self._table(around).name, value].slug

    def fill(self, row: dict[str, Any], value: Any, targets: Targets, around: Any) -> None:
        row[self.column] = None if value is None else targets[self._table(around).name, value].id


@dataclass(frozen=True, slots=True)
class Embedded:
    """A field that is an object of its own, stored in the same row under prefixed columns."""

    name: str
    plan: Plan

    def links(self, value: Any, pointer: str, around: Any) -> Iterator[Link]:  # noqa: ARG002
        return self.plan.links(value, pointer)

    def show(self, value: Any, targets: Targets, around: Any) -> Any:  # noqa: ARG002
        return self.plan.show(value, targets)

    def fill(self, row: dict[str, Any], value: Any, targets: Targets, around: Any) -> None:  # noqa: ARG002
        self.plan.fill(row, value, targets)


@dataclass(frozen=True, slots=True)
class Rows:
    """A list field: a child table, one row an item, in order."""

    name: str
    table: sa.Table
    parent: str
    claims: tuple[str, ...]
    plan: Plan | None  # of an item that is an object
    item: Plain | Linked | None  # of an item that is a single value

    def links(self, value: Any, pointer: str, around: Any) -> Iterator[Link]:
        for n, item in enumerate(value):
            if self.plan is not None:
                yield from self.plan.links(item, f"{pointer}/{n}")
            elif self.item is not None:
                yield from self.item.links(item, f"{pointer}/{n}", around)

    def show(self, value: Any, targets: Targets, around: Any) -> Any:
        if self.plan is not None:
            return [self.plan.show(item, targets) for item in value]
        return [self.item.show(item, targets, around) for item in value] if self.item else value

    def fill(self, row: dict[str, Any], value: Any, targets: Targets, around: Any) -> None:
        """Nothing: the items have rows of their own."""

    def rows(self, parent: UUID, value: Any, targets: Targets, around: Any) -> Iterator[dict[str, Any]]:
        for n, item in enumerate(value):
            row: dict[str, Any] = {self.parent: parent, "position": n}
            if self.plan is not None:
                self.plan.fill(row, item, targets)
            elif self.item is not None:
                self.item.fill(row, item, targets, around)
            if self.claims:
                row["claim"] = claim_of(row, self.claims)
            yield row


Planned = Plain | Dated | Linked | Embedded | Rows


@dataclass(frozen=True, slots=True)
class Plan:
    """How the fields of a Pydantic class reach the columns of a table, and how they are shown."""

    fields: tuple[Planned, ...]
    children: tuple[Rows, ...] = field(init=False)
    referring: tuple[Planned, ...] = field(init=False)
    _names: tuple[str, ...] = field(init=False)
    _straight: tuple[tuple[str, str], ...] = field(init=False)  # names and columns
    _others: tuple[Planned, ...] = field(init=False)

    def __post_init__(self) -> None:
        straight = [planned for planned in self.fields if isinstance(planned, Plain) and planned.straight]
        for name, value in (
            ("children", tuple(planned for planned in self.fields if isinstance(planned, Rows))),
            ("referring", tuple(filter(_refers, self.fields))),
            ("_names", tuple(planned.name for planned in self.fields)),
            ("_straight", tuple((planned.name, planned.column) for planned in straight)),
            ("_others", tuple(planned for planned in self.fields if planned not in straight)),
        ):
            object.__setattr__(self, name, value)

    def links(self, data: BaseModel, pointer: str = "") -> Iterator[Link]:
        for planned in self.referring:
            yield from planned.links(getattr(data, planned.name), f"{pointer}/{planned.name}", data)

    def show(self, data: BaseModel, targets: Targets) -> dict[str, Any]:
        values = data.__dict__
        shown = {name: values[name] for name in self._names}
        for planned in self._others:
            shown[planned.name] = planned.show(values[planned.name], targets, data)
        return shown

    def fill(self, row: dict[str, Any], data: BaseModel, targets: Targets) -> None:
        values = data.__dict__
        for name, column in self._straight:
            row[column] = values[name]
        for planned in self._others:
            planned.fill(row, values[planned.name], targets, data)

    def row(self, data: BaseModel, targets: Targets) -> dict[str, Any]:
        row: dict[str, Any] = {}
        self.fill(row, data, targets)
        return row


def _refers(planned: Planned) -> bool:
    """Whether a field can hold references."""
    if isinstance(planned, Rows) and planned.item is not None:
        return _refers(planned.item)
    return isinstance(planned, Linked) or (
        isinstance(planned, Rows | Embedded) and planned.plan is not None and bool(planned.plan.referring)
    )


def claim_of(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """The one text under which a record (or an item) claims to be the only one of its kind."""
    parts = [fold(str(value)) if (value := row[column]) is not None else "" for column in columns]
    if any("\\" in part or "|" in part for part in parts):
        parts = [part.replace("\\", "\\\\").replace("|", "\\|") for part in parts]
    return "|".join(parts)


# --- drawing the plan -----------------------------------------------------------------------------------------------


def draw(cls: type[BaseModel], mapper: Mapper[Any], *, prefix: str = "", skip: frozenset[str] = frozenset()) -> Plan:
    """The plan for `cls` over the table of `mapper`. Raises TypeError for a field that has no place to go."""
    return Plan(
        tuple(_planned(name, info, mapper, prefix) for name, info in cls.model_fields.items() if name not in skip)
    )


def _planned(name: str, info: FieldInfo, mapper: Mapper[Any], prefix: str) -> Planned:
    column, columns = prefix + name, typing.cast(sa.Table, mapper.local_table).c
    kind, marks = _unwrap(info.annotation, info.metadata)
    link = next((mark for mark in marks if isinstance(mark, Reference)), None)
    if name in mapper.relationships and not prefix:
        return _rows(name, kind, marks, mapper.relationships[name].mapper)
    if link is not None and f"{column}_id" in columns:
        return _linked(name, columns[f"{column}_id"], link)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return Embedded(name, draw(kind, mapper, prefix=f"{column}_"))
    if f"{column}_edtf" in columns:
        return Dated(name, column)
    if column in columns:
        folded = tuple(c.name for c in columns if c.info.get("folds") == column)
        return Plain(name, column, folded, moment=isinstance(columns[column].type, UtcDateTime))
    raise TypeError(f"{mapper.class_.__name__} has no column for the field {name!r}")


def _linked(name: str, column: sa.Column[Any], link: Reference) -> Linked:
    table = None if link.among else next(iter(column.foreign_keys)).column.table
    return Linked(name, column.name, table, link.among)


def _rows(name: str, kind: Any, marks: Sequence[Any], child: Mapper[Any]) -> Rows:
    table = typing.cast(sa.Table, child.local_table)
    parent = next(column for column in table.primary_key if column.foreign_keys)
    claims = getattr(child.class_, "__claims__", ())
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return Rows(name, table, parent.name, claims, draw(kind, child), None)
    own = next(column for column in table.c if column not in (parent, table.c.position))
    link = next((mark for mark in marks if isinstance(mark, Reference)), None)
    return Rows(name, table, parent.name, claims, None, _linked(name, own, link) if link else Plain(name, own.name))


def _unwrap(annotation: Any, metadata: Sequence[Any]) -> tuple[Any, list[Any]]:
    """What an annotation is about, without Optional, list and Annotated around it, and the marks met on the way."""
    marks = list(metadata)
    while True:
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is Annotated:
            annotation, more = arguments[0], arguments[1:]
            marks += more
        elif origin in (Union, types.UnionType):
            annotation = next(argument for argument in arguments if argument is not type(None))
        elif origin is list:
            annotation = arguments[0]
        else:
            return annotation, marks


# --- the description ------------------------------------------------------------------------------------------------


class Proposal(NamedTuple, Generic[In]):
    """A write that the rules may still refuse: the record's id, its data, the row about to be stored, the fields in which it
    differs from the record as it was, and whether there was none: then nothing refers to it yet."""

    id: UUID
    data: In
    row: Mapping[str, Any]
    targets: Targets
    changed: frozenset[str]
    fresh: bool


Rule = Callable[[Transaction, Proposal[Any]], None]
Asked = Callable[[Transaction, Sequence[Any]], Mapping[UUID, Mapping[str, Any]]]
"""For a page of rows (with their id, shape and document), by id, some fields that no column holds."""
Told = Callable[[Transaction, Sequence[UUID]], Mapping[UUID, Any]]
"""For some records, by id, what hangs on them."""


@dataclass(frozen=True, slots=True)
class Brought:
    """The same, without a statement of its own: `column` is what the one that reads rows of a noun's table brings along, under
    its name (None where nothing hangs on the record), and `show` makes the fields, of the names of those that hold something
    and of that. `asked` tells it, by id, for rows that were read without it."""

    name: str
    column: Callable[[sa.Table], sa.ColumnElement[Any]]
    show: Callable[[tuple[str, ...], Any], Mapping[str, Any]]
    asked: Told


Computed = Asked | Brought
Collected = Callable[[Transaction, Sequence[UUID]], Iterable[str]]
"""For some records of a noun, the slugs of the records of another that go with them."""


@dataclass(frozen=True)
class Warnings:
    """What the author of a new record may want to know.

    `foresee` is asked while some records are being stored, in a state that does not have them yet: from their data it gives for
    each what may be known by then. `told` is asked in a state that has them: from their data, their ids, and for each what was
    foreseen (None: nothing was) it gives the warnings.
    """

    foresee: Callable[[Transaction, Sequence[Any]], Sequence[Any]]
    told: Callable[[Transaction, Sequence[tuple[Any, UUID]], Sequence[Any]], Sequence[Sequence[Mapping[str, Any]]]]


COMMON = ("id", "slug", "version", "created_at", "updated_at")


@dataclass(frozen=True)
class Resource(Generic[In]):
    """Everything the kit needs to know of a noun.

    `titled` gives the text that a slug is derived from, `texts` those by which a record is found; `rules` are asked before a
    write is stored and raise Invalid or Conflict; `computed` give the fields that no column holds, `by_day` says whether the
    calendar moves them; `collected` are the records that `include` may add beside those that the noun refers to, by the name
    of their table; `moved` is the column that names the record which took the place of a withdrawn one; `warnings` are what
    the answer to a creation tells its author; `reserved` are slugs that no record gets, for something else has the address.
    """

    name: str
    plural: str
    model: type[Record]
    write: type[In]
    read: type[BaseModel]
    query: type[Any]  # a ListQuery; filters.py stands on this module
    sorts: Mapping[str, Any]
    titled: Callable[[In], str]
    texts: Texts
    rules: Sequence[Rule] = ()
    computed: Sequence[Computed] = ()
    by_day: bool = False
    collected: Mapping[str, tuple[str, Collected]] = field(default_factory=dict)
    moved: InstrumentedAttribute[Any] | None = None
    warnings: Warnings | None = None
    reserved: frozenset[str] = frozenset()
    plan: Plan = field(init=False)
    table: sa.Table = field(init=False)
    outlines: Outlines = field(init=False)
    claims: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        plan = draw(self.write, sa.inspect(self.model), skip=frozenset({"slug"}))
        for name, value in (
            ("plan", plan),
            ("table", table_of(self.model)),
            ("outlines", Outlines([planned.name for planned in plan.fields])),
            ("claims", getattr(self.model, "__claims__", ())),
        ):
            object.__setattr__(self, name, value)
        self.table.info["noun"] = self.plural  # what answers call it
        self.table.info["moved"] = None if self.moved is None else self.table.c[self.moved.key]

    @cached_property
    def by_slug(self) -> sa.Select[Any]:
        """The row with the slug `key`. Built once: putting a statement together costs more than running it."""
        return self._one(self.table.c.slug, *self._before)

    @cached_property
    def by_id(self) -> sa.Select[Any]:
        """The row with the id `key`."""
        return self._one(self.table.c.id, *self._before)

    @property
    def _before(self) -> tuple[sa.ColumnElement[Any], ...]:
        """What a write wants to know of the row before."""
        return (self.table.c.created_at, self.table.c.claim)

    def _one(self, column: sa.Column[Any], *more: sa.ColumnElement[Any]) -> sa.Select[Any]:
        c = self.table.c
        moved = (sa.null() if self.moved is None else c[self.moved.key]).label("moved_to")
        statement = sa.select(c.id, c.slug, c.version, c.withdrawn_at, c.shape, c.document, moved, *more)
        return statement.where(column == sa.bindparam("key", type_=column.type))

    @cached_property
    def whole_by_slug(self) -> sa.Select[Any]:
        """The same for who reads it: with all that is to be told of it, and the number of the state in which it is so."""
        return self._one(self.table.c.slug, *self.brought, NUMBER)

    @cached_property
    def whole_by_id(self) -> sa.Select[Any]:
        """The same by the id."""
        return self._one(self.table.c.id, *self.brought, NUMBER)

    @cached_property
    def brought(self) -> tuple[sa.Label[Any], ...]:
        """What a statement that reads rows to be shown brings along for its computed fields."""
        return tuple(part.column(self.table).label(part.name) for part in self.computed if isinstance(part, Brought))

    @cached_property
    def shown(self) -> tuple[sa.ColumnElement[Any], ...]:
        """The columns of which `records.bodies` makes what is shown of a record."""
        return (*self.standing, self.table.c.withdrawn_at)

    @cached_property
    def standing(self) -> tuple[sa.ColumnElement[Any], ...]:
        """The same of records of which none is withdrawn. Where nothing more is asked by it, there is no id: to make a UUID of
        it costs more than to read the row, and it stands in the document."""
        c = self.table.c
        return (*(() if self.in_one else (c.id,)), c.shape, c.document, *self.brought)

    @cached_property
    def ending(self) -> Callable[[str], str | None]:
        """What ends the text of a record on which nothing hangs, in place of the last sign of its document, by the document's
        shape; None where that takes more than the shape."""
        return lru_cache(4096)(self._ending)

    def _ending(self, shape: str) -> str | None:
        outline = self.outlines.read(shape)
        if not outline.is_todays or outline.stated is None or not self.in_one:
            return None
        shown: dict[str, Any] = {}
        for part in self.computed:
            shown |= typing.cast(Brought, part).show(outline.stated, None)
        return "," + msgspec.json.encode(shown)[1:].decode() if shown else "}"

    @cached_property
    def in_one(self) -> bool:
        """Whether a single statement reads all that is shown of its records."""
        return all(isinstance(part, Brought) for part in self.computed)

    @property
    def key_name(self) -> str:
        """The name of its key in a path."""
        return f"{self.name.replace(' ', '_')}_id"

    @cached_property
    def computed_fields(self) -> tuple[str, ...]:
        """Fields of the answer that are neither common nor written."""
        return tuple(f for f in self.read.model_fields if f not in self.write.model_fields and f not in COMMON)
