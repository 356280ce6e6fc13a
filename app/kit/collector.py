"""The garbage collector, where very many objects are made that are gone again a moment later: it would look at all that stays
again and again, and find nothing to collect. An import takes a fifth less time without."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 20_000
"""So many new objects before it looks, instead of some hundreds: as many as a chunk of an import holds."""
_lock = threading.Lock()
_resting = 0
_usual = gc.get_threshold()


@contextmanager
def resting() -> Iterator[None]:
    """While anybody is inside, the collector of this process looks seldom."""
    global _resting, _usual  # there is one collector a process
    with _lock:
        if _resting == 0:
            _usual = gc.get_threshold()
            gc.set_threshold(SELDOM, *_usual[1:])
        _resting += 1
    try:
        yield
    finally:
        with _lock:
            _resting -= 1
            if _resting == 0:
                gc.set_threshold(*_usual)
