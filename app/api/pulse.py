"""The pulse: tells those who wait when the registry has been written to, by whichever process.

One question a beat to the database for all who wait, and none while nobody does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from app.kit.errors import Busy, Unavailable

BEAT = 0.5
"""Seconds between two looks at the clock."""
MOST = 200
"""So many may wait at once in a process, if nothing else is set."""


class Pulse:
    """The registry's sequence as it moves. `look` asks the database for it."""

    def __init__(self, look: Callable[[], Awaitable[int]], *, beat: float = BEAT, most: int = MOST) -> None:
        self.look = look
        self._most = most
        self._beat = beat
        self._waiting = 0
        self.stopped = False
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def insist_on_room(self) -> None:
        """Raises Busy where too many listen already; Unavailable when the server is about to stop."""
        if self.stopped:
            raise Unavailable("The server is stopping. Come back in a moment: another one takes its place.")
        if self._waiting >= self._most:
            raise Busy(f"{self._most} clients are listening already. Ask again later, or ask for pages.")

    @property
    def listeners(self) -> int:
        return self._waiting

    def stop(self) -> None:
        """Wake all who wait: the server is about to stop, and they must end first."""
        self.stopped = True
        self._moved.set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """While inside, the clock is looked at."""
        self._waiting += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._waiting -= 1

    @property
    def next_move(self) -> asyncio.Event:
        """Set when the sequence is next seen to have moved. Take it before you read, and no move is missed in between."""
        return self._moved

    async def _run(self) -> None:
        last = None
        while self._waiting and not self.stopped:
            try:
                now = await self.look()
            except Unavailable:  # those who wait will be told at their next question
                now = None
            if now != last:
                last = now
                moved, self._moved = self._moved, asyncio.Event()
                moved.set()
            await asyncio.sleep(self._beat)
