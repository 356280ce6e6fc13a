"""Statistics: what the registry holds, counted by the database. Withdrawn records do not count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from app.kit import edtf
from app.kit.db import Transaction, table_of
from app.kit.resource import Dated, Embedded, Linked, Plain, Planned, Resource, Rows
from app.kit.vocabularies import Vocabulary
from app.registry.citations import CITATION, Citation, Support
from app.registry.collaboration_types import CollaborationType
from app.registry.collaborations import Collaboration, CollaborationParticipant, CollaborationStatus, ParticipantRole
from app.registry.milestones import Milestone, MilestoneKind, MilestoneStatus
from app.registry.organizations import Organization, OrganizationKind
from app.registry.reviews import status_counts

COLLABORATION, MILESTONE, ORGANIZATION = table_of(Collaboration), table_of(Milestone), table_of(Organization)
PART, TYPE = table_of(CollaborationParticipant), table_of(CollaborationType)
_STANDS = COLLABORATION.c.withdrawn_at.is_(None)
Counts = dict[str, int]


def statistics(tx: Transaction, nouns: Sequence[Resource[Any]]) -> dict[str, Any]:
    """Everything that is counted. `nouns` are the nouns of the registry, in whatever order. The same number of statements,
    whatever the registry holds."""
    return {
        "totals": _totals(tx, nouns),
        "organizations": {"kind": _values(tx, ORGANIZATION.c.kind, OrganizationKind)},
        "collaborations": {
            "type": _types(tx),
            "status": _values(tx, COLLABORATION.c.status, CollaborationStatus),
            "role": _roles(tx),
            "review_status": _sorted(status_counts(tx)),
            "begun": _years(tx, COLLABORATION, "period"),
        },
        "milestones": {
            "kind": _values(tx, MILESTONE.c.kind, MilestoneKind),
            "status": _values(tx, MILESTONE.c.status, MilestoneStatus),
            "happened": _years(tx, MILESTONE, "date"),
        },
        "evidence": _evidence(tx, nouns),
    }


def _totals(tx: Transaction, nouns: Iterable[Resource[Any]]) -> Counts:
    selects = (
        sa.select(_name(noun), sa.func.count().label("count"))
        .select_from(noun.table)
        .where(noun.table.c.withdrawn_at.is_(None))
        for noun in nouns
    )
    return _sorted(_pairs(tx, sa.union_all(*selects)))


def _values(tx: Transaction, column: sa.Column[Any], values: type[Vocabulary]) -> Counts:
    """How many records have each value of a vocabulary."""
    stands = column.table.c.withdrawn_at.is_(None)
    found = _pairs(tx, sa.select(column, sa.func.count()).where(stands).group_by(column))
    return _sorted({value.value: found.get(value, 0) for value in values})


def _types(tx: Transaction) -> Counts:
    """How many collaborations are of each type itself, not counting those of narrower types."""
    joined = TYPE.outerjoin(COLLABORATION, sa.and_(COLLABORATION.c.type_id == TYPE.c.id, _STANDS))
    counted = sa.select(TYPE.c.slug, sa.func.count(COLLABORATION.c.id)).select_from(joined)
    return _sorted(_pairs(tx, counted.where(TYPE.c.withdrawn_at.is_(None)).group_by(TYPE.c.slug)))


def _roles(tx: Transaction) -> Counts:
    """How many parts in collaborations are of each role."""
    joined = PART.join(COLLABORATION, COLLABORATION.c.id == PART.c.collaboration_id)
    found = _pairs(tx, sa.select(PART.c.role, sa.func.count()).select_from(joined).where(_STANDS).group_by(PART.c.role))
    return _sorted({role.value: found.get(role, 0) for role in ParticipantRole})


def _years(tx: Transaction, table: sa.Table, name: str) -> dict[str, Any]:
    """How many records began in each year: those of which it is certain, whatever the missing digits of their date are. Those
    that may have begun in one year or another (`201X`, `2011?`, `../2005`) are counted apart, as are those without a date."""
    c = table.c
    first, last = sa.extract("year", c[f"{name}_earliest"]), sa.extract("year", c[f"{name}_begun"])
    # An open start, `../2005`, stands as the first day of the calendar.
    certain = sa.case((sa.and_(first == last, c[f"{name}_begun"] > edtf.FIRST), first))
    stated = c[f"{name}_edtf"].is_not(None)
    statement = (
        sa.select(stated.label("stated"), certain.label("year"), sa.func.count().label("number"))
        .where(c.withdrawn_at.is_(None))
        .group_by(stated, certain)
    )
    years: dict[int, int] = {}
    apart = {"uncertain": 0, "undated": 0}
    for row in tx.execute(statement):
        if row.year is None:
            apart["uncertain" if row.stated else "undated"] += row.number
        else:
            years[int(row.year)] = row.number
    return {**apart, "years": {f"{year:04}": years[year] for year in sorted(years)}}


# --- evidence -------------------------------------------------------------------------------------------------------------


def _evidence(tx: Transaction, nouns: Iterable[Resource[Any]]) -> dict[str, Any]:
    """For each noun that can be cited for: how many records have a citation (one that contradicts does not count), how many
    have none; how many fields that hold something, and how many of these are cited by name. Two statements."""
    citable = [noun for noun in nouns if noun.model is not Citation]
    records = {row.noun: row for row in tx.execute(sa.union_all(*(_records(noun) for noun in citable)))}
    cited = _pairs(tx, sa.union_all(*(_cited_fields(noun) for noun in citable)))
    return {name: _coverage(records[name], cited[name]) for name in sorted(records)}


def _coverage(row: sa.Row[Any], cited: int) -> dict[str, Any]:
    fields = int(row.fields or 0)
    return {
        "records": {"cited": int(row.cited or 0), "uncited": row.total - int(row.cited or 0)},
        "fields": {"citable": fields, "cited": cited, "share": round(cited / fields, 4) if fields else None},
    }


def _records(noun: Resource[Any]) -> sa.Select[Any]:
    stated = [sa.case((each, 1), else_=0) for each in _stated(noun).values()]
    cited = sa.exists().where(*_supports(noun), CITATION.target_record_id == noun.table.c.id)
    total: Any = sum(stated[1:], stated[0])
    return (
        sa.select(
            _name(noun), sa.func.count().label("total"), sa.func.sum(sa.case((cited, 1), else_=0)).label("cited"),
            sa.func.sum(total).label("fields"),
        )
        .select_from(noun.table)
        .where(noun.table.c.withdrawn_at.is_(None))
    )  # fmt: skip


def _cited_fields(noun: Resource[Any]) -> sa.Select[str, int]:
    """The number of fields that hold something and are named by a citation, or of which it names a part."""
    fields = _stated(noun)
    named = {name: _names(name) for name in fields}
    field = sa.case(*((clause, name) for name, clause in named.items())).label("name")
    there = sa.or_(*(sa.and_(named[name], stated) for name, stated in fields.items()))
    distinct = (
        sa.select(CITATION.target_record_id, field)
        .select_from(table_of(Citation).join(noun.table, noun.table.c.id == CITATION.target_record_id))
        .where(*_supports(noun), noun.table.c.withdrawn_at.is_(None), there)
        .distinct()
        .subquery()
    )
    return sa.select(_name(noun), sa.func.count().label("count")).select_from(distinct)


def _names(field: str) -> sa.ColumnElement[bool]:
    """Whether the pointer of a citation is that of a field, or leads into it."""
    return sa.or_(CITATION.field == f"/{field}", CITATION.field.startswith(f"/{field}/", autoescape=True))


def _supports(noun: Resource[Any]) -> Iterator[sa.ColumnElement[bool]]:
    yield CITATION.target_noun == noun.plural
    yield CITATION.withdrawn_at.is_(None)
    yield CITATION.support != Support.contradicts


def _stated(noun: Resource[Any]) -> Mapping[str, sa.ColumnElement[bool]]:
    """For each field of a noun, whether a record says something in it. Null and empty say nothing; 0 and false do."""
    return {planned.name: _says(noun.table, planned) for planned in noun.plan.fields}


def _says(table: sa.Table, planned: Planned) -> sa.ColumnElement[bool]:
    if isinstance(planned, Rows):
        return sa.exists().where(planned.table.c[planned.parent] == table.c.id)
    if isinstance(planned, Embedded):
        return sa.true()  # an object that must be there
    if isinstance(planned, Dated):
        return table.c[f"{planned.column}_edtf"].is_not(None)
    return _holds(table.c[planned.column], planned)


def _holds(column: sa.Column[Any], planned: Plain | Linked) -> sa.ColumnElement[bool]:
    if isinstance(column.type, sa.JSON):
        return sa.cast(column, sa.String).not_in(("{}", "[]", "null"))
    if isinstance(column.type, sa.String | sa.Text) and not isinstance(planned, Linked):
        return sa.and_(column.is_not(None), column != "")
    return column.is_not(None)


# --- counting -------------------------------------------------------------------------------------------------------------


def _name(noun: Resource[Any]) -> sa.ColumnElement[str]:
    return sa.cast(sa.literal(noun.plural), sa.String).label("noun")


def _pairs(tx: Transaction, statement: Any) -> dict[Any, int]:
    rows: Iterable[Any] = tx.execute(statement)
    return {name: int(count) for name, count in rows}


def _sorted(counts: Mapping[Any, int]) -> Counts:
    return {str(name): counts[name] for name in sorted(counts, key=str)}
