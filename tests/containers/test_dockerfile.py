"""What the Dockerfile says, and what it lets in."""

from __future__ import annotations

import fnmatch
import shutil
import subprocess
import sysconfig
from pathlib import PurePosixPath

import pytest

from app.cli import _parser
from app.settings import HOME
from tests.containers.dockerfiles import Dockerfile

DOCKERFILE = Dockerfile.read(HOME / "Dockerfile")
IGNORED = [line for line in (HOME / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
PROGRAMS = sysconfig.get_path("scripts")


def let_in(path: str) -> bool:
    """Whether `path` is in the build context: the last rule that names it, or a folder above it, decides."""
    names = [PurePosixPath(path), *PurePosixPath(path).parents][:-1]
    inside = True
    for rule in IGNORED:
        pattern = rule.removeprefix("!")
        if any(_named(str(name), pattern) for name in names):
            inside = rule.startswith("!")
    return inside


def _named(name: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch.fnmatchcase(name.rpartition("/")[2], pattern.removeprefix("**/"))
    return name.count("/") == pattern.count("/") and fnmatch.fnmatchcase(name, pattern)


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=PROGRAMS)
    assert hadolint
    said = subprocess.run([hadolint, str(HOME / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (0, "")


def test_hadolint_would_find_something() -> None:
    hadolint = shutil.which("hadolint", path=PROGRAMS)
    assert hadolint
    said = subprocess.run(
        [hadolint, "-"], input="FROM debian\nCMD concord\n", capture_output=True, text=True, check=False
    )
    assert {"DL3006", "DL3025"} <= set(said.stdout.replace(":", " ").split())


def test_it_builds_on_a_minor_version_and_a_release_that_the_lock_is_for() -> None:
    tag = DOCKERFILE.all("ARG")[0].text
    assert {stage[0].text.partition(" ")[0] for stage in DOCKERFILE.stages()} == {"python:${PYTHON}"}
    assert tag.partition("-slim-")[0] == "PYTHON=3.13"
    assert "latest" not in (HOME / "Dockerfile").read_text()


def test_what_is_installed_is_named_by_hash_and_never_compiled() -> None:
    installs = [run.text for run in DOCKERFILE.all("RUN") if " install " in run.text and "pip" in run.text]
    assert any("--require-hashes" in text and "--only-binary :all:" in text for text in installs)
    assert all(
        "--require-hashes" in text or ("--no-deps" in text and "--no-build-isolation" in text) for text in installs
    )
    assert not [run for run in DOCKERFILE.all("RUN") if "apt-get" in run.text]


def test_the_last_stage_runs_nothing_as_root_and_brings_only_what_was_built() -> None:
    last = DOCKERFILE.stages()[-1]
    assert DOCKERFILE.last("USER").text == "10001:10001"
    assert all(copy.text.startswith("--from=build ") for copy in last if copy.word == "COPY")
    assert not [run for run in last if run.word == "RUN" and "pip" in run.text and not run.text.startswith("rm -rf ")]


def test_what_starts_and_what_asks_are_in_exec_form() -> None:
    assert DOCKERFILE.last("ENTRYPOINT").arguments == ["concord"]
    assert _parser().parse_args(DOCKERFILE.last("CMD").arguments).port == int(DOCKERFILE.last("EXPOSE").text)
    assert (HOME / "containers" / DOCKERFILE.health()[-1].rpartition("/")[2]).is_file()
    assert DOCKERFILE.last("STOPSIGNAL").text == "SIGTERM"


def test_no_setting_is_in_the_image() -> None:
    """A default would be a second answer beside a secret's file, and two are refused."""
    assert set(DOCKERFILE.environment()) == {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}


@pytest.mark.parametrize("source", DOCKERFILE.copied())
def test_what_is_copied_is_there_and_let_in(source: str) -> None:
    found = HOME / source
    assert found.exists()
    for path in [found] if found.is_file() else found.rglob("*.py"):
        assert let_in(path.relative_to(HOME).as_posix())


@pytest.mark.parametrize(
    "path",
    [
        ".git/config", ".gitignore", ".env", "app/.env", "app/.env.local", ".ci/run", "concord.db", "app/registry.db",
        "seed/registry.db-wal", "tests/conftest.py", "docs/guide.md", "containers/secrets/database_url", "Dockerfile",
        "docker-compose.yml", "kubernetes/base/deployment.yaml", "app/__pycache__/cli.cpython-313.pyc", ".venv/bin/python",
        "requirements-test.lock", "Makefile",
    ],
)  # fmt: skip
def test_what_is_nobodys_business_stays_out(path: str) -> None:
    assert not let_in(path)
