"""References by name: in a sheet that people keep, a partner is "UNCTAD" or "World Health Organization (WHO)", and no slug.

A name stands for a record when exactly one has it, folded, as a name, acronym or title of its own: one of the registry or one
of the file. Nothing is guessed: what fits none, or several, is refused and says which are near.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

import sqlalchemy as sa
from pydantic import BaseModel

from app.exchange import matching
from app.exchange.cells import Named, walk_references
from app.exchange.loose_names import read_name
from app.kit import records, search
from app.kit.db import Base, Transaction
from app.kit.errors import Fault, Invalid
from app.kit.resource import Resource
from app.kit.search import TEXT, Rank, key_of
from app.kit.shapes import shapes_of
from app.kit.text import is_id, is_slug

MOST_LISTED = 5
"""So many slugs are told in one message."""
MOST_HINTS = 50
"""So many unknown names of a file are looked up among those that are like them."""


class Given(Protocol):
    """A row of a file: the fields that it gives, the slug that its record has or will have, and whether its references may be
    names."""

    resource: Resource[Any]
    values: dict[str, Any]
    slug: str | None
    named: bool


Keyed = dict[tuple[str, str], set[str]]
"""(noun, key of a text) → the slugs of the records that have it."""


class Names:
    """What the names in the references of some rows stand for."""

    def __init__(self, tx: Transaction, rows: Callable[[], Iterable[Given]], given: Callable[[str, str], bool]) -> None:
        """`rows` may be gone through several times; `given` tells whether a row of this noun has this slug or id."""
        self._tx, self._given = tx, given
        wanted = list(_distinct(named for row in rows() for named in walk_references(row.resource, row.values)))
        self._slugs = set(self._there(wanted))
        self._keys: Keyed = {}
        self._asked: dict[tuple[str, str], list[str]] = {}
        if wanted:
            keys = {(named.table.info["noun"], key_of(text)) for named in wanted for text in _readings(named.text)}
            self._of_file(rows(), keys)
            self._of_registry(wanted, keys)

    def _there(self, wanted: Iterable[Named]) -> Iterator[tuple[str, str]]:
        """The references that are slugs of records."""
        slugs: dict[str, set[str]] = {}
        for named in wanted:
            if is_slug(named.text):
                slugs.setdefault(named.table.name, set()).add(named.text)
        for name, some in slugs.items():
            table = Base.metadata.tables[name]
            for part in records.portions(sorted(some)):
                found = self._tx.execute(sa.select(table.c.slug).where(table.c.slug.in_(part))).scalars()
                yield from ((table.info["noun"], slug) for slug in found)

    def _of_file(self, rows: Iterable[Given], wanted: set[tuple[str, str]]) -> None:
        for row in rows:
            if row.slug is not None:
                for key in keys(row.resource, row.values):
                    if (row.resource.plural, key) in wanted:
                        self._keys.setdefault((row.resource.plural, key), set()).add(row.slug)

    def _of_registry(self, wanted: Iterable[Named], keys: set[tuple[str, str]]) -> None:
        """One statement for the keys, and one a noun for the slugs."""
        tables = {named.table.info["noun"]: named.table for named in wanted}
        found: dict[str, dict[Any, set[str]]] = {}
        for part in records.portions(sorted({key for _, key in keys if key})):
            statement = sa.select(TEXT.c.noun, TEXT.c.key, TEXT.c.record_id).where(TEXT.c.key.in_(part))
            for row in self._tx.execute(statement):
                if (row.noun, row.key) in keys:
                    found.setdefault(row.noun, {}).setdefault(row.record_id, set()).add(row.key)
        for noun, of_records in found.items():
            c = tables[noun].c
            for part in records.portions(sorted(of_records, key=str)):
                for row in self._tx.execute(sa.select(c.id, c.slug).where(c.id.in_(part))):
                    for key in of_records[row.id]:
                        self._keys.setdefault((noun, key), set()).add(row.slug)

    def resolve(self, row: Given) -> None:
        """Put slugs in the place of the names in a row. Raises Invalid with a pointer for each that stands for no record, or
        for several."""
        faults = [fault for named in walk_references(row.resource, row.values) if (fault := self._put(named))]
        if faults:
            raise Invalid("The row names records that cannot be told.", faults=faults)

    def _put(self, named: Named) -> Fault | None:
        noun = named.table.info["noun"]
        if is_id(named.text) or (noun, named.text) in self._slugs or self._given(noun, named.text):
            return None
        for reading in _readings(named.text):
            several = sorted(self._keys.get((noun, key_of(reading)), ()))
            if len(several) == 1:
                named.put(several[0])
                return None
            if several:
                message = f"{named.text[:100]!r} may be {listed(several, ' or ')}: write the slug of the one you mean."
                return Fault("ambiguous_reference", message, pointer=named.pointer)
        return self._unknown(named)

    def _unknown(self, named: Named) -> Fault:
        near = " or ".join(self._near(named.text, named.table))
        hint = f"Is it {near}? Then write this slug." if near else "Create it first, or in the same file."
        message = f"No record of {named.table.info['noun']} is named {named.text[:100]!r}. {hint}"
        return Fault("unknown_reference", message, pointer=named.pointer)

    def _near(self, text: str, table: sa.Table) -> list[str]:
        """The slugs of records with a name like this one; for the first texts that ask."""
        if len(self._asked) < MOST_HINTS and (table.name, text) not in self._asked:
            found = [guess.record for guess in matching.guesses(self._tx, table.info["noun"], [text], 3)[0]]
            rows = self._tx.execute(sa.select(table.c.id, table.c.slug).where(table.c.id.in_(found)))
            slugs = {row.id: row.slug for row in rows}
            self._asked[table.name, text] = [slugs[identifier] for identifier in found if identifier in slugs]
        return self._asked.get((table.name, text), [])


def _distinct(several: Iterable[Named]) -> Iterator[Named]:
    """Of references that say the same, one. (Very many rows may name the same few records.)"""
    seen = set()
    for named in several:
        if (key := (named.table.name, named.text)) not in seen:
            seen.add(key)
            yield Named(named.pointer, named.table, named.text, lambda _: None)


def named(tx: Transaction, resource: Resource[Any], keys: Iterable[str], *, before: int) -> Mapping[str, list[str]]:
    """By key, the slugs of the records of a noun that have a name with this key since the write number `before` or longer."""
    found: dict[Any, set[str]] = {}
    for part in records.portions(sorted({*keys} - {""})):
        for row in search.exactly(tx, resource.plural, part):
            if search.sequence_of(row) <= before:
                found.setdefault(row.record_id, set()).add(row.key)
    slugs: dict[str, list[str]] = {}
    c = resource.table.c
    for part in records.portions(sorted(found, key=str)):
        for row in tx.execute(sa.select(c.id, c.slug).where(c.id.in_(part)).order_by(c.slug)):
            for key in found[row.id]:
                slugs.setdefault(key, []).append(row.slug)
    return slugs


def listed(several: Sequence[str], between: str = ", ") -> str:
    """Some of the slugs in words: of many the first few, and how many more there are."""
    shown = between.join(several[:MOST_LISTED])
    return shown if len(several) <= MOST_LISTED else f"{shown} or one of {len(several) - MOST_LISTED} more"


def _readings(text: str) -> list[str]:
    """The names that a text may mean, the text itself first."""
    name = read_name(text)
    return list(dict.fromkeys((text, name.name, *name.alternatives, *name.former)))


def keys(resource: Resource[Any], values: Mapping[str, Any]) -> list[str]:
    """The keys of the names in a row that is not validated yet, as far as it is a record."""
    found = []
    write: type[BaseModel] = resource.write
    try:
        for text in resource.texts({**_blank(write), **values}):
            if text.rank is not Rank.prose and isinstance(text.value, str):
                found.append(key_of(text.value))  # noqa: PERF401  # what was found before the row makes no sense stays
    except (AttributeError, KeyError, TypeError):
        pass
    return found


@cache
def _blank(write: type[BaseModel]) -> dict[str, Any]:
    return {name: [] if shape.many else None for name, shape in shapes_of(write).items()}
