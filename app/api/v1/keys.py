"""API keys over HTTP: an admin makes them, looks at them, takes them back. Never at their secrets."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.api import deps, openapi
from app.api.crud import next_page, unkept_list
from app.api.strict import JSON, StrictRoute, read_object
from app.auth import keys
from app.auth.policy import Role
from app.kit import paging, records
from app.kit.fields import Digits, Moment

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=StrictRoute)
CONTEXT = "keys"


class KeyIn(BaseModel):
    """A key that is to be."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        min_length=1, max_length=64, pattern=f"^{keys.NAME.pattern}$", examples=["maria.rossi"],
        description="Who or what writes with it: the history shows this name. Never used twice.",
    )  # fmt: skip
    role: Role
    expires_at: Moment | None = Field(default=None, description="When it opens nothing any more; without it: never.")


class KeyQuery(BaseModel):
    """Which keys."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Digits] = Field(default=50, ge=1, le=200, description="Keys a page, 1 to 200.")
    cursor: str | None = Field(default=None, description="Where the page begins: taken from `next`, as it is.")


MOMENT = {"type": "string", "format": "date-time"}
MOMENT_OR_NULL = {"type": ["string", "null"], "format": "date-time"}
SHOWN = {
    "name": {"type": "string"}, "role": TypeAdapter(Role).json_schema(),
    "hint": {"type": "string", "description": "The last four characters of its secret."},
    "created_at": MOMENT, "created_by": {"type": "string"}, "expires_at": MOMENT_OR_NULL, "revoked_at": MOMENT_OR_NULL,
    "revoked_by": {"type": ["string", "null"]},
}  # fmt: skip
SECRET = {"type": "string", "description": "What goes behind `Bearer`. Shown now, and never again."}
KEY = openapi.object_of("ApiKey", "An API key, without its secret.", SHOWN)
NEW_KEY = openapi.object_of("NewApiKey", "An API key with its secret.", SHOWN | {"secret": SECRET})
PAGE = openapi.page_of(KEY, "A page of keys.", title="ApiKeyPage")
REFUSALS = (*openapi.READ, "forbidden")
NAME = Path(description="Name of the key.", examples=["maria.rossi"])
PRIVATE = {"Cache-Control": "no-store"}
"""These answers are for one admin's eyes."""


@router.get(
    "",
    **openapi.operation(
        "listKeys", "List API keys", "All keys by name, those that were revoked or have expired among them. No secrets.",
        {200: openapi.ok("A page.", PAGE, headers=openapi.LINK), **openapi.problems(REFUSALS)},
        query=KeyQuery, may=("read", "keys"),
    ),
)  # fmt: skip
async def list_keys(request: Request) -> Response:
    query = deps.query(request, KeyQuery)
    after = None if query.cursor is None else paging.decode(query.cursor, CONTEXT, keys.TABLE.c.name)
    rows, last = await deps.reading(request, lambda tx: keys.browse(tx, limit=query.limit, after=after), primary=True)
    following = next_page(request, None if last is None else paging.encode(last, CONTEXT))
    return unkept_list([_shown(row) for row in rows], following)


@router.post(
    "",
    **openapi.operation(
        "createKey", "Make an API key",
        "The answer holds the secret, this once: it is stored as a hash. The key works from now on. An Idempotency-Key is "
        "refused: no answer with a secret is kept. A name is used once, so the same request makes no second key.",
        {201: openapi.ok("Made.", NEW_KEY, headers=openapi.LOCATION),
         **openapi.problems((*REFUSALS, "read-only", *openapi.BODY, "conflict"))},
        status=201, may=("create", "keys"), repeats="refused",
        body=openapi.json_body(openapi.ref("KeyIn"), [JSON], example={"name": "maria.rossi", "role": "editor"}),
    ),
)  # fmt: skip
async def create_key(request: Request) -> Response:
    author = deps.author(request)
    asked = records.parsed(KeyIn, await read_object(request, limit=deps.settings(request).max_body_bytes))
    made = await deps.writing(
        request, lambda tx: keys.make(tx, asked.name, asked.role, expires_at=asked.expires_at), author
    )
    location = {"Location": deps.path(request, f"/v1/keys/{asked.name}")}
    return _answer(_shown(made.key) | {"secret": made.secret}, status=201, headers=location)


@router.get(
    "/{name}",
    **openapi.operation(
        "getKey", "Get an API key", "Its name, role and dates; never its secret.",
        {200: openapi.ok("The key.", KEY, headers={}), **openapi.problems((*REFUSALS, "not-found"))}, may=("read", "keys"),
    ),
)  # fmt: skip
async def get_key(request: Request, name: str = NAME) -> Response:
    return _answer(_shown(await deps.reading(request, lambda tx: keys.fetch(tx, name), primary=True)))


@router.delete(
    "/{name}",
    **openapi.operation(
        "revokeKey", "Revoke an API key",
        "It opens nothing any more, from the next request on, in every worker. It stays in the list: the history names it. The "
        "last key of an admin is not revoked over HTTP.",
        {204: {"description": "Revoked, now or earlier."},
         **openapi.problems((*REFUSALS, "read-only", "not-found", "conflict"))},
        status=204, may=("revoke", "keys"),
    ),
)  # fmt: skip
async def revoke_key(request: Request, name: str = NAME) -> Response:
    await deps.writing(request, lambda tx: keys.revoke(tx, name), deps.author(request))
    return Response(status_code=204)


def _answer(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, PRIVATE | (headers or {}), JSON)


def _shown(row: sa.Row[Any]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in SHOWN}
