"""Who may do what. Until API keys exist: everybody reads, and the registry's own machine writes."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from app.kit.db import Author
from app.kit.errors import Forbidden

LOCAL = "local"
"""The author of what is written without a key."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from, as far as it can be seen: the client's address, the host it asks for, the page that
    made it (programs send no Origin), and whether a proxy says that it only passes it on."""

    address: str | None
    host: str
    origin: str | None = None
    forwarded: bool = False


def writer(caller: Caller, reason: str | None) -> Author:
    """The author of a write by `caller`. Raises Forbidden.

    The host counts because a page of another site that had its name pointed to 127.0.0.1 would come from this machine,
    but would ask for that name; the origin, because a form of another site may post without a body to read; and what a
    proxy on this machine passes on may come from anywhere.
    """
    if caller.origin is not None and not is_loopback(_without_port(caller.origin.partition("://")[2])):
        raise Forbidden("A page of another site may not write here.")
    if caller.forwarded or not is_loopback(caller.address or "") or not is_loopback(_without_port(caller.host)):
        raise Forbidden("Writing is open on the registry's own machine only, as long as there are no API keys.")
    return Author(LOCAL, reason)


def is_loopback(name: str) -> bool:
    """Whether `name`, an address or `localhost`, is this machine."""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
