"""Reconciliation over HTTP, as OpenRefine speaks it (Reconciliation Service API 0.2).

All of it reads. What the API leaves open, or asks for and is not here:

- It wants CORS on every address, since OpenRefine's page asks from another origin. So pages of any site may read what is here,
  and only here: it is what everybody may read, no cookie or key is looked at, and nothing is written.
- JSONP, its forerunner, is not offered: it would let any page run as a script what is recorded here.
- Addresses in the manifest are whole, made of the host that was asked: clients put them together as texts, in another place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.api import conditional, deps, openapi
from app.api.strict import FORM, JSON, Handler, StrictRoute, TooLarge, check_media_type, read_body, read_query
from app.api.v1 import RESOURCES
from app.exchange import entities, reconciliation
from app.exchange.reconciliation import MOST_QUERIES, MOST_SKIPPED, Extension
from app.kit import records
from app.kit.db import Transaction
from app.kit.errors import Fault, Invalid, Malformed, RegistryError
from app.kit.fields import Digits, limited
from app.kit.strict_json import parse_text
from app.kit.text import clean

HERE = "/v1/reconcile"
SHARED = {"Access-Control-Allow-Origin": "*"}


class SharedRoute(StrictRoute):
    """A route whose answers and refusals pages of any site may read."""

    def guarded(self, endpoint: Handler) -> Handler:
        strict = super().guarded(endpoint)

        async def shared(request: Request) -> Response:
            try:
                response = await strict(request)
            except RegistryError as error:
                error.extra = {**error.extra, "headers": {**error.extra.get("headers", {}), **SHARED}}
                raise
            response.headers.update(SHARED)
            return response

        return shared


router = APIRouter(prefix=HERE, tags=["registry"], route_class=SharedRoute)
NOUNS = {resource.plural: resource for resource in RESOURCES}
HTML = "text/html"
HTML_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src '{entities.STYLE_HASH}'; frame-ancestors *",  # it is a preview
}
VERSIONS = ["0.2"]
SIZE = {"width": 430, "height": 300}
"""Of a preview, in pixels."""


class ReconciliationQuery(BaseModel):
    """What is asked, where it is not asked with a form."""

    model_config = ConfigDict(extra="forbid")

    queries: str | None = Field(
        default=None, description="A batch of queries, as JSON: of each name a `query`, and beside it perhaps `type`, `limit`, "
        "`properties`.", examples=['{"q0":{"query":"OECD"}}'], json_schema_extra={"contentMediaType": JSON},
    )  # fmt: skip
    extend: str | None = Field(
        default=None, description="Of which records which properties are wanted, as JSON: `ids` and `properties`.",
        examples=['{"ids":["oecd"],"properties":[{"id":"acronym"}]}'], json_schema_extra={"contentMediaType": JSON},
    )  # fmt: skip


class EntityQuery(BaseModel):
    """Which record."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(description="A slug of organizations, or `noun/slug` of any noun.", examples=["oecd"])


Typed = Annotated[str, limited(255, clean), Field(json_schema_extra={"maxLength": 255})]


class SuggestQuery(BaseModel):
    """What somebody has typed so far."""

    model_config = ConfigDict(extra="forbid")

    prefix: Typed = Field(
        default="", description="What was typed so far; case and diacritics do not matter.", examples=["un"]
    )
    cursor: Annotated[int, Digits] = Field(
        default=0, ge=0, le=MOST_SKIPPED, description="So many suggestions are skipped."
    )


class EntitySuggestQuery(SuggestQuery):
    """The same, of records."""

    type: str | None = Field(default=None, description="Only records of this noun.", examples=["organizations"])


class PropertySuggestQuery(SuggestQuery):
    """The same, of properties."""

    type: str | None = Field(default=None, description="Only properties of this noun.", examples=["organizations"])


class ProposalQuery(BaseModel):
    """Whose properties."""

    model_config = ConfigDict(extra="forbid")

    type: str | None = Field(default=None, description="A noun; without it, organizations.", examples=["organizations"])
    limit: Annotated[int | None, Digits] = Field(default=None, ge=1, description="At most so many.", examples=[20])


# --- what is answered -------------------------------------------------------------------------------------------------

TEXT: dict[str, Any] = {"type": "string"}
URI: dict[str, Any] = {"type": "string", "format": "uri"}


def _list_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": dict(schema)}


