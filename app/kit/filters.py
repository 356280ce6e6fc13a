"""Filters: each parameter of a list says in its annotation which column it asks, and how.

    kind: Annotated[list[Kind] | None, Equals(Organization.kind)] = None

is the whole of a filter. A kind of question is one small class here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Annotated, Any, ClassVar, cast
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql import operators

from app.kit import edtf, search, words
from app.kit.db import Transaction, table_of
from app.kit.errors import Invalid
from app.kit.fields import AsOfQuery, CommaSeparated, Digits, EdtfDate, Flag, Moment, SearchText
from app.kit.text import is_id
from app.kit.vocabularies import Vocabulary

Column = InstrumentedAttribute[Any]


class Match(Vocabulary):
    """How imprecise dates are read: might the fact fall into the window, or must it."""

    possible = "possible", "It might."
    certain = "certain", "It must, whatever the missing digits are."


class Withdrawn(Vocabulary):
    """Whether a list shows withdrawn records."""

    no = "false", "Without them."
    only = "true", "Only them."
    both = "any", "Both."


class Format(Vocabulary):
    """The form of a list. Every form but `json` is the whole list, without pages."""

    json = "json", "Pages of JSON."
    csv = "csv", "A table, a record a row (RFC 4180, UTF-8)."
    ndjson = "ndjson", "JSON, a record a line."
    jsonld = "jsonld", "Linked data (JSON-LD 1.1)."
    xlsx = "xlsx", "A workbook."


@dataclass(frozen=True, slots=True)
class Asked:
    """What a filter may need beside its value: all parameters, the noun's table, and the day on which it is asked."""

    query: ListQuery
    table: sa.Table
    today: date


class Where:
    """A kind of question."""

    __slots__ = ()

    @property
    def child(self) -> sa.Table | None:
        """The table that it asks, where that is not the noun's own."""
        return None

    @property
    def target(self) -> sa.Table | None:
        """The table of the record that its value names, where it names one."""
        return None

    def clause(self, value: Any, asked: Asked) -> sa.ColumnElement[bool]:
        """What a row of the noun's table must fulfil."""
        raise NotImplementedError


def core(column: Column) -> sa.Column[Any]:
    """The Core column of a mapped attribute: lists read rows, not objects. Of an EDTF date: its earliest day."""
    columns = column.property.columns
    return cast("sa.Column[Any]", columns[1] if len(columns) > 1 else columns[0])


@dataclass(frozen=True, slots=True)
class Equals(Where):
    """column = value, or column IN (values)."""

    column: Column

    def clause(self, value: Any, asked: Asked) -> sa.ColumnElement[bool]:  # noqa: ARG002
        column = core(self.column)
        if isinstance(value, list):
            if len(value) != 1:
                return column.in_(value)
            value = value[0]  # the SQL of an IN is another one for each number of values, and is not kept
        return compared(column, operators.eq, value) if isinstance(value, str) else column == value


@dataclass(frozen=True, slots=True)
class Refers(Where):
    """column = the id of the record with this slug or id; with `tree` and `descendants=true`, of any record below it; with
    `lineage` (the ids behind what names a record) and `lineage=true`, of any that it came from."""

    column: Column
    tree: Column | None = None
    lineage: Callable[[sa.ColumnElement[bool]], sa.Select[Any]] | None = None

    @property
    def target(self) -> sa.Table:
        return next(iter(core(self.column).foreign_keys)).column.table

    def clause(self, value: str, asked: Asked) -> sa.ColumnElement[bool]:
        root = named(self.target, value)
        if self.tree is not None and getattr(asked.query, "descendants", False):
            return core(self.column).in_(subtree(self.target, core(self.tree), root))
        if self.lineage is not None and getattr(asked.query, "lineage", False):
            return core(self.column).in_(self.lineage(root))
        return core(self.column) == sa.select(self.target.c.id).where(root).scalar_subquery()


@dataclass(frozen=True, slots=True)
class Among(Where):
    """Like `wrapped`, but of the items of a list field: some row of the child table answers it. All questions about one
    child table ask the same row, so that `organization=ilo&role=speaker` finds where the ILO speaks."""

    wrapped: Equals | Refers

    @property
    def child(self) -> sa.Table | None:
        return core(self.wrapped.column).table

    @property
    def target(self) -> sa.Table | None:
        return self.wrapped.target

    def clause(self, value: Any, asked: Asked) -> sa.ColumnElement[bool]:
        return self.wrapped.clause(value, asked)


