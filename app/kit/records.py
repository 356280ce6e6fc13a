"""The one door: every reading and every write of every caller goes through these functions.

So a version, a rule, a revision and a number of the sequence cannot be forgotten. All of them run inside a unit of work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import islice, repeat
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import Any, Literal, TypeVar
from uuid import UUID

import msgspec
import sqlalchemy as sa
from pydantic import BaseModel, ValidationError

from app.kit import filters, paging, past, revisions, search
from app.kit.among import among
from app.kit.db import NUMBER, WAITING, Base, Database, Transaction
from app.kit.errors import Again, Conflict, Fault, Gone, Invalid, Malformed, Moved, NotFound, PreconditionMissing, Stale
from app.kit.ids import new_id
from app.kit.resource import (
    COMMON,
    Brought,
    Computed,
    Link,
    Linked,
    Proposal,
    Resource,
    Rows,
    Target,
    Targets,
    claim_of,
)
from app.kit.revisions import Action, Written
from app.kit.text import is_id, key_of, slugify

In = TypeVar("In", bound=BaseModel)
T = TypeVar("T")
Expected = frozenset[int] | Literal["*"] | None
"""The versions that a conditional write accepts; `"*"`: whatever is there; None: the caller did not say."""
ANYTHING: Expected = "*"
MOST_FAULTS = 100
"""A problem lists so many: a body of a megabyte can hold 80,000, and telling them all would take 20 megabytes."""

NOTHING: Targets = MappingProxyType({})

Snapshot = dict[str, Any]
Edit = Callable[[Snapshot], Snapshot]


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it stands: `body` is its JSON, `written` tells whether this unit of work changed it."""

    id: UUID
    slug: str
    version: int
    body: bytes
    written: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list: the records' JSON, the cursor of the next page, the size of the whole list when asked for."""

    items: list[bytes]
    next: str | None
    total: int | None


def open_database(
    url: str,
    *,
    pool_size: int = 8,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    replica_url: str | None = None,
    waiting: int = WAITING,
    patience: float | None = None,
) -> Database:
    """The registry's database, with the seal that every write ends in."""
    return Database(
        url,
        pool_size=pool_size,
        clock=clock,
        seal=revisions.seal,
        replica_url=replica_url,
        waiting=waiting,
        patience=patience,
    )


# --- reading --------------------------------------------------------------------------------------------------------


def fetch(tx: Transaction, resource: Resource[Any], key: str) -> Stored:
    """The record that `key` (id or slug) names. Raises NotFound, Gone."""
    row = _found(tx, (resource.whole_by_id, resource.whole_by_slug), key)
    if row is None:
        raise _nothing(resource, key)
    tx.saw(row)
    if row.withdrawn_at is not None:
        raise gone(tx, resource, row)
    return _stored(tx, resource, row)


def browse(tx: Transaction, resource: Resource[Any], query: filters.ListQuery) -> Page:
    """The page of the list that `query` asks for. Raises Malformed for a foreign cursor or an unknown sort,
    Invalid for a filter that names a record which does not exist."""
    table = resource.table
    where = filters.narrowing(query, table, tx.today)
    order, context = _order(resource, query), _context(resource, query)
    shown = resource.standing if query.withdrawn is filters.Withdrawn.no else resource.shown
    statement = _list(shown, order.column, query.withdrawn)
    after = paging.decode(query.cursor, context, order.column) if query.cursor is not None else None
    rows, more = paging.page(tx, statement, order, limit=query.limit, after=after, where=where)
    if rows:
        tx.saw(rows[0])
    elif after is None:
        _insist_on_references(tx, query)
    return Page(
        items=bodies(tx, resource, rows),
        next=paging.encode(paging.Position(rows[-1].sort_key, _id_of(rows[-1])), context) if more else None,
        total=_total(tx, table, query) if query.count else None,
    )


def _total(tx: Transaction, table: sa.Table, query: filters.ListQuery) -> int:
    where = filters.conditions(query, table, tx.today)
    return int(tx.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar_one())


@cache
def _list(
    shown: tuple[sa.ColumnElement[Any], ...], key: sa.Column[Any], withdrawn: filters.Withdrawn
) -> sa.Select[Any]:
    """What a list reads of each record, and the key that it is sorted by."""
    return sa.select(*shown, key.label("sort_key"), NUMBER).where(*filters.standing(key.table, withdrawn))


