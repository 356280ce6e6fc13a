"""The house stands as its plan says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import HOME

MODULES = sorted((HOME / "app").rglob("*.py"))
GRAB_BAGS = {"utils", "helpers", "common", "misc", "manager", "service", "services", "base"}


def committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=HOME, capture_output=True, text=True, check=True).stdout
    return [HOME / name for name in listed.split("\0") if name and (HOME / name).is_file()]


def test_imports_run_downward_only() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo"]
    said = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(HOME)))
def test_a_module_says_what_it_is_for_and_http_stays_on_its_floor(module: Path) -> None:
    tree = ast.parse(module.read_text())
    assert ast.get_docstring(tree)
    assert module.stem not in GRAB_BAGS
    imported = {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    if "api" not in module.relative_to(HOME).parts and module.name != "main.py":
        assert not imported & {"fastapi", "starlette"}


def test_no_committed_file_names_a_machine_or_a_package_index() -> None:
    hosts = ["py" + "pi.org", "python" + "hosted", "npm" + "js.org", "deb." + "debian.org"]
    places = re.compile("|".join([*map(re.escape, hosts), "/ro" + "ot/", "/wo" + "rk/"]))
    for path in committed():
        assert not places.search(path.read_text(errors="replace")), path


def test_links_between_documents_lead_somewhere() -> None:
    for path in committed():
        if path.suffix == ".md":
            for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
                assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_locks_pin_by_hash_and_hold_no_address() -> None:
    for name in ("requirements.lock", "requirements-test.lock"):
        text = (HOME / name).read_text()
        assert "://" not in text
        for line in text.splitlines():
            assert re.fullmatch(r"[\w.\[\]-]+==\S+( ;.*)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