@dataclass(frozen=True, slots=True)
class Overlaps:
    """The four bounds of the EDTF column `name` of `model` against the window that `from` and `to` open (either may be
    missing). Records without the date do not answer: not stated is neither inside nor outside."""

    model: Any
    name: str

    def within(self, start: date, end: date, match: Match) -> sa.ColumnElement[bool]:
        columns = table_of(self.model).c
        begins, ends = ("begun", "ended") if match is Match.certain else ("earliest", "latest")
        return sa.and_(columns[f"{self.name}_{begins}"] <= end, columns[f"{self.name}_{ends}"] >= start)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The time between two EDTF dates of `model`, when something began to be and when it ceased. A missing begin leaves open
    when that was, so it is never certain; what has no end is still there."""

    model: Any
    begin: str
    end: str

    def within(self, start: date, end: date, match: Match) -> sa.ColumnElement[bool]:
        columns = table_of(self.model).c
        begins, ends = ("begun", "ended") if match is Match.certain else ("earliest", "latest")
        begun, ended = columns[f"{self.begin}_{begins}"], columns[f"{self.end}_{ends}"]
        there = begun <= end if match is Match.certain else sa.or_(begun.is_(None), begun <= end)
        return sa.and_(there, sa.or_(ended.is_(None), ended >= start))


@dataclass(frozen=True, slots=True)
class Searched(Where):
    """Records that hold these words (see words.question)."""

    def clause(self, value: str, asked: Asked) -> sa.ColumnElement[bool]:
        if asked.query.as_of is not None:
            raise Invalid.parameter("q", "as_of", "Words are found in the present registry only: ask without `as_of`.")
        return search.answers(asked.table.c.id, words.question(value), asked.table.info["noun"])


def compared(column: sa.ColumnElement[Any], operator: Any, value: Any) -> sa.ColumnElement[bool]:
    """`column operator value`, as SQLAlchemy would make it of the operator, in a third of the time."""
    given = sa.bindparam(None, value, type_=column.type, unique=True)
    return sa.BinaryExpression(column, given, operator, type_=_TRUTH)


_TRUTH = sa.Boolean()


def named(table: sa.Table, key: str) -> sa.ColumnElement[bool]:
    """The record of `table` that `key` (a slug or an id) names."""
    return table.c.id == UUID(key) if is_id(key) else table.c.slug == key


def subtree(table: sa.Table, parent: sa.Column[Any], root: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The ids of the record that `root` names and of all records below it: WITH RECURSIVE, one statement."""
    tree = sa.select(table.c.id).where(root).cte(f"{table.name}_tree", recursive=True)  # a list may ask two trees
    below = table.alias()
    return sa.select(tree.union(sa.select(below.c.id).join(tree, below.c[parent.name] == tree.c.id)).c.id)


class ListQuery(AsOfQuery):
    """The parameters that every list understands."""

    limit: Annotated[int, Digits] = Field(default=50, ge=1, le=200, description="Records a page, 1 to 200.")
    cursor: str | None = Field(default=None, description="Where the page begins: taken from `next`, as it is.")
    sort: str | None = Field(
        default=None, description="Order; `-` in front turns it round. Records that lack the key come last."
    )
    count: Flag = Field(default=False, description="Also answer `total`, the number of records in the whole list.")
    q: Annotated[SearchText | None, Searched()] = Field(
        default=None,
        description="Only records that hold these words in their names, titles and texts; the last word may be the begin of "
        "one, words in double quotes stand together.",
        examples=["united nations"],
    )
    fields: Annotated[list[str] | None, CommaSeparated] = Field(
        default=None, description="Only these fields of each record."
    )
    include: Annotated[list[str] | None, CommaSeparated] = Field(
        default=None, description="Also answer the records that these references name, under `included`."
    )
    format: Format | None = Field(
        default=None,
        description="The form of the answer, whatever Accept says. All but `json` are whole, without pages.",
    )
    bom: Flag = Field(
        default=False, description="With `format=csv`: begin with a byte order mark, which some spreadsheets ask for."
    )
    updated_since: Moment | None = Field(
        default=None, description="Written at or after this moment (RFC 3339 with zone)."
    )
    withdrawn: Withdrawn = Field(
        default=Withdrawn.no, description="`false`: without withdrawn records; `true`: only these; `any`: both."
    )

    def beside(self, tx: Transaction) -> dict[str, Any]:  # noqa: ARG002
        """What the answer of the list holds beside its page."""
        return {}


