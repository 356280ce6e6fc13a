"""What every route needs: the database off the event loop, the author of a write, the answer's form."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from typing import TypeVar, Unpack
from urllib.parse import unquote_to_bytes

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from app.api import idempotency, sequences
from app.api.strict import JSON, read_query
from app.auth.policy import Caller
from app.exchange.exports import Reads
from app.kit import past, repeats
from app.kit.db import Author, Database, Transaction
from app.kit.errors import Fault, Invalid, Malformed, ReadOnly, RegistryError, Unavailable
from app.kit.text import clean
from app.kit.writer import Manner, Share, Work
from app.settings import Settings

T = TypeVar("T")
Q = TypeVar("Q", bound=BaseModel)
REASON_LENGTH = 500
REASON_PATTERN = f"^(%[0-9A-Fa-f]{{2}}(%[89ABab][0-9A-Fa-f]){{0,3}}|[ -~]){{0,{REASON_LENGTH}}}$"
"""What Change-Reason may be, for those who describe it: so many characters, each as it is or as the escapes of its bytes."""


def database(request: Request) -> Database:
    found: Database = request.app.state.database
    return found


def settings(request: Request) -> Settings:
    found: Settings = request.app.state.settings
    return found


async def reading(
    request: Request,
    work: Work[T],
    as_of: int | date | datetime | None = None,
    *,
    at_least: int = 0,
    primary: bool = False,
    alone: bool = False,
) -> T:
    """Run `work` on a snapshot, on another thread: one hop for the whole request. With `as_of`: on the registry as it
    stood then. Where there is a replica it may be that one's, but never a state before the number `at_least`, or one that
    is older than what the client has seen. `primary`: not the replica's, for what has no number in the sequence. `alone`: it
    will probably ask a single statement, which tells the sequence as well.
    Raises Invalid for a point that lies ahead, Malformed for an unreadable Registry-Sequence, Unavailable."""
    there, seen = database(request), sequences.seen(request)
    newest = primary or seen.newer or (there.replica is not None and _is_recent(as_of, there.clock()))
    if newest:
        request.scope["state"]["newest"] = True  # it does not show what another reading would
    least = max(at_least, seen.number, as_of if isinstance(as_of, int) else 0)
    passed: list[Transaction] = []

    def noted(tx: Transaction) -> T:
        passed.append(tx)
        try:
            result = work(tx if as_of is None else past.at(tx, as_of))
        except RegistryError:
            tx.sequence()
            raise
        tx.sequence()  # every answer says which state it shows, a refusal as well
        return result

    asked = there.ask(noted, primary=newest, at_least=least, alone=alone and as_of is None)
    try:
        return await asked
    finally:
        sequences.note(request, passed)


RECENT = timedelta(minutes=1)
"""A replica may still lack what was written since."""


def _is_recent(as_of: int | date | datetime | None, now: datetime) -> bool:
    if isinstance(as_of, datetime):
        return as_of > now - RECENT
    return isinstance(as_of, date) and as_of >= (now - RECENT).date()


PAUSES = (0.1, 0.3, 1.0, 3.0)
"""Seconds after which an answer that has begun asks again where the database had no time for it, or was away."""


async def reading_on(request: Request, work: Work[T], *, at_least: int = 0) -> T:
    """The same for the rest of an answer that has begun, and could only be broken off: a refusal that passes is waited for."""
    for pause in PAUSES:
        try:
            return await reading(request, work, at_least=at_least)
        except Unavailable:
            await asyncio.sleep(pause)
    return await reading(request, work, at_least=at_least)


def patient(there: Database) -> Reads:
    """The same on a thread of one's own."""

    def read(work: Work[T], *, at_least: int = 0) -> T:
        for pause in PAUSES:
            try:
                return there.submit_read(work, at_least=at_least).result()
            except Unavailable:
                time.sleep(pause)
        return there.submit_read(work, at_least=at_least).result()

    return read


async def writing(
    request: Request,
    work: Work[T],
    author: Author,
    **manner: Unpack[Manner],
) -> T:
    """Run `work` in a writing transaction, in the `manner` that is told; it is committed when this returns, and what is to be
    asked after it has been. Raises ReadOnly in that mode."""
    insist_on_writing(request)
    passed: list[Transaction] = []
    told: Manner = {**manner, "begun": passed.append}
    result = await database(request).ask_write(work, author, **told)
    if not manner.get("dry_run"):
        sequences.note(request, passed)
    return result


