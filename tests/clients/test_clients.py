"""Clients that generators make of the description, without anything added by hand, work: typed, and against a real server."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import httpx
import pytest

from tests.clients.conftest import HERE, MODULES, Run, said
from tests.support.wire import KEY


@pytest.fixture(scope="session")
def python_client(description: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which openapi-python-client has made the package `concord_client`."""
    folder = tmp_path_factory.mktemp("python")
    generator = Path(sys.executable).parent / "openapi-python-client"
    options = ["--meta", "none", "--config", str(HERE / "openapi-python-client.yml")]
    paths = ["--path", str(description), "--output-path", str(folder / "concord_client")]
    answer = said([str(generator), "generate", *options, *paths], cwd=folder, COLUMNS="1000")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (folder / "said.txt").write_text(answer.stdout)
    return folder


def test_the_python_generator_leaves_out_nothing_but_what_it_does_not_know(python_client: Path) -> None:
    _, *warnings = (python_client / "said.txt").read_text().split("WARNING parsing ")
    assert [warning for warning in warnings if "nsupported content" not in warning] == []


def test_the_scenario_in_python_is_typed(python_client: Path) -> None:
    options = ["--strict", "--follow-imports=silent", f"--cache-dir={python_client / 'cache'}", "--config-file="]
    answer = said([sys.executable, "-m", "mypy", *options, str(HERE / "scenario.py")], cwd=python_client, MYPYPATH=".")
    assert answer.returncode == 0, answer.stdout


def test_the_scenario_in_python_works(registry: httpx.Client, python_client: Path) -> None:
    command = [sys.executable, "-W", "error", str(HERE / "scenario.py"), str(registry.base_url), KEY]
    answer = said(command, cwd=python_client, PYTHONPATH=str(python_client))
    assert answer.returncode == 0, answer.stderr


@pytest.fixture(scope="session")
def typescript_client(node: Run, description: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the scenario and the types of openapi-typescript are compiled."""
    folder = tmp_path_factory.mktemp("typescript")
    shutil.copy(HERE / "scenario.ts", folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(MODULES)
    made = node("openapi-typescript", description, "--output", "schema.ts", cwd=folder)
    assert made.returncode == 0, made.stderr
    return folder


def test_the_scenario_in_typescript_is_typed_and_works(
    registry: httpx.Client, node: Run, typescript_client: Path
) -> None:
    if not (typescript_client / "out").exists():
        strict = "--strict --noUncheckedIndexedAccess --skipLibCheck"  # the last: not what TypeScript itself declares
        target = "--target es2022 --module nodenext --lib es2022,dom,dom.iterable --outDir out"
        compiled = node("tsc", *strict.split(), *target.split(), "scenario.ts", cwd=typescript_client)
        assert compiled.returncode == 0, compiled.stdout
    program = f'import {{ run }} from "./out/scenario.js"; await run("{str(registry.base_url).rstrip("/")}", "{KEY}");'
    ran = node("node", "--input-type=module", "--eval", program, cwd=typescript_client)
    assert ran.returncode == 0, ran.stderr
