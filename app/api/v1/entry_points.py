"""Where a client that knows nothing begins: the nouns, the other rooms, and the links that say where the rest is described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from fastapi import APIRouter, FastAPI, Request, Response

from app.api import deps, openapi
from app.api.strict import JSON, StrictRoute
from app.kit import views
from app.kit.filters import ListQuery
from app.kit.resource import Resource

router = APIRouter(route_class=StrictRoute)
HERE = "/v1"
CATALOG = "/.well-known/api-catalog"
LINKSET = "application/linkset+json"
PROFILE = "https://www.rfc-editor.org/info/rfc9727"
SERVICE = (
    ("service-desc", "/openapi.json", JSON),
    ("service-doc", "/docs", "text/html"),
    ("status", "/readyz", JSON),
)
"""Relation (RFC 8631), address and media type of what describes the API as a whole."""
LINKS = (*SERVICE, ("help", "/problems", "text/html"), ("api-catalog", CATALOG, LINKSET))

TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
ADDRESS: dict[str, Any] = {"type": "string", "format": "uri-reference"}
NOUN = openapi.object_of("NounEntry", "A kind of record, and how its list can be asked.", {
    "noun": {"type": "string"}, "description": {"type": "string"}, "href": {**ADDRESS, "description": "The list."},
    "record": {"type": "string", "format": "uri-template", "description": "One record (RFC 6570)."},
    "filters": TEXTS, "sorts": TEXTS, "fields": TEXTS, "include": TEXTS,
})  # fmt: skip
ROOM = openapi.object_of("RoomEntry", "What the registry answers beside its records.", {
    "operation": {"type": "string", "description": "Its `operationId`."}, "title": {"type": "string"},
    "method": {"type": "string"}, "href": ADDRESS,
})  # fmt: skip
LINK = openapi.object_of("LinkEntry", "A link to a description.", {
    "rel": {"type": "string", "description": "A registered relation (RFC 8288, RFC 8631, RFC 9727)."},
    "href": ADDRESS, "type": {"type": "string", "description": "Its media type."},
})  # fmt: skip
ENTRY_POINT = openapi.object_of("EntryPoint", "What there is, and where.", {
    "name": {"type": "string"}, "version": {"type": "string"}, "description": {"type": "string"},
    "nouns": {"type": "array", "items": NOUN}, "rooms": {"type": "array", "items": ROOM},
    "links": {"type": "array", "items": LINK},
})  # fmt: skip
LINK_HEADER = {
    "Link": {"description": "The same links (RFC 8288): `service-desc`, `service-doc`, …", "schema": {"type": "string"}}
}


@router.get(
    HERE, tags=["registry"],
    **openapi.operation(
        "getEntryPoint", "Get the entry point",
        "Every noun with the address of its list and the filters, sorts, fields and includes that it takes; every other room "
        "that has one address; and links to the description for programs and the one for people. Addresses are relative "
        "references: they hold under the prefix of a proxy.",
        {200: openapi.ok("What there is, and where.", ENTRY_POINT, headers=LINK_HEADER),
         **openapi.problems(["malformed-request", "internal-error"])}, may=None,
    ),
)  # fmt: skip
async def get_entry_point(request: Request) -> Response:
    app: FastAPI = request.app
    lists = {f"{HERE}/{noun.plural}" for noun in app.state.resources}
    document = {
        "name": app.title, "version": app.version, "description": app.summary,
        "nouns": [_noun(request, noun) for noun in app.state.resources],
        "rooms": [
            {"operation": about["operationId"], "title": about["summary"], "method": verb, "href": deps.path(request, path)}
            for path, verb, about in _rooms(app)
            if path not in lists
        ],
        "links": [{"rel": rel, "href": deps.path(request, path), "type": kind} for rel, path, kind in LINKS],
    }  # fmt: skip
    return Response(msgspec.json.encode(document), headers={"Link": links(request)}, media_type=JSON)


@router.get(CATALOG, include_in_schema=False)
async def get_api_catalog(request: Request) -> Response:
    """The API catalogue (RFC 9727) as a set of links (RFC 9264): this API, and what describes it."""
    here, catalog = deps.path(request, HERE), deps.path(request, CATALOG)
    about = {rel: [{"href": deps.path(request, path), "type": kind}] for rel, path, kind in SERVICE}
    document = {
        "linkset": [{"anchor": catalog, "item": [{"href": here, "type": JSON}]}, {"anchor": here, **about}],
    }  # fmt: skip
    link = f'<{catalog}>; rel="api-catalog"; type="{LINKSET}", <{here}>; rel="item"; type="{JSON}"'
    return Response(msgspec.json.encode(document), headers={"Link": link}, media_type=f'{LINKSET}; profile="{PROFILE}"')


def links(request: Request) -> str:
    """The links as a header (RFC 8288)."""
    return ", ".join(f'<{deps.path(request, path)}>; rel="{rel}"; type="{kind}"' for rel, path, kind in LINKS)


def _noun(request: Request, noun: Resource[Any]) -> dict[str, Any]:
    asked = {name: info.alias or name for name, info in noun.query.model_fields.items()}
    href = deps.path(request, f"{HERE}/{noun.plural}")
    return {
        "noun": noun.plural, "description": noun.model.__doc__, "href": href, "record": f"{href}/{{{noun.key_name}}}",
        "filters": [parameter for name, parameter in asked.items() if name not in ListQuery.model_fields],
        "sorts": list(noun.sorts), "fields": list(noun.read.model_fields), "include": views.includable(noun),
    }  # fmt: skip


def _rooms(app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, verb and description of each operation of this version that has one address."""
    for path, verbs in app.openapi()["paths"].items():
        if path.startswith(f"{HERE}/") and "{" not in path:
            yield from ((path, verb.upper(), about) for verb, about in verbs.items())
