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
from typing import Any

log = logging.getLogger("concord")
TO_STOP = (signal.SIGTERM, signal.SIGINT)
LAST_RESORT = 1.0
"""Seconds after the grace period until the process ends though a thread still waits for a database that hangs."""


@contextmanager
def heard(stop: Callable[[], None], *, grace: float) -> Iterator[None]:
    """While inside, a signal to stop calls `stop` on the running loop, and then does what it would have done: the server has
    set its own handlers before the application starts. Elsewhere than on the main thread nobody can hear signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in TO_STOP}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(_end_after, grace + LAST_RESORT)
        loop.call_soon_threadsafe(stop)
        _call(before[signal.Signals(number)], number, frame)

    for number in TO_STOP:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _call(handler: Any, number: int, frame: FrameType | None) -> None:
    if callable(handler):
        handler(number, frame)


def _end_after(seconds: float) -> None:
    """Python waits for every thread at its end, also for one that waits for a database. What such a thread has written is
    not committed: the database undoes it when the connection breaks."""
    timer = threading.Timer(seconds, _end)
    timer.daemon = True
    timer.start()


def _end() -> None:
    log.error("The database did not let go within the grace period: what was under way is undone.")
    os._exit(1)
