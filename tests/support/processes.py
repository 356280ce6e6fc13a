"""The processes of `concord serve`, as Linux shows them: a supervisor and its workers, which a test may kill."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

on_linux = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="a worker is found by what Linux says of processes"
)


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def workers(supervisor: int) -> list[int]:
    """The workers of a server: its children but for the one that tracks what they share."""
    found = []
    for child in children(supervisor):
        with suppress(OSError):  # it has ended meanwhile
            if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def kill(*processes: int) -> None:
    """End them as the machine does that has no memory left: at once, and without a word."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def threads(process: int) -> int:
    return len(list(Path(f"/proc/{process}/task").iterdir()))


def files(process: int) -> list[str]:
    """What a process has open: names of files, and `socket:[number]`."""
    found = []
    for link in Path(f"/proc/{process}/fd").iterdir():
        with suppress(OSError):
            found.append(str(link.readlink()))
    return found


FORKING = """
import os, signal, socket, sys, uvicorn
from app.api import protocol
from app.main import create_app
from app.settings import Settings

listening = socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), backlog=2048)
settings, workers = Settings.from_environment(os.environ), set()

def stop(*_):
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    os._exit(0)

def work():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    uvicorn.Server(uvicorn.Config(create_app(settings), log_level="critical", **protocol.options(settings))).run([listening])
    os._exit(0)

signal.signal(signal.SIGTERM, stop)
while True:
    while len(workers) < 2:
        if (worker := os.fork()) == 0:
            work()
        workers.add(worker)
    workers.discard(os.wait()[0])
"""
"""A server of two workers on one socket, as uvicorn's, with one difference: a new worker finds the program loaded and is there
in a tenth of a second, so that two hundred of them can be killed while one looks on."""


def writing(supervisor: int) -> list[int]:
    """Its workers that have written: they have a thread that serves, one that reads and one that writes or watches."""
    busy = []
    for child in children(supervisor):
        with suppress(OSError):
            if threads(child) >= 3:
                busy.append(child)
    return busy
