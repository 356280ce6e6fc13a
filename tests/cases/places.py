"""Every place of every noun where a client may write, found in the input classes themselves, and every way to write there.

A new noun or a new field comes under the cases of this folder without anybody naming it here.
"""

from __future__ import annotations

import copy
import enum
import functools
import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union

import httpx
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from app.api.v1 import RESOURCES
from app.exchange.passages import fingerprint
from tests.support.builders import Builder
from tests.support.wire import ANY, JSON, Answer, Wire

Json = dict[str, Any]
Step = str | int
RESOURCE = {resource.plural: resource for resource in RESOURCES}

# A field's sample is the first of these that it accepts.
CANDIDATES: tuple[Any, ...] = (
    "sample", "https://sample.example/", "2014", "/sample", "en", "CH", fingerprint("sample"), "2014-01-01T00:00:00Z", 1,
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a value stands in a body of a noun."""

    steps: tuple[Step, ...]
    annotation: Any
    required: bool = False

    @property
    def pointer(self) -> str:
        return "".join(f"/{step}" for step in self.steps)

    @property
    def core(self) -> Any:
        return _core(self.annotation)

    def accepts(self, value: Any) -> bool:
        return _accepts(self.annotation, value)

    def put(self, document: Json, value: Any) -> Json:
        """`document` with `value` in this place."""
        changed = copy.deepcopy(document)
        inner: Any = changed
        for step in self.steps[:-1]:
            inner = inner[step]
        inner[self.steps[-1]] = value
        return changed


def full(noun: str) -> Json:
    """A body in which every field and every list of the noun has a value that fits its type."""
    return copy.deepcopy(_full(noun))


@functools.cache
def _full(noun: str) -> Json:
    return typing.cast(Json, _sample(RESOURCE[noun].write)) | DIFFERENT.get(noun, {})


# The least of each noun that `full` can refer to, in the order in which they need each other.
SAMPLES: dict[str, Json] = {
    "organizations": {"name": "Sample", "kind": "other"},
    "collaboration-types": {"label": "Sample of a type"},
    "instruments": {"title": "Sample", "kind": "declaration"},
    "collaborations": {"title": "Sample", "type": "sample"},
    "milestones": {"title": "Sample", "kind": "session", "status": "met", "organization": "sample"},
    "sources": {"title": "Sample", "kind": "web_page"},
    "citations": {"source": "sample", "target": {"noun": "organizations", "record": "sample"}, "support": "states"},
    "reviews": {"title": "Sample", "status": "held"},
    "successions": {"kind": "merger", "predecessors": ["sample"], "successors": ["another-sample"]},
}
# Where two references of a noun may not name the same record.
DIFFERENT: dict[str, Json] = {"successions": {"successors": ["another-sample"]}}


def samples(client: httpx.Client) -> None:
    """A record of every noun with the slug that `full` refers to."""
    another = {"slug": "another-sample", "name": "Another sample", "kind": "other"}
    operations: list[Json] = [{"verb": "create", "noun": "organizations", "body": another}]
    operations += [
        {"verb": "create", "noun": noun, "body": body | {"slug": "sample"}} for noun, body in SAMPLES.items()
    ]
    answer = client.post("/v1/batch", json={"operations": operations})
    assert answer.status_code == 200, answer.text
    proposed = {"noun": "citations", "record": "sample", "patch": {"note": "Proposed."}, "reason": "To be read."}
    assert client.post("/v1/proposals", json=proposed).status_code == 201
    if client.get("/v1/keys/sample").status_code == 404:  # it outlives the test
        assert client.post("/v1/keys", json={"name": "sample", "role": "reader"}).status_code == 201


@functools.cache
def places(noun: str) -> list[Place]:
    """The places of single values in `full`, nested ones included."""
    return list(_leaves(RESOURCE[noun].write, (), needed=False))


def texts(noun: str) -> list[Place]:
    """The places that hold text, vocabularies and references included."""
    return [place for place in places(noun) if place.core is not int]


def required(noun: str) -> list[Place]:
    """The places of texts that the object around them cannot do without."""
    return [place for place in texts(noun) if place.required]


def numbers(noun: str) -> list[Place]:
    return [place for place in places(noun) if place.core is int]


def objects(noun: str) -> list[tuple[Step, ...]]:
    """Where objects stand in `full`: the whole of it, and every item and part."""
    return [(), *_objects(RESOURCE[noun].write, ())]


def encoded(document: Any) -> bytes:
    """JSON in ASCII, everything else escaped: lone surrogates can be written too."""
    return json.dumps(document).encode()


@dataclass(frozen=True)
class Write:
    """One way to send a body, and where faults of that body are said to be."""

    verb: str
    answer: Answer
    prefix: str = ""


def every_write(wire: Wire, noun: Builder, slug: str, document: Json) -> Iterator[Write]:
    """`document` through every verb that takes one: on a new record and on the one with this slug, alone and in a batch."""
    body, fresh = encoded(document), ("If-None-Match", "*")
    yield Write("POST", wire.request("POST", noun.path, headers=[JSON], body=body))
    for verb in ("PUT", "PATCH"):
        yield Write(verb, wire.request(verb, noun.at(slug), headers=[JSON, ANY], body=body))
    yield Write("PUT create", wire.request("PUT", noun.at("fresh-slug"), headers=[JSON, fresh], body=body))
    existing = {"noun": noun.plural, "record": slug, "if_match": "*", "body": document}
    for operation in (
        {"verb": "create", "noun": noun.plural, "body": document}, {"verb": "put", **existing}, {"verb": "patch", **existing},
    ):  # fmt: skip
        answer = wire.request("POST", "/v1/batch", headers=[JSON], body=encoded({"operations": [operation]}))
        yield Write(f"batch {operation['verb']}", answer, "/operations/0/body")


@dataclass(frozen=True)
class Address:
    """A verb and a path that take a body, with the headers that they need beside its media type."""

    verb: str
    path: str
    headers: Sequence[tuple[str, str]]
    document: Json
    """A body that it takes."""

    def send(self, wire: Wire, body: bytes, *headers: tuple[str, str], media_type: str | None = JSON[1]) -> Answer:
        named = [(JSON[0], media_type)] if media_type is not None else []
        return wire.request(self.verb, self.path, headers=[*self.headers, *headers, *named], body=body)


def every_address(client: httpx.Client, noun: Builder, slug: str) -> list[Address]:
    """All addresses that take a body of this noun, a batch included."""
    batch = {
        "operations": [{"verb": "patch", "noun": noun.plural, "record": slug, "if_match": "*", "body": noun.change}]
    }
    return [
        Address("POST", noun.path, [], noun.draft(client)),
        Address("PUT", noun.at(slug), [ANY], noun.draft(client)),
        Address("PUT", noun.at("fresh-slug"), [("If-None-Match", "*")], noun.draft(client)),
        Address("PATCH", noun.at(slug), [ANY], noun.change),
        Address("POST", "/v1/batch", [], batch),
    ]


# --- how a place is found -------------------------------------------------------------------------------------------


def _sample(annotation: Any) -> Any:
    core = _core(annotation)
    arguments = typing.get_args(core)
    if typing.get_origin(core) is list:
        return [_sample(arguments[0])]
    if typing.get_origin(core) is dict:
        return {_sample(arguments[0]): _sample(arguments[1])}
    if issubclass(core, BaseModel):
        return {name: _sample(_annotated(info)) for name, info in core.model_fields.items()}
    if issubclass(core, enum.Enum):
        return next(iter(core)).value
    return next(value for value in CANDIDATES if _accepts(annotation, value))


def _leaves(annotation: Any, steps: tuple[Step, ...], *, needed: bool) -> Iterator[Place]:
    core = _core(annotation)
    arguments = typing.get_args(core)
    if typing.get_origin(core) is list:
        yield from _leaves(arguments[0], (*steps, 0), needed=False)
    elif typing.get_origin(core) is dict:
        yield from _leaves(arguments[1], (*steps, _sample(arguments[0])), needed=False)
    elif issubclass(core, BaseModel):
        for name, info in core.model_fields.items():
            yield from _leaves(_annotated(info), (*steps, name), needed=info.is_required())
    else:
        yield Place(steps, annotation, needed)


def _objects(cls: type[BaseModel], steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    for name, info in cls.model_fields.items():
        core, here = _core(info.annotation), (*steps, name)
        if typing.get_origin(core) is list:
            core, here = _core(typing.get_args(core)[0]), (*here, 0)
        if isinstance(core, type) and issubclass(core, BaseModel):
            yield here
            yield from _objects(core, here)


def _annotated(info: FieldInfo) -> Any:
    extra = [Field(json_schema_extra=info.json_schema_extra)] if info.json_schema_extra else []
    marks = [*info.metadata, *extra]
    return Annotated[(info.annotation, *marks)] if marks else info.annotation


def _core(annotation: Any) -> Any:
    """Without Annotated and Optional around it."""
    while True:
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is Annotated:
            annotation = arguments[0]
        elif origin in (Union, types.UnionType):
            annotation = next(argument for argument in arguments if argument is not type(None))
        else:
            return annotation


def _accepts(annotation: Any, value: Any) -> bool:
    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError:
        return False
    return True


def without_slug(document: Mapping[str, Any]) -> Json:
    return {name: value for name, value in document.items() if name != "slug"}
