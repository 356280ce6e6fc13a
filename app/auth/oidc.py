"""Single sign-on: who holds a token (a JWT, RFC 7519) of the issuer that the operator named, and which role that gives.

A token is believed for what its issuer has signed and nothing else: the algorithm is one of ours and fits the type of the
key (RFC 8725), the key is one that the issuer publishes, the audience is this registry, and it is its time.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
from jwt.types import Options

from app.auth.jwks import IssuerKeys
from app.auth.policy import Caller, Role

log = logging.getLogger("concord")
PREFIX = "oidc:"
"""Of the names of those who come with a token. The name of a key holds no colon."""
LONGEST_NAME = 200
LEEWAY = 30
"""Seconds by which the issuer's clock and ours may differ."""
EVERYBODY = "*"
"""Among the roles: whoever the issuer knows."""
LATEST = 253_402_300_800
"""The year 10000. A time beyond it is none."""

# The times are checked by the registry's clock (see `_check_times`).
_OPTIONS: Options = {
    "require": ["iss", "aud", "exp", "sub"], "verify_exp": False, "verify_nbf": False, "verify_iat": False,
    "enforce_minimum_key_length": True,
}  # fmt: skip


class BadClaim(jwt.InvalidTokenError):
    """A claim that is needed here is of no use."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """What an operator says of an issuer: which of its claims mean what."""

    url: str
    audience: str
    roles: Mapping[str, Role]
    roles_claim: str
    name_claim: str
    algorithms: tuple[str, ...]


class Verifier:
    """Reads the tokens of one issuer."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._keys = IssuerKeys(issuer.url, issuer.algorithms)

    async def find(self, token: str, now: datetime) -> Caller | None:
        """Who holds this token; None where it opens nothing. Someone whose roles mean nothing here has no role. Raises
        IssuerUnavailable where the keys cannot be had. The log gets the kind of the fault, and nothing of the token."""
        try:
            claims = await self._claims(token, now)
            _check_times(claims, now)
            return Caller(_name(claims, self._issuer.name_claim), self._role(claims))
        except jwt.PyJWTError as error:
            log.info("a token was refused: %s", type(error).__name__)
            return None

    async def _claims(self, token: str, now: datetime) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        kid, algorithm = header.get("kid"), header.get("alg")
        if algorithm not in self._issuer.algorithms:
            raise jwt.InvalidAlgorithmError
        key = await self._keys.find(kid, algorithm, now)
        if key is None:
            raise jwt.InvalidKeyError
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self._issuer.audience,
            issuer=self._issuer.url,
            options=_OPTIONS,
        )

    def _role(self, claims: Mapping[str, Any]) -> Role | None:
        """The highest of the roles that the token's own mean here."""
        held = {EVERYBODY, *_texts(_claim(claims, self._issuer.roles_claim))}
        given = {role for name, role in self._issuer.roles.items() if name in held}
        return max(given, key=list(Role).index, default=None)


def _check_times(claims: Mapping[str, Any], now: datetime) -> None:
    moment = now.timestamp()
    if _seconds(claims, "exp") <= moment - LEEWAY:
        raise jwt.ExpiredSignatureError
    if any(_seconds(claims, name) > moment + LEEWAY for name in ("nbf", "iat") if name in claims):
        raise jwt.ImmatureSignatureError


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate (RFC 7519 §2). NaN and Infinity, which Python reads, would never expire."""
    value = claims[name]
    if type(value) not in (int, float) or not 0 <= value < LATEST:
        raise BadClaim(name)
    return float(value)


def _name(claims: Mapping[str, Any], claim: str) -> str:
    """How the history calls them. No two may look alike there: no spaces around it, no controls, nothing that turns text, no
    second spelling of one letter."""
    name = _claim(claims, claim)
    if not isinstance(name, str) or not name or name != name.strip():
        raise BadClaim(claim)
    if not name.isprintable() or not unicodedata.is_normalized("NFC", name) or len(name) > LONGEST_NAME:
        raise BadClaim(claim)
    return PREFIX + name


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim of this name, which may hold dots (`https://example.org/roles`); else the one at this path
    (`realm_access.roles`)."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for step in name.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _texts(value: Any) -> list[str]:
    """A list of texts, or one text with spaces, as `scope` is (RFC 6749 §3.3)."""
    listed = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
    return [each for each in listed if isinstance(each, str)]
