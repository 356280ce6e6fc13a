"""Prepared statements that differ in their values alone: put together once, and their SQL is found without looking at them.

A list has the same statement for all who filter by the same parameters. To put it together anew, and to have SQLAlchemy find
out that it knows it, costs more than SQLite's answer; to look at its conditions alone costs a tenth of that.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

Clauses = Sequence[sa.ColumnElement[bool]]


def where(statement: sa.Select[Any], clauses: Clauses) -> tuple[sa.Select[Any], dict[str, Any]] | None:
    """`statement` with these conditions, and the values in them, as parameters. None where one of the conditions may mean
    something else each time."""
    if not clauses:
        return statement, {}
    known = [_known(clause) for clause in clauses]
    keys = [each for each in known if each is not None]
    if len(keys) < len(known):
        return None
    condition = _Condition(clauses, keys)
    made, names = _made(statement, condition)
    return made, dict(zip(names, condition.values, strict=True))


Known = tuple[Hashable, Sequence[sa.BindParameter[Any]]]
"""What a condition has in common with those that differ from it in their values alone, and where its own values are."""


def _known(clause: sa.ColumnElement[bool]) -> Known | None:
    """None for a condition that may mean something else each time."""
    if type(clause) is sa.BinaryExpression and isinstance(clause.left, sa.Column):  # most are: a column and a value
        right = clause.right
        if type(right) is sa.BindParameter and not (right.expanding or clause.modifiers):
            return (clause.left, clause.operator, right.type), (right,)
    key = clause._generate_cache_key()  # what SQLAlchemy finds its own SQL by
    return None if key is None else (key.key, key.bindparams)


class _Condition:
    """Conditions, which are equal to others that differ from them in their values alone."""

    __slots__ = ("_key", "binds", "clauses")

    def __init__(self, clauses: Clauses, keys: Sequence[Known]) -> None:
        self.clauses = clauses
        self.binds = [bind for _, binds in keys for bind in binds]
        self._key = tuple([key for key, _ in keys])

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
