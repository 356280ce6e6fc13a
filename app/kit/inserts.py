"""Inserts: very many rows into one table, in the shortest way that each database has: COPY on PostgreSQL, one prepared
statement on SQLite. Values are turned into the database's by the column types, as in any other statement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy import exc
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Connection, Dialect

from app.kit.db import Transaction

Turn = tuple[int, Callable[[Any], Any]]
"""The place of a column, and what turns its values into the database's."""


def insert(tx: Transaction, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows, each with the same columns in the same order. Raises what any statement raises."""
    if rows:
        fill(tx, table, tuple(rows[0]), [list(row.values()) for row in rows])


def fill(tx: Transaction, table: sa.Table, columns: tuple[str, ...], rows: Iterable[list[Any]]) -> None:
    """The same with the values alone. (The lists are changed.)"""
    connection = tx.connection
    turns = _turns(connection.dialect, table, columns)
    turned = [_turned(row, turns) for row in rows]
    if isinstance(connection.dialect, SQLiteDialect_pysqlite):
        if turned:
            connection.exec_driver_sql(_statement(table, columns), turned)
    else:
        _copy(connection, table, columns, turned)


def _turned(row: list[Any], turns: Sequence[Turn]) -> tuple[Any, ...]:
    for place, turn in turns:
        row[place] = turn(row[place])
    return tuple(row)


@lru_cache(maxsize=256)
def _turns(dialect: Dialect, table: sa.Table, columns: tuple[str, ...]) -> list[Turn]:
    kinds = [table.c[name].type.dialect_impl(dialect) for name in columns]
    found = [(place, kind.bind_processor(dialect)) for place, kind in enumerate(kinds)]
    return [(place, turn) for place, turn in found if turn is not None]


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
