"""Imports over HTTP: a file in, and a report of every row."""

from __future__ import annotations

import asyncio
import re
from typing import IO, Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.api import deps, openapi
from app.api.deadlines import take_time
from app.api.strict import JSON, StrictRoute, WrongMediaType, read_file
from app.api.v1 import RESOURCES
from app.exchange import files, imports
from app.exchange.imports import File, ImportMode, Report, Wish
from app.exchange.loose_dates import First
from app.kit.collector import resting
from app.kit.db import Transaction
from app.kit.errors import Invalid
from app.kit.fields import Flag, Word
from app.kit.resource import Resource
from app.kit.vocabularies import Vocabulary
from app.kit.writer import Share

router = APIRouter(prefix="/v1", tags=["registry"], route_class=StrictRoute)
NOUNS = {resource.plural: resource for resource in RESOURCES}
TYPES = (files.NDJSON, files.CSV)
_CHARSET = re.compile(r"""\s*charset\s*=\s*"?([\w.:+-]+)"?\s*$""", re.IGNORECASE | re.ASCII)
_ALIASES = {"application/ndjson": files.NDJSON, "application/jsonl": files.NDJSON}


def _renamed(value: Any) -> Any:
    try:
        return files.renamed(value) if isinstance(value, str) else value
    except ValueError as error:
        raise PydanticCustomError("columns", "{reason}", {"reason": str(error)}) from None


Columns = Annotated[
    dict[str, str],
    BeforeValidator(_renamed),
    WithJsonSchema({"type": "string", "examples": ["Partner:name,Contact:"]}),
]


class DateOrder(Vocabulary):
    """Which of two numbers stands first in a date."""

    day = "day", "04/12/2014 is 4 December."
    month = "month", "04/12/2014 is 12 April."


class ImportQuery(BaseModel):
    """How a file is taken."""

    model_config = ConfigDict(extra="forbid")

    noun: str | None = Field(
        default=None, description="Of which noun the records are. Without it each line says so in its field `noun`.",
        json_schema_extra={"enum": list(NOUNS), "examples": ["organizations"]},
    )  # fmt: skip
    mode: ImportMode = Field(
        default=ImportMode.create, description="What a row does to a record that is there already."
    )
    key: Word = Field(
        default="slug",
        description="What tells which record a row is: `slug`, `id`, or the scheme of an identifier (`ror`).",
    )
    dry_run: Flag = Field(default=False, description="Run everything, answer the same, and leave nothing behind.")
    atomic: Flag = Field(default=True, description="`false`: store the good rows though others are refused (207).")
    columns: Columns | None = Field(
        default=None,
        description="For CSV: which column is which, `Partner:name,Since:founded`; nothing behind the colon: it is passed by.",
    )
    dates: DateOrder | None = Field(
        default=None,
        description="For CSV: what stands first in dates such as 04/12/2014. Without it these are refused.",
    )
    rows: Flag = Field(
        default=False, description="Also answer what became of every row, not only of those with a warning."
    )


COUNTS = {
    "created": "Rows that made a new record.", "changed": "Rows that changed one.",
    "unchanged": "Rows that say what is there already.", "failed": "Rows that were refused.",
}  # fmt: skip
ROW = openapi.object_of(
    "ImportedRow", "What a row did.",
    {
        "line": {"type": "integer"}, "noun": {"type": "string", "enum": list(NOUNS)}, "slug": {"type": "string"},
        "action": {"type": "string", "enum": ["created", "changed", "unchanged"]},
        "warnings": {"type": "array", "items": {"type": "string"}},
    },
)  # fmt: skip
REPORT = openapi.object_of(
    "ImportReport", "What an import did.",
    {
        "dry_run": {"type": "boolean"},
        "mode": openapi.ref("ImportMode"),
        **{name: {"type": "integer", "description": text} for name, text in COUNTS.items()},
        "rows": {
            "type": "array", "items": ROW,
            "description": "With `rows=true` every row that was taken, else those with a warning.",
        },
        "errors": {
            "type": "array", "items": openapi.ref("ProblemError"),
            "description": "With `atomic=false`: why rows were refused.",
        },
        "notes": {
            "type": "array", "items": {"type": "string"},
            "description": "What had to be assumed of the file; how much is not told because there is very much of it.",
        },
    },
)  # fmt: skip
ABOUT = """\
NDJSON (a record a line; without `noun` the document set that `/v1/export` answers) or, with `noun`, a table as CSV. All rows or
none: a file with a bad row changes nothing, and every bad row is in `errors` with its line (of more than 10,000 faults the
first). References may name records that come later in the file. In a table they may be names (`UNCTAD`, `World Health
Organization (WHO)`), and dates may be written as people write them (`since 1999`, `Q3 2018`); what has two readings is refused
with a hint. With `dry_run=true` everything runs and nothing stays."""
EXAMPLES = {
    files.NDJSON: '{"noun": "organizations", "slug": "ifc", "name": "International Finance Corporation", "kind": "other"}\n',
    files.CSV: "slug,name,kind,part_of\nifc-academy,IFC Academy,initiative,International Finance Corporation\n",
}


