"""Staging: the rows of a file while it is imported, on disk, so that a million take no more memory than a thousand.

A temporary database of SQLite's own, which vanishes when it is closed. It knows by slug and by id which row of the file is
which record, and which rows refer to which.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from app.kit.resource import Resource

CACHE = 8 * 1024
"""Kilobytes of it that are held in memory."""
CHUNK = 1_000
"""Rows that are looked at together."""
_SCHEMA = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -{CACHE};
CREATE TABLE line (
    n INTEGER PRIMARY KEY, noun TEXT, line INTEGER, number INTEGER, named INTEGER,
    id TEXT, slug TEXT, base TEXT, present TEXT, faulty TEXT, said BLOB);
CREATE TABLE key (noun TEXT, key TEXT, n INTEGER, PRIMARY KEY (noun, key)) WITHOUT ROWID;
CREATE TABLE reference (n INTEGER, noun TEXT, key TEXT, pointer TEXT);
BEGIN;
"""
_ROW = "n, noun, line, number, named, id, slug, base, present, faulty, said"


@dataclass(slots=True, eq=False)
class Row:
    """A row of the file: its line, its noun, the fields that it gives; and in the course of the import the record it is."""

    line: int
    resource: Resource[Any]
    values: dict[str, Any]
    number: int | None = None  # as a spreadsheet counts rows
    named: bool = False  # references may be names, as people write them
    faulty: set[str] = field(default_factory=set)  # pointers at which something is wrong; "" is the row as a whole
    n: int = 0  # its place in the file
    id: UUID | None = None
    slug: str | None = None
    base: str | None = None  # the slug that its title would have, were it free
    there: UUID | None = None  # the id of the record that is there
    present: Any = None  # its row
    data: Any = None
    action: str | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.faulty

    def shown(self) -> dict[str, Any]:
        return {
            "line": self.line, "noun": self.resource.plural, "slug": self.slug, "action": self.action,
            "warnings": self.warnings,
        }  # fmt: skip


class Stage:
    """The rows of one file."""

    def __init__(self) -> None:
        self.size = 0
        self.nouns: dict[str, Resource[Any]] = {}
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    # -- rows --

    def add(self, rows: Sequence[Row]) -> None:
        """Keep rows that have their places."""
        places = ", ".join("?" * len(_ROW.split(",")))
        self._db.executemany(f"INSERT INTO line VALUES ({places})", map(_stored, rows))  # noqa: S608

    def put(self, rows: Sequence[Row]) -> None:
        """Keep what has become of rows since."""
        values = [(_faulty(row), _said(row.values), row.n) for row in rows]
        self._db.executemany("UPDATE line SET faulty = ?, said = ? WHERE n = ?", values)

    def rows(self, where: str, *values: Any) -> Iterator[list[Row]]:
        """The rows for which a condition holds, in the order of the file, CHUNK at a time; they may be changed meanwhile."""
        last = -1
        while True:
            asked = f"SELECT {_ROW} FROM line WHERE n > ? AND ({where}) ORDER BY n LIMIT {CHUNK}"  # noqa: S608
            found = self._db.execute(asked, (last, *values)).fetchall()
            if not found:
                return
            last = found[-1][0]
            yield [self._row(each) for each in found]

    def at(self, places: Sequence[int]) -> list[Row]:
        """The rows at some places, in the order of these."""
        asked = f"SELECT {_ROW} FROM line WHERE n IN (SELECT value FROM json_each(?))"  # noqa: S608
        found = {each[0]: self._row(each) for each in self._db.execute(asked, (json.dumps(list(places)),))}
        return [found[n] for n in places]

    def places(self, where: str, *values: Any) -> array[int]:
        """The places of the rows for which a condition holds, in the order of the file."""
        asked = f"SELECT n FROM line WHERE {where} ORDER BY n"  # noqa: S608
        return array("I", (n for (n,) in self._db.execute(asked, values)))

    def unnamed(self, noun: str) -> Iterator[list[tuple[int, str, UUID | None]]]:
        """The rows of a noun that are to get the slug of their title: place, that slug, id if there is one already."""
        last = -1
        asked = f"""
            SELECT n, base, id FROM line WHERE noun = ? AND slug IS NULL AND base IS NOT NULL AND n > ?
            ORDER BY n LIMIT {CHUNK}"""  # noqa: S608
        while found := self._db.execute(asked, (noun, last)).fetchall():
            last = found[-1][0]
            yield [(n, base, UUID(text) if text else None) for n, base, text in found]

    def give(self, noun: str, slugs: Iterable[tuple[int, str]]) -> None:
        """Give rows their slugs, which no other has."""
        several = list(slugs)
        self._db.executemany("UPDATE line SET slug = ? WHERE n = ?", [(slug, n) for n, slug in several])
        self._db.executemany("INSERT OR IGNORE INTO key VALUES (?, ?, ?)", [(noun, slug, n) for n, slug in several])

    def present(self, noun: str) -> Iterator[UUID]:
        """The records of a noun that rows are about and that are there, in the order of their ids."""
        asked = "SELECT present FROM line WHERE noun = ? AND present IS NOT NULL ORDER BY present"
        return (UUID(text) for (text,) in self._db.execute(asked, (noun,)))

    def _row(self, found: tuple[Any, ...]) -> Row:
        n, noun, line, number, named, identifier, slug, base, present, faulty, said = found
        row = Row(
            line, self.nouns[noun], _read(said), number, bool(named), set(json.loads(faulty)) if faulty else set()
        )
        row.n, row.slug, row.base = n, slug, base
        row.id = UUID(identifier) if identifier else None
        row.there = UUID(present) if present else None
        return row

    # -- keys --

    def claim(self, noun: str, key: str, n: int) -> int:
        """Note that the row at `n` is the record with this slug or id; the place of the row that has said so first."""
        done = self._db.execute("INSERT OR IGNORE INTO key VALUES (?, ?, ?)", (noun, key, n))
        return n if done.rowcount else self._holder(noun, key) or 0

    def _holder(self, noun: str, key: str) -> int | None:
        found = self._db.execute("SELECT n FROM key WHERE noun = ? AND key = ?", (noun, key)).fetchone()
        return None if found is None else int(found[0])

    def holder(self, noun: str, key: str) -> int | None:
        """The line of the row that is the record with this slug or id."""
        asked = "SELECT line FROM key JOIN line USING (n) WHERE key.noun = ? AND key = ?"
        found = self._db.execute(asked, (noun, key)).fetchone()
        return None if found is None else int(found[0])

    def known(self, noun: str, keys: Sequence[str]) -> set[str]:
        """Those of some slugs and ids that rows of a noun have."""
        asked = "SELECT key FROM key WHERE noun = ? AND key IN (SELECT value FROM json_each(?))"
        return {key for (key,) in self._db.execute(asked, (noun, json.dumps(keys)))}

    # -- references --

    def refer(self, references: Iterable[tuple[int, str, str, str]]) -> None:
        """Note references: of which row, to which noun, by which key, where in it."""
        self._db.executemany("INSERT INTO reference VALUES (?, ?, ?, ?)", references)

    def edges(self, noun: str) -> Iterator[tuple[int, int, str]]:
        """The references of rows of a noun to others of the same noun and file: the places of both, and where it stands."""
        asked = """
            SELECT r.n, k.n, r.pointer FROM reference r
            JOIN key k ON k.noun = r.noun AND k.key = r.key JOIN line USING (n) JOIN line other ON other.n = k.n
            WHERE r.noun = ? AND line.noun = r.noun AND line.present IS NULL AND other.present IS NULL ORDER BY r.n"""
        return iter(self._db.execute(asked, (noun,)))

    def others(self, noun: str) -> Iterator[str]:
        """The slugs and ids of records of a noun that rows refer to and that are not in the file."""
        asked = """
            SELECT DISTINCT r.key FROM reference r LEFT JOIN key k ON k.noun = r.noun AND k.key = r.key
            WHERE r.noun = ? AND k.n IS NULL ORDER BY r.key"""
        return (key for (key,) in self._db.execute(asked, (noun,)))


