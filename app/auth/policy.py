"""Who may do what. Until API keys exist: everybody reads, and the registry's own machine writes."""

from __future__ import annotations

import ipaddress

from app.kit.db import Author
from app.kit.errors import Forbidden

LOCAL = "local"
"""The author of what is written without a key."""


def writer(address: str | None, host: str, origin: str | None, reason: str | None) -> Author:
    """The author of a write that comes from `address` (the client's), asks for `host` and was made by a page of `origin`
    (the headers; programs send no Origin). Raises Forbidden.

    The host counts too: a page of another site that had its name pointed to 127.0.0.1 would come from this machine, but
    it would ask for that name. And so does the origin: a form of another site may post without a body to read.
    """
    if origin is not None and not is_loopback(_without_port(origin.partition("://")[2])):
        raise Forbidden("A page of another site may not write here.")
    if not is_loopback(address or "") or not is_loopback(_without_port(host)):
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
