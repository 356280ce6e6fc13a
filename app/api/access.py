"""Who asks, and whether they may: every route is passed through here before it reads anything else.

A key is looked up for each request. That costs one indexed SELECT, and makes a key that is revoked open nothing from the
next request on, whichever worker takes it.
"""

from __future__ import annotations

import asyncio
import re

from starlette.requests import Request

from app.auth import keys
from app.auth.policy import ANYBODY, Caller, Permission
from app.kit.db import Database
from app.kit.errors import Forbidden, Unauthenticated

REALM = 'Bearer realm="concord"'
_BEARER = re.compile(r"bearer +([\x21-\x7e]{1,8000})", re.IGNORECASE | re.ASCII)


async def admit(request: Request, permission: Permission | None) -> None:
    """Let the caller of `request` in, who is then `request.state.caller`. None: the route is open to anybody, and no key is
    looked at. Raises Unauthenticated (401), Forbidden (403), TooMany (429)."""
    if permission is None:
        request.state.caller = ANYBODY
        return
    caller = await _caller(request)
    request.state.caller = caller
    if caller.role is None and not (request.app.state.settings.public_read and caller.may(*permission)):
        raise _unauthenticated(f"To {permission}, send an API key: Authorization: Bearer …", "")
    if not caller.may(*permission):
        raise Forbidden(
            f"The key {caller.name} has the role {caller.role}, which may not {permission}.",
            headers={"WWW-Authenticate": f'{REALM}, error="insufficient_scope"'},
        )


async def look_again(request: Request) -> None:
    """Let the caller of an answer that lasts go on. Raises Unauthenticated where their key opens nothing any more."""
    if request.state.caller.role is not None:
        await _caller(request)


async def _caller(request: Request) -> Caller:
    header = request.headers.get("authorization")
    if header is None:
        return ANYBODY
    match = _BEARER.fullmatch(header.strip())
    if match is None:
        raise _unauthenticated("Authorization is not of the form: Bearer, a space, the key.", "invalid_request")
    secret = match[1]
    database: Database = request.app.state.database
    found = await asyncio.wrap_future(database.submit_read(lambda tx: keys.find(tx, secret), primary=True))
    if found is None:
        _count_failure(request)
        raise _unauthenticated("No key has this secret, or it was revoked, or has expired.", "invalid_token")
    return found


def _count_failure(request: Request) -> None:
    """Raises TooMany for an address that has failed too often. A good key is let in all the same: it was looked up first, and
    may share the address with whoever fails."""
    address = request.client.host if request.client else ""
    request.app.state.failures.insist(address)
    request.app.state.failures.count(address)


def _unauthenticated(detail: str, error: str) -> Unauthenticated:
    """RFC 6750 §3.1: no `error` where no key was sent."""
    challenge = f'{REALM}, error="{error}"' if error else REALM
    return Unauthenticated(detail, headers={"WWW-Authenticate": challenge})