TYPE = openapi.object_of("EntityType", "A noun, as a type of entities.", {"id": TEXT, "name": TEXT})
SERVICE = openapi.object_of("ServiceAddress", "Where a service is: both parts put together.", {
    "service_url": URI, "service_path": TEXT,
})  # fmt: skip
SETTING = openapi.object_of("PropertySetting", "What can be set when a property is fetched.", {
    "name": TEXT, "label": TEXT, "type": TEXT, "default": {}, "help_text": TEXT,
})  # fmt: skip
MANIFEST = openapi.object_of("ReconciliationManifest", "What the service is, and where its parts are.", {
    "versions": _list_of(TEXT), "name": TEXT, "identifierSpace": URI, "schemaSpace": URI, "documentation": URI,
    "serviceVersion": TEXT, "defaultTypes": _list_of(TYPE), "batchSize": {"type": "integer"},
    "view": openapi.object_of("ViewTemplate", "The address of a record, with `{{id}}` in it.", {"url": TEXT}),
    "preview": openapi.object_of("PreviewTemplate", "The address of a page for a frame of this size, in pixels.", {
        "url": TEXT, "width": {"type": "integer"}, "height": {"type": "integer"},
    }),
    "suggest": openapi.object_of("SuggestServices", "Where names are completed.", {
        "entity": SERVICE, "type": SERVICE, "property": SERVICE,
    }),
    "extend": openapi.object_of("ExtensionService", "How more columns are fetched.", {
        "propose_properties": SERVICE, "property_settings": _list_of(SETTING),
    }),
})  # fmt: skip
FEATURE = openapi.object_of("MatchingFeature", "What speaks for a candidate, or against it.", {
    "id": {**TEXT, "description": "`name`: what its name is worth, 0 to 100. `same_name`: it is its very name. `property:…`: "
           "whether the record agrees in it."},
    "value": {"type": ["number", "boolean"]},
})  # fmt: skip
CANDIDATE = openapi.object_of("ReconciliationCandidate", "A record that may be meant.", {
    "id": TEXT, "name": TEXT, "description": TEXT, "type": _list_of(TYPE),
    "score": {"type": "number", "minimum": 0, "maximum": 100},
    "match": {"type": "boolean", "description": "It scores 95 or more, and no other one is within 5."},
    "features": _list_of(FEATURE),
})  # fmt: skip
RESULT = openapi.object_of("ReconciliationResult", "The candidates for one query, the best first.", {
    "result": _list_of(CANDIDATE),
})  # fmt: skip
RESULT["properties"]["error"] = {
    **TEXT,
    "description": "Why the query could not be understood. Then it has no candidates.",
}
RESULTS: dict[str, Any] = {
    "type": "object", "description": "By the name of each query, its candidates.", "additionalProperties": RESULT,
}  # fmt: skip
VALUE: dict[str, Any] = {
    "type": "object", "title": "ExtensionValue", "description": "A record (`id`, `name`), a number or a text.",
    "properties": {"id": TEXT, "name": TEXT, "int": {"type": "integer"}, "float": {"type": "number"}, "str": TEXT},
}  # fmt: skip
FETCHED = openapi.object_of("FetchedProperty", "A property that was fetched.", {"id": TEXT, "name": TEXT})
FETCHED["properties"]["type"] = TYPE
EXTENDED = openapi.object_of("ExtendedRecords", "By id and property, the values.", {
    "meta": _list_of(FETCHED),
    "rows": {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": _list_of(VALUE)}},
})  # fmt: skip
SUGGESTED = openapi.object_of("EntitySuggestion", "A record.", {
    "id": TEXT, "name": TEXT, "description": TEXT, "notable": _list_of(TYPE),
})  # fmt: skip
DESCRIBED = {"id": TEXT, "name": TEXT, "description": TEXT}


def _suggestions(title: str, item: Mapping[str, Any]) -> dict[str, Any]:
    found = openapi.object_of(title, "What was typed may become these.", {"result": _list_of(item)})
    found["properties"]["cursor"] = {"type": "integer", "description": "Where the rest begins, if there is more."}
    return found


ENTITIES = _suggestions("EntitySuggestions", SUGGESTED)
TYPES = _suggestions("TypeSuggestions", openapi.object_of("TypeSuggestion", "A noun.", DESCRIBED))
PROPERTY = openapi.object_of("PropertySuggestion", "A property of records.", DESCRIBED)
PROPERTIES = _suggestions("PropertySuggestions", PROPERTY)
PROPOSED = openapi.object_of("PropertyProposal", "The properties of a noun.", {
    "type": TEXT, "properties": _list_of(PROPERTY),
})  # fmt: skip
PROPOSED["properties"]["limit"] = {"type": "integer"}

EXAMPLE = {"queries": '{"q0":{"query":"OECD","type":"organizations","properties":[{"pid":"kind","v":"Organ"}]}}'}
BODY = {
    "required": True,
    "content": {FORM: {"schema": {
        "type": "object", "title": "ReconciliationForm", "description": "One of the two.",
        "properties": {
            name: {**TEXT, "description": info.description, "contentMediaType": JSON}
            for name, info in ReconciliationQuery.model_fields.items()
        },
        "additionalProperties": False, "minProperties": 1, "maxProperties": 1,
    }, "example": EXAMPLE}},
}  # fmt: skip


def _responses(description: str, schema: Mapping[str, Any]) -> dict[int | str, Any]:
    return {200: openapi.ok(description, schema), 304: openapi.NOT_MODIFIED, **openapi.problems(openapi.READ)}


# --- the endpoint -----------------------------------------------------------------------------------------------------


@router.get(
    "",
    **openapi.operation(
        "getReconciliation", "Get the reconciliation manifest, or candidates",
        "The service that OpenRefine speaks to (Reconciliation Service API 0.2): add this address to it as a standard service. "
        "Without parameters the manifest; with `queries` candidates, with `extend` values, as POST has them.",
        _responses("The manifest, the candidates of each query, or the values.", {"anyOf": [MANIFEST, EXTENDED, RESULTS]})
        | openapi.problems(["body-too-large"]),
        parameters=[openapi.IF_NONE_MATCH], query=ReconciliationQuery,
    ),
)  # fmt: skip
async def get_reconciliation(request: Request) -> Response:
    query = deps.query(_without_jsonp(request), ReconciliationQuery)
    if query.queries is None and query.extend is None:
        return Response(msgspec.json.encode(_manifest(request)), headers={"Cache-Control": "no-cache"}, media_type=JSON)
    return await _kept(request, _work(query.queries, query.extend))


@router.post(
    "",
    **openapi.operation(
        "reconcileNames", "Find the records that names mean, or fetch their values",
        "`queries`: up to 100 names, each with the noun it is of (`type`, else organizations) and what stands beside it "
        "(`properties`: a column, a reference, or the scheme of an identifier). A property that agrees adds 5 to the score, "
        "one that differs takes off 15, an identifier that differs 30, and one that is the record's makes it 100. `extend`: "
        "the values of `properties` for the records with these `ids`. Writes nothing.",
        {200: openapi.ok("The candidates of each query, or the values.", {"anyOf": [EXTENDED, RESULTS]}, headers={}),
         **openapi.problems((*openapi.READ, *openapi.BODY))},
        body=BODY,
    ),
)  # fmt: skip
async def reconcile_names(request: Request) -> Response:
    # A page of another site can send a form, and OpenRefine sends nothing else. This reads only, and what it answers is kept
    # from such a page by the browser: there is nothing to forge.
    check_media_type(request, (FORM,))
    form = read_query(await read_body(request, deps.settings(request).max_body_bytes), lines=True)
    if set(form) not in ({"queries"}, {"extend"}):
        faults = [
            Fault("unknown_field", "Allowed: queries or extend, one of them.", parameter=name[:100]) for name in form
        ]
        raise Malformed("The form has one field, `queries` or `extend`.", faults=faults)
    answer = await deps.reading(request, _work(form.get("queries"), form.get("extend")))
    return Response(msgspec.json.encode(answer), media_type=JSON)


def _work(queries: str | None, extend: str | None) -> Callable[[Transaction], Any]:
    """What is to be read for one of the two. Raises Malformed, Invalid, TooLarge."""
    if queries is not None and extend is not None:
        faults = [Fault("exclusive", "Give one of the two.", parameter=name) for name in ("queries", "extend")]
        raise Malformed("A request either reconciles or extends.", faults=faults)
    if queries is None:
        asked = records.parsed(Extension, _object("extend", extend or ""))
        _insist_on_text("extend", (*asked.ids, *(each.id for each in asked.properties)))
        return lambda tx: reconciliation.extend(tx, NOUNS, asked)
    batch = _object("queries", queries)
    _insist_on_text("queries", batch)
    if len(batch) > MOST_QUERIES:
        raise TooLarge(f"A batch has {MOST_QUERIES} queries at most, this one has {len(batch)}.", slug="body-too-large")
    return lambda tx: reconciliation.reconcile(tx, NOUNS, batch)


def _object(name: str, text: str) -> dict[str, Any]:
    found = parse_text(text, called=f"What `{name}` holds")
    if not isinstance(found, dict):
        raise Invalid.parameter(name, "not_an_object", "It is a JSON object.")
    return found


def _insist_on_text(parameter: str, names: Iterable[str]) -> None:
    """What the answer repeats must be text: JSON can spell halves of characters, which no encoding has. Raises Invalid."""
    if any("\ud800" <= character <= "\udfff" for name in names for character in name):
        raise Invalid.parameter(parameter, "surrogate", "A name in it holds half of a character (a lone surrogate).")


_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)


