"""The field types that all nouns share. Every text that enters the registry is of one of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from app.kit import edtf
from app.kit.text import SLUG_LENGTH, clean, clean_line, clean_prose, is_id, is_slug


def _slug(text: str) -> str:
    if not is_slug(text):
        raise PydanticCustomError(
            "slug",
            "A slug is made of a-z, 0-9 and single hyphens between them, at most {length} characters, and is no UUID",
            {"length": SLUG_LENGTH},
        )
    return text


def _reference(text: str) -> str:
    if not is_slug(text) and not is_id(text):
        raise PydanticCustomError("reference", "A reference is the slug or the id of a record")
    return text if is_slug(text) else text.lower()


def _edtf(text: str) -> str:
    try:
        return edtf.parse(text).text
    except edtf.EdtfError as error:
        raise PydanticCustomError("edtf", "{reason}", {"reason": str(error)}) from None


_PLAIN_URL = re.compile(r"https?://[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*(/[a-zA-Z0-9._~/-]*)?", re.ASCII)


def _url(text: str) -> str:
    if _PLAIN_URL.fullmatch(text):
        return text
    text = clean(text)
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or not re.fullmatch(r"https?://[^\s\\<>\"{}|^`]+", text):
        raise PydanticCustomError("url", "A web address starts with http:// or https:// and names a host")
    return text


_RUN = ("javascript:", "vbscript:", "data:")
"""Schemes of what a browser would run instead of going there."""


def _uri(text: str) -> str:
    text = clean(text)
    if text.lower().startswith(("http:", "https:")):
        return _url(text)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s\\<>\"{}|^`]+", text) or text.lower().startswith(_RUN):
        raise PydanticCustomError("uri", "A URI has a scheme, a colon and no blanks (RFC 3986)")
    return text


def _pointer(text: str) -> str:
    text = clean(text)
    if not re.fullmatch(r"(/([^~/]|~[01])*)*", text):
        raise PydanticCustomError("pointer", "A JSON Pointer is empty or a list of /steps (RFC 6901)")
    return text


def _rfc3339(value: Any) -> Any:
    # Pydantic also reads numbers as seconds since 1970, and a bare number is not a moment that anybody wrote on purpose.
    if isinstance(value, str) and not re.match(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}", value):
        raise PydanticCustomError("moment", "A moment is written as RFC 3339 says, with its zone: 2024-03-28T12:00:00Z")
    if not isinstance(value, str | datetime):
        raise PydanticCustomError("moment", "A moment is a text as RFC 3339 says, with its zone: 2024-03-28T12:00:00Z")
    return value


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("moment", "In UTC this moment lies outside the years 1 to 9999") from None


AS_OF = (
    r"^([0-9]{1,18}|[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:?[0-9]{2}))?)$"
)
"""What it looks like, for those who describe it."""


def _as_of(text: Any) -> Any:
    """A number of the sequence, a date, or a moment; in an address all three are text."""
    if not isinstance(text, str):
        return text
    if re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
        return int(text)
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            return date.fromisoformat(text)
        return _utc(_MOMENT.validate_python(text))
    except ValueError:
        raise PydanticCustomError(
            "as_of",
            "It is a number of the sequence, a date (2024-03-28) or a moment with its zone (2024-03-28T12:00:00Z)",
        ) from None


def point_or_key(text: Any) -> Any:
    """A number of the sequence, a date or a moment, if the text is one of them; else the slug or id of a record."""
    try:
        return _as_of(text)
    except PydanticCustomError:
        return _reference(text)


def _day(text: Any) -> Any:
    # Pydantic also reads a number as seconds since 1970.
    if isinstance(text, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        with suppress(ValueError):
            return date.fromisoformat(text)
    raise PydanticCustomError("day", "A day is written as 2024-03-28, and is in the calendar")


def _comma_separated(value: Any) -> Any:
    parts = value if isinstance(value, list) else [value]
    return [piece for part in parts for piece in (part.split(",") if isinstance(part, str) else [part])]


def _digits(value: Any) -> Any:
    # Pydantic also reads "1_0", "+1" and "1.0" as numbers, and nobody means them in an address.
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,19}", value, re.ASCII):
        raise PydanticCustomError("whole_number", "A whole number is written in digits alone")
    return value


def _flag(value: Any) -> Any:
    if isinstance(value, str) and value not in ("true", "false"):
        raise PydanticCustomError("flag", "It is true or false")
    return value


def _distinct(values: list[Any]) -> list[Any]:
    for n, value in enumerate(values):
        if value in values[:n]:
            raise PydanticCustomError("repeated", "{value} stands twice in the list", {"value": str(value)})
    return values


def limited(length: int, check: Callable[[str], str]) -> AfterValidator:
    """`check`, then at most `length` characters, counted after normalisation, so that both databases can hold it."""

    def limit(text: str) -> str:
        text = check(text)
        if len(text) > length:
            raise PydanticCustomError(
                "string_too_long",
                "At most {max_length} characters, these are {length}",
                {"max_length": length, "length": len(text)},
            )
        return text

    return AfterValidator(limit)


Slug = Annotated[
    str,
    AfterValidator(_slug),
    Field(json_schema_extra={"pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": SLUG_LENGTH}),
]
Key = Annotated[str, AfterValidator(_reference), Field(json_schema_extra={"maxLength": SLUG_LENGTH})]
Name = Annotated[str, limited(255, clean_line), Field(json_schema_extra={"minLength": 1, "maxLength": 255})]
Title = Annotated[str, limited(500, clean_line), Field(json_schema_extra={"minLength": 1, "maxLength": 500})]
Word = Annotated[str, limited(100, clean_line), Field(json_schema_extra={"minLength": 1, "maxLength": 100})]
SearchText = Annotated[str, limited(255, clean_line), Field(json_schema_extra={"minLength": 1, "maxLength": 255})]
NOTE_LENGTH = 2_000
Note = Annotated[str, limited(NOTE_LENGTH, clean_prose), Field(json_schema_extra={"maxLength": NOTE_LENGTH})]
Prose = Annotated[str, limited(10_000, clean_prose), Field(json_schema_extra={"maxLength": 10_000})]
EdtfDate = Annotated[
    str,
    AfterValidator(_edtf),
    Field(json_schema_extra={"format": "edtf", "maxLength": 64, "examples": ["2014", "2014-12", "1999/.."]}),
]
WebAddress = Annotated[str, limited(2_000, _url), Field(json_schema_extra={"format": "uri", "maxLength": 2_000})]
Uri = Annotated[str, limited(2_000, _uri), Field(json_schema_extra={"format": "uri", "maxLength": 2_000})]
Pointer = Annotated[str, limited(200, _pointer), Field(json_schema_extra={"format": "json-pointer", "maxLength": 200})]
Moment = Annotated[AwareDatetime, BeforeValidator(_rfc3339), AfterValidator(_utc)]
AsOf = Annotated[
    int | date | datetime,
    BeforeValidator(_as_of),
    WithJsonSchema({"type": "string", "pattern": AS_OF, "examples": ["2024-03-28", "2024-03-28T12:00:00Z", "1042"]}),
]
Day = Annotated[date, BeforeValidator(_day)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35, examples=["en"])]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2", examples=["CH"])]
Distinct = AfterValidator(_distinct)
Digits = BeforeValidator(_digits)
Flag = Annotated[bool, BeforeValidator(_flag)]
CommaSeparated = BeforeValidator(_comma_separated)


_MOMENT: TypeAdapter[datetime] = TypeAdapter(Annotated[AwareDatetime, BeforeValidator(_rfc3339)])


class AsOfQuery(BaseModel):
    """Which state of the registry is asked."""

    model_config = ConfigDict(extra="forbid")

    as_of: AsOf | None = Field(
        default=None,
        description="Answer as the registry stood then: a number of the sequence, a moment (RFC 3339 with zone), or a date "
        "(the end of that day, UTC).",
    )


class Part(BaseModel):
    """The parent of every object inside a record. Unknown fields are refused, never dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RecordIn(Part):
    """What every noun takes."""

    slug: Slug | None = Field(
        default=None,
        description="Public identifier, chosen once; derived from the name when not given.",
    )


class RecordOut(Part):
    """What every noun answers beside its own fields."""

    id: str = Field(description="UUIDv7; never reused.", json_schema_extra={"format": "uuid"})
    slug: Slug = Field(description="Public identifier; immutable and never reused.")
    version: int = Field(ge=1, description='Counts the changes of this record; the ETag is `"v<version>"`.')
    created_at: datetime = Field(description="UTC, RFC 3339.")
    updated_at: datetime = Field(description="UTC, RFC 3339.")
