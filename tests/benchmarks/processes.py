"""Processes: servers that are measured, each on a core of its own, and what one of them takes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from app.settings import HOME
from tests.support import costs
from tests.support.wire import KEY, free_port

Core = int | None
PATIENCE = 60.0
"""Seconds that a server has to begin or to end."""


def cores() -> tuple[Core, Core]:
    """Where the server runs, and where its clients do; None where the system does not let us choose."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


@contextmanager
def pinned(core: Core) -> Iterator[None]:
    """Let what is started meanwhile run on this core alone."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for logs, and for what servers and their clients are handed."""
    with tempfile.TemporaryDirectory(prefix="concord-benchmarks-") as folder:
        yield Path(folder)


@dataclass(frozen=True, slots=True)
class Process:
    """A server that runs."""

    port: int
    pid: int
    log: Path
    seconds: float
    """From its start until its first answer."""


@contextmanager
def serving(
    *program: str, log: Path, core: Core = None, probe: str = "/readyz", variables: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """A Python program that serves at `--port`, from its first good answer to `probe`. What it says goes to `log`."""
    port = free_port()
    begun = time.perf_counter()
    with log.open("ab") as said, pinned(core):
        process = subprocess.Popen(
            [sys.executable, *program, "--port", str(port)],
            cwd=HOME, env=_environment(variables or {}), stdout=said, stderr=said,
        )  # fmt: skip
    try:
        _wait(process, port, probe, log)
        yield Process(port, process.pid, log, time.perf_counter() - begun)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def concord(
    url: str, *options: str, log: Path, core: Core = None, probe: str = "/readyz", settings: Sequence[str] = ()
) -> Iterator[Process]:
    """`concord serve`; `settings` as NAME=VALUE, without the prefix."""
    told = dict(setting.split("=", 1) for setting in settings)
    variables = {"CONCORD_DATABASE_URL": url, "CONCORD_ADMIN_KEY": KEY} | {
        f"CONCORD_{name.upper()}": value for name, value in told.items()
    }
    with serving("-m", "app", "serve", *options, log=log, core=core, probe=probe, variables=variables) as process:
        yield process


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONCORD_")}
    return kept | dict(variables)


def _wait(process: subprocess.Popen[bytes], port: int, probe: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not _answers(port, probe):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{process.args} does not answer:\n{log.read_text(errors='replace')[-2000:]}")  # type: ignore[str-bytes-safe]
        time.sleep(0.01)


def _answers(port: int, probe: str) -> bool:
    line = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        line.request("GET", probe)
        return line.getresponse().status < 400  # the limit gives one answer to all
    except OSError:
        return False
    finally:
        line.close()


def memory(pid: int) -> int | None:
    """The bytes of memory that are a process's share (PSS). None where the system does not tell."""
    return costs.memory(pid) if costs.KNOWN else None


def cpu(pid: int) -> float:
    """The seconds for which a process has had a core, all its threads together; 0 where the system does not tell."""
    return costs.cpu(pid) if costs.KNOWN else 0.0
