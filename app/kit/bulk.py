"""The one door for many at once: new records are stored in groups, each with as many statements as one record takes.

A record that breaks a rule is refused alone, with the same words as through `records.create`, and so are those that refer
to it; the others are stored. Whether anything then stays is for the caller to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from pydantic import BaseModel

from app.kit import inserts, records, revisions
from app.kit.among import among
from app.kit.db import Author, Transaction
from app.kit.errors import Conflict, Fault, RegistryError
from app.kit.ids import new_id
from app.kit.records import Stored
from app.kit.resource import Proposal, Resource, Rows, Target, Targets, claim_of
from app.kit.revisions import Born
from app.kit.text import is_id, slugify

GROUP = 1000


@dataclass(slots=True)
class Draft:
    """A record that is to be: its data, its id and slug, and where the caller has it from."""

    data: BaseModel
    id: UUID
    slug: str
    place: Any = None
    author: Author | None = None
    """Who writes it, where that is not who writes all of them."""
    is_new: bool = False
    """Whether it has just been given its id, and a slug that was free."""


Refusals = list[tuple[Draft, RegistryError]]


def create(tx: Transaction, resource: Resource[Any], drafts: Sequence[Draft]) -> Refusals:
    """Store the drafts, each behind those that it refers to; what was refused, and why. Two of one slug, or one whose slug or
    id is taken, are refused like any other Conflict."""
    tx.insist_on_right("create", resource.plural)
    refused: Refusals = []
    for start in range(0, len(drafts), GROUP):
        refused += _store(tx, resource, drafts[start : start + GROUP])[1]
    return refused


def create_each(
    transactions: Sequence[Transaction], resource: Resource[Any], several: Sequence[BaseModel]
) -> list[Stored | None]:
    """Store what `records.create` would, each in the name of its own transaction; to the database all of these are one. None of
    what is refused."""
    tx, found = transactions[0], dict[int, Stored]()
    drafts = [
        Draft(data, new_id(own.now), getattr(data, "slug", None) or "", place, own.author)
        for place, (own, data) in enumerate(zip(transactions, several, strict=True))
        if own.author.may("create", resource.plural)
    ]
    nameless = [draft for draft in drafts if not draft.slug]
    names = slugs(tx, resource, [(resource.titled(draft.data), draft.id) for draft in nameless])
    for draft, slug in zip(nameless, names, strict=True):
        draft.slug, draft.is_new = slug, True
    ready, _ = _store(tx, resource, drafts)
    for each, stored in zip(ready, records.newly(tx, resource, [each.row for each in ready]), strict=True):
        transactions[each.draft.place].number = each.row["since"]
        found[each.draft.place] = stored
    return [found.get(place) for place in range(len(several))]


class Slugs:
    """Free slugs for records of a noun that have none, as `records.create` gives them. `but` tells which of some slugs others
    are going to have."""

    def __init__(
        self, tx: Transaction, resource: Resource[Any], but: Callable[[Sequence[str]], set[str]] = lambda _: set()
    ) -> None:
        self._tx, self._resource, self._but = tx, resource, but
        self._counted: Counter[str] = Counter()

    def free(self, bases: Sequence[str]) -> list[str]:
        """A slug for each, itself if it is free. Given out once, unless `but` forgets it."""
        taken = self._taken(sorted(set(bases))) if bases else set()
        return [self._numbered(base, taken) for base in bases]

    def _taken(self, bases: Sequence[str]) -> set[str]:
        """Which of `bases` are in use or going to be, and the numbered relatives of those that are."""
        column = self._resource.table.c.slug
        found = set(self._resource.reserved) & set(bases)
        found |= {row.slug for row in self._tx.rows(_known_slugs(column), {"slugs": bases})}
        found |= self._but(bases)
        for base in sorted(found):
            found |= records.slugs_like(self._tx, self._resource, base)
        return found

    def _numbered(self, base: str, taken: set[str]) -> str:
        slug = base
        while slug in taken or (slug != base and self._but([slug])):
            self._counted[base] += 1
            slug = f"{base}-{self._counted[base] + 1}"
        taken.add(slug)
        return slug


@cache
def _known_slugs(column: sa.Column[Any]) -> sa.Select[Any]:
    return sa.select(column).where(among(column, "slugs"))


def slugs(tx: Transaction, resource: Resource[Any], wanted: Sequence[tuple[str, UUID]]) -> list[str]:
    """A free slug for each of some records that have none, made of their titles."""
    return Slugs(tx, resource).free([base(resource, title, identifier) for title, identifier in wanted])


def base(resource: Resource[Any], title: str, identifier: UUID) -> str:
    """The slug of a title, were it free."""
    return own_base(resource, slugify(title), identifier)


def own_base(resource: Resource[Any], slug: str, identifier: UUID) -> str:
    """`slug`, if a record may have it; else one of its id."""
    return slug if slug and not is_id(slug) else f"{resource.name.replace(' ', '-')}-{identifier.hex[-12:]}"


# --- a group ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Ready:
    """A draft that may be stored: its references resolved, its rows and its document made."""

    draft: Draft
    targets: Targets
    shown: dict[str, Any]
    row: dict[str, Any]
    items: dict[str, list[dict[str, Any]]]
    changed: list[str]


def _store(tx: Transaction, resource: Resource[Any], drafts: Sequence[Draft]) -> tuple[list[_Ready], Refusals]:
    """Store a group; what is stored, and what is not. What is refused may take others along that refer to it, so the rest is
    looked at again, until nothing is refused any more. The rules are asked when all of it is there, so that they see it;
    should one refuse, all of it goes."""
    ready: list[_Ready] = []
    refused: Refusals = []
    todo = list(drafts)
    while todo:
        claims = _Claims(tx, resource)
        ready, unfit = _prepare(tx, resource, todo, claims)
        refused += unfit
        against = claims.taken()
        if not against:
            against = _insert(tx, resource, ready)
            if not against:
                _note(tx, resource, ready)
                break
        refused += against
        out = {id(draft) for draft, _ in against}
        todo, ready = [each.draft for each in ready if id(each.draft) not in out], []
    return ready, refused


def _prepare(
    tx: Transaction, resource: Resource[Any], drafts: Sequence[Draft], claims: _Claims
) -> tuple[list[_Ready], Refusals]:
    """The drafts that may be stored, as far as can be told without those claims that records have made; and the others."""
    table = resource.table
    links = [list(resource.plan.links(draft.data)) for draft in drafts]
    known = records.named(tx, [link for several in links for link in several])
    taken = _present(tx, table, drafts)
    among_themselves = any(link.table is table for several in links for link in several)
    ready: list[_Ready] = []
    refused: Refusals = []
    for draft, wanted in zip(drafts, links, strict=True):
        try:
            _insist_on_new(resource, draft, taken)
            if wanted:
                known.insist(wanted, {})
            each = _ready(tx, resource, draft, known.found)
            claims.add(each)
        except RegistryError as error:
            refused.append((draft, error))
        else:
            ready.append(each)
            taken |= {draft.slug, draft.id}
            for key in (draft.slug, str(draft.id)) if among_themselves else ():
                known.found[table.name, key] = Target(draft.id, draft.slug)
    return ready, refused


def _present(tx: Transaction, table: sa.Table, drafts: Sequence[Draft]) -> set[Any]:
    """The ids and slugs of `drafts` that records have already."""
    told = [draft for draft in drafts if not draft.is_new]
    keys = {"slugs": [draft.slug for draft in told], "ids": [draft.id for draft in told]}
    statements = _known_keys(table) if told else ()
    return {key for statement in statements for row in tx.rows(statement, keys) for key in row}


@cache
def _known_keys(table: sa.Table) -> tuple[sa.Select[Any], ...]:
    statement = sa.select(table.c.slug, table.c.id)
    return statement.where(among(table.c.slug, "slugs")), statement.where(among(table.c.id, "ids"))


def _insist_on_new(resource: Resource[Any], draft: Draft, taken: set[Any]) -> None:
    records.insist_on_free(resource, draft.slug)
    for name, value in (("slug", draft.slug), ("id", draft.id)):
        if value in taken:
            faults = [Fault(f"{name}_taken", "A record has it already.", pointer=f"/{name}")]
            raise Conflict(f"The {name} {str(value)!r} is taken, and {name}s are never used twice.", faults=faults)


def _ready(tx: Transaction, resource: Resource[Any], draft: Draft, targets: Targets) -> _Ready:
    shown = resource.plan.show(draft.data, targets)
    if targets:
        records.insist_on_distinct(resource, shown)
    row = resource.plan.row(draft.data, targets)
    if resource.claims:
        row["claim"] = claim_of(row, resource.claims)
    meta = {"id": str(draft.id), "slug": draft.slug, "version": 1, "created_at": tx.now, "updated_at": tx.now}
    row |= {
        "id": draft.id, "slug": draft.slug, "version": 1, "created_at": tx.now, "updated_at": tx.now,
        "withdrawn_at": None, "shape": resource.outlines.of(shown), "document": msgspec.json.encode(meta | shown).decode(),
    }  # fmt: skip
    items = {
        child.name: list(child.rows(draft.id, given, targets, draft.data))
        for child in resource.plan.children
        if (given := getattr(draft.data, child.name))
    }
    said = [name for name, value in shown.items() if value is not None]
    return _Ready(draft, targets, shown, row, items, said)


class _Claims:
    """The claims of a group: each is made once, by nobody else in the group and by no record that is there."""

    def __init__(self, tx: Transaction, resource: Resource[Any]) -> None:
        self._tx, self._resource = tx, resource
        self._own: dict[str, _Ready] = {}
        self._items: dict[str, dict[str, tuple[_Ready, int]]] = {
            child.name: {} for child in resource.plan.children if child.claims
        }

    def add(self, each: _Ready) -> None:
        """Raises Conflict when another of the group claims the same, Invalid when it does so twice itself."""
        claim, claims = each.row.get("claim"), self._resource.claims
        if claim is not None and claim in self._own:
            raise records.same(self._resource.table, claims[:1], f"/{claims[0]}", self._own[claim].draft)
        for child, claimed in self._children():
            for n, row in enumerate(each.items.get(child.name, ())):
                pointer = f"/{child.name}/{n}"
                records.insist_on_once(row["claim"], [r["claim"] for r in each.items[child.name][:n]], pointer)
                if row["claim"] in claimed:
                    raise records.same(self._resource.table, child.claims, pointer, claimed[row["claim"]][0].draft)
        if claim is not None:
            self._own[claim] = each
        for child, claimed in self._children():
            claimed |= {row["claim"]: (each, n) for n, row in enumerate(each.items.get(child.name, ()))}

    def _children(self) -> Iterator[tuple[Rows, dict[str, tuple[_Ready, int]]]]:
        return ((child, self._items[child.name]) for child in self._resource.plan.children if child.claims)

    def taken(self) -> Refusals:
        """Those of the group whose claims records have made already."""
        table, claims = self._resource.table, self._resource.claims
        found: dict[int, tuple[Draft, RegistryError]] = {}
        for claim, other in self._holders(_holders(table), self._own):
            draft = self._own[claim].draft
            found[id(draft)] = draft, records.same(table, claims[:1], f"/{claims[0]}", other)
        for child, claimed in self._children():
            for claim, other in self._holders(_holders_of_items(table, child.table.c[child.parent]), claimed):
                each, n = claimed[claim]
                found.setdefault(
                    id(each.draft), (each.draft, records.same(table, child.claims, f"/{child.name}/{n}", other))
                )
        return list(found.values())

    def _holders(self, statement: sa.Select[Any], claims: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        if claims:
            yield from ((row.claim, row) for row in self._tx.rows(statement, {"claims": list(claims)}))


@cache
def _holders(table: sa.Table) -> sa.Select[Any]:
    c = table.c
    return sa.select(c.claim, c.id, c.slug).where(among(c.claim, "claims"))


@cache
def _holders_of_items(table: sa.Table, parent: sa.Column[Any]) -> sa.Select[Any]:
    claim = parent.table.c.claim
    return (
        sa.select(claim, table.c.id, table.c.slug)
        .join(parent.table, parent == table.c.id)
        .where(among(claim, "claims"))
    )


def _insert(tx: Transaction, resource: Resource[Any], ready: Sequence[_Ready]) -> Refusals:
    """Store rows, and what the rules say against some of them. If anything, none stays."""
    if not ready:
        return []
    first = revisions.take(tx, len(ready))
    for n, each in enumerate(ready):
        each.row["since"] = first + n
    items = (
        inserts.part(child.table, [row for each in ready for row in each.items.get(child.name, ())])
        for child in resource.plan.children
    )
    inserts.insert(tx, inserts.part(resource.table, [each.row for each in ready]), *items)
    asked = ready if resource.rules else ()
    against = [(each.draft, error) for each in asked if (error := _refusal(tx, resource, each))]
    if against:
        _take_back(tx, resource, [each.draft.id for each in ready])
    return against


def _take_back(tx: Transaction, resource: Resource[Any], ids: Sequence[UUID]) -> None:
    """Delete what was just stored, and give the numbers back. It is seldom, and done by hand: for a savepoint around every
    group FTS5 would write out all that it holds, each time."""
    for table, owner in [
        *((child.table, child.table.c[child.parent]) for child in resource.plan.children),
        (resource.table, resource.table.c.id),
    ]:
        tx.execute(sa.delete(table).where(among(owner)), {"ids": ids})
    revisions.take(tx, -len(ids))


def _refusal(tx: Transaction, resource: Resource[Any], each: _Ready) -> RegistryError | None:
    try:
        for rule in resource.rules:
            rule(
                tx,
                Proposal(each.draft.id, each.draft.data, each.row, each.targets, frozenset(each.changed), fresh=True),
            )
    except RegistryError as error:
        return error
    return None


def _note(tx: Transaction, resource: Resource[Any], ready: Sequence[_Ready]) -> None:
    if ready:
        born = [Born(each.row, each.changed, list(resource.texts(each.shown)), each.draft.author) for each in ready]
        revisions.enter(tx, resource.table, born)
