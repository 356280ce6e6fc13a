"""The application on both databases at once, asked without a server: a model run asks a hundred thousand times, and a request
in process takes a third of the time of one over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI

from app.kit.db import Database
from app.main import create_app
from app.settings import Settings
from tests.conftest import Server, Ticking
from tests.support.asgi import Header, ask, scope_of
from tests.support.databases import clear
from tests.support.wire import AUTHORIZED, JSON, Answer

Json = dict[str, Any]


@dataclass
class Side:
    """One of the two registries. `begin` is the number of its sequence before the present run, `ids` are those of the records
    of this run."""

    kind: str
    app: FastAPI
    loop: asyncio.AbstractEventLoop
    begin: int = 0
    asked: int = 0
    ids: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def database(self) -> Database:
        found: Database = self.app.state.database
        return found

    def empty(self) -> None:
        """Forget everything but the sequence: nothing that was told under one of its numbers may be told again under it."""
        self.begin = clear(self.database.engine)
        self.ids.clear()

    def ask(
        self, method: str, target: str, body: bytes | None = None, headers: Iterable[Header] = (), kind: str = JSON[1]
    ) -> Answer:
        """The answer to one request."""
        self.asked += 1
        given = [*AUTHORIZED.items(), *headers]
        if body is not None:
            given += [("Content-Type", kind), ("Content-Length", str(len(body)))]
        return self.loop.run_until_complete(ask(self.app, scope_of(target, method=method, headers=given), body or b""))


@contextmanager
def both(servers: Iterable[Server]) -> Iterator[list[Side]]:
    """An empty registry on each of the two kinds of database."""
    loop = asyncio.new_event_loop()
    sides = [
        Side(
            server.kind,
            create_app(Settings(database_url=server.fresh("empty"), pool_size=2), clock=Ticking()),
            loop,
        )
        for server in servers
    ]
    try:
        yield sides
    finally:
        for side in sides:
            side.database.close()
        loop.close()


def encoded(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()
