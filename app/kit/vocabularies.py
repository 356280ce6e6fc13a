"""Vocabularies: closed lists of values, each with a sentence that says what it means, shown in OpenAPI."""

from __future__ import annotations

import enum
from typing import Any, Self

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema


class Vocabulary(enum.StrEnum):
    """The parent of every vocabulary. A member is its value and what that means: `organ = "organ", "A part of …"`."""

    about: str

    def __new__(cls, value: str, about: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.about = about
        return member

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = handler.resolve_ref_schema(handler(schema))
        values = "\n".join(f"- `{member.value}`: {member.about}" for member in cls)
        described["description"] = f"{cls.__doc__}\n\n{values}"
        return described
