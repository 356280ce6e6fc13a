"""The house stands as its plan says."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import FILE, HOME, Settings, variable

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


ASKING = {
    "aiohttp", "ftplib", "http.client", "httpcore", "httpx", "imaplib", "poplib", "requests", "smtplib", "socket", "ssl",
    "telnetlib", "urllib.request", "urllib3", "xmlrpc.client",
}  # fmt: skip
"""Modules with which a program asks other machines."""
ALLOWED = {"jwks.py": {"http.client", "urllib.request"}, "sides.py": {"socket"}}
"""What a room may: one asks the issuer that the operator has set and nobody else, the other shuts lines that fell silent."""


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(HOME)))
def test_a58_the_server_fetches_nothing_so_no_address_that_it_is_given_can_make_it(module: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    asking = {name for name in imported if name in ASKING or name.partition(".")[0] in ASKING}
    assert {name.removesuffix(".HTTPException") for name in asking} == ALLOWED.get(module.name, set())


def test_no_committed_file_names_a_machine_or_a_package_index() -> None:
    hosts = ["py" + "pi.org", "python" + "hosted", "npm" + "js.org", "deb." + "debian.org"]
    places = re.compile(
        "|".join([*map(re.escape, hosts), *("/" + top + "/" for top in ("root", "work", "home", "Users"))])
    )
    for path in committed():
        assert not places.search(path.read_text(errors="replace")), path


def test_links_between_documents_lead_somewhere() -> None:
    files = set(committed())
    for path in files:
        if path.suffix == ".md":
            for target, _, heading in re.findall(r"\]\(([^)#:]*)(#([^)]*))?\)", path.read_text()):
                meant = (path.parent / target).resolve() if target else path
                assert meant in files or meant.is_dir(), f"{path.name}: {target}"
                assert not heading or heading in headings(meant), f"{path.name}: {target}#{heading}"


def headings(document: Path) -> set[str]:
    """The anchors that a document has, as the forges make them of its headings."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [HOME / "README.md"]
    while waiting:
        path = waiting.pop()
        reached.add(path)
        for target in re.findall(r"\]\(([^)#:]+)", path.read_text()):
            meant = (path.parent / target).resolve()
            found = sorted(meant.glob("*.md")) if meant.is_dir() else [meant]
            waiting += [document for document in found if document.suffix == ".md" and document not in reached]
    assert {path for path in committed() if path.suffix == ".md"} <= reached


def test_every_setting_of_the_program_is_one_that_the_documents_know() -> None:
    documents = " ".join(path.read_text() for path in committed() if path.suffix == ".md")
    named = set(re.findall(r"CONCORD_[A-Z][A-Z_]*", documents))
    settings = {variable(row) for row in dataclasses.fields(Settings)}
    files = {variable(row) + FILE for row in dataclasses.fields(Settings) if row.metadata["secret"]}
    assert settings <= named <= settings | files | {"CONCORD_SERVICE_HOST"}  # the last is what Kubernetes would set


def test_only_the_command_starts_the_server_and_only_settings_and_tests_read_the_environment() -> None:
    for module in MODULES:
        names = {node.attr for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Attribute)}
        text = module.read_text()
        assert "import uvicorn" not in text or module.name == "cli.py", module
        assert not names & {"environ", "getenv"} or module.name in ("cli.py", "main.py"), module


def test_locks_pin_by_hash_and_hold_no_address() -> None:
    for name in ("requirements.lock", "requirements-test.lock"):
        text = (HOME / name).read_text()
        assert "://" not in text
        for line in text.splitlines():
            assert re.fullmatch(r"[\w.\[\]-]+==\S+( ;.*)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
