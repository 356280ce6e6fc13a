"""What a field of a noun holds, as its annotation says: one value, several, or texts by key; of which kind."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Union

from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from app.kit.vocabularies import Vocabulary


@dataclass(frozen=True, slots=True)
class Shape:
    """`kind` is the class of the value, or of each of `many`, or of those that keys lead to (`keyed`). A list of lists and
    the like has no class: its kind is the inner annotation."""

    kind: Any
    many: bool
    keyed: bool
    nullable: bool
    marks: tuple[Any, ...]

    @property
    def single(self) -> bool:
        return not self.many and not self.keyed

    @property
    def part(self) -> type[BaseModel] | None:
        """The class of the objects that it holds, if it holds objects."""
        return self.kind if self.is_a(BaseModel) else None

    @property
    def vocabulary(self) -> type[Vocabulary] | None:
        """The vocabulary that its values are of, if they are of one."""
        return self.kind if self.is_a(Vocabulary) else None

    @property
    def edtf(self) -> bool:
        """Whether it is a date in EDTF."""
        extras = (mark.json_schema_extra for mark in self.marks if isinstance(mark, FieldInfo))
        return any(isinstance(extra, dict) and extra.get("format") == "edtf" for extra in extras)

    def is_a(self, *classes: type) -> bool:
        return isinstance(self.kind, type) and issubclass(self.kind, classes)


def shape_of(info: FieldInfo) -> Shape:
    """What the field holds."""
    annotation: Any = info.annotation
    marks: list[Any] = list(info.metadata)
    seen = {"many": False, "keyed": False, "nullable": False}
    while True:
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is Annotated:
            marks += arguments[1:]
            annotation = arguments[0]
        elif origin in (Union, types.UnionType):
            seen["nullable"] |= type(None) in arguments and not seen["many"] and not seen["keyed"]
            annotation = _something(arguments)
        elif origin in (list, dict) and not (seen["many"] or seen["keyed"]):
            seen["many" if origin is list else "keyed"] = True
            annotation = arguments[-1]
        else:
            kind = datetime if annotation is AwareDatetime else annotation  # Pydantic's is no class of datetimes
            return Shape(kind, marks=tuple(marks), **seen)


@cache
def shapes_of(cls: type[BaseModel]) -> Mapping[str, Shape]:
    """What each field of the class holds."""
    return {name: shape_of(info) for name, info in cls.model_fields.items()}


def _something(arguments: Iterable[Any]) -> Any:
    return next(argument for argument in arguments if argument is not type(None))


def default_of(info: FieldInfo) -> Any:
    """What the field holds when nothing is said of it, as JSON has it; None for a field that must be said."""
    value = None if info.is_required() else info.get_default(call_default_factory=True, validated_data={})
    return value.value if isinstance(value, Vocabulary) else value
