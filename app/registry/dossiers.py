"""Dossiers: what has happened to a collaboration since a review, a day or a write, each line with the passages that say so.

A dossier is the difference between two states of the registry: the one that the transaction sees, and the one that it sees
as of then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from app.kit import past
from app.kit.db import Transaction
from app.kit.diff import Change, Difference, differences
from app.kit.errors import Invalid
from app.kit.filters import named
from app.kit.resource import COMMON
from app.kit.revisions import TABLE as REVISION
from app.kit.vocabularies import Vocabulary
from app.registry.agenda import MILESTONE
from app.registry.citations import CITATION, CitedNoun, Support
from app.registry.milestones import MilestoneStatus
from app.registry.reviews import COLLABORATION, ITEM, REVIEW, HeldStatus

Document = Mapping[str, Any]


class Event(Vocabulary):
    """What a line of a dossier says."""

    added = "added", "It is new."
    changed = "changed", "It says something else."
    met = "met", "A milestone happened."
    missed = "missed", "A milestone did not happen, or its date has passed."
    confirmed = "confirmed", "A passage was cited for what was known."
    contradicted = "contradicted", "A passage was cited against what was known."
    withdrawn = "withdrawn", "It was taken out."


class About(Vocabulary):
    """What a line of a dossier is about."""

    collaboration = "collaboration", "The collaboration itself."
    participant = "participant", "Who takes part, and as what."
    milestone = "milestone", "What happened or was promised."
    evidence = "evidence", "A citation."
    review = "review", "A review that looked at it."


@dataclass(frozen=True, slots=True)
class Row:
    """A record as a state has it. `due`: the last day on which a milestone was promised."""

    id: UUID
    document: Document
    due: date | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What one state of the registry knows of a collaboration, by slug."""

    collaboration: Row | None
    milestones: Mapping[str, Row]
    citations: Mapping[str, Row]
    reviews: Mapping[str, Row]
    today: date


def state(tx: Transaction, collaboration: UUID) -> State:
    """The state that `tx` sees. Withdrawn records are not in it. Four statements."""
    c, m, r = COLLABORATION.c, MILESTONE.c, REVIEW.c
    itself = _rows(tx, sa.select(c.id, c.slug, c.document).where(c.id == collaboration, c.withdrawn_at.is_(None)))
    ours = sa.select(m.id, m.slug, m.document, m.due_latest).where(
        m.collaboration_id == collaboration, m.withdrawn_at.is_(None)
    )
    milestones = _rows(tx, ours)
    cited = sa.or_(
        sa.and_(CITATION.target_noun == CitedNoun.collaborations, CITATION.target_record_id == collaboration),
        sa.and_(
            CITATION.target_noun == CitedNoun.milestones,
            CITATION.target_record_id.in_([row.id for row in milestones.values()]),
        ),
    )
    citations = sa.select(CITATION.id, CITATION.slug, CITATION.document).where(CITATION.withdrawn_at.is_(None), cited)
    held = sa.select(ITEM.c.review_id).where(ITEM.c.collaboration_id == collaboration)
    reviews = sa.select(r.id, r.slug, r.document).where(
        r.id.in_(held), r.withdrawn_at.is_(None), r.status == HeldStatus.held
    )
    return State(next(iter(itself.values()), None), milestones, _rows(tx, citations), _rows(tx, reviews), tx.today)


def _rows(tx: Transaction, statement: sa.Select[Any]) -> dict[str, Row]:
    found = tx.execute(statement.order_by(statement.selected_columns.slug))
    return {row.slug: Row(row.id, msgspec.json.decode(row.document), getattr(row, "due_latest", None)) for row in found}


# --- since when -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Since:
    """Where a dossier begins: the state after the write `sequence`, and the review that led there."""

    sequence: int
    review: str | None
    view: Transaction


