"""One body, two records: merging organizations, and taking that back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from app.api import conditional, deps, openapi
from app.api.strict import JSON, StrictRoute, read_object
from app.api.v1 import RESOURCES
from app.kit import records
from app.kit.db import Author, Transaction
from app.kit.fields import Key, Note, Part
from app.registry.merges import Outcome, merge, unmerge

router = APIRouter(prefix="/v1/organizations", tags=["organizations"], route_class=StrictRoute)
NOUNS = {resource.plural: resource for resource in RESOURCES}


class Merger(Part):
    """Into which organization, and why."""

    into: Key = Field(description="Slug or id of the organization that stays.")
    reason: Note | None = Field(default=None, description="Why; kept in the history of every record that is touched.")


REFERENCE = openapi.object_of("MovedReference", "A record, and where in it a reference stands.", {
    "noun": {"type": "string"}, "record": {"type": "string"}, "id": {"type": "string", "format": "uuid"},
    "version": {"type": "integer"},
    "pointers": {"type": "array", "items": {"type": "string", "format": "json-pointer"}},
})  # fmt: skip
REFERENCES: dict[str, Any] = {"type": "array", "items": REFERENCE}
OUTCOME = openapi.object_of("MergeOutcome", "What a merge, or taking it back, did.", {
    "merged": {"type": "string", "description": "The record that is merged, or is back."},
    "into": {"type": "string"},
    "moved": {**REFERENCES, "description": "References that name the other record now."},
    "kept": {**REFERENCES, "description": "References that somebody changed since the merge, left as they are."},
    "added": {"type": "object", "description": "Names and identifiers that went along."},
})  # fmt: skip
ABOUT = """\
Two records turn out to be one body. Whatever names the one names `into` from now on, which takes its names (as `other_names`)
and identifiers along. The merged record is withdrawn: GET of its slug or id answers 308 to the other, its history stays, and
`unmerge` takes all of it back. All or nothing."""
BACK = """\
Take a merge back: the record is there again, and what the merge moved names it again. A reference that somebody has changed
since is left as it is and listed under `kept`."""
PROBLEMS = openapi.problems((*openapi.WRITE, "not-found", "gone", "conflict", "precondition-failed"))


@router.post(
    "/{organization_id}/merge",
    **openapi.operation(
        "mergeOrganization", "Merge an organization into another", ABOUT,
        {200: openapi.ok("Merged.", OUTCOME, headers={}), **PROBLEMS, **openapi.problems(openapi.BODY)},
        parameters=[openapi.IF_MATCH_OPTIONAL, openapi.CHANGE_REASON], may=("merge", "organizations"),
        body=openapi.json_body(openapi.ref("Merger"), [JSON], example={"into": "unctad", "reason": "The same body."}),
        repeats="answered",
    ),
)  # fmt: skip
async def merge_organization(request: Request, organization: str = Path(alias="organization_id")) -> Response:
    author, expected = deps.author(request), conditional.expected(request)
    body = records.parsed(Merger, await read_object(request, limit=deps.settings(request).max_body_bytes))
    return await _done(request, lambda tx: merge(tx, NOUNS, organization, body.into, body.reason, expected), author)


@router.post(
    "/{organization_id}/unmerge",
    **openapi.operation(
        "unmergeOrganization", "Take a merge back", BACK,
        {200: openapi.ok("It is there again.", OUTCOME, headers={}), **PROBLEMS},
        parameters=[openapi.IF_MATCH_OPTIONAL, openapi.CHANGE_REASON], may=("merge", "organizations"), repeats="answered",
    ),
)  # fmt: skip
async def unmerge_organization(request: Request, organization: str = Path(alias="organization_id")) -> Response:
    author, expected = deps.author(request), conditional.expected(request)
    return await _done(request, lambda tx: unmerge(tx, NOUNS, organization, expected), author)


async def _done(request: Request, work: Callable[[Transaction], Outcome], author: Author) -> Response:
    return await deps.once(request, lambda tx: Response(msgspec.json.encode(work(tx)), media_type=JSON), author)
