"""The routes that every noun has, from its description. One function a verb; the work is the door's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, cast
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Path, Request, Response
from starlette._utils import get_route_path
from starlette.routing import Match
from starlette.types import Scope

from app.api import conditional, deps, exports, negotiation, openapi
from app.api.strict import JSON, MERGE_PATCH, StrictRoute, read_object
from app.kit import bulk, edits, history, records, revisions, views
from app.kit.db import Author, Transaction
from app.kit.errors import Again, Conflict, Invalid, NotFound, PreconditionMissing, Stale
from app.kit.filters import Format, ListQuery
from app.kit.records import Expected, Page, Snapshot, Stored
from app.kit.resource import Resource, Warnings
from app.kit.text import is_slug
from app.kit.views import RecordQuery
from app.kit.writer import Manner, Share, Work

VERSION = Path(pattern=r"^[1-9][0-9]{0,8}$", description="A version of the record.", examples=["1"])


class NounRouter(APIRouter):
    """A router that is asked for its own prefix only, so that the last noun answers as fast as the first. What lies below it
    under a reserved name is no record."""

    reserved: frozenset[str] = frozenset()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = get_route_path(scope)
        if not path.startswith(self.prefix) or path[len(self.prefix) : len(self.prefix) + 1] not in ("", "/"):
            return Match.NONE, {}
        if path[len(self.prefix) + 1 :] in self.reserved:
            return Match.NONE, {}
        return super().matches(scope)


def crud_router(resource: Resource[Any], resources: views.Resources) -> APIRouter:  # noqa: C901  # eleven routes in a row
    """All ordinary routes of a noun. `resources` is where `include` finds the others."""
    router = NounRouter(prefix=f"/v1/{resource.plural}", tags=[resource.plural], route_class=StrictRoute)
    router.reserved = resource.reserved
    record_path = f"/{{{resource.key_name}}}"
    by_key = Path(alias=resource.key_name, description=f"Id or slug of the {resource.name}.")
    about = openapi.Operations(resource)
    # One for all creations, so that several are made, and asked about, at once.
    creating: Manner = {"share": Share.closely, "at_once": partial(_create_several, resource)}
    if resource.warnings is not None:
        creating["ahead"] = partial(_foresee, resource.warnings)
        creating["after"] = partial(_with_warnings, resource.warnings)

    @router.get("", **about.browse)
    async def browse(request: Request) -> Response:
        return await browse_list(request, resource, resources, deps.query(request, resource.query))

    @router.post("", **about.create)
    async def create(request: Request) -> Response:
        author = deps.author(request)
        document = await read_object(request, types=(JSON,), limit=deps.settings(request).max_body_bytes)
        data = records.validated(resource, document)
        return await _create(request, resource, data, author, creating)

    @router.get(record_path, **about.fetch)
    async def fetch(request: Request, record: str = by_key) -> Response:
        return await _fetch(request, resource, resources, record, deps.query(request, RecordQuery))

    @router.put(record_path, **about.replace)
    async def replace(request: Request, record: str = by_key) -> Response:
        author, expected, create_it = deps.author(request), conditional.expected(request), conditional.creates(request)
        document = await read_object(request, types=(JSON,), limit=deps.settings(request).max_body_bytes)
        stored = await deps.writing(
            request,
            lambda tx: _put(tx, resource, record, document, expected, create_it=create_it),
            author,
            share=Share.closely,
        )
        return _created(request, resource, stored) if create_it else _answer(stored)

    @router.patch(record_path, **about.patch)
    async def patch(request: Request, record: str = by_key) -> Response:
        author, expected = deps.author(request), conditional.expected(request)
        changes = await read_object(request, types=(MERGE_PATCH, JSON), limit=deps.settings(request).max_body_bytes)
        work = lambda tx: records.change(tx, resource, record, edits.patched(changes), expected)  # noqa: E731
        return _answer(await deps.writing(request, work, author, share=Share.closely))

    @router.delete(record_path, **about.withdraw)
    async def withdraw(request: Request, record: str = by_key) -> Response:
        author, expected = deps.author(request), conditional.expected(request)
        stored = await deps.writing(request, lambda tx: records.withdraw(tx, resource, record, expected), author)
        return Response(status_code=204, headers={"ETag": conditional.etag(stored.version)})

    @router.post(f"{record_path}/restore", **about.restore)
    async def restore(request: Request, record: str = by_key) -> Response:
        author, expected = deps.author(request), conditional.expected(request)
        work = lambda tx: _answer(records.restore(tx, resource, record, expected))  # noqa: E731
        return await deps.once(request, work, author)

    @router.get(f"{record_path}/revisions", **about.revisions)
    async def revisions(request: Request, record: str = by_key) -> Response:
        query = deps.query(request, history.HistoryQuery)
        found = await deps.reading(request, lambda tx: history.of_record(tx, resource, record, query))
        tag = conditional.etag(found.version, found.sequence)
        if conditional.unchanged(request, tag):
            return deps.not_modified(tag)
        return list_answer(found.items, next_page(request, found.next), tag)

    @router.get(f"{record_path}/revisions/{{version}}", **about.revision)
    async def revision(request: Request, version: Annotated[str, VERSION], record: str = by_key) -> Response:
        body = await deps.reading(request, lambda tx: history.revision(tx, resource, record, int(version)))
        tag = conditional.etag(int(version))
        return deps.not_modified(tag) if conditional.unchanged(request, tag) else deps.answer(body, tag)

    @router.get(f"{record_path}/revisions/{{version}}/diff", **about.diff)
    async def diff(request: Request, version: Annotated[str, VERSION], record: str = by_key) -> Response:
        against = deps.query(request, history.DiffQuery).against
        body = await deps.reading(request, lambda tx: history.diff(tx, resource, record, int(version), against))
        tag = conditional.etag(int(version))
        return deps.not_modified(tag) if conditional.unchanged(request, tag) else deps.answer(body, tag)

    @router.post(f"{record_path}/revisions/{{version}}/restore", **about.bring_back)
    async def bring_back(request: Request, version: Annotated[str, VERSION], record: str = by_key) -> Response:
        author, expected = deps.author(request), conditional.expected(request)
        work = lambda tx: _answer(history.bring_back(tx, resource, record, int(version), expected))  # noqa: E731
        return await deps.once(request, work, author)

    return router


# --- what the routes do ---------------------------------------------------------------------------------------------


async def _fetch(
    request: Request, resource: Resource[Any], resources: views.Resources, key: str, query: RecordQuery
) -> Response:
    def work(tx: Transaction) -> tuple[bytes, str]:
        stored = records.fetch(tx, resource, key)
        depends = bool(resource.computed or query.include)
        tag = conditional.etag(stored.version, tx.sequence() if depends else None, _day(tx, resource))
        if conditional.unchanged(request, tag):
            return b"", tag
        return _shaped(tx, resource, resources, stored.body, query), tag

    body, tag = await deps.reading(request, work, query.as_of, alone=resource.in_one and not query.include)
    return deps.answer(body, tag) if body else deps.not_modified(tag)


def _shaped(
    tx: Transaction, resource: Resource[Any], resources: views.Resources, body: bytes, query: RecordQuery
) -> bytes:
    if query.fields is None and not query.include:
        return body
    shown = views.picked(resource, [body], query.fields)[0]
    if not query.include:
        return msgspec.json.encode(shown)
    included = msgspec.json.encode(views.included(tx, resources, resource, [body], query.include))
    return msgspec.json.encode(shown)[:-1] + b',"included":' + included + b"}"


async def browse_list(
    request: Request,
    resource: Resource[Any],
    resources: views.Resources,
    query: ListQuery,
    of: tuple[Resource[Any], str] | None = None,
) -> Response:
    """The list that `query` asks for: a page of it, or all of it in another form. `of`: the record (its noun and key) to which
    the list belongs, which must be there."""
    chosen = exports.format_of(request, query.format, list(Format))
    if chosen is not Format.json:
        return await exports.export_list(request, resource, query, chosen, of)

    def work(tx: Transaction) -> tuple[Page | None, Any, dict[str, Any], str]:
        if of is not None:
            records.fetch(tx, *of)
        if asked_again and conditional.unchanged(request, tag := _list_tag(tx, resource)):
            return None, [], {}, tag
        page = records.browse(tx, resource, query)
        items = views.page(resource, page.items, query.fields)
        beside = query.beside(tx)
        if query.include:
            beside["included"] = views.included(tx, resources, resource, page.items, query.include)
        return page, items, beside, _list_tag(tx, resource)

    asked_again = "if-none-match" in request.headers
    alone = resource.in_one and of is None and not (asked_again or query.include or query.count)
    page, items, beside, tag = await deps.reading(request, work, query.as_of, alone=alone)
    if page is None:
        return deps.not_modified(tag, negotiation.VARY)
    return list_answer(items, next_page(request, page.next), tag, total=page.total, **beside)


def list_answer(items: list[Any] | msgspec.Raw, following: str | None, tag: str, **more: Any) -> Response:
    """A page: its items (or their JSON array), the address of the next (in the body and as RFC 8288 Link), and `more` where
    there is any."""
    body = {"items": items, "next": following} | {name: value for name, value in more.items() if value is not None}
    return deps.answer(msgspec.json.encode(body), tag, headers=_link(following) | negotiation.VARY)


def unkept_list(items: list[Any], following: str | None) -> Response:
    """A page of what has no number in the registry's sequence, and so no entity-tag: nobody keeps it."""
    body = msgspec.json.encode({"items": items, "next": following})
    return Response(body, headers={"Cache-Control": "no-store", **_link(following)}, media_type=JSON)


