"""How the registry knows: the citations of a record, what a source supports, and where sources disagree."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.api import conditional, deps, openapi
from app.api.crud import browse_list, list_answer, next_page
from app.api.strict import JSON, StrictRoute, check_media_type, read_body
from app.api.v1 import RESOURCES
from app.api.v1.citations import RESOURCE as CITATIONS
from app.api.v1.citations import CitationQuery, RecordCitationQuery
from app.api.v1.sources import RESOURCE as SOURCES
from app.exchange import verification
from app.exchange.drift import Verdict
from app.exchange.passages import Document, DocumentError
from app.kit import paging, records
from app.kit.db import Transaction
from app.kit.errors import Malformed, NotFound
from app.kit.fields import AsOfQuery, Digits, EdtfDate, Flag
from app.kit.resource import Resource
from app.kit.text import key_of
from app.registry.citations import CITATION, CitedNoun
from app.registry.coverage import coverage
from app.registry.disagreements import Key, disagreements

router = APIRouter(prefix="/v1", route_class=StrictRoute)
TEXT, HTML = "text/plain", "text/html"
NOUNS = {resource.plural: resource for resource in RESOURCES}
BY_TABLE = {resource.table.name: resource for resource in RESOURCES}

# --- the citations of a record ----------------------------------------------------------------------------------------


def _citations_route(resource: Resource[Any], noun: CitedNoun) -> None:
    about = openapi.Operations(resource)

    @router.get(
        f"/{resource.plural}/{{{resource.key_name}}}/citations", tags=[resource.plural],
        **openapi.operation(
            f"list{about.one}Citations", f"List the citations of {about.a}",
            "The passages that state, imply or contradict it or one of its fields. Filters and paging are those of citations.",
            {200: openapi.in_every_form(openapi.ref("CitationPage")), 304: openapi.NOT_MODIFIED,
             **openapi.problems((*openapi.READ, "not-found", "gone"))},
            parameters=[openapi.IF_NONE_MATCH], query=RecordCitationQuery,
        ),
    )  # fmt: skip
    async def list_citations(request: Request, record: str = Path(alias=resource.key_name)) -> Response:
        asked = deps.query(request, RecordCitationQuery)
        if key_of(record) is None:
            raise NotFound(f"No record of {resource.plural} has the id or slug {record[:100]!r}.")
        query = CitationQuery(**asked.model_dump(exclude_unset=True), noun=[noun], record=record)
        return await browse_list(request, CITATIONS, BY_TABLE, query, of=(resource, record))


for _noun in CitedNoun:
    _citations_route(next(resource for resource in RESOURCES if resource.plural == _noun), _noun)


# --- what a source supports -------------------------------------------------------------------------------------------

PLACE: dict[str, Any] = {name: {"type": "integer"} for name in ("section", "paragraph", "sentence")}
PLACES: dict[str, Any] = {"type": "array", "items": openapi.ref("Place")}
TEXT_OR_NULL = {"type": ["string", "null"]}
CITED: dict[str, Any] = {
    "citation": {"type": "string"}, "noun": openapi.ref("CitedNoun"), "record": {"type": "string"},
    "field": {"type": "string", "format": "json-pointer"}, "support": openapi.ref("Support"),
}  # fmt: skip
USE = openapi.object_of("Use", "A citation of the source, and for what.", CITED)
LOST = openapi.object_of("LostUse", "A citation of a place that the source does not have (any more).", CITED | PLACE)
COVERED = openapi.object_of("CoveredPassage", "A passage, and what is cited from it.", {
    **PLACE, "fingerprint": {"type": "string"}, "text": TEXT_OR_NULL, "citations": {"type": "array", "items": USE},
})  # fmt: skip
COVERAGE = openapi.object_of("Coverage", "What a source supports.", {
    "source": {"type": "string"},
    "summary": openapi.object_of(
        "CoverageSummary", "How many of each.",
        {name: {"type": "integer"} for name in ("passages", "cited", "uncited", "lost")},
    ),
    "passages": {"type": "array", "items": COVERED},
    "uncited": {**PLACES, "description": "Passages that support nothing."},
    "whole": {"type": "array", "items": USE, "description": "Citations of the source as a whole."},
    "lost": {"type": "array", "items": LOST},
})  # fmt: skip


@router.get(
    "/sources/{source_id}/coverage", tags=["sources"],
    **openapi.operation(
        "getSourceCoverage", "Get what a source supports",
        "Passage by passage the records for which it is cited, and the passages that support nothing.",
        {200: openapi.ok("The coverage.", COVERAGE), 304: openapi.NOT_MODIFIED,
         **openapi.problems((*openapi.READ, "not-found", "gone"))},
        parameters=[openapi.IF_NONE_MATCH], query=AsOfQuery,
    ),
)  # fmt: skip
async def get_coverage(request: Request, source: str = Path(alias="source_id")) -> Response:
    def work(tx: Transaction) -> tuple[bytes, str]:
        stored = records.fetch(tx, SOURCES, source)
        tag = conditional.etag(stored.version, tx.sequence())
        if conditional.unchanged(request, tag):
            return b"", tag
        passages = msgspec.json.decode(stored.body)["passages"]
        return msgspec.json.encode({"source": stored.slug} | coverage(tx, stored.id, passages)), tag

    body, tag = await deps.reading(request, work, deps.query(request, AsOfQuery).as_of)
    return deps.answer(body, tag) if body else deps.not_modified(tag)


# --- a newer text of a source -----------------------------------------------------------------------------------------


class VerificationQuery(BaseModel):
    """What is done with the newer text."""

    model_config = ConfigDict(extra="forbid")

    accept: Flag = Field(
        default=False,
        description="Take it in: a new edition, with the citations that hold or moved. Nothing else is touched.",
    )
    published: EdtfDate | None = Field(default=None, description="With `accept`: when the newer edition was published.")


VERIFIED = openapi.object_of("VerifiedCitation", "How a citation stands in the newer text.", {
    "citation": {"type": "string"}, "target": openapi.ref("CitationTarget"), "field": {"type": "string"},
    "verdict": TypeAdapter(Verdict).json_schema(), "was": PLACES, "now": PLACES,
    "similarity": {"type": ["number", "null"], "description": "1: word for word; null: nothing to compare."},
})  # fmt: skip
VERIFICATION = openapi.object_of("Verification", "What a newer text of a source means for its citations.", {
    "source": {"type": "string"},
    "summary": openapi.object_of(
        "VerificationSummary", "How many of each.", {name: {"type": "integer"} for name in (*Verdict, "uncited")}
    ),
    "citations": {"type": "array", "items": VERIFIED},
    "uncited": {
        "type": "array", "description": "Passages of the newer text that nothing cites yet.",
        "items": openapi.object_of("NewPassage", "A passage of the newer text.", PLACE | {"text": {"type": "string"}}),
    },
    "accepted": {**TEXT_OR_NULL, "description": "The new edition, with `accept=true`."},
})  # fmt: skip
VERIFYING = """\
Send the text of a newer capture or edition of the source, plain or as HTML; the server fetches nothing. The answer says of each
citation whether it holds (same words, same place), moved (same words, another place), changed (near match), or is gone, and
which passages of the newer text nothing cites yet. Where the registry has only fingerprints of the older text, a reworded
sentence cannot be told from one that is gone. With `accept=true` the newer text becomes an edition that replaces the source."""


@router.post(
    "/sources/{source_id}/verification", tags=["sources"],
    **openapi.operation(
        "verifySource", "Verify the citations of a source against a newer text", VERIFYING,
        {200: openapi.ok("The verdicts.", VERIFICATION, headers={}),
         **openapi.problems((*openapi.WRITE, *openapi.BODY, "not-found", "gone", "conflict"))},
        parameters=[openapi.CHANGE_REASON], query=VerificationQuery, may=("create", "sources"), repeats="answered",
        body=openapi.json_body({"type": "string"}, [TEXT, HTML], example="A sentence of the newer text."),
    ),
)  # fmt: skip
async def verify_source(request: Request, source: str = Path(alias="source_id")) -> Response:
    query, author = deps.query(request, VerificationQuery), deps.author(request)
    check_media_type(request, (TEXT, HTML))
    body = await read_body(request, deps.settings(request).max_body_bytes)
    kind = request.headers["content-type"].partition(";")[0].strip().lower()

    def work(tx: Transaction) -> Response:
        newer = _document(body, kind)
        if query.accept:
            found = verification.accept(tx, NOUNS, source, newer, query.published)
        else:
            found = verification.verify(tx, NOUNS, source, newer).shown()
        return Response(msgspec.json.encode(found), media_type=JSON)

    return await (deps.once(request, work, author) if query.accept else deps.reading(request, work))


def _document(body: bytes, kind: str) -> Document:
    try:
        return verification.read(body, kind)
    except DocumentError as error:
        raise Malformed(str(error)) from None


# --- where sources disagree -------------------------------------------------------------------------------------------


class DisagreementQuery(AsOfQuery):
    """Which disagreements."""

    noun: CitedNoun | None = Field(default=None, description="Only about records of this noun.")
    limit: Annotated[int, Digits] = Field(default=50, ge=1, le=200, description="Disagreements a page, 1 to 200.")
    cursor: str | None = Field(default=None, description="Where the page begins: taken from `next`, as it is.")


STATED = openapi.object_of("StatedPassage", "A passage that states something.", PLACE | {"text": TEXT_OR_NULL})
STATEMENT = openapi.object_of("Statement", "What a citation states of the field.", {
    "citation": {"type": "string"}, "source": {"type": "string"}, "support": openapi.ref("Support"),
    "stated_value": TEXT_OR_NULL, "passages": {"type": "array", "items": STATED},
})  # fmt: skip
DISAGREEMENT = openapi.object_of("Disagreement", "A field for which sources state different values.", {
    "noun": openapi.ref("CitedNoun"), "record": {"type": "string"},
    "field": {"type": "string", "format": "json-pointer"},
    "value": {"description": "What the record says; null where it says nothing."},
    "citations": {"type": "array", "items": STATEMENT},
})  # fmt: skip


@router.get(
    "/disagreements", tags=["registry"],
    **openapi.operation(
        "listDisagreements", "List where sources disagree",
        "Fields for which a citation states another value (`stated_value`) than the record or than another citation, or "
        "contradicts it, with the passages of each, and those of what stands for the record. Dates agree where one lies "
        "within the other: `2014` and `2014-12`. A page may hold fewer than `limit` while there is a `next`.",
        {200: openapi.ok("A page.", openapi.page_of(DISAGREEMENT, "A page of disagreements.", title="DisagreementPage"),
                         headers=openapi.ETAG | openapi.LINK),
         304: openapi.NOT_MODIFIED, **openapi.problems(openapi.READ)},
        parameters=[openapi.IF_NONE_MATCH], query=DisagreementQuery,
    ),
)  # fmt: skip
async def list_disagreements(request: Request) -> Response:
    query = deps.query(request, DisagreementQuery)
    context = f"disagreements {query.noun} {query.as_of}"

    def work(tx: Transaction) -> tuple[list[Any] | None, Key | None, str]:
        after = _key(query.cursor, context)
        tag = conditional.etag(sequence=tx.sequence())
        if conditional.unchanged(request, tag):
            return None, None, tag
        page = disagreements(tx, noun=query.noun, after=after, limit=query.limit)
        return page.items, page.next, tag

    items, last, tag = await deps.reading(request, work, query.as_of)
    return (
        deps.not_modified(tag) if items is None else list_answer(items, next_page(request, _cursor(last, context)), tag)
    )


def _cursor(key: Key | None, context: str) -> str | None:
    return None if key is None else paging.encode(paging.Position(f"{key[0]} {key[2]}", key[1]), context)


def _key(cursor: str | None, context: str) -> Key | None:
    if cursor is None:
        return None
    position = paging.decode(cursor, context, CITATION.field)
    noun, _, field = position.value.partition(" ")
    return noun, UUID(str(position.id)), field