class Timed(ListQuery):
    """A list of what has its time in the world. `span` says which columns hold it."""

    span: ClassVar[Overlaps | Lifetime]

    at: EdtfDate | None = Field(
        default=None, description="What was so in the world at this EDTF date, as far as it is known (see `as_of`)."
    )
    match: Match = Field(
        default=Match.possible,
        description="`possible`: the date may fall into the window; `certain`: it does, whatever its missing digits are.",
    )

    def windows(self) -> Iterator[sa.ColumnElement[bool]]:
        if self.at is not None:
            yield self._holds(self.at)

    def _holds(self, text: str) -> sa.ColumnElement[bool]:
        day = edtf.parse(text)
        return self.span.within(day.earliest, day.latest, self.match)


class Windowed(Timed):
    """A list with a window of time for the noun's main date."""

    from_: EdtfDate | None = Field(default=None, alias="from", description="Begin of the window: an EDTF date.")
    to: EdtfDate | None = Field(default=None, description="End of the window: an EDTF date.")

    def windows(self) -> Iterator[sa.ColumnElement[bool]]:
        yield from super().windows()
        if self.from_ is not None or self.to is not None:
            start = edtf.parse(self.from_).earliest if self.from_ else edtf.FIRST
            end = edtf.parse(self.to).latest if self.to else edtf.LAST
            if end < start:
                raise Invalid.parameter("to", "window", "The window ends before it begins.")
            yield self.span.within(start, end, self.match)


class Lasting(Windowed):
    """A window for something that lasts, and the question of one day."""

    active_on: EdtfDate | None = Field(
        default=None, description="The period holds this date (an EDTF date; with `match=certain`: surely)."
    )

    def windows(self) -> Iterator[sa.ColumnElement[bool]]:
        yield from super().windows()
        if self.active_on is not None:
            yield self._holds(self.active_on)


def conditions(query: ListQuery, table: sa.Table, today: date) -> list[sa.ColumnElement[bool]]:
    """What a record must fulfil to be in the list that `query` asks for. Raises Invalid as `narrowing` does."""
    return [*standing(table, query.withdrawn), *narrowing(query, table, today)]


def standing(table: sa.FromClause, withdrawn: Withdrawn) -> list[sa.ColumnElement[bool]]:
    """Whether a record is withdrawn, where that counts: a question of every list."""
    gone = table.c.withdrawn_at
    if withdrawn is Withdrawn.both:
        return []
    return [gone.is_not(None) if withdrawn is Withdrawn.only else gone.is_(None)]


def narrowing(query: ListQuery, table: sa.Table, today: date) -> list[sa.ColumnElement[bool]]:
    """What a record must fulfil beside that. Raises Invalid for parameters that mean nothing without another."""
    for flag, mark in (("descendants", "tree"), ("lineage", "lineage")):
        wheres = (where.wrapped if isinstance(where, Among) else where for _, where in questions(query))
        if getattr(query, flag, False) and not any(getattr(where, mark, None) for where in wheres):
            raise Invalid.parameter(flag, "alone", "It starts from a record: name one with another parameter.")
    found, about = list[sa.ColumnElement[bool]](), Asked(query, table, today)
    if query.updated_since is not None:
        found.append(compared(table.c.updated_at, operators.ge, query.updated_since))
    children: dict[sa.Table, list[sa.ColumnElement[bool]]] = defaultdict(list)
    for value, where in questions(query):
        (found if where.child is None else children[where.child]).append(where.clause(value, about))
    for child, clauses in children.items():
        parent = next(column for column in child.primary_key if column.foreign_keys)
        found.append(sa.exists().where(parent == table.c.id, *clauses))
    if isinstance(query, Timed):
        found += query.windows()
    return found


def questions(query: ListQuery) -> Iterator[tuple[Any, Where]]:
    """The filters that were set, with how each asks."""
    for name, mark in _marks(type(query)):
        if (value := getattr(query, name)) is not None:
            yield value, mark


@cache
def _marks(cls: type[ListQuery]) -> list[tuple[str, Where]]:
    """The parameters that are filters, with how each asks."""
    fields = cls.model_fields.items()
    return [(name, mark) for name, info in fields for mark in info.metadata if isinstance(mark, Where)]
