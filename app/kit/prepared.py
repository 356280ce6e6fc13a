"""Prepared statements that differ in their values alone: put together once, and their SQL is found without looking at them.

A list has the same statement for all who filter by the same parameters. To put it together anew, and to have SQLAlchemy find
out that it knows it, costs more than SQLite's answer; to look at its conditions alone costs a tenth of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.cache_key import CacheKey

Clauses = Sequence[sa.ColumnElement[bool]]


def where(statement: sa.Select[Any], clauses: Clauses) -> tuple[sa.Select[Any], dict[str, Any]] | None:
    """`statement` with these conditions, and the values in them, as parameters. None where one of the conditions may mean
    something else each time."""
    if not clauses:
        return statement, {}
    known = [clause._generate_cache_key() for clause in clauses]  # what SQLAlchemy finds its own SQL by
    keys = [key for key in known if key is not None]
    if len(keys) < len(known):
        return None
    condition = _Condition(clauses, keys)
    made, names = _made(statement, condition)
    return made, dict(zip(names, condition.values, strict=True))


class _Condition:
    """Conditions, which are equal to others that differ from them in their values alone."""

    __slots__ = ("_key", "binds", "clauses")

    def __init__(self, clauses: Clauses, keys: Sequence[CacheKey]) -> None:
        self.clauses = clauses
        self.binds = [bind for key in keys for bind in key.bindparams]
        self._key = tuple([key.key for key in keys])

    @property
    def values(self) -> list[Any]:
        return [bind.effective_value for bind in self.binds]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Condition) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@lru_cache(1024)
def _made(statement: sa.Select[Any], condition: _Condition) -> tuple[sa.Select[Any], list[str]]:
    return statement.where(*condition.clauses), [bind.key for bind in condition.binds]
