"""How Alembic reaches the database: over the connection that `app.kit.migrations` hands it, or, for the command
`alembic`, over one of its own to CONCORD_DATABASE_URL."""

from __future__ import annotations

import os
from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from sqlalchemy.engine import Connection

import app.api.v1  # noqa: F401  # every noun's table
from app.exchange import models  # noqa: F401  # and those of what is no noun
from app.kit.db import Base, UtcDateTime
from app.kit.migrations import alone, is_modelled
from app.settings import Settings


def render_item(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Migrations speak plain SQLAlchemy: what a type of ours is today must not change what they did."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, sa.Enum):
        return f"sa.String(length={item.length})"
    return False


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=render_item,
        include_name=is_modelled,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with alone(Settings.from_environment(os.environ).database_url) as own:
        run(own)
