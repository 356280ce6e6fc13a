"""Collaboration types: the kinds of working together, a tree and a SKOS concept scheme."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.db import Record, folded, reference


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