def bodies(tx: Transaction, resource: Resource[Any], rows: Sequence[Any], *, new: bool = False) -> list[bytes]:
    """The JSON of each row: its stored document, its computed fields behind it. `new`: they were made a moment ago."""
    if not rows:
        return []
    documents, ends = _column(rows, "document"), map(resource.ending, _column(rows, "shape"))
    parts = [_told(tx, part, rows, new=new) for part in resource.computed]
    told = zip(*parts, strict=True) if parts else repeat(())
    withdrawn = _column(rows, "withdrawn_at") if hasattr(rows[0], "withdrawn_at") else repeat(None)
    return [
        # As most records are: nothing hangs on it.
        f"{document[:-1]}{end}".encode()
        if end is not None and withdrawn_at is None and not any(each)
        else _body(resource, row, each, withdrawn_at)
        for row, document, end, each, withdrawn_at in zip(rows, documents, ends, told, withdrawn, strict=False)
    ]


def _body(resource: Resource[Any], row: Any, told: Sequence[Any], withdrawn_at: Any) -> bytes:
    """The JSON of a record, whatever hangs on it, be it withdrawn or not, and whether or not its shape tells what it holds."""
    outline, body = resource.outlines.read(row.shape), _in_shape(resource, row.shape, row.document)
    stated = resource.outlines.stated(body) if outline.stated is None else outline.stated
    extra: Snapshot = {}
    for part, each in zip(resource.computed, told, strict=True):
        extra |= part.show(stated, each) if isinstance(part, Brought) else each
    if withdrawn_at is not None:
        extra["withdrawn_at"] = withdrawn_at
    return body[:-1] + b"," + msgspec.json.encode(extra)[1:] if extra else body


def _told(tx: Transaction, part: Computed, rows: Sequence[Any], *, new: bool) -> Sequence[Any]:
    """Of each of these rows what hangs on it, or the fields that this part computes."""
    if not isinstance(part, Brought):
        found = part(tx, rows)
        return [found.get(row.id, {}) for row in rows]
    if new:  # nothing hangs on it yet
        return [None] * len(rows)
    if hasattr(rows[0], part.name):
        return _column(rows, part.name)
    told = part.asked(tx, [row.id for row in rows])
    return [told.get(row.id) for row in rows]


def _column(rows: Sequence[Any], name: str) -> Sequence[Any]:
    """This column of each row. (To ask a row of SQLAlchemy for a name takes longer than to ask it for a place, and a page
    would ask three hundred times.)"""
    fields = getattr(rows[0], "_fields", None)
    return list(map(attrgetter(name) if fields is None else itemgetter(fields.index(name)), rows))


class _Named(msgspec.Struct, gc=False):
    """What is read of a document that nobody has to read: whose it is."""

    id: UUID


def _id_of(row: Any) -> UUID:
    return msgspec.json.decode(row.document, type=_Named).id


def locate(tx: Transaction, resource: Resource[Any], key: str, *, to_write: bool = False) -> sa.Row[Any]:
    """The row that `key` names, withdrawn or not. `to_write`: other writers of it wait until this transaction ends
    (PostgreSQL; SQLite has one writer). Raises NotFound."""
    by_id, by_slug = resource.by_id, resource.by_slug
    row = _found(tx, (tx.held(by_id), tx.held(by_slug)) if to_write else (by_id, by_slug), key)
    if row is None:
        raise _nothing(resource, key)
    return row


def _found(tx: Transaction, ways: tuple[sa.Select[Any], sa.Select[Any]], key: str) -> sa.Row[Any] | None:
    """The row that `key` names, by the statement for an id or the one for a slug; None where there is none."""
    named = key_of(key)
    if named is None:
        return None
    rows = tx.rows(ways[0] if isinstance(named, UUID) else ways[1], {"key": named})
    return rows[0] if rows else None


def _nothing(resource: Resource[Any], key: str) -> NotFound:
    return NotFound(f"No record of {resource.plural} has the id or slug {key[:100]!r}.")


def gone(tx: Transaction, resource: Resource[Any], row: sa.Row[Any]) -> Gone:
    """What is left of a withdrawn record: who withdrew it, when and why, and which other took its place."""
    author = revisions.author_of(tx, row.id, row.version)
    tombstone = {
        "id": str(row.id), "slug": row.slug, "version": row.version,
        "withdrawn_at": row.withdrawn_at, "author": author.name, "reason": author.reason,
    }  # fmt: skip
    if row.moved_to is None:
        return Gone(f"{row.slug} was withdrawn from {resource.plural}.", tombstone=tombstone, version=row.version)
    there = tx.execute(resource.by_id, {"key": row.moved_to}).one().slug
    detail = f"{row.slug} of {resource.plural} was merged into {there}."
    return Moved(detail, tombstone=tombstone | {"moved_to": there}, version=row.version, moved_to=there)


def snapshot(resource: Resource[Any], row: Any) -> Snapshot:
    """The record in `row` as a dictionary: common fields, then its own."""
    document: Snapshot = msgspec.json.decode(row.document)
    return document if resource.outlines.read(row.shape).is_todays else _complete(resource, document)


