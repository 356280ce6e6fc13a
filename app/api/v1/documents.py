"""The registry as a whole: one document set out, and the context of its linked data."""

from __future__ import annotations

import hashlib

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import Field

from app.api import conditional, deps, exports, openapi
from app.api.strict import StrictRoute
from app.api.v1 import RESOURCES
from app.exchange import imports, linked
from app.exchange.exports import Form, document_set, json_ld, whole
from app.kit.fields import AsOfQuery
from app.kit.filters import Format
from app.kit.vocabularies import Vocabulary

router = APIRouter(prefix="/v1", tags=["registry"], route_class=StrictRoute)
FORMATS = (Format.ndjson, Format.jsonld, Format.xlsx)
SHAPES = {Format.jsonld: {"type": "object"}}


class ExportFormat(Vocabulary):
    """The form of the registry as a whole."""

    ndjson = "ndjson", "The document set that an import takes, a record a line."
    jsonld = "jsonld", "Linked data (JSON-LD 1.1)."
    xlsx = "xlsx", "A workbook, a sheet a noun."


class ExportQuery(AsOfQuery):
    """The form of the export, and its day."""

    format: ExportFormat | None = Field(default=None, description="The form of the answer, whatever Accept says.")


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
               "content": {exports.MEDIA_TYPES[each]: {"schema": SHAPES.get(each, {"type": "string"})} for each in FORMATS}},
         304: openapi.NOT_MODIFIED, **openapi.problems(openapi.READ)},
        parameters=[openapi.IF_NONE_MATCH], query=ExportQuery,
    ),
)  # fmt: skip
async def export_registry(request: Request) -> Response:
    query = deps.query(request, ExportQuery)
    asked = None if query.format is None else next(each for each in FORMATS if each.value == query.format.value)
    chosen = exports.format_of(request, asked, FORMATS)
    lists = whole(imports.in_order(RESOURCES), query.as_of)
    return await exports.export(request, lists, chosen, _form(request, chosen), "concord")


def _form(request: Request, chosen: Format) -> Form | None:
    if chosen is Format.jsonld:
        return json_ld(deps.path(request, exports.CONTEXT), deps.path(request, ""))
    return document_set() if chosen is Format.ndjson else None


@router.get(
    "/context.jsonld",
    **openapi.operation(
        "getContext", "Get the JSON-LD context", "What the fields mean in W3C ORG, SKOS, PROV-O and DCMI terms. Static.",
        {200: {"description": "The context.", "headers": openapi.ETAG,
               "content": {linked.MEDIA_TYPE: {"schema": {"type": "object"}}}},
         304: openapi.NOT_MODIFIED, **openapi.problems(["malformed-request", "internal-error"])},
        parameters=[openapi.IF_NONE_MATCH], may=None,
    ),
)  # fmt: skip
async def get_context(request: Request) -> Response:
    tag = conditional.etag(form=_VERSION)
    if conditional.unchanged(request, tag):
        return deps.not_modified(tag)
    return deps.answer(_CONTEXT, tag, media_type=linked.MEDIA_TYPE)


_CONTEXT = msgspec.json.encode({"@context": linked.CONTEXT})
_VERSION = hashlib.sha256(_CONTEXT).hexdigest()[:16]


@router.get(
    "/terms",
    **openapi.operation(
        "getTerms", "Get the terms", "The words of the context that are our own, with why there are any: properties, and "
        "vocabularies as concept schemes (JSON-LD). Static.",
        {200: {"description": "The terms.", "headers": openapi.ETAG,
               "content": {linked.MEDIA_TYPE: {"schema": {"type": "object"}}}},
         304: openapi.NOT_MODIFIED, **openapi.problems(["malformed-request", "internal-error"])},
        parameters=[openapi.IF_NONE_MATCH], may=None,
    ),
)  # fmt: skip
async def get_terms(request: Request) -> Response:
    context = deps.path(request, exports.CONTEXT)
    body = b"".join(linked.graph(context, linked.terms(RESOURCES)))
    tag = conditional.etag(form=hashlib.sha256(body).hexdigest()[:16])
    return (
        deps.not_modified(tag)
        if conditional.unchanged(request, tag)
        else deps.answer(body, tag, media_type=linked.MEDIA_TYPE)
    )
