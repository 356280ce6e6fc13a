"""The timeline over HTTP: what happened when, as JSON and as a picture."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import Field, TypeAdapter

from app.api import conditional, deps, negotiation, openapi
from app.api.strict import StrictRoute
from app.exchange import svg
from app.exchange.timelines import extent, picture
from app.kit import edtf
from app.kit.db import Transaction
from app.kit.errors import Invalid
from app.kit.fields import AsOfQuery, EdtfDate, Key
from app.kit.filters import Match
from app.kit.vocabularies import Vocabulary
from app.registry.timelines import Asked, DateField, Item, Timeline, timeline

router = APIRouter(prefix="/v1", tags=["registry"], route_class=StrictRoute)
JSON, SVG = "application/json", svg.MEDIA_TYPE
SVG_HEADERS = {"Content-Security-Policy": f"default-src 'none'; style-src '{svg.STYLE_HASH}'"}


class TimelineForm(Vocabulary):
    """In which form the timeline is answered."""

    json = "json", "JSON."
    svg = "svg", "A picture."


NAMED = {TimelineForm.json: JSON, TimelineForm.svg: SVG}


class TimelineQuery(AsOfQuery):
    """Which part of the timeline."""

    organization: Key | None = Field(
        default=None,
        description="Its own life, the collaborations it takes part in, and the milestones of both.",
        examples=["unctad"],
    )
    collaboration: Key | None = Field(
        default=None, description="This collaboration and its milestones alone.", examples=["unctad-mou"]
    )
    from_: EdtfDate | None = Field(default=None, alias="from", description="Begin of the window: an EDTF date.")
    to: EdtfDate | None = Field(default=None, description="End of the window: an EDTF date.")
    match: Match = Field(
        default=Match.possible,
        description="`possible`: the date may fall into the window; `certain`: it surely does, and nothing is undated.",
    )
    format: TimelineForm | None = Field(default=None, description="The form; without it `Accept` chooses.")

    @property
    def window(self) -> tuple[date, date] | None:
        """The days from the first to the last. Raises Invalid for a window that ends before it begins."""
        if self.from_ is None and self.to is None:
            return None
        start = edtf.parse(self.from_).earliest if self.from_ else edtf.FIRST
        end = edtf.parse(self.to).latest if self.to else edtf.LAST
        if end < start:
            raise Invalid.parameter("to", "window", "The window ends before it begins.")
        return start, end


DAY = {"type": ["string", "null"], "format": "date"}
ITEM: dict[str, Any] = {
    "type": "object", "title": "TimelineItem",
    "properties": {
        "noun": {"type": "string", "enum": ["collaborations", "milestones", "organizations"]},
        "slug": {"type": "string"}, "title": {"type": "string"},
        "kind": {"type": "string", "description": "The type of a collaboration; the kind of a milestone or an organization."},
        "kind_label": {"type": "string", "description": "The label of that type."},
        "status": {"type": ["string", "null"]},
        "field": TypeAdapter(DateField).json_schema(),
        "date": {"type": ["string", "null"], "format": "edtf"},
        "earliest": DAY | {"description": "The first day on which it can have begun; 0001-01-01: not known, or open."},
        "begun": DAY | {"description": "From then on it surely has begun; 9999-12-31: no day is."},
        "ended": DAY | {"description": "Until then it surely has not ended; 9999-12-31: it goes on; 0001-01-01: no day is."},
        "latest": DAY | {"description": "The last day on which it can have ended; 9999-12-31: not known, or open."},
    },
    "required": list(Item.__dataclass_fields__),
}  # fmt: skip
TIMELINE: dict[str, Any] = {
    "type": "object", "title": "Timeline",
    "properties": {
        "from": DAY | {"description": "The window's first day, or the first that is known."},
        "to": DAY | {"description": "The window's last day, or the last that is known."},
        "items": {"type": "array", "items": ITEM, "description": "By date (its earliest day), then by slug."},
        "undated": {"type": "array", "items": ITEM, "description": "What states no date, by noun and slug."},
        "truncated": {"type": "boolean", "description": "There is more than 500 of one of them: ask for a window."},
    },
    "required": ["from", "to", "items", "undated", "truncated"],
}  # fmt: skip
ABOUT = """\
The periods of collaborations and the dates of milestones (or, where these have none, the days that they are promised for); with
`organization` also its life, from its founding to its dissolution. Each with its EDTF text and the days that follow from it.
What states no date is listed apart. At most 500 items, the earliest, and as many undated ones."""
EXAMPLE: dict[str, Any] = {
    "from": "1999-01-01", "to": "2018-12-31",
    "items": [{
        "noun": "milestones", "slug": "wif-2014-session", "title": "Creating More and Better Jobs through Investment",
        "kind": "session", "kind_label": "session", "status": "met", "field": "date", "date": "2014", "earliest": "2014-01-01",
        "begun": "2014-12-31", "ended": "2014-01-01", "latest": "2014-12-31",
    }],
    "undated": [], "truncated": False,
}  # fmt: skip


def _responses() -> dict[int | str, Any]:
    shown = openapi.ok("The timeline.", TIMELINE, example=EXAMPLE)
    shown["content"][SVG] = {"schema": {"type": "string"}}
    problems = openapi.problems((*openapi.READ, "not-acceptable"))
    return {200: shown, 304: openapi.NOT_MODIFIED, **problems}


@router.get(
    "/timeline",
    **openapi.operation(
        "getTimeline", "Get the timeline", ABOUT, _responses(), parameters=[openapi.IF_NONE_MATCH], query=TimelineQuery
    ),
)
async def get_timeline(request: Request) -> Response:
    query = deps.query(request, TimelineQuery)
    kind = negotiation.preferred(request, (JSON, SVG)) if query.format is None else NAMED[query.format]
    asked = Asked(query.organization, query.collaboration, query.window, query.match)

    def work(tx: Transaction) -> tuple[bytes, str]:
        tag = conditional.etag(sequence=tx.sequence(), form="svg" if kind == SVG else "json")
        if conditional.unchanged(request, tag):
            return b"", tag
        found = timeline(tx, asked)
        return picture(found, asked.window, _title(found, query)) if kind == SVG else _json(found, asked), tag

    body, tag = await deps.reading(request, work, query.as_of)
    headers = negotiation.VARY | (SVG_HEADERS if kind == SVG else {})
    return deps.answer(body, tag, headers=headers, media_type=kind) if body else deps.not_modified(tag, headers)


def _json(found: Timeline, asked: Asked) -> bytes:
    first, last = extent(found, asked.window)
    return msgspec.json.encode({"from": first, "to": last, **asdict(found)})


def _title(found: Timeline, query: TimelineQuery) -> str:
    """The name of what the timeline is of, if it is of one thing."""
    noun = "collaborations" if query.collaboration else "organizations" if query.organization else None
    return next((item.title for item in (*found.items, *found.undated) if item.noun == noun), "Timeline")
