"""The edge: what a request must be before a route sees it.

Whatever is ambiguous is refused here, once for all routes: encodings, repeated parameters and keys, numbers that no
double holds, documents that are nested beyond reason, media types that a web form could send.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from app.api import idempotency, sequences
from app.api.access import admit
from app.api.cors import header
from app.auth.policy import least_role
from app.kit.errors import Fault, Invalid, Malformed, RegistryError
from app.kit.strict_json import parse

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ONCE = frozenset((b"host", b"origin", b"content-type", b"change-reason", b"authorization", b"idempotency-key"))
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
FORM = "application/x-www-form-urlencoded"
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class TooLarge(RegistryError):
    """The body is longer than the registry reads."""


class WrongMediaType(RegistryError):
    """The body is not of a type that this address reads."""


class StrictRoute(APIRoute):
    """A route that reads its headers strictly, lets in who may, and takes no parameter which it does not read."""

    def get_route_handler(self) -> Handler:
        return self.guarded(self._plain() or super().get_route_handler())

    def direct(self) -> Handler | None:
        """What answers its requests without FastAPI, where that is possible."""
        plain = self._plain()
        return None if plain is None else self.guarded(plain)

    def guarded(self, endpoint: Handler) -> Handler:
        """What answers a request: the endpoint, behind all that is asked of a request before it."""
        extra = self.openapi_extra or {}
        reads_query = not self.include_in_schema or "x-query" in extra
        permission, repeats = extra.get("x-permission"), extra.get("x-repeats")
        limit = extra.get("x-body", "max_body_bytes")
        if permission is not None:
            least_role(permission)  # a route that is in no row of the table fails here, when the program starts

        async def strict(request: Request) -> Response:
            state = request.scope.setdefault("state", {})
            state["route"] = self.path_format
            check_headers(request.scope)
            _check_length(request, limit)
            await admit(request, permission)
            if not reads_query and (names := read_query(request.scope["query_string"])):
                faults = [Fault("unknown_parameter", "This takes no parameters.", parameter=name) for name in names]
                raise Malformed("A parameter has no meaning here.", slug="unknown-parameter", faults=faults)
            if repeats == "refused":
                idempotency.refuse(request)
            state["idempotency_key"] = idempotency.key_of(request) if repeats == "answered" else None
            response = await endpoint(request)
            for name, value in sequences.shown(request).items():
                response.headers[name] = value
            if old := request.app.state.deprecations.get((request.method, self.path_format)):
                for name, value in old.headers().items():
                    response.headers.append(name, value)
            return response

        return strict

    def _plain(self) -> Handler | None:
        """The endpoint itself, where it takes nothing but the request and parts of the path as they are, and makes its answer
        itself. For each request FastAPI would find that out anew, which costs as much as a look-up in the database."""
        needs, endpoint = self.dependant, self.endpoint
        takes = Dependant(
            path_params=[field for field in needs.path_params if not field.field_info.metadata],
            request_param_name=needs.request_param_name,
            call=endpoint,
            path=needs.path,
            scope=needs.scope,
        )
        if needs != takes or needs.request_param_name is None or endpoint.__annotations__.get("return") != "Response":
            return None
        name, parts = needs.request_param_name, [(field.name, field.alias) for field in needs.path_params]

        async def plain(request: Request) -> Response:
            given = {into: request.path_params[part] for into, part in parts}
            response: Response = await endpoint(**{name: request}, **given)
            return response

        return plain


def check_path(scope: Scope) -> None:
    """Refuse a path whose escapes are not UTF-8, or hide a slash or a control character."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%" not in raw:
        return
    text = _utf8(raw, "path")
    if not text.isprintable() or re.search(rb"%2f", raw, re.IGNORECASE):
        raise Malformed("The path holds an escaped slash or a control character.", slug="not-found")


def check_headers(scope: Scope) -> None:
    """Refuse a request that says twice what it can say once: proxies and servers differ in which of the two they read."""
    names = [name for name, _ in scope["headers"] if name in _ONCE]
    if len(names) != len(set(names)):
        twice = max(names, key=names.count).decode()
        raise Malformed(
            f"The header {twice} is given twice.", faults=[Fault("repeated", "Give it once.", parameter=twice)]
        )


