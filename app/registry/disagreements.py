"""Where sources disagree: fields whose citations state another value than the record, or than each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from app.kit import edtf
from app.kit.db import Transaction, table_of
from app.kit.records import at
from app.kit.text import fold
from app.registry.citations import CITATION, CITED, SOURCE, Citation, CitationPassage, Support
from app.registry.sources import Source, SourcePassage

MOST_LOOKED_AT = 5_000
"""Cited fields that one page looks at: most sources agree, and a page must end."""
_STEP = 500
_SPEAKS = sa.and_(
    CITATION.withdrawn_at.is_(None),
    sa.or_(CITATION.stated_value.is_not(None), CITATION.support == Support.contradicts),
)
_FIELD = (CITATION.target_noun, CITATION.target_record_id, CITATION.field)
Key = tuple[str, UUID, str]
"""Noun, record, field: a cited field, and where a page of the list begins."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some disagreements, and the field after which to go on; None at the end."""

    items: list[dict[str, Any]]
    next: Key | None


def disagreements(tx: Transaction, *, noun: str | None, after: Key | None, limit: int) -> Page:
    """At most `limit` disagreements behind `after`, in the order of noun, record and field."""
    items: list[dict[str, Any]] = []
    for _ in range(MOST_LOOKED_AT // _STEP):
        keys = _fields(tx, noun, after)
        for key, item in _compared(tx, keys):
            after = key
            if item is not None:
                items.append(item)
            if len(items) == limit:
                return Page(items, None if key == keys[-1] and len(keys) < _STEP else key)
        if len(keys) < _STEP:
            return Page(items, None)
    return Page(items, after)


def agree(one: str, other: str) -> bool:
    """Whether two statements of a field say the same: the same text, whatever its case and marks, or dates of which one
    lies within the other (`2014-12` is more exact than `2014`, and no other date)."""
    if fold(one) == fold(other):
        return True
    try:
        a, b = edtf.parse(one), edtf.parse(other)
    except edtf.EdtfError:
        return False
    return _within(a, b) or _within(b, a)


def _within(inner: edtf.Edtf, outer: edtf.Edtf) -> bool:
    return outer.earliest <= inner.earliest and inner.latest <= outer.latest


def _fields(tx: Transaction, noun: str | None, after: Key | None) -> list[Key]:
    statement = sa.select(*_FIELD).where(_SPEAKS).distinct().order_by(*_FIELD).limit(_STEP)
    if noun is not None:
        statement = statement.where(CITATION.target_noun == noun)
    if after is not None:
        there = (sa.literal(value, column.type) for value, column in zip(after, _FIELD, strict=True))
        statement = statement.where(sa.tuple_(*_FIELD) > sa.tuple_(*there))
    return [(row.target_noun, row.target_record_id, row.field) for row in tx.execute(statement)]


def _compared(tx: Transaction, keys: Sequence[Key]) -> Iterator[tuple[Key, dict[str, Any] | None]]:
    """Each field, with its disagreement where there is one."""
    documents, citations = _documents(tx, keys), _citations(tx, keys)
    for key in keys:
        document, cited = documents.get(key[:2]), citations[key[:2]]
        if document is None:  # withdrawn: nothing is stated any more
            yield key, None
            continue
        stated = [row for row in cited if row.field == key[2] and _speaks(row)]
        value = at(document, key[2]) if key[2] else None
        if not _differs(value, [row.stated_value for row in stated]):
            yield key, None
            continue
        yield key, _item(tx, key, document["slug"], value, [*stated, *_other_side(cited, key[2])])


def _other_side(cited: Sequence[Any], field: str) -> list[Any]:
    """What stands for the record's own value: citations of the field, or else of the record as a whole."""
    silent = [row for row in cited if not _speaks(row)]
    return [row for row in silent if row.field == field] or [row for row in silent if not row.field]


def _speaks(row: Any) -> bool:
    return row.stated_value is not None or row.support == Support.contradicts


def _differs(value: Any, stated: Sequence[str | None]) -> bool:
    """Whether the statements are at odds with the record's value, or each other. One that only contradicts always is."""
    if None in stated:
        return True
    values = [text for text in stated if text is not None]
    if value is None or isinstance(value, str | int):
        return value is None or not all(agree(str(value), text) for text in values)
    return not all(agree(one, other) for one, other in pairwise(values))


def _documents(tx: Transaction, keys: Iterable[Key]) -> dict[tuple[str, UUID], dict[str, Any]]:
    wanted: dict[str, set[UUID]] = defaultdict(set)
    for noun, record, _ in keys:
        wanted[noun].add(record)
    return {
        (noun, row.id): msgspec.json.decode(row.document)
        for noun, ids in wanted.items()
        for row in tx.execute(_records(noun, ids))
    }


def _records(noun: str, ids: Iterable[UUID]) -> sa.Select[Any]:
    table = table_of(CITED[noun])
    return sa.select(table.c.id, table.c.document).where(table.c.id.in_(sorted(ids)), table.c.withdrawn_at.is_(None))


def _citations(tx: Transaction, keys: Sequence[Key]) -> dict[tuple[str, UUID], list[Any]]:
    """All citations of some records."""
    found: dict[tuple[str, UUID], list[Any]] = {key[:2]: [] for key in keys}
    shown = (CITATION.id, CITATION.slug, CITATION.support, CITATION.stated_value, SOURCE.slug.label("source"), *_FIELD)
    statement = (
        sa.select(*shown)
        .select_from(table_of(Citation).join(table_of(Source), SOURCE.id == CITATION.source_id))
        .where(CITATION.withdrawn_at.is_(None), CITATION.target_record_id.in_({record for _, record, _ in keys}))
        .order_by(CITATION.slug)
    )
    for row in tx.execute(statement):
        if (row.target_noun, row.target_record_id) in found:
            found[row.target_noun, row.target_record_id].append(row)
    return found


def _item(tx: Transaction, key: Key, slug: str, value: Any, stated: Sequence[Any]) -> dict[str, Any]:
    passages = _passages(tx, [row.id for row in stated])
    return {
        "noun": key[0], "record": slug, "field": key[2], "value": value,
        "citations": [
            {"citation": row.slug, "source": row.source, "support": row.support, "stated_value": row.stated_value,
             "passages": passages[row.id]}
            for row in stated
        ],
    }  # fmt: skip


def _passages(tx: Transaction, citations: Sequence[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """The places that some citations name, with the text where the source's is known."""
    place, text = table_of(CitationPassage).c, table_of(SourcePassage).c
    same = sa.and_(
        text.source_id == CITATION.source_id, text.section == place.section, text.paragraph == place.paragraph,
        text.sentence == place.sentence,
    )  # fmt: skip
    statement = (
        sa.select(place.citation_id, place.section, place.paragraph, place.sentence, text.text)
        .join(table_of(Citation), CITATION.id == place.citation_id)
        .outerjoin(table_of(SourcePassage), same)
        .where(place.citation_id.in_(citations))
        .order_by(place.citation_id, place.position)
    )
    found: dict[UUID, list[dict[str, Any]]] = {identifier: [] for identifier in citations}
    for row in tx.execute(statement):
        passage = {"section": row.section, "paragraph": row.paragraph, "sentence": row.sentence, "text": row.text}
        found[row.citation_id].append(passage)
    return found
