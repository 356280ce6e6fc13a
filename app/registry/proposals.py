"""Proposals: a change or a new record, with its evidence and a reason, by somebody who may not write it; another one decides.

A proposal is weighed by the very checks that a write must pass (`records.weigh_change`, `records.weigh_creation`), when it is
made and whenever somebody asks whether it still applies. Weighing writes nothing, so it runs in a reading, too. Accepting
stores the same through the one door, in one transaction: the record, its citation, the decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.kit import paging, records
from app.kit.db import Base, Key, Transaction, UtcDateTime, table_of, vocabulary
from app.kit.diff import differences
from app.kit.edits import patched, updated
from app.kit.errors import Conflict, Fault, Forbidden, Gone, Invalid, NotFound
from app.kit.ids import new_id
from app.kit.paging import Position
from app.kit.records import ANYTHING, Edit, Expected, Snapshot
from app.kit.resource import Resource, Target, Targets
from app.kit.revisions import TABLE as REVISION
from app.kit.revisions import changed_since
from app.kit.text import is_id
from app.kit.vocabularies import Vocabulary
from app.registry.citations import CITED

Resources = Mapping[str, Resource[Any]]
"""The nouns, by their names in paths."""
MOST_OPEN = 200
"""Proposals that one may have open. One that was taken back counts for a day, so that nobody fills the disk with them."""
LARGEST = 65_536
"""Bytes that a proposal may take, its citation included."""


class ProposalStatus(Vocabulary):
    """What became of a proposal."""

    open = "open", "Nobody has decided."
    accepted = "accepted", "A reviewer has taken it in: it is written."
    refused = "refused", "A reviewer has said no, and why."
    retracted = "retracted", "The proposer has taken it back."


class ChangeProposal(Base):
    """What somebody proposes. It keeps its row when it is decided: both names are in it."""

    __tablename__ = "proposal"
    __table_args__ = (
        sa.Index(None, "created_at", "id"),
        sa.Index(None, "status", "created_at", "id"),
        sa.Index(None, "noun", "record"),
        sa.Index(None, "proposer", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    noun: Mapped[str] = mapped_column(sa.String(40))
    record_id: Mapped[UUID | None] = mapped_column(sa.Uuid)  # of a new record: once it is there
    record: Mapped[str | None] = mapped_column(Key)
    version: Mapped[int | None]  # the one that it was made on; of a new record none
    content: Mapped[str] = mapped_column(
        sa.Text
    )  # JSON: of a change the fields that it sets, of a new record all that it has
    fields: Mapped[str] = mapped_column(sa.Text)  # a JSON list of their names
    citation: Mapped[str | None] = mapped_column(sa.Text)
    reason: Mapped[str] = mapped_column(sa.Text)
    proposer: Mapped[str] = mapped_column(sa.String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    status: Mapped[ProposalStatus] = mapped_column(vocabulary(ProposalStatus))
    decided_by: Mapped[str | None] = mapped_column(sa.String(255))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decision: Mapped[str | None] = mapped_column(sa.Text)
    written: Mapped[int | None]  # the version that accepting it made
    cited: Mapped[str | None] = mapped_column(Key)  # the slug of the citation that accepting it made


TABLE = table_of(ChangeProposal)


# --- making one -----------------------------------------------------------------------------------------------------


class Wanted(NamedTuple):
    """What somebody proposes: of `record` (slug or id) the fields in `content`, a merge patch; without it, a new record.
    `expected`: the versions of the record that it is meant for."""

    noun: str
    record: str | None
    content: Snapshot
    citation: Snapshot | None
    reason: str
    expected: Expected = ANYTHING


class Kept(NamedTuple):
    """What is proposed, as it is kept: JSON."""

    content: str
    fields: str
    citation: str | None


def make(tx: Transaction, nouns: Resources, wanted: Wanted) -> UUID:
    """Keep what the author of `tx` proposes, if it could be written as it is. Its rights to write it are not asked.
    Raises Invalid, Conflict, their pointers into the proposal; Stale."""
    _insist_on_evidence(wanted)
    _insist_on_room(tx)
    noun = nouns[wanted.noun]
    target = None if wanted.record is None else _standing(tx, noun, wanted.record)
    weighed, _ = _through(WEIGHING, tx, nouns, wanted, patched(wanted.content))
    if not weighed.changed:
        raise Invalid.at("/patch", "nothing_to_change", "The record says all of this already.")
    content = _of_creation(noun, wanted.content, weighed) if target is None else _changes(weighed)
    kept = Kept(_json(content), _json(list(content)), None if wanted.citation is None else _json(wanted.citation))
    if len((kept.content + (kept.citation or "")).encode()) > LARGEST:
        where = "/body" if target is None else "/patch"
        raise Invalid.at(where, "too_long", f"A proposal may be {LARGEST} bytes long, its citation included.")
    identifier = new_id(tx.now)
    seen = {} if target is None else {"record_id": target.id, "record": target.slug, "version": target.version}
    said = {"noun": noun.plural, "reason": wanted.reason, "proposer": tx.author.name, **kept._asdict(), **seen}
    tx.execute(sa.insert(TABLE).values(id=identifier, created_at=tx.now, status=ProposalStatus.open, **said))
    return identifier


def _insist_on_evidence(wanted: Wanted) -> None:
    """Whatever can be cited for comes with its evidence."""
    if wanted.noun in CITED and wanted.citation is None:
        raise Invalid.at("/citation", "missing", "Say which source says so.")
    if wanted.noun not in CITED and wanted.citation is not None:
        raise Invalid.at("/citation", "unused", f"Nothing is cited for {wanted.noun}.")


def _insist_on_room(tx: Transaction) -> None:
    """(Two at the same moment may both find the last place: it is a bound for the disk and no promise.)"""
    c = TABLE.c
    today = sa.and_(c.status == ProposalStatus.retracted, c.created_at > tx.now - timedelta(days=1))
    counted = sa.or_(c.status == ProposalStatus.open, today)
    count = sa.select(sa.func.count()).select_from(TABLE).where(c.proposer == tx.author.name, counted)
    if tx.execute(count).scalar_one() >= MOST_OPEN:
        raise Conflict(
            f"{tx.author.name} has {MOST_OPEN} proposals that nobody has decided on, or took them back today. "
            "Wait for a reviewer."
        )


def _standing(tx: Transaction, noun: Resource[Any], key: str) -> sa.Row[Any]:
    """The record that a proposal names, as it is and stays until it is kept. Raises Invalid."""
    try:
        row = records.locate(tx, noun, key, to_write=True)
    except NotFound as error:
        raise Invalid.at("/record", "unknown_reference", error.detail) from None
    if row.withdrawn_at is not None:
        raise Invalid.at("/record", "withdrawn_reference", records.gone(tx, noun, row).detail)
    return row


def _changes(weighed: records.Weighed) -> Snapshot:
    """The fields that a change sets, as they would be stored: what it says again is left out, ids are slugs."""
    return {name: weighed.plain[name] for name in weighed.changed}


def _of_creation(noun: Resource[Any], body: Snapshot, weighed: records.Weighed) -> Snapshot:
    """The fields that a new record is given, as they would be stored."""
    slug = {"slug": body["slug"]} if body.get("slug") is not None else {}
    return slug | {planned.name: weighed.plain[planned.name] for planned in noun.plan.fields if planned.name in body}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


# --- through the door: weighed, or stored ---------------------------------------------------------------------------


M = TypeVar("M", records.Weighed, records.Stored)


@dataclass(frozen=True, slots=True)
class Door(Generic[M]):
    """How a change, a new record, and the citation for either go through: to be weighed, or to be stored."""

    change: Callable[[Transaction, Resource[Any], str, Edit, Expected], M]
    create: Callable[[Transaction, Resource[Any], Any], M]
    cite: Callable[[Transaction, Resource[Any], Any, Targets], M]


WEIGHING = Door(
    change=records.weigh_change,
    create=records.weigh_creation,
    # A new record that is only weighed is not there to be cited for.
    cite=lambda tx, citations, data, cited: records.weigh_creation(tx, citations, data, beside=cited),
)
STORING = Door(
    change=records.change,
    create=records.create,
    cite=lambda tx, citations, data, _: records.create(tx, citations, data),
)
REFUSALS = (Invalid, Conflict, NotFound, Gone)
"""What speaks against a proposal, and not against the moment or the person who asks."""


def _through(door: Door[M], tx: Transaction, nouns: Resources, wanted: Wanted, edit: Edit) -> tuple[M, M | None]:
    """The record, changed by `edit` or new, and its citation. Raises what the door raises, its pointers into the proposal."""
    noun, citations = nouns[wanted.noun], nouns["citations"]
    with _below("/body" if wanted.record is None else "/patch"):
        if wanted.record is None:
            made = door.create(tx, noun, records.validated(noun, wanted.content))
        else:
            made = door.change(tx, noun, wanted.record, edit, wanted.expected)
    if wanted.citation is None:
        return made, None
    with _below("/citation"):
        target = {"target": {"noun": noun.plural, "record": made.slug}}
        data = records.validated(citations, wanted.citation | target)
        return made, door.cite(tx, citations, data, {(noun.table.name, made.slug): Target(made.id, made.slug)})


@contextmanager
def _below(pointer: str) -> Iterator[None]:
    try:
        yield
    except REFUSALS as error:
        error.under(pointer)
        error.faults = error.faults or (Fault("refused", error.detail, pointer=pointer),)
        raise


def _again(door: Door[M], tx: Transaction, nouns: Resources, row: sa.Row[Any]) -> tuple[M, M | None]:
    """A proposal that was made before, through the door. Raises what the door raises; Conflict where others have withdrawn the
    record since, or changed what it changes."""
    wanted = Wanted(row.noun, None, msgspec.json.decode(row.content), _decoded(row.citation), row.reason)
    if row.version is not None:
        _insist_on_untouched(tx, nouns[row.noun], row, wanted.content)
        wanted = wanted._replace(record=str(row.record_id))
    # What was kept are whole fields: merged into the record, an object would keep what the proposer took out of it.
    return _through(door, tx, nouns, wanted, updated(wanted.content))


def _insist_on_untouched(tx: Transaction, noun: Resource[Any], row: sa.Row[Any], content: Snapshot) -> None:
    standing = records.locate(tx, noun, str(row.record_id), to_write=True)
    if standing.withdrawn_at is not None:
        # One that was merged is not followed to the other: the proposer meant this one.
        gone = records.gone(tx, noun, standing)
        raise Conflict(gone.detail, faults=[Fault("withdrawn_reference", gone.detail, pointer="/record")])
    touched = [name for name in changed_since(tx, standing.id, row.version) if name in content]
    if touched:
        message = f"Others have changed it since version {row.version}."
        faults = [Fault("changed_since", message, pointer=f"/patch/{name}") for name in touched]
        raise Conflict(f"Others have changed {', '.join(touched)} since version {row.version}.", faults=faults)


def _decoded(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


# --- deciding -------------------------------------------------------------------------------------------------------


def accept(tx: Transaction, nouns: Resources, key: str, reason: str | None) -> None:
    """Write what is proposed, signed by the author of `tx`, whose own rights are asked, and by the proposer.
    Raises NotFound, Forbidden (it is one's own), Conflict (it is decided, or does not apply any more)."""
    row = _open(tx, key, own=False)
    writer = replace(tx, author=replace(tx.author, reason=row.reason, proposer=row.proposer))
    try:
        made, cited = _again(STORING, writer, nouns, row)
    except REFUSALS as error:
        raise Conflict(f"The proposal does not apply any more. {error.detail}", faults=error.faults) from None
    written = {"record_id": made.id, "record": made.slug, "written": made.version}
    _decide(tx, row, ProposalStatus.accepted, reason, **written, cited=None if cited is None else cited.slug)


def refuse(tx: Transaction, key: str, reason: str) -> None:
    """Say no, and why. Raises NotFound, Forbidden (it is one's own), Conflict (it is decided)."""
    _decide(tx, _open(tx, key, own=False), ProposalStatus.refused, reason)


def retract(tx: Transaction, key: str, reason: str | None) -> None:
    """Take one's own back. Raises NotFound, Forbidden (it is another's), Conflict (it is decided)."""
    _decide(tx, _open(tx, key, own=True), ProposalStatus.retracted, reason)


def _open(tx: Transaction, key: str, *, own: bool) -> sa.Row[Any]:
    """The proposal, held, if nobody has decided on it and it is (or is not) the author's own. Of two who decide at once, the
    second waits here, and then sees what the first has done."""
    row = _found(tx, key, held=True)
    if (row.proposer == tx.author.name) != own:
        raise Forbidden(
            f"Only {row.proposer}, who made this proposal, takes it back."
            if own
            else "Nobody decides on a proposal of their own. It can be retracted."
        )
    if row.status is not ProposalStatus.open:
        raise Conflict(
            f"{row.decided_by} has decided: it is {row.status}.",
            proposal={"status": row.status, "decided_by": row.decided_by, "decided_at": row.decided_at},
        )
    return row


def _decide(tx: Transaction, row: sa.Row[Any], status: ProposalStatus, reason: str | None, **written: Any) -> None:
    decided = {"status": status, "decided_by": tx.author.name, "decided_at": tx.now, "decision": reason}
    tx.execute(sa.update(TABLE).where(TABLE.c.id == row.id).values(**decided, **written))


# --- reading --------------------------------------------------------------------------------------------------------

ORDERS = {
    name: paging.Order(TABLE.c.created_at, TABLE.c.id, down=name.startswith("-"))
    for name in ("-created_at", "created_at")
}
_LISTED = sa.select(*(column for column in TABLE.c if column.name not in ("content", "citation")))


def browse(
    tx: Transaction, where: Sequence[sa.ColumnElement[bool]], order: paging.Order, *, limit: int, after: Position | None
) -> tuple[list[dict[str, Any]], Position | None]:
    """A page of proposals, without what they propose, and where the next begins."""
    rows, more = paging.page(tx, _LISTED, order, limit=limit, after=after, where=where)
    numbers = _numbers(tx, rows)
    return [_entry(row, numbers) for row in rows], Position(rows[-1].created_at, rows[-1].id) if more else None


def of_record(tx: Transaction, noun: Resource[Any], key: str) -> sa.ColumnElement[bool]:
    """Proposals for this record (slug or id), or that made it. Raises Invalid for one that there is not."""
    records.insist_on_reference(tx, noun.table, key, "record")
    return sa.and_(TABLE.c.noun == noun.plural, TABLE.c.record == records.locate(tx, noun, key).slug)


def state(tx: Transaction, key: str) -> ProposalStatus:
    """How it stands. Raises NotFound."""
    status: ProposalStatus = _found(tx, key).status
    return status


def show(tx: Transaction, nouns: Resources, key: str) -> dict[str, Any]:
    """A proposal with what it proposes; in what that differs from the record as it was then (`diff`) and as it is now
    (`diff_now`); and whether it could be accepted now, or what speaks against it. Raises NotFound."""
    row = _found(tx, key)
    content, creation = msgspec.json.decode(row.content), row.version is None
    undecided = row.status is ProposalStatus.open
    problems = _problems(tx, nouns, row) if undecided else []
    noun = nouns[row.noun]
    then = {} if creation else _then(tx, noun, row)
    now = {} if creation else _now(tx, noun, row)
    return _entry(row, _numbers(tx, [row])) | {
        "patch": None if creation else content,
        "body": content if creation else None,
        "citation": _decoded(row.citation),
        "diff": _diff(then, content),
        "diff_now": _diff(now, content) if undecided and now is not None else None,
        "applies": undecided and not problems,
        "problems": [{"code": f.code, "message": f.message, "pointer": f.pointer} for f in problems],
    }


def _found(tx: Transaction, key: str, *, held: bool = False) -> sa.Row[Any]:
    if is_id(key):
        statement = sa.select(TABLE).where(TABLE.c.id == UUID(key))
        row = tx.execute(tx.held(statement) if held else statement).one_or_none()
        if row is not None:
            return row
    raise NotFound(f"No proposal has the id {key[:100]!r}.")


def _problems(tx: Transaction, nouns: Resources, row: sa.Row[Any]) -> Sequence[Fault]:
    try:
        _again(WEIGHING, tx, nouns, row)
    except REFUSALS as error:
        return error.faults
    return ()


def _then(tx: Transaction, noun: Resource[Any], row: sa.Row[Any]) -> Snapshot:
    """The record as it was when this was proposed."""
    statement = sa.select(REVISION).where(REVISION.c.record_id == row.record_id, REVISION.c.version == row.version)
    return records.own(noun, records.snapshot(noun, tx.execute(statement).one()))


def _now(tx: Transaction, noun: Resource[Any], row: sa.Row[Any]) -> Snapshot | None:
    """The record as it is; None where it was withdrawn."""
    standing = records.locate(tx, noun, str(row.record_id))
    return None if standing.withdrawn_at is not None else records.own(noun, records.snapshot(noun, standing))


def _diff(record: Snapshot, content: Snapshot) -> list[dict[str, Any]]:
    return [each._asdict() for each in differences(record, record | content)]


def _numbers(tx: Transaction, rows: Sequence[sa.Row[Any]]) -> Mapping[tuple[UUID, int], int]:
    """The number in the sequence of each write that came of a proposal, by record and version."""
    made = [row for row in rows if row.written is not None]
    c = REVISION.c
    # Not of pairs, which SQLite would look for in every row. That finds a few more than are asked for.
    among = (c.record_id.in_({row.record_id for row in made}), c.version.in_({row.written for row in made}))
    statement = sa.select(c.record_id, c.version, c.seq).where(*among)
    return {(found.record_id, found.version): found.seq for found in tx.execute(statement)} if made else {}


def _entry(row: sa.Row[Any], numbers: Mapping[tuple[UUID, int], int]) -> dict[str, Any]:
    written = {
        "record": row.record, "version": row.written, "sequence": numbers.get((row.record_id, row.written)),
        "citation": row.cited,
    }  # fmt: skip
    return {
        "id": str(row.id), "noun": row.noun, "record": row.record, "version": row.version,
        "fields": msgspec.json.decode(row.fields), "reason": row.reason,
        "proposer": row.proposer, "created_at": row.created_at,
        "status": row.status, "decided_by": row.decided_by, "decided_at": row.decided_at, "decision": row.decision,
        "written": None if row.written is None else written,
    }  # fmt: skip