def _base(request: Request) -> str:
    """Scheme, host and prefix under which the service was asked. Raises Malformed."""
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise Malformed("The header Host names no host.", faults=[Fault("host", "Name the host.", parameter="Host")])
    return f"{request.scope['scheme']}://{host}{deps.path(request, '')}"


def _manifest(request: Request) -> dict[str, Any]:
    base = _base(request)
    suggest = {
        name: {"service_url": base, "service_path": f"{HERE}/suggest/{name}"} for name in ("entity", "type", "property")
    }
    return {
        "versions": VERSIONS, "name": request.app.title, "identifierSpace": f"{base}/v1/{entities.DEFAULT}/",
        "schemaSpace": f"{base}/v1/", "documentation": f"{base}/docs", "serviceVersion": request.app.version,
        "defaultTypes": [entities.type_of(noun) for noun in RESOURCES if noun.plural not in reconciliation.NAMELESS],
        "batchSize": MOST_QUERIES,
        "view": {"url": f"{base}{HERE}/view?id={{{{id}}}}"},
        "preview": {"url": f"{base}{HERE}/preview?id={{{{id}}}}", **SIZE},
        "suggest": suggest,
        "extend": {
            "propose_properties": {"service_url": base, "service_path": f"{HERE}/properties"},
            "property_settings": reconciliation.SETTINGS,
        },
    }  # fmt: skip


