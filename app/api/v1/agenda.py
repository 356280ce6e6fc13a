"""The agenda of reviews: what is due, what is late, and what earlier findings still wait for."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from app.api import conditional, deps, openapi
from app.api.crud import list_answer, next_page
from app.api.strict import StrictRoute
from app.kit import paging, records
from app.kit.db import Transaction
from app.kit.errors import Invalid
from app.kit.fields import AsOfQuery, Day, Digits, Key
from app.registry.agenda import ORGANIZATION, Entry, Urgency, agenda, shown
from app.registry.reviews import COLLABORATION

router = APIRouter(prefix="/v1", tags=["registry"], route_class=StrictRoute)


class AgendaQuery(AsOfQuery):
    """Whose agenda, and for when."""

    body: Key | None = Field(
        default=None,
        examples=["ilo-governing-body"],
        description="The organization that reviews: its own reviews count alone; what only others have reviewed is left out.",
    )
    on: Day | None = Field(
        default=None, description="The day on which it meets; without it today (or the day of `as_of`)."
    )


class AgendaPageQuery(AgendaQuery):
    """Which page of the agenda."""

    limit: Annotated[int, Digits] = Field(default=50, ge=1, le=200, description="Entries a page, 1 to 200.")
    cursor: str | None = Field(default=None, description="Where the page begins: taken from `next`, as it is.")


TEXT_OR_NULL = {"type": ["string", "null"]}
PAST_FINDING = openapi.object_of("PastFinding", "What a review found.", {
    "review": {"type": "string"}, "session": TEXT_OR_NULL, "date": TEXT_OR_NULL, "document": TEXT_OR_NULL,
    "finding": openapi.ref("Finding"), "note": TEXT_OR_NULL,
})  # fmt: skip
FOLLOW_UP = openapi.object_of("FollowUp", "What happened since the latest review.", {
    "open": {"type": "boolean", "description": "Its finding asks for something that nothing has followed."},
    "changes": {"type": "array", "items": {"type": "object"}},
    "met": {"type": "array", "items": {"type": "string"}, "description": "Milestones met since."},
    "planned": {"type": "array", "items": {"type": "string"}, "description": "Milestones still to come."},
})  # fmt: skip
ENTRY = openapi.object_of(
    "AgendaEntry", "A collaboration whose review is due, or whose latest finding waits for something.", {
        "collaboration": {"type": "string"}, "id": {"type": "string", "format": "uuid"}, "version": {"type": "integer"},
        "created_at": {"type": "string", "format": "date-time"}, "updated_at": {"type": "string", "format": "date-time"},
        "title": {"type": "string"}, "type": {"type": "string"}, "status": {"type": "string"},
        "last_reviewed": {**TEXT_OR_NULL, "format": "edtf"}, "next_review_due": {**TEXT_OR_NULL, "format": "date"},
        "review_status": openapi.ref("ReviewStatus"),
        "review_every_months": {"type": ["integer", "null"], "description": "Its own, or its type's."},
        "findings": {
            "type": "array", "description": "Of the reviews that were held, the latest first.", "items": PAST_FINDING,
        },
        "follow_up": FOLLOW_UP,
    },
)  # fmt: skip
PAGE = openapi.page_of(ENTRY, "A page of the agenda.", title="AgendaPage")
ABOUT = """\
Collaborations whose review is overdue, due within three months, or was never held though one is asked for, and those whose
latest finding (renew, adjust, close) nothing has followed yet; the most pressing first. Those that have ended are left out. A
finding is open until the collaboration was changed, or one of its milestones met, after the review; `close` until it ended."""


@router.get(
    "/agenda",
    **openapi.operation(
        "getAgenda", "Get the agenda of reviews", ABOUT,
        {200: openapi.ok("A page.", PAGE, headers=openapi.ETAG | openapi.LINK),
         304: openapi.NOT_MODIFIED, **openapi.problems(openapi.READ)},
        parameters=[openapi.IF_NONE_MATCH], query=AgendaPageQuery,
    ),
)  # fmt: skip
async def get_agenda(request: Request) -> Response:
    query = deps.query(request, AgendaPageQuery)
    context = f"agenda {query.model_dump_json(exclude={'limit', 'cursor'})}"

    def work(tx: Transaction) -> tuple[list[dict[str, Any]] | None, str | None, str]:
        after = None if query.cursor is None else _position(query.cursor, context)
        tag = conditional.etag(sequence=tx.sequence(), day=tx.today.strftime("%Y%m%d"))
        if conditional.unchanged(request, tag):
            return None, None, tag
        entries = [entry for entry in asked(tx, query) if after is None or entry.urgency > after]
        page = entries[: query.limit]
        return shown(tx, page), _cursor(page[-1], context) if len(entries) > query.limit else None, tag

    items, following, tag = await deps.reading(request, work, query.as_of)
    return deps.not_modified(tag) if items is None else list_answer(items, next_page(request, following), tag)


def asked(tx: Transaction, query: AgendaQuery) -> list[Entry]:
    """The agenda that `query` asks for. Raises Invalid for a body that there is not."""
    if query.body is not None and not records.exists(tx, ORGANIZATION, query.body):
        raise Invalid.parameter("body", "unknown_reference", f"There is no organization {query.body!r}.")
    return agenda(tx, body=query.body, on=query.on)


def _cursor(entry: Entry, context: str) -> str:
    return paging.encode(paging.Position(" ".join(map(str, entry.urgency)), entry.id), context)


def _position(cursor: str, context: str) -> Urgency:
    rank, day, slug = paging.decode(cursor, context, COLLABORATION.c.slug).value.split(" ")
    return int(rank), day, slug
