"""The agenda: which reviews are due, overdue or were never held, and which findings of earlier ones are still open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from app.kit.db import Transaction, table_of
from app.kit.filters import named
from app.kit.revisions import TABLE as REVISION
from app.registry.collaborations import CollaborationStatus, ReviewStatus
from app.registry.milestones import Milestone, MilestoneStatus
from app.registry.organizations import Organization
from app.registry.reviews import COLLABORATION, ITEM, MONTHS, REVIEW, WITH_INTERVAL, Finding, HeldStatus, standing

MILESTONE, ORGANIZATION = table_of(Milestone), table_of(Organization)
ASKS = (Finding.renew, Finding.adjust, Finding.close)
"""Findings that ask somebody to do something."""
_ENDED = (CollaborationStatus.completed, CollaborationStatus.ended)
_URGENCY = {ReviewStatus.overdue: 0, ReviewStatus.due: 1, ReviewStatus.never: 2}
Urgency = tuple[int, str, str]
"""How pressing an entry is (overdue, due, never reviewed, only open findings), its date, its slug: the agenda's order."""


@dataclass(frozen=True, slots=True)
class Held:
    """What one review found for one collaboration."""

    review: str
    session: str | None
    document: str | None
    held_on: str | None
    latest: date | None
    finding: Finding
    note: str | None


@dataclass(slots=True)
class Entry:
    """A collaboration on the agenda, and its reviews, the latest first."""

    id: UUID
    slug: str
    status: CollaborationStatus
    months: int | None
    state: Mapping[str, Any]
    reviews: list[Held] = field(default_factory=list)

    @property
    def urgency(self) -> Urgency:
        return _URGENCY.get(self.state["review_status"], 3), str(self.state["next_review_due"] or ""), self.slug


def agenda(tx: Transaction, *, body: str | None, on: date | None) -> list[Entry]:
    """Everything that is to be looked at `on` a day (None: today), the most pressing first. With `body` (a slug or id) the
    reviews of that organization count alone: what it has reviewed, and what nobody has."""
    day = tx.today if on is None else on
    held, by_others = _held(tx, body)
    entries = []
    for row in tx.execute(_COLLABORATIONS):
        reviews = held.get(row.id, [])
        if body is not None and not reviews and row.id in by_others:
            continue
        last = next((review for review in reviews if review.latest is not None), None)
        state = standing(row.months, last.held_on if last else None, last.latest if last else None, day)
        entries.append(Entry(row.id, row.slug, row.status, row.months, state, reviews))
    pressing = [entry for entry in entries if entry.urgency[0] < 3 or _asks(entry)]
    open_ = _open(tx, [entry for entry in pressing if _asks(entry)])
    return sorted((e for e in pressing if e.urgency[0] < 3 or e.id in open_), key=lambda entry: entry.urgency)


_COLLABORATIONS = (
    sa.select(COLLABORATION.c.id, COLLABORATION.c.slug, COLLABORATION.c.status, MONTHS.label("months"))
    .select_from(WITH_INTERVAL)
    .where(COLLABORATION.c.withdrawn_at.is_(None), COLLABORATION.c.status.not_in(_ENDED))
)


def _held(tx: Transaction, body: str | None) -> tuple[dict[UUID, list[Held]], set[UUID]]:
    """The reviews that were held, of each collaboration, the latest first; and which collaborations others reviewed."""
    found: dict[UUID, list[Held]] = defaultdict(list)
    others: set[UUID] = set()
    own = sa.literal(value=True) if body is None else REVIEW.c.body_id == _organization(body)
    statement = (
        sa.select(
            ITEM.c.collaboration_id, ITEM.c.finding, ITEM.c.note, REVIEW.c.slug, REVIEW.c.session, REVIEW.c.date_edtf,
            REVIEW.c.date_latest, REVIEW.c.document, sa.func.coalesce(own, sa.false()).label("own"),
        )
        .join(REVIEW, REVIEW.c.id == ITEM.c.review_id)
        .where(REVIEW.c.status == HeldStatus.held, REVIEW.c.withdrawn_at.is_(None))
        .order_by(REVIEW.c.date_latest.is_(None), REVIEW.c.date_latest.desc(), REVIEW.c.slug, ITEM.c.position)
    )  # fmt: skip
    for row in tx.execute(statement):
        if row.own:
            document = msgspec.json.decode(row.document).get("document")
            held = Held(row.slug, row.session, document, row.date_edtf, row.date_latest, row.finding, row.note)
            found[row.collaboration_id].append(held)
        else:
            others.add(row.collaboration_id)
    return found, others


