"""Settings: read once from the environment, frozen, handed down; never imported as a global."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from app.auth.policy import Role

PREFIX = "CONCORD_"
FILE = "_FILE"
"""Behind the name of a secret: the file that holds it, as containers are given theirs."""
HOME = Path(__file__).parent.parent
SEED, MIGRATIONS = HOME / "seed", HOME / "migrations"

SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""How a token may be signed: with a key pair. Whoever knows what checks a signature must not be able to make one."""

Reader = Callable[[str], Any]


def text(given: str) -> str:
    return given


def whole(given: str) -> int:
    """Raises ValueError unless it is a whole number above zero."""
    if not given.isascii() or not given.isdigit() or int(given) == 0:
        raise ValueError("must be a whole number above zero")
    return int(given)


def size(given: str) -> int:
    """Raises ValueError unless it is a whole number."""
    if not given.isascii() or not given.isdigit():
        raise ValueError("must be a whole number")
    return int(given)


def flag(given: str) -> bool:
    if given not in ("true", "false"):
        raise ValueError("must be true or false")
    return given == "true"


def key(given: str) -> str:
    """Raises ValueError for a key that could be guessed, or cannot be sent in a header."""
    if not re.fullmatch(r"[\x21-\x7e]{32,500}", given):
        raise ValueError("must have 32 to 500 visible ASCII characters")
    return given


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


AUTO = "auto"
"""Of a limit: on, but for those who are better limited elsewhere."""


def rate(given: str) -> int | str:
    """Requests a minute; 0: no limit. Raises ValueError."""
    if given == AUTO:
        return AUTO
    if not given.isascii() or not given.isdigit():
        raise ValueError(f"must be a whole number (0: no limit) or {AUTO}")
    return int(given)


def names(given: str) -> tuple[str, ...]:
    """A list with commas."""
    return tuple(name for piece in given.split(",") if (name := piece.strip()))


_HOST = re.compile(r"(\*\.)?[a-z0-9._-]+|\[[0-9a-f:.]+\]")
_ORIGIN = re.compile(rf"https?://({_HOST.pattern})(:[0-9]+)?")


def hosts(given: str) -> tuple[str, ...]:
    """Names as the header Host has them, without a port; `*.example.org`: all names below. Raises ValueError."""
    rule = "lists host names without scheme and port: registry.example.org,*.example.org"
    return _each(given.lower(), _HOST.fullmatch, rule)


def origins(given: str) -> tuple[str, ...]:
    """Origins as browsers send them; `*`: all others, to read only. Raises ValueError."""
    return _each(
        given, lambda origin: origin == "*" or ("//*" not in origin and _ORIGIN.fullmatch(origin)),
        "lists origins as browsers write them: https://example.org,https://localhost:8080; or *",
    )  # fmt: skip


def networks(given: str) -> tuple[str, ...]:
    """Addresses and networks. Raises ValueError."""
    return _each(given, ipaddress.ip_network, "lists addresses and networks: 10.0.0.7,192.168.0.0/16,fd00::/8")


def _each(given: str, check: Callable[[str], object], rule: str) -> tuple[str, ...]:
    for name in (found := names(given)):
        try:
            if not check(name):
                raise ValueError(rule)
        except ValueError:
            raise ValueError(rule) from None
    return found


def signatures(given: str) -> tuple[str, ...]:
    """Raises ValueError for an algorithm with which anybody could sign: `none`, HS256."""
    if not (found := names(given)) or not set(found) <= set(SIGNATURES):
        raise ValueError(f"lists some of {', '.join(SIGNATURES)}")
    return found


def roles(given: str) -> tuple[tuple[str, Role], ...]:
    """What others' roles mean here. Raises ValueError, also for one that would mean two things."""
    known = {role.value: role for role in Role}
    found = [name.rpartition(":") for name in names(given)]
    if not all(name and role in known for name, _, role in found) or len({name for name, *_ in found}) < len(found):
        raise ValueError(f"lists names, each once and with one of {', '.join(known)}: registry-editors:editor,*:reader")
    return tuple((name, known[role]) for name, _, role in found)


