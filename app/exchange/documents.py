"""Documents of records: JSON Lines, one record a line. The seed is such a set, under version control."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from pydantic import BaseModel

from app.exchange.passages import Document
from app.kit import records, revisions
from app.kit.db import Author, Transaction
from app.kit.errors import Conflict, Fault, Invalid, RegistryError
from app.kit.resource import Resource

SEEDER = Author("seed", "loaded from the seed")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a set: which noun, where it stands, what it says."""

    resource: Resource[Any]
    number: int
    values: dict[str, Any]

    @property
    def slug(self) -> str:
        return str(self.values["slug"])

    def data(self) -> BaseModel:
        try:
            data: BaseModel = records.validated(self.resource, self.values)
        except RegistryError as error:
            raise error.under(f"/{self.resource.plural}/{self.number}") from None
        return data


@dataclass(slots=True)
class Report:
    """What loading a set did."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    kept: list[str] = field(default_factory=list)  # "noun/slug: why it was left as it is"


def read_folder(folder: Path, resources: Iterable[Resource[Any]]) -> list[Line]:
    """The lines of `<noun>.jsonl` for each noun. Raises Invalid for a line that is no JSON object with a slug."""
    lines = []
    for resource in resources:
        path = folder / f"{resource.plural}.jsonl"
        texts = path.read_bytes().splitlines() if path.exists() else []
        lines += [
            Line(resource, number, _object(path, number, text)) for number, text in enumerate(texts, 1) if text.strip()
        ]
    return lines


def _object(path: Path, number: int, text: bytes) -> dict[str, Any]:
    try:
        values = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise Invalid(f"{path.name}, line {number}: {error}") from None
    if not isinstance(values, dict) or "slug" not in values:
        raise Invalid(f"{path.name}, line {number}: a record is a JSON object with a slug.")
    return values


def examples(folder: Path) -> dict[str, dict[str, Any]]:
    """Of each noun's file the record that says most."""
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        lines = [msgspec.json.decode(text) for text in path.read_bytes().splitlines() if text.strip()]
        if lines:
            found[path.stem] = max(lines, key=len)
    return found


def with_text(lines: Iterable[Line], document: Document) -> list[Line]:
    """The same lines, the passages of the source that `document` is now with their text.
    Raises Invalid when it is none of the sources, or when a fingerprint is not that of the passage."""
    lines = list(lines)
    known = [line for line in lines if line.values.get("sha256") == document.sha256]
    if not known:
        raise Invalid("This document is none of the sources of the seed: no source has its SHA-256.")
    texts = {(p.section, p.paragraph, p.sentence): p for p in document.passages}
    return [Line(line.resource, line.number, _filled(line, texts)) if line in known else line for line in lines]


def _filled(line: Line, texts: Mapping[tuple[int, int, int], Any]) -> dict[str, Any]:
    line.data()  # a line that is no record is refused in words
    passages, faults = [], []
    for n, passage in enumerate(line.values.get("passages", [])):
        read = texts.get((passage["section"], passage["paragraph"], passage["sentence"]))
        if read is None or read.fingerprint != passage["fingerprint"]:
            faults.append(Fault("fingerprint", "The document has another sentence here.", pointer=f"/passages/{n}"))
        else:
            passages.append({**passage, "text": read.text})
    if faults:
        raise Invalid(f"{line.slug}: the document does not have the passages that the seed names.", faults=faults)
    return {**line.values, "passages": passages}


def load(tx: Transaction, lines: Iterable[Line]) -> Report:
    """Bring the registry to what `lines` say, all or nothing, through the one door.

    A record that is as the line says is left alone. One that somebody has edited since it was last loaded, or has
    withdrawn, is kept and reported: the seed never overwrites a person. A line whose name somebody has given to another
    record is left out and reported, with the lines that refer to it.
    """
    report = Report()
    lines = list(lines)
    present = {
        resource.plural: _present(tx, resource)
        for resource in {li.resource.plural: li.resource for li in lines}.values()
    }
    absent: set[tuple[str, str]] = set()
    for line in _ordered(lines):
        why = _load(tx, line, present[line.resource.plural].get(line.slug), report, absent)
        if why is not None:
            report.kept.append(f"{line.resource.plural}/{line.slug}: {why}")
    return report


@dataclass(slots=True)
class Comparison:
    """How many records of a set are in the registry as the set says, how many otherwise, withdrawn, or not at all."""

    same: int = 0
    changed: int = 0
    withdrawn: int = 0
    absent: int = 0


