"""Turns: so many units of work run at once, so many wait, and nobody waits long. Who is sent away has not begun.

A queue without an end answers everybody too late; a full one that says so at once lets those inside be served.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from app.kit.errors import Busy

T = TypeVar("T")
BEAT = 0.1
"""Seconds between two looks at those who wait."""
FULL = "The registry has more to do than it can. This request was not begun."
LATE = "The registry was busy for longer than a request may wait. This one was not begun."


class Queue:
    """Those who wait for their turn: at most `most`, none for longer than `patience` seconds."""

    def __init__(self, most: int, patience: float) -> None:
        self.most, self.patience = most, patience
        self._waiting: dict[Future[Any], float] = {}  # until when; in the order in which they came
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, future: Future[Any], *, free: int = 0) -> None:
        """Wait. `free`: how many more may come in, since they need not wait. Raises Busy when it is full."""
        with self._lock:
            if len(self._waiting) >= self.most + free:
                raise Busy(FULL)
            self._waiting[future] = time.monotonic() + self.patience
            if len(self._waiting) > free and self._watch is None and not self._closed.is_set():
                self._watch = threading.Thread(target=self._send_away, name="concord-turns", daemon=True)
                self._watch.start()

    def leave(self, future: Future[Any]) -> bool:
        """Its turn has come. False where it has been sent away, or its caller has left."""
        with self._lock:
            there = self._waiting.pop(future, None) is not None
        return there and future.set_running_or_notify_cancel()

    def _send_away(self) -> None:
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
                if not self._waiting:
                    self._watch = None
                    return

    def close(self) -> None:
        """Those who wait now may wait as long as it takes."""
        self._closed.set()
        watch = self._watch
        if watch is not None:
            watch.join()


class Turns:
    """Threads that run what is submitted, `size` at once."""

    def __init__(self, size: int, queue: Queue) -> None:
        self._size = size
        self._queue = queue
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="concord-db")
        self._running = 0
        self._lock = threading.Lock()

    def submit(self, run: Callable[[], T]) -> Future[T]:
        """What `run` returns or raises. Raises Busy where too many wait; who waits too long ends with it, too."""
        future: Future[T] = Future()
        self._queue.enter(future, free=self._size - self._running)
        try:
            self._threads.submit(self._run, run, future)
        except BaseException:
            self._queue.leave(future)
            raise
        return future

    def _run(self, run: Callable[[], T], future: Future[T]) -> None:
        with self._lock:
            self._running += 1
        try:
            if self._queue.leave(future):
                future.set_result(run())
        except BaseException as error:  # it is the caller's
            future.set_exception(error)
        finally:
            with self._lock:
                self._running -= 1

    @property
    def waiting(self) -> int:
        """How many units of work have not begun."""
        return len(self._queue)

    def close(self) -> None:
        """Finish what waits."""
        self._queue.close()
        self._threads.shutdown()