def own(resource: Resource[Any], document: Mapping[str, Any]) -> Snapshot:
    """The fields of a snapshot that a client may write."""
    return {planned.name: document.get(planned.name) for planned in resource.plan.fields}


def _complete(resource: Resource[Any], document: Snapshot) -> Snapshot:
    """A snapshot from before a field was added or dropped, in today's shape."""
    fields = resource.write.model_fields
    return {name: document.get(name) for name in COMMON} | {
        planned.name: document.get(
            planned.name, fields[planned.name].get_default(call_default_factory=True, validated_data={})
        )
        if not fields[planned.name].is_required()
        else document.get(planned.name)
        for planned in resource.plan.fields
    }


def _in_shape(resource: Resource[Any], shape: str, document: str) -> bytes:
    """A document as it was stored, in today's shape."""
    if resource.outlines.read(shape).is_todays:
        return document.encode()
    return msgspec.json.encode(_complete(resource, msgspec.json.decode(document)))


def _stored(tx: Transaction, resource: Resource[Any], row: Any, *, written: bool = False, new: bool = False) -> Stored:
    return _all_stored(tx, resource, [row], written=written, new=new)[0]


def newly(tx: Transaction, resource: Resource[Any], rows: Sequence[Mapping[str, Any]]) -> list[Stored]:
    """Records that are new, as they stand."""
    stand = [_Row(row["id"], row["slug"], row["version"], row["shape"], row["document"]) for row in rows]
    return _all_stored(tx, resource, stand, written=True, new=True)


def _all_stored(
    tx: Transaction, resource: Resource[Any], rows: Sequence[Any], *, written: bool, new: bool
) -> list[Stored]:
    shown = zip(rows, bodies(tx, resource, rows, new=new), strict=True)
    return [Stored(row.id, row.slug, row.version, body, written) for row, body in shown]


def _order(resource: Resource[Any], query: filters.ListQuery) -> paging.Order:
    name = "slug" if query.sort is None else query.sort
    column = resource.sorts.get(name.removeprefix("-"))
    if column is None:
        allowed = ", ".join(sorted(resource.sorts))
        raise Malformed(
            f"{resource.plural} cannot be sorted by {name[:50]!r}.",
            slug="unknown-parameter",
            faults=[Fault("unknown_sort", f"Allowed: {allowed}; with - in front in reverse.", parameter="sort")],
        )
    return paging.Order(filters.core(column), resource.table.c.id, name.startswith("-"))


def _context(resource: Resource[Any], query: filters.ListQuery) -> str:
    """What a cursor belongs to: the noun, its filters and its sort; not the size or shape of the page."""
    shaping = {"cursor", "limit", "count", "fields", "include", "format", "bom"}
    return resource.plural + query.model_dump_json(exclude=shaping, exclude_none=True)


def _insist_on_references(tx: Transaction, query: filters.ListQuery) -> None:
    """An empty list for a mistyped slug would read as "nobody": say that the slug is unknown, or that another took its
    place."""
    for name, info in type(query).model_fields.items():
        value = getattr(query, name)
        for mark in info.metadata if value is not None else ():
            if isinstance(mark, filters.Where) and mark.target is not None:
                insist_on_reference(tx, mark.target, value, info.alias or name)


def insist_on_reference(tx: Transaction, table: sa.Table, key: str, parameter: str) -> None:
    """Raises Invalid where a parameter names a record of `table` that there is not, or whose place another took."""
    if not exists(tx, table, key):
        raise Invalid.parameter(parameter, "unknown_reference", f"There is no {_noun(table)} {key!r}.")
    moved, there = table.info["moved"], table.alias()
    if moved is not None:
        place = sa.select(there.c.slug).join(table, moved == there.c.id).where(filters.named(table, key))
        if (slug := tx.execute(place).scalar()) is not None:
            raise Invalid.parameter(parameter, "merged", f"{key} was merged into {slug!r}: ask for that.")


def exists(tx: Transaction, table: sa.Table, key: str) -> bool:
    """Whether `table` has a record, withdrawn or not, with this slug or id."""
    return tx.execute(sa.select(table.c.id).where(filters.named(table, key))).first() is not None


def texts(tx: Transaction, resource: Resource[Any], ids: Sequence[UUID]) -> dict[UUID, tuple[str, list[search.Text]]]:
    """Of those of these records that are there, by id, the slug and the texts by which each is found. One statement."""
    rows = tx.rows(_of_ids(resource.table), {"ids": ids})
    return {row.id: (row.slug, list(resource.texts(snapshot(resource, row)))) for row in rows}


@cache
def _of_ids(table: sa.Table) -> sa.Select[Any]:
    shown = sa.select(table.c.id, table.c.slug, table.c.shape, table.c.document)
    return shown.where(among(table.c.id), table.c.withdrawn_at.is_(None))


