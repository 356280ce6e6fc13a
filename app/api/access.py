"""Who asks, and whether they may: every route is passed through here before it reads anything else.

A key is looked up after each request has come. That costs one indexed SELECT, and makes a key that is revoked open nothing from
the next request on, whichever worker takes it. What is no key may be a token of the issuer that the operator trusts.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from starlette.requests import Request

from app.api.cors import header
from app.auth import keys
from app.auth.policy import ANYBODY, Caller, Permission
from app.kit.db import Database, Transaction
from app.kit.errors import Forbidden, Unauthenticated

if TYPE_CHECKING:  # main.py loads it where there is an issuer
    from app.auth.oidc import Verifier

REALM = 'Bearer realm="concord"'
_BEARER = re.compile(r"bearer +([\x21-\x7e]{1,8000})", re.IGNORECASE | re.ASCII)
_TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
"""The compact form of a signed token (RFC 7515 §3.1)."""


async def admit(request: Request, permission: Permission | None) -> None:
    """Let the caller of `request` in, who is then `request.state.caller`. None: the route is open to anybody, and no key is
    looked at. Raises Unauthenticated (401), Forbidden (403), TooMany (429)."""
    if permission is None:
        request.state.caller = ANYBODY
        return
    caller = await _caller(request)
    request.state.caller = caller
    if caller.may(*permission) and (caller.role is not None or request.app.state.settings.public_read):
        return
    if caller is ANYBODY:
        raise _unauthenticated(f"To {permission}, send an API key: Authorization: Bearer …", "")
    raise Forbidden(
        f"{caller.name} has {f'the role {caller.role}' if caller.role else 'no role'}, and may not {permission}.",
        headers={"WWW-Authenticate": f'{REALM}, error="insufficient_scope"'},
    )


async def look_again(request: Request) -> None:
    """Let the caller of an answer that lasts go on. Raises Unauthenticated where their key, or token, opens nothing any
    more."""
    if request.state.caller is not ANYBODY:
        await _caller(request)


async def _caller(request: Request) -> Caller:
    told = header(request.scope, b"authorization")
    if told is None:
        return ANYBODY
    match = _BEARER.fullmatch(told.decode("latin-1").strip())
    if match is None:
        raise _unauthenticated("Authorization is not of the form: Bearer, a space, the key.", "invalid_request")
    found = await _holder(request, match[1])
    if found is None:
        _count_failure(request)
        detail = "No key has this secret, or it was revoked, or has expired."
        if request.app.state.oidc is not None:
            detail += " Nor is it a token that the issuer has signed for this registry and for now."
        raise _unauthenticated(detail, "invalid_token")
    return found


async def _holder(request: Request, secret: str) -> Caller | None:
    """Who holds a key or a token. Raises IssuerUnavailable."""
    database: Database = request.app.state.database
    lookups: Lookups = request.app.state.lookups
    found = await lookups.find(database, secret)
    verifier: Verifier | None = request.app.state.oidc
    if found is None and verifier is not None and _TOKEN.fullmatch(secret):
        return await verifier.find(secret, database.clock())
    return found


class _Lookup:
    """A look-up that has not begun."""

    found: asyncio.Future[Caller | None]


class Lookups:
    """Looks keys up. Who comes with a key while another waits for the look-up of the same shares it: as it begins after both
    have come, it tells either what holds for them."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Lookup] = {}

    async def find(self, database: Database, secret: str) -> Caller | None:
        """Who holds this key."""
        lookup = self._waiting.get(secret) or self._submit(database, secret)
        return await asyncio.shield(lookup.found)  # who leaves takes it from no other

    def _submit(self, database: Database, secret: str) -> _Lookup:
        lookup = self._waiting[secret] = _Lookup()

        def begin(tx: Transaction) -> Caller | None:
            self._close(secret, lookup)
            return keys.find(tx, secret)

        try:
            asked = database.submit_read(begin, primary=True, alone=True)
        except BaseException:
            self._close(secret, lookup)
            raise
        lookup.found = asyncio.wrap_future(asked)
        # It may have been sent away before it began.
        lookup.found.add_done_callback(lambda _: self._close(secret, lookup))
        return lookup

    def _close(self, secret: str, lookup: _Lookup) -> None:
        """Let nobody share this one any more."""
        if self._waiting.get(secret) is lookup:
            del self._waiting[secret]


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