def _organization(key: str) -> sa.ScalarSelect[Any]:
    return sa.select(ORGANIZATION.c.id).where(named(ORGANIZATION, key)).scalar_subquery()


def _asks(entry: Entry) -> bool:
    """Whether its latest review asked for something. What an earlier one asked for, the later one has looked at."""
    return bool(entry.reviews) and entry.reviews[0].finding in ASKS


def _open(tx: Transaction, entries: Sequence[Entry]) -> set[UUID]:
    """Those whose finding nothing has followed."""
    followed = follow_up(tx, entries)
    return {entry.id for entry in entries if followed[entry.id]["open"]}


# --- what followed ----------------------------------------------------------------------------------------------------


def follow_up(tx: Transaction, entries: Sequence[Entry]) -> dict[UUID, dict[str, Any]]:
    """What the registry has learnt of each collaboration since its latest review: its own changes, the milestones that were
    met, and those that are promised. A finding that asks for something is open until the collaboration was changed or a
    milestone met after the review; one that asks to close it, until it has ended. Two statements, whatever their number."""
    since = {entry.id: _after(entry.reviews[0].latest) for entry in entries if entry.reviews}
    changes, milestones = _changes(tx, since), _milestones(tx, since)
    return {entry.id: _followed(entry, changes[entry.id], milestones[entry.id]) for entry in entries}


def _followed(entry: Entry, changes: Sequence[Mapping[str, Any]], milestones: Sequence[Any]) -> dict[str, Any]:
    met = [row.slug for row in milestones if row.status in (MilestoneStatus.met, MilestoneStatus.partially_met)]
    planned = [row.slug for row in milestones if row.status is MilestoneStatus.planned]
    finding = entry.reviews[0].finding if entry.reviews else None
    done = entry.status in _ENDED if finding is Finding.close else bool(changes or met)
    return {"open": finding in ASKS and not done, "changes": list(changes), "met": met, "planned": planned}


def _after(day: date | None) -> datetime:
    return datetime.combine(date.min if day is None else day, time.max, UTC)


def _changes(tx: Transaction, since: Mapping[UUID, datetime]) -> dict[UUID, list[dict[str, Any]]]:
    found: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    shown = (REVISION.c.record_id, REVISION.c.version, REVISION.c.seq, REVISION.c.at, REVISION.c.changed)
    statement = sa.select(*shown).where(REVISION.c.record_id.in_(since), REVISION.c.version > 1)
    for row in tx.execute(statement.order_by(REVISION.c.seq)):
        if row.at > since[row.record_id]:
            fields = msgspec.json.decode(row.changed)
            found[row.record_id].append({"version": row.version, "sequence": row.seq, "at": row.at, "changed": fields})
    return found


def _milestones(tx: Transaction, since: Mapping[UUID, datetime]) -> dict[UUID, list[Any]]:
    """The milestones dated after the review, and those without a date that are planned."""
    c = MILESTONE.c
    found: dict[UUID, list[Any]] = defaultdict(list)
    statement = sa.select(c.slug, c.collaboration_id, c.status, c.date_earliest).where(
        c.collaboration_id.in_(since), c.withdrawn_at.is_(None)
    )
    for row in tx.execute(statement.order_by(c.date_earliest, c.slug)):
        dated_after = row.date_earliest is not None and row.date_earliest > since[row.collaboration_id].date()
        if dated_after or row.status is MilestoneStatus.planned:
            found[row.collaboration_id].append(row)
    return found


# --- as it is shown ---------------------------------------------------------------------------------------------------


def shown(tx: Transaction, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The entries as they are answered."""
    documents = _documents(tx, [entry.id for entry in entries])
    followed = follow_up(tx, entries)
    return [_shown(entry, documents[entry.id], followed[entry.id]) for entry in entries]


def _documents(tx: Transaction, ids: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
    statement = sa.select(COLLABORATION.c.id, COLLABORATION.c.document).where(COLLABORATION.c.id.in_(list(ids)))
    return {row.id: msgspec.json.decode(row.document) for row in tx.execute(statement)}


def _shown(entry: Entry, document: Mapping[str, Any], followed: Mapping[str, Any]) -> dict[str, Any]:
    findings = [
        {"review": held.review, "session": held.session, "date": held.held_on, "document": held.document,
         "finding": held.finding, "note": held.note}
        for held in entry.reviews
    ]  # fmt: skip
    return {
        "collaboration": entry.slug, "id": str(entry.id), "version": document["version"],
        "created_at": document["created_at"], "updated_at": document["updated_at"], "title": document["title"],
        "type": document["type"], "status": entry.status, **entry.state, "review_every_months": entry.months,
        "findings": findings, "follow_up": followed,
    }  # fmt: skip
