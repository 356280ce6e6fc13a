"""Who may do what: one table, row by row. What is not in it nobody may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from app.kit.vocabularies import Vocabulary


class Role(Vocabulary):
    """What the holder of a key may do. Each role may do what those before it may."""

    reader = "reader", "Reads, also where reading is not public, and proposes changes."
    editor = "editor", "Writes every noun but reviews; batches and imports too."
    reviewer = "reviewer", "Writes reviews, merges organizations, decides on the proposals of others."
    admin = "admin", "Gives out API keys and takes them back."


class Permission(NamedTuple):
    """A cell of the table: what is done, to which noun. `registry` is what belongs to no single noun."""

    verb: str
    noun: str

    def __str__(self) -> str:
        return f"{self.verb} {self.noun}"


FACTS = (
    "organizations", "collaboration-types", "instruments", "collaborations", "milestones", "sources", "citations",
    "successions",
)  # fmt: skip
NOUNS = (*FACTS, "reviews")
WRITES = ("create", "change", "withdraw", "restore")

PUBLIC: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ((("read",), (*NOUNS, "registry")),)
"""What needs no key, where reading is public."""
TABLE: tuple[tuple[Role, tuple[str, ...], tuple[str, ...]], ...] = (
    (Role.reader, ("read",), (*NOUNS, "registry")),
    (Role.reader, ("read", "create"), ("proposals",)),
    (Role.editor, WRITES, FACTS),
    (Role.editor, ("batch", "import"), ("registry",)),
    (Role.reviewer, WRITES, ("reviews",)),
    (Role.reviewer, ("merge",), ("organizations",)),
    (Role.reviewer, ("decide",), ("proposals",)),
    (Role.admin, ("read", "create", "revoke"), ("keys",)),
)


def _cells(role: Role) -> Iterator[Permission]:
    known = list(Role)
    for least, verbs, nouns in TABLE:
        if known.index(least) <= known.index(role):
            yield from (Permission(verb, noun) for verb in verbs for noun in nouns)


GRANTS: dict[Role, frozenset[Permission]] = {role: frozenset(_cells(role)) for role in Role}
OPEN = frozenset(Permission(verb, noun) for verbs, nouns in PUBLIC for verb in verbs for noun in nouns)


def least_role(permission: Permission) -> Role:
    """The first role that may do it. Raises KeyError where none may: a route without a rule."""
    for role in Role:
        if permission in GRANTS[role]:
            return role
    raise KeyError(f"nobody may {permission}: it is in no row of the table")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: by the name of the key, never by one that the client gives itself. Without a key: no role. `until`: when the
    key expires, of a key that the registry has itself."""

    name: str
    role: Role | None
    until: datetime | None = None

    def may(self, verb: str, noun: str) -> bool:
        """Whether the table has a row for it."""
        return Permission(verb, noun) in (OPEN if self.role is None else GRANTS[self.role])


ANYBODY = Caller("anonymous", None)
