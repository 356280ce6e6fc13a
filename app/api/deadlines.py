"""What a request costs the server until its answer begins: a place among those that are worked on, and time.

A pure ASGI layer in front of the routes. Neither is counted while the server waits for its client to send the next piece: a
hundred slow clients are not at work, and how slow one may be is for the server to say (`protocol.py`).
"""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette._utils import get_route_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.edge import ALIVE, Refused
from app.api.limits import Slots
from app.settings import Settings

DEADLINE = "deadline"
"""Under which name the state of a request has its deadline."""


def take_time(request: Request) -> None:
    """Let this request take as long as it needs until its answer begins: it moves very much in or out."""
    deadline: asyncio.Timeout | None = request.scope.get("state", {}).get(DEADLINE)
    if deadline is not None and not deadline.expired():
        deadline.reschedule(None)


class Deadlines:
    """The layer. Raises Busy where there is no room for one more request, Refused for an answer that has not begun in time."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        self._seconds = settings.deadline_seconds
        self._room, self._aside = (
            Slots(settings.max_requests, "As many requests are being worked on as this server takes at once.")
            for _ in range(2)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Who asks whether the process is alive is never told to wait: too busy is alive, and no reason to be ended.
        room = self._aside if get_route_path(scope) == ALIVE else self._room
        work = _Work(room, self._seconds, receive, send)
        work.begin()
        deadline = scope["state"][DEADLINE] = work.deadline
        try:
            async with deadline:
                await self._app(scope, work.receive, work.send)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise Refused(_late(scope["method"], self._seconds), slug="timed-out") from None
        finally:
            work.end()


class _Work:
    """One request while it is worked on."""

    def __init__(self, room: Slots, seconds: float, receive: Receive, send: Send) -> None:
        self.deadline = asyncio.timeout(seconds)
        self._room = room
        self._seconds = seconds
        self._receive = receive
        self._send = send
        self._at_work = False
        self._limited = True
        self._begun = False

    def begin(self) -> None:
        """Raises Busy."""
        self._room.take()
        self._at_work = True

    def end(self) -> None:
        if self._at_work:
            self._room.give_back()
            self._at_work = False

    async def receive(self) -> Message:
        """The next piece of the request."""
        if self._begun or not self._at_work:
            return await self._receive()
        self._pause()
        message = await self._receive()
        if not self._begun:
            self._resume()
        return message

    async def send(self, message: Message) -> None:
        if not self._begun:
            self._begun = True
            self._pause()
        await self._send(message)

    def _pause(self) -> None:
        self._limited = self.deadline.when() is not None
        if self._limited and not self.deadline.expired():
            self.deadline.reschedule(None)
        self.end()

    def _resume(self) -> None:
        self._room.taken += 1  # it was let in before
        self._at_work = True
        if self._limited and not self.deadline.expired():
            self.deadline.reschedule(asyncio.get_running_loop().time() + self._seconds)


def _late(method: str, seconds: float) -> str:
    told = f"There was no answer within {seconds:g} seconds. "
    if method in ("GET", "HEAD"):
        return told + "Nothing was changed by this request."
    return told + "It may still be stored: read the record before you send this again."