# --- pages ------------------------------------------------------------------------------------------------------------


@router.get("/view", include_in_schema=False)
async def view_entity(request: Request) -> Response:
    """Leads to the record: an id may hold a slash, which no path may hide."""
    there = entities.address(NOUNS, deps.query(request, EntityQuery).id)
    return Response(status_code=303, headers={"Location": deps.path(request, f"/v1/{there}")})


def _html_answer() -> dict[int | str, Any]:
    page = {"description": "The page.", "headers": openapi.ETAG, "content": {HTML: {"schema": TEXT}}}
    return {200: page, 304: openapi.NOT_MODIFIED, **openapi.problems((*openapi.READ, "not-found", "gone"))}


@router.get(
    "/preview",
    **openapi.operation(
        "previewEntity", "Preview a record", "A small page about a record, for a frame in a page of somebody else.",
        _html_answer(), parameters=[openapi.IF_NONE_MATCH], query=EntityQuery,
    ),
)  # fmt: skip
async def preview_entity(request: Request) -> Response:
    noun, _, key = entities.address(NOUNS, deps.query(request, EntityQuery).id).partition("/")

    def work(tx: Transaction) -> tuple[bytes, str]:
        tag = conditional.etag(sequence=tx.sequence(), day=tx.today.strftime("%Y%m%d"), form="html")
        stored = records.fetch(tx, NOUNS[noun], key)
        if conditional.unchanged(request, tag):
            return b"", tag
        known, document = entities.properties(NOUNS[noun]), msgspec.json.decode(stored.body)
        entity = entities.Entity(NOUNS[noun], stored.id, stored.slug, document, known)
        there = entities.referred(tx, NOUNS, entities.references(entity, known.keys() - {"sources"}))
        return entities.page(entity, there, deps.path(request, f"/v1/{noun}/{stored.slug}")).encode(), tag

    body, tag = await deps.reading(request, work)
    if not body:
        return deps.not_modified(tag, HTML_HEADERS)
    return deps.answer(body, tag, headers=HTML_HEADERS, media_type=f"{HTML}; charset=utf-8")


# --- suggestions ------------------------------------------------------------------------------------------------------


