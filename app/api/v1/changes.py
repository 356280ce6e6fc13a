"""All changes of the registry, in commit order: as pages, as a live stream of events, and as a feed for people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.sse import EventSourceResponse, format_sse_event
from pydantic import Field

from app.api import access, conditional, deps, negotiation, openapi
from app.api.crud import list_answer, next_page
from app.api.pulse import Pulse
from app.api.strict import JSON, StrictRoute
from app.api.v1 import RESOURCES
from app.exchange import feeds
from app.kit import history
from app.kit.db import Transaction
from app.kit.errors import Invalid, Malformed, RegistryError
from app.kit.fields import CommaSeparated
from app.kit.history import Changes, ChangesQuery

router = APIRouter(prefix="/v1", tags=["registry"], route_class=StrictRoute)

NOUNS = [resource.plural for resource in RESOURCES]
NounName = Annotated[str, Field(json_schema_extra={"enum": NOUNS})]
STREAM = "text/event-stream"
OFFERED = (JSON, STREAM, feeds.MEDIA_TYPE)
BREATH = 15.0
"""Seconds after which a silent stream sends a comment, so that nothing on the way takes the line for dead."""
LONGEST = 900.0
"""Seconds that a stream lasts. A client comes back by itself, with Last-Event-ID, and loses nothing."""
ABOUT = """\
Every write after the number `after`, in commit order, withdrawals included. Numbers have no gaps, and nothing is ever
added behind a number that has been seen. `next` always names where to go on, also when there is nothing new yet: ask it
again later.

`Accept: text/event-stream` sends the same as events, then each new one as it happens: `id` is its number, `event` what was
done, `data` the change. A client that comes back with `Last-Event-ID` goes on behind it. `Accept: application/atom+xml`
answers the latest changes as a feed, the newest first, one entry a record, with a tombstone (RFC 6721) where it was
withdrawn."""
LAST_EVENT_ID = {
    "name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "string"},
    "description": "With `text/event-stream`: the number of the last event that arrived; it goes before `after`.",
}  # fmt: skip


class NamedChangesQuery(ChangesQuery):
    """Which changes, by the nouns that there are."""

    noun: Annotated[list[NounName] | None, CommaSeparated] = Field(default=None, description="Only these nouns.")


def _ok() -> dict[str, Any]:
    shown = openapi.ok("A page, a stream, or a feed.", openapi.ref("RevisionPage"), headers=openapi.ETAG | openapi.LINK)
    shown["content"] |= {kind: {"schema": {"type": "string"}} for kind in (STREAM, feeds.MEDIA_TYPE)}
    return shown


@router.get(
    "/changes",
    **openapi.operation(
        "listChanges", "List changes", ABOUT,
        {200: _ok(), 304: openapi.NOT_MODIFIED, **openapi.problems((*openapi.READ, "not-acceptable"))},
        parameters=[openapi.IF_NONE_MATCH, LAST_EVENT_ID], query=NamedChangesQuery,
    ),
)  # fmt: skip
async def list_changes(request: Request) -> Response:
    kind, query = negotiation.preferred(request, OFFERED), _query(request)
    if kind == STREAM:
        return await _stream(request, query)
    return await (_page if kind == JSON else _feed)(request, query)


def _query(request: Request) -> ChangesQuery:
    query = deps.query(request, NamedChangesQuery)
    unknown = [name for name in query.noun or () if name not in NOUNS]
    if unknown:
        raise Invalid.parameter(
            "noun", "unknown_noun", f"There is no noun {unknown[0][:50]!r}. Nouns: {', '.join(NOUNS)}."
        )
    return query


async def _page(request: Request, query: ChangesQuery) -> Response:
    def work(tx: Transaction) -> tuple[Changes | None, str]:
        tag = conditional.etag(sequence=tx.sequence())
        return (None if conditional.unchanged(request, tag) else history.changes(tx, query)), tag

    found, tag = await deps.reading(request, work, at_least=query.after)
    if found is None:
        return deps.not_modified(tag, negotiation.VARY)
    answer = list_answer(found.items, next_page(request, found.last, "after"), tag)
    answer.headers.update(negotiation.VARY)
    return answer


async def _feed(request: Request, query: ChangesQuery) -> Response:
    def work(tx: Transaction) -> tuple[bytes, str]:
        tag = conditional.etag(sequence=tx.sequence(), form="atom")
        if conditional.unchanged(request, tag):
            return b"", tag
        entries = [
            feeds.Entry(
                row.noun, str(row.record_id), row.slug, row.version, row.action, row.at, row.author, row.proposed_by,
                row.reason, msgspec.json.decode(row.changed),
            )
            for row in history.latest(tx, query)
        ]  # fmt: skip
        address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return feeds.atom(entries, title="Changes of the registry", address=address, base=deps.path(request, "")), tag

    body, tag = await deps.reading(request, work, at_least=query.after)
    if not body:
        return deps.not_modified(tag, negotiation.VARY)
    return deps.answer(body, tag, headers=negotiation.VARY, media_type=feeds.MEDIA_TYPE)


# --- live -------------------------------------------------------------------------------------------------------------


async def _stream(request: Request, query: ChangesQuery) -> Response:
    last = request.headers.get("last-event-id", "")
    if last and not (last.isascii() and last.isdigit() and len(last) <= 18):
        raise Malformed("Last-Event-ID is the number of a change.")
    if last:
        query = query.model_copy(update={"after": int(last)})
    # What can be told as a problem is told before the stream begins: no room, and a database that is away.
    pulse: Pulse = request.app.state.pulse
    pulse.insist_on_room()
    async with pulse.turns:
        await deps.reading(request, Transaction.sequence, at_least=query.after)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", **negotiation.VARY}
    if request.scope.get("head"):
        return Response(headers=headers, media_type=STREAM)
    request.state.live = True  # how long it lasts says nothing about how fast we are
    return EventSourceResponse(_events(request, query), headers=headers)


@dataclass(frozen=True, slots=True)
class Told:
    """Changes as they go over the wire, all of a page; where to go on, and whether there is more already."""

    events: bytes
    last: int
    more: bool


async def _events(request: Request, query: ChangesQuery) -> AsyncIterator[bytes]:
    """Every change behind `query.after`, then each new one. Ends by itself after LONGEST seconds, when the database goes, when
    the key that opened it is revoked, and when the server stops: the client comes back, to whichever answers then, behind the
    last event that it has."""
    pulse: Pulse = request.app.state.pulse
    end = asyncio.get_running_loop().time() + LONGEST
    async with pulse.listening():
        yield format_sse_event(retry=1000)
        while asyncio.get_running_loop().time() < end and not pulse.stopped:
            move, asked = pulse.next_move, (query.after, query.limit, *(query.noun or ()))
            try:
                async with pulse.turns:
                    await access.look_again(request)
                    told = await move.once(asked, partial(_told, request, query))
            except RegistryError:
                return
            if told.events:
                yield told.events
            query = query.model_copy(update={"after": told.last})
            if not told.more and not await move.wait(BREATH):
                yield format_sse_event(comment=str(told.last))


async def _told(request: Request, query: ChangesQuery) -> Told:
    found = await deps.reading_on(request, partial(history.changes, query=query), at_least=query.after)
    events = (
        format_sse_event(
            data_str=msgspec.json.encode(change).decode(), event=change["action"], id=str(change["sequence"])
        )
        for change in found.items
    )
    return Told(b"".join(events), found.last, found.more)
