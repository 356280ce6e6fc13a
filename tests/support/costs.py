"""What a process of ours costs the machine, as the kernel counts it."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KNOWN = Path("/proc/self/smaps_rollup").exists()
"""Whether this system tells it as Linux does."""


def anonymous(pid: int) -> int:
    """Bytes of memory that are the process's own. What it maps of files is the system's to take back, and is not counted."""
    rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(row.split()[1]) * 1_024 for row in rows if row.startswith("RssAnon:"))


def memory(pid: int) -> int:
    """Bytes of memory that are the process's own, and its share of what it has in common with others (PSS)."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(row.split()[1]) * 1_024 for row in rows if row.startswith("Pss:"))


def cpu(pid: int) -> float:
    """Seconds of a processor that it has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The block takes this process less of the processor. The collector of garbage rests: it would look through what thousands
    of other tests have left, which alone takes a second on a busy machine."""
    gc.disable()
    begun = time.process_time()
    try:
        yield
        assert time.process_time() - begun < seconds
    finally:
        gc.enable()


@dataclass
class Working:
    """Which part of one processor a process used while a block ran."""

    part: float = 0


@contextmanager
def working(pid: int) -> Iterator[Working]:
    found, used, began = Working(), cpu(pid), time.monotonic()
    yield found
    found.part = (cpu(pid) - used) / (time.monotonic() - began)