_LOOPBACK = r"(localhost|127\.0\.0\.1|\[::1\])"
_ISSUER = re.compile(rf"(https://[^\s/?#@]+|http://{_LOOPBACK}(:[0-9]+)?)(/[^\s?#]*)?")


def issuer(given: str) -> str:
    """Raises ValueError for an address at which somebody on the way could put in keys of their own."""
    if given and not _ISSUER.fullmatch(given):
        raise ValueError(
            "must be an https address without query (http only on this machine): https://id.example.org/realm"
        )
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
    replica_url: str = setting("", "a streaming replica of that PostgreSQL, to read from", secret=True)
    public_read: bool = setting(True, "whether reading needs no API key", flag)
    admin_key: str = setting(
        "",
        "the first admin's API key, at least 32 characters; without it `serve` makes one and prints it once",
        key,
        secret=True,
    )
    pool_size: int = setting(8, "database connections a worker keeps", whole)
    max_waiting: int = setting(500, "requests that may wait for a connection; more are refused at once (503)", whole)
    cache_bytes: int = setting(
        67_108_864,
        "how much of its answers a worker keeps, to give them again while nothing was written; `0`: none",
        size,
    )
    max_body_bytes: int = setting(1_048_576, "the longest request body that is read", whole)
    max_import_bytes: int = setting(268_435_456, "the longest file that is imported", whole)
    max_query_bytes: int = setting(32_768, "the longest query string that is read; a cursor may take most of it", whole)
    max_header_bytes: int = setting(32_768, "how long the headers of a request may be together", whole)
    max_requests: int = setting(512, "requests that a worker works on at once; more are told to come again", whole)
    max_exports: int = setting(4, "exports that a worker streams at once", whole)
    max_listeners: int = setting(200, "clients that a worker keeps informed of changes at once (SSE)", whole)
    deadline_seconds: int = setting(30, "how long a request may take until its answer begins", whole)
    rate_limit: int | str = setting(
        AUTO,
        "requests a minute of one key or address, counted by each worker; `0`: no limit; `auto`: 1200, but not for this "
        "machine nor behind a proxy",
        rate,
    )
    cors_origins: tuple[str, ...] = setting(
        (), "sites whose pages may use the registry, e.g. `https://example.org`; `*`: all may read", origins
    )
    trusted_hosts: tuple[str, ...] = setting(
        (), "the names under which the registry is asked, e.g. `registry.example.org`; none: any", hosts
    )
    trusted_proxies: tuple[str, ...] = setting(
        (),
        "addresses and networks of the proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed",
        networks,
    )
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
    oidc_issuer: str = setting(
        "",
        "whose tokens open the registry (OpenID Connect), e.g. `https://id.example.org/realm`; none: API keys only",
        issuer,
    )
    oidc_audience: str = setting("", "what tokens for this registry have in `aud`; needed with an issuer")
    oidc_roles: tuple[tuple[str, Role], ...] = setting(
        (),
        "which roles those of a token mean, e.g. `registry-admins:admin,registry-editors:editor`; `*:reader`: all; needed with "
        "an issuer",
        roles,
    )
    oidc_roles_claim: str = setting("roles", "where a token has its roles; a path has dots, e.g. `realm_access.roles`")
    oidc_name_claim: str = setting("sub", "where a token has the name that the history shows, behind `oidc:`")
    oidc_algorithms: tuple[str, ...] = setting(
        ("RS256", "ES256", "EdDSA"), "how a token may be signed; never `none`, never with a shared secret", signatures
    )

    def __post_init__(self) -> None:
        """Raises ValueError for an issuer whose tokens would open every registry, or none."""
        for needed in ("oidc_audience", "oidc_roles"):
            if self.oidc_issuer and not getattr(self, needed):
                raise ValueError(f"{PREFIX}OIDC_ISSUER needs {PREFIX}{needed.upper()} beside it")

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
    if isinstance(row.default, tuple):
        return ",".join(row.default)
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
