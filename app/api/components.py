"""Every object and vocabulary of the description has a name: what routes describe where it stands is moved to the components.

A generator of clients makes a class of each component, named as it is; of an object without a name it makes one that is named
after the place where it stands, and another for each further place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Schemas = dict[str, Any]


def name_schemas(paths: Mapping[str, Any], found: Schemas) -> None:
    """Move what the operations describe in place into `found`. Raises ValueError where two schemas claim one name."""
    for path in paths.values():
        for operation in path.values():
            default = operation["operationId"][:1].upper() + operation["operationId"][1:]
            for parameter in operation["parameters"]:
                parameter["schema"] = named(parameter["schema"], default, found)
            for body, name in ((operation.get("requestBody"), "Body"), *_answers(operation)):
                for media in (body or {}).get("content", {}).values():
                    media["schema"] = named(media["schema"], default + name, found)


def _answers(operation: Mapping[str, Any]) -> list[tuple[Any, str]]:
    return [(answer, "Answer") for status, answer in operation["responses"].items() if str(status) < "400"]


def named(schema: Mapping[str, Any], name: str, found: Schemas) -> Schemas:
    """`schema` with each object and vocabulary in it, itself included, replaced by a reference to a component: under its
    title, or else under `name` (and below it the fields on the way). Parts of an `allOf` stay: they are one thing."""
    shown = dict(schema)
    name = re.sub(r"\W", "", shown.get("title", name))
    if "items" in shown:
        shown["items"] = named(shown["items"], f"{name}Element", found)
    if isinstance(shown.get("additionalProperties"), Mapping):
        shown["additionalProperties"] = named(shown["additionalProperties"], f"{name}Value", found)
    for word in ("anyOf", "oneOf"):
        if word in shown:
            shown[word] = [named(kind, name, found) for kind in shown[word]]
    if "properties" in shown:
        shown["properties"] = {
            key: named(value, name + key.title().replace("_", ""), found) for key, value in shown["properties"].items()
        }
    if "properties" not in shown and not ("enum" in shown and "title" in shown):
        return shown
    component = shown | {"title": name}
    if found.setdefault(name, component) != component:
        raise ValueError(f"two schemas are called {name}")
    return {"$ref": f"#/components/schemas/{name}"}


def enumeration(name: str, values: list[str], found: Schemas) -> Schemas:
    """A reference to the component `name`, the texts that a parameter takes; for programs `-name` is called `name_down`."""
    words = [value.lstrip("-").replace(".", "_") + ("_down" if value.startswith("-") else "") for value in values]
    found[name] = {"type": "string", "title": name, "enum": values, "x-enum-varnames": [word.upper() for word in words]}
    return {"$ref": f"#/components/schemas/{name}"}
