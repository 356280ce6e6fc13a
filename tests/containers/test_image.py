"""The image as it is built and run. By `make containers` only: it takes a minute, and more the first time."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.settings import HOME
from tests.containers import images
from tests.containers.images import UID, Container, Image, running
from tests.containers.layouts import SEEDED

pytestmark = pytest.mark.image
Measured = Callable[[str], None]
MEGABYTE = 1_000_000
LIMIT = 200 * MEGABYTE
"""What the issue grants the image on top of bare Debian; here for what comes on top of the Python in it."""
SOURCES = {"app", "migrations", "seed", "pyproject.toml", "README.md", "requirements.lock", "healthcheck.py"}


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    absent = images.missing()
    if absent:
        pytest.fail(
            f"An image can be built only as root, with {', '.join(images.TOOLS)}. Missing: {', '.join(absent)}."
        )
    images.CACHE.mkdir(parents=True, exist_ok=True)
    with images.built() as built:
        yield built


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A new volume, as an engine makes it: as /data is in the image."""
    folder = tmp_path / "volume"
    folder.mkdir(mode=0o750)
    os.chown(folder, UID, UID)
    return folder


def stop(container: Container) -> tuple[int, float]:
    """The exit code, and how long it took."""
    begun = time.monotonic()
    os.kill(container.pid, signal.SIGTERM)
    return container.process.wait(15), time.monotonic() - begun


def test_it_says_how_it_is_run(image: Image, measured: Measured) -> None:
    config = image.config
    assert config["User"] == f"{UID}:{UID}"
    assert config["Entrypoint"] == ["concord"]
    assert config["Cmd"] == ["serve", "--host", "0.0.0.0"]  # noqa: S104  # what is tested
    assert config["ExposedPorts"] == {"8000/tcp": {}}
    assert config["StopSignal"] == "SIGTERM"
    assert config["WorkingDir"] == "/data"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert not [name for name in image.environment if name.startswith("CONCORD_")]
    measured(f"built in {image.seconds:.0f} s")


def test_it_is_light(image: Image, measured: Measured) -> None:
    """On top of bare Debian, as far as it can be told here: what is added to the stand-in, which has Debian's own Python."""
    added = images.weight(image.root) - image.base_bytes
    packages, program = (images.weight(image.root / folder) for folder in ("opt/concord", "srv/concord"))
    measured(
        f"{added / MEGABYTE:.0f} MB on top of Debian with Python: "
        f"packages {packages / MEGABYTE:.0f} MB, the program {program / MEGABYTE:.1f} MB"
    )
    assert packages + program <= added < LIMIT


def test_it_holds_nothing_that_builds_tests_or_tells(image: Image) -> None:
    assert {path.name for path in (image.root / "srv/concord").iterdir()} == SOURCES | {"__pycache__"}
    program = {path.name for path in (image.root / "opt/concord/bin").iterdir()}
    assert {"concord", "python"} <= program
    assert not {name for name in program if name.startswith("pip")}
    packages = next((image.root / "opt/concord/lib").glob("python3.*/site-packages"))
    assert not {"pip", "setuptools", "flit_core", "pytest"} & {path.name for path in packages.iterdir()}
    for builder in ("gcc", "cc", "g++", "make", "git", "ld"):
        assert not list(image.root.glob(f"usr/*bin/{builder}"))
    for cache in ("root/.cache", "tmp", "data"):
        assert not (image.root / cache).exists() or not any((image.root / cache).iterdir())
    assert not [path for end in ("*.db", "*.env", ".git") for path in (image.root / "srv").rglob(end)]


def test_its_user_can_change_nothing_of_it(image: Image) -> None:
    writable = [
        path
        for folder in ("opt", "srv", "etc", "usr")
        for path in (image.root / folder).rglob("*")
        if not path.is_symlink() and (path.lstat().st_uid == UID or path.lstat().st_mode & stat.S_IWOTH)
    ]
    assert writable == []


def test_every_module_comes_with_its_bytecode(image: Image) -> None:
    """Nothing can be written where it runs: what is not compiled here would be compiled at each start."""
    sources = list((image.root / "srv/concord").rglob("*.py"))
    assert len(sources) > 100
    bare = [path for path in sources if not list((path.parent / "__pycache__").glob(f"{path.stem}.cpython-*.pyc"))]
    assert bare == []


def test_it_serves_read_only_and_finds_everything_again(image: Image, volume: Path, measured: Measured) -> None:
    with running(image, volume) as container:
        started = container.await_health()
        status, body = container.get("/v1/organizations/oecd")
        assert status == 200
        assert b'"OECD"' in body
        assert container.get("/readyz")[0] == 200
        assert SEEDED in container.log.read_text()
        owner = Path(f"/proc/{container.pid}/status").read_text()
        assert f"Uid:\t{UID}" in owner
        assert "NSpid:\t" in owner
        assert "CapBnd:\t0000000000000000" in owner
        denied = container.run("python", "-c", "open('/srv/concord/app/new.py', 'w')")
        assert "Read-only file system" in denied.stderr
        code, stopped = stop(container)
        assert code in (0, 143)
    assert (volume / "concord.db").stat().st_uid == UID
    with running(image, volume) as container:
        again = container.await_health()
        assert "Seed: 0 created" in container.log.read_text()
        assert stop(container)[0] in (0, 143)
    measured(f"healthy after {started:.1f} s, again after {again:.1f} s, stopped after {stopped:.2f} s")


def test_it_runs_the_steps_one_by_one(image: Image, volume: Path) -> None:
    for step in ("migrate", "seed"):
        with running(image, volume, step) as container:
            assert container.process.wait(60) == 0, container.log.read_text()
    with running(image, volume, "serve", "--host", "0.0.0.0", "--no-migrate", "--no-seed") as container:  # noqa: S104
        container.await_health()
        assert container.get("/v1/organizations/oecd")[0] == 200


def test_it_is_unhealthy_while_nothing_answers(image: Image, volume: Path) -> None:
    with running(image, volume, "serve", "--port", "8001") as container:
        deadline = time.monotonic() + images.PATIENCE
        while "8001" not in container.log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert not container.healthy()


def test_it_says_what_is_wrong_with_its_settings_and_ends(image: Image, volume: Path) -> None:
    with running(image, volume, environment=["CONCORD_TYPO=1"]) as container:
        assert container.process.wait(30) == 1
        assert "CONCORD_TYPO is not a setting" in container.log.read_text()


def test_it_was_built_of_the_files_that_are_here(image: Image) -> None:
    for name in ("app/cli.py", "migrations/env.py", "seed/organizations.jsonl"):
        assert (image.root / "srv/concord" / name).read_bytes() == (HOME / name).read_bytes()
