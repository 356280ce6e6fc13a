"""Records as entities: what reconciliation calls them, how they are described in a line, and the values of their properties.

The id of an organization is its slug, which is what a reference to it holds. Slugs are unique in a noun only, so the id of any
other record is `noun/slug`. A property is a column (see cells.py), a field of the objects in a list
(`participants.organization`), or a register: the scheme of an identifier (`ror`).
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from pydantic import BaseModel

from app.exchange import cells
from app.kit import records, views
from app.kit.db import Transaction
from app.kit.errors import NotFound
from app.kit.resource import COMMON, Linked, Resource, Rows
from app.kit.search import Rank
from app.kit.shapes import shape_of, shapes_of
from app.kit.text import fold, for_xml, key_of

Nouns = Mapping[str, Resource[Any]]
"""The nouns, by what paths call them."""
Key = tuple[str, str]
"""Noun and slug."""
DEFAULT = "organizations"
"""The noun that is meant where none is named."""


@dataclass(frozen=True, slots=True)
class Property:
    """A property of a noun: where its values stand in a record, and the reference that they are, if they are one."""

    id: str
    meaning: str
    path: tuple[str, ...]
    link: Linked | None = None

    @property
    def name(self) -> str:
        return self.id.replace("_", " ").replace(".", ": ").capitalize()


@dataclass(frozen=True, slots=True)
class Entity:
    """A record that is there, with what it says, and the properties of its noun (see `properties`)."""

    resource: Resource[Any]
    id: UUID
    slug: str
    document: Mapping[str, Any]
    known: Mapping[str, Property]

    @property
    def name(self) -> str:
        """Its title; of a record that has none, its slug."""
        return next((text.value for text in self.resource.texts(self.document) if text.rank is Rank.title), self.slug)

    @property
    def names(self) -> list[str]:
        """Everything that it is called."""
        return [text.value for text in self.resource.texts(self.document) if text.rank is not Rank.prose]


# --- ids --------------------------------------------------------------------------------------------------------------


def entity_id(noun: str, slug: str) -> str:
    """What reconciliation calls a record."""
    return slug if noun == DEFAULT else f"{noun}/{slug}"


def address(nouns: Nouns, identifier: str) -> str:
    """`noun/key` of an entity's id, in which an id may stand for the slug. Raises NotFound for a text that is no such id."""
    noun, key = _parts(identifier)
    if noun not in nouns or key_of(key) is None:
        raise NotFound(f"No record is called {identifier[:100]!r}: write a slug of {DEFAULT}, or noun/slug.")
    return f"{noun}/{key}"


def _parts(identifier: str) -> tuple[str, str]:
    noun, slash, key = identifier.partition("/")
    return (noun, key) if slash else (DEFAULT, identifier)


def key_in(noun: str, text: str) -> str | None:
    """The slug or id of a record of this noun in a text, alone or as the id of an entity; None where it is neither."""
    key = text.removeprefix(f"{noun}/")
    return key if key_of(key) is not None else None


def type_of(resource: Resource[Any]) -> dict[str, str]:
    """A noun as a type of entities."""
    return {"id": resource.plural, "name": resource.name.capitalize()}


# --- reading ----------------------------------------------------------------------------------------------------------


def of_ids(tx: Transaction, resource: Resource[Any], ids: Iterable[UUID]) -> dict[UUID, Entity]:
    """The records with these ids, as far as they are there."""
    return {entity.id: entity for entity in _read(tx, resource, resource.table.c.id, sorted(set(ids), key=str))}


def of_keys(tx: Transaction, resource: Resource[Any], keys: Iterable[str], *, whole: bool = False) -> dict[str, Entity]:
    """By slug or id the records with these, as far as they are there; `whole`: with what is computed."""
    named = {key: key_of(key) for key in keys}
    slugs = sorted({key for key in named.values() if isinstance(key, str)})
    ids = sorted({key for key in named.values() if isinstance(key, UUID)}, key=str)
    found: dict[UUID | str | None, Entity] = {}
    for entity in _read(tx, resource, resource.table.c.slug, slugs, whole=whole):
        found[entity.slug] = entity
    for entity in _read(tx, resource, resource.table.c.id, ids, whole=whole):
        found[entity.id] = entity
    return {key: found[name] for key, name in named.items() if name in found}


def of_identifiers(tx: Transaction, nouns: Nouns, identifiers: Iterable[str]) -> dict[str, Entity]:
    """By their id as entities the records with these, whole, as far as they are there."""
    keys: dict[str, dict[str, str]] = {}
    for identifier in identifiers:
        noun, key = _parts(identifier)
        if noun in nouns:
            keys.setdefault(noun, {})[identifier] = key
    found: dict[str, Entity] = {}
    for noun, of_noun in keys.items():
        there = of_keys(tx, nouns[noun], of_noun.values(), whole=True)
        found |= {identifier: there[key] for identifier, key in of_noun.items() if key in there}
    return found


