"""The shape of an answer: `fields` picks from a record, `include` adds the records that it refers to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from pydantic import Field

from app.kit import records
from app.kit.among import among
from app.kit.db import Transaction, table_of
from app.kit.errors import Fault, Malformed
from app.kit.fields import AsOfQuery, CommaSeparated
from app.kit.resource import Embedded, Linked, Resource, Rows

Resources = Mapping[str, Resource[Any]]
"""The nouns, by the name of their table."""


class RecordQuery(AsOfQuery):
    """The shape of one record, and its day."""

    fields: Annotated[list[str] | None, CommaSeparated] = Field(default=None, description="Only these fields.")
    include: Annotated[list[str] | None, CommaSeparated] = Field(
        default=None, description="Also answer the records that these references name, under `included`."
    )


def picked(resource: Resource[Any], bodies: Sequence[bytes], names: Sequence[str] | None) -> list[Any]:
    """The records, or of each only the fields `names`. Raises Malformed for a name that is no field."""
    if names is None:
        return [msgspec.Raw(body) for body in bodies]
    known = [*resource.read.model_fields, "withdrawn_at"]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise Malformed(
            f"{resource.plural} have no field {unknown[0][:50]!r}.",
            slug="unknown-parameter",
            faults=[Fault("unknown_field", f"Allowed: {', '.join(known)}.", parameter="fields")],
        )
    documents = (msgspec.json.decode(body, type=dict[str, msgspec.Raw]) for body in bodies)
    return [{name: document[name] for name in names if name in document} for document in documents]


def page(resource: Resource[Any], bodies: Sequence[bytes], names: Sequence[str] | None) -> msgspec.Raw:
    """The same as one JSON array."""
    if names is None:
        return msgspec.Raw(b"[" + b",".join(bodies) + b"]")
    return msgspec.Raw(msgspec.json.encode(picked(resource, bodies, names)))


def paths(resource: Resource[Any]) -> dict[str, Linked]:
    """What `include` may name: every reference of the noun, one level deep."""
    return dict(_paths(resource.plan.fields))


def _paths(fields: Iterable[Any], prefix: str = "") -> Iterator[tuple[str, Linked]]:
    for planned in fields:
        name = prefix + planned.name
        if isinstance(planned, Linked):
            yield name, planned
        elif isinstance(planned, Rows) and isinstance(planned.item, Linked):
            yield name, planned.item
        elif isinstance(planned, Rows | Embedded) and planned.plan is not None:
            yield from _paths(planned.plan.fields, f"{name}.")


def included(
    tx: Transaction, resources: Resources, resource: Resource[Any], bodies: Sequence[bytes], names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """The records that the references `names` point to, or that go with these, by noun and slug; one statement a noun.
    Raises Malformed for a name that is no reference."""
    allowed = includable(resource)
    unknown = [name for name in names if name not in allowed]
    if unknown:
        raise Malformed(
            f"{resource.plural} cannot include {unknown[0][:50]!r}.",
            slug="unknown-parameter",
            faults=[Fault("unknown_include", f"Allowed: {', '.join(allowed) or 'nothing'}.", parameter="include")],
        )
    documents = [msgspec.json.decode(body) for body in bodies]
    wanted: dict[str, set[str]] = {}
    for name in names:
        for table, slug in _wanted(tx, resource, documents, name):
            wanted.setdefault(table, set()).add(slug)
    return {resources[table].plural: _by_slug(tx, resources[table], slugs) for table, slugs in sorted(wanted.items())}


def includable(resource: Resource[Any]) -> list[str]:
    """What `include` may name."""
    return [*paths(resource), *resource.collected]


def _wanted(tx: Transaction, resource: Resource[Any], documents: Sequence[Any], name: str) -> Iterator[tuple[str, str]]:
    """(table, slug) of each record that `name` adds to these."""
    if name in resource.collected:
        table, collect = resource.collected[name]
        yield from ((table, slug) for slug in collect(tx, [UUID(document["id"]) for document in documents]))
        return
    link = paths(resource)[name]
    for document in documents:
        yield from _named(document, name.split("."), link)


def _named(value: Any, steps: Sequence[str], link: Linked) -> Iterator[tuple[str, str]]:
    """(table, slug) for every reference at the end of `steps`."""
    if isinstance(value, list):
        for item in value:
            yield from _named(item, steps, link)
    elif isinstance(value, str):
        yield _table(link, None), value
    elif isinstance(value, dict):
        inner = value.get(steps[0]) if steps else None
        if len(steps) == 1 and isinstance(inner, str):
            yield _table(link, value.get("noun")), inner
        elif inner is not None:
            yield from _named(inner, steps[1:], link)


def _table(link: Linked, noun: Any) -> str:
    return link.table.name if link.table is not None else table_of((link.among or {})[noun]).name


@cache
def _shown(shown: tuple[sa.ColumnElement[Any], ...], slug: sa.Column[Any]) -> sa.Select[Any]:
    return sa.select(slug, *shown).where(among(slug, "slugs")).order_by(slug)


def _by_slug(tx: Transaction, resource: Resource[Any], slugs: set[str]) -> dict[str, Any]:
    slug = resource.table.c.slug
    rows = tx.rows(_shown(resource.shown, slug), {"slugs": sorted(slugs)})
    return {row.slug: msgspec.Raw(body) for row, body in zip(rows, records.bodies(tx, resource, rows), strict=True)}
