"""The description passes a linter that others wrote, with all its rules but those that redocly.yaml gives a reason against."""

from __future__ import annotations

import json
from pathlib import Path

from tests.clients.conftest import HERE, Run


def test_the_description_is_free_of_lint(node: Run, description: Path) -> None:
    answer = node("redocly", "lint", "--config", HERE / "redocly.yaml", "--format", "json", description)
    report = json.loads(answer.stdout[answer.stdout.index("{") :])
    found = [(fault["ruleId"], fault["message"], fault["location"][0]["pointer"]) for fault in report["problems"]]
    assert found == []
    assert answer.returncode == 0


def test_the_linter_finds_what_is_wrong(node: Run, tmp_path: Path, description: Path) -> None:
    broken = tmp_path / "broken.json"
    document = json.loads(description.read_text())
    del document["paths"]["/v1/changes"]["get"]["summary"]
    broken.write_text(json.dumps(document))
    answer = node("redocly", "lint", "--config", HERE / "redocly.yaml", "--format", "json", broken)
    assert answer.returncode == 1
    assert '"operation-summary"' in answer.stdout


def test_the_lock_pins_by_hash_and_holds_no_address_of_a_package() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text())
    packages = {name: about for name, about in lock["packages"].items() if name}
    assert packages
    assert [name for name, about in packages.items() if not about.get("integrity", "").startswith("sha512-")] == []
    assert [name for name, about in packages.items() if "resolved" in about or "hasInstallScript" in about] == []
    wanted = json.loads((HERE / "package.json").read_text())["devDependencies"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
