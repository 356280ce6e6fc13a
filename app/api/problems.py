"""Problems: every error that leaves the registry is an RFC 9457 document of one of these types."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from app.api import sequences
from app.api.conditional import etag
from app.api.logs import ASKED
from app.kit import errors
from app.kit.errors import Fault, RegistryError
from app.kit.records import MOST_FAULTS

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger("concord")


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of error: its slug is its address under /problems/."""

    slug: str
    status: int
    title: str
    about: str


TYPES: dict[str, ProblemType] = {
    row.slug: row
    for row in (
        ProblemType("malformed-request", 400, "The request cannot be read",
            "Its syntax, encoding or a header is broken. `errors` says where. Nothing was changed."),
        ProblemType("unknown-parameter", 400, "Unknown parameter",
            "A query parameter, sort or field name is not one of this list's. `errors` names what is allowed."),
        ProblemType("invalid-cursor", 400, "Invalid cursor",
            "A cursor belongs to the list, the filters and the sort that made it. Begin again without it, then follow `next`."),
        ProblemType("unauthenticated", 401, "Send an API key",
            "This needs a key: `Authorization: Bearer …`. A key that is unknown, was revoked or has expired opens nothing, not "
            "even what needs no key. The same holds for tokens, where there is single sign-on."),
        ProblemType("forbidden", 403, "Not allowed",
            "The role of the key, or of the token, does not cover this; an admin gives out keys with another role. Or the "
            "proposal is one's own, and another decides on it."),
        ProblemType("not-found", 404, "Not found", "No record, and no page, has this address."),
        ProblemType("method-not-allowed", 405, "Method not allowed", "The header Allow lists what this address understands."),
        ProblemType("not-acceptable", 406, "Not in this form",
            "Accept names no form that this address has. `offered` lists those that it has."),
        ProblemType("request-timeout", 408, "The request did not come in time",
            "Its headers, or a part of its body, took too long to arrive. Send it again, on a new connection."),
        ProblemType("conflict", 409, "Conflict with another record",
            "A name, identifier or slug is taken (`existing`), the record is still in use (`used_by`), or the proposal is "
            "decided already (`proposal`) or does not apply any more."),
        ProblemType("request-outstanding", 409, "The same request is still at work",
            "A request with this Idempotency-Key has not been answered yet. Send this one again after Retry-After seconds: it "
            "then gets the answer of the first, or is done if the first was not."),
        ProblemType("gone", 410, "Withdrawn",
            "The record was withdrawn: `tombstone` says when, by whom and why. POST to its `restore` brings it back."),
        ProblemType("precondition-failed", 412, "The record has changed",
            "It is no longer the version that If-Match names. `version` is the current one, `changed` lists the fields that "
            "others wrote since. Read it again, apply your change, and send it with the new ETag."),
        ProblemType("body-too-large", 413, "Body too large", "The request body is longer than this registry reads."),
        ProblemType("uri-too-long", 414, "The query is too long",
            "The part of the address behind the question mark is longer than this registry reads. What takes many values can "
            "mostly be sent in a body, or asked in several requests."),
        ProblemType("unsupported-media-type", 415, "Unsupported media type",
            "Bodies are JSON: application/json, and for PATCH also application/merge-patch+json (RFC 7396), in UTF-8."),
        ProblemType("misdirected-request", 421, "Not a name of this registry",
            "The host that was asked for is none of the names under which this registry answers. Its operator lists them."),
        ProblemType("invalid", 422, "The request breaks a rule",
            "It can be read, and a field or parameter has a value that is not allowed. `errors` lists every one."),
        ProblemType("idempotency-key-reused", 422, "The Idempotency-Key belongs to another request",
            "It was sent in the last 24 hours with another address, body or header. Nothing was changed. A new request takes a "
            "new key; one that is sent again is sent as it was."),
        ProblemType("precondition-required", 428, "Say which version you mean",
            "PUT, PATCH and DELETE need If-Match with the ETag last seen, so that no update is lost. `*`: whatever is there."),
        ProblemType("too-many-requests", 429, "Too many requests",
            "This key, or this address, asks more often than the registry allows. Nothing was changed. Retry-After says after "
            "how many seconds to go on; `RateLimit` says with each answer what is left."),
        ProblemType("headers-too-large", 431, "The headers are too long",
            "There are more of them, or they are longer, than this registry reads."),
        ProblemType("internal-error", 500, "An error of the registry",
            "Not the request's fault. The `error_id` finds it in the server's log. The write was not stored."),
        ProblemType("insufficient-storage", 507, "No room left",
            "The disk of the database is full. Nothing was changed; reading goes on. As soon as the operator has made room, "
            "writes succeed again by themselves: try again after Retry-After seconds."),
        ProblemType("unavailable", 503, "The database does not answer",
            "Try again after Retry-After seconds. Nothing was changed by this request, unless it was lost while being stored; "
            "reading the record tells."),
        ProblemType("overloaded", 503, "Too much at once",
            "The registry is answering as many requests, exports or listeners as it can. This one was not begun, and changed "
            "nothing. Try again after Retry-After seconds."),
        ProblemType("timed-out", 503, "Not answered in time",
            "The work took too long and was given up. A write may still have been stored: read the record before sending it "
            "again. Try again after Retry-After seconds; ask for less, if it happens again."),
        ProblemType("read-only", 503, "No writes for a while",
            "The operator has put the registry into read-only mode. Reading goes on; try again after Retry-After seconds."),
        ProblemType("not-ready", 503, "The database is at another revision",
            "The program and the database do not fit each other yet: a migration is under way, or was forgotten."),
        ProblemType("issuer-unavailable", 503, "The issuer of the token does not answer",
            "Whether the token is genuine cannot be known now. Try again after Retry-After seconds. Nothing was changed."),
    )
}  # fmt: skip

