"""The registry as a whole: one document set out, and the context of its linked data."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import Field

from app.api import conditional, deps, exports, openapi
from app.api.strict import StrictRoute
from app.api.v1 import RESOURCES
from app.exchange import imports, linked
from app.exchange.exports import Form, document_set, json_ld
from app.kit.errors import Invalid
from app.kit.fields import AsOfQuery
from app.kit.filters import Format, ListQuery
from app.kit.resource import Resource

router = APIRouter(prefix="/v1", tags=["registry"], route_class=StrictRoute)
FORMATS = (Format.ndjson, Format.jsonld, Format.xlsx)


class ExportQuery(AsOfQuery):
    """The form of the export, and its day."""

    format: Format | None = Field(
        default=None,
        description="`ndjson` (what imports read), `jsonld` or `xlsx` (a sheet a noun), whatever Accept says.",
    )


ABOUT = """\
All records of all nouns, as one stream. As NDJSON it is the document set that `POST /v1/import` takes: loaded into an empty
registry it makes the same one, and its export has the same bytes. It holds records as they stand (or stood, with `as_of`), not
their history: versions and moments are the registry's own. Withdrawn records are left out, and citations for them. As a
workbook it has a sheet for each noun."""


@router.get(
    "/export",
    **openapi.operation(
        "exportRegistry", "Export the registry", ABOUT,
        {200: {"description": "The registry.", "headers": openapi.ETAG,
               "content": {exports.MEDIA_TYPES[each]: {"schema": {"type": "string"}} for each in FORMATS}},
         304: openapi.NOT_MODIFIED, **openapi.problems(openapi.READ)},
        parameters=[openapi.IF_NONE_MATCH], query=ExportQuery,
    ),
)  # fmt: skip
async def export_registry(request: Request) -> Response:
    query = deps.query(request, ExportQuery)
    chosen = exports.format_of(request, query.format, FORMATS)
    if chosen not in FORMATS:
        raise Invalid.parameter("format", "format", f"The registry as a whole is here as {', '.join(FORMATS)}.")
    lists = [(noun, _whole(noun, query)) for noun in imports.in_order(RESOURCES)]
    return await exports.export(request, lists, chosen, _form(request, chosen), "concord")


def _form(request: Request, chosen: Format) -> Form | None:
    if chosen is Format.jsonld:
        return json_ld(deps.path(request, exports.CONTEXT), deps.path(request, ""))
    return document_set() if chosen is Format.ndjson else None


def _whole(noun: Resource[Any], query: ExportQuery) -> ListQuery:
    """The list of all records of a noun; of citations those whose record is there."""
    there = {"orphaned": False} if "orphaned" in noun.query.model_fields else {}
    asked: ListQuery = noun.query(as_of=query.as_of, **there)
    return asked


@router.get(
    "/context.jsonld",
    **openapi.operation(
        "getContext", "Get the JSON-LD context", "What the fields mean in W3C ORG, SKOS, PROV-O and DCMI terms. Static.",
        {200: {"description": "The context.", "headers": openapi.ETAG,
               "content": {linked.MEDIA_TYPE: {"schema": {"type": "object"}}}},
         304: openapi.NOT_MODIFIED, **openapi.problems(["malformed-request", "internal-error"])},
        parameters=[openapi.IF_NONE_MATCH],
    ),
)  # fmt: skip
async def get_context(request: Request) -> Response:
    tag = conditional.etag(form=_VERSION)
    if conditional.unchanged(request, tag):
        return deps.not_modified(tag)
    return deps.answer(_CONTEXT, tag, media_type=linked.MEDIA_TYPE)


_CONTEXT = msgspec.json.encode({"@context": linked.CONTEXT})
_VERSION = hashlib.sha256(_CONTEXT).hexdigest()[:16]
