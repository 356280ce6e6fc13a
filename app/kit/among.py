"""Among: whether a column holds one of some ids or texts, however many: they are one parameter, and the statement is always the
same.

An IN that is written out for a thousand of them costs more to put together than to run, on PostgreSQL several times as much.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles


class Several(sa.types.TypeDecorator[Iterable[Any]]):
    """Texts in one: a JSON array for SQLite, the text of an array for PostgreSQL."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[Any] | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if dialect.name == "sqlite":
            return msgspec.json.encode(self.texts(value)).decode()
        return array_of(self.texts(value))

    def texts(self, values: Iterable[Any]) -> list[str]:
        return list(values)


class Ids(Several):
    """Ids, as SQLite stores them."""

    cache_ok = True

    def texts(self, values: Iterable[UUID]) -> list[str]:
        return [identifier.hex for identifier in values]


def array_of(texts: Iterable[str | None]) -> str:
    """The text of PostgreSQL's array of these (§ 8.15.2 of its manual)."""
    return "{" + ",".join(["NULL" if text is None else f'"{_escaped(text)}"' for text in texts]) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


class among(sa.sql.functions.FunctionElement[Any]):  # noqa: N801  # it reads as an operator
    """Whether a column (of ids, or of texts) holds one of those in a parameter."""

    type = sa.types.NULLTYPE  # a Boolean would be compared with 1
    inherit_cache = True

    def __init__(self, column: sa.ColumnElement[Any], name: str = "ids") -> None:
        super().__init__(column, sa.bindparam(name, type_=Ids if isinstance(column.type, sa.Uuid) else Several))


@compiles(among, "sqlite")
def _of_json(element: among, compiler: Any, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608  # a bound parameter


@compiles(among, "postgresql")
def _of_array(element: among, compiler: Any, **options: Any) -> str:
    # Not `= ANY`: a table that was empty when this was planned would be gone through, and each of its rows compared with all.
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    kind = "uuid" if isinstance(list(element.clauses)[1].type, Ids) else "text"
    return f"{column} IN (SELECT unnest(CAST({values} AS {kind}[])))"
