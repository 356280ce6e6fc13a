"""docker-compose.yml as it is read, with the defaults of its variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from app.settings import HOME

FILE = HOME / "docker-compose.yml"
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
