"""The description as a file, and the programs of npm that read it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import pytest

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1", "CI": "true"}
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def description(http: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The description as it is served, in a folder of its own."""
    path = tmp_path_factory.mktemp("description") / "openapi.json"
    path.write_bytes(http.get("/openapi.json").content)
    return path


@pytest.fixture(scope="session")
def node() -> Run:
    """Runs a program that npm has installed, or `node` itself. Skips where there is none."""
    if shutil.which("node") is None or not (MODULES / ".bin").is_dir():
        pytest.skip("node is missing, or tests/clients was not installed: `make .venv/node` does it where npm is")

    def run(program: str, *arguments: str | Path, cwd: Path = HERE) -> subprocess.CompletedProcess[str]:
        command = ["node"] if program == "node" else [str(MODULES / ".bin" / program)]
        return said(command + [str(argument) for argument in arguments], cwd=cwd)

    return run


def said(command: Sequence[str], *, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a program says; it asks nobody else."""
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **QUIET, **environment}, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
