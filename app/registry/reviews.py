"""Reviews: the sessions at which a body looks at its collaborations, what it found, and what is due next."""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.kit import edtf
from app.kit.db import FILTERED, Base, Record, Transaction, dated, folded, reference, table_of, vocabulary
from app.kit.vocabularies import Vocabulary
from app.registry.collaborations import Collaboration, ReviewStatus
from app.registry.organizations import Organization
from app.registry.sources import Source

NOTICE_MONTHS = 3
"""So long before its date a review counts as due."""


class HeldStatus(Vocabulary):
    """Whether a review has taken place."""

    planned = "planned", "On the agenda."
    held = "held", "Has taken place."


class Finding(Vocabulary):
    """What a review concluded for a collaboration."""

    continue_ = "continue", "Go on as it is."
    renew = "renew", "Conclude it anew."
    adjust = "adjust", "Go on with changes."
    close = "close", "Bring it to an end."
    noted = "noted", "Taken note of, no conclusion."


class ReviewItem(Base):
    """One collaboration on a review's agenda."""

    __tablename__ = "review_item"

    review_id: Mapped[UUID] = mapped_column(sa.ForeignKey("review.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    collaboration_id: Mapped[UUID] = reference(Collaboration, nullable=False)
    finding: Mapped[Finding] = mapped_column(vocabulary(Finding))
    note: Mapped[str | None] = mapped_column(sa.Text)


class Review(Record):
    """A session of a body that looks at collaborations."""

    __tablename__ = "review"

    title: Mapped[str] = mapped_column(sa.String(500))
    title_key: Mapped[str] = folded("title")
    body_id: Mapped[UUID | None] = reference(Organization)
    session: Mapped[str | None] = mapped_column(sa.String(255))
    date: Mapped[edtf.Edtf | None] = dated("date", sort=True)
    document_id: Mapped[UUID | None] = reference(Source)
    status: Mapped[HeldStatus] = mapped_column(vocabulary(HeldStatus), info=FILTERED)
    summary: Mapped[str | None] = mapped_column(sa.Text)
    decision: Mapped[str | None] = mapped_column(sa.Text)

    items: Mapped[list[ReviewItem]] = relationship(viewonly=True, order_by=ReviewItem.position)


def review_calendar(tx: Transaction, rows: Sequence[Any]) -> Mapping[UUID, Mapping[str, Any]]:
    """For each collaboration: when it was last reviewed (EDTF, as the review says), when it is next due (a day), and
    what that means today. One statement, whatever their number."""
    collaboration, review, item = table_of(Collaboration).c, table_of(Review).c, table_of(ReviewItem).c
    held = (
        sa.select(item.collaboration_id, review.date_edtf, review.date_latest)
        .join(table_of(Review), review.id == item.review_id)
        .where(review.status == HeldStatus.held, review.withdrawn_at.is_(None), review.date_edtf.is_not(None))
        .subquery()
    )
    found = tx.execute(
        sa.select(collaboration.id, collaboration.review_every_months, held.c.date_edtf, held.c.date_latest)
        .outerjoin(held, held.c.collaboration_id == collaboration.id)
        .where(collaboration.id.in_([row.id for row in rows]))
        .order_by(held.c.date_latest)
    )
    # Ordered by date, so the last row of a collaboration is its latest review.
    return {row.id: standing(row.review_every_months, row.date_edtf, row.date_latest, tx.today) for row in found}


def standing(every: int | None, last: str | None, last_day: date | None, today: date) -> dict[str, Any]:
    """The three computed fields of a collaboration, from its interval in months and its last review."""
    due = months_after(last_day, every) if every is not None and last_day is not None else None
    return {"last_reviewed": last, "next_review_due": due, "review_status": _status(every, due, today)}


def _status(every: int | None, due: date | None, today: date) -> ReviewStatus:
    if every is None:
        return ReviewStatus.none
    if due is None:
        return ReviewStatus.never
    if today > due:
        return ReviewStatus.overdue
    return ReviewStatus.due if months_after(today, NOTICE_MONTHS) >= due else ReviewStatus.current


def months_after(day: date, months: int) -> date:
    """The same day `months` later, or the last one of a shorter month; never past the calendar's end."""
    index = min(day.year * 12 + day.month - 1 + months, 9999 * 12 + 11)
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
