"""The entry point as the image runs it: the same command line, the same environment, files that it cannot write."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.containers.layouts import PROGRAM, SEEDED, Layout

PATIENCE = 30
ALONE = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
"""In a network of its own, so that 0.0.0.0:8000 is there for each test, and for nobody else."""
CONFINED = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--")
"""Root without a capability may write what root may write by its mode bits, and no more."""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "ip", "setpriv"))),
    reason="a network of its own takes root, unshare, nsenter, setpriv and ip (apt-get install iproute2)",
)


@contextmanager
def started(layout: Layout, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*ALONE, *CONFINED, *layout.command(*arguments)], cwd=layout.data, env=layout.environment(**settings), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def beside(process: subprocess.Popen[str], command: Sequence[str], layout: Layout) -> subprocess.CompletedProcess[str]:
    """Run a command in the network of a process."""
    entered = ["nsenter", "--target", str(process.pid), "--net", *command]
    return subprocess.run(
        entered, env=layout.environment(), capture_output=True, text=True, check=False, timeout=PATIENCE
    )


def await_health(process: subprocess.Popen[str], layout: Layout) -> None:
    deadline = time.monotonic() + PATIENCE
    while beside(process, layout.health(), layout).returncode != 0:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)


def stop(process: subprocess.Popen[str]) -> str:
    """What it said until it ended of SIGTERM."""
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, -signal.SIGTERM)
    return said


def test_it_serves_until_it_is_told_to_stop_and_writes_nothing_but_the_data(layout: Layout, data: Path) -> None:
    before = layout.files()
    with started(layout) as process:
        await_health(process, layout)
        said = stop(process)
    assert SEEDED in said
    assert (data / "concord.db").is_file()
    assert layout.files() == before


def test_it_cannot_write_where_it_lies(layout: Layout, data: Path) -> None:
    place = layout.root / PROGRAM / "app"
    tried = subprocess.run(
        [*CONFINED, layout.health()[0], "-c", f"open({str(place / 'new.py')!r}, 'w')"],
        env=layout.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "PermissionError" in tried.stderr
    assert not (place / "new.py").exists()


def test_it_is_unhealthy_where_nothing_answers(layout: Layout) -> None:
    asked = subprocess.run(
        [*ALONE, *layout.health()], env=layout.environment(), capture_output=True, text=True, check=False
    )
    assert (asked.returncode, asked.stderr) == (1, "")
    assert "Refused" in asked.stdout


def test_a_database_in_a_secrets_file_is_no_second_answer(layout: Layout, data: Path, tmp_path: Path) -> None:
    """The image itself must not say where the database is: given as it is and as a file, it would be refused."""
    secret = tmp_path / "database_url"
    secret.write_text(f"sqlite:///{data / 'other.db'}\n")
    with started(layout, "migrate", CONCORD_DATABASE_URL_FILE=str(secret)) as process:
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
    assert [path.name for path in data.glob("*.db")] == ["other.db"]