@router.get(
    "/suggest/entity",
    **openapi.operation(
        "suggestEntities", "Suggest records", "Records of all nouns, or of one, whose names begin so or hold these words.",
        _responses("The records, the best first.", ENTITIES), parameters=[openapi.IF_NONE_MATCH], query=EntitySuggestQuery,
    ),
)  # fmt: skip
async def suggest_entities(request: Request) -> Response:
    query = _tolerant(request, EntitySuggestQuery)
    only = [_noun(query.type)] if query.type else []

    def work(tx: Transaction) -> dict[str, Any]:
        found, more = reconciliation.suggest_entities(tx, NOUNS, query.prefix, only, query.cursor)
        following = query.cursor + len(found)
        return {"result": found} | ({"cursor": following} if more and following <= MOST_SKIPPED else {})

    return await _kept(request, work)


@router.get(
    "/suggest/type",
    **openapi.operation(
        "suggestTypes", "Suggest types", "The nouns whose names begin so.",
        _responses("The nouns.", TYPES), parameters=[openapi.IF_NONE_MATCH], query=SuggestQuery,
    ),
)  # fmt: skip
async def suggest_types(request: Request) -> Response:
    query = _tolerant(request, SuggestQuery)
    found = reconciliation.suggest_types(NOUNS, query.prefix)
    return await _kept(request, lambda _: {"result": found[query.cursor :]})


@router.get(
    "/suggest/property",
    **openapi.operation(
        "suggestProperties", "Suggest properties",
        "The columns and references of records, and the registers that they have identifiers in, whose names begin so.",
        _responses("The properties.", PROPERTIES), parameters=[openapi.IF_NONE_MATCH], query=PropertySuggestQuery,
    ),
)  # fmt: skip
async def suggest_properties(request: Request) -> Response:
    query = _tolerant(request, PropertySuggestQuery)
    several = [NOUNS[_noun(query.type)]] if query.type else RESOURCES
    return await _kept(
        request,
        lambda tx: {"result": reconciliation.suggest_properties(tx, several, query.prefix)[query.cursor :]},
    )


@router.get(
    "/properties",
    **openapi.operation(
        "proposeProperties", "Propose properties of a type", "The properties that can be fetched of the records of a noun.",
        _responses("The properties.", PROPOSED), parameters=[openapi.IF_NONE_MATCH], query=ProposalQuery,
    ),
)  # fmt: skip
async def propose_properties(request: Request) -> Response:
    query = _tolerant(request, ProposalQuery)
    noun = _noun(query.type or entities.DEFAULT)

    def work(tx: Transaction) -> dict[str, Any]:
        found = list(reconciliation.described(tx, NOUNS[noun]))[: query.limit]
        return {"type": noun, "properties": found} | ({} if query.limit is None else {"limit": query.limit})

    return await _kept(request, work)


def _noun(name: str) -> str:
    if name not in NOUNS:
        raise Invalid.parameter("type", "unknown_type", f"Known: {', '.join(NOUNS)}.")
    return name


async def _kept(request: Request, work: Callable[[Transaction], Any]) -> Response:
    """What `work` finds, or 304 while nothing was written and no day has passed since the client has it."""

    def answer(tx: Transaction) -> tuple[bytes, str]:
        tag = conditional.etag(sequence=tx.sequence(), day=tx.today.strftime("%Y%m%d"))
        return b"" if conditional.unchanged(request, tag) else msgspec.json.encode(work(tx)), tag

    body, tag = await deps.reading(request, answer)
    return deps.answer(body, tag) if body else deps.not_modified(tag)


def _tolerant(request: Request, cls: type[deps.Q]) -> deps.Q:
    """The parameters that the API knows. OpenRefine's suggest box sends more, which were its forerunner's (`spell`, `prefixed`,
    and `filter` once or twice): they are passed by, where any other address refuses what has no meaning."""
    _without_jsonp(request)
    known = {name.encode() for name in cls.model_fields}
    kept = [piece for piece in request.scope["query_string"].split(b"&") if piece.partition(b"=")[0] in known]
    return deps.query(Request({**request.scope, "query_string": b"&".join(kept)}), cls)


def _without_jsonp(request: Request) -> Request:
    if any(piece.partition(b"=")[0] == b"callback" for piece in request.scope["query_string"].split(b"&")):
        fault = Fault("jsonp", "Ask for JSON, with CORS from a page of another site.", parameter="callback")
        raise Malformed("JSONP is not offered.", slug="unknown-parameter", faults=[fault])
    return request