# One row an exception: which problem it is.
MAPPING: dict[type[RegistryError], str] = {
    errors.Malformed: "malformed-request",
    errors.Unauthenticated: "unauthenticated",
    errors.Forbidden: "forbidden",
    errors.NotFound: "not-found",
    errors.NotAcceptable: "not-acceptable",
    errors.Conflict: "conflict",
    errors.Outstanding: "request-outstanding",
    errors.Reused: "idempotency-key-reused",
    errors.Gone: "gone",
    errors.Moved: "gone",
    errors.Stale: "precondition-failed",
    errors.Invalid: "invalid",
    errors.PreconditionMissing: "precondition-required",
    errors.TooMany: "too-many-requests",
    errors.Busy: "overloaded",
    errors.ReadOnly: "read-only",
    errors.NotReady: "not-ready",
    errors.Unavailable: "unavailable",
    errors.Full: "insufficient-storage",
    errors.IssuerUnavailable: "issuer-unavailable",
}
_OF_STATUS = {row.status: slug for slug, row in reversed(TYPES.items())}
_HEADERS = {
    slug: {"Retry-After": after}
    for slug, after in (
        ("request-outstanding", "1"),
        ("unavailable", "1"),
        ("insufficient-storage", "60"),
        ("overloaded", "1"),
        ("timed-out", "5"),
        ("read-only", "60"),
        ("not-ready", "5"),
        ("issuer-unavailable", "10"),
    )
}


class ProblemError(BaseModel):
    """One fault: a JSON Pointer into the body, or the name of a parameter."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(description="Stable; for programs.")
    message: str = Field(description="For people.")
    pointer: str | None = Field(default=None, description="JSON Pointer (RFC 6901) into the request body.")
    parameter: str | None = Field(default=None, description="Query parameter or header.")
    line: int | None = Field(default=None, description="Of an imported file: its line; the header is line 1.")
    row: int | None = Field(default=None, description="Of a table: the row, as a spreadsheet counts.")
    column: str | None = Field(default=None, description="Of a table: the column.")


class Problem(BaseModel):
    """An error as RFC 9457 says."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="Address of a page that explains this kind of problem.",
        json_schema_extra={"format": "uri-reference"},
    )
    title: str
    status: int
    detail: str
    instance: str | None = Field(default=None, description="The path that was asked for.")
    errors: list[ProblemError] = Field(
        default=[], description="The faults: at most 100, of an import those of every row."
    )