def _link(following: str | None) -> dict[str, str]:
    return {"Link": f'<{following}>; rel="next"'} if following else {}


def next_page(request: Request, position: str | int | None, parameter: str = "cursor") -> str | None:
    """The address of the page at `position`: this one's, with that in `parameter`; None where there is none."""
    if position is None:
        return None
    asked: bytes = request.scope["query_string"]
    if _PLAIN.fullmatch(asked):  # as most are: it would be written as it was read
        kept = [piece for piece in asked.decode().split("&") if piece and not piece.startswith(f"{parameter}=")]
        return f"{request.scope['path']}?{'&'.join([*kept, f'{parameter}={position}'])}"
    parts = [(name, value) for name, value in request.query_params.multi_items() if name != parameter]
    return f"{request.scope['path']}?{urlencode([*parts, (parameter, position)], safe=',:/')}"


_PLAIN = re.compile(rb"([a-z_]+=[A-Za-z0-9_.~,:/-]*(&|$))*", re.ASCII)
"""Parameters in which no sign stands for another."""


def _list_tag(tx: Transaction, resource: Resource[Any]) -> str:
    return conditional.etag(sequence=tx.sequence(), day=_day(tx, resource))


def _day(tx: Transaction, resource: Resource[Any]) -> str | None:
    """Today, for nouns whose computed fields the calendar moves."""
    return tx.today.strftime("%Y%m%d") if resource.by_day else None


