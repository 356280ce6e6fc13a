"""Collaborations: who works with whom on what, in which role and since when."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.kit import edtf
from app.kit.db import FILTERED, Base, Record, dated, folded, reference, vocabulary
from app.kit.search import Rank, texts_of
from app.kit.vocabularies import Vocabulary
from app.registry.collaboration_types import CollaborationType
from app.registry.instruments import Instrument
from app.registry.organizations import Organization


class CollaborationStatus(Vocabulary):
    """Where a collaboration stands."""

    planned = "planned", "Agreed or announced, not begun."
    active = "active", "Going on."
    on_request = "on_request", "Given whenever it is asked for."
    completed = "completed", "Came to its intended end."
    ended = "ended", "Stopped, whatever was intended."
    suspended = "suspended", "Paused."
    unknown = "unknown", "The sources do not say."


class ParticipantRole(Vocabulary):
    """What a participant does in a collaboration."""

    co_organizer = "co_organizer", "Organizes it together with others."
    participant = "participant", "Takes part."
    invited_participant = "invited_participant", "Takes part by invitation."
    provider = "provider", "Gives the expertise, training or assistance."
    recipient = "recipient", "Is given it."
    partner = "partner", "Carries it together with others."
    funder = "funder", "Pays for it."
    signatory = "signatory", "Has signed the agreement."
    member = "member", "Belongs to the body."
    co_chair = "co_chair", "Chairs it together with others."
    speaker = "speaker", "Speaks at it."
    host = "host", "Holds it, or is the body in which it happens."
    reviewer = "reviewer", "Examines it."
    beneficiary = "beneficiary", "Profits from it."


class ReviewStatus(Vocabulary):
    """What the calendar says of a collaboration's periodic review. Computed, never written."""

    none = "none", "No review is asked for."
    current = "current", "Reviewed, and not due for more than three months."
    due = "due", "Due within three months."
    overdue = "overdue", "The date has passed."
    never = "never", "A review is asked for and none has been held."


class CollaborationParticipant(Base):
    """An organization's part in a collaboration. The same organization may have several."""

    __tablename__ = "collaboration_participant"

    collaboration_id: Mapped[UUID] = mapped_column(sa.ForeignKey("collaboration.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    organization_id: Mapped[UUID] = reference(Organization, nullable=False)
    role: Mapped[ParticipantRole] = mapped_column(vocabulary(ParticipantRole))
    period: Mapped[edtf.Edtf | None] = dated("period")
    on_behalf_of_id: Mapped[UUID | None] = reference(Organization)
    note: Mapped[str | None] = mapped_column(sa.Text)


class CollaborationInstrument(Base):
    """An instrument that a collaboration rests on."""

    __tablename__ = "collaboration_instrument"

    collaboration_id: Mapped[UUID] = mapped_column(sa.ForeignKey("collaboration.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    instrument_id: Mapped[UUID] = reference(Instrument, nullable=False)


class CollaborationSdg(Base):
    """A Sustainable Development Goal that a collaboration serves."""

    __tablename__ = "collaboration_sdg"

    collaboration_id: Mapped[UUID] = mapped_column(sa.ForeignKey("collaboration.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    goal: Mapped[int] = mapped_column(index=True)


class Collaboration(Record):
    """Organizations working together."""

    __tablename__ = "collaboration"

    title: Mapped[str] = mapped_column(sa.String(500))
    title_key: Mapped[str] = folded("title")
    summary: Mapped[str | None] = mapped_column(sa.Text)
    type_id: Mapped[UUID] = reference(CollaborationType, nullable=False)
    status: Mapped[CollaborationStatus] = mapped_column(vocabulary(CollaborationStatus), info=FILTERED)
    period: Mapped[edtf.Edtf | None] = dated("period", sort=True)
    part_of_id: Mapped[UUID | None] = reference("collaboration")
    review_every_months: Mapped[int | None] = mapped_column(sa.Integer)

    instruments: Mapped[list[CollaborationInstrument]] = relationship(
        viewonly=True, order_by=CollaborationInstrument.position
    )
    sdgs: Mapped[list[CollaborationSdg]] = relationship(viewonly=True, order_by=CollaborationSdg.position)
    participants: Mapped[list[CollaborationParticipant]] = relationship(
        viewonly=True, order_by=CollaborationParticipant.position
    )


texts = texts_of({"title": Rank.title, "summary": Rank.prose})
"""By what a collaboration is found."""