# --- writing --------------------------------------------------------------------------------------------------------


def create(tx: Transaction, resource: Resource[In], data: In, *, slug: str | None = None) -> Stored:
    """A new record, under `slug` or the slug in `data` or one derived from its title.
    Raises Invalid, Conflict (a name, slug or identifier that is taken)."""
    tx.insist_on_right("create", resource.plural)
    return _store(tx, weigh_creation(tx, resource, data, slug=slug))


def weigh_creation(
    tx: Transaction, resource: Resource[In], data: In, *, slug: str | None = None, beside: Targets = NOTHING
) -> Weighed:
    """What `create` would store. Nobody's rights are asked, and nothing is written. `beside` are records that would be there
    by then. Raises Invalid, Conflict."""
    identifier = new_id(tx.now)
    given = slug or getattr(data, "slug", None)
    insist_on_free(resource, given)
    if given is not None and given in slugs_like(tx, resource, given):
        raise Conflict(
            f"The slug {given!r} is taken, and slugs are never used twice.",
            faults=[Fault("slug_taken", "Choose another slug.", pointer="/slug")],
            existing=given,
        )
    chosen = given or _derived(tx, resource, data) or f"{resource.name.replace(' ', '-')}-{identifier.hex[-12:]}"
    meta = {"id": str(identifier), "slug": chosen, "version": 1, "created_at": tx.now, "updated_at": tx.now}
    return _weigh(tx, resource, data, meta, Action.created, before=None, beside=beside)


def insist_on_free(resource: Resource[Any], slug: str | None) -> None:
    """Raises Invalid for a slug that no record may have."""
    if slug in resource.reserved:
        raise Invalid.at("/slug", "reserved", f"The slug {slug!r} is the address of something else. Choose another.")


def hold(tx: Transaction, resource: Resource[Any], keys: Iterable[str]) -> None:
    """Make other writers of these records wait, in the order of the ids. (PostgreSQL; SQLite has one writer.)"""
    named = sorted(set(keys))
    if len(named) > 1:
        table = resource.table
        where = sa.or_(
            table.c.id.in_([UUID(key) for key in named if is_id(key)]),
            table.c.slug.in_([key for key in named if not is_id(key)]),
        )
        tx.execute(sa.select(table.c.id).where(where).order_by(table.c.id).with_for_update())


def change(tx: Transaction, resource: Resource[Any], key: str, edit: Edit, expected: Expected) -> Stored:
    """The record after `edit`, a function from its present snapshot to the one that is wanted.

    Validated as a whole; an edit that changes nothing writes nothing. Raises NotFound, Gone, PreconditionMissing,
    Stale, Invalid, Conflict.
    """
    tx.insist_on_right("change", resource.plural)
    return _store(tx, weigh_change(tx, resource, key, edit, expected))


def weigh_change(tx: Transaction, resource: Resource[Any], key: str, edit: Edit, expected: Expected) -> Weighed:
    """What `change` would store. Nobody's rights are asked, and nothing is written.
    Raises NotFound, Gone, PreconditionMissing, Stale, Invalid, Conflict."""
    row = locate(tx, resource, key, to_write=True)
    if row.withdrawn_at is not None:
        raise gone(tx, resource, row)
    check(tx, row, expected)
    before = snapshot(resource, row)
    data = validated(resource, _without_common(resource, edit(before), before))
    meta = {name: before[name] for name in COMMON} | {"version": row.version + 1, "updated_at": tx.now}
    return _weigh(tx, resource, data, meta, Action.changed, before=row)


def withdraw(
    tx: Transaction, resource: Resource[Any], key: str, expected: Expected, *, moved_to: UUID | None = None
) -> Stored:
    """Take a record out. It keeps its id, slug and history, and gives up its name and identifiers. `moved_to` is the record
    that takes its place, if one does.
    Raises NotFound, Gone, PreconditionMissing, Stale, Conflict (somebody refers to it)."""
    tx.insist_on_right("withdraw", resource.plural)
    row = locate(tx, resource, key, to_write=True)
    if row.withdrawn_at is not None:
        raise gone(tx, resource, row)
    check(tx, row, expected)
    meta = {"version": row.version + 1, "updated_at": tx.now}
    left = snapshot(resource, row) | meta
    shape, document = resource.outlines.of(left), msgspec.json.encode(left).decode()
    values = {**meta, "withdrawn_at": tx.now, "claim": None, "shape": shape, "document": document}
    # First the row, then the question: a writer that refers to it meanwhile waits for this lock, or is waited for.
    _update(tx, resource, row, values | _moved(resource, moved_to))
    for child in resource.plan.children:
        if child.claims:
            tx.execute(sa.update(child.table).where(child.table.c[child.parent] == row.id).values(claim=None))
    users = list(users_of(tx, resource, row.id))
    if users:
        raise Conflict(
            f"{row.slug} is still in use by {len(users)} record{'s' if len(users) > 1 else ''}.",
            used_by=[{"noun": noun, "slug": slug} for noun, slug in users],
        )
    written = Written(resource.table, row.id, row.slug, row.version + 1, shape, document)
    revisions.note(tx, written, Action.withdrawn, (), texts=())
    return Stored(row.id, row.slug, row.version + 1, document.encode(), written=True)


