"""The program laid out as the Dockerfile lays it out, in a folder of this machine: the same files, installed by the same
command, none of which can be written; the packages are those that the tests run with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from app.api.v1 import RESOURCES
from app.exchange import documents
from app.settings import HOME, SEED
from tests.containers.dockerfiles import Dockerfile

DOCKERFILE = Dockerfile.read(HOME / "Dockerfile")
PROGRAM, PACKAGES = "srv/concord", "opt/concord"
SEEDED = f"Seed: {len(documents.read_folder(SEED, RESOURCES))} created"
"""What is said where nothing was before."""


@dataclass(frozen=True)
class Layout:
    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    def environment(self, **given: str) -> dict[str, str]:
        """What the image sets, and nothing of this machine's."""
        path = f"{self.root / PACKAGES / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return DOCKERFILE.environment() | {"PATH": path} | given

    def command(self, *arguments: str) -> list[str]:
        """The entry point with these arguments, or with those of CMD; found by its PATH, as an engine finds it."""
        name, *default = DOCKERFILE.command()
        return [str(self.root / PACKAGES / "bin" / name), *(arguments or default)]

    def health(self) -> list[str]:
        python, *flags, script = DOCKERFILE.health()
        return [str(self.root / PACKAGES / "bin" / python), *flags, str(self.root / script.lstrip("/"))]

    def files(self) -> dict[Path, int]:
        """What is there besides the data, and when it was last written."""
        return {
            path: path.lstat().st_mtime_ns
            for folder in (PROGRAM, PACKAGES)
            for path in [self.root / folder, *(self.root / folder).rglob("*")]
        }


def lay_out(root: Path) -> Layout:
    program, packages = root / PROGRAM, root / PACKAGES
    program.mkdir(parents=True)
    for source in DOCKERFILE.copied():
        if (HOME / source).is_dir():
            shutil.copytree(HOME / source, program / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(HOME / source, program)
    _run(sys.executable, "-m", "venv", "--without-pip", str(packages))
    site = Path(sysconfig.get_path("purelib", vars={"base": str(packages), "platbase": str(packages)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = str(packages / "bin/python")
    _run(sys.executable, "-m", "pip", "--quiet", "--python", python, "install", "--no-compile", "--no-deps",
         "--no-build-isolation", "--editable", str(program))  # fmt: skip
    _run(python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(program))
    for path in [*root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
    (root / "data").mkdir()
    return Layout(root)


def _run(*command: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONCORD_")}
    subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
