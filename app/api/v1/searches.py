"""Search over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.api import conditional, deps, openapi
from app.api.strict import StrictRoute
from app.api.v1 import RESOURCES
from app.kit.db import Transaction
from app.kit.errors import Invalid
from app.kit.fields import CommaSeparated, Digits, Distinct, SearchText
from app.registry.hits import Hit, find

router = APIRouter(prefix="/v1", route_class=StrictRoute)
NOUNS = {resource.plural: resource for resource in RESOURCES}


NounName = Annotated[str, Field(json_schema_extra={"enum": list(NOUNS)})]


class SearchQuery(BaseModel):
    """What is looked for, and where."""

    model_config = ConfigDict(extra="forbid")

    q: SearchText = Field(
        description="Words in names, acronyms, titles, labels and texts. Case and diacritics do not matter; the last word may "
        "be the begin of one; words in double quotes stand together. No character is a wildcard.",
        examples=["guidelines multinational"],
    )
    noun: Annotated[list[NounName] | None, CommaSeparated, Distinct] = Field(
        default=None, description="Only these nouns."
    )
    limit: Annotated[int, Digits] = Field(default=20, ge=1, le=100, description="At most so many, 1 to 100.")


HIT = openapi.object_of(
    "Hit", "A record that answers.",
    {
        "noun": {"type": "string", "enum": list(NOUNS)},
        "slug": {"type": "string"},
        "title": {"type": "string"},
        "score": {"type": "number", "minimum": 0, "maximum": 1, "description": "How well it answers."},
        "field": {"type": "string", "format": "json-pointer", "description": "Where the text stands that answers."},
        "snippet": {"type": "string", "description": "A part of that text as HTML, what was found in `<mark>`."},
        "url": {"type": "string", "format": "uri-reference"},
    },
)  # fmt: skip
HITS = openapi.object_of("Hits", "What was found, the best first.", {"items": {"type": "array", "items": HIT}})


@router.get(
    "/search", tags=["registry"],
    **openapi.operation(
        "searchRegistry", "Search all nouns",
        "The records that answer best, of all nouns together: those whose name is what is asked before those that begin with "
        "it, these before those that hold its words; names before acronyms, former names and longer texts. For everything that "
        "holds some words, page by page, ask a list with `q`.",
        {200: openapi.ok("What was found, the best first.", HITS), 304: openapi.NOT_MODIFIED,
         **openapi.problems(openapi.READ)},
        parameters=[openapi.IF_NONE_MATCH], query=SearchQuery,
    ),
)  # fmt: skip
async def search(request: Request) -> Response:
    query = deps.query(request, SearchQuery)
    unknown = [noun for noun in query.noun or () if noun not in NOUNS]
    if unknown:
        raise Invalid.parameter("noun", "unknown_noun", f"Allowed: {', '.join(NOUNS)}.")

    def work(tx: Transaction) -> tuple[list[Hit] | None, str]:
        tag = conditional.etag(sequence=tx.sequence())
        if conditional.unchanged(request, tag):
            return None, tag
        return find(tx, NOUNS, query.q, only=query.noun or (), limit=query.limit), tag

    found, tag = await deps.reading(request, work)
    if found is None:
        return deps.not_modified(tag)
    return deps.answer(msgspec.json.encode({"items": [_shown(request, hit) for hit in found]}), tag)


def _shown(request: Request, hit: Hit) -> dict[str, Any]:
    url = deps.path(request, f"/v1/{hit.noun}/{hit.slug}")
    return {
        "noun": hit.noun, "slug": hit.slug, "title": hit.title, "score": hit.score,
        "field": hit.field, "snippet": hit.snippet, "url": url,
    }  # fmt: skip
