"""Timelines: collaborations, milestones and the life of an organization in the order of their dates.

Dates keep their text and their four bounds (see `app.kit.edtf`), so that a picture can show what is known and what is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from app.kit.db import Transaction, table_of
from app.kit.filters import Lifetime, Match, Overlaps, named
from app.kit.records import insist_on_reference
from app.kit.vocabularies import Vocabulary
from app.registry.collaboration_types import CollaborationType
from app.registry.collaborations import Collaboration, CollaborationParticipant
from app.registry.milestones import Milestone
from app.registry.organizations import Organization

COLLABORATION, MILESTONE, ORGANIZATION = table_of(Collaboration), table_of(Milestone), table_of(Organization)
PART, TYPE = table_of(CollaborationParticipant), table_of(CollaborationType)
MOST = 500
"""Items with a date, and as many without one."""
Day = date
"""Under a name that the field `date` does not hide."""
BOUNDS = ("earliest", "begun", "ended", "latest")


class DateField(Vocabulary):
    """Which field of the record the date is."""

    period = "period", "When a collaboration lasts."
    date = "date", "When a milestone happened."
    due = "due", "When a milestone is promised that has no other date."
    life = "life", "From the founding of an organization to its dissolution."


@dataclass(frozen=True, slots=True)
class Asked:
    """Which part of all time and of whose: the records of an organization or a collaboration (a slug or an id), and a window.
    Undated records are in no window, but may belong there: they are shown unless `match` is certain."""

    organization: str | None = None
    collaboration: str | None = None
    window: tuple[Day, Day] | None = None
    match: Match = Match.possible


@dataclass(frozen=True, slots=True)
class Item:
    """A record on the timeline. `kind` is the type of a collaboration (its slug; `kind_label` its label), or the kind of a
    milestone or an organization; `date` is EDTF, None where the record states none."""

    noun: str
    slug: str
    title: str
    kind: str
    kind_label: str
    status: str | None
    field: DateField
    date: str | None
    earliest: Day | None
    begun: Day | None
    ended: Day | None
    latest: Day | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """What is dated, by date and slug, and what is not, by noun and slug. `truncated`: there is more of one of them."""

    items: list[Item]
    undated: list[Item]
    truncated: bool


def timeline(tx: Transaction, asked: Asked) -> Timeline:
    """The timeline that is asked for; of too many items the earliest. Raises Invalid for a record that there is not. Two
    statements, and one for each record that is named."""
    for name, table in (("organization", ORGANIZATION), ("collaboration", COLLABORATION)):
        key = getattr(asked, name)
        if key is not None:
            insist_on_reference(tx, table, key, name)
    rows = sa.union_all(*_sources(asked)).subquery("rows")
    dated, undated = rows.c.date.is_not(None), rows.c.date.is_(None)
    items = _items(tx, sa.select(rows).where(dated).order_by(rows.c.earliest, rows.c.slug, rows.c.noun))
    apart = _items(tx, sa.select(rows).where(undated).order_by(rows.c.noun, rows.c.slug))
    return Timeline(items[:MOST], apart[:MOST], truncated=max(len(items), len(apart)) > MOST)


def _items(tx: Transaction, statement: sa.Select[Any]) -> list[Item]:
    return [_item(row) for row in tx.execute(statement.limit(MOST + 1))]


_FIELDS = {field.value: field for field in DateField}


def _item(row: sa.Row[Any]) -> Item:
    bounds = (row.earliest, row.begun, row.ended, row.latest)
    text = _life(row.date, row.until) if row.field == DateField.life else row.date
    return Item(row.noun, row.slug, row.title, row.kind, row.kind_label, row.status, _FIELDS[row.field], text, *bounds)


def _life(founded: str | None, dissolved: str | None) -> str | None:
    """From one EDTF date to another. What is itself an interval counts from its first to its last end; what has no end is
    still there."""
    if founded is None and dissolved is None:
        return None
    begin = (founded or "").partition("/")[0]
    return f"{begin}/{'..' if dissolved is None else dissolved.rpartition('/')[2]}"


# --- what is asked ------------------------------------------------------------------------------------------------------


def _sources(asked: Asked) -> Iterator[sa.Select[Any]]:
    """A select for each noun, all of the same columns."""
    yield _collaborations(asked)
    for name in (DateField.date, DateField.due):
        yield _milestones(asked, name)
    if asked.organization is not None and asked.collaboration is None:
        yield _life_of(asked, asked.organization)


def _collaborations(asked: Asked) -> sa.Select[Any]:
    c = COLLABORATION.c
    where = [
        c.withdrawn_at.is_(None),
        *_of(asked, c.id),
        *_within(asked, Overlaps(Collaboration, "period"), c.period_edtf),
    ]
    kinds = TYPE.c.slug, TYPE.c.label
    columns = _columns("collaborations", COLLABORATION, c.title, kinds, c.status, DateField.period, "period")
    return sa.select(*columns).select_from(COLLABORATION.join(TYPE, TYPE.c.id == c.type_id)).where(*where)


def _milestones(asked: Asked, name: DateField) -> sa.Select[Any]:
    """Those with a date; or those that are promised for a day and have no other."""
    c = MILESTONE.c
    where = [c.withdrawn_at.is_(None), *_within(asked, Overlaps(Milestone, name.value), c[f"{name}_edtf"])]
    promised = sa.and_(c.date_edtf.is_(None), c.due_edtf.is_not(None))
    where.append(promised if name is DateField.due else sa.not_(promised))
    own = list(_of(asked, c.collaboration_id))
    if asked.organization is not None and asked.collaboration is None:
        own = [sa.or_(c.organization_id == _id(ORGANIZATION, asked.organization), *own)]
    columns = _columns("milestones", MILESTONE, c.title, (c.kind, c.kind), c.status, name, name.value)
    return sa.select(*columns).where(*where, *own)


def _life_of(asked: Asked, organization: str) -> sa.Select[Any]:
    c = ORGANIZATION.c
    life = Lifetime(Organization, "founded", "dissolved")
    stated = sa.func.coalesce(c.founded_edtf, c.dissolved_edtf)
    where = [c.withdrawn_at.is_(None), named(ORGANIZATION, organization), *_within(asked, life, stated)]
    known = stated.is_not(None)
    open_ends = (
        (c.founded_earliest, Day.min),
        (c.founded_begun, Day.max),
        (c.dissolved_ended, Day.max),
        (c.dissolved_latest, Day.max),
    )
    bounds = [sa.case((known, sa.func.coalesce(bound, sa.literal(end, sa.Date)))) for bound, end in open_ends]
    return sa.select(
        _text("organizations").label("noun"), c.slug, c.name.label("title"), *_kinds(c.kind, c.kind),
        sa.cast(sa.null(), sa.String).label("status"), _text(DateField.life).label("field"),
        sa.case((known, sa.func.coalesce(c.founded_edtf, ""))).label("date"), c.dissolved_edtf.label("until"),
        *(sa.type_coerce(bound, sa.Date).label(name) for bound, name in zip(bounds, BOUNDS, strict=True)),
    ).where(*where)  # fmt: skip


def _columns(
    noun: str,
    table: sa.Table,
    title: sa.Column[Any],
    kinds: tuple[sa.Column[Any], sa.Column[Any]],
    status: sa.Column[Any],
    field: DateField,
    column: str,
) -> list[sa.ColumnElement[Any]]:
    return [
        _text(noun).label("noun"), table.c.slug, title.label("title"), *_kinds(*kinds),
        sa.cast(status, sa.String).label("status"), _text(field).label("field"),
        table.c[f"{column}_edtf"].label("date"), sa.cast(sa.null(), sa.String).label("until"),
        *(table.c[f"{column}_{bound}"].label(bound) for bound in BOUNDS),
    ]  # fmt: skip


def _kinds(kind: sa.Column[Any], label: sa.Column[Any]) -> Iterator[sa.ColumnElement[str]]:
    yield sa.cast(kind, sa.String).label("kind")
    yield sa.cast(label, sa.String).label("kind_label")


def _text(text: str) -> sa.ColumnElement[str]:
    return sa.cast(sa.literal(str(text)), sa.String)


def _of(asked: Asked, collaboration: sa.Column[Any]) -> Iterator[sa.ColumnElement[bool]]:
    """Whether a collaboration is the one, or one in which the organization takes part."""
    if asked.collaboration is not None:
        yield collaboration == _id(COLLABORATION, asked.collaboration)
    if asked.organization is not None:
        organization = PART.c.organization_id == _id(ORGANIZATION, asked.organization)
        yield collaboration.in_(sa.select(PART.c.collaboration_id).where(organization))


def _id(table: sa.Table, key: str) -> sa.ScalarSelect[Any]:
    return sa.select(table.c.id).where(named(table, key)).scalar_subquery()


def _within(asked: Asked, span: Overlaps | Lifetime, stated: sa.ColumnElement[Any]) -> Sequence[sa.ColumnElement[bool]]:
    undated = stated.is_(None)
    if asked.window is None:
        return () if asked.match is Match.possible else (~undated,)
    held = sa.and_(~undated, span.within(*asked.window, asked.match))
    return (sa.or_(undated, held) if asked.match is Match.possible else held,)
