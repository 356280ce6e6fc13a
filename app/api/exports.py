"""Exports over HTTP: a list in another form than pages of JSON is answered whole, as a stream.

Every page is read in a transaction of its own, so a slow client holds none; all of them show the registry as it stood at the
first (`past.at`), so what is answered is one state of it. A stream that breaks has no end, which every client sees.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import IO, Any

from fastapi import Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api import conditional, deps, negotiation
from app.api.deadlines import take_time
from app.api.limits import Slots
from app.exchange import exports, workbooks
from app.exchange.exports import Form, Lists, Part, State
from app.kit import records, views
from app.kit.db import Database, Transaction
from app.kit.errors import Fault, Malformed, NotAcceptable
from app.kit.filters import Format, ListQuery
from app.kit.resource import Resource

MEDIA_TYPES = {
    Format.json: "application/json",
    Format.csv: "text/csv",
    Format.ndjson: "application/x-ndjson",
    Format.jsonld: "application/ld+json",
    Format.xlsx: workbooks.MEDIA_TYPE,
}
CONTEXT = "/v1/context.jsonld"
OF_PAGES = ("limit", "cursor", "count", "include")


def format_of(request: Request, asked: Format | None, offered: Sequence[Format]) -> Format:
    """The form of the answer: the one that `format` names, else the one that Accept likes best, else the first."""
    if asked is not None:
        return asked
    try:
        kind = negotiation.preferred(request, [MEDIA_TYPES[each] for each in offered])
    except NotAcceptable:
        return offered[0]
    return next(each for each in offered if MEDIA_TYPES[each] == kind)


def _insist_on_whole(query: ListQuery, chosen: Format) -> None:
    """Raises Malformed for parameters that only pages have, or only other forms; for an unknown field as a page does."""
    given = [name for name in OF_PAGES if name in query.model_fields_set]
    given += ["fields"] if query.fields is not None and chosen is Format.jsonld else []
    given += ["bom"] if query.bom and chosen is not Format.csv else []
    if given:
        message = f"It means nothing with {chosen}, which is the whole list."
        faults = [Fault("unknown_parameter", message, parameter=name) for name in given]
        raise Malformed("A parameter has no meaning here.", slug="unknown-parameter", faults=faults)


def _form(request: Request, chosen: Format, resource: Resource[Any], query: ListQuery) -> Form:
    if chosen is Format.csv:
        return exports.csv(resource, query.fields, bom=query.bom)
    if chosen is Format.jsonld:
        return exports.json_ld(deps.path(request, CONTEXT), deps.path(request, ""))
    return exports.ndjson(query.fields)


async def export_list(
    request: Request, resource: Resource[Any], query: ListQuery, chosen: Format, of: tuple[Resource[Any], str] | None
) -> Response:
    """One list, whole. `of`: the record to which it belongs, which must be there."""
    _insist_on_whole(query, chosen)
    views.picked(resource, [], query.fields)  # an unknown field is refused as in a page
    if of is not None:
        await deps.reading(request, lambda tx: records.fetch(tx, *of), query.as_of)
    form = None if chosen is Format.xlsx else _form(request, chosen, resource, query)
    return await export(request, [(resource, query)], chosen, form, resource.plural)


async def export(request: Request, lists: Lists, chosen: Format, form: Form | None, name: str) -> Response:
    """All records of some lists, one behind the other, in one form (None: as a workbook)."""
    shown = await deps.reading(request, lambda tx: exports.state(tx, lists))
    day = shown.now.strftime("%Y%m%d") if any(resource.by_day for resource, _ in lists) else None
    tag = conditional.etag(sequence=shown.number, day=day, form=chosen.value)
    headers = {
        "ETag": tag, "Cache-Control": "no-cache", **negotiation.VARY,
        "Content-Disposition": f'attachment; filename="{name}.{chosen.value}"',
    }  # fmt: skip
    if conditional.unchanged(request, tag):
        return deps.not_modified(tag, negotiation.VARY)
    slots: Slots = request.app.state.exports
    slots.take()
    try:
        answer = await _export(request, lists, shown, form, headers)
    except BaseException:
        slots.give_back()
        raise
    if isinstance(answer, Export):
        answer.ends_with(slots.give_back)
    else:
        slots.give_back()
    return answer


class Export(StreamingResponse):
    """A stream that says when it is over: sent whole, broken, or left by its client. Then it lets go of its `file`, too: what
    reads it may be stopped in its middle, or before it has begun."""

    file: IO[bytes] | None = None

    def ends_with(self, call: Callable[[], None]) -> None:
        self._over = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self.file is not None:
                self.file.close()
            self._over()


async def _export(
    request: Request, lists: Lists, shown: State, form: Form | None, headers: Mapping[str, str]
) -> Response:
    if form is None:
        await deps.reading(
            request,
            lambda tx: exports.part(exports.seen(tx, shown), *lists[0], exports.ndjson()),
            at_least=shown.number,
        )
        return await _workbook(request, lists, shown, headers)
    parts = _parts(request, lists, shown, form)
    first = await anext(parts)  # what is wrong with the question is told before anything is answered
    media_type = {**headers, "Content-Type": form.media_type}
    if request.scope.get("head"):
        return _without_length(media_type)
    return Export(_stream(form, first, parts), headers=media_type)


def _without_length(headers: Mapping[str, str]) -> Response:
    """The answer to HEAD: how long the stream would be is known when it ends."""
    response = Response(headers=headers)
    del response.headers["content-length"]
    return response


async def _parts(request: Request, lists: Lists, shown: State, form: Form) -> AsyncIterator[Part]:
    for resource, query in lists:
        cursor: str | None = None
        while True:

            def work(tx: Transaction, *, noun: Resource[Any] = resource, asked: ListQuery = query) -> Part:
                return exports.part(exports.seen(tx, shown), noun, asked, form, cursor)  # noqa: B023

            part = await deps.reading_on(request, work, at_least=shown.number)
            yield part
            if (cursor := part.next) is None:
                break


async def _stream(form: Form, first: Part, parts: AsyncIterator[Part]) -> AsyncIterator[bytes]:
    yield form.begin + first.body
    between = form.between if first.count else b""
    async for part in parts:
        if part.count:
            yield between + part.body
            between = form.between
    yield form.end


# --- workbooks --------------------------------------------------------------------------------------------------------


async def _workbook(request: Request, lists: Lists, shown: State, headers: Mapping[str, str]) -> Response:
    """A workbook is a ZIP file whose parts refer to each other: it is made on disk, and then sent."""
    headers = {**headers, "Content-Type": workbooks.MEDIA_TYPE}
    if request.scope.get("head"):
        return _without_length(headers)
    take_time(request)
    file = await asyncio.to_thread(_written, deps.database(request), lists, shown)
    export = Export(_chunks(file), headers=headers)
    export.file = file
    return export


def _written(database: Database, lists: Lists, shown: State) -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115  # closed when it is sent
    try:
        exports.write_workbook(deps.patient(database), lists, file, shown=shown)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, 256 * 1024):
        yield chunk
