"""Gathered: what several rows say, as JSON in one column, so that a statement brings along what hangs on each of its rows."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles


class gathered(sa.sql.functions.FunctionElement[str]):  # noqa: N801  # it reads as a function of SQL
    """An aggregate: these columns of all rows as a JSON list of lists; NULL where there is no row."""

    type = sa.Text()
    inherit_cache = True


@compiles(gathered, "sqlite")
def _sqlite(element: gathered, compiler: Any, **options: Any) -> str:
    return f"NULLIF(json_group_array(json_array({compiler.process(element.clauses, **options)})), '[]')"


@compiles(gathered, "postgresql")
def _postgresql(element: gathered, compiler: Any, **options: Any) -> str:
    return f"CAST(json_agg(json_build_array({compiler.process(element.clauses, **options)})) AS TEXT)"


def read(value: str | None) -> list[list[Any]]:
    """The rows in such a column."""
    return [] if value is None else msgspec.json.decode(value, type=list[list[Any]])
