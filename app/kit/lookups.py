"""Look-ups: a single statement that is asked again and again, handed to the driver as it was put together the first time.

What SQLAlchemy does for a statement that it knows (a key to find it by, a context, a result that describes itself) costs a
record five times what SQLite does for it. Here it still writes the SQL, turns values and columns by their types, lends the
connection and says what an error means; but the first two are asked once for all. See `Transaction.rows`.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.sql.compiler import SQLCompiler

from app.kit.engines import POOLED


def rows(connection: Connection, statement: sa.Select[Any], parameters: Mapping[str, Any]) -> Sequence[sa.Row[Any]]:
    """All rows, with their columns by name. Raises what `connection.execute` raises."""
    asked = _asked(statement, connection.dialect)
    # Behind a pooler it takes a transaction; and who listens to statements hears of every one.
    if asked is None or connection.info.get(POOLED) or connection.dispatch.before_cursor_execute:
        return connection.execute(statement, parameters).all()
    values, cursor = asked.values(parameters), connection.connection.cursor()
    try:
        cursor.execute(asked.sql, values)
        found = cursor.fetchall()
    except connection.dialect.loaded_dbapi.Error as error:
        connection._handle_dbapi_exception(error, asked.sql, values, cursor, None)  # raises it as `execute` would
    finally:
        cursor.close()
    return asked.rows(found)


@lru_cache(1024)
def _asked(statement: sa.Select[Any], dialect: Dialect) -> _Asked | None:
    """None for a statement whose SQL is another one for other values: an IN that is written out."""
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)  # noqa: S101  # that of a SELECT
    if compiled.post_compile_params or compiled.literal_execute_params:
        return None
    return _Asked(statement, compiled, dialect)


class _Asked:
    """A statement as a driver is asked it."""

    def __init__(self, statement: sa.Select[Any], compiled: SQLCompiler, dialect: Dialect) -> None:
        binds = {name: bind for bind, name in compiled.bind_names.items()}
        columns = statement.selected_columns
        turns = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
        self.sql = str(compiled)
        self._is_positional = compiled.positional
        self._names = [compiled.escaped_bind_names.get(name, name) for name in compiled.positiontup or binds]
        self._given = [_given(binds[name], dialect) for name in compiled.positiontup or binds]
        self._turns = [(place, turn) for place, turn in enumerate(turns) if turn is not None]
        row: Any = namedtuple("row", [str(column.key) for column in columns], rename=True)  # type: ignore[misc]
        self._row = row._make

    def values(self, parameters: Mapping[str, Any]) -> Any:
        """The parameters as the driver wants them."""
        values = [given(parameters) for given in self._given]
        return values if self._is_positional else dict(zip(self._names, values, strict=True))

    def rows(self, found: Sequence[Sequence[Any]]) -> list[Any]:
        """What the driver found, with each column as its type has it."""
        if self._turns and found:
            columns: list[Sequence[Any]] = list(zip(*found, strict=True))
            for place, turn in self._turns:
                columns[place] = [turn(value) for value in columns[place]]
            found = list(zip(*columns, strict=True))
        return [self._row(row) for row in found]


def _given(bind: sa.BindParameter[Any], dialect: Dialect) -> Callable[[Mapping[str, Any]], Any]:
    """What finds the value of a parameter: among those that are given, or as it stands in the statement."""
    key, turn = bind.key, bind.type.dialect_impl(dialect).bind_processor(dialect)
    if bind.required:
        return itemgetter(key) if turn is None else lambda parameters: turn(parameters[key])
    usual = bind.effective_value if turn is None else turn(bind.effective_value)
    if turn is None:
        return lambda parameters: parameters.get(key, usual)
    return lambda parameters: turn(parameters[key]) if key in parameters else usual
