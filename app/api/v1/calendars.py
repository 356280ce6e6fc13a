"""Calendars to subscribe to: milestones, and the agenda of reviews."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from app.api import conditional, deps, openapi
from app.api.strict import StrictRoute, read_query
from app.api.v1.agenda import AgendaQuery, asked
from app.api.v1.milestones import RESOURCE as MILESTONES
from app.api.v1.milestones import MilestoneQuery
from app.exchange.calendar import MEDIA_TYPE, Event, calendar
from app.kit import records
from app.kit.db import Transaction
from app.kit.errors import Fault, Invalid, Malformed
from app.registry.agenda import shown
from app.registry.milestones import MilestoneStatus

router = APIRouter(prefix="/v1", route_class=StrictRoute)
MOST = 5_000
"""Events in one calendar."""
OF_PAGES = ("limit", "cursor", "sort", "count", "fields", "include", "format", "bom")
"""Parameters of a list that a calendar does not have: it is whole, in the order of its program."""


def _responses() -> dict[int | str, Any]:
    shown: dict[str, Any] = {
        "description": "The calendar.", "headers": openapi.ETAG, "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    }  # fmt: skip
    return {200: shown, 304: openapi.NOT_MODIFIED, **openapi.problems(openapi.READ)}


@router.get(
    "/milestones.ics", tags=["milestones"],
    **openapi.operation(
        "getMilestoneCalendar", "Subscribe to milestones",
        "Milestones as iCalendar (RFC 5545), by the filters of their list. One that is planned and has no date stands on the "
        "day it is promised for; one without either is left out. A date that is not exact is an event of all days it may be.",
        _responses(), parameters=[openapi.IF_NONE_MATCH], query=MilestoneQuery, without=OF_PAGES,
    ),
)  # fmt: skip
async def get_milestone_calendar(request: Request) -> Response:
    given = [name for name in OF_PAGES if name in read_query(request.scope["query_string"])]
    if given:
        faults = [Fault("unknown_parameter", "A calendar is whole: it has no pages.", parameter=name) for name in given]
        raise Malformed("A parameter has no meaning here.", slug="unknown-parameter", faults=faults)
    query = deps.query(request, MilestoneQuery)
    return await _calendar(request, "Milestones", lambda tx: _milestones(tx, query), query.as_of)


@router.get(
    "/agenda.ics", tags=["registry"],
    **openapi.operation(
        "getAgendaCalendar", "Subscribe to the agenda of reviews",
        "When the reviews on the agenda are due, as iCalendar (RFC 5545). What was never reviewed has no date and is left out.",
        _responses(), parameters=[openapi.IF_NONE_MATCH], query=AgendaQuery,
    ),
)  # fmt: skip
async def get_agenda_calendar(request: Request) -> Response:
    query = deps.query(request, AgendaQuery)
    return await _calendar(request, "Reviews", lambda tx: _reviews(tx, query), query.as_of)


async def _calendar(
    request: Request, name: str, events: Callable[[Transaction], Iterator[Event]], as_of: int | date | datetime | None
) -> Response:
    def work(tx: Transaction) -> tuple[bytes, str]:
        tag = conditional.etag(sequence=tx.sequence(), day=tx.today.strftime("%Y%m%d"), form="ics")
        return (b"" if conditional.unchanged(request, tag) else calendar(events(tx), name=name)), tag

    body, tag = await deps.reading(request, work, as_of)
    return deps.answer(body, tag, media_type=f"{MEDIA_TYPE}; charset=utf-8") if body else deps.not_modified(tag)


def _milestones(tx: Transaction, query: MilestoneQuery) -> Iterator[Event]:
    found, page = 0, query.model_copy(update={"limit": 200})
    while True:
        answer = records.browse(tx, MILESTONES, page)
        found += len(answer.items)
        if found > MOST:
            raise Invalid(f"A calendar holds {MOST} milestones at most. Ask for fewer by a filter.")
        for body in answer.items:
            document = msgspec.json.decode(body)
            if (when := document["date"] or document["due"]) is not None:
                yield _milestone(document, when)
        if answer.next is None:
            return
        page = page.model_copy(update={"cursor": answer.next})


def _milestone(document: dict[str, Any], when: str) -> Event:
    status = document["status"]
    return Event(
        **_record(document), title=document["title"], date=when, description=document["description"],
        place=document["place"], url=document["url"], categories=(document["kind"],),
        tentative=status == MilestoneStatus.planned,
        cancelled=status in (MilestoneStatus.cancelled, MilestoneStatus.not_met) or "withdrawn_at" in document,
    )  # fmt: skip


def _reviews(tx: Transaction, query: AgendaQuery) -> Iterator[Event]:
    entries = [entry for entry in asked(tx, query) if entry.state["next_review_due"] is not None]
    if len(entries) > MOST:
        raise Invalid(f"A calendar holds {MOST} reviews at most. Ask for one `body`.")
    for item in shown(tx, entries):
        last = item["findings"][0]
        about = f"Last reviewed {item['last_reviewed']}: {last['finding']}."
        yield Event(
            **_record(item), title=f"Review: {item['title']}", date=str(item["next_review_due"]), description=about,
            categories=(item["review_status"],), tentative=True,
        )  # fmt: skip


def _record(document: dict[str, Any]) -> dict[str, Any]:
    moments = {name: datetime.fromisoformat(document[name]) for name in ("created_at", "updated_at")}
    return {"id": document["id"], "version": document["version"], **moments}
