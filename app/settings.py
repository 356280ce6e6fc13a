"""Settings: read once from the environment, frozen, handed down; never imported as a global."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

PREFIX = "CONCORD_"
HOME = Path(__file__).parent.parent
SEED, MIGRATIONS = HOME / "seed", HOME / "migrations"


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may set. Each is the environment variable CONCORD_<NAME>."""

    database_url: str = "sqlite:///concord.db"
    """Where the registry is kept: `sqlite:///file` or `postgresql://user@host/name`."""
    pool_size: int = 8
    """Database connections a worker keeps."""
    max_body_bytes: int = 1_048_576
    """The longest request body that is read."""
    max_import_bytes: int = 268_435_456
    """The longest file that is imported."""
    root_path: str = ""
    """The prefix under which a proxy serves the registry, e.g. `/registry`."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises ValueError for a variable that is unknown or cannot be read."""
        known = {PREFIX + field.name.upper(): field for field in fields(cls)}
        given: dict[str, Any] = {}
        for variable, text in environment.items():
            if not variable.startswith(PREFIX):
                continue
            if variable not in known:
                raise ValueError(f"{variable} is not a setting of Concord. Known: {', '.join(sorted(known))}")
            given[known[variable].name] = _whole(variable, text) if known[variable].type == "int" else text
        made = cls(**given)
        if made.root_path and not made.root_path.startswith("/"):
            raise ValueError(f"{PREFIX}ROOT_PATH begins with a slash: /registry")
        return made


def _whole(variable: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise ValueError(f"{variable} must be a whole number above zero, not {text!r}")
    return int(text)
