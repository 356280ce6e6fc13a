"""Collaboration types: the kinds of working together, a tree and a SKOS concept scheme."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.db import Record, folded, reference
from app.kit.search import Rank, Text


class CollaborationType(Record):
    """A kind of collaboration: a concept with a label, a definition and perhaps a broader concept."""

    __tablename__ = "collaboration_type"
    __claims__ = ("label",)

    label: Mapped[str] = mapped_column(sa.String(255))
    label_key: Mapped[str] = folded("label")
    labels: Mapped[dict[str, str]] = mapped_column(sa.JSON)
    definition: Mapped[str | None] = mapped_column(sa.Text)
    broader_id: Mapped[UUID | None] = reference("collaboration_type")
    exact_matches: Mapped[list[str]] = mapped_column(sa.JSON)
    review_every_months: Mapped[int | None] = mapped_column(sa.Integer)


def texts(record: Mapping[str, Any]) -> Iterator[Text]:
    """By what a type is found."""
    yield Text("/label", record["label"], Rank.title)
    yield from (Text(f"/labels/{lang}", label, Rank.other) for lang, label in record["labels"].items())
    if record["definition"]:
        yield Text("/definition", record["definition"], Rank.prose)
