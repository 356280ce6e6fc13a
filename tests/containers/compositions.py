"""docker-compose.yml as it is read, with the defaults of its variables."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from app.settings import HOME

FILE = HOME / "docker-compose.yml"
APPS = ["app-1", "app-2"]
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def composition(**given: str) -> dict[str, Any]:
    """The file with its anchors resolved and its variables as given, or as they are by default."""
    read: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(lambda found: given.get(found[1], found[2]), FILE.read_text()))
    return read


def settings(service: Mapping[str, Any]) -> dict[str, str]:
    """The settings of Concord that a service is given."""
    return {name: value for name, value in service.get("environment", {}).items() if name.startswith("CONCORD_")}


def seconds(text: str) -> int:
    """Of a duration as the file writes it."""
    number, unit = re.fullmatch(r"(\d+)([sm])", text).groups()  # type: ignore[union-attr]  # it fails on another form
    return int(number) * {"s": 1, "m": 60}[unit]


def make_secrets(folder: Path) -> dict[str, str]:
    """Run the script that an operator runs; what is in each file of `folder` then."""
    subprocess.run([HOME / "containers/secrets.sh", folder], check=True, capture_output=True)
    return {path.name: path.read_text() for path in folder.iterdir()}
