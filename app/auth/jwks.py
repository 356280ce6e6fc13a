"""The public keys of an issuer: found through its discovery document, kept for a while, fetched again when they change.

Only the issuer that the operator named is asked, never an address that a token brings along (`jku`, `x5u`): whoever could
name one would reach inside the operator's network, and sign for anybody.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from http.client import HTTPException
from typing import Any, NamedTuple, TypeVar
from urllib import request as http
from urllib.error import HTTPError
from urllib.parse import urlsplit

import msgspec
from jwt import PyJWK, PyJWTError

from app.kit.errors import IssuerUnavailable

log = logging.getLogger("concord")
T = TypeVar("T")

LIFETIME = timedelta(minutes=5)
"""How long keys are used without asking. A key that the issuer takes back opens nothing after that."""
GRACE = timedelta(hours=1)
"""How much longer they are used while the issuer is away."""
PAUSE = timedelta(seconds=10)
"""Between two questions: tokens that name keys which nobody has must not make the registry hammer the issuer."""
TIMEOUT = 3.0
"""Seconds for a document, and for a request that waits for the keys."""
MOST_BYTES = 262_144
WELL_KNOWN = "/.well-known/openid-configuration"

FITS: dict[str, tuple[str, str | None]] = {
    "RS256": ("RSA", None), "RS384": ("RSA", None), "RS512": ("RSA", None),
    "PS256": ("RSA", None), "PS384": ("RSA", None), "PS512": ("RSA", None),
    "ES256": ("EC", "P-256"), "ES384": ("EC", "P-384"), "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}  # fmt: skip
"""The type and the curve of the key that each algorithm needs. None that a secret would fit (HS256): a public key is none."""


class Discovery(msgspec.Struct):
    """What is needed of OpenID Connect Discovery 1.0 §3."""

    issuer: str
    jwks_uri: str


class KeySet(msgspec.Struct):
    """RFC 7517 §5. Its keys are read one by one: one that cannot be read does not spoil the others."""

    keys: list[Any]


class Key(msgspec.Struct):
    """What tells whether a key is for us (RFC 7517 §4)."""

    kty: str
    kid: str | None = None
    crv: str | None = None
    alg: str | None = None
    use: str = "sig"
    key_ops: tuple[str, ...] = ("verify",)
    d: Any = None

    def fits(self, algorithm: str) -> bool:
        """Whether it checks such signatures. One whose private part is published does not: anybody could have signed."""
        kty, crv = FITS[algorithm]
        ours = self.use == "sig" and "verify" in self.key_ops and self.d is None
        return ours and self.kty == kty and crv in (None, self.crv) and self.alg in (None, algorithm)


class Usable(NamedTuple):
    """A key, for one of the algorithms that it can be used with."""

    kid: str | None
    algorithm: str
    key: PyJWK


class IssuerKeys:
    """The keys of one issuer, for one event loop. Time is the caller's."""

    def __init__(self, issuer: str, algorithms: Sequence[str]) -> None:
        self._issuer, self._algorithms = issuer, algorithms
        self._keys: list[Usable] = []
        self._fetched_at: datetime | None = None
        self._asked_at: datetime | None = None
        self._answered = False
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str | None, algorithm: str, now: datetime) -> PyJWK | None:
        """The one key with this id that fits the algorithm; without an id the one that fits. None where there is none, or
        more than one. Raises IssuerUnavailable where that cannot be known."""
        if self._age(now) >= LIFETIME:
            await self._refresh(now)
        if self._age(now) >= LIFETIME + GRACE:
            raise _unavailable()
        found = self._pick(kid, algorithm)
        if found is None:  # it may be newer than what we have
            await self._refresh(now)
            found = self._pick(kid, algorithm)
            if found is None and not self._answered:
                raise _unavailable()
        return found

    def _pick(self, kid: str | None, algorithm: str) -> PyJWK | None:
        fitting = [each.key for each in self._keys if each.algorithm == algorithm and kid in (None, each.kid)]
        return fitting[0] if len(fitting) == 1 else None

    def _age(self, now: datetime) -> timedelta:
        """Also a clock that was put back makes keys old."""
        return timedelta.max if self._fetched_at is None else abs(now - self._fetched_at)

    async def _refresh(self, now: datetime) -> None:
        """Ask the issuer, unless it was asked a moment ago; whoever comes meanwhile waits for the same answer."""
        if self._fetching is None:
            if self._asked_at is not None and abs(now - self._asked_at) < PAUSE:
                return
            self._asked_at = now
            self._fetching = asyncio.create_task(self._fetch(now))
        # It is not awaited: a client that hangs up, or an issuer that is slow, must not end it for the others.
        await asyncio.wait({self._fetching}, timeout=TIMEOUT)

    async def _fetch(self, now: datetime) -> None:
        self._answered = False
        try:
            self._keys = await asyncio.to_thread(_usable_keys, self._issuer, self._algorithms)
            self._fetched_at, self._answered = now, True
        except (OSError, HTTPException, ValueError, RecursionError) as error:
            log.warning("the keys of the issuer %s cannot be had: %s", self._issuer, str(error) or type(error).__name__)
        finally:
            self._fetching = None