def compare(tx: Transaction, lines: Iterable[Line]) -> Comparison:
    """How the registry stands to what `lines` say. Changes nothing."""
    found, present = Comparison(), dict[str, dict[str, Any]]()
    for line in lines:
        noun = line.resource.plural
        if noun not in present:
            present[noun] = _present(tx, line.resource)
        how = _compared(line, present[noun].get(line.slug))
        setattr(found, how, getattr(found, how) + 1)
    return found


def _compared(line: Line, row: Any) -> str:
    if row is None:
        return "absent"
    if row.withdrawn_at is not None:
        return "withdrawn"
    before = records.own(line.resource, records.snapshot(line.resource, row))
    return "same" if _keeping_text(_wanted(line), before) == before else "changed"


def _wanted(line: Line) -> dict[str, Any]:
    return line.data().model_dump(mode="json", exclude={"slug"})


def _load(tx: Transaction, line: Line, row: Any, report: Report, absent: set[tuple[str, str]]) -> str | None:
    """Load one line, or say why what people have done since speaks against it. `absent` gathers the records of the set
    that are not there, so that lines which refer to them are left out too."""
    data, key = line.data(), (line.resource.table.name, line.slug)
    missing = next((link.key for link in line.resource.plan.links(data) if (link.table.name, link.key) in absent), None)
    if row is None:
        why = f"refers to {missing}, which is not there" if missing else _create(tx, line, data)
        if why is not None:
            absent.add(key)
        report.created += why is None
        return why
    if row.withdrawn_at is not None:
        absent.add(key)
        return "withdrawn"
    before = records.own(line.resource, records.snapshot(line.resource, row))
    wanted = _keeping_text(_wanted(line), before)
    if wanted == before:
        report.unchanged += 1
        return None
    if row.author != tx.author.name:
        return f"edited by {row.author} in version {row.version}"
    if missing:
        return f"refers to {missing}, which is not there"
    stored = _within(line, lambda: records.change(tx, line.resource, line.slug, lambda _: wanted, records.ANYTHING))
    report.changed += stored.written
    report.unchanged += not stored.written
    return None


def _create(tx: Transaction, line: Line, data: BaseModel) -> str | None:
    """Create the line's record, unless somebody has given its name or identifier to another: then say to whom."""
    try:
        with tx.connection.begin_nested():
            _within(line, lambda: records.create(tx, line.resource, data))
    except Conflict as conflict:
        return conflict.detail
    return None


def _within(line: Line, write: Any) -> records.Stored:
    try:
        stored: records.Stored = write()
    except RegistryError as error:
        raise error.under(f"/{line.resource.plural}/{line.number}") from None
    return stored


def _present(tx: Transaction, resource: Resource[Any]) -> dict[str, Any]:
    """Every record of the noun with the author of its last revision, by slug: one statement."""
    table, revision = resource.table, revisions.TABLE
    statement = sa.select(
        table.c.id,
        table.c.slug,
        table.c.version,
        table.c.shape,
        table.c.document,
        table.c.withdrawn_at,
        revision.c.author,
    ).join(revision, sa.and_(revision.c.record_id == table.c.id, revision.c.version == table.c.version))
    return {row.slug: row for row in tx.execute(statement)}


def _keeping_text(wanted: dict[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """A seed without the document says nothing of the passages' texts: those that were loaded with it stay."""
    texts = {p["fingerprint"]: p["text"] for p in before.get("passages") or () if p.get("text")}
    if not texts or "passages" not in wanted or "fingerprint" not in (wanted["passages"] or [{}])[0]:
        return wanted
    return {**wanted, "passages": [{**p, "text": p["text"] or texts.get(p["fingerprint"])} for p in wanted["passages"]]}


def _ordered(lines: list[Line]) -> Iterator[Line]:
    """The lines, each behind those that it refers to. Raises Invalid for records that wait for each other, and for two
    lines of one record."""
    by_key = {(line.resource.table.name, line.slug): line for line in lines}
    for line in lines:
        if (last := by_key[line.resource.table.name, line.slug]) is not line:
            raise Invalid(f"{line.resource.plural}: lines {line.number} and {last.number} both say {line.slug!r}.")
    graph = {
        key: [
            other
            for link in line.resource.plan.links(line.data())
            if (other := (link.table.name, link.key)) in by_key and other != key
        ]
        for key, line in by_key.items()
    }
    try:
        yield from (by_key[key] for key in TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " → ".join(slug for _, slug in error.args[1])
        raise Invalid(f"These records refer to each other in a circle: {circle}.") from None
