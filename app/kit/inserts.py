"""Inserts: very many rows into one table, in the shortest way that each database has: COPY on PostgreSQL, one prepared
statement on SQLite. Values are turned into the database's by the column types, as in any other statement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, cast

import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy import exc
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Connection, Dialect

from app.kit.db import Transaction, UtcDateTime

Turn = Callable[[Sequence[Any]], Sequence[Any]]
"""Turns the values of a column into the database's."""


def insert(tx: Transaction, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows, each with the same columns in the same order. Raises what any statement raises."""
    if rows:
        fill(tx, table, tuple(rows[0]), [row.values() for row in rows])


def fill(tx: Transaction, table: sa.Table, columns: tuple[str, ...], rows: Sequence[Iterable[Any]]) -> None:
    """The same with the values alone."""
    if not rows:
        return
    connection = tx.connection
    turned = list(_turned(rows, _turns(connection.dialect, table, columns)))
    if isinstance(connection.dialect, SQLiteDialect_pysqlite):
        connection.exec_driver_sql(_statement(table, columns), turned)
    else:
        _copy(connection, table, columns, turned)


def _turned(rows: Sequence[Iterable[Any]], turns: Mapping[int, Turn]) -> Iterable[Sequence[Any]]:
    """The rows as the database wants them. Column by column: most values of one are the same few."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for place, turn in turns.items():
        columns[place] = turn(columns[place])
    return zip(*columns, strict=True)


@lru_cache(maxsize=256)
def _turns(dialect: Dialect, table: sa.Table, columns: tuple[str, ...]) -> dict[int, Turn]:
    """By the place of a column, what turns it; those that are left as they are have none."""
    kinds = [table.c[name].type for name in columns]
    found = ((place, kind, kind.dialect_impl(dialect).bind_processor(dialect)) for place, kind in enumerate(kinds))
    return {place: _turn(kind, turn) for place, kind, turn in found if turn is not None}


def _turn(kind: sa.types.TypeEngine[Any], turn: Callable[[Any], Any]) -> Turn:
    if isinstance(kind, _OF_FEW_VALUES):
        return partial(_of_few, turn)
    return lambda column: [turn(value) for value in column]


_OF_FEW_VALUES = (sa.Date, sa.Enum, UtcDateTime)


def _of_few(turn: Callable[[Any], Any], column: Sequence[Any]) -> Sequence[Any]:
    known = {value: turn(value) for value in set(column)}
    return [known[value] for value in column]


@lru_cache(maxsize=256)
def _statement(table: sa.Table, columns: tuple[str, ...]) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f'INSERT INTO "{table.name}" ({names}) VALUES ({", ".join("?" * len(columns))})'  # noqa: S608  # our own names


def _copy(connection: Connection, table: sa.Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    session = cast("psycopg.Connection[Any]", connection.connection.dbapi_connection)
    try:
        with session.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
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
