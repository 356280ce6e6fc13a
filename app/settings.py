"""Settings: read once from the environment, frozen, handed down; never imported as a global."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

PREFIX = "CONCORD_"
FILE = "_FILE"
"""Behind the name of a secret: the file that holds it, as containers are given theirs."""
HOME = Path(__file__).parent.parent
SEED, MIGRATIONS = HOME / "seed", HOME / "migrations"

Reader = Callable[[str], Any]


def text(given: str) -> str:
    return given


def whole(given: str) -> int:
    """Raises ValueError unless it is a whole number above zero."""
    if not given.isascii() or not given.isdigit() or int(given) == 0:
        raise ValueError("must be a whole number above zero")
    return int(given)


def flag(given: str) -> bool:
    if given not in ("true", "false"):
        raise ValueError("must be true or false")
    return given == "true"


def one_of(*allowed: str) -> Reader:
    """A reader of one of these words."""

    def read(given: str) -> str:
        if given not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return given

    return read


def path_prefix(given: str) -> str:
    if given and not given.startswith("/"):
        raise ValueError("begins with a slash: /registry")
    return given


def setting(default: Any, about: str, reader: Reader = text, *, secret: bool = False) -> Any:
    """A setting: what it is when nothing is set, what it means to an operator, and how its text is read. A `secret` is never
    shown, and may be given as a file."""
    return field(default=default, metadata={"about": about, "reader": reader, "secret": secret}, repr=not secret)


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may set. Each is the environment variable CONCORD_<NAME>."""

    database_url: str = setting(
        "sqlite:///concord.db",
        "where the registry is kept: `sqlite:///file` or `postgresql://user@host/name`",
        secret=True,
    )
    pool_size: int = setting(8, "database connections a worker keeps", whole)
    max_body_bytes: int = setting(1_048_576, "the longest request body that is read", whole)
    max_import_bytes: int = setting(268_435_456, "the longest file that is imported", whole)
    root_path: str = setting("", "the prefix under which a proxy serves the registry, e.g. `/registry`", path_prefix)
    read_only: bool = setting(
        False, "`true`: every write is refused, and `concord serve` neither migrates nor seeds", flag
    )
    log_format: str = setting("text", "how the log is written: `text` or `json`", one_of("text", "json"))
    log_level: str = setting(
        "info", "what is logged: `debug` (also health probes), `info`, `warning`, `error`",
        one_of("debug", "info", "warning", "error"),
    )  # fmt: skip
    grace_seconds: int = setting(8, "seconds that requests have to end once the server is told to stop", whole)
    telemetry: bool = setting(
        False, "`true`: send OpenTelemetry traces and metrics to where `OTEL_EXPORTER_OTLP_ENDPOINT` says", flag
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises ValueError for a variable that is unknown or cannot be read; the message repeats nothing of a secret."""
        known = {variable(row): row for row in fields(cls)}
        files = {name + FILE: row for name, row in known.items() if row.metadata["secret"]}
        given: dict[str, Any] = {}
        for name, value in environment.items():
            if not name.startswith(PREFIX):
                continue
            row = known.get(name) or files.get(name)
            if row is None:
                raise ValueError(f"{name} is not a setting of Concord. Known: {', '.join(sorted([*known, *files]))}")
            if row.name in given:
                raise ValueError(f"{variable(row)} is given twice: as it is, and as a file")
            given[row.name] = _read(name, row, _content(name, value) if name in files else value)
        return cls(**given)


def variable(row: Field[Any]) -> str:
    """The environment variable of a setting."""
    return PREFIX + row.name.upper()


def default(row: Field[Any]) -> str:
    """What holds when nothing is set, as an operator would write it."""
    return str(row.default).lower() if isinstance(row.default, bool) else str(row.default)


def table() -> str:
    """Every setting, as a table in Markdown."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for row in fields(Settings):
        shown, about = f"`{default(row)}`" if default(row) else "none", row.metadata["about"]
        lines.append(f"| `{variable(row)}` | {shown} | {about}{' (secret)' if row.metadata['secret'] else ''} |")
    return "\n".join(lines)


def _content(name: str, path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{name}: the file cannot be read ({type(error).__name__})") from None


def _read(name: str, row: Field[Any], given: str) -> Any:
    try:
        return row.metadata["reader"](given)
    except ValueError as error:
        shown = "" if row.metadata["secret"] else f", not {given!r}"
        raise ValueError(f"{name} {error}{shown}") from None
