"""Turns: so many units of work run at once, so many wait, and nobody waits long. Who is sent away has not begun.

A queue without an end answers everybody too late; a full one that says so at once lets those inside be served.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from app.kit.errors import Busy

T = TypeVar("T")
Told = TypeVar("Told", contravariant=True)
BEAT = 0.1
"""Seconds between two looks at those who wait."""
FULL = "The registry has more to do than it can. This request was not begun."
LATE = "The registry was busy for longer than a request may wait. This one was not begun."
QUIET = 20
"""Looks after which nobody looks any more, if nobody has waited meanwhile: to begin again costs more than a look."""


class Promise(Protocol[Told]):
    """What somebody waits for who has submitted work: a Future of threads, or `Soon`."""

    def set_running_or_notify_cancel(self) -> bool:
        """The work begins. False where nobody waits any more."""

    def set_result(self, result: Told, /) -> None: ...

    def set_exception(self, exception: BaseException, /) -> None: ...

    def done(self) -> bool:
        """Whether it has been told, or nobody waits any more."""


P = TypeVar("P", bound=Promise[Any])


class Soon(Generic[T]):
    """A promise to the coroutine that makes it, and awaits it. (A Future of threads, wrapped for an event loop, costs as much
    as a look-up in the database.)"""

    __slots__ = ("_future", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[T] = self._loop.create_future()

    def __await__(self) -> Generator[Any, None, T]:
        return self._future.__await__()

    def set_running_or_notify_cancel(self) -> bool:
        return not self._future.cancelled()

    def done(self) -> bool:
        return self._future.done()

    def set_result(self, result: T, /) -> None:
        self._tell(self._future.set_result, result)

    def set_exception(self, exception: BaseException, /) -> None:
        self._tell(self._future.set_exception, exception)

    def _tell(self, settle: Callable[[Any], None], outcome: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, settle, outcome)

    def _settle(self, settle: Callable[[Any], None], outcome: Any) -> None:
        if not self._future.done():  # its caller may have left
            settle(outcome)


class Queue:
    """Those who wait for their turn: at most `most`, none for longer than `patience` seconds."""

    def __init__(self, most: int, patience: float) -> None:
        self.most, self.patience = most, patience
        self._waiting: dict[Promise[Any], float] = {}  # until when; in the order in which they came
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, future: Promise[Any], *, free: int = 0) -> None:
        """Wait. `free`: how many more may come in, since they need not wait. Raises Busy when it is full."""
        with self._lock:
            if len(self._waiting) >= self.most + free:
                raise Busy(FULL)
            self._waiting[future] = time.monotonic() + self.patience
            if len(self._waiting) > free and self._watch is None and not self._closed.is_set():
                self._watch = threading.Thread(target=self._send_away, name="concord-turns", daemon=True)
                self._watch.start()

    def leave(self, future: Promise[Any]) -> bool:
        """Its turn has come. False where it has been sent away, or its caller has left."""
        with self._lock:
            there = self._waiting.pop(future, None) is not None
        return there and future.set_running_or_notify_cancel()

    def _send_away(self) -> None:
        quiet = 0
        while not self._closed.wait(BEAT):
            now = time.monotonic()
            with self._lock:
                late = [future for future, until in self._waiting.items() if until <= now]
                for future in late:
                    del self._waiting[future]
            for future in late:
                if future.set_running_or_notify_cancel():
                    future.set_exception(Busy(LATE))
            with self._lock:
                quiet = 0 if self._waiting else quiet + 1
                if quiet > QUIET:
                    self._watch = None
                    return

    def close(self) -> None:
        """Those who wait now may wait as long as it takes."""
        self._closed.set()
        watch = self._watch
        if watch is not None:
            watch.join()


class Turns:
    """Threads that run what is submitted, `size` at once. Each calls `rest` when nothing more is there for it to do."""

    def __init__(self, size: int, queue: Queue, *, rest: Callable[[], object] = lambda: None) -> None:
        self._size = size
        self._queue = queue
        self._rest = rest
        self._work: SimpleQueue[tuple[Callable[[], Any], Promise[Any]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._unfinished = 0
        self._closed = False
        self._lock = threading.Lock()

    def submit(self, run: Callable[[], Any], promise: P) -> P:
        """The promise, which will have what `run` returns or raises. Raises Busy where too many wait; who waits too long ends
        with it, too."""
        with self._lock:
            if self._closed:
                raise RuntimeError("nothing more is taken")
            if self._unfinished >= len(self._threads) and len(self._threads) < self._size:
                name = f"concord-db-{len(self._threads)}"
                thread = threading.Thread(target=self._take, name=name, daemon=True)
                thread.start()  # first: where none can be had, nothing has been promised
                self._threads.append(thread)
            self._queue.enter(promise, free=self._size - self._running)
            self._unfinished += 1
            self._work.put((run, promise))
        return promise

    def _take(self) -> None:
        while (task := self._work.get()) is not None:
            self._run(*task)
            del task  # nothing of it is kept while the next is waited for
            if self._work.empty():
                self._rest()
        self._rest()

    def _run(self, run: Callable[[], T], promise: Promise[T]) -> None:
        with self._lock:
            self._running += 1
        try:
            if self._queue.leave(promise):
                promise.set_result(run())
        except BaseException as error:  # it is the caller's
            promise.set_exception(error)
        finally:
            with self._lock:
                self._running -= 1
                self._unfinished -= 1

    @property
    def waiting(self) -> int:
        """How many units of work have not begun."""
        return len(self._queue)

    def close(self) -> None:
        """Finish what waits."""
        with self._lock:
            self._closed = True
        self._queue.close()
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()
