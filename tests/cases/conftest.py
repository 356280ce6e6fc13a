"""The registry that each of these tests begins with, and a client that writes raw bytes to the same server."""

from __future__ import annotations

import httpx
import pytest

from tests.support.databases import database, emptied
from tests.support.wire import Wire

__all__ = ["database", "emptied", "wire"]


@pytest.fixture
def wire(client: httpx.Client) -> Wire:
    """Raw bytes to the server of `client`."""
    assert client.base_url.port is not None
    return Wire(client.base_url.port)
