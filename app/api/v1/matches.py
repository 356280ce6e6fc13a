"""Which organization a name means: for one name, or for the column of a sheet."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.api import conditional, deps, openapi
from app.api.strict import JSON, StrictRoute, read_object
from app.api.v1.organizations import RESOURCE as ORGANIZATIONS
from app.exchange.matching import Candidate, Reason, match
from app.kit import records
from app.kit.db import Transaction
from app.kit.fields import Digits, Part, SearchText

router = APIRouter(prefix="/v1/organizations", tags=["organizations"], route_class=StrictRoute)
LIMIT = Field(default=5, ge=1, le=20, description="At most so many candidates, 1 to 20.")


class MatchQuery(BaseModel):
    """A name as somebody wrote it."""

    model_config = ConfigDict(extra="forbid")

    name: SearchText = Field(
        description="In any language, with typing errors, with an acronym or a former name in parentheses.",
        examples=["Organisation for Economic Cooperation & Development"],
    )
    limit: Annotated[int, Digits] = LIMIT


class Names(Part):
    """Names as they stand in the column of a sheet."""

    names: list[SearchText] = Field(min_length=1, max_length=500)
    limit: Annotated[int, Field(strict=True)] = LIMIT


CANDIDATE = openapi.object_of(
    "Candidate", "An organization that may be meant.",
    {
        "slug": {"type": "string"},
        "name": {"type": "string"},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "matched": {"type": "string", "description": "Which of its names speaks for it."},
        "reason": TypeAdapter(Reason).json_schema() | {"title": "MatchReason"},
    },
)  # fmt: skip
CANDIDATES = {"type": "array", "description": "The best first.", "items": CANDIDATE}
MATCHES = openapi.object_of("Matches", "The candidates for one name.", {"items": CANDIDATES})
SEVERAL = openapi.object_of(
    "MatchesOfNames", "The candidates for several names.",
    {"items": {"type": "array", "items": openapi.object_of(
        "MatchesOfName", "The candidates for one of them.", {"name": {"type": "string"}, "candidates": CANDIDATES})}},
)  # fmt: skip
ABOUT = """\
Candidates for an organization that somebody named, each with a score from 0 to 1 and the reason: 1 is its very name; other
names, acronyms and former names follow; then names with the same words, and similar ones. `OECD`, `OCDE`, a name with typing
errors or with `(f.k.a. …)` behind it all work. Nothing is decided: two candidates with the same score are two bodies."""


@router.get(
    "/match",
    **openapi.operation(
        "matchOrganization", "Match a name to organizations", ABOUT,
        {200: openapi.ok("The candidates.", MATCHES), 304: openapi.NOT_MODIFIED, **openapi.problems(openapi.READ)},
        parameters=[openapi.IF_NONE_MATCH], query=MatchQuery,
    ),
)  # fmt: skip
async def match_organization(request: Request) -> Response:
    query = deps.query(request, MatchQuery)

    def work(tx: Transaction) -> tuple[list[Candidate] | None, str]:
        tag = conditional.etag(sequence=tx.sequence())
        if conditional.unchanged(request, tag):
            return None, tag
        return match(tx, ORGANIZATIONS, [query.name], query.limit)[0], tag

    found, tag = await deps.reading(request, work)
    if found is None:
        return deps.not_modified(tag)
    return deps.answer(msgspec.json.encode({"items": [candidate.shown() for candidate in found]}), tag)


@router.post(
    "/match",
    **openapi.operation(
        "matchOrganizations", "Match a list of names to organizations", "The same for up to 500 names at once. Writes nothing.",
        {200: openapi.ok("The candidates of each name, in the order of the names.", SEVERAL, headers={}),
         **openapi.problems((*openapi.READ, *openapi.BODY))},
        body=openapi.json_body(openapi.ref("Names"), [JSON], example={"names": ["OECD", "Intl. Labor Organization"]}),
    ),
)  # fmt: skip
async def match_organizations(request: Request) -> Response:
    document = await read_object(request, limit=deps.settings(request).max_body_bytes)
    asked = records.parsed(Names, document)
    found = await deps.reading(request, lambda tx: match(tx, ORGANIZATIONS, asked.names, asked.limit))
    items = [
        {"name": name, "candidates": [candidate.shown() for candidate in candidates]}
        for name, candidates in zip(asked.names, found, strict=True)
    ]
    return Response(msgspec.json.encode({"items": items}), media_type=JSON)
