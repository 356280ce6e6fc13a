"""Among: whether a column holds one of some ids, however many: they are one parameter, and the statement is always the same.

An IN that is written out for a thousand ids costs more to put together than to run, on PostgreSQL several times as much.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles


class Ids(sa.types.TypeDecorator[Iterable[UUID]]):
    """Ids in one text: a JSON array of what SQLite stores, or the text of an array of PostgreSQL's."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[UUID] | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if dialect.name == "sqlite":
            return "[" + ",".join([f'"{identifier.hex}"' for identifier in value]) + "]"
        return "{" + ",".join([identifier.hex for identifier in value]) + "}"


class among(sa.sql.functions.FunctionElement[Any]):  # noqa: N801  # it reads as an operator
    """Whether a column (of type Uuid) holds one of the ids in a parameter."""

    type = sa.types.NULLTYPE  # a Boolean would be compared with 1
    inherit_cache = True

    def __init__(self, column: sa.ColumnElement[Any], name: str = "ids") -> None:
        super().__init__(column, sa.bindparam(name, type_=Ids))


@compiles(among, "sqlite")
def _of_json(element: among, compiler: Any, **options: Any) -> str:
    column, ids = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({ids}))"  # noqa: S608  # a bound parameter


@compiles(among, "postgresql")
def _of_array(element: among, compiler: Any, **options: Any) -> str:
    column, ids = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY(CAST({ids} AS uuid[]))"
