"""Imports: a file of records, in any order, brought into the registry through the one door, all or nothing.

Every row that cannot be taken is named with all that is wrong with it, not only the first: reading, resolving, validating and
storing each look at all rows that are still good.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel

from app.exchange import cells, references
from app.kit import bulk, edits, records, search
from app.kit.bulk import Draft
from app.kit.circles import circles
from app.kit.db import Transaction, table_of
from app.kit.errors import Conflict, Fault, Gone, Invalid, RegistryError
from app.kit.ids import new_id
from app.kit.records import ANYTHING, Edit
from app.kit.resource import COMMON, Linked, Resource, Rows, claim_of
from app.kit.search import Rank
from app.kit.text import fold, is_id, is_slug, slugify
from app.kit.vocabularies import Vocabulary


class ImportMode(Vocabulary):
    """What a row is to do."""

    create = "create", "Every row is a new record; one that is there already is refused."
    upsert = (
        "upsert",
        "A record that is there gets the fields that the row gives and keeps the others; any other is created.",
    )
    replace_ = "replace", "A record that is there becomes what the row says, as with PUT; any other is created."


MOST_FAULTS = 20
"""Of one row so many faults are told."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a row: its line in the file, in a table also the number of the row as a spreadsheet counts; the field
    (a JSON Pointer), and the column."""

    line: int
    code: str
    message: str
    pointer: str | None = None
    column: str | None = None
    row: int | None = None

    def shown(self) -> dict[str, Any]:
        names = ("line", "row", "column", "pointer", "code", "message")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


@dataclass(slots=True, eq=False)
class Row:
    """A row of the file: its line, its noun, the fields that it gives; and in the course of the import the record it is, and
    what became of it."""

    line: int
    resource: Resource[Any]
    values: dict[str, Any]
    number: int | None = None  # as a spreadsheet counts rows
    named: bool = False  # references may be names, as people write them
    id: UUID | None = None
    slug: str | None = None
    present: Any = None  # the row of the record that is there
    data: BaseModel | None = None
    faulty: set[str] = field(default_factory=set)  # pointers at which something is wrong; "" is the row as a whole
    later: tuple[str, ...] = ()  # references (JSON Pointers) that are set when the records they name are there
    action: str | None = None
    warnings: list[str] = field(default_factory=list)

    def again(self) -> Row:
        """The row as it was read: a unit of work may be run several times."""
        return Row(self.line, self.resource, self.values, self.number, named=self.named, faulty=set(self.faulty))

    @property
    def good(self) -> bool:
        return not self.faulty

    def shown(self) -> dict[str, Any]:
        return {
            "line": self.line, "noun": self.resource.plural, "slug": self.slug, "action": self.action,
            "warnings": self.warnings,
        }  # fmt: skip


@dataclass(slots=True)
class File:
    """What was read of a file: its rows, what is wrong with others, and what had to be assumed."""

    rows: list[Row]
    problems: list[Problem] = field(default_factory=list)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """How a file is to be taken: `key` says which field tells what record a row is: `slug`, `id`, or the scheme of an
    identifier. Without `atomic` the rows that are good are stored though others are not."""

    mode: ImportMode = ImportMode.create
    key: str = "slug"
    atomic: bool = True


@dataclass(slots=True)
class Report:
    """What an import did: how many rows were created, changed and left as they were, and how many were refused, with why."""

    rows: list[Row]
    problems: list[Problem]
    notes: tuple[str, ...]

    def count(self, action: str) -> int:
        return sum(row.action == action for row in self.rows)

    @property
    def failed(self) -> int:
        return len({problem.line for problem in self.problems})


class Refused(Invalid):
    """Some rows cannot be taken, so nothing was. `problems` names every one of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        lines = len({problem.line for problem in problems})
        detail = f"{lines} row{'s' if lines > 1 else ''} cannot be taken, so nothing was imported."
        super().__init__(detail)
        self.problems = problems


Progress = Callable[[int], object]
"""Is told now and then how many rows more are done."""