def since(
    tx: Transaction, collaboration: UUID, given: int | date | datetime | str | None, *, before: UUID | None = None
) -> Since:
    """The begin that `given` names: a number, a date, a moment, or a review (its slug or id; the end of its day). Without
    it: the latest review of the collaboration that was held (and is not the one `before` which it is asked), or the
    beginning. Raises Invalid."""
    if isinstance(given, int | date):
        return _since(past.at(tx, given), None)
    statement = sa.select(REVIEW.c.slug, REVIEW.c.date_latest)
    if given is None:
        held = sa.select(ITEM.c.review_id).where(ITEM.c.collaboration_id == collaboration)
        statement = statement.where(
            REVIEW.c.id.in_(held), REVIEW.c.status == HeldStatus.held, REVIEW.c.withdrawn_at.is_(None),
            REVIEW.c.date_latest <= _eve(tx, before),
        ).order_by(REVIEW.c.date_latest.desc(), REVIEW.c.slug)  # fmt: skip
    else:
        statement = statement.where(named(REVIEW, given))
    row = tx.execute(statement.limit(1)).one_or_none()
    if row is None and given is None:
        return _since(past.at(tx, 0), None)
    if row is None or row.date_latest is None:
        reason = "There is no such review" if row is None else "This review has no date"
        raise Invalid.parameter("since", "since", f"{reason}. Name a review, a date, a moment or a number.")
    return _since(past.at(tx, row.date_latest), row.slug)


def _eve(tx: Transaction, review: UUID | None) -> date:
    """The day before a review, as far as it lies behind; today without one, or without its date."""
    day = (
        None if review is None else tx.execute(sa.select(REVIEW.c.date_earliest).where(REVIEW.c.id == review)).scalar()
    )
    return tx.today if day is None or day > tx.today else day - timedelta(1)


def _since(then: Transaction, review: str | None) -> Since:
    return Since(then.sequence(), review, then)


# --- the lines --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened, the write that told it last, and the citations that stand for it."""

    about: About
    event: Event
    noun: str
    record: str
    title: str
    field: str
    was: Any
    now: Any
    sequence: int | None
    at: datetime | None
    citations: list[dict[str, Any]]


def lines(tx: Transaction, collaboration: UUID, begin: Since) -> list[Line]:
    """Everything that happened to the collaboration since `begin`: its own fields and participants, its milestones, its
    evidence, its reviews."""
    old, new = state(begin.view, collaboration), state(tx, collaboration)
    found = [*_of_collaboration(old, new), *_of_milestones(old, new), *_of_evidence(old, new), *_of_reviews(old, new)]
    last = _last_writes(tx, {row.id for row, _ in found}, begin.sequence)
    return [_told(line, last.get(row.id), new) for row, line in found]


Found = Iterator[tuple[Row, Line]]


def _line(about: About, event: Event, noun: str, row: Row, **more: Any) -> tuple[Row, Line]:
    empty: dict[str, Any] = {
        "field": "",
        "was": None,
        "now": None,
        "title": row.document.get("title", row.document["slug"]),
    }
    return row, Line(about, event, noun, row.document["slug"], **(empty | more), sequence=None, at=None, citations=[])


def _own(row: Row | None) -> dict[str, Any]:
    return {} if row is None else {name: value for name, value in row.document.items() if name not in COMMON}


def _of_collaboration(old: State, new: State) -> Found:
    before, after = old.collaboration, new.collaboration
    row = after or before
    if row is None:
        return
    if before is None or after is None:
        event = Event.added if before is None else Event.withdrawn
        yield _line(About.collaboration, event, "collaborations", row)
        return
    for difference in differences(_own(before), _own(after)):
        about = About.participant if difference.pointer.startswith("/participants/") else About.collaboration
        yield _line(about, _event(difference), "collaborations", row, **_change(difference))


def _event(difference: Difference) -> Event:
    return {Change.added: Event.added, Change.removed: Event.withdrawn}.get(difference.change, Event.changed)


def _change(difference: Difference) -> dict[str, Any]:
    return {"field": difference.pointer, "was": difference.was, "now": difference.now}


_FULFILLED = (MilestoneStatus.met, MilestoneStatus.partially_met)
_FAILED = (MilestoneStatus.not_met, MilestoneStatus.cancelled)


