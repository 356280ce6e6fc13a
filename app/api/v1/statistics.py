"""The statistics over HTTP: how much the registry holds, of what, since when, and how well it is proven."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from app.api import conditional, deps, openapi
from app.api.strict import StrictRoute
from app.api.v1 import RESOURCES
from app.kit.db import Transaction
from app.kit.fields import AsOfQuery
from app.registry.statistics import statistics

router = APIRouter(prefix="/v1", tags=["registry"], route_class=StrictRoute)


def _counts(about: str) -> dict[str, Any]:
    return {"type": "object", "description": about, "additionalProperties": {"type": "integer"}}


def _object(title: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "title": title, "properties": properties, "required": list(properties)}


NUMBER = {"type": "integer"}
YEARS = _object(
    "YearCounts",
    uncertain={**NUMBER, "description": "The date leaves open in which year it began: `201X`, `2011?`, `../2005`."},
    undated={**NUMBER, "description": "No date is stated."},
    years=_counts("By the year in which it surely began. Years without any are left out."),
)
EVIDENCE = _object(
    "EvidenceCounts",
    records=_object(
        "CitedRecordCounts",
        cited={
            **NUMBER,
            "description": "Records with a citation, of the whole or of a field. One that contradicts is none.",
        },
        uncited=NUMBER,
    ),
    fields=_object(
        "CitedFieldCounts",
        citable={**NUMBER, "description": "Fields that hold something."},
        cited={**NUMBER, "description": "Those of them that a citation names, or a part of which."},
        share={
            "type": ["number", "null"],
            "description": "`cited` / `citable`, to four places; null where there is none.",
        },
    ),
)
STATISTICS = _object(
    "Statistics",
    totals=_counts("By noun."),
    organizations=_object("OrganizationCounts", kind=_counts("By kind.")),
    collaborations=_object(
        "CollaborationCounts",
        type=_counts("By type, those of narrower types not included."),
        status=_counts("By status."),
        role=_counts("Parts of organizations, by role. One organization may have several."),
        review_status=_counts("By what the calendar says of their review."),
        begun=YEARS,
    ),
    milestones=_object("MilestoneCounts", kind=_counts("By kind."), status=_counts("By status."), happened=YEARS),
    evidence={"type": "object", "description": "By noun.", "additionalProperties": EVIDENCE},
)
EXAMPLE: dict[str, Any] = {
    "totals": {"collaborations": 23, "organizations": 25},
    "organizations": {"kind": {"intergovernmental_organization": 3, "organ": 6}},
    "collaborations": {
        "type": {"event-participation": 4}, "status": {"active": 16}, "role": {"partner": 7},
        "review_status": {"current": 0, "due": 0, "never": 0, "none": 23, "overdue": 0},
        "begun": {"uncertain": 0, "undated": 20, "years": {"1999": 1, "2011": 1, "2014": 1}},
    },
    "milestones": {
        "kind": {"signature": 3}, "status": {"met": 13, "planned": 1},
        "happened": {"uncertain": 0, "undated": 10, "years": {"1999": 1, "2011": 1, "2014": 1, "2018": 1}},
    },
    "evidence": {
        "organizations": {"records": {"cited": 25, "uncited": 0}, "fields": {"citable": 81, "cited": 0, "share": 0.0}},
    },
}  # fmt: skip
ABOUT = """\
Counts of what stands in the registry: withdrawn records do not count. Every value of a vocabulary is there, with 0 where none
has it; names are sorted. A record counts for a year if its date leaves no doubt that it began in it; what it leaves open is
counted apart. With `as_of` the registry, and the calendar of reviews, of that day."""


@router.get(
    "/stats",
    **openapi.operation(
        "getStatistics", "Get the statistics of the registry", ABOUT,
        {200: openapi.ok("The statistics.", STATISTICS, example=EXAMPLE), 304: openapi.NOT_MODIFIED,
         **openapi.problems(openapi.READ)},
        parameters=[openapi.IF_NONE_MATCH], query=AsOfQuery,
    ),
)  # fmt: skip
async def get_statistics(request: Request) -> Response:
    query = deps.query(request, AsOfQuery)

    def work(tx: Transaction) -> tuple[bytes, str]:
        tag = conditional.etag(sequence=tx.sequence(), day=tx.today.strftime("%Y%m%d"))
        return b"" if conditional.unchanged(request, tag) else msgspec.json.encode(statistics(tx, RESOURCES)), tag

    body, tag = await deps.reading(request, work, query.as_of)
    return deps.answer(body, tag) if body else deps.not_modified(tag)
