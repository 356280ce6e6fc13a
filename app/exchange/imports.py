"""Imports: a file of records, in any order, brought into the registry through the one door, all or nothing.

Every row that cannot be taken is named with all that is wrong with it, not only the first: reading, resolving, validating and
storing each look at all rows that are still good.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel

from app.exchange import cells, references, staging
from app.exchange.staging import CHUNK, Row, Stage
from app.kit import bulk, edits, records, revisions
from app.kit.bulk import Draft
from app.kit.circles import circles
from app.kit.db import Transaction, table_of
from app.kit.errors import Conflict, Fault, Gone, Invalid, RegistryError
from app.kit.ids import series
from app.kit.records import ANYTHING, Edit
from app.kit.resource import COMMON, Link, Linked, Resource, Rows, claim_of
from app.kit.search import Rank, key_of
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
MOST_TOLD = 10_000
"""Faults of a whole file, and rows with a warning. A million rows that each lack a field would else be answered with, and hold,
a gigabyte."""


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


@dataclass(slots=True)
class File:
    """What an import reads: rows, and in their places what is wrong with others. It may be read several times. `notes` say what
    had to be assumed."""

    rows: Iterable[Row | Problem]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """How a file is to be taken: `key` says which field tells what record a row is: `slug`, `id`, or the scheme of an
    identifier. Without `atomic` the rows that are good are stored though others are not. `every`: the report has every row,
    not only those with a warning."""

    mode: ImportMode = ImportMode.create
    key: str = "slug"
    atomic: bool = True
    every: bool = False


@dataclass(slots=True)
class Faults:
    """What is wrong with the rows of a file: with how many, and the first that is to be said of it."""

    rows: int = 0
    told: list[Problem] = field(default_factory=list)
    untold: int = 0
    _last: int | None = None

    def add(self, problem: Problem) -> None:
        """One more, of a row that is counted already."""
        if len(self.told) < MOST_TOLD:
            self.told.append(problem)
        else:
            self.untold += 1

    def add_unread(self, problems: Iterable[Problem]) -> None:
        """Those of lines that could not be read, line by line."""
        for problem in problems:
            self.rows += problem.line != self._last
            self._last = problem.line
            self.add(problem)

    @property
    def in_order(self) -> list[Problem]:
        return sorted(self.told, key=lambda problem: problem.line)

    @property
    def note(self) -> tuple[str, ...]:
        """What is to be said where not all is told."""
        return (
            (f"{self.untold} more faults were found and are not told here: mend these first.",) if self.untold else ()
        )


@dataclass(slots=True)
class Report:
    """What an import did: how many rows were created, changed and left as they were, and how many were refused, with why."""

    counts: Counter[str]
    rows: list[Row]
    problems: list[Problem]
    failed: int
    notes: tuple[str, ...]

    def count(self, action: str) -> int:
        return self.counts[action]


class Refused(Invalid):
    """So many `rows` cannot be taken, so nothing was. `problems` says why; `notes` what had to be assumed, and whether there
    is more to say."""

    def __init__(self, faults: Faults, notes: Sequence[str]) -> None:
        detail = f"{faults.rows} row{'s' if faults.rows > 1 else ''} cannot be taken, so nothing was imported."
        super().__init__(detail)
        self.rows, self.problems, self.notes = faults.rows, faults.in_order, (*notes, *faults.note)


Progress = Callable[[int], object]
"""Is told now and then how many rows more are done."""


def load(
    tx: Transaction, nouns: Sequence[Resource[Any]], file: File, wish: Wish, progress: Progress = lambda _: None
) -> Report:
    """Bring the registry to what the file says. Raises Refused (with `wish.atomic`) where any row cannot be taken."""
    tx.take_time()
    with tx.with_room(), closing(Stage()) as stage:
        intake, order = _Intake(tx, wish, stage, progress), in_order(nouns)
        intake.take(file)
        intake.hold(order)
        intake.name()
        for resource in order:
            if resource.plural in stage.nouns:
                intake.store(resource)
        faults = intake.faults
        if faults.rows and wish.atomic:
            raise Refused(faults, file.notes)
        rows = sorted(intake.shown, key=lambda row: row.n)
        warned = (f"{intake.unshown} more rows have a warning.",) if intake.unshown else ()
        return Report(intake.counts, rows, faults.in_order, faults.rows, (*file.notes, *faults.note, *warned))


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
    told; only rows that are good are stored. Between the steps rows are on the stage: none is held longer than its chunk."""

    def __init__(self, tx: Transaction, wish: Wish, stage: Stage, progress: Progress) -> None:
        self.tx, self.wish, self.stage, self.progress = tx, wish, stage, progress
        self.faults = Faults()
        self.counts: Counter[str] = Counter()
        self.shown: list[Row] = []
        self.unshown = 0  # rows with a warning that are not among them
        self.later: dict[int, list[str]] = defaultdict(
            list
        )  # references (JSON Pointers) that wait for others to be there
        self._identified: set[str] = set()  # nouns of which some row has an identifier of the scheme that is the key
        self._new_ids = series(tx.now)
        self._before = tx.sequence()
        self._fields: dict[str, list[str]] = {}
        self._kept: dict[str, frozenset[str]] = {}  # by noun, the fields that the registry keeps itself

    # -- which record a row is --

    def take(self, file: File) -> None:
        """Read the file, and which record each row means: no two mean one."""
        for chunk in _portions(file.rows, CHUNK):
            rows = [each for each in chunk if isinstance(each, Row)]
            self.faults.add_unread(each for each in chunk if isinstance(each, Problem))
            for resource in {row.resource.plural: row.resource for row in rows}.values():
                self._insist_on_rights(resource)
            for row in rows:
                row.n, self.stage.size = self.stage.size, self.stage.size + 1
                if not self._kept[row.resource.plural].isdisjoint(row.values):
                    self._try(self._identify, row)
            self._find(rows)
            for row in rows:
                self._try(self._allow, row)
                self._derive(row)
                row.there, row.present = row.present and row.present.id, None
            self.stage.add(rows)
            self.stage.refer(reference for row in rows if not row.named for reference in self._references(row))
        if self.wish.key not in ("slug", "id") and self._identified != set(self.stage.nouns):
            message = f"No row has an identifier of the scheme {self.wish.key!r}."
            raise Invalid.parameter("key", "unknown_key", message)

    def _insist_on_rights(self, resource: Resource[Any]) -> None:
        if resource.plural not in self.stage.nouns:
            for verb in ("create", "change") if self.wish.mode is not ImportMode.create else ("create",):
                self.tx.insist_on_right(verb, resource.plural)
            self.stage.nouns[resource.plural] = resource
            kept = {*COMMON, *resource.computed_fields, *edits.SHOWN_BESIDE, "withdrawn_at"}
            self._kept[resource.plural] = frozenset(kept)

    def _identify(self, row: Row) -> None:
        """Take from the row what the registry keeps itself."""
        kept = self._kept[row.resource.plural]
        identifier, row.slug = (_given(row, name, fits) for name, fits in (("id", is_id), ("slug", is_slug)))
        row.id = UUID(identifier) if identifier is not None else None
        if row.values.get("withdrawn_at") is not None:
            raise Invalid.at("/withdrawn_at", "withdrawn", "This record was withdrawn: leave the row out.")
        row.values = {name: value for name, value in row.values.items() if name not in kept}
        self._insist_on_one(row, row.slug, row.id)

    def _insist_on_one(self, row: Row, *keys: str | UUID | None) -> None:
        """Raises Conflict where another row is about the record with one of these keys."""
        noun = row.resource.plural
        for key in (str(key) for key in keys if key is not None):
            if self.stage.claim(noun, key, row.n) != row.n:
                raise Conflict(f"Line {self.stage.holder(noun, key)} is about the same record.")

    def _derive(self, row: Row) -> None:
        """Note the slug that the title of the row would give it."""
        if row.slug is None and (base := _base(row)):
            row.base = base
            if is_id(base):  # its slug will then be made of its id
                row.id = row.id or next(self._new_ids)

    def _references(self, row: Row) -> Iterator[tuple[int, str, str, str]]:
        """The references of a row to its own noun, which tell in what order rows are stored; and to any, where other writers
        are to be kept from what it names."""
        noun = row.resource.plural
        alone = self.tx.connection.dialect.name == "sqlite"
        if noun not in self._fields:
            self._fields[noun] = list(cells.referring(row.resource, row.resource.table if alone else None))
        if not any(map(row.values.get, self._fields[noun])):
            return
        for named in cells.walk_references(row.resource, row.values):
            other = named.table.info["noun"]
            if (other == noun or not alone) and (is_slug(named.text) or is_id(named.text)):
                yield row.n, other, named.text if is_slug(named.text) else named.text.lower(), named.pointer

    def _find(self, rows: Sequence[Row]) -> None:
        """Look up the records that are there."""
        for resource in {row.resource.plural: row.resource for row in rows}.values():
            ours = [row for row in rows if row.resource is resource]
            if self.wish.key in ("slug", "id"):
                self._find_by_key(resource, ours)
            else:
                self._find_by_identifier(resource, ours)
            if self.wish.mode is not ImportMode.create:
                self._find_by_title(resource, [row for row in ours if row.slug is None and row.id is None])

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
        if by_claim:
            self._identified.add(resource.plural)
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

    def hold(self, order: Sequence[Resource[Any]]) -> None:
        """Take hold of all records that may change, in one order and before any is created: two imports then wait for each
        other instead of each for what the other has. And keep what rows refer to as it is, before others wait for us to number
        what is new. (PostgreSQL; SQLite has one writer.)"""
        if self.tx.connection.dialect.name == "sqlite":
            return
        for resource in order:
            c = resource.table.c
            for portion in _portions(self.stage.present(resource.plural)):
                self.tx.execute(sa.select(c.id).where(c.id.in_(portion)).order_by(c.id).with_for_update())
        for resource in order:
            for keys in _portions(self.stage.others(resource.plural)):
                records.named(self.tx, [Link("", resource.table, key) for key in keys])

    # -- what its references mean --

    def name(self) -> None:
        """Give every new record its slug, as far as its title tells, and put slugs in the place of names."""
        for resource in self.stage.nouns.values():
            slugs = bulk.Slugs(self.tx, resource, partial(self.stage.known, resource.plural))
            for unnamed in self.stage.unnamed(resource.plural):
                bases = [
                    bulk.own_base(resource, base, identifier) if identifier else base for _, base, identifier in unnamed
                ]
                self.stage.give(resource.plural, zip((n for n, *_ in unnamed), slugs.free(bases), strict=True))
        names = references.Names(self.tx, self._named, lambda noun, key: bool(self.stage.known(noun, [key])))
        for rows in self.stage.rows("named"):
            for row in rows:
                self._try(names.resolve, row)
            self.stage.put(rows)
            self.stage.refer(reference for row in rows for reference in self._references(row))

    def _named(self) -> Iterator[Row]:
        """The rows in which references may be names."""
        return (row for rows in self.stage.rows("named") for row in rows)

    # -- whether it is a record --

    def _validate(self, row: Row) -> None:
        wanted = row.values
        if row.present is not None and self.wish.mode is ImportMode.upsert:
            wanted = records.own(row.resource, records.snapshot(row.resource, row.present)) | wanted
        row.data = records.validated(row.resource, wanted)

    def _warn(self, resource: Resource[Any], rows: Sequence[Row]) -> None:
        """Say of each new record whose title tells records apart which other has one of its names."""
        if not resource.claims or not self._before:
            return
        keyed = {row.n: references.keys(resource, row.values) for row in rows}
        wanted = {key for several in keyed.values() for key in several}
        there = references.named(self.tx, resource, wanted, before=self._before)
        for row in rows if there else ():
            if row.data is None or there.keys().isdisjoint(keyed[row.n]):
                continue
            for text in resource.texts(row.data.model_dump(mode="json")):
                if text.rank is not Rank.prose and (others := there.get(key_of(text.value))):
                    row.warnings.append(f"{text.value!r} is also a name of {references.listed(others)}.")

    # -- storing --

    def store(self, resource: Resource[Any]) -> None:
        """Create what is new, each behind what it refers to, then change what is there."""
        for places in self._ordered(resource.plural):
            rows = self.stage.at(places)
            self._prepare(resource, rows)
            self._create(resource, [row for row in rows if row.good])
            self.progress(len(rows))
        for rows in self.stage.rows("noun = ? AND present IS NOT NULL", resource.plural):
            self._look_up(resource, rows)
            self._change_all(rows)
        waiting = sorted(self.later)
        for start in range(0, len(waiting), CHUNK):
            self._change_all(self.stage.at(waiting[start : start + CHUNK]))
        self.later.clear()

    def _prepare(self, resource: Resource[Any], rows: Sequence[Row]) -> None:
        for row in rows:
            self._try(self._validate, row)
        nameless = [row for row in rows if row.good and row.slug is None]
        slugs = bulk.Slugs(self.tx, resource, partial(self.stage.known, resource.plural))
        for row in rows:
            row.id = row.id or next(self._new_ids)
        bases = [bulk.base(resource, resource.titled(row.data), row.id) for row in nameless if row.id]
        for row, slug in zip(nameless, slugs.free(bases), strict=True):
            row.slug = slug
        self.stage.give(resource.plural, ((row.n, str(row.slug)) for row in nameless))
        self._warn(resource, [row for row in rows if row.good])

    def _create(self, resource: Resource[Any], rows: Sequence[Row]) -> None:
        drafts = [
            Draft(_without(row, self.later.get(row.n, ())), row.id or next(self._new_ids), str(row.slug), row)
            for row in rows
        ]
        refused = bulk.create(self.tx, resource, drafts)
        for draft, error in refused:
            self._refuse(draft.place, error)
            self.later.pop(draft.place.n, None)
        out = {id(draft) for draft, _ in refused}
        for draft in drafts:
            if id(draft) not in out:
                self._done(draft.place, "created")

    def _done(self, row: Row, action: str) -> None:
        row.action = action
        self.counts[action] += 1
        if self.wish.every or (row.warnings and len(self.shown) < MOST_TOLD):
            row.data, row.values = None, {}
            self.shown.append(row)
        elif row.warnings:
            self.unshown += 1

    def _look_up(self, resource: Resource[Any], rows: Sequence[Row]) -> None:
        """The records that rows are about."""
        ids = sorted({row.there for row in rows if row.there is not None})
        there = {found.id: found for found in self._present(resource, resource.table.c.id, ids)}
        for row in rows:
            row.present = there.get(row.there)

    def _change_all(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._try(self._validate, row)
            if row.good:
                self._try(self._change, row)
            self.progress(row.present is not None)
        if len(self.tx.pending) >= CHUNK:
            revisions.flush(self.tx)

    def _change(self, row: Row) -> None:
        wanted = row.data.model_dump(mode="json", exclude={"slug"})
        if row.present is not None and wanted == records.own(row.resource, records.snapshot(row.resource, row.present)):
            self._done(row, "unchanged")
            return
        edit = (
            self._merged(row) if row.present is not None and self.wish.mode is ImportMode.upsert else lambda _: wanted
        )
        with self.tx.connection.begin_nested():
            stored = records.change(self.tx, row.resource, str(row.slug), edit, ANYTHING)
        if row.present is not None:
            self._done(row, "changed" if stored.written else "unchanged")

    def _merged(self, row: Row) -> Edit:
        """What the row gives, over what the record is by then: others may have written it since it was looked up."""
        return lambda before: before | row.values

    def _ordered(self, noun: str) -> Iterator[Sequence[int]]:
        """The places of new rows, some at a time, each behind those that it refers to. Where lists refer to each other in a
        circle (two instruments that name each other), these wait until all are there; any other circle is refused."""
        places = self.stage.places("noun = ? AND present IS NULL", noun)
        order, rest = staging.ordered(places, self._edges(noun))
        yield from _portions(order, bulk.GROUP)
        if rest:
            yield from _portions(self._untangled(noun, set(rest)), bulk.GROUP)

    def _edges(self, noun: str) -> Iterator[tuple[int, int]]:
        for one, other, pointer in self.stage.edges(noun):
            if one != other:
                yield one, other
            elif _in_a_list(pointer):
                self.later[one].append(pointer)

    def _untangled(self, noun: str, among: set[int]) -> list[int]:
        """The same of rows that are in circles, or refer to some that are."""
        graph: _Graph = {place: {} for place in sorted(among)}
        for one, other, pointer in self.stage.edges(noun):
            if one != other and one in among and other in among:
                graph[one].setdefault(other, []).append(pointer)
        for circle in circles(graph):
            for place in circle:
                self._put_off(place, graph[place], circle)
        while True:
            try:
                return list(TopologicalSorter(graph).static_order())
            except CycleError as error:
                self._refuse_circle(graph, error.args[1])

    def _put_off(self, place: int, edges: dict[int, list[str]], circle: set[int]) -> None:
        """Let the references of a row to others of its circle wait, where they stand in lists."""
        for other in [other for other in edges if other in circle and all(map(_in_a_list, edges[other]))]:
            self.later[place] += edges.pop(other)

    def _refuse_circle(self, graph: _Graph, circle: Sequence[int]) -> None:
        rows = dict(zip(circle, self.stage.at(circle), strict=True))
        names = " → ".join(str(rows[place].slug) for place in circle)
        for place, row in rows.items():
            self._try(self._validate, row)
            self._refuse(row, Invalid(f"These records refer to each other in a circle: {names}."))
            graph.pop(place, None)
            self.later.pop(place, None)
        for edges in graph.values():
            for place in rows:
                edges.pop(place, None)

    # -- refusing --

    def _try(self, step: Callable[[Row], None], row: Row) -> None:
        try:
            step(row)
        except RegistryError as error:
            self._refuse(row, error)

    def _refuse(self, row: Row, error: RegistryError) -> None:
        """Tell what is wrong with a row, once of each place."""
        row.action = None
        self.faults.rows += not row.faulty
        for fault in error.faults[:MOST_FAULTS] or (Fault(_code(error), error.detail),):
            if not _told(row, fault.pointer or ""):
                self.faults.add(self._problem(row, fault, error))
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
            if link.pointer == fault.pointer and (line := self.stage.holder(link.table.info["noun"], link.key)):
                return f"Line {line}, to which it refers, cannot be taken."
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


def _base(row: Row) -> str:
    """The slug that follows from the title of a row, if that is there already."""
    name = row.resource.claims[0] if row.resource.claims else "title"
    value = row.values.get(name)
    return slugify(value) if isinstance(value, str) else ""


_Graph = dict[int, dict[int, list[str]]]
"""By the place of a row, those that it refers to, with the pointers of the references."""


def _portions(several: Iterable[Any], size: int = records.MOST_KEYS) -> Iterator[list[Any]]:
    waiting = iter(several)
    while part := list(islice(waiting, size)):
        yield part


def _in_a_list(pointer: str) -> bool:
    return pointer.count("/") > 1


def _without(row: Row, later: Sequence[str]) -> BaseModel:
    """The data of a row without the references that have to wait."""
    whole: BaseModel = row.data
    if not later:
        return whole
    document = whole.model_dump(mode="json")
    for pointer in sorted(later, key=lambda pointer: int(pointer.rpartition("/")[2]), reverse=True):
        parent, _, last = pointer.rpartition("/")
        del records.at(document, parent)[int(last)]
    data: BaseModel = records.validated(row.resource, document)
    return data
