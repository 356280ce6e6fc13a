"""The pulse: tells those who wait when the registry has been written to, by whichever process.

One question a beat to the database for all who wait, and none while nobody does. What all who are told ask is asked once, and
they are told a few at a time: ten thousand of them at once would keep the loop from everybody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, TypeVar

from app.kit.errors import Busy, Unavailable

T = TypeVar("T")

BEAT = 0.5
"""Seconds between two looks at the clock."""
MOST = 200
"""So many may wait at once in a process, if nothing else is set."""
TOLD_AT_ONCE = 50
"""Between so many of them and the next, all others have their turn."""
MOST_ANSWERS = 16
"""So many are kept for those who ask the same. Who catches up asks alone, and who has caught up asks as all do."""
AT_WORK = 4
"""So many of those who wait have the database answer them at once: the others of its places are for requests."""


class Move:
    """One step of the sequence: some wait for it, and ask the same when it has come."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[bool], None] = {}
        self._answers: dict[Hashable, asyncio.Task[Any]] = {}
        self._is_told = False

    async def wait(self, seconds: float) -> bool:
        """Until the sequence has moved; False where it has not within so many seconds."""
        if self._is_told:
            return True
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bool] = loop.create_future()
        self._waiting[waiting] = None
        end = loop.call_later(seconds, _settle, waiting, False)
        try:
            return await waiting
        finally:
            end.cancel()
            self._waiting.pop(waiting, None)

    async def once(self, asked: Hashable, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `ask` answers, for all who ask the same before they wait for this move: were anything written that the answer
        lacks, the move would be told to them. A failure is shared for a moment, and is then nobody's answer."""
        task = self._answers.get(asked)
        if task is None:
            if len(self._answers) == MOST_ANSWERS:
                del self._answers[next(iter(self._answers))]
            task = self._answers[asked] = asyncio.create_task(ask())
            task.add_done_callback(lambda ended: self._forget(asked, ended))
        answer: T = await asyncio.shield(task)
        return answer

    def _forget(self, asked: Hashable, ended: asyncio.Task[Any]) -> None:
        if ended.cancelled() or ended.exception() is not None:
            ended.get_loop().call_later(BEAT, self._answers.pop, asked, None)

    async def tell(self) -> None:
        """Wake all who wait, some after the others."""
        self._is_told = True
        while self._waiting:
            self._wake(TOLD_AT_ONCE)
            await asyncio.sleep(0)

    def end(self) -> None:
        """Wake all at once."""
        self._is_told = True
        self._wake(len(self._waiting))

    def _wake(self, most: int) -> None:
        for waiting in list(islice(self._waiting, most)):
            del self._waiting[waiting]
            _settle(waiting, True)


def _settle(waiting: asyncio.Future[bool], moved: bool) -> None:  # noqa: FBT001
    if not waiting.done():
        waiting.set_result(moved)


class Pulse:
    """The registry's sequence as it moves. `look` asks the database for it."""

    def __init__(self, look: Callable[[], Awaitable[int]], *, beat: float = BEAT, most: int = MOST) -> None:
        self.look = look
        self.turns = asyncio.Semaphore(AT_WORK)
        """Held by whoever of those that wait asks the database."""
        self._most = most
        self._beat = beat
        self._waiting = 0
        self.stopped = False
        self._move = Move()
        self._told: Move | None = None
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
        for move in (self._told, self._move):
            if move is not None:
                move.end()

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
    def next_move(self) -> Move:
        """The one that has not been seen yet. Take it before you read, and no move is missed in between."""
        return self._move

    async def _run(self) -> None:
        last = None
        while self._waiting and not self.stopped:
            try:
                now = await self.look()
            except Unavailable:  # those who wait will be told at their next question
                now = None
            if now != last:
                last = now
                self._told, self._move = self._move, Move()
                await self._told.tell()
            await asyncio.sleep(self._beat)