def referred(tx: Transaction, nouns: Nouns, keys: Iterable[Key]) -> dict[Key, Entity]:
    """The records that references name: one statement a noun."""
    slugs: dict[str, set[str]] = {}
    for noun, slug in keys:
        slugs.setdefault(noun, set()).add(slug)
    return {
        (noun, slug): entity
        for noun, some in sorted(slugs.items())
        for slug, entity in of_keys(tx, nouns[noun], some).items()
    }


def _read(
    tx: Transaction, resource: Resource[Any], column: sa.Column[Any], keys: Sequence[Any], *, whole: bool = False
) -> Iterator[Entity]:
    c = resource.table.c
    shown = sa.select(c.id, c.slug, c.shape, c.document, c.withdrawn_at).where(c.withdrawn_at.is_(None))
    known = properties(resource)
    for start in range(0, len(keys), records.MOST_KEYS):
        rows = tx.execute(shown.where(column.in_(keys[start : start + records.MOST_KEYS]))).all()
        documents = (
            map(msgspec.json.decode, records.bodies(tx, resource, rows))
            if whole
            else (records.snapshot(resource, row) for row in rows)
        )
        for row, document in zip(rows, documents, strict=True):
            yield Entity(resource, row.id, row.slug, document, known)


# --- properties -------------------------------------------------------------------------------------------------------


def properties(resource: Resource[Any]) -> dict[str, Property]:
    """The properties of a noun that are the same for every record, by id."""
    links = views.paths(resource)
    found = {
        name: Property(name, meaning, ("evidence", "sources") if name == "sources" else tuple(name.split(".")), links.get(name))
        for name, meaning, _ in cells.described(resource)
    }  # fmt: skip
    return found | {each.id: each for each in _inner(resource, links)}


def _inner(resource: Resource[Any], links: Mapping[str, Linked]) -> Iterator[Property]:
    """What the objects of a noun's lists hold: the names that an organization also has, the roles of participants."""
    write: type[BaseModel] = resource.write
    for name, shape in shapes_of(write).items():
        for field, info in shape.part.model_fields.items() if shape.part is not None and shape.many else ():
            if shape_of(info).single and shape_of(info).part is None:
                path = f"{name}.{field}"
                meaning = info.description or f"Of each of its {name.replace('_', ' ')}."
                yield Property(path, meaning, (name, field), links.get(path))


def registers(tx: Transaction, resource: Resource[Any]) -> list[str]:
    """The schemes of the identifiers that records of a noun have, in one spelling each."""
    child = identified_by(resource)
    if child is None:
        return []
    c = child.table.c
    schemes = tx.execute(sa.select(c.scheme).where(c.claim.is_not(None)).distinct()).scalars()
    return list({fold(scheme): scheme for scheme in sorted(schemes, reverse=True)}.values())[::-1]


def identified_by(resource: Resource[Any]) -> Rows | None:
    """The list of a noun's records that holds their identifiers, each a scheme and a value."""
    return next((child for child in resource.plan.children if child.claims == ("scheme", "value")), None)


def leads_to(link: Linked, around: Any) -> str:
    """The noun that a reference leads to; `around` is the object that it stands in."""
    return str(around["noun"] if link.table is None else link.table.info["noun"])


def found_in(entity: Entity, asked: Property) -> list[Any]:
    """The values of a property as the record holds them: texts, numbers, objects; of a reference the noun and the slug."""
    stated = list(_walk(entity.document, asked.path, None))
    if asked.link is not None:
        return [(leads_to(asked.link, around), value) for value, around in stated if isinstance(value, str)]
    return [("sources", value) if asked.path == ("evidence", "sources") else value for value, _ in stated]


def _walk(value: Any, steps: Sequence[str], around: Any) -> Iterator[tuple[Any, Any]]:
    """Each value at the end of `steps`, with the object that it stands in."""
    if isinstance(value, list):
        for item in value:
            yield from _walk(item, steps, around)
    elif steps and isinstance(value, Mapping):
        yield from _walk(value.get(steps[0]), steps[1:], value)
    elif not steps and value not in (None, "", {}):
        yield value, around


def references(entity: Entity, names: Iterable[str]) -> Iterator[Key]:
    """The records that these properties of an entity name."""
    for name in names:
        if name in entity.known:
            yield from (value for value in found_in(entity, entity.known[name]) if isinstance(value, tuple))


def identifiers(entity: Entity, scheme: str) -> list[Mapping[str, Any]]:
    """The identifiers of a record in a register."""
    child = identified_by(entity.resource)
    held = [] if child is None else entity.document.get(child.name) or []
    return [item for item in held if fold(item["scheme"]) == fold(scheme)]


# --- comparing --------------------------------------------------------------------------------------------------------

_WEB = re.compile(r"https?://(?:www\.)?")


def comparable(text: str) -> str:
    """The key under which two spellings of a value are one: folded; of a word of a vocabulary without underscores, of a web
    address without what browsers add."""
    folded = fold(text).replace("_", " ")
    return _WEB.sub("", folded, count=1).rstrip("/") if folded.startswith("http") else folded


