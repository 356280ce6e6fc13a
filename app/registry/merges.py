"""Merging: two records of organizations turn out to be one body. Everything moves through the one door, and can move back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.kit import records
from app.kit.db import Base, Transaction, table_of
from app.kit.errors import Conflict, Invalid
from app.kit.records import ANYTHING, Expected, Snapshot
from app.kit.resource import Resource
from app.kit.text import fold
from app.registry.citations import CITATION, CitedNoun
from app.registry.organizations import NameKind, Organization

Resources = Mapping[str, Resource[Any]]
"""The nouns, by their names in paths."""


class OrganizationMerge(Base):
    """What a merge moved, so that it can be taken back. It is there as long as the merge stands."""

    __tablename__ = "organization_merge"

    merged_id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    into_id: Mapped[UUID] = mapped_column(sa.Uuid)
    moved: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON)
    added: Mapped[dict[str, list[Any]]] = mapped_column(sa.JSON)


MERGE = table_of(OrganizationMerge)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a merge did, or its undoing: the record that is merged (or is back), the other one, the references that moved,
    those that could not move back, and the names and identifiers that went along."""

    merged: str
    into: str
    moved: list[dict[str, Any]]
    kept: list[dict[str, Any]]
    added: dict[str, list[Any]]


# --- merging --------------------------------------------------------------------------------------------------------


def merge(tx: Transaction, nouns: Resources, merged: str, into: str, reason: str | None, expected: Expected) -> Outcome:
    """Make the organization `merged` one with `into`: whatever names the former names the latter, which takes its names and
    identifiers along; the former is withdrawn and leads to the latter. All or nothing.
    Raises NotFound, Gone, Stale, Invalid (both are one), Conflict (the one is a part of the other, or a rule refuses)."""
    organizations, tx = nouns["organizations"], _reasoned(tx, reason)
    records.hold(tx, organizations, [merged, into])
    loser, survivor = (_there(tx, organizations, key) for key in (merged, into))
    records.check(tx, loser, ANYTHING if expected is None else expected)
    if loser.id == survivor.id:
        raise Invalid.at("/into", "same", "An organization cannot be merged into itself.")
    before = records.own(organizations, records.snapshot(organizations, loser))
    standing = records.own(organizations, records.snapshot(organizations, survivor))
    if standing["part_of"] == loser.slug:
        raise Conflict(f"{survivor.slug} is a part of {loser.slug}. Say first what it is a part of instead.")
    moved = [
        _move(tx, nouns[noun], slug, loser.slug, survivor.slug) for noun, slug in _users(tx, organizations, loser.id)
    ]
    records.withdraw(tx, organizations, loser.slug, ANYTHING, moved_to=survivor.id)
    added = _along(before, standing)
    records.change(tx, organizations, survivor.slug, lambda now: _with(now, added), ANYTHING)
    tx.execute(sa.insert(MERGE).values(merged_id=loser.id, into_id=survivor.id, moved=moved, added=added))
    return Outcome(loser.slug, survivor.slug, moved, [], added)


def _there(tx: Transaction, organizations: Resource[Any], key: str) -> sa.Row[Any]:
    row = records.locate(tx, organizations, key, to_write=True)
    if row.withdrawn_at is not None:
        raise records.gone(tx, organizations, row)
    return row


def _reasoned(tx: Transaction, reason: str | None) -> Transaction:
    """The same unit of work, its writes made for `reason`."""
    return tx if reason is None else replace(tx, author=replace(tx.author, reason=reason))


def _users(tx: Transaction, organizations: Resource[Any], identifier: UUID) -> Iterator[tuple[str, str]]:
    """Every record (noun, slug) that names the organization, citations for it included."""
    yield from sorted(set(records.users_of(tx, organizations, identifier, most=None)))
    cited = sa.select(CITATION.slug).where(
        CITATION.target_noun == CitedNoun.organizations,
        CITATION.target_record_id == identifier,
        CITATION.withdrawn_at.is_(None),
    )
    yield from (("citations", slug) for slug in tx.execute(cited.order_by(CITATION.slug)).scalars().all())