def load(
    tx: Transaction, nouns: Sequence[Resource[Any]], file: File, wish: Wish, progress: Progress = lambda _: None
) -> Report:
    """Bring the registry to what the file says. Raises Refused (with `wish.atomic`) where any row cannot be taken."""
    tx.take_time()
    for plural in sorted({row.resource.plural for row in file.rows}):
        for verb in ("create", "change") if wish.mode is not ImportMode.create else ("create",):
            tx.insist_on_right(verb, plural)
    intake, rows = _Intake(tx, wish, list(file.problems), progress), [row.again() for row in file.rows]
    order = in_order(nouns)
    intake.identify(rows)
    intake.find(rows)
    intake.hold(rows, order)
    for step in (intake.name, intake.validate, intake.warn):
        step(rows)
    for resource in order:
        intake.store(resource, [row for row in rows if row.resource is resource and row.good])
    problems = sorted(intake.problems, key=lambda problem: problem.line)
    if problems and wish.atomic:
        raise Refused(problems)
    return Report([row for row in rows if row.action is not None], problems, file.notes)


def in_order(nouns: Sequence[Resource[Any]]) -> list[Resource[Any]]:
    """The nouns, each behind those that it refers to."""
    by_table = {noun.table.name: noun for noun in nouns}
    graph = {
        noun.table.name: [name for name in _named_tables(noun.plan.fields) if name != noun.table.name] for noun in nouns
    }
    return [by_table[name] for name in TopologicalSorter(graph).static_order()]


def _named_tables(fields: Iterable[Any]) -> Iterator[str]:
    for planned in fields:
        if isinstance(planned, Linked) and planned.table is not None:
            yield planned.table.name
        elif isinstance(planned, Linked):
            yield from (table_of(model).name for model in (planned.among or {}).values())
        elif isinstance(planned, Rows) and planned.item is not None:
            yield from _named_tables([planned.item])
        elif (plan := getattr(planned, "plan", None)) is not None:
            yield from _named_tables(plan.fields)