def _stored(row: Row) -> tuple[Any, ...]:
    return (
        row.n, row.resource.plural, row.line, row.number, row.named, str(row.id) if row.id else None, row.slug, row.base,
        str(row.there) if row.there else None, _faulty(row), _said(row.values),
    )  # fmt: skip


def _faulty(row: Row) -> str | None:
    return json.dumps(sorted(row.faulty)) if row.faulty else None


def _said(values: dict[str, Any]) -> bytes:
    try:
        return msgspec.msgpack.encode(values)
    except UnicodeEncodeError:  # half a character: no field takes it, and it is for the field to say so
        return json.dumps(values).encode()


def _read(said: bytes) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(said) if said[:1] == b"{" else msgspec.msgpack.decode(said)
    return values


# --- order ------------------------------------------------------------------------------------------------------------


def ordered(places: array[int], edges: Iterable[tuple[int, int]]) -> tuple[array[int], array[int]]:
    """`places`, each behind those that it refers to (`edges`: from, to), and apart the rest, which are in a circle or refer to
    somebody who is. Kahn's algorithm, in a few bytes a place."""
    heads, tails = array("I"), array("I")
    for one, other in edges:
        heads.append(one)
        tails.append(other)
    if not heads:
        return places, array("I")
    top = max(places) + 1
    waits = array("I", bytes(4 * top))
    for one in heads:
        waits[one] += 1
    followers, begins = _followers(heads, tails, top)
    order = array("I", (n for n in places if not waits[n]))
    for n in order:  # it grows meanwhile
        for follower in followers[begins[n] : begins[n + 1]]:
            waits[follower] -= 1
            if not waits[follower]:
                order.append(follower)
    return order, array("I", (n for n in places if waits[n]))


def _followers(heads: array[int], tails: array[int], top: int) -> tuple[array[int], array[int]]:
    """Those who refer to each place, one behind the other, and where the ones of each begin."""
    begins = array("I", bytes(4 * (top + 1)))
    for other in tails:
        begins[other + 1] += 1
    for n in range(top):
        begins[n + 1] += begins[n]
    followers, free = array("I", bytes(4 * len(heads))), begins[:]
    for one, other in zip(heads, tails, strict=True):
        followers[free[other]] = one
        free[other] += 1
    return followers, begins