def problem(
    request: Request,
    slug: str,
    detail: str,
    *,
    faults: Iterable[Fault] = (),
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    status: int | None = None,
) -> Response:
    """The response for a problem of type `slug`."""
    root = _outside(request)["root_path"]
    status = status or TYPES[slug].status
    shown = {
        "instance": request.url.path,
        "errors": [
            {
                name: value
                for name, value in (
                    ("code", f.code),
                    ("message", f.message),
                    ("pointer", f.pointer),
                    ("parameter", f.parameter),
                )
                if value is not None
            }
            for f in islice(faults, MOST_FAULTS)
        ],
        **(extra or {}),
    }
    return Response(
        document(TYPES[slug], detail, root, status=status, extra=shown),
        status,
        {"Cache-Control": "no-store", **sequences.shown(request), **_HEADERS.get(slug, {}), **(headers or {})},
        MEDIA_TYPE,
    )


def document(
    kind: ProblemType, detail: str, root: str, *, status: int | None = None, extra: Mapping[str, Any] | None = None
) -> bytes:
    """A problem as RFC 9457 writes it. `root`: the prefix of the registry's addresses."""
    return _utf8(
        {
            "type": f"{root}/problems/{kind.slug}",
            "title": kind.title,
            "status": status or kind.status,
            "detail": detail,
            **(extra or {"errors": []}),
        }
    )


def _outside(request: Request) -> dict[str, Any]:
    """The scope as the application was asked: what is mounted has taken its own path for a part of the prefix."""
    root = request.scope.get("app_root_path", request.scope.get("root_path", ""))
    return {**request.scope, "root_path": root}


def _utf8(body: Any) -> bytes:
    """JSON that is valid UTF-8, whatever the request held: a lone surrogate cannot be encoded, and is shown escaped."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        return msgspec.json.encode(_escaped(body))


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value


async def on_registry_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RegistryError)  # noqa: S101  # what the handler is registered for
    if isinstance(error, errors.Moved) and request.method in ("GET", "HEAD"):
        return _elsewhere(request, error)
    extra = dict(error.extra)
    slug = extra.pop("slug", None) or next(MAPPING[cls] for cls in type(error).__mro__ if cls in MAPPING)
    headers = extra.pop("headers", None) or {}
    if "version" in extra and "operation" not in extra:
        headers = {"ETag": etag(extra["version"]), **headers}
    return problem(request, slug, error.detail, faults=error.faults, extra=extra, headers=headers)


def _elsewhere(request: Request, error: errors.Moved) -> Response:
    """308 to the same page of the record that took the place of this one, which the path named, or a parameter. What writes is
    told and not sent on: it meant another record."""
    wanted, there = error.extra["tombstone"], error.extra["moved_to"]
    path, given = request.url.path, request.url.query
    if (named := error.extra.get("parameter")) is None:
        path = "/".join(there if step.lower() in (wanted["id"], wanted["slug"]) else step for step in path.split("/"))
    else:
        asked = parse_qsl(given, keep_blank_values=True)
        given = urlencode([(name, there if name == named else value) for name, value in asked])
    query = f"?{given}" if given else ""
    return Response(status_code=308, headers={"Location": path + query, "Cache-Control": "no-cache"})


async def on_validation_error(request: Request, error: Exception) -> Response:
    """FastAPI's own validation, which reads nothing but paths here."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    faults = [Fault(fault["type"], fault["msg"], parameter=str(fault["loc"][-1])) for fault in error.errors()]
    return problem(request, "invalid", "A part of the path has a form that is not allowed.", faults=faults)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What Starlette and FastAPI raise themselves: 404, 405 and their like."""
    assert isinstance(error, HTTPException)  # noqa: S101
    slug = _OF_STATUS.get(error.status_code, "malformed-request")
    detail = {
        404: "Nothing has this address.",
        405: f"{request.method} means nothing here.",
    }.get(error.status_code, str(error.detail))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(request.app.state.verbs.allowed(_outside(request)))
    return problem(request, slug, detail, headers=headers, status=error.status_code)


async def on_crash(request: Request, error: Exception) -> Response:
    """A fault of ours. The log has the whole of it, the client only the number under which to find it."""
    error_id = request.state.error_id = secrets.token_hex(8)  # in the line of the request, too
    log.error("error %s: %s %s", error_id, request.method, ascii(request.scope["path"]), exc_info=error)
    asked = ASKED.get()
    return problem(
        request,
        "internal-error",
        f"Something went wrong here. It is logged as {error_id}.",
        extra={"error_id": error_id, **({"request_id": asked.request_id} if asked else {})},
    )


def install(app: FastAPI) -> None:
    """Every way to fail ends in a problem."""
    app.add_exception_handler(RegistryError, on_registry_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(Exception, on_crash)