def _answer(stored: Stored) -> Response:
    return deps.answer(stored.body, conditional.etag(stored.version))


def _created(request: Request, resource: Resource[Any], stored: Stored) -> Response:
    location = deps.path(request, f"/v1/{resource.plural}/{stored.slug}")
    return deps.answer(stored.body, conditional.etag(stored.version), status=201, headers={"Location": location})


@dataclass(frozen=True, slots=True)
class _New:
    """A record that was just created, and what it was made of."""

    data: Any
    stored: Stored


@dataclass(frozen=True, slots=True)
class _Creation:
    """The work that makes a record of `data`."""

    resource: Resource[Any]
    data: Any

    def __call__(self, tx: Transaction) -> _New:
        return _New(self.data, records.create(tx, self.resource, self.data))


def _create_several(
    resource: Resource[Any], transactions: Sequence[Transaction], creations: Sequence[Work[_New]]
) -> list[_New | None]:
    several = [cast(_Creation, creation).data for creation in creations]
    made = bulk.create_each(transactions, resource, several)
    return [None if stored is None else _New(data, stored) for data, stored in zip(several, made, strict=True)]


async def _create(request: Request, resource: Resource[Any], data: Any, author: Author, manner: Manner) -> Response:
    """A new record, with what its author may want to know. That is asked when the record is stored, so that no other write
    waits for it; but an answer that is kept for those who ask again is stored with the record, as a whole."""
    create = _Creation(resource, data)

    def create_and_show(tx: Transaction) -> Response:
        new = create(tx)
        if resource.warnings is not None:
            revisions.flush(tx)  # what is like it is sought differently while its own words are not in the index
            [new] = _with_warnings(resource.warnings, tx, [new], [None])
        return _created(request, resource, new.stored)

    if request.state.idempotency_key is not None:
        return await deps.once(request, create_and_show, author)
    new = await deps.writing(request, create, author, **manner)
    return _created(request, resource, new.stored)


