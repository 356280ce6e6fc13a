"""Applications of a test's own, for what the shared one cannot show: crashes, settings, databases that go away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from tests.conftest import Server, authorized, serving

Open = Callable[..., httpx.Client]


@contextmanager
def answering(app: FastAPI) -> Iterator[httpx.Client]:
    """A client of the real server, which runs `app` on a thread of this process."""
    with serving(app) as port, authorized(port) as client:
        yield client


@pytest.fixture
def own(server: Server) -> Iterator[Open]:
    """Makes an application on a registry of its own: `own("seeded", read_only=True)`; `prepare` may add to it."""
    with ExitStack() as opened:

        def make(
            template: str = "empty", prepare: Callable[[FastAPI], Any] = lambda _: None, **given: Any
        ) -> httpx.Client:
            app = create_app(Settings(database_url=server.fresh(template), pool_size=4, **given))
            prepare(app)
            return opened.enter_context(answering(app))

        yield make