def _moved(resource: Resource[Any], to: UUID | None) -> dict[str, Any]:
    return {} if resource.moved is None else {resource.moved.key: to}


def restore(
    tx: Transaction, resource: Resource[Any], key: str, expected: Expected = None, *, moved: bool = False
) -> Stored:
    """Bring a withdrawn record back, through the same rules as any write; a record that is there stays as it is.
    Without `expected`, whatever is there. `moved`: also one whose place another took.
    Raises NotFound, Stale, Invalid (it refers to something withdrawn), Conflict (its name is taken now, or its place)."""
    tx.insist_on_right("restore", resource.plural)
    row = locate(tx, resource, key, to_write=True)
    check(tx, row, ANYTHING if expected is None else expected)
    if row.withdrawn_at is None:
        return _stored(tx, resource, row)
    if row.moved_to is not None and not moved:
        raise Conflict(gone(tx, resource, row).detail + " Take the merge back to have it again.")
    before = snapshot(resource, row)
    meta = {name: before[name] for name in COMMON} | {"version": row.version + 1, "updated_at": tx.now}
    data = validated(resource, own(resource, before))
    return _store(tx, _weigh(tx, resource, data, meta, Action.restored, before=row))


def check(tx: Transaction, row: sa.Row[Any], expected: Expected) -> None:
    """The caller's precondition against the record as it is. Raises PreconditionMissing, Stale."""
    if expected is None:
        raise PreconditionMissing(
            "Say which version you mean: send If-Match with the ETag you last saw, or * for whatever is there.",
            version=row.version,
        )
    if expected != "*" and row.version not in expected:
        seen = max((version for version in expected if version < row.version), default=row.version)
        raise Stale(
            f"The record is at version {row.version} now.",
            version=row.version,
            changed=revisions.changed_since(tx, row.id, seen),
        )


def validated(resource: Resource[In], values: Mapping[str, Any]) -> In:
    """The noun's input class made of `values`. Raises Invalid with a pointer for every fault."""
    return parsed(resource.write, values)


def parsed(cls: type[In], values: Mapping[str, Any]) -> In:
    """`cls` made of `values`. Raises Invalid with a pointer for every fault."""
    try:
        return cls.model_validate(dict(values))
    except ValidationError as error:
        raise Invalid("Some fields break their rules.", faults=faults_of(error.errors(include_url=False))) from None


def faults_of(errors: Iterable[Any]) -> list[Fault]:
    """Pydantic's errors, the first MOST_FAULTS, as faults with JSON Pointers. The input itself is not repeated."""
    return [
        Fault(error["type"], error["msg"], pointer=pointer_of(error["loc"])) for error in islice(errors, MOST_FAULTS)
    ]


def pointer_of(location: Iterable[str | int]) -> str:
    """A Pydantic location as a JSON Pointer (RFC 6901). Of a key that is itself at fault Pydantic says `[key]` below it."""
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in location]
    return "".join(f"/{step}" for step in (steps[:-1] if steps[-1:] == ["[key]"] else steps))


def users_of(
    tx: Transaction, resource: Resource[Any], identifier: UUID, most: int | None = 20
) -> Iterator[tuple[str, str]]:
    """The records (noun, slug) that refer to this one, at most `most` of each kind."""
    for table in Base.metadata.sorted_tables:
        for column in table.c:
            if any(key.column.table is resource.table for key in column.foreign_keys) and not _owns(table, column):
                yield from (
                    (_owner(table).info["noun"], slug)
                    for slug in tx.execute(_users(table, column, identifier, most)).scalars()
                )


def _users(table: sa.Table, column: sa.Column[Any], identifier: UUID, most: int | None) -> sa.Select[Any]:
    owner = _owner(table)
    statement = (
        sa.select(owner.c.slug).where(column == identifier, owner.c.withdrawn_at.is_(None)).distinct().limit(most)
    )
    if owner is not table:
        parent = next(c for c in table.primary_key if c.foreign_keys)
        statement = statement.join(table, parent == owner.c.id)
    return statement.order_by(owner.c.slug)


def _owns(table: sa.Table, column: sa.Column[Any]) -> bool:
    """Whether `column` is how a child row hangs on its own record."""
    return column.primary_key and "slug" not in table.c