@router.post(
    "/import",
    **openapi.operation(
        "importRecords", "Import a file of records", ABOUT,
        {200: openapi.ok("All rows were taken.", REPORT, headers={}),
         207: openapi.ok("With `atomic=false`: some rows were refused.", REPORT, headers={}),
         **openapi.problems((*openapi.WRITE, *openapi.BODY, "conflict"))},
        parameters=[openapi.CHANGE_REASON], query=ImportQuery, may=("import", "registry"), limit="max_import_bytes",
        body=openapi.text_body(EXAMPLES), repeats="answered",
    ),
)  # fmt: skip
async def import_records(request: Request) -> Response:
    author, query = deps.author(request), deps.query(request, ImportQuery)
    kind, charset = _media_type(request)
    noun = _noun(query, kind)
    with await read_file(request, deps.settings(request).max_import_bytes) as body:
        take_time(request)
        file = await asyncio.to_thread(_read, body, kind, noun, charset, query)
        wish = Wish(query.mode, query.key, atomic=query.atomic, every=query.rows)

        def work(tx: Transaction) -> Response:
            report = imports.load(tx, RESOURCES, file, wish)
            return Response(_shown(report, query), 207 if report.failed else 200, media_type=JSON)

        try:
            with resting():
                return await deps.once(request, work, author, dry_run=query.dry_run, share=Share.never)
        except imports.Refused as refused:
            refused.extra = {"errors": [problem.shown() for problem in refused.problems], "notes": list(refused.notes)}
            raise


def _media_type(request: Request) -> tuple[str, str | None]:
    """The type of the body, and its charset where one is declared. No type that a web form can send. Raises WrongMediaType."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    kind = _ALIASES.get(kind, kind)
    found = [match[1] for piece in parameters.split(";") if (match := _CHARSET.match(piece))]
    encoded = any(value.lower() != "identity" for value in request.headers.getlist("content-encoding"))
    if kind not in TYPES or encoded or (kind == files.NDJSON and found and found[0].lower() != "utf-8"):
        raise WrongMediaType(
            f"The body must be {' or '.join(TYPES)}, not compressed; NDJSON in UTF-8.",
            slug="unsupported-media-type",
            headers={"Accept-Post": ", ".join(TYPES)},
        )
    return kind, found[0] if found else None


def _noun(query: ImportQuery, kind: str) -> Resource[Any] | None:
    if query.noun is None and kind == files.CSV:
        raise Invalid.parameter("noun", "missing", f"A table is of one noun: {', '.join(NOUNS)}.")
    for name in ("columns", "dates"):
        if getattr(query, name) is not None and kind != files.CSV:
            raise Invalid.parameter(name, "unused", "Only a table has columns, and dates in words.")
    if query.noun is not None and query.noun not in NOUNS:
        raise Invalid.parameter("noun", "unknown_noun", f"Allowed: {', '.join(NOUNS)}.")
    return NOUNS[query.noun] if query.noun else None


_FIRST: dict[DateOrder | None, First | None] = {None: None, DateOrder.day: "day", DateOrder.month: "month"}


def _read(body: IO[bytes], kind: str, noun: Resource[Any] | None, charset: str | None, query: ImportQuery) -> File:
    if kind == files.CSV and noun is not None:
        return files.table(body, noun, charset=charset, renamed=query.columns, first=_FIRST[query.dates])
    return files.lines(body, NOUNS, noun)


def _shown(report: Report, query: ImportQuery) -> bytes:
    return msgspec.json.encode(
        {
            "dry_run": query.dry_run,
            "mode": query.mode.value,
            **{action: report.count(action) for action in ("created", "changed", "unchanged")},
            "failed": report.failed,
            "rows": [row.shown() for row in report.rows],
            "errors": [problem.shown() for problem in report.problems],
            "notes": list(report.notes),
        }
    )
