"""What every route needs: the database off the event loop, the author of a write, the answer's form."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date, datetime
from typing import TypeVar
from urllib.parse import unquote_to_bytes

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from app.api.strict import JSON, read_query
from app.auth import policy
from app.kit import past
from app.kit.db import Author, Database, Work
from app.kit.errors import Fault, Invalid, Malformed, ReadOnly
from app.kit.text import clean
from app.settings import Settings

T = TypeVar("T")
Q = TypeVar("Q", bound=BaseModel)
REASON_LENGTH = 500


def database(request: Request) -> Database:
    found: Database = request.app.state.database
    return found


def settings(request: Request) -> Settings:
    found: Settings = request.app.state.settings
    return found


async def reading(request: Request, work: Work[T], as_of: int | date | datetime | None = None) -> T:
    """Run `work` on a snapshot, on another thread: one hop for the whole request. With `as_of`: on the registry as it
    stood then. Raises Invalid where that lies ahead."""
    then = work if as_of is None else lambda tx: work(past.at(tx, as_of))
    return await asyncio.wrap_future(database(request).submit_read(then))


async def writing(request: Request, work: Work[T], author: Author, *, dry_run: bool = False) -> T:
    """Run `work` in a writing transaction; it is committed when this returns. Raises ReadOnly in that mode."""
    insist_on_writing(request)
    return await asyncio.wrap_future(database(request).submit_write(work, author, dry_run=dry_run))


def query(request: Request, cls: type[Q]) -> Q:
    """The parameters of the request. Raises Malformed for one that has no meaning here, Invalid for a bad value."""
    given = read_query(request.scope["query_string"])
    try:
        return cls.model_validate(given)
    except ValidationError as error:
        faults = [Fault(fault["type"], fault["msg"], parameter=str(fault["loc"][0])) for fault in error.errors()]
    allowed = ", ".join(info.alias or name for name, info in cls.model_fields.items())
    unknown = [fault.parameter for fault in faults if fault.code == "extra_forbidden"]
    if unknown:
        named = [Fault("unknown_parameter", f"Allowed: {allowed}.", parameter=name) for name in unknown]
        raise Malformed("A parameter has no meaning here.", slug="unknown-parameter", faults=named)
    raise Invalid("A parameter has a value that is not allowed.", faults=faults)


def insist_on_writing(request: Request) -> None:
    """Raises ReadOnly while the registry takes no writes. Asked before anything else of a write, and again at its door."""
    if settings(request).read_only:
        raise ReadOnly("The registry is in read-only mode: nothing was changed. Reading goes on.")


FORWARDED = ("forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")


def author(request: Request) -> Author:
    """Who writes. Raises ReadOnly, Forbidden; Malformed for a Change-Reason that cannot be read."""
    insist_on_writing(request)
    headers = request.headers
    caller = policy.Caller(
        address=request.client.host if request.client else None,
        host=headers.get("host", ""),
        origin=headers.get("origin"),
        forwarded=any(name in headers for name in FORWARDED),
    )
    return policy.writer(caller, change_reason(request))


def change_reason(request: Request) -> str | None:
    """The header Change-Reason: ASCII, or UTF-8 percent-encoded. Raises Malformed."""
    header = request.headers.get("change-reason")
    if header is None:
        return None
    try:
        reason = clean(unquote_to_bytes(header.encode("latin-1")).decode())
    except (UnicodeDecodeError, PydanticCustomError, ValidationError):
        raise Malformed("Change-Reason is not percent-encoded UTF-8 in one line.") from None
    if len(reason) > REASON_LENGTH:
        raise Malformed(f"Change-Reason may have {REASON_LENGTH} characters.")
    return reason or None


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