def _owner(table: sa.Table) -> sa.Table:
    """The noun's table that rows of `table` belong to."""
    if "slug" in table.c:
        return table
    return next(iter(next(c for c in table.primary_key if c.foreign_keys).foreign_keys)).column.table


def _noun(table: sa.Table) -> str:
    return table.name.replace("_", " ")


def slugs_like(tx: Transaction, resource: Resource[Any], slug: str) -> set[str]:
    """`slug` and its numbered relatives, as far as they are in use or no record may have them."""
    bounds = {"slug": slug, "first": f"{slug}-", "last": f"{slug}-:"}
    return {row.slug for row in tx.rows(_numbered(resource.table.c.slug), bounds)} | (resource.reserved & {slug})


def _derived(tx: Transaction, resource: Resource[In], data: In) -> str:
    """A free slug made from the record's title; "" where the title has no letter that a slug can hold."""
    slug = slugify(resource.titled(data))
    if not slug or is_id(slug):
        return ""
    if slug not in slugs_like(tx, resource, slug):
        return slug
    # Whoever else wants the next number waits here for the record that has the slug, and then sees ours.
    table = resource.table
    tx.execute(tx.held(sa.select(table.c.id).where(table.c.slug == slug)))
    taken = slugs_like(tx, resource, slug)
    return next(numbered for n in range(2, len(taken) + 3) if (numbered := f"{slug}-{n}") not in taken)


def _without_common(resource: Resource[Any], wanted: Snapshot, before: Snapshot) -> Snapshot:
    """What the client wrote, without the read-only fields that it left as they are. One that it changed is refused."""
    changed = [name for name in COMMON if name in wanted and wanted[name] != before[name]]
    changed += [name for name in resource.computed_fields if name in wanted]
    if changed:
        message = "This field is kept by the registry and cannot be set."
        faults = [Fault("read_only", message, pointer=f"/{name}") for name in changed]
        raise Invalid("The record holds read-only fields with other values than the registry's.", faults=faults)
    return {name: value for name, value in wanted.items() if name not in COMMON}


def resolve(tx: Transaction, links: Iterable[Link], standing: Snapshot) -> Targets:
    """The records that `links` name. They stay as they are until this transaction ends.
    Raises Invalid with a pointer for each that is unknown, or withdrawn; a citation keeps a withdrawn target that it has
    in `standing`, the record as it was."""
    wanted = list(links)
    known = named(tx, wanted)
    known.insist(wanted, standing)
    return known.found


@dataclass(frozen=True, slots=True)
class Known:
    """Records that were looked up by the keys that name them, and which of them are withdrawn."""

    found: dict[tuple[str, str], Target]
    withdrawn: set[tuple[str, str]]

    def insist(self, links: Iterable[Link], standing: Snapshot) -> None:
        """Raises Invalid with a pointer for each link that leads to nothing."""
        faults = [fault for link in links if (fault := _unresolved(link, self.found, self.withdrawn, standing))]
        if faults:
            raise Invalid("The record refers to something that is not there.", faults=faults)


MOST_KEYS = 500
"""Keys in one statement."""


def portions(keys: Sequence[T]) -> Iterator[Sequence[T]]:
    """`keys` in portions that one statement takes."""
    return (keys[start : start + MOST_KEYS] for start in range(0, len(keys), MOST_KEYS))


def named(tx: Transaction, links: Sequence[Link]) -> Known:
    """The records that `links` name, as far as they are there: one statement a table, or two where some are named by slug and
    some by id."""
    known = Known({}, set())
    for table in {link.table.name: link.table for link in links}.values():
        _look_up(tx, table, sorted({link.key for link in links if link.table is table}), known)
    return known


def _look_up(tx: Transaction, table: sa.Table, keys: Sequence[str], known: Known) -> None:
    ids, slugs = [UUID(key) for key in keys if is_id(key)], [key for key in keys if not is_id(key)]
    for column, some in ((table.c.slug, slugs), (table.c.id, ids)):
        for row in tx.rows(tx.held(_with_keys(column), shared=True), {"keys": some}) if some else ():
            for key in (row.slug, str(row.id)):
                known.found[table.name, key] = Target(row.id, row.slug)
                if row.withdrawn_at is not None:
                    known.withdrawn.add((table.name, key))


@cache
def _with_keys(column: sa.Column[Any]) -> sa.Select[Any]:
    c = column.table.c
    return sa.select(c.id, c.slug, c.withdrawn_at).where(among(column, "keys")).order_by(c.id)