def _move(tx: Transaction, noun: Resource[Any], slug: str, old: str, new: str) -> dict[str, Any]:
    """Let the record name `new` wherever it names the organization `old`."""
    row = records.locate(tx, noun, slug, to_write=True)
    data = records.validated(noun, records.own(noun, records.snapshot(noun, row)))
    table = table_of(Organization)
    pointers = [link.pointer for link in noun.plan.links(data) if link.table is table and link.key == old]
    stored = records.change(tx, noun, slug, lambda now: _set(now, pointers, new), ANYTHING)
    return {"noun": noun.plural, "record": slug, "id": str(row.id), "version": stored.version, "pointers": pointers}


def _set(document: Snapshot, pointers: Iterable[str], value: str) -> Snapshot:
    """The document with `value` at each of `pointers`."""
    for pointer in pointers:
        parent, _, last = pointer.rpartition("/")
        place = records.at(document, parent)
        place[int(last) if isinstance(place, list) else last] = value
    return document


def _along(merged: Snapshot, into: Snapshot) -> dict[str, list[Any]]:
    """The names and identifiers of `merged` that `into` does not have."""
    own = [{"value": merged["name"], "lang": None, "kind": NameKind.alias}]
    own += [{"value": merged["acronym"], "lang": None, "kind": NameKind.acronym}] if merged["acronym"] else []
    known = {fold(into["name"]), fold(into["acronym"] or ""), *(fold(name["value"]) for name in into["other_names"])}
    names: list[Any] = []
    for name in (*own, *merged["other_names"]):
        if fold(name["value"]) not in known:
            known.add(fold(name["value"]))
            names.append(name)
    return {"other_names": names, "identifiers": merged["identifiers"]}


def _with(document: Snapshot, added: Mapping[str, Sequence[Any]]) -> Snapshot:
    return document | {name: [*document[name], *items] for name, items in added.items()}


# --- taking a merge back --------------------------------------------------------------------------------------------


def unmerge(tx: Transaction, nouns: Resources, merged: str, expected: Expected) -> Outcome:
    """Take a merge back: the organization is there again, and whatever the merge moved names it again. A reference that
    somebody has changed since is left as it is, and told. All or nothing.
    Raises NotFound, Stale, Gone (the other has gone since), Conflict (it is not merged, or its name is taken)."""
    organizations = nouns["organizations"]
    row = records.locate(tx, organizations, merged, to_write=True)
    records.check(tx, row, ANYTHING if expected is None else expected)
    found = tx.execute(sa.select(MERGE).where(MERGE.c.merged_id == row.id)).one_or_none()
    if found is None:
        raise Conflict(f"{row.slug} is not merged into another organization.")
    survivor = _there(tx, organizations, str(found.into_id))
    records.change(tx, organizations, survivor.slug, lambda now: _without(now, found.added), ANYTHING)
    records.restore(tx, organizations, row.slug, moved=True)
    moved: list[dict[str, Any]] = []
    kept: list[dict[str, Any]] = []
    for reference in found.moved:
        came_back = _move_back(tx, nouns[reference["noun"]], reference, survivor.slug, row.slug)
        (moved if came_back else kept).append(reference)
    tx.execute(sa.delete(MERGE).where(MERGE.c.merged_id == row.id))
    return Outcome(row.slug, survivor.slug, moved, kept, found.added)


def _move_back(tx: Transaction, noun: Resource[Any], reference: Mapping[str, Any], old: str, new: str) -> bool:
    """Let the record name `new` again where the merge made it name `old`; whether all of that was still so."""
    row = records.locate(tx, noun, reference["id"], to_write=True)
    if row.withdrawn_at is not None:
        return False
    document = records.snapshot(noun, row)
    standing = [pointer for pointer in reference["pointers"] if records.at(document, pointer) == old]
    if standing:
        records.change(tx, noun, row.slug, lambda now: _set(now, standing, new), ANYTHING)
    return len(standing) == len(reference["pointers"])


def _without(document: Snapshot, added: Mapping[str, Sequence[Any]]) -> Snapshot:
    return document | {name: [item for item in document[name] if item not in items] for name, items in added.items()}