def _of_milestones(old: State, new: State) -> Found:
    for slug in sorted({*old.milestones, *new.milestones}):
        before, after = old.milestones.get(slug), new.milestones.get(slug)
        if after is None:
            yield _line(About.milestone, Event.withdrawn, "milestones", old.milestones[slug])
        elif (event := _turn(before, after, old.today, new.today)) is not None:
            was = None if before is None else before.document["status"]
            yield _line(
                About.milestone, event, "milestones", after, field="/status", was=was, now=after.document["status"]
            )
        if before is not None and after is not None:
            for difference in differences(_own(before), _own(after)):
                if difference.pointer != "/status":
                    yield _line(About.milestone, Event.changed, "milestones", after, **_change(difference))


def _turn(before: Row | None, after: Row, then: date, now: date) -> Event | None:
    """What became of a milestone: met, missed (it did not happen, or the day it was promised for has passed), or new."""
    was, status = None if before is None else before.document["status"], after.document["status"]
    if status != was and status in (*_FULFILLED, *_FAILED):
        return Event.met if status in _FULFILLED else Event.missed
    late = status == MilestoneStatus.planned and after.due is not None and after.due < now
    if late and (before is None or before.due is None or before.due >= then):
        return Event.missed
    return Event.added if before is None else Event.changed if status != was else None


def _of_evidence(old: State, new: State) -> Found:
    for slug in sorted({*old.citations, *new.citations}):
        before, after = old.citations.get(slug), new.citations.get(slug)
        row = after or old.citations[slug]
        more = {
            "field": row.document["field"],
            "title": f"{row.document['source']} on {row.document['target']['record']}",
        }
        if before is None:
            yield _line(About.evidence, _cited(row, old), "citations", row, **more)
        elif after is None:
            yield _line(About.evidence, Event.withdrawn, "citations", row, **more)
        elif _own(before) != _own(after):
            yield _line(About.evidence, Event.changed, "citations", row, **more)


def _cited(row: Row, old: State) -> Event:
    """What a new citation does: it confirms or contradicts what was known, or comes with what is new."""
    if row.document["support"] == Support.contradicts:
        return Event.contradicted
    known = {*old.milestones, *([old.collaboration.document["slug"]] if old.collaboration else [])}
    return Event.confirmed if row.document["target"]["record"] in known else Event.added


def _of_reviews(old: State, new: State) -> Found:
    for slug in sorted({*old.reviews, *new.reviews}):
        before, after = old.reviews.get(slug), new.reviews.get(slug)
        if before is None and after is not None:
            yield _line(About.review, Event.added, "reviews", after, now=after.document["date"])
        elif after is None:
            yield _line(About.review, Event.withdrawn, "reviews", old.reviews[slug])


def _last_writes(tx: Transaction, ids: set[UUID], after: int) -> dict[UUID, Any]:
    """The last revision of each record since then."""
    statement = sa.select(REVISION.c.record_id, REVISION.c.seq, REVISION.c.at).where(
        REVISION.c.record_id.in_(sorted(ids)), REVISION.c.seq > after
    )
    return {row.record_id: row for row in tx.execute(statement.order_by(REVISION.c.seq))}


def _told(line: Line, write: Any, new: State) -> Line:
    """The line with its write and its citations."""
    cited: Sequence[Document] = [row.document for row in new.citations.values()]
    if line.about is About.evidence:
        cited = [document for document in cited if document["slug"] == line.record]
    else:
        cited = [document for document in cited if _stands_for(document, line)]
    shown = [
        {"citation": d["slug"], "source": d["source"], "support": d["support"], "passages": d["passages"]}
        for d in cited
    ]
    return Line(
        line.about, line.event, line.noun, line.record, line.title, line.field, line.was, line.now,
        write.seq if write else None, write.at if write else None, shown,
    )  # fmt: skip


def _stands_for(citation: Document, line: Line) -> bool:
    """Whether it speaks for this record, as a whole or for the field that the line speaks of."""
    target, field = citation["target"], citation["field"]
    if citation["support"] == Support.contradicts:
        return False
    here = target["noun"] == line.noun and target["record"] == line.record
    return here and (not field or not line.field or f"{line.field}/".startswith(f"{field}/"))