def _unresolved(link: Link, found: Targets, withdrawn: set[tuple[str, str]], standing: Snapshot) -> Fault | None:
    key = (link.table.name, link.key)
    if key not in found:
        return Fault("unknown_reference", f"There is no {_noun(link.table)} {link.key!r}.", pointer=link.pointer)
    if key in withdrawn and at(standing, link.pointer) != found[key].slug:
        return Fault(
            "withdrawn_reference", f"The {_noun(link.table)} {link.key!r} was withdrawn.", pointer=link.pointer
        )
    return None


def at(document: Any, pointer: str) -> Any:
    """What stands at a JSON Pointer (RFC 6901); None where nothing does."""
    for step in pointer.split("/")[1:]:
        if isinstance(document, list):
            inside = step.isascii() and step.isdigit() and int(step[:9]) < len(document)
            document = document[int(step)] if inside else None
        else:
            name = step.replace("~1", "/").replace("~0", "~")
            document = document.get(name) if isinstance(document, dict) else None
    return document


@dataclass(frozen=True, slots=True)
class Weighed:
    """A write that has passed every check and is not stored yet. `shown` are the fields as they would be, `plain` the same in
    JSON's own types, `changed` those that differ from `old`, `items` the rows of each list that would be replaced."""

    resource: Resource[Any]
    meta: Snapshot
    action: Action
    before: sa.Row[Any] | None
    old: Snapshot
    shown: Snapshot
    plain: Snapshot
    changed: list[str]
    row: Snapshot
    items: Sequence[tuple[Rows, list[dict[str, Any]]]]

    @property
    def id(self) -> UUID:
        return UUID(self.meta["id"])

    @property
    def slug(self) -> str:
        return str(self.meta["slug"])

    @property
    def version(self) -> int:
        return int(self.meta["version"])


def _weigh(
    tx: Transaction,
    resource: Resource[In],
    data: In,
    meta: Snapshot,
    action: Action,
    *,
    before: sa.Row[Any] | None,
    beside: Targets = NOTHING,
) -> Weighed:
    """Every check of `data` under `meta`: a new row, or one in the place of `before`."""
    old = own(resource, snapshot(resource, before)) if before is not None else {}
    links = [link for link in resource.plan.links(data) if (link.table.name, link.key) not in beside]
    targets = {**resolve(tx, links, old if action is Action.changed else {}), **beside}
    shown = resource.plan.show(data, targets)
    insist_on_distinct(resource, shown)
    plain = msgspec.to_builtins(shown)
    changed = revisions.changed_fields(old, plain)
    if action is Action.changed and not changed:
        return Weighed(resource, meta, action, before, old, shown, plain, changed, {}, ())
    identifier = UUID(meta["id"])
    row = resource.plan.row(data, targets)
    if resource.claims:
        row["claim"] = claim_of(row, resource.claims)
        if before is None or row["claim"] != before.claim:
            _insist_on_claim(tx, resource.table, resource.claims, row["claim"], identifier)
    for rule in resource.rules:
        rule(tx, Proposal(identifier, data, row, targets, frozenset(changed), fresh=before is None))
    items = [
        (child, list(child.rows(identifier, getattr(data, child.name), targets, data)))
        for child in resource.plan.children
        if action is Action.restored or child.name in changed
    ]
    for child, rows in items:
        for n, item in enumerate(rows if child.claims else ()):
            _insist_on_item(tx, resource, child, item, f"/{child.name}/{n}", [r["claim"] for r in rows[:n]])
    return Weighed(resource, meta, action, before, old, shown, plain, changed, row, items)


