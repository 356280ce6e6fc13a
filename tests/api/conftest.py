"""The application with other settings than usual, asked without a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from tests.conftest import Server

Make = Callable[..., FastAPI]


@pytest.fixture
def make(server: Server) -> Iterator[Make]:
    """Makes a seeded registry of these settings."""
    made: list[FastAPI] = []

    def build(**settings: Any) -> FastAPI:
        made.append(create_app(Settings(database_url=server.fresh("seeded"), **settings)))
        return made[-1]

    yield build
    for app in made:
        app.state.database.close()
