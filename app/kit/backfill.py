"""What a new release keeps of every write, made for what was written before it: past rows out of the revisions, and out of the
records the index of search and what their shapes tell."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from pydantic import BaseModel

from app.kit import records, revisions, search
from app.kit.db import PAST, Transaction
from app.kit.errors import Invalid
from app.kit.resource import Resource, Target, Targets
from app.kit.revisions import TABLE, Action
from app.kit.text import is_id

BATCH = 1000
log = logging.getLogger("concord")


def complete(tx: Transaction, resources: Iterable[Resource[Any]]) -> int:
    """Make the past rows that are missing; the number made. A revision that today's rules do not accept any more has no
    columns to be found by: it stays in the history, is not seen by `as_of`, and is logged."""
    made = 0
    for resource in resources:
        missing = tx.execute(_missing(resource)).all()
        for start in range(0, len(missing), BATCH):
            made += _make(tx, resource, [row.seq for row in missing[start : start + BATCH]])
    return made


def reindex(tx: Transaction, resources: Iterable[Resource[Any]]) -> int:
    """Make the index of search anew; the number of records in it. Other writes wait: they would put texts into it that are
    about to be put there."""
    revisions.touch(tx)
    for table in (search.TEXT, search.INDEX):
        tx.execute(sa.delete(table))
    made = 0
    for resource in resources:
        c = resource.table.c
        statement = sa.select(c.id, c.since, c.shape, c.document).where(c.withdrawn_at.is_(None))
        for rows in _batches(tx, statement, c.id):
            search.store(tx, (_entry(resource, row) for row in rows))
            made += len(rows)
    search.compact(tx)
    return made


def outline(tx: Transaction, resources: Iterable[Resource[Any]]) -> int:
    """Let the shape of each record tell which of its fields hold something; how many did not. A record that somebody writes at
    this moment is left as it is: nobody waits for it, and who reads it looks into its document."""
    made = 0
    for resource in resources:
        c, outlines = resource.table.c, resource.outlines
        plain = sa.select(c.id, c.document).where(c.shape == outlines.plain).with_for_update(skip_locked=True)
        telling = sa.update(resource.table).where(c.id == sa.bindparam("record", type_=c.id.type))
        for rows in _batches(tx, plain, c.id):
            tx.execute(
                telling,
                [{"record": row.id, "shape": outlines.of(msgspec.json.decode(row.document))} for row in rows],
            )
            made += len(rows)
    return made


def _batches(tx: Transaction, statement: sa.Select[Any], key: sa.Column[Any]) -> Iterator[Sequence[sa.Row[Any]]]:
    """The rows of a statement in the order of their ids (`key`), so many at once."""
    last = UUID(int=0)
    while rows := tx.execute(statement.where(key > last).order_by(key).limit(BATCH)).all():
        yield rows
        last = rows[-1].id


def _entry(resource: Resource[Any], row: Any) -> search.Entry:
    texts = list(resource.texts(records.snapshot(resource, row)))
    return search.Entry(resource.plural, row.id, row.since, texts, fresh=True)


def _missing(resource: Resource[Any]) -> sa.Select[Any]:
    """The numbers of the revisions that were replaced and have no past row."""
    table, past = resource.table, PAST[resource.table.name]
    kept = sa.exists().where(past.c.id == TABLE.c.record_id, past.c.version == TABLE.c.version)
    return (
        sa.select(TABLE.c.seq)
        .join(table, table.c.id == TABLE.c.record_id)
        .where(TABLE.c.noun == resource.plural, TABLE.c.version < table.c.version, ~kept)
        .order_by(TABLE.c.seq)
    )


def _make(tx: Transaction, resource: Resource[Any], numbers: list[int]) -> int:
    following = TABLE.alias()
    join = sa.and_(following.c.record_id == TABLE.c.record_id, following.c.version == TABLE.c.version + 1)
    statement = sa.select(TABLE, following.c.seq.label("until")).join(following, join).where(TABLE.c.seq.in_(numbers))
    read = [(row, data) for row in tx.execute(statement.order_by(TABLE.c.seq)) if (data := _data(resource, row))]
    targets = _targets(tx, resource, [data for _, data in read])
    rows = [_row(resource, row, data, targets) for row, data in read]
    if rows:
        tx.execute(sa.insert(PAST[resource.table.name]), rows)
    for child in resource.plan.children:
        items = [
            item
            | {"version": row.version, **({"claim": None} if child.claims and row.action is Action.withdrawn else {})}
            for row, data in read
            for item in child.rows(row.record_id, getattr(data, child.name), targets, data)
        ]
        if items:
            tx.execute(sa.insert(PAST[child.table.name]), items)
    return len(rows)


def _data(resource: Resource[Any], row: Any) -> BaseModel | None:
    try:
        data: BaseModel = records.validated(resource, records.own(resource, records.snapshot(resource, row)))
    except Invalid as error:
        log.warning("revision %s of %s cannot be shown by as_of: %s", row.seq, row.slug, error.faults)
        return None
    return data


def _targets(tx: Transaction, resource: Resource[Any], read: Iterable[BaseModel]) -> Targets:
    """What the slugs in these records name, withdrawn or not: a slug is never used twice."""
    links = {(link.table.name, link.key): link.table for data in read for link in resource.plan.links(data)}
    return dict(_found(tx, links))


def _found(tx: Transaction, links: dict[tuple[str, str], sa.Table]) -> Iterator[tuple[tuple[str, str], Target]]:
    for table in {table.name: table for table in links.values()}.values():
        slugs = [key for (name, key) in links if name == table.name and not is_id(key)]
        for row in tx.execute(sa.select(table.c.id, table.c.slug).where(table.c.slug.in_(slugs))):
            yield (table.name, row.slug), Target(row.id, row.slug)


def _row(resource: Resource[Any], row: Any, data: BaseModel, targets: Targets) -> dict[str, Any]:
    document = records.snapshot(resource, row)
    moments = {name: datetime.fromisoformat(document[name]) for name in ("created_at", "updated_at")}
    return resource.plan.row(data, targets) | {
        "id": row.record_id, "slug": row.slug, "version": row.version, **moments, "claim": None,
        "withdrawn_at": row.at if row.action is Action.withdrawn else None, "since": row.seq, "until": row.until,
        "shape": resource.outlines.of(document), "document": msgspec.json.encode(document).decode(),
    }  # fmt: skip
