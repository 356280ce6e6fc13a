"""The application asked without a server: every message that it is given or sends is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Scope

from tests.support.wire import Answer

Header = tuple[str, str]


def scope_of(
    target: str = "/", *, method: str = "GET", headers: Iterable[Header] = (), client: str = "127.0.0.1"
) -> Scope:
    """A request as uvicorn hands it on."""
    path, _, query = target.partition("?")
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in (("host", "127.0.0.1"), *headers)],
        "client": (client, 1), "server": ("127.0.0.1", 2), "state": {},
    }  # fmt: skip


@dataclass
class Client:
    """One client of one request. While `takes` is not set it takes no byte of a body; `leaves` hangs up."""

    sent: list[Message] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    takes: asyncio.Event = field(default_factory=asyncio.Event)
    leaves: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, app: ASGIApp, scope: Scope, body: bytes = b"") -> Answer:
        """The answer, as far as it came."""
        pieces = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if pieces:
                return pieces.pop()
            await self.leaves.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            self.sent.append(message)
            self.begun.set()
            if message["type"] == "http.response.body":
                await self.takes.wait()

        await app(scope, receive, send)
        return self.answer

    @property
    def answer(self) -> Answer:
        start, *bodies = self.sent
        headers = [(name.decode().lower(), value.decode("latin-1")) for name, value in start["headers"]]
        return Answer(start["status"], headers, b"".join(message.get("body", b"") for message in bodies))


async def ask(app: ASGIApp, scope: Scope, body: bytes = b"") -> Answer:
    """The answer to a client that takes whatever comes."""
    client = Client()
    client.takes.set()
    return await client.ask(app, scope, body)
