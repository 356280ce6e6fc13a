"""Settings: read once from the environment, frozen, handed down; never imported as a global."""

from __future__ import annotations

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


def flag(given: str) -> bool:
    if given not in ("true", "false"):
        raise ValueError("must be true or false")
    return given == "true"


def key(given: str) -> str:
    """Raises ValueError for a key that could be guessed, or cannot be sent in a header."""
    if not re.fullmatch(r"[\x21-\x7e]{32,500}", given):
        raise ValueError("must have 32 to 500 visible ASCII characters")
    return given


def path_prefix(given: str) -> str:
    if given and not given.startswith("/"):
        raise ValueError("begins with a slash: /registry")
    return given


def names(given: str) -> tuple[str, ...]:
    """A list with commas."""
    return tuple(name for piece in given.split(",") if (name := piece.strip()))


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
    public_read: bool = setting(True, "whether reading needs no API key", flag)
    admin_key: str = setting(
        "",
        "the first admin's API key, at least 32 characters; without it `serve` makes one and prints it once",
        key,
        secret=True,
    )
    pool_size: int = setting(8, "database connections a worker keeps", whole)
    max_body_bytes: int = setting(1_048_576, "the longest request body that is read", whole)
    max_import_bytes: int = setting(268_435_456, "the longest file that is imported", whole)
    root_path: str = setting("", "the prefix under which a proxy serves the registry, e.g. `/registry`", path_prefix)
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
