"""Reading the history: the revisions of a record, and all changes in commit order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from app.kit import records
from app.kit.db import Transaction
from app.kit.diff import differences
from app.kit.errors import NotFound
from app.kit.fields import CommaSeparated, Digits
from app.kit.resource import Resource
from app.kit.revisions import TABLE


class HistoryQuery(BaseModel):
    """Which revisions of a record: the newest first, then those before a version."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Digits] = Field(default=50, ge=1, le=200, description="Revisions a page, 1 to 200.")
    cursor: str | None = Field(default=None, pattern=r"^[1-9][0-9]{0,8}$", description="Taken from `next`, as it is.")


class DiffQuery(BaseModel):
    """Which other revision."""

    model_config = ConfigDict(extra="forbid")

    against: Annotated[int, Field(ge=0, le=999_999_999), Digits] | None = Field(
        default=None, description="Another version; without it the one before, 0: an empty record."
    )


class ChangesQuery(BaseModel):
    """Which changes: all after a number of the sequence, in commit order."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[int, Digits] = Field(
        default=0, ge=0, le=2**63 - 1, description="The last sequence number that you have."
    )
    noun: Annotated[list[str] | None, CommaSeparated] = Field(default=None, description="Only these nouns.")
    limit: Annotated[int, Digits] = Field(default=50, ge=1, le=200, description="Changes a page, 1 to 200.")


@dataclass(frozen=True, slots=True)
class Revisions:
    """A page of revisions; `version` is the record's present one."""

    items: list[Any]
    next: str | None
    version: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of changes; `last` is the number to ask after next time."""

    items: list[Any]
    last: int
    more: bool
    sequence: int


COLUMNS = tuple(column for column in TABLE.c if column.name not in ("document", "shape"))
"""A revision without its snapshot, which a list does not show."""


def entry(row: Any) -> dict[str, Any]:
    """A revision without its snapshot."""
    return {
        "sequence": row.seq, "noun": row.noun, "id": str(row.record_id), "slug": row.slug, "version": row.version,
        "action": row.action, "at": row.at, "author": row.author, "proposed_by": row.proposed_by,
        "reason": row.reason, "changed": msgspec.Raw(row.changed.encode()),
    }  # fmt: skip


def of_record(tx: Transaction, resource: Resource[Any], key: str, query: HistoryQuery) -> Revisions:
    """The revisions of a record, withdrawn or not, newest first. Raises NotFound."""
    row = records.locate(tx, resource, key)
    statement = (
        sa.select(*COLUMNS).where(TABLE.c.record_id == row.id).order_by(TABLE.c.version.desc()).limit(query.limit + 1)
    )
    if query.cursor is not None:
        statement = statement.where(TABLE.c.version < int(query.cursor))
    rows = tx.execute(statement).all()
    following = str(rows[query.limit - 1].version) if len(rows) > query.limit else None
    return Revisions([entry(r) for r in rows[: query.limit]], following, row.version, tx.sequence())


def revision(tx: Transaction, resource: Resource[Any], key: str, version: int) -> bytes:
    """One revision with the record as it was. Raises NotFound."""
    found = _revision(tx, resource, key, version)
    return msgspec.json.encode(entry(found) | {"record": records.snapshot(resource, found)})


def diff(tx: Transaction, resource: Resource[Any], key: str, version: int, against: int | None) -> bytes:
    """In what one revision differs from another (None: the one before it; 0: nothing). Raises NotFound."""
    against = version - 1 if against is None else against
    found = _revision(tx, resource, key, version)
    older = records.own(resource, records.snapshot(resource, _revision(tx, resource, key, against))) if against else {}
    newer = records.own(resource, records.snapshot(resource, found))
    answer = {
        "noun": resource.plural, "id": str(found.record_id), "slug": found.slug, "from": against, "to": version,
        "changes": [each._asdict() for each in differences(older, newer)],
    }  # fmt: skip
    return msgspec.json.encode(answer)


def bring_back(
    tx: Transaction, resource: Resource[Any], key: str, version: int, expected: records.Expected
) -> records.Stored:
    """Make the record again what it was in `version`: a new revision, under the same rules as any write.
    Raises NotFound, Gone, PreconditionMissing, Stale, Invalid, Conflict."""
    then = records.own(resource, records.snapshot(resource, _revision(tx, resource, key, version)))
    return records.change(tx, resource, key, lambda _: then, expected)


def _revision(tx: Transaction, resource: Resource[Any], key: str, version: int) -> sa.Row[Any]:
    row = records.locate(tx, resource, key)
    found = tx.execute(sa.select(TABLE).where(TABLE.c.record_id == row.id, TABLE.c.version == version)).one_or_none()
    if found is None:
        raise NotFound(f"{row.slug} has no revision {version}; the latest is {row.version}.")
    return found


def changes(tx: Transaction, query: ChangesQuery) -> Changes:
    """Every write after `query.after`, in commit order, withdrawals included. Numbers have no gaps, and a number that
    is seen has none below it still to come: the clock's row lock is held until the commit."""
    statement = sa.select(*COLUMNS).where(TABLE.c.seq > query.after).order_by(TABLE.c.seq).limit(query.limit + 1)
    if query.noun is not None:
        statement = statement.where(TABLE.c.noun.in_(query.noun))
    rows = tx.execute(statement).all()
    shown, more = rows[: query.limit], len(rows) > query.limit
    sequence = tx.sequence()
    last = shown[-1].seq if more else max(sequence, query.after)
    return Changes([entry(row) for row in shown], last, more, sequence)


def latest(tx: Transaction, query: ChangesQuery) -> list[sa.Row[Any]]:
    """The last `query.limit` changes after `query.after`, the newest first."""
    statement = sa.select(*COLUMNS).where(TABLE.c.seq > query.after).order_by(TABLE.c.seq.desc()).limit(query.limit)
    if query.noun is not None:
        statement = statement.where(TABLE.c.noun.in_(query.noun))
    return list(tx.execute(statement))
