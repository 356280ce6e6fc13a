"""The signal to stop, told to those who would not end by themselves."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

log = logging.getLogger("concord")
TO_STOP = (signal.SIGTERM, signal.SIGINT)
LAST_RESORT = 2.0
"""Seconds after the grace period until the process ends though a thread still waits for a database that hangs."""


@contextmanager
def heard(stop: Callable[[], None], *, grace: float) -> Iterator[None]:
    """While inside, a signal to stop calls `stop` on the running loop, and then does what it would have done: the server has
    set its own handlers before the application starts. Who has not come out of here LAST_RESORT seconds after the grace period
    is ended. Elsewhere than on the main thread nobody can hear signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in TO_STOP}
    end = threading.Timer(grace + LAST_RESORT, _end)
    end.daemon = True

    def begin() -> None:
        stop()
        if not end.is_alive() and not end.finished.is_set():
            end.start()

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(begin)
        if callable(handler := before[signal.Signals(number)]):
            handler(number, frame)

    for number in TO_STOP:
        signal.signal(number, handle)
    try:
        yield
    finally:
        end.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _end() -> None:
    """Python waits for every thread at its end, also for one that waits for a database. What such a thread has written is not
    committed: the database undoes it when the connection breaks."""
    log.error("The database did not let go within the grace period: what was under way is undone.")
    os._exit(1)
