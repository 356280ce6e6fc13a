"""What a source supports: passage by passage, the records for which it is cited, and the passages that support nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from app.kit.db import Transaction, table_of
from app.registry.citations import CITATION, Citation, CitationPassage

PASSAGE = table_of(CitationPassage).c
Place = tuple[int, int, int]
"""Section, paragraph, sentence."""


class _Target(msgspec.Struct):
    record: str


class _Document(msgspec.Struct):
    """What is read of a citation's document."""

    target: _Target


def place_of(passage: Mapping[str, Any]) -> Place:
    return passage["section"], passage["paragraph"], passage["sentence"]


def coverage(tx: Transaction, source: UUID, passages: list[Mapping[str, Any]]) -> dict[str, Any]:
    """For the source with this id, as its document lists its `passages`: each with the citations that name it; those that
    name the source as a whole; and those that name places which it does not have (any more)."""
    uses: dict[Place, list[dict[str, Any]]] = {place_of(passage): [] for passage in passages}
    whole, lost = [], []
    for row in tx.execute(_citations(source)):
        use = {
            "citation": row.slug, "noun": row.target_noun, "field": row.field, "support": row.support,
            "record": msgspec.json.decode(row.document, type=_Document).target.record,
        }  # fmt: skip
        place = (row.section, row.paragraph, row.sentence)
        if row.section is None:
            whole.append(use)
        elif place in uses:
            uses[place].append(use)
        else:
            lost.append({**use, "section": place[0], "paragraph": place[1], "sentence": place[2]})
    cited = sum(1 for found in uses.values() if found)
    return {
        "summary": {"passages": len(uses), "cited": cited, "uncited": len(uses) - cited, "lost": len(lost)},
        "passages": [{**passage, "citations": uses[place_of(passage)]} for passage in passages],
        "uncited": [_place(place) for place, found in uses.items() if not found],
        "whole": whole,
        "lost": lost,
    }


def _place(place: Place) -> dict[str, int]:
    return dict(zip(("section", "paragraph", "sentence"), place, strict=True))


def _citations(source: UUID) -> sa.Select[Any]:
    """A row for each passage of each citation of the source; one without a place for a citation of the whole."""
    shown = (CITATION.slug, CITATION.target_noun, CITATION.field, CITATION.support, CITATION.document)
    return (
        sa.select(*shown, PASSAGE.section, PASSAGE.paragraph, PASSAGE.sentence)
        .select_from(table_of(Citation).outerjoin(table_of(CitationPassage), PASSAGE.citation_id == CITATION.id))
        .where(CITATION.source_id == source, CITATION.withdrawn_at.is_(None))
        .order_by(CITATION.slug, PASSAGE.position)
    )