async def once(
    request: Request, work: Work[Response], author: Author, *, dry_run: bool = False, share: Share = Share.freely
) -> Response:
    """Run `work`, which writes and says what is answered. Where its Idempotency-Key tells that the request is sent again,
    nothing is written and the answer is the one that it had. A dry run has nothing to keep.
    Raises Reused, Outstanding, and what `writing` raises."""
    key: str | None = request.state.idempotency_key
    if key is None or dry_run:
        return await writing(request, work, author, dry_run=dry_run, share=share)
    # On another thread: the file of an import takes the better part of a second.
    fingerprint = await asyncio.to_thread(idempotency.fingerprint, request, getattr(request.state, "body", b""))
    asked = repeats.Asked(author.name, key, fingerprint)
    answer, again = await writing(
        request, lambda tx: repeats.once(tx, asked, lambda: idempotency.kept(work(tx))), author,
        share=Share.apart if share is Share.freely else share,  # the claim of its key is written first
    )  # fmt: skip
    return idempotency.response(answer, again=again)


def query(request: Request, cls: type[Q]) -> Q:
    """The parameters of the request. Raises Malformed for one that has no meaning here, Invalid for a bad value."""
    raw = request.scope["query_string"]
    given = read_query(raw)
    try:
        return cls.model_validate(given) if raw else _unasked(cls)
    except ValidationError as error:
        faults = [Fault(fault["type"], fault["msg"], parameter=str(fault["loc"][0])) for fault in error.errors()]
    allowed = ", ".join(info.alias or name for name, info in cls.model_fields.items())
    unknown = [fault.parameter for fault in faults if fault.code == "extra_forbidden"]
    if unknown:
        named = [Fault("unknown_parameter", f"Allowed: {allowed}.", parameter=name) for name in unknown]
        raise Malformed("A parameter has no meaning here.", slug="unknown-parameter", faults=named)
    raise Invalid("A parameter has a value that is not allowed.", faults=faults)


@cache
def _unasked(cls: type[Q]) -> Q:
    """The parameters of a request that has none."""
    return cls.model_validate({})


def insist_on_writing(request: Request) -> None:
    """Raises ReadOnly while the registry takes no writes. Asked before anything else of a write, and again at its door."""
    if settings(request).read_only:
        raise ReadOnly("The registry is in read-only mode: nothing was changed. Reading goes on.")


def author(request: Request) -> Author:
    """Who writes, and what they may: the door asks. Raises ReadOnly; Malformed for a Change-Reason that cannot be read."""
    insist_on_writing(request)
    caller: Caller = request.state.caller
    return Author(caller.name, change_reason(request), caller.may)


def change_reason(request: Request) -> str | None:
    """The header Change-Reason: ASCII, or UTF-8 percent-encoded. Raises Malformed."""
    header = request.headers.get("change-reason")
    if header is None:
        return None
    try:
        reason = clean(unquote_to_bytes(header.encode("latin-1")).decode())
    except (UnicodeDecodeError, PydanticCustomError, ValidationError):
        raise _no_reason("Change-Reason is not percent-encoded UTF-8 in one line.") from None
    if len(reason) > REASON_LENGTH:
        raise _no_reason(f"Change-Reason may have {REASON_LENGTH} characters.")
    return reason or None


def _no_reason(detail: str) -> Malformed:
    message = f"One line of at most {REASON_LENGTH} characters, in ASCII or percent-encoded UTF-8."
    return Malformed(detail, faults=[Fault("change_reason", message, parameter="Change-Reason")])


def path(request: Request, target: str) -> str:
    """The address of `target` under the prefix that a proxy may have put in front. A path, so that no scheme or host
    can be got wrong."""
    return f"{request.scope.get('root_path', '')}{target}"


def answer(
    body: bytes, tag: str, *, status: int = 200, headers: Mapping[str, str] | None = None, media_type: str = JSON
) -> Response:
    """An answer with its entity-tag. May be kept, must be revalidated."""
    return Response(body, status, {"ETag": tag, "Cache-Control": "no-cache", **(headers or {})}, media_type)


def not_modified(tag: str, headers: Mapping[str, str] | None = None) -> Response:
    """304: the client has it."""
    return Response(status_code=304, headers={"ETag": tag, "Cache-Control": "no-cache", **(headers or {})})
