"""Several writes in one request: all of them or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.api import conditional, deps, openapi
from app.api.strict import JSON, StrictRoute, read_object
from app.api.v1 import RESOURCES
from app.kit import edits, records
from app.kit.db import Transaction
from app.kit.errors import Fault, Invalid, RegistryError
from app.kit.fields import Flag, Key, Part
from app.kit.records import Expected, Stored
from app.kit.resource import Resource
from app.kit.vocabularies import Vocabulary
from app.kit.writer import Share

router = APIRouter(prefix="/v1", tags=["registry"], route_class=StrictRoute)
_NOUNS: dict[str, Resource[Any]] = {resource.plural: resource for resource in RESOURCES}


class Verb(Vocabulary):
    """What an operation does."""

    create = "create", "A new record from `body`."
    put = "put", "`body` takes the place of the record."
    patch = "patch", "`body` is a JSON merge patch."
    withdraw = "withdraw", "Take the record out."
    restore = "restore", "Bring it back."


class Operation(Part):
    """One write."""

    verb: Verb
    noun: str = Field(description="The noun's name in paths.", json_schema_extra={"enum": list(_NOUNS)})
    record: Key | None = Field(default=None, description="Slug or id; not with `create`.")
    if_match: str | None = Field(
        default=None,
        max_length=1000,
        description="What the header If-Match says elsewhere: an ETag (or its version's bare number), or `*`. "
        "Needed for `put`, `patch` and `withdraw`.",
    )
    body: dict[str, Any] | None = None


class Batch(Part):
    """Writes that happen together or not at all, in this order; a later one sees what an earlier one did."""

    operations: list[Operation] = Field(min_length=1, max_length=200)


class BatchQuery(BaseModel):
    """How a batch runs."""

    model_config = ConfigDict(extra="forbid")

    dry_run: Flag = Field(default=False, description="Run everything, answer the same, and leave nothing behind.")


ABOUT = """\
Up to 200 writes in one transaction: either all are stored or none is. The first that fails is answered as its problem:
`operation` is its number, and the pointers lie below `/operations/<n>`. With `dry_run=true` the same code runs and is
rolled back."""
RESULT = openapi.object_of("OperationResult", "What one operation did.", {
    "noun": {"type": "string"}, "slug": {"type": "string"}, "id": {"type": "string", "format": "uuid"},
    "version": {"type": "integer"}, "written": {"type": "boolean", "description": "False: it was so already."},
})  # fmt: skip
RESULTS = openapi.object_of("BatchResult", "What a batch did, or would do.", {
    "dry_run": {"type": "boolean"}, "results": {"type": "array", "items": RESULT},
})  # fmt: skip
EXAMPLE = {"operations": [{"verb": "patch", "noun": "organizations", "record": "oecd", "if_match": "*", "body": {}}]}


@router.post(
    "/batch",
    **openapi.operation(
        "runBatch", "Write several records at once", ABOUT,
        {200: openapi.ok("All done.", RESULTS, headers={}),
         **openapi.problems((*openapi.CONDITIONAL_WRITE, *openapi.BODY, "not-found"))},
        parameters=[openapi.CHANGE_REASON], query=BatchQuery, may=("batch", "registry"), repeats="answered",
        body=openapi.json_body(openapi.ref("Batch"), [JSON], example=EXAMPLE),
    ),
)  # fmt: skip
async def run_batch(request: Request) -> Response:
    query = deps.query(request, BatchQuery)
    author = deps.author(request)
    document = await read_object(request, limit=deps.settings(request).max_body_bytes)
    batch = records.parsed(Batch, document)

    def work(tx: Transaction) -> Response:
        return Response(msgspec.json.encode({"dry_run": query.dry_run, "results": _run(tx, batch)}), media_type=JSON)

    return await deps.once(request, work, author, dry_run=query.dry_run, share=Share.apart)


def _run(tx: Transaction, batch: Batch) -> list[dict[str, Any]]:
    for n, operation in enumerate(batch.operations):
        _check(operation, f"/operations/{n}")
    _hold(tx, batch)
    return [_result(operation, _numbered(tx, n, operation)) for n, operation in enumerate(batch.operations)]


def _numbered(tx: Transaction, n: int, operation: Operation) -> Stored:
    """The operation, its errors told as those of operation `n`."""
    try:
        return _one(tx, operation)
    except RegistryError as error:
        error.under(f"/operations/{n}/body")
        error.faults = error.faults or (Fault("failed", error.detail, pointer=f"/operations/{n}"),)
        error.extra = {**error.extra, "operation": n}
        raise


def _result(operation: Operation, stored: Stored) -> dict[str, Any]:
    return {
        "noun": operation.noun, "slug": stored.slug, "id": str(stored.id), "version": stored.version,
        "written": stored.written,
    }  # fmt: skip


# What each verb takes and needs, beside the noun.
_TAKES: dict[Verb, tuple[frozenset[str], frozenset[str]]] = {
    Verb.create: (frozenset({"body"}), frozenset({"body"})),
    Verb.put: (frozenset({"record", "if_match", "body"}), frozenset({"record", "body"})),
    Verb.patch: (frozenset({"record", "if_match", "body"}), frozenset({"record", "body"})),
    Verb.withdraw: (frozenset({"record", "if_match"}), frozenset({"record"})),
    Verb.restore: (frozenset({"record", "if_match"}), frozenset({"record"})),
}


def _check(operation: Operation, pointer: str) -> None:
    """What the type of an operation does not say. Raises Invalid; nothing is dropped in silence."""
    if operation.noun not in _NOUNS:
        raise Invalid.at(f"{pointer}/noun", "unknown_noun", f"There is no noun {operation.noun[:50]!r}.")
    given = {name for name in ("record", "if_match", "body") if getattr(operation, name) is not None}
    takes, needs = _TAKES[operation.verb]
    for name in sorted(given - takes):
        raise Invalid.at(f"{pointer}/{name}", "unused", f"`{operation.verb}` does not take `{name}`.")
    for name in sorted(needs - given):
        raise Invalid.at(f"{pointer}/{name}", "missing", f"`{operation.verb}` needs `{name}`.")
    conditional.expected_in(operation.if_match, f"{pointer}/if_match")


def _hold(tx: Transaction, batch: Batch) -> None:
    """Take hold of all records at once, in one order: two batches of the same records then wait for each other instead
    of each for what the other has."""
    for noun in sorted({operation.noun for operation in batch.operations}):
        keys = {operation.record for operation in batch.operations if operation.noun == noun and operation.record}
        records.hold(tx, _NOUNS[noun], keys)


def _one(tx: Transaction, operation: Operation) -> Stored:
    resource, body = _NOUNS[operation.noun], operation.body or {}
    if operation.verb is Verb.create or operation.record is None:
        return records.create(tx, resource, records.validated(resource, body))
    expected = conditional.expected_in(operation.if_match, "/if_match")
    return _WRITES[operation.verb](tx, resource, operation.record, body, expected)


_Write = Callable[[Transaction, Resource[Any], str, dict[str, Any], Expected], Stored]
_WRITES: dict[Verb, _Write] = {
    Verb.put: lambda tx, noun, key, body, expected: records.change(tx, noun, key, edits.replaced(noun, body), expected),
    Verb.patch: lambda tx, noun, key, body, expected: records.change(tx, noun, key, edits.patched(body), expected),
    Verb.withdraw: lambda tx, noun, key, _, expected: records.withdraw(tx, noun, key, expected),
    Verb.restore: lambda tx, noun, key, _, expected: records.restore(tx, noun, key, expected),
}
