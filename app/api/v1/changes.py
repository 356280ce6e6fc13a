"""All changes of the registry, in commit order."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.api import conditional, deps, openapi
from app.api.crud import list_answer, next_page
from app.api.strict import StrictRoute
from app.api.v1 import RESOURCES
from app.kit import history
from app.kit.errors import Invalid

router = APIRouter(prefix="/v1", tags=["registry"], route_class=StrictRoute)

NOUNS = [resource.plural for resource in RESOURCES]
ABOUT = """\
Every write after the number `after`, in commit order, withdrawals included. Numbers have no gaps, and nothing is ever
added behind a number that has been seen. `next` always names where to go on, also when there is nothing new yet: ask it
again later."""


@router.get(
    "/changes",
    **openapi.operation(
        "listChanges", "List changes", ABOUT,
        {200: openapi.ok("A page.", openapi.ref("RevisionPage"), headers=openapi.ETAG | openapi.LINK),
         304: openapi.NOT_MODIFIED, **openapi.problems(openapi.READ)},
        parameters=[openapi.IF_NONE_MATCH], query=history.ChangesQuery,
    ),
)  # fmt: skip
async def list_changes(request: Request) -> Response:
    query = deps.query(request, history.ChangesQuery)
    unknown = [name for name in query.noun or () if name not in NOUNS]
    if unknown:
        raise Invalid.parameter(
            "noun", "unknown_noun", f"There is no noun {unknown[0][:50]!r}. Nouns: {', '.join(NOUNS)}."
        )
    found = await deps.reading(request, lambda tx: history.changes(tx, query))
    tag = conditional.etag(sequence=found.sequence)
    if conditional.unchanged(request, tag):
        return deps.not_modified(tag)
    return list_answer(found.items, next_page(request, found.last, "after"), tag)