def _store(tx: Transaction, weighed: Weighed) -> Stored:
    """Store what has been weighed: as a new row, or over the one before. An edit that changes nothing writes nothing."""
    resource, meta, before, identifier = weighed.resource, weighed.meta, weighed.before, weighed.id
    if weighed.action is Action.changed and not weighed.changed and before is not None:
        return _stored(tx, resource, before)
    shape, document = resource.outlines.of(weighed.plain), msgspec.json.encode(meta | weighed.shown).decode()
    row = weighed.row | {
        "version": meta["version"],
        "updated_at": tx.now,
        "withdrawn_at": None,
        "shape": shape,
        "document": document,
        **_moved(resource, None),
    }
    if before is None:
        tx.execute(_inserting(resource.table), {"id": identifier, "slug": meta["slug"], "created_at": tx.now, **row})
    else:
        _update(tx, resource, before, row)
    for child, rows in weighed.items:
        if before is not None:
            tx.execute(sa.delete(child.table).where(child.table.c[child.parent] == identifier))
        if rows:
            tx.execute(_inserting(child.table), rows)
    written = Written(resource.table, identifier, meta["slug"], meta["version"], shape, document)
    texts = list(resource.texts(weighed.plain))
    as_before = weighed.action is Action.changed and texts == list(resource.texts(weighed.old))
    revisions.note(tx, written, weighed.action, weighed.changed, None if as_before else texts)
    stands = _Row(identifier, meta["slug"], meta["version"], shape, document)
    return _stored(tx, resource, stands, written=True, new=before is None)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row as it was just written."""

    id: UUID
    slug: str
    version: int
    shape: str
    document: str
    withdrawn_at: None = None


def _update(tx: Transaction, resource: Resource[Any], before: sa.Row[Any], values: Mapping[str, Any]) -> None:
    """Over `before`, if it is still the version that was read; what it was is kept. Raises Again when another writer was
    faster."""
    table, was = resource.table, snapshot(resource, before)
    lists = (child.table for child in resource.plan.children if was[child.name])  # of the others there are no rows
    key: Snapshot = {"replaced": before.id, "replaced_version": before.version}
    keeping = past.keeping(table, *lists)
    if tx.connection.dialect.name == "postgresql":  # which sees the row in both as it was before the statement
        replaced = tx.execute(_keeping_and_replacing(table, keeping), {**values, **key})
    else:
        for each in keeping:
            tx.execute(each, key)
        replaced = tx.execute(_replacing(table), {**values, **key})
    if replaced.rowcount != 1:
        raise Again


# Statements that every write runs: putting one together costs as much as running it, so each is made once.
_inserting = cache(sa.insert)


@cache
def _replacing(table: sa.Table) -> sa.Update:
    key, version = sa.bindparam("replaced", type_=table.c.id.type), sa.bindparam("replaced_version", type_=sa.Integer)
    return sa.update(table).where(table.c.id == key, table.c.version == version)


@cache
def _keeping_and_replacing(table: sa.Table, keeping: Sequence[sa.Insert]) -> sa.Update:
    return _replacing(table).add_cte(*(each.cte(f"kept_{n}") for n, each in enumerate(keeping)))


@cache
def _claiming(table: sa.Table) -> sa.Select[Any]:
    claim, but = sa.bindparam("claim", type_=table.c.claim.type), sa.bindparam("but", type_=table.c.id.type)
    return sa.select(table.c.id, table.c.slug).where(table.c.claim == claim, table.c.id != but)


@cache
def _numbered(slug: sa.Column[Any]) -> sa.Select[Any]:
    first, last = (sa.bindparam(name, type_=slug.type) for name in ("first", "last"))
    numbered = sa.and_(slug > first, slug < last)
    return sa.select(slug).where(sa.or_(slug == sa.bindparam("slug", type_=slug.type), numbered))


def insist_on_distinct(resource: Resource[Any], shown: Snapshot) -> None:
    """A list of references names each record once, be it by slug or by id."""
    for child in resource.plan.children:
        slugs = shown[child.name] if isinstance(child.item, Linked) else ()
        for n, slug in enumerate(slugs):
            if slug in slugs[:n]:
                raise Invalid.at(f"/{child.name}/{n}", "repeated", f"{slug} stands twice in the list.")


def _insist_on_claim(tx: Transaction, table: sa.Table, claims: Sequence[str], claim: str, identifier: UUID) -> None:
    for other in tx.rows(_claiming(table), {"claim": claim, "but": identifier}):
        raise same(table, claims[:1], f"/{claims[0]}", other)


def same(table: sa.Table, claims: Sequence[str], pointer: str, other: Any) -> Conflict:
    """The refusal of a claim that `other` (with its id and slug) has made before."""
    return Conflict(
        f"The {_noun(table)} {other.slug!r} has the same {' and '.join(claims)}.",
        faults=[Fault("taken", f"{other.slug} has it already.", pointer=pointer)],
        existing={"id": str(other.id), "slug": other.slug},
    )


def insist_on_once(claim: str, earlier: Sequence[str], pointer: str) -> None:
    """Raises Invalid for an item that stands twice in its list."""
    if claim in earlier:
        raise Invalid.at(pointer, "repeated", "The same item stands twice in the list.")


def _insist_on_item(
    tx: Transaction, resource: Resource[Any], child: Rows, row: Mapping[str, Any], pointer: str, earlier: Sequence[str]
) -> None:
    insist_on_once(row["claim"], earlier, pointer)
    asked = {"claim": row["claim"], "but": row[child.parent]}
    for other in tx.rows(_claiming_item(resource.table, child.table, child.parent), asked):
        raise same(resource.table, child.claims, pointer, other)


@cache
def _claiming_item(owner: sa.Table, table: sa.Table, parent: str) -> sa.Select[Any]:
    claim, but = sa.bindparam("claim", type_=table.c.claim.type), sa.bindparam("but", type_=owner.c.id.type)
    joined = sa.select(owner.c.id, owner.c.slug).join(table, table.c[parent] == owner.c.id)
    return joined.where(table.c.claim == claim, owner.c.id != but)
