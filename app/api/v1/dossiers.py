"""Dossiers over HTTP: what an officer takes to the session, as JSON, Markdown or a page to print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Path, Request, Response
from pydantic import BeforeValidator, Field, TypeAdapter, WithJsonSchema

from app.api import conditional, deps, negotiation, openapi
from app.api.strict import StrictRoute
from app.api.v1.collaborations import RESOURCE as COLLABORATIONS
from app.api.v1.reviews import RESOURCE as REVIEWS
from app.exchange import dossiers
from app.kit import records
from app.kit.db import Transaction
from app.kit.fields import AsOfQuery, point_or_key
from app.registry.dossiers import About, Event, Since, lines, since

router = APIRouter(prefix="/v1", route_class=StrictRoute)
JSON, MARKDOWN, HTML = "application/json", "text/markdown", "text/html"
OFFERED = (JSON, MARKDOWN, HTML)
HTML_HEADERS = {"Content-Security-Policy": f"default-src 'none'; style-src '{dossiers.STYLE_HASH}'"}
STATE = ("title", "type", "status", "period", "last_reviewed", "next_review_due", "review_status")


class DossierQuery(AsOfQuery):
    """Since when."""

    since: (
        Annotated[
            int | date | datetime | str,
            BeforeValidator(point_or_key),
            WithJsonSchema({"type": "string", "examples": ["2024-03-28", "1042", "gb-322-review"]}),
        ]
        | None
    ) = Field(
        default=None,
        description="A date or a moment, a number of the sequence, or a review (slug or id; the end of its day). Without it: "
        "the latest review that was held.",
    )


EVIDENCE = openapi.object_of("LineEvidence", "A citation that stands for a line.", {
    "citation": {"type": "string"}, "source": {"type": "string"}, "support": openapi.ref("Support"),
    "passages": {"type": "array", "items": openapi.ref("Place")},
})  # fmt: skip
LINE = openapi.object_of("DossierLine", "One thing that happened.", {
    "about": TypeAdapter(About).json_schema(), "event": TypeAdapter(Event).json_schema(),
    "noun": {"type": "string"}, "record": {"type": "string"}, "title": {"type": "string"},
    "field": {"type": "string", "format": "json-pointer"}, "was": {}, "now": {},
    "sequence": {"type": ["integer", "null"], "description": "The last write that told it; null: the calendar alone."},
    "at": {"type": ["string", "null"], "format": "date-time"},
    "citations": {"type": "array", "items": EVIDENCE, "description": "The passages that stand for it."},
})  # fmt: skip
START = openapi.object_of("DossierStart", "From where it tells.", {
    "sequence": {"type": "integer"}, "review": {"type": ["string", "null"]},
})  # fmt: skip
END = openapi.object_of("DossierEnd", "Up to where it tells.", {
    "sequence": {"type": "integer"}, "on": {"type": "string", "format": "date"},
})  # fmt: skip
SECTION = openapi.object_of("CollaborationDossier", "What happened to a collaboration between two moments.", {
    "collaboration": {"type": "string"}, **{name: {"type": ["string", "null"]} for name in STATE},
    "since": START, "until": END, "lines": {"type": "array", "items": LINE},
})  # fmt: skip
OF_REVIEW = openapi.object_of("ReviewDossier", "The dossiers of all collaborations on the agenda of a review.", {
    "review": {"type": "string"}, "title": {"type": "string"}, "sections": {"type": "array", "items": SECTION},
})  # fmt: skip


def _responses(schema: dict[str, Any]) -> dict[int | str, Any]:
    shown = openapi.ok("The dossier.", schema)
    shown["content"] |= {kind: {"schema": {"type": "string"}} for kind in (MARKDOWN, HTML)}
    problems = openapi.problems((*openapi.READ, "not-found", "gone", "not-acceptable"))
    return {200: shown, 304: openapi.NOT_MODIFIED, **problems}


@router.get(
    "/collaborations/{collaboration_id}/dossier", tags=["collaborations"],
    **openapi.operation(
        "getCollaborationDossier", "Get the dossier of a collaboration",
        "Everything that was added, changed, met, missed, confirmed or withdrawn since then: its own fields, participants, "
        "milestones, evidence and reviews, each line with its citations. As JSON, Markdown, or HTML to print.",
        _responses(SECTION), parameters=[openapi.IF_NONE_MATCH], query=DossierQuery,
    ),
)  # fmt: skip
async def get_collaboration_dossier(request: Request, collaboration: str = Path(alias="collaboration_id")) -> Response:
    query = deps.query(request, DossierQuery)

    def work(tx: Transaction) -> tuple[str, Any, list[Any]]:
        section = _section(tx, collaboration, lambda identifier: since(tx, identifier, query.since))
        return section["title"], section, [section]

    return await _answered(request, work, query)


@router.get(
    "/reviews/{review_id}/dossier", tags=["reviews"],
    **openapi.operation(
        "getReviewDossier", "Get the dossier of a review",
        "The dossiers of all collaborations on its agenda, each since the review before. As JSON, Markdown, or HTML to print.",
        _responses(OF_REVIEW), parameters=[openapi.IF_NONE_MATCH], query=DossierQuery,
    ),
)  # fmt: skip
async def get_review_dossier(request: Request, review: str = Path(alias="review_id")) -> Response:
    query = deps.query(request, DossierQuery)

    def work(tx: Transaction) -> tuple[str, Any, list[Any]]:
        stored = records.fetch(tx, REVIEWS, review)
        document = msgspec.json.decode(stored.body)
        slugs = dict.fromkeys(item["collaboration"] for item in document["items"])
        sections = [_section(tx, slug, lambda found: since(tx, found, query.since, before=stored.id)) for slug in slugs]
        return document["title"], {"review": stored.slug, "title": document["title"], "sections": sections}, sections

    return await _answered(request, work, query)


def _section(tx: Transaction, key: str, begin: Callable[[UUID], Since]) -> dict[str, Any]:
    stored = records.fetch(tx, COLLABORATIONS, key)
    document, start = msgspec.json.decode(stored.body), begin(stored.id)
    return {
        "collaboration": stored.slug, **{name: document[name] for name in STATE},
        "since": {"sequence": start.sequence, "review": start.review},
        "until": {"sequence": tx.sequence(), "on": str(tx.today)},
        "lines": [asdict(line) for line in lines(tx, stored.id, start)],
    }  # fmt: skip


async def _answered(
    request: Request, work: Callable[[Transaction], tuple[str, Any, Sequence[Any]]], query: DossierQuery
) -> Response:
    """The dossier in the form that the client likes best."""
    kind = negotiation.preferred(request, OFFERED)

    def render(tx: Transaction) -> tuple[bytes, str]:
        form = kind.partition("/")[2]
        tag = conditional.etag(sequence=tx.sequence(), day=tx.today.strftime("%Y%m%d"), form=form)
        if conditional.unchanged(request, tag):
            return b"", tag
        title, document, sections = work(tx)
        if kind == JSON:
            return msgspec.json.encode(document), tag
        return (dossiers.markdown if kind == MARKDOWN else dossiers.page)(title, sections).encode(), tag

    body, tag = await deps.reading(request, render, query.as_of)
    headers = negotiation.VARY | (HTML_HEADERS if kind == HTML else {})
    if not body:
        return deps.not_modified(tag, headers)
    return deps.answer(body, tag, headers=headers, media_type=kind)
