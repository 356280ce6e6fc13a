"""Checkpoints: SQLite's log is copied into the file of the database beside the writes, and not within one of them.

A commit that finds the log long copies it itself. That takes twenty milliseconds, half of them until the disk has confirmed it,
and came after every seventieth creation: a fifth of all that wrote at the same time waited for it. A checkpoint that is PASSIVE
keeps nobody waiting, neither who reads nor who writes: it copies what no reading needs any more, as far as it can.
https://www.sqlite.org/wal.html#checkpointing
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from app.kit.sides import Side

log = logging.getLogger("concord")
EACH = 64
"""Writes between two checkpoints. A creation writes some fourteen pages; from `engines.LOG` on a commit copies after all."""


class Checkpoints:
    """Those that the writes of this process make necessary; one at a time. Of SQLite: PostgreSQL has its own."""

    def __init__(self, side: Side, submit: Callable[[Callable[[], Any], Future[None]], object]) -> None:
        """`submit` runs something on another thread, or raises something where it has none."""
        self._side = side
        self._submit = submit
        self._since = 0
        self._last: Future[None] | None = None

    def after(self, writes: int) -> None:
        """Take note of so many writes more, and copy the log if it is time. It never fails, and nobody waits."""
        self._since += writes
        if self._side.postgresql or self._since < EACH or not (self._last is None or self._last.done()):
            return
        self._since = 0
        asked: Future[None] = Future()
        try:
            self._submit(self._copy, asked)
        except Exception:  # too many wait, or there is no thread: the log grows until the next time
            return
        self._last = asked

    def _copy(self) -> None:
        try:
            with self._side.asking() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").all()
        except Exception as error:  # a disk that is full, or worse: it stays in the log, where nothing is lost
            log.warning("the log was not copied this time: %s", error)
