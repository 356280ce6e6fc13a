"""Milestones: what happened, or was promised, in a collaboration, to an instrument or to an organization."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.kit import edtf
from app.kit.db import FILTERED, Record, dated, folded, reference, vocabulary
from app.kit.search import Rank, texts_of
from app.kit.vocabularies import Vocabulary
from app.registry.collaborations import Collaboration
from app.registry.instruments import Instrument
from app.registry.organizations import Organization


class MilestoneKind(Vocabulary):
    """What sort of event a milestone is."""

    launch = "launch", "Something began."
    signature = "signature", "An agreement was signed."
    adoption = "adoption", "A text was adopted."
    revision = "revision", "A text was revised."
    reference = "reference", "One text took up another."
    session = "session", "A session or event was held."
    statement = "statement", "Something was stated in public."
    membership = "membership", "Somebody became a member."
    publication = "publication", "Something was published."
    report = "report", "Somebody reported."
    deliverable = "deliverable", "Something promised was delivered."
    end = "end", "Something came to its end."
    other = "other", "None of the above."


class MilestoneStatus(Vocabulary):
    """What became of a milestone."""

    planned = "planned", "Still to come."
    met = "met", "Happened; the date may be not stated."
    partially_met = "partially_met", "Happened in part."
    not_met = "not_met", "Did not happen."
    cancelled = "cancelled", "Will not happen."


class Milestone(Record):
    """A dated event, or one whose date nobody states."""

    __tablename__ = "milestone"
    __table_args__ = (
        sa.CheckConstraint(
            "collaboration_id IS NOT NULL OR instrument_id IS NOT NULL OR organization_id IS NOT NULL", name="subject"
        ),
    )

    title: Mapped[str] = mapped_column(sa.String(500))
    title_key: Mapped[str] = folded("title")
    kind: Mapped[MilestoneKind] = mapped_column(vocabulary(MilestoneKind), info=FILTERED)
    collaboration_id: Mapped[UUID | None] = reference(Collaboration)
    instrument_id: Mapped[UUID | None] = reference(Instrument)
    organization_id: Mapped[UUID | None] = reference(Organization)
    date: Mapped[edtf.Edtf | None] = dated("date", sort=True)
    due: Mapped[edtf.Edtf | None] = dated("due", sort=True)
    status: Mapped[MilestoneStatus] = mapped_column(vocabulary(MilestoneStatus), info=FILTERED)
    description: Mapped[str | None] = mapped_column(sa.Text)
    place: Mapped[str | None] = mapped_column(sa.String(255))
    url: Mapped[str | None] = mapped_column(sa.Text)


texts = texts_of({"title": Rank.title, "description": Rank.prose, "place": Rank.prose})
"""By what a milestone is found."""
