"""The image itself, where no engine is: built by buildah, which needs no daemon, and run as pid 1 of its own namespaces.

No registry of images is asked. What the Dockerfile builds on is played by the same release of Debian with its own Python of
the same minor version, made by debootstrap. So the packages of the true base are not looked at here, nor is a network between
containers.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.settings import HOME
from tests.containers.dockerfiles import Dockerfile

TOOLS = ("buildah", "debootstrap", "unshare", "nsenter", "ip")
CACHE = Path(os.environ.get("IMAGE_CACHE", "/var/tmp/concord-image"))  # noqa: S108  # root's own; the base is made once
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
NAME = "localhost/concord"
PATIENCE = 60
UID = 10001

START = """
set -e
ip link set lo up
mount --bind "$1" "$1"
mount --bind "$2" "$1/data"
mount -t tmpfs -o noexec,nosuid,nodev,mode=1777 tmpfs "$1/tmp"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -o remount,ro,bind "$1"
root=$1
shift 2
exec chroot "$root" /usr/bin/env -i "$@"
"""
"""As an engine starts a container that is read-only, has one volume and a /tmp in memory, and no capability."""
CONFINED = (
    "/usr/bin/setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all",
    "--no-new-privs", "--", "/bin/sh", "-c", 'cd /data && exec "$@"', "sh",
)  # fmt: skip


def missing() -> list[str]:
    """What has to be installed, or to be so, before an image can be built here."""
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    return absent if os.geteuid() == 0 else ["root", *absent]


def buildah(*arguments: str) -> str:
    """Run buildah on a store of its own. Raises RuntimeError with the end of what it said."""
    command = [
        "buildah", "--storage-driver", "vfs", "--root", str(CACHE / "store"), "--runroot", str(CACHE / "run"), *arguments
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments[:3])}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout.strip()


@dataclass(frozen=True)
class Image:
    """The image, laid out in a folder."""

    root: Path
    config: dict[str, Any]
    health: list[str]
    seconds: float
    base_bytes: int

    @property
    def environment(self) -> list[str]:
        given: list[str] = self.config["Env"]
        return given


@contextmanager
def built() -> Iterator[Image]:
    """Build it, and lay it out while the caller looks at it. One at a time: what another run has left behind is removed."""
    buildah("rm", "--all")
    base, release, minor = _base()
    if not _known(base):
        _stand_in(base, release, minor)
    begun = time.monotonic()
    buildah(
        "bud", "--isolation", "chroot", "--network", "host", "--pull-never", "--format", "docker", "--no-cache",
        "--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro", "--tag", NAME, str(HOME),
    )  # fmt: skip
    seconds = time.monotonic() - begun
    with _mounted(base) as root:
        base_bytes = weight(root)
    with _mounted(NAME) as root:
        said = json.loads(buildah("inspect", "--type", "image", NAME))
        docker = said["Docker"]["config"]
        yield Image(root, docker, docker["Healthcheck"]["Test"][1:], seconds, base_bytes)
    buildah("rmi", "--prune", "--force")


def _base() -> tuple[str, str, str]:
    """The image that the Dockerfile builds on, with the release of Debian and the minor version of Python in it."""
    tag = Dockerfile.read(HOME / "Dockerfile").all("ARG")[0].text.partition("=")[2]
    found = re.fullmatch(r"(3\.\d+)-slim-(\w+)", tag)
    if found is None:
        raise ValueError(f"{tag}: names no minor version and no release")
    return f"localhost/python:{tag}", found[2], found[1]  # where buildah looks before it asks anybody


def _known(name: str) -> bool:
    return name in buildah("images", "--format", "{{.Name}}:{{.Tag}}").split()


def _stand_in(name: str, release: str, minor: str) -> None:
    made = buildah("from", "scratch")
    root = Path(buildah("mount", made))
    packages = f"ca-certificates,netbase,tzdata,python{minor},python{minor}-venv,python3-pip"
    with (CACHE / "debootstrap.log").open("w") as log:
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={packages}", release, str(root)],
            check=True, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    for link in ("python", "python3"):
        (root / "usr/local/bin" / link).symlink_to(f"/usr/bin/python{minor}")
    for folder in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(root / folder)
    buildah("umount", made)
    buildah("config", "--env", "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", made)
    buildah("config", "--env", "LANG=C.UTF-8", "--cmd", "python3", made)
    buildah("commit", "--rm", made, name)


@contextmanager
def _mounted(name: str) -> Iterator[Path]:
    container = buildah("from", "--pull-never", name)
    try:
        yield Path(buildah("mount", container))
    finally:
        buildah("umount", container)
        buildah("rm", container)


def weight(root: Path) -> int:
    """Bytes that the files below take; those with several names once."""
    seen = {(found.st_ino, found.st_blocks) for path in root.rglob("*") for found in [path.lstat()]}
    return sum(blocks for _, blocks in seen) * 512


@dataclass(frozen=True)
class Container:
    """What runs: pid 1 of the container, by the number that it has outside."""

    image: Image
    process: subprocess.Popen[bytes]
    pid: int
    log: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside it, as `docker exec` does."""
        inside = [
            "nsenter", "--target", str(self.pid), "--net", "--pid", "--mount", "--root", "--wd=/", "--setuid", str(UID),
            "--setgid", str(UID), "/usr/bin/env", "-i", *self.image.environment, *command,
        ]  # fmt: skip
        return subprocess.run(inside, capture_output=True, text=True, check=False, timeout=PATIENCE)

    def healthy(self) -> bool:
        return self.run(*self.image.health).returncode == 0

    def get(self, path: str) -> tuple[int, bytes]:
        code = (
            "import sys, urllib.request as r; a = r.urlopen('http://127.0.0.1:8000' + sys.argv[1]);"
            "print(a.status, a.read().decode())"
        )
        status, _, body = self.run("python", "-c", code, path).stdout.partition(" ")
        return int(status), body.encode()

    def await_health(self) -> float:
        """Seconds until it is healthy. Raises AssertionError with its log if it ends before, or never is."""
        begun = time.monotonic()
        while not self.healthy():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() - begun < PATIENCE, self.log.read_text()
            time.sleep(0.1)
        return time.monotonic() - begun


@contextmanager
def running(image: Image, data: Path, *command: str, environment: Sequence[str] = ()) -> Iterator[Container]:
    """A container of the image: read-only but for /data and /tmp, a network with nothing but itself, no capability."""
    with tempfile.NamedTemporaryFile(prefix="concord-container-", suffix=".log") as log:
        process = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", START, "sh", str(image.root),
             str(data), *image.environment, *environment, *CONFINED, *image.config["Entrypoint"],
             *(command or image.config["Cmd"])],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            first = _child(process)
            try:
                yield Container(image, process, first, Path(log.name))
            finally:
                if process.poll() is None:  # its first process has changed its user, and would not end with its parent
                    os.kill(first, signal.SIGKILL)
        except BaseException:
            process.kill()
            raise
        finally:
            code = process.wait(PATIENCE)
        assert not Path(f"/proc/{first}").exists(), code


def _child(process: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + PATIENCE
    while not (found := children.read_text().split()):
        assert process.poll() is None, "it has ended"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return int(found[0])