def _foresee(warnings: Warnings, tx: Transaction, creations: Sequence[Work[_New]]) -> Sequence[Any]:
    return warnings.foresee(tx, [cast(_Creation, creation).data for creation in creations])


def _with_warnings(warnings: Warnings, tx: Transaction, several: Sequence[_New], foreseen: Sequence[Any]) -> list[_New]:
    warned = warnings.told(tx, [(new.data, new.stored.id) for new in several], foreseen)
    return [_warned(new, found) if found else new for new, found in zip(several, warned, strict=True)]


def _warned(new: _New, found: Sequence[Mapping[str, Any]]) -> _New:
    body = new.stored.body[:-1] + b',"warnings":' + msgspec.json.encode(found) + b"}"
    return replace(new, stored=replace(new.stored, body=body))


def _put(
    tx: Transaction, resource: Resource[Any], key: str, document: Snapshot, expected: Expected, *, create_it: bool
) -> Stored:
    """PUT: replace with If-Match, create with If-None-Match: *. See docs/http.md for the table."""
    try:
        row = records.locate(tx, resource, key, to_write=True)
    except NotFound:
        return _put_new(tx, resource, key, document, expected, create_it=create_it)
    if row.withdrawn_at is not None:
        raise records.gone(tx, resource, row)
    if create_it:
        raise Stale(
            f"{row.slug} exists already.", version=row.version, changed=[]
        )  # also next to an If-Match that fits
    return records.change(tx, resource, key, edits.replaced(resource, document), expected)


def _put_new(
    tx: Transaction, resource: Resource[Any], key: str, document: Snapshot, expected: Expected, *, create_it: bool
) -> Stored:
    if expected is None and not create_it:
        raise PreconditionMissing(f"Nothing is at {key[:100]!r}. To create it, send If-None-Match: *.")
    if expected is not None:
        raise Stale(f"Nothing is at {key[:100]!r}, so no version of it can match.", changed=[])
    if not is_slug(key):
        raise Invalid.parameter("path", "slug", "A new record is put under a slug: a-z, 0-9 and hyphens.")
    data = records.validated(resource, document)
    if data.slug not in (None, key):
        raise Invalid.at("/slug", "slug_differs", "The slug in the body is not the one in the path.")
    try:
        return records.create(tx, resource, data, slug=key)
    except Conflict as conflict:
        if conflict.extra.get("existing") != key:
            raise
        raise Again from None  # somebody created it since we looked: look again, and say that it exists
