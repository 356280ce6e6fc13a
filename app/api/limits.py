"""Limits: how often one caller may ask, how often one address may fail to say who it is, how much goes on at once.

All of them are kept in the memory of one worker, and cost it a bounded part of that. What is counted is forgotten by itself.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.types import Scope

from app.api.cors import header
from app.kit.errors import Busy, TooMany
from app.settings import AUTO, Settings

USUAL = 1200
"""Requests a minute, where nothing is set."""
FAILURES = 30
"""Failed authentications a minute of one address."""
WINDOW = 60.0
"""Seconds in which a quota is given."""
MOST_CALLERS = 10_000
"""So many callers are remembered; those that have been away the longest are forgotten first, which only favours them."""
FORWARDED = ("forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")
"""Who sends one of these passes on what others ask."""

HOUSE = tuple(map(ipaddress.ip_network, (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10",
)))  # fmt: skip
"""Addresses that nobody has on the internet."""
ROUNDING = 0.01
"""Part of an event by which sums of floating point numbers may be wrong."""

Seconds = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a caller stands with a quota: how many requests are left, and after how many seconds there is one more."""

    allowed: bool
    left: int
    more_in: int


class Quota:
    """So many events in any WINDOW of each caller, spread as each likes: the generic cell rate algorithm, which is a token
    bucket that keeps one number for a caller. That number is the moment at which its bucket will be full again."""

    def __init__(self, most: int, *, clock: Seconds = time.monotonic) -> None:
        self.most = most
        self._clock = clock
        self._interval = WINDOW / most
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def __contains__(self, caller: str) -> bool:
        return caller in self._full_at

    def count(self, caller: str) -> Standing:
        """Count one event, unless there is no room for it."""
        standing = self.look(caller)
        if standing.allowed:
            now = self._clock()
            self._full_at[caller] = max(now, self._full_at.get(caller, now)) + self._interval
            self._full_at.move_to_end(caller)
            if len(self._full_at) > MOST_CALLERS:
                self._full_at.popitem(last=False)
        return standing

    def look(self, caller: str) -> Standing:
        """How the caller would stand after one more event."""
        now = self._clock()
        debt = max(0.0, self._full_at.get(caller, now) - now) / self._interval  # in events
        left = self.most - debt - 1
        if left < -ROUNDING:
            return Standing(allowed=False, left=0, more_in=max(1, math.ceil(-left * self._interval)))
        return Standing(allowed=True, left=int(left + ROUNDING), more_in=max(1, math.ceil(self._interval)))


class RateLimit:
    """Requests of each key, or of each address."""

    def __init__(self, settings: Settings, *, clock: Seconds = time.monotonic) -> None:
        self._auto = settings.rate_limit == AUTO
        most = USUAL if self._auto else int(settings.rate_limit)
        self._quota = Quota(most, clock=clock) if most and not (self._auto and settings.trusted_proxies) else None

    def count(self, scope: Scope) -> dict[str, str]:
        """Count this request. Returns the headers that tell how its caller stands; none where nothing is counted. Raises
        TooMany."""
        if self._quota is None or (self._auto and _is_passed_on(scope)):
            return {}
        standing = self._count(self._quota, caller(scope), network(_address(scope)))
        headers = {
            "RateLimit-Policy": f'"default";q={self._quota.most};w={WINDOW:.0f}',
            "RateLimit": f'"default";r={standing.left};t={standing.more_in}',
        }
        if not standing.allowed:
            raise too_many(f"{self._quota.most} requests a minute are allowed.", standing, headers)
        return headers

    @staticmethod
    def _count(quota: Quota, who: str, address: str) -> Standing:
        """Who comes with a key for the first time is counted by address too: nobody gains by a new key for each request."""
        if who not in quota and who != address and not (standing := quota.count(address)).allowed:
            return standing
        return quota.count(who)


def _is_passed_on(scope: Scope) -> bool:
    """Whether a request seems to come through a proxy that nobody has named: then all its clients have one address. That a
    client of the internet says so does not count, or it would limit itself."""
    address = _address(scope)
    return _is_here(address) or (is_forwarded(scope) and _is_near(address))


def is_forwarded(scope: Scope) -> bool:
    """Whether a proxy says that it passes on what somebody else asks."""
    return any(name.decode("latin-1") in FORWARDED for name, _ in scope["headers"])


def caller(scope: Scope) -> str:
    """Who is counted: whoever holds this key (by its hash: no key is kept), else whoever has this address."""
    scheme, _, token = (header(scope, b"authorization") or b"").partition(b" ")
    if scheme.lower() == b"bearer" and token.strip():
        return hashlib.sha256(token.strip()).hexdigest()
    return network(_address(scope))


@functools.lru_cache(4096)
def network(address: str) -> str:
    """The part of an address that is one customer's: an IPv6 client has a whole /64 to choose from."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return address if parsed is None else str(parsed)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, as IPv4 where it only is written as IPv6; None for what is none, such as a socket of this machine."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


@functools.lru_cache(4096)
def _is_here(address: str) -> bool:
    """Whether it is this machine that asks."""
    parsed = _parsed(address)
    return parsed is None or parsed.is_loopback


def _is_near(address: str) -> bool:
    """Whether it is a machine of the same house."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in each for each in HOUSE)


class Failures:
    """Failed authentications of each address: whoever guesses keys is soon not listened to any more."""

    def __init__(self, most: int = FAILURES, *, clock: Seconds = time.monotonic) -> None:
        self._quota = Quota(most, clock=clock)

    def insist(self, address: str) -> None:
        """Raises TooMany where this address has failed too often."""
        standing = self._quota.look(network(address))
        if not standing.allowed:
            raise too_many("This address has tried too many keys that are none.", standing)

    def count(self, address: str) -> None:
        """This address has failed once."""
        self._quota.count(network(address))


def too_many(detail: str, standing: Standing, headers: Mapping[str, str] | None = None) -> TooMany:
    return TooMany(detail, headers={"Retry-After": str(standing.more_in), **(headers or {})})


class Slots:
    """So many of one thing at once. Whoever takes one gives it back."""

    def __init__(self, most: int, refusal: str) -> None:
        self._most = most
        self._refusal = refusal
        self.taken = 0

    def take(self) -> None:
        """Raises Busy where none is free."""
        if self.taken >= self._most:
            raise Busy(self._refusal)
        self.taken += 1

    def give_back(self) -> None:
        self.taken -= 1
