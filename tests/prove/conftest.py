"""The registry as it is run for many: `concord serve` with two worker processes, on each database, for all proofs that only
need an empty place in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Server
from tests.prove.callers import Caller, Served
from tests.test_cli import served


@pytest.fixture(scope="session")
def workers(server: Server) -> Iterator[Served]:
    """Two workers on one registry. What a proof makes there stays there."""
    url = server.fresh("empty")
    with served(url, "--workers", "2", "--no-seed") as (_, client):
        yield Served(url, int(client.base_url.port or 0))


@pytest.fixture
def caller(workers: Served) -> Iterator[Caller]:
    """A client of them."""
    made = Caller(workers.port)
    yield made
    made.close()
