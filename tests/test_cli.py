"""The command, run as a person runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.settings import HOME, Settings
from tests.conftest import Server

SECONDS = 30


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", *arguments]
    return subprocess.run(
        command, cwd=HOME, env=environment(**settings), text=True, capture_output=True, check=False, timeout=60
    )


def environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONCORD_")}
    return kept | {f"CONCORD_{name.upper()}": value for name, value in settings.items()}


@contextmanager
def served(url: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """`concord serve` on a free port of the loopback, as soon as it answers."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "app", "serve", "--port", str(port), *arguments]
    process = subprocess.Popen(
        command, cwd=HOME, env=environment(database_url=url), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            deadline = time.monotonic() + SECONDS
            while not answers(client):
                assert process.poll() is None, "the server has ended"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.05)
            yield process, client
    finally:
        process.terminate()
        process.wait(SECONDS)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("workers", [1, 2])
def test_serve_migrates_seeds_answers_and_stops_when_told(server: Server, workers: int) -> None:
    with served(server.fresh("blank"), "--workers", str(workers)) as (process, client):
        assert client.get("/v1/organizations/oecd").json()["acronym"] == "OECD"
        made = client.post("/v1/organizations", json={"name": "Harbour office", "kind": "other"})
        assert made.status_code == 201
        assert client.get("/v1/organizations/harbour-office").headers["etag"] == made.headers["etag"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) in (0, -signal.SIGTERM)


def test_help_names_every_command() -> None:
    said = run("--help")
    assert said.returncode == 0
    for command in ("serve", "migrate", "seed"):
        assert command in said.stdout


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"databaseurl": "x"}, "CONCORD_DATABASEURL"),
        ({"pool_size": "many"}, "CONCORD_POOL_SIZE"),
        ({"database_url": "mysql://root:hunter2@localhost/x"}, "SQLite and PostgreSQL"),
        ({"database_url": "sqlite://"}, "file"),
        ({"database_url": "sqlite:////no/such/folder/registry.db"}, "database"),
        ({"database_url": "postgresql://me:hunter2@127.0.0.1:1/x"}, "database"),
    ],
)
def test_what_cannot_be_done_is_said_in_plain_words(settings: dict[str, str], complaint: str) -> None:
    for command in ("migrate", "seed"):
        said = run(command, **settings)
        assert said.returncode == 1
        assert said.stderr.startswith("concord: ")
        assert complaint in said.stderr
        assert "Traceback" not in said.stderr
        assert "hunter2" not in said.stdout + said.stderr


def test_a_document_that_is_not_there_is_named(server: Server) -> None:
    said = run("seed", "--document", "nowhere.txt", database_url=server.fresh("seeded"))
    assert said.returncode == 1
    assert "nowhere.txt" in said.stderr


def test_other_commands_start_without_the_web_framework() -> None:
    code = "import sys, app.cli; print([name for name in ('fastapi', 'starlette', 'uvicorn') if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], cwd=HOME, text=True, capture_output=True, check=True)
    assert said.stdout.strip() == "[]"


def test_settings_are_read_from_their_variables_and_from_nothing_else() -> None:
    given = {"CONCORD_DATABASE_URL": "sqlite:///x.db", "CONCORD_POOL_SIZE": "3", "PATH": "/bin"}
    assert Settings.from_environment(given) == Settings(database_url="sqlite:///x.db", pool_size=3)
    with pytest.raises(ValueError, match="CONCORD_TYPO is not a setting"):
        Settings.from_environment({"CONCORD_TYPO": "1"})
    for bad in ("0", "-1", "1e3", "", "٣"):
        with pytest.raises(ValueError, match="CONCORD_MAX_BODY_BYTES"):
            Settings.from_environment({"CONCORD_MAX_BODY_BYTES": bad})


def test_every_setting_is_in_the_readme() -> None:
    text = (Path(HOME) / "README.md").read_text()
    for name in Settings.__dataclass_fields__:
        assert f"`CONCORD_{name.upper()}`" in text