def compared(entity: Entity, name: str, there: Mapping[Key, Entity]) -> set[str]:
    """All texts that a value of the property may be given as, comparable. Empty where the record states nothing."""
    if name in entity.known:
        stated = (text for value in found_in(entity, entity.known[name]) for text in _spellings(value, there))
    else:
        stated = (text for item in identifiers(entity, name) for text in (item["value"], item.get("url")) if text)
    return {comparable(text) for text in stated}


def _spellings(value: Any, there: Mapping[Key, Entity]) -> Iterator[str]:
    if isinstance(value, tuple):
        yield from (value[1], entity_id(*value))
        if value in there:
            yield str(there[value].id)
            yield from there[value].names
    elif isinstance(value, Mapping):
        yield from (text for text in value.values() if isinstance(text, str))
    else:
        yield _text(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- shown ------------------------------------------------------------------------------------------------------------

LINE = ("kind", "type", "status", "country", "date", "due", "period", "published", "part_of")
"""The fields that tell one record from its namesakes, as far as a noun has them."""


def line(entity: Entity, there: Mapping[Key, Entity]) -> str:
    """What tells the record from its namesakes, in words: `Organ, part of United Nations`."""
    known = entity.known
    words = [
        ("part of " if name == "part_of" else "") + (_named(value, there) if isinstance(value, tuple) else _word(value))
        for name in LINE
        if name in known
        for value in found_in(entity, known[name])
    ]
    text = ", ".join(words)
    return text[:1].upper() + text[1:]


def _named(key: Key, there: Mapping[Key, Entity]) -> str:
    return there[key].name if key in there else key[1]


def _word(value: Any) -> str:
    return _text(value).replace("_", " ")


def extended(entity: Entity, name: str, there: Mapping[Key, Entity]) -> list[dict[str, Any]]:
    """The values of a property as data extension has them: `id` and `name` of a record, else `int`, `float` or `str`."""
    if name not in entity.known:
        return [{"str": item["value"]} for item in identifiers(entity, name)]
    values = found_in(entity, entity.known[name])
    if any(isinstance(value, Mapping) for value in values):  # the API knows no objects; a cell says them in a text
        row = dict(zip(cells.columns(entity.resource), cells.row(entity.resource, entity.document), strict=True))
        return [{"str": row[name]}]
    return [_extended(value, there) for value in values]


def _extended(value: Any, there: Mapping[Key, Entity]) -> dict[str, Any]:
    if isinstance(value, tuple):
        return {"id": entity_id(*value), "name": _named(value, there)}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"int" if isinstance(value, int) else "float": value}
    return {"str": _text(value)}


# --- a page for a frame -----------------------------------------------------------------------------------------------

STYLE = """\
body{font:10pt/1.4 system-ui,sans-serif;margin:.8em;color:#111}
h1{font-size:1.15em;margin:0}p{margin:.2em 0 .6em;color:#444}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15em .8em;margin:0}
dt{color:#444}dd{margin:0;overflow-wrap:anywhere}
"""
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
"""What a Content-Security-Policy must allow for the page to be styled, and nothing else."""
MOST_FACTS = 15


def page(entity: Entity, there: Mapping[Key, Entity], url: str) -> str:
    """The record in a small page of HTML that needs nothing else and fits into a frame. `url` is its address, `there` has the
    records that it refers to."""
    name = _escaped(entity.name)
    facts = "".join(f"<dt>{_escaped(label)}</dt><dd>{_linked(text)}</dd>" for label, text in _facts(entity, there))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style></head>'
        f'<body><h1><a href="{_escaped(url)}" target="_blank" rel="noopener">{name}</a></h1>'
        f"<p>{_escaped(line(entity, there))}</p><dl>{facts}</dl></body></html>"
    )


def _facts(entity: Entity, there: Mapping[Key, Entity]) -> list[tuple[str, str]]:
    """What the record says beside its name and the line below it: the label of each property, and its values."""
    left_out = {*COMMON, *LINE, "sources"}
    told = (entity.known[name] for name in cells.columns(entity.resource) if name not in left_out)
    facts = [(each.name, "; ".join(_said(value, there) for value in found_in(entity, each))) for each in told]
    return [(label, text) for label, text in facts if text and text != entity.name][:MOST_FACTS]


def _said(value: Any, there: Mapping[Key, Entity]) -> str:
    if isinstance(value, tuple):
        return _named(value, there)
    if isinstance(value, Mapping):
        first, *rest = [_text(each) for each in value.values() if each not in (None, "")]
        return f"{first} ({', '.join(rest)})" if rest else first
    return _text(value)


def _linked(text: str) -> str:
    shown = _escaped(text)
    is_address = re.fullmatch(r"https?://\S+", text, re.IGNORECASE) is not None
    return f'<a href="{shown}" target="_blank" rel="noopener noreferrer">{shown}</a>' if is_address else shown


def _escaped(text: str) -> str:
    return html.escape(for_xml(text))