class _Intake:
    """One import. Each step looks at every row, also at those with which something is wrong already, so that all of it is
    told; only rows that are good are stored."""

    def __init__(self, tx: Transaction, wish: Wish, problems: list[Problem], progress: Progress) -> None:
        self.tx, self.wish, self.problems, self.progress = tx, wish, problems, progress
        self.seen: dict[tuple[str, str | UUID], Row] = {}
        self.given: dict[str, set[str]] = defaultdict(set)

    # -- which record a row is --

    def identify(self, rows: Sequence[Row]) -> None:
        """Take from each row what the registry keeps itself, and read which record it means. No two mean one."""
        for row in rows:
            self._try(self._identify, row)
            if row.slug is not None:
                self.given[row.resource.plural].add(row.slug)

    def _identify(self, row: Row) -> None:
        kept = {*COMMON, *row.resource.computed_fields, *edits.SHOWN_BESIDE, "withdrawn_at"}
        identifier, row.slug = (_given(row, name, fits) for name, fits in (("id", is_id), ("slug", is_slug)))
        row.id = UUID(identifier) if identifier is not None else None
        if row.values.get("withdrawn_at") is not None:
            raise Invalid.at("/withdrawn_at", "withdrawn", "This record was withdrawn: leave the row out.")
        row.values = {name: value for name, value in row.values.items() if name not in kept}
        if row.named:
            row.values = deepcopy(row.values)  # slugs are going to stand in the place of names
        self._insist_on_one(row, row.slug, row.id)

    def _insist_on_one(self, row: Row, *keys: str | UUID | None) -> None:
        """Raises Conflict where another row is about the record with one of these keys."""
        for key in (key for key in keys if key is not None):
            other = self.seen.setdefault((row.resource.plural, key), row)
            if other is not row:
                raise Conflict(f"Line {other.line} is about the same record.")

    def find(self, rows: Sequence[Row]) -> None:
        """Look up the records that are there, and refuse what the mode does not allow."""
        for resource in {row.resource.plural: row.resource for row in rows}.values():
            ours = [row for row in rows if row.resource is resource]
            if self.wish.key in ("slug", "id"):
                self._find_by_key(resource, ours)
            else:
                self._find_by_identifier(resource, ours)
            if self.wish.mode is not ImportMode.create:
                self._find_by_title(resource, [row for row in ours if row.slug is None and row.id is None])
        for row in rows:
            self._try(self._allow, row)

    def _find_by_key(self, resource: Resource[Any], rows: Sequence[Row]) -> None:
        """By the slug, and by the id."""
        c = resource.table.c
        for column, name in ((c.id, "id"), (c.slug, "slug")):
            by_key = {getattr(row, name): row for row in rows if getattr(row, name) is not None}
            for found in self._present(resource, column, sorted(by_key, key=str)):
                by_key[getattr(found, name)].present = found

    def _find_by_identifier(self, resource: Resource[Any], rows: Sequence[Row]) -> None:
        """By the identifier of the scheme that the wish names."""
        child = next((child for child in resource.plan.children if child.claims == ("scheme", "value")), None)
        if child is None:
            message = f"Records of {resource.plural} have no identifiers: the key is slug or id."
            raise Invalid.parameter("key", "unknown_key", message)
        by_claim = {claim: row for row in rows for claim in self._identifiers(child, row)}
        if not by_claim:
            message = f"No row has an identifier of the scheme {self.wish.key!r}."
            raise Invalid.parameter("key", "unknown_key", message)
        for part in records.portions(sorted(by_claim)):
            statement = sa.select(child.table.c.claim, child.table.c[child.parent].label("owner"))
            found = self.tx.execute(statement.where(child.table.c.claim.in_(part))).all()
            owners = sorted({row.owner for row in found})
            there = {present.id: present for present in self._present(resource, resource.table.c.id, owners)}
            for row in found:
                by_claim[row.claim].present = there[row.owner]

    def _identifiers(self, child: Rows, row: Row) -> Iterator[str]:
        """The claims of the row's identifiers of that scheme."""
        items = row.values.get(child.name)
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict) and fold(str(item.get("scheme"))) == fold(self.wish.key):
                yield claim_of({"scheme": str(item["scheme"]), "value": str(item.get("value"))}, child.claims)

    def _find_by_title(self, resource: Resource[Any], rows: Sequence[Row]) -> None:
        """Where nothing else says which record a row is, and its title tells records apart, it is the one with that title."""
        if not resource.claims:
            return
        title = resource.claims[0]
        column = resource.table.c[f"{title}_key"]
        wanted: dict[str, list[Row]] = {}
        for row in rows:
            if isinstance(row.values.get(title), str):
                wanted.setdefault(fold(row.values[title]), []).append(row)
        there: dict[str, list[Any]] = {}
        for found in self._present(resource, column, sorted(wanted), also=column):
            if found.withdrawn_at is None:
                there.setdefault(getattr(found, column.name), []).append(found)
        for key, found_there in there.items():
            for row in wanted[key]:
                row.present = found_there[0] if len(found_there) == 1 else tuple(found_there)

    def _present(
        self,
        resource: Resource[Any],
        column: sa.Column[Any],
        keys: Sequence[Any],
        *,
        also: sa.Column[Any] | None = None,
    ) -> Iterator[Any]:
        c = resource.table.c
        shown = [c.id, c.slug, c.version, c.shape, c.document, c.withdrawn_at, *([also] if also is not None else [])]
        for part in records.portions(keys):
            yield from self.tx.execute(sa.select(*shown).where(column.in_(part)).order_by(c.id)).all()

    def _allow(self, row: Row) -> None:
        if isinstance(row.present, tuple):
            names, row.present = " and ".join(found.slug for found in row.present), None
            raise Conflict(
                f"Several records have this {row.resource.claims[0]}: {names}. Give the slug of one of them."
            )
        if row.present is not None:
            self._allow_present(row)
        elif (
            self.wish.mode is not ImportMode.create and not row.resource.claims and row.slug is None and row.id is None
        ):
            raise Invalid.at(
                "/slug",
                "no_key",
                "Give the slug (or the id): else it cannot be told whether the record is there already.",
            )

    def _allow_present(self, row: Row) -> None:
        found = row.present
        if row.id not in (None, found.id) or (self.wish.key in ("slug", "id") and row.slug not in (None, found.slug)):
            raise Conflict(f"The row has the key of {found.slug}, and another slug or id than it.")
        if found.withdrawn_at is not None:
            raise Gone(f"{found.slug} was withdrawn. Restore it first, or take the row out.")
        if self.wish.mode is ImportMode.create:
            raise Conflict(f"{found.slug} is there already. To change it, import with mode=upsert.")
        self._insist_on_one(row, found.id, found.slug)
        row.id, row.slug = found.id, found.slug

    def hold(self, rows: Sequence[Row], order: Sequence[Resource[Any]]) -> None:
        """Take hold of all records that may change, in one order and before any is created: two imports then wait for each
        other instead of each for what the other has. (PostgreSQL; SQLite has one writer.)"""
        for resource in order:
            c = resource.table.c
            ids = sorted(row.present.id for row in rows if row.resource is resource and row.present is not None)
            for portion in records.portions(ids):
                self.tx.execute(sa.select(c.id).where(c.id.in_(portion)).order_by(c.id).with_for_update())

    # -- what its references mean --

    def name(self, rows: Sequence[Row]) -> None:
        """Give every new record its slug, as far as its title tells, and put slugs in the place of names."""
        for resource in {row.resource.plural: row.resource for row in rows}.values():
            self._give_slugs([row for row in rows if row.resource is resource and row.slug is None], raw=True)
        names = references.Names(self.tx, rows)
        for row in rows:
            if row.named:
                self._try(names.resolve, row)

    def _give_slugs(self, rows: Sequence[Row], *, raw: bool = False) -> None:
        """`raw`: of rows that are not validated yet; those whose slug does not follow from a title that is there wait."""
        titled = [(row, title) for row in rows if (title := _title(row) if raw else row.resource.titled(row.data))]
        for row, _ in titled:
            row.id = row.id or new_id(self.tx.now)
        if titled:
            resource = titled[0][0].resource
            wanted = [(title, row.id) for row, title in titled if row.id is not None]
            others = self.given.get(resource.plural, ())
            for (row, _), slug in zip(titled, bulk.slugs(self.tx, resource, wanted, but=others), strict=True):
                row.slug = slug

    # -- whether it is a record --

    def validate(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._try(self._validate, row)
        nameless = [row for row in rows if row.good and row.slug is None]
        for resource in {row.resource.plural: row.resource for row in nameless}.values():
            self._give_slugs([row for row in nameless if row.resource is resource])

    def _validate(self, row: Row) -> None:
        wanted = row.values
        if row.present is not None and self.wish.mode is ImportMode.upsert:
            wanted = records.own(row.resource, records.snapshot(row.resource, row.present)) | wanted
        row.data = records.validated(row.resource, wanted)

    def warn(self, rows: Sequence[Row]) -> None:
        """Say of each new record whose title tells records apart which other has one of its names."""
        for resource in {row.resource.plural: row.resource for row in rows if row.resource.claims}.values():
            named = [
                (row, text.value)
                for row in rows
                if row.good and row.resource is resource and row.present is None and row.data is not None
                for text in resource.texts(row.data.model_dump(mode="json"))
                if text.rank is not Rank.prose
            ]
            there = references.named(self.tx, resource, [text for _, text in named])
            for row, text in named:
                if others := there.get(search.key_of(text)):
                    row.warnings.append(f"{text!r} is also a name of {references.listed(others)}.")

    # -- storing --

    def store(self, resource: Resource[Any], rows: list[Row]) -> None:
        """Create what is new, each behind what it refers to, then change what is there."""
        fresh = self._ordered([row for row in rows if row.present is None])
        drafts = [Draft(_without(row), row.id or new_id(self.tx.now), str(row.slug), row) for row in fresh]
        for start in range(0, len(drafts), bulk.GROUP):
            part = drafts[start : start + bulk.GROUP]
            self._create(resource, part)
            self.progress(len(part))
        for row in rows:
            if row.present is not None or (row.later and row.action == "created"):
                self._try(self._change, row)
                self.progress(row.present is not None)

    def _create(self, resource: Resource[Any], drafts: Sequence[Draft]) -> None:
        refused = bulk.create(self.tx, resource, drafts)
        for draft, error in refused:
            self._refuse(draft.place, error)
        out = {id(draft) for draft, _ in refused}
        for draft in drafts:
            if id(draft) not in out:
                draft.place.id, draft.place.action = draft.id, "created"

    def _change(self, row: Row) -> None:
        assert row.data is not None  # noqa: S101  # `store` is given rows that were validated
        wanted = row.data.model_dump(mode="json", exclude={"slug"})
        if row.present is not None:
            row.action = "unchanged"
            if wanted == records.own(row.resource, records.snapshot(row.resource, row.present)):
                return
        edit = (
            self._merged(row) if row.present is not None and self.wish.mode is ImportMode.upsert else lambda _: wanted
        )
        with self.tx.connection.begin_nested():
            stored = records.change(self.tx, row.resource, str(row.slug), edit, ANYTHING)
        if row.present is not None and stored.written:
            row.action = "changed"

    def _merged(self, row: Row) -> Edit:
        """What the row gives, over what the record is by then: others may have written it since it was looked up."""
        return lambda before: before | row.values

    def _ordered(self, rows: list[Row]) -> list[Row]:
        """The rows, each behind those that it refers to. Where lists refer to each other in a circle (two instruments that name
        each other), these references wait until all are there; any other circle is refused."""
        by_key = {key: row for row in rows for key in (row.slug, str(row.id)) if key is not None}
        graph = {row: dict(_within(row, by_key)) for row in rows}
        for row in rows:
            row.later += tuple(filter(_in_a_list, graph[row].pop(row, ())))
        if not any(graph.values()):
            return rows
        for circle in circles(graph):
            for row in circle:
                self._put_off(row, graph[row], circle)
        while True:
            try:
                return list(TopologicalSorter({row: list(edges) for row, edges in graph.items()}).static_order())
            except CycleError as error:
                self._refuse_circle(graph, error.args[1])

    def _put_off(self, row: Row, edges: dict[Row, list[str]], circle: set[Row]) -> None:
        """Let the references of a row to others of its circle wait, where they stand in lists."""
        for named in [named for named in edges if named in circle and all(map(_in_a_list, edges[named]))]:
            row.later += tuple(edges.pop(named))

    def _refuse_circle(self, graph: dict[Row, dict[Row, list[str]]], circle: Sequence[Row]) -> None:
        names = " → ".join(str(each.slug) for each in circle)
        for row in set(circle):
            self._refuse(row, Invalid(f"These records refer to each other in a circle: {names}."))
            graph.pop(row, None)
        for edges in graph.values():
            for row in set(circle):
                edges.pop(row, None)

    # -- refusing --

    def _try(self, step: Callable[[Row], None], row: Row) -> None:
        try:
            step(row)
        except RegistryError as error:
            self._refuse(row, error)

    def _refuse(self, row: Row, error: RegistryError) -> None:
        """Tell what is wrong with a row, once of each place."""
        row.action = None
        for fault in error.faults[:MOST_FAULTS] or (Fault(_code(error), error.detail),):
            if not _told(row, fault.pointer or ""):
                self.problems.append(self._problem(row, fault, error))
        row.faulty |= {fault.pointer or "" for fault in error.faults} or {""}

    def _problem(self, row: Row, fault: Fault, error: RegistryError) -> Problem:
        said = fault.message if isinstance(error, Invalid) else error.detail
        message = self._of_file(row, fault) or said
        column = cells.column_at(row.resource, fault.pointer) if row.named and fault.pointer else None
        return Problem(row.line, fault.code, message, fault.pointer, column, row.number)

    def _of_file(self, row: Row, fault: Fault) -> str | None:
        """What is said of a reference to a row of the file that cannot be taken."""
        if fault.code != "unknown_reference" or row.data is None:
            return None
        for link in row.resource.plan.links(row.data):
            if link.pointer == fault.pointer and (other := self.seen.get((link.table.info["noun"], link.key))):
                return f"Line {other.line}, to which it refers, cannot be taken."
        return None


def _told(row: Row, pointer: str) -> bool:
    """Whether something wrong with this place of the row, or with what holds it, was told already."""
    return pointer in row.faulty or any(known and pointer.startswith(f"{known}/") for known in row.faulty)


def _given(row: Row, name: str, fits: Callable[[str], bool]) -> str | None:
    """The id or slug that a row gives."""
    value = row.values.get(name)
    if value is None or (isinstance(value, str) and fits(value)):
        return value
    raise Invalid.at(f"/{name}", name, f"This is no {name}: leave it out, or give one as GET shows it.")


def _code(error: RegistryError) -> str:
    return {Conflict: "conflict", Gone: "gone"}.get(type(error), "invalid")


def _title(row: Row) -> str | None:
    """The title that the slug of a row will follow, if it is there already."""
    name = row.resource.claims[0] if row.resource.claims else "title"
    value = row.values.get(name)
    return value if isinstance(value, str) and slugify(value) else None


def _within(row: Row, by_key: Mapping[str, Row]) -> Iterator[tuple[Row, list[str]]]:
    """The rows of the file that a row refers to, with the pointers of the references."""
    assert row.data is not None  # noqa: S101
    found: dict[Row, list[str]] = {}
    for link in row.resource.plan.links(row.data):
        other = by_key.get(link.key) if link.table is row.resource.table else None
        if other is not None:
            found.setdefault(other, []).append(link.pointer)
    yield from found.items()


def _in_a_list(pointer: str) -> bool:
    return pointer.count("/") > 1


def _without(row: Row) -> BaseModel:
    """The data of a row without the references that have to wait."""
    assert row.data is not None  # noqa: S101
    if not row.later:
        return row.data
    document = row.data.model_dump(mode="json")
    for pointer in sorted(row.later, key=lambda pointer: int(pointer.rpartition("/")[2]), reverse=True):
        parent, _, last = pointer.rpartition("/")
        del records.at(document, parent)[int(last)]
    data: BaseModel = records.validated(row.resource, document)
    return data
