"""Proposals over HTTP: whoever has a key proposes, a reviewer decides, nobody on their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.api import conditional, deps, openapi
from app.api.crud import next_page, unkept_list
from app.api.strict import JSON, StrictRoute, read_object
from app.api.v1 import RESOURCES
from app.api.v1.changes import NounName
from app.api.v1.citations import Place
from app.kit import paging, records, revisions
from app.kit.db import Transaction
from app.kit.errors import Invalid
from app.kit.fields import CommaSeparated, Digits, Distinct, Key, Note, Part, Pointer
from app.kit.writer import Work
from app.registry import proposals
from app.registry.citations import Support
from app.registry.proposals import ProposalStatus, Wanted

router = APIRouter(prefix="/v1/proposals", tags=["proposals"], route_class=StrictRoute)
NOUNS = {resource.plural: resource for resource in RESOURCES}
Reason = Annotated[Note, Field(min_length=1)]


class ProposedCitation(Part):
    """The evidence for what is proposed: a citation, but for its target, which is the record."""

    source: Key
    passages: Annotated[list[Place], Distinct] = Field(default=[], max_length=200)
    field: Pointer = Field(
        default="", description="JSON Pointer (RFC 6901) into the record; empty: the record as a whole."
    )
    stated_value: Note | None = None
    support: Support = Support.states
    note: Note | None = None


class ProposalIn(Part):
    """A change of a record (`record` and `patch`) or a new one (`body`), with its evidence and a reason."""

    noun: NounName
    record: Key | None = Field(default=None, description="Slug or id of the record that is to change.")
    if_match: str | None = Field(
        default=None,
        max_length=1000,
        description="With `record`: the version that the patch was written for, as its ETag or bare number. 412 where others "
        "have changed the record since; without it, the patch is for the record as it is.",
    )
    patch: dict[str, Any] | None = Field(default=None, description="A JSON merge patch (RFC 7396) of it.")
    body: dict[str, Any] | None = Field(default=None, description="A new record, as POST to its noun takes it.")
    citation: ProposedCitation | None = Field(
        default=None, description="Needed, but for a proposal on `citations`, which are evidence themselves."
    )
    reason: Reason = Field(description="Why: the history keeps it when the proposal is accepted.")


class Decision(Part):
    """What the one who decides says to it."""

    reason: Reason | None = None


class Refusal(Part):
    """Why not."""

    reason: Reason


class ProposalsQuery(BaseModel):
    """Which proposals."""

    model_config = ConfigDict(extra="forbid")

    status: Annotated[list[ProposalStatus] | None, CommaSeparated, Distinct] = Field(
        default=None, description="Only those that stand so."
    )
    noun: Annotated[list[NounName] | None, CommaSeparated] = Field(default=None, description="Only for these nouns.")
    record: Key | None = Field(default=None, description="With one `noun`: for this record of it (slug or id).")
    proposer: str | None = Field(
        default=None, max_length=255, description="Only by the key of this name.", examples=["maria.rossi"]
    )
    sort: Literal["-created_at", "created_at"] = Field(
        default="-created_at", description="The newest first, or the oldest."
    )
    limit: Annotated[int, Digits] = Field(default=50, ge=1, le=200, description="Proposals a page, 1 to 200.")
    cursor: str | None = Field(default=None, description="Where the page begins: taken from `next`, as it is.")


# --- what OpenAPI says ----------------------------------------------------------------------------------------------

TEXT_OR_NULL = {"type": ["string", "null"]}
NUMBER_OR_NULL = {"type": ["integer", "null"]}
OBJECT_OR_NULL = {"type": ["object", "null"], "additionalProperties": True}
MOMENT = {"type": "string", "format": "date-time"}
WRITTEN = openapi.object_of("ProposalOutcome", "What accepting a proposal wrote.", {
    "record": {"type": "string"}, "version": {"type": "integer"},
    "sequence": {"type": "integer", "description": "Number of the write in the registry."},
    "citation": {**TEXT_OR_NULL, "description": "Its evidence."},
})  # fmt: skip
ENTRY: dict[str, Any] = {
    "id": {"type": "string", "format": "uuid"}, "noun": {"type": "string"},
    "record": {**TEXT_OR_NULL, "description": "Its slug; of a new record null until it is accepted."},
    "version": {**NUMBER_OR_NULL, "description": "The version that the record had when it was proposed; null: a new record."},
    "fields": {"type": "array", "items": {"type": "string"}, "description": "What it sets."},
    "reason": {"type": "string"}, "proposer": {"type": "string"}, "created_at": MOMENT,
    "status": TypeAdapter(ProposalStatus).json_schema(),
    "decided_by": TEXT_OR_NULL, "decided_at": {**TEXT_OR_NULL, "format": "date-time"},
    "decision": {**TEXT_OR_NULL, "description": "What the one who decided said to it."},
    "written": {"anyOf": [WRITTEN, {"type": "null"}]},
}  # fmt: skip
DIFFERENCES: dict[str, Any] = {"type": "array", "items": openapi.DIFFERENCE}
PROPOSAL = openapi.object_of("Proposal", "What somebody proposes, and how it stands.", ENTRY | {
    "patch": {**OBJECT_OR_NULL, "description": "The fields that it changes, as they would be stored."},
    "body": {**OBJECT_OR_NULL, "description": "The new record, as it would be stored."},
    "citation": OBJECT_OR_NULL,
    "diff": {**DIFFERENCES, "description": "In what it differs from the record as it was then."},
    "diff_now": {
        "anyOf": [DIFFERENCES, {"type": "null"}],
        "description": "The same from the record as it is now; null where it is withdrawn, or the proposal decided.",
    },
    "applies": {"type": "boolean", "description": "Whether it could be accepted now."},
    "problems": {
        "type": "array", "items": openapi.ref("ProblemError"),
        "description": "What speaks against that; the pointers lead into the proposal.",
    },
})  # fmt: skip
PAGE = openapi.page_of(
    openapi.object_of("ProposalEntry", "A proposal, without what it proposes.", ENTRY),
    "A page of proposals.",
    title="ProposalPage",
)
EXAMPLE = {
    "noun": "organizations", "record": "oecd", "patch": {"url": "https://oecd.example/"}, "reason": "It was missing.",
    "citation": {
        "source": "mne-declaration-page", "passages": [{"section": 4, "paragraph": 1, "sentence": 1}], "support": "implies",
    },
}  # fmt: skip
ABOUT = """\
Whoever has a key may propose: of a `record` a merge `patch`, or a new record in `body`. All of it is checked at once, as if it
were written now: fields, references, rules, and the passages of the citation; nothing is written to the registry. Everybody
with a key sees what would change, and whether it still applies; a reviewer accepts or refuses it."""
ACCEPTING = """\
The change, or the new record, with its citation, is written in one transaction, under the rules of any write. The history
names the reviewer (`author`) and the proposer (`proposed_by`), and gives the proposer's reason. 403 for one's own. 409 when it
is decided already (`proposal` says how), and when it does not apply any more: `errors` says why, field by field."""


def _key(example: str) -> Any:
    return Path(description="Id of the proposal.", examples=[f"01935f7e-8c00-7000-8000-{example:0>12}"])


READ, ACCEPTED, REFUSED, RETRACTED = (_key(each) for each in ("a1", "a2", "a3", "a4"))
PRIVATE = {"Cache-Control": "private, no-cache"}
"""One may keep it and must ask whether it still holds; a proxy may not: it is for those who have a key."""


def _deciding(name: str, summary: str, about: str, body: type[Part], example: Any, verb: str) -> dict[str, Any]:
    refusals = (*openapi.WRITE, *openapi.BODY, "not-found", "conflict")
    return openapi.operation(
        name, summary, about,
        {200: openapi.ok("Decided.", openapi.ref("Proposal")), **openapi.problems(refusals)},
        body=openapi.json_body(openapi.ref(body), [JSON], example=example), may=(verb, "proposals"), repeats="answered",
    )  # fmt: skip


# --- routes ---------------------------------------------------------------------------------------------------------


@router.get(
    "",
    **openapi.operation(
        "listProposals", "List proposals",
        "By whom, for which record, why, and how each stands. What it proposes is read one by one.",
        {200: openapi.ok("A page.", PAGE, headers=openapi.LINK), **openapi.problems(openapi.READ)},
        query=ProposalsQuery, may=("read", "proposals"),
    ),
)  # fmt: skip
async def list_proposals(request: Request) -> Response:
    query = deps.query(request, ProposalsQuery)
    _insist_on_nouns(query)
    order = proposals.ORDERS[query.sort]
    context = "proposals" + query.model_dump_json(exclude={"cursor", "limit"}, exclude_none=True)
    after = None if query.cursor is None else paging.decode(query.cursor, context, order.column)

    def work(tx: Transaction) -> tuple[list[dict[str, Any]], paging.Position | None]:
        return proposals.browse(tx, list(_conditions(tx, query)), order, limit=query.limit, after=after)

    items, last = await deps.reading(request, work, primary=True)
    following = next_page(request, None if last is None else paging.encode(last, context))
    return unkept_list(items, following)


@router.post(
    "",
    **openapi.operation(
        "createProposal", "Propose a change or a new record", ABOUT,
        {201: openapi.ok("Proposed.", openapi.ref("Proposal"), headers=openapi.ETAG | openapi.LOCATION),
         **openapi.problems((*openapi.READ, "read-only", *openapi.BODY, "conflict", "precondition-failed"))},
        status=201, may=("create", "proposals"), repeats="answered",
        body=openapi.json_body(openapi.ref("ProposalIn"), [JSON], example=EXAMPLE),
    ),
)  # fmt: skip
async def create_proposal(request: Request) -> Response:
    author = deps.author(request)
    document = await read_object(request, limit=deps.settings(request).max_body_bytes)
    wanted = _wanted(records.parsed(ProposalIn, document))

    def work(tx: Transaction) -> Response:
        key = str(proposals.make(tx, NOUNS, wanted))
        return _answer(*_seen(tx, key), status=201, headers={"Location": deps.path(request, f"/v1/proposals/{key}")})

    return await deps.once(request, work, author)


@router.get(
    "/{proposal_id}",
    **openapi.operation(
        "getProposal", "Get a proposal",
        "What is proposed; in what it differs from the record as it was and as it is; whether it could be accepted now, and "
        "what speaks against it. The answer is computed when it is asked for, and writes nothing.",
        {200: openapi.ok("The proposal.", PROPOSAL), 304: openapi.NOT_MODIFIED,
         **openapi.problems((*openapi.READ, "not-found"))},
        parameters=[openapi.IF_NONE_MATCH], may=("read", "proposals"),
    ),
)  # fmt: skip
async def get_proposal(request: Request, proposal_id: str = READ) -> Response:
    return await _shown(request, proposal_id)


@router.post(
    "/{proposal_id}/accept",
    **_deciding("acceptProposal", "Accept a proposal", ACCEPTING, Decision, {"reason": "As the page says."}, "decide"),
)
async def accept_proposal(request: Request, proposal_id: str = ACCEPTED) -> Response:
    said = await _said(request, Decision)
    return await _decided(request, proposal_id, lambda tx: proposals.accept(tx, NOUNS, proposal_id, said.reason))


@router.post(
    "/{proposal_id}/refuse",
    **_deciding(
        "refuseProposal", "Refuse a proposal", "Nothing is written, and the reason is kept. 403 for one's own, 409 when it is "
        "decided already.", Refusal, {"reason": "The passage is about another body."}, "decide",
    ),
)  # fmt: skip
async def refuse_proposal(request: Request, proposal_id: str = REFUSED) -> Response:
    said = await _said(request, Refusal)
    return await _decided(request, proposal_id, lambda tx: proposals.refuse(tx, proposal_id, said.reason))


@router.post(
    "/{proposal_id}/retract",
    **_deciding(
        "retractProposal", "Take a proposal back", "By the one who made it. 403 for another's, 409 when it is decided already.",
        Decision, {}, "create",
    ),
)  # fmt: skip
async def retract_proposal(request: Request, proposal_id: str = RETRACTED) -> Response:
    said = await _said(request, Decision)
    return await _decided(request, proposal_id, lambda tx: proposals.retract(tx, proposal_id, said.reason))


# --- what the routes do ---------------------------------------------------------------------------------------------


def _wanted(given: ProposalIn) -> Wanted:
    """What the type of a proposal does not say. Raises Invalid."""
    if given.noun not in NOUNS:
        raise Invalid.at("/noun", "unknown_noun", f"There is no noun {given.noun[:50]!r}.")
    takes, other = ("patch", "body") if given.record is not None else ("body", "patch")
    content = getattr(given, takes)
    if getattr(given, other) is not None:
        means = "A change of a record takes `patch`." if takes == "patch" else "A patch needs `record`."
        raise Invalid.at(f"/{other}", "unused", means)
    if content is None:
        raise Invalid.at(f"/{takes}", "missing", "Say what you propose: `record` and `patch`, or `body`.")
    if given.if_match is not None and given.record is None:
        raise Invalid.at("/if_match", "unused", "A new record has no version yet.")
    expected = conditional.expected_in(given.if_match, "/if_match")
    citation = None if given.citation is None else given.citation.model_dump(mode="json", exclude_unset=True)
    if citation is not None:
        citation.setdefault("support", Support.states.value)
    meant = records.ANYTHING if expected is None else expected
    return Wanted(given.noun, given.record, content, citation, given.reason, meant)


def _insist_on_nouns(query: ProposalsQuery) -> None:
    for name in query.noun or ():
        if name not in NOUNS:
            raise Invalid.parameter("noun", "unknown_noun", f"There is no noun {name[:50]!r}.")
    if query.record is not None and len(query.noun or ()) != 1:
        raise Invalid.parameter("record", "alone", "Say with `noun` which one noun the record is of.")


def _conditions(tx: Transaction, query: ProposalsQuery) -> Iterator[sa.ColumnElement[bool]]:
    c = proposals.TABLE.c
    if query.status is not None:
        yield c.status.in_(query.status)
    if query.noun is not None:
        yield c.noun.in_(query.noun)
        if query.record is not None:
            yield proposals.of_record(tx, NOUNS[query.noun[0]], query.record)
    if query.proposer is not None:
        yield c.proposer == query.proposer


async def _said(request: Request, cls: type[Any]) -> Any:
    return records.parsed(cls, await read_object(request, limit=deps.settings(request).max_body_bytes))


async def _decided(request: Request, key: str, decide: Work[None]) -> Response:
    def work(tx: Transaction) -> Response:
        decide(tx)
        revisions.flush(tx)  # what is shown has its number
        return _answer(*_seen(tx, key))

    return await deps.once(request, work, deps.author(request))


async def _shown(request: Request, key: str) -> Response:
    def work(tx: Transaction) -> tuple[bytes, str]:
        tag = _tag(tx, key)
        return (b"", tag) if conditional.unchanged(request, tag) else _seen(tx, key)

    body, tag = await deps.reading(request, work, primary=True)
    return _answer(body, tag) if body else deps.not_modified(tag, PRIVATE)


def _seen(tx: Transaction, key: str) -> tuple[bytes, str]:
    return msgspec.json.encode(proposals.show(tx, NOUNS, key)), _tag(tx, key)


def _tag(tx: Transaction, key: str) -> str:
    """What a proposal says follows from the registry, from the day (rules may look at it) and from how it stands, which changes
    once and does not advance the registry's sequence: the tag is made of the three."""
    return conditional.etag(sequence=tx.sequence(), day=tx.today.strftime("%Y%m%d"), form=proposals.state(tx, key))


def _answer(body: bytes, tag: str, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return deps.answer(body, tag, status=status, headers=PRIVATE | (headers or {}))