def _unavailable() -> IssuerUnavailable:
    return IssuerUnavailable("The issuer of the token does not tell its keys just now. An API key works meanwhile.")


def _usable_keys(issuer: str, algorithms: Sequence[str]) -> list[Usable]:
    found = [usable for key in _fetch_keys(issuer) for usable in _uses(key, algorithms)]
    if not found:
        raise ValueError("none of its keys fits an algorithm that is allowed")
    return found


def _uses(given: Any, algorithms: Sequence[str]) -> Iterator[Usable]:
    """A key, once for each algorithm that it fits; one that cannot be read is as if it were not there."""
    try:
        key = msgspec.convert(given, Key)
        for algorithm in filter(key.fits, algorithms):
            yield Usable(key.kid, algorithm, PyJWK(given, algorithm))
    except (PyJWTError, msgspec.ValidationError) as error:
        log.warning("a key of the issuer cannot be read: %s", type(error).__name__)


# --- over the network ---------------------------------------------------------------------------------------------------


def _fetch_keys(issuer: str) -> list[Any]:
    """The key set that the discovery document names. Raises ValueError for one that is not where it must be."""
    opener = _opener()
    about = _fetch_document(opener, issuer.removesuffix("/") + WELL_KNOWN, Discovery)
    if about.issuer != issuer:
        raise ValueError("its discovery document names another issuer")
    if urlsplit(about.jwks_uri).scheme != "https" and _origin(about.jwks_uri) != _origin(issuer):
        raise ValueError("its discovery document has keys at an address without https")
    return _fetch_document(opener, about.jwks_uri, KeySet).keys


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _opener() -> http.OpenerDirector:
    """It follows no redirect, knows no other schemes, and sends nothing for this machine itself (http) to a proxy."""
    opener = http.OpenerDirector()
    opener.addheaders = [("User-Agent", "concord"), ("Accept", "application/json")]
    proxies = {scheme: proxy for scheme, proxy in http.getproxies().items() if scheme == "https"}
    for handler in (
        http.ProxyHandler(proxies), http.HTTPHandler(), http.HTTPSHandler(), http.HTTPDefaultErrorHandler(),
        http.HTTPErrorProcessor(),
    ):  # fmt: skip
        opener.add_handler(handler)
    return opener


def _fetch_document(opener: http.OpenerDirector, url: str, kind: type[T]) -> T:
    end, pieces, size = time.monotonic() + TIMEOUT, [], 0
    try:
        with opener.open(url, timeout=TIMEOUT) as answer:
            while piece := answer.read1():
                pieces.append(piece)
                size += len(piece)
                if size > MOST_BYTES:
                    raise ValueError(f"a document is longer than {MOST_BYTES} bytes")
                if time.monotonic() > end:
                    raise TimeoutError("a document takes too long")
    except HTTPError as error:
        error.close()
        raise OSError(f"it answers {error.code}") from None
    return msgspec.json.decode(b"".join(pieces), type=kind)