_CONTROLS = re.compile("[\x00-\x1f\x7f]")
_CONTROLS_BUT_LINES = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def read_query(raw: bytes, *, lines: bool = False) -> dict[str, str]:
    """The parameters of a query string, or with `lines` the fields of a form, whose values may hold tabs and line breaks.
    Raises Malformed when it is not UTF-8, holds a control character, or says one thing twice."""
    controls = _CONTROLS_BUT_LINES if lines else _CONTROLS
    found: dict[str, str] = {}
    if not raw:
        return found
    for piece in filter(None, raw.replace(b"+", b" ").split(b"&")):
        name, _, value = piece.partition(b"=")
        parameter = _utf8(name, "query")
        if parameter in found:
            raise Malformed("A parameter is given twice.", faults=[_fault("repeated", parameter)])
        found[parameter] = _utf8(value, parameter)
        if controls.search(parameter) or controls.search(found[parameter]):
            raise Malformed("A parameter holds a control character.", faults=[_fault("control_character", parameter)])
    return found


def _fault(code: str, parameter: str) -> Fault:
    return Fault(
        code,
        "Give it once (several values with commas), in UTF-8, without control characters.",
        parameter=parameter[:100],
    )


def _utf8(raw: bytes, where: str) -> str:
    if _BROKEN_ESCAPE.search(raw):
        raise Malformed("A percent sign is not followed by two hexadecimal digits.", faults=[_fault("escape", where)])
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise Malformed("A percent-encoded text is not UTF-8.", faults=[_fault("encoding", where)]) from None


async def read_object(request: Request, *, types: Sequence[str] = (JSON,), limit: int) -> dict[str, Any]:
    """The JSON object in the body. Raises WrongMediaType, TooLarge, Malformed (not JSON, not UTF-8), Invalid (no object)."""
    check_media_type(request, types)
    document = parse(await read_body(request, limit))
    if not isinstance(document, dict):
        raise Invalid.at("", "not_an_object", "The body is a JSON object.")
    return document


def check_media_type(request: Request, types: Sequence[str]) -> None:
    """Only types that a plain web form cannot send: a page of another site must not write here (no CSRF)."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.replace(" ", "").lower()
    if kind.strip().lower() not in types or charset not in ("", "charset=utf-8", 'charset="utf-8"'):
        accepts = "Accept-Patch" if MERGE_PATCH in types else "Accept-Post"
        raise WrongMediaType(
            f"The body must be {' or '.join(types)} in UTF-8.",
            slug="unsupported-media-type",
            headers={accepts: ", ".join(types)},
        )
    if any(value.lower() != "identity" for value in request.headers.getlist("content-encoding")):
        raise WrongMediaType(
            "Compressed bodies are not read.", slug="unsupported-media-type", headers={"Accept-Encoding": "identity"}
        )


async def read_body(request: Request, limit: int) -> bytes:
    """The body, at most `limit` bytes, which is then `request.state.body` as well. (One that announces more has been refused
    already.)"""
    body = request.state.body = b"".join([piece async for piece in _pieces(request, limit)])
    return body


LARGE = 1_048_576
"""Bytes of a file that are held in memory."""


async def read_file(request: Request, limit: int) -> IO[bytes]:
    """The same on disk, where it is large. Whoever asks for it closes it."""
    file = request.state.body = tempfile.SpooledTemporaryFile(LARGE)  # noqa: SIM115
    try:
        async for piece in _pieces(request, limit):
            file.write(piece)
    except BaseException:
        file.close()
        raise
    return file


async def _pieces(request: Request, limit: int) -> AsyncIterator[bytes]:
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            yield piece
    except ClientDisconnect:  # nobody reads this answer; but it is no error of ours to log
        raise Malformed("The body broke off before its end.") from None


def _check_length(request: Request, limit: str) -> None:
    """Refuse a body that says it is longer than the route reads (`limit`: the setting), before anything is done for it."""
    announced = header(request.scope, b"content-length")
    if announced is None:
        return
    most = getattr(request.app.state.settings, limit)
    if announced.isdigit() and int(announced[:20]) > most:
        raise _too_large(most)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body may be {limit} bytes long.", slug="body-too-large", headers={"Connection": "close"})
