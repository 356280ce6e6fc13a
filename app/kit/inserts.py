"""Inserts: very many rows into one table, in the shortest way that each database has: COPY on PostgreSQL, one prepared
statement on SQLite. A few rows of several tables are one statement on PostgreSQL, where each message costs more than they do.
Values are turned into the database's by the column types, as in any other statement."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast
from uuid import UUID

import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy import exc
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Connection, Dialect

from app.kit.among import array_of
from app.kit.db import Transaction, UtcDateTime

Turn = Callable[[Sequence[Any]], Sequence[Any]]
"""Turns the values of a column into the database's."""


class Part(NamedTuple):
    """Rows of a table: the values of `columns`, in their order."""

    table: sa.Table
    columns: tuple[str, ...]
    rows: Sequence[Iterable[Any]]


def part(table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> Part:
    """Rows, each with the same columns in the same order."""
    return Part(table, tuple(rows[0]) if rows else (), [row.values() for row in rows])


FEW = 64
"""So many rows of a table are few. COPY is three messages of PostgreSQL's, and for more rows it is the faster."""


def insert(tx: Transaction, *parts: Part) -> None:
    """Store these rows, in this order. Raises what any statement raises."""
    connection, filled = tx.connection, [each for each in parts if each.rows]
    on_sqlite = isinstance(connection.dialect, SQLiteDialect_pysqlite)
    if filled and not on_sqlite and all(len(each.rows) <= FEW for each in filled):
        _in_one(connection, filled)
        return
    for each in filled:
        values = _turned(connection.dialect, each)
        if on_sqlite:
            connection.exec_driver_sql(_statement(each.table, each.columns), list(zip(*values, strict=True)))
        else:
            _copy(connection, each.table, each.columns, values)


def _turned(dialect: Dialect, part: Part) -> list[Sequence[Any]]:
    """The columns as the database wants them. Most values of one are the same few."""
    columns: list[Sequence[Any]] = list(zip(*part.rows, strict=True))
    for place, turn in _turns(dialect, part.table, part.columns).items():
        columns[place] = turn(columns[place])
    return columns


@lru_cache(maxsize=256)
def _turns(dialect: Dialect, table: sa.Table, columns: tuple[str, ...]) -> dict[int, Turn]:
    """By the place of a column, what turns it; those that are left as they are have none."""
    found = ((place, _turn(dialect, table.c[name].type)) for place, name in enumerate(columns))
    return {place: turn for place, turn in found if turn is not None}


def _turn(dialect: Dialect, kind: sa.types.TypeEngine[Any]) -> Turn | None:
    bind = kind.dialect_impl(dialect).bind_processor(dialect)
    if not isinstance(dialect, SQLiteDialect_pysqlite) and (bind or not isinstance(kind, sa.String)):
        bind = partial(_text, json.dumps if isinstance(kind, sa.JSON) else bind or (lambda value: value))
    if bind is None:
        return None
    return partial(_of_few if isinstance(kind, _OF_FEW_VALUES) else _of_many, bind)


_OF_FEW_VALUES = (sa.Date, sa.Enum, UtcDateTime)


def _of_few(bind: Callable[[Any], Any], column: Sequence[Any]) -> Sequence[Any]:
    known = {value: bind(value) for value in set(column)}
    return [known[value] for value in column]


def _of_many(bind: Callable[[Any], Any], column: Sequence[Any]) -> Sequence[Any]:
    return [bind(value) for value in column]


def _text(bind: Callable[[Any], Any], value: Any) -> str | None:
    """A value as COPY reads it."""
    bound = bind(value)
    return None if bound is None else bound.hex if isinstance(bound, UUID) else str(bound)


@lru_cache(maxsize=256)
def _statement(table: sa.Table, columns: tuple[str, ...]) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f'INSERT INTO "{table.name}" ({names}) VALUES ({", ".join("?" * len(columns))})'  # noqa: S608  # our own names


def _in_one(connection: Connection, several: Sequence[Part]) -> None:
    shapes = tuple((part.table, part.columns) for part in several)
    arrays = [array_of(column) for part in several for column in _turned(connection.dialect, part)]
    connection.exec_driver_sql(_inserting(connection.dialect, shapes), tuple(arrays))


@lru_cache(maxsize=256)
def _inserting(dialect: Dialect, shapes: tuple[tuple[sa.Table, tuple[str, ...]], ...]) -> str:
    """A statement that stores rows in each of these tables; to its foreign keys all are there. A parameter is a column."""
    parts = []
    for table, columns in shapes:
        names = ", ".join(f'"{name}"' for name in columns)
        arrays = ", ".join(f"CAST(%s AS {_kind(dialect, table.c[name].type)}[])" for name in columns)
        parts.append(f'INSERT INTO "{table.name}" ({names}) SELECT * FROM unnest({arrays})')  # noqa: S608  # our own names
    *before, last = parts
    told = ", ".join(f"part_{n} AS ({text})" for n, text in enumerate(before))
    return f"WITH {told} {last}" if told else last


def _kind(dialect: Dialect, kind: sa.types.TypeEngine[Any]) -> str:
    """The name of a type. A text is never cast to its length: PostgreSQL would cut it off without a word."""
    real = kind.dialect_impl(dialect)
    return "text" if isinstance(real, sa.String) else str(real.compile(dialect=dialect))


_ESCAPED = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
"""What would be a sign of COPY's, the sign that begins all of them first."""


def _copied(columns: Sequence[Sequence[str | None]]) -> str:
    """Columns as rows of COPY's own text: the driver would look at every value again."""
    rows = zip(*map(_cells, columns), strict=True)
    return "\n".join(map("\t".join, rows)) + "\n"


def _cells(texts: Sequence[str | None]) -> Sequence[str]:
    whole = "".join([text for text in texts if text is not None])
    for character, escaped in _ESCAPED:
        if character in whole:
            texts = [text and text.replace(character, escaped) for text in texts]
    return ["\\N" if text is None else text for text in texts]


def _copy(connection: Connection, table: sa.Table, columns: Sequence[str], values: Sequence[Sequence[Any]]) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    session = cast("psycopg.Connection[Any]", connection.connection.dbapi_connection)
    try:
        with session.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(_copied(values))
    except psycopg.Error as error:
        raise _as_sqlalchemy_says(connection, error) from error


def _as_sqlalchemy_says(connection: Connection, error: psycopg.Error) -> BaseException:
    """The error as it would be of any other statement: whoever repeats a unit of work knows it by that."""
    lost = connection.dialect.is_disconnect(cast(Any, error), connection.connection.dbapi_connection, None)
    if lost:
        connection.invalidate(error)
    return exc.DBAPIError.instance(
        "COPY",
        None,
        error,
        psycopg.Error,
        hide_parameters=True,
        connection_invalidated=lost,
        dialect=connection.dialect,
    )
