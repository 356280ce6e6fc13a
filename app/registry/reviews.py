"""Reviews: the sessions at which a body looks at its collaborations, what it found, and what is due next."""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.kit import edtf
from app.kit.among import among
from app.kit.db import FILTERED, Base, Record, Transaction, dated, folded, reference, table_of, vocabulary
from app.kit.filters import Asked, Where
from app.kit.search import Rank, texts_of
from app.kit.vocabularies import Vocabulary
from app.registry.collaboration_types import CollaborationType
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


COLLABORATION, TYPE = table_of(Collaboration), table_of(CollaborationType)
REVIEW, ITEM = table_of(Review), table_of(ReviewItem)


def held_reviews() -> sa.Select[Any]:
    """A row for each collaboration of each review that was held and whose date is known."""
    return (
        sa.select(ITEM.c.collaboration_id, REVIEW.c.date_edtf, REVIEW.c.date_latest)
        .join(REVIEW, REVIEW.c.id == ITEM.c.review_id)
        .where(REVIEW.c.status == HeldStatus.held, REVIEW.c.withdrawn_at.is_(None), REVIEW.c.date_edtf.is_not(None))
    )


def _intervals() -> sa.Subquery:
    """For each type its interval in months, its own or that of the nearest broader type which has one."""
    c = TYPE.c
    own = sa.select(c.id, c.review_every_months.label("months")).where(c.review_every_months.is_not(None))
    intervals = own.cte("intervals", recursive=True)
    below = (
        sa.select(c.id, intervals.c.months)
        .join(intervals, c.broader_id == intervals.c.id)
        .where(c.review_every_months.is_(None))
    )
    return sa.select(intervals.union_all(below)).subquery()


def review_calendar(tx: Transaction, rows: Sequence[Any]) -> Mapping[UUID, Mapping[str, Any]]:
    """For each collaboration: when it was last reviewed (EDTF, as the review says), when it is next due (a day), and
    what that means today. One statement, whatever their number."""
    found = tx.rows(_CALENDAR, {"ids": [row.id for row in rows]})
    # Ordered by date, so the last row of a collaboration is its latest review.
    return {row.id: standing(row.months, row.date_edtf, row.date_latest, tx.today) for row in found}


_HELD, _INTERVALS = held_reviews().subquery("held"), _intervals()
MONTHS = sa.func.coalesce(COLLABORATION.c.review_every_months, _INTERVALS.c.months)
"""After how many months a collaboration is to be reviewed: by its own word, or by that of its type."""
WITH_INTERVAL = COLLABORATION.outerjoin(_INTERVALS, _INTERVALS.c.id == COLLABORATION.c.type_id)
_CALENDAR = (
    sa.select(COLLABORATION.c.id, MONTHS.label("months"), _HELD.c.date_edtf, _HELD.c.date_latest)
    .select_from(WITH_INTERVAL.outerjoin(_HELD, _HELD.c.collaboration_id == COLLABORATION.c.id))
    .where(among(COLLABORATION.c.id))
    .order_by(_HELD.c.date_latest)
)


class Stands(Where):
    """Collaborations whose review stands so: what `standing` computes, asked in SQL."""

    def clause(self, value: Any, asked: Asked) -> sa.ColumnElement[bool]:
        state = _state()
        stands = _stands(state.c.months, state.c.last, asked.today)
        return asked.table.c.id.in_(sa.select(state.c.id).where(sa.or_(*(stands[status] for status in value))))


def _state() -> sa.Subquery:
    """For each collaboration its interval in months, and the day of its last review."""
    last = sa.func.max(_HELD.c.date_latest).label("last")
    return (
        sa.select(COLLABORATION.c.id, MONTHS.label("months"), last)
        .select_from(WITH_INTERVAL.outerjoin(_HELD, _HELD.c.collaboration_id == COLLABORATION.c.id))
        .group_by(COLLABORATION.c.id, MONTHS)
        .subquery("state")
    )


def status_counts(tx: Transaction) -> dict[ReviewStatus, int]:
    """How many collaborations stand in each status today. One statement."""
    state = _state()
    stands = _stands(state.c.months, state.c.last, tx.today)
    counted = [sa.func.sum(sa.case((each, 1), else_=0)) for each in stands.values()]
    joined = state.join(COLLABORATION, COLLABORATION.c.id == state.c.id)
    row = tx.execute(sa.select(*counted).select_from(joined).where(COLLABORATION.c.withdrawn_at.is_(None))).one()
    return {status: int(count or 0) for status, count in zip(stands, row, strict=True)}


def _stands(
    months: sa.ColumnElement[int], last: sa.ColumnElement[date], today: date
) -> Mapping[ReviewStatus, sa.ColumnElement[bool]]:
    """For each status what an interval and a last review must fulfil."""
    overdue = _due_before(today, months, last)
    soon = _due_before(min(months_after(today, NOTICE_MONTHS), date.max - timedelta(1)) + timedelta(1), months, last)
    asked, held = months.is_not(None), last.is_not(None)
    return {
        ReviewStatus.none: ~asked,
        ReviewStatus.never: sa.and_(asked, ~held),
        ReviewStatus.overdue: sa.and_(asked, held, overdue),
        ReviewStatus.due: sa.and_(asked, held, ~overdue, soon),
        ReviewStatus.current: sa.and_(asked, held, ~soon),
    }


def _due_before(day: date, months: sa.ColumnElement[int], last: sa.ColumnElement[date]) -> sa.ColumnElement[bool]:
    """Whether `months` after `last` lies before `day`. Months are counted as numbers, which both databases can: a month
    that is shorter than the day of `last` ends before that day, so the days alone decide within one month."""
    due = sa.extract("year", last) * 12 + sa.extract("month", last) - 1 + months
    month = day.year * 12 + day.month - 1
    return sa.or_(due < month, sa.and_(due == month, sa.extract("day", last) < day.day))


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


texts = texts_of({"title": Rank.title, "session": Rank.prose, "summary": Rank.prose, "decision": Rank.prose})
"""By what a review is found."""
