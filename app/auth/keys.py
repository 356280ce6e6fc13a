"""API keys: 256 random bits that are shown once and stored as their SHA-256.

A hash without salt or stretching is enough for what nobody can guess, and it makes the check a single look-up by hash: it
takes as long for a key that is wrong as for one that is right, and reveals nothing of how near a guess was.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.auth.policy import Caller, Role
from app.kit import paging, revisions
from app.kit.db import Base, Key, Transaction, UtcDateTime, table_of, vocabulary
from app.kit.errors import Conflict, Invalid, NotFound
from app.kit.ids import new_id
from app.kit.paging import Position

log = logging.getLogger("concord")
PREFIX = "concord_"
"""Of every secret that is made here: whoever finds one in a file knows what it opens."""
NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}", re.ASCII)
FIRST = "admin"
"""The name of the key that a new registry gets."""
RESERVED = frozenset({"anonymous", "nobody", "seed", "import", "migration", "verify", "operator", "local"})
"""Names by which the registry signs what it does itself, and by which it called those who wrote before there were keys."""


class ApiKey(Base):
    """A key. It keeps its row when it is revoked: the history names it."""

    __tablename__ = "api_key"

    id: Mapped[UUID] = mapped_column(sa.Uuid, primary_key=True)
    name: Mapped[str] = mapped_column(Key, unique=True)
    role: Mapped[Role] = mapped_column(vocabulary(Role))
    digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    hint: Mapped[str] = mapped_column(sa.String(4))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by: Mapped[str] = mapped_column(sa.String(255))
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_by: Mapped[str | None] = mapped_column(sa.String(255))


TABLE = table_of(ApiKey)
FOREVER = datetime.max.replace(tzinfo=UTC)
_SHOWN = [column for column in TABLE.c if column.name not in ("id", "digest")]


@dataclass(frozen=True, slots=True)
class Made:
    """A new key, and its secret: nobody can read it again."""

    key: sa.Row[Any]
    secret: str


def make(
    tx: Transaction, name: str, role: Role, *, expires_at: datetime | None = None, secret: str | None = None
) -> Made:
    """A new key with this name and role, made by the transaction's author. Raises Invalid; Conflict for a name that has been
    used, also by a key that is revoked: two people must not look like one in the history."""
    if not NAME.fullmatch(name):
        raise Invalid.at("/name", "name", "1 to 64 of a-z, 0-9 and . _ @ -; it begins with a letter or a digit.")
    if name in RESERVED:
        raise Invalid.at("/name", "reserved", f"{name} is how the registry signs its own writes.")
    if expires_at is not None and expires_at <= tx.now:
        raise Invalid.at("/expires_at", "past", "It would have expired already.")
    if tx.execute(sa.select(TABLE.c.id).where(TABLE.c.name == name)).first() is not None:
        raise Conflict(f"There is a key {name} already, or there was one: names are used once.", existing=name)
    secret = secret or PREFIX + secrets.token_urlsafe(32)
    row = {
        "id": new_id(tx.now), "name": name, "role": role, "digest": digest(secret), "hint": secret[-4:],
        "created_at": tx.now, "created_by": tx.author.name, "expires_at": expires_at,
    }  # fmt: skip
    tx.execute(sa.insert(TABLE), row)
    revisions.touch(tx)
    log.info("key %s (%s) made by %s", name, role.value, tx.author.name)
    return Made(fetch(tx, name), secret)


def first(tx: Transaction, secret: str | None) -> Made | None:
    """The first key of a registry that never had one: an admin's, with this secret or a new one. None where there is one."""
    if tx.execute(sa.select(TABLE.c.id).limit(1)).first() is not None:
        return None
    return make(tx, FIRST, Role.admin, secret=secret)


def digest(secret: str) -> str:
    """The SHA-256 of a secret, in hexadecimal digits: all of it that is stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def find(tx: Transaction, secret: str) -> Caller | None:
    """Who holds this secret; None where no key has it, or one that is revoked or has expired."""
    sought = digest(secret)
    row = tx.execute(_BY_DIGEST, {"digest": sought}).first()
    same = hmac.compare_digest(sought, row.digest if row is not None else "0" * 64)
    if row is None or not same or row.revoked_at is not None:
        return None
    until = row.expires_at or FOREVER
    return None if until <= tx.now else Caller(row.name, row.role, until)


_BY_DIGEST = sa.select(TABLE.c.name, TABLE.c.role, TABLE.c.digest, TABLE.c.expires_at, TABLE.c.revoked_at).where(
    TABLE.c.digest == sa.bindparam("digest", type_=TABLE.c.digest.type)
)


def browse(
    tx: Transaction, *, limit: int, after: Position | None = None
) -> tuple[Sequence[sa.Row[Any]], Position | None]:
    """A page of keys by name, the revoked among them, and where the next begins."""
    rows, more = paging.page(tx, _LISTED, _BY_NAME, limit=limit, after=after)
    return rows, Position(rows[-1].name, rows[-1].id) if more else None


_LISTED = sa.select(*_SHOWN, TABLE.c.id)
_BY_NAME = paging.Order(TABLE.c.name, TABLE.c.id, down=False)


def fetch(tx: Transaction, name: str) -> sa.Row[Any]:
    """The key of this name. Raises NotFound."""
    row = tx.execute(sa.select(*_SHOWN).where(TABLE.c.name == name)).first()
    if row is None:
        raise NotFound(f"There is no key {name[:64]!r}.")
    return row


def revoke(tx: Transaction, name: str, *, even_the_last: bool = False) -> None:
    """Let a key open nothing any more, from the next request on, in every process. One that is revoked stays so.
    Raises NotFound; Conflict for the last admin's, unless that is meant: nobody could give out another."""
    row = fetch(tx, name)
    if row.revoked_at is not None:
        return
    # They are held, so that two admins do not revoke each other's at the same moment.
    if not even_the_last and row.role is Role.admin and not set(admins(tx, hold=True)) - {name}:
        raise Conflict(f"{name} is the last key of an admin. Make another one first.", existing=name)
    first = TABLE.c.revoked_at.is_(None)  # of two at the same moment the first is the one that is remembered
    tx.execute(sa.update(TABLE).where(TABLE.c.name == name, first).values(revoked_at=tx.now, revoked_by=tx.author.name))
    revisions.touch(tx)
    log.info("key %s revoked by %s", name, tx.author.name)


def admins(tx: Transaction, *, hold: bool = False) -> list[str]:
    """The names of the keys with which an admin gets in now. `hold`: nobody revokes one until this transaction ends."""
    lasting = sa.or_(TABLE.c.expires_at.is_(None), TABLE.c.expires_at > tx.now)
    chosen = sa.select(TABLE.c.name).where(TABLE.c.role == Role.admin, TABLE.c.revoked_at.is_(None), lasting)
    chosen = chosen.order_by(TABLE.c.name)
    return list(tx.execute(chosen.with_for_update() if hold else chosen).scalars())
