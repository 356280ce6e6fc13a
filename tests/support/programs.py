"""Programs in Python that tests start, in processes of their own. To read the registry takes a second of the processor, and
tests start hundreds of servers: where nothing else is asked for, one is a fork of a process that has read all of it."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import chdir
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

import uvicorn._subprocess

from app.settings import HOME

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["app.cli", "app.main", "app.api.protocol", "fastapi_offline", "uvloop"])


class Program(Protocol):
    """A process: of `subprocess.Popen`, what tests ask of one."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


def command(arguments: Sequence[str], variables: Mapping[str, str], said: Path, *, home: Path = HOME) -> Program:
    """`python` with these `arguments` and no other `variables`, in the folder `home`; what it says goes to `said`."""
    with said.open("ab") as file:
        return subprocess.Popen([sys.executable, *arguments], cwd=home, env=variables, stdout=file, stderr=file)


def fork(arguments: Sequence[str], variables: Mapping[str, str], said: Path, *, errors: Path | None = None) -> Program:
    """The same, `-m` or `-c`, with the registry's modules loaded before it begins: without the variables, that is."""
    return _Fork(arguments, dict(variables), said, errors or said)


def finished(
    arguments: Sequence[str], variables: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[str]:
    """What a fork has said that ends by itself."""
    with tempfile.TemporaryDirectory() as folder:
        out, errors = Path(folder, "out"), Path(folder, "errors")
        process = fork(arguments, variables, out, errors=errors)
        try:
            code = process.wait(seconds)
        finally:
            process.kill()
        return subprocess.CompletedProcess(arguments, code, out.read_text(), errors.read_text())


class _Fork:
    def __init__(self, arguments: Sequence[str], variables: dict[str, str], out: Path, errors: Path) -> None:
        self._process = FORKS.Process(target=_run, args=(arguments, variables, out, errors))
        with chdir(HOME):
            self._process.start()
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        return code

    def send_signal(self, sig: int, /) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def _run(arguments: Sequence[str], variables: dict[str, str], out: Path, errors: Path) -> None:
    os.environ.clear()
    os.environ.update(variables)
    for number, path in ((1, out), (2, errors)):
        with path.open("ab") as file:
            os.dup2(file.fileno(), number)
    sys.stdin = os.fdopen(0)  # its number is what uvicorn tells its workers, which have no other
    _fork_workers()
    option, program, *rest = arguments
    sys.argv = [option, *rest]
    if option == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        exec(program, {"__name__": "__main__"})  # noqa: S102  # written by a test


def _fork_workers() -> None:
    """The workers of a fork are forks of it, where uvicorn would start Python anew for each. They do not inherit what it does
    when it is told to end."""
    uvicorn._subprocess.spawn = get_context("fork")  # type: ignore[assignment]
    os.register_at_fork(after_in_child=_end_when_told)


def _end_when_told() -> None:
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, signal.SIG_DFL)
