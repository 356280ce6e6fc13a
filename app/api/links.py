"""OpenAPI links: where an answer leads, so that whoever follows the description by program goes from what was made to what can
be done with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.kit.resource import Resource

Links = dict[str, Any]


@dataclass(frozen=True)
class Family:
    """Records that share a collection, and how the address of one is found in an answer that shows it."""

    collection: str
    key: str
    """How the parameter of the path is called."""
    field: str
    """In which field of the record its value stands."""

    @property
    def record(self) -> str:
        return f"{self.collection}/{{{self.key}}}"

    @property
    def one(self) -> str:
        """Where the key is, in an answer that is the record."""
        return f"$response.body#/{self.field}"

    @property
    def first(self) -> str:
        """Where the key is, in an answer that is a page of records."""
        return f"$response.body#/items/0/{self.field}"

    @property
    def same(self) -> str:
        """Where the key is, in the request."""
        return f"$request.path.{self.key}"


OTHERS = (Family("/v1/proposals", "proposal_id", "id"), Family("/v1/keys", "name", "name"))
"""What has addresses of its own and is no noun's."""


def families(resources: Iterable[Resource[Any]]) -> list[Family]:
    return [*(Family(f"/v1/{noun.plural}", noun.key_name, "slug") for noun in resources), *OTHERS]


def link(paths: Mapping[str, Any], resources: Iterable[Resource[Any]]) -> Links:
    """Give the answers their links. Returns the components to which these refer: one for each operation on a record, as an
    answer that shows the record leads there."""
    components: Links = {}
    for family in families(resources):
        below = dict(_below(paths, family))
        components |= {name: _link(operation, family.key, family.one) for name, operation in below.items()}
        for answer in _showing(paths, family):
            answer["links"] = {name: {"$ref": f"#/components/links/{name}"} for name in below}
        _lead_on(paths, family)
    return components


def _below(paths: Mapping[str, Any], family: Family) -> Iterator[tuple[str, Any]]:
    """The operations on one record and on what belongs to it, by their ids."""
    for path, items in paths.items():
        if path == family.record or path.startswith(f"{family.record}/"):
            yield from ((operation["operationId"], operation) for operation in items.values())


def _showing(paths: Mapping[str, Any], family: Family) -> Iterator[dict[str, Any]]:
    """The answers that are the record, whole: what is described as that with which its making is answered."""
    made = _schema(paths[family.collection]["post"]["responses"]["201"])
    operations = [paths[family.collection]["post"], *(operation for _, operation in _below(paths, family))]
    for answer in (answer for operation in operations for answer in operation["responses"].values()):
        schema = _schema(answer)
        if made in (schema, *schema.get("anyOf", ())):
            yield answer


def _schema(answer: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return found


def _lead_on(paths: Mapping[str, Any], family: Family) -> None:
    """The links of answers that do not show the record: from a list to its first, from what was withdrawn to where it was."""
    read = paths[family.record]["get"]
    _add(paths[family.collection]["get"], "200", read, family.key, family.first)
    withdraw = paths[family.record].get("delete")
    if withdraw is not None:
        for operation in (read, paths.get(f"{family.record}/restore", {}).get("post")):
            if operation is not None:
                _add(withdraw, "204", operation, family.key, family.same)


def _add(source: dict[str, Any], status: str, target: Mapping[str, Any], key: str, value: str) -> None:
    found = _link(target, key, value)
    found["parameters"].pop("header.If-Match", None)  # it would be that of the list, or of the tombstone
    source["responses"][status].setdefault("links", {})[target["operationId"]] = found


def _link(target: Mapping[str, Any], key: str, value: str) -> Links:
    values = {key: value, "If-Match": "$response.header.ETag", "version": "$response.body#/version"}
    filled = [each for each in target["parameters"] if each["in"] != "query" and each["name"] in values]
    return {
        "operationId": target["operationId"],
        "description": f"{target['summary']}.",
        "parameters": {f"{each['in']}.{each['name']}": values[each["name"]] for each in filled},
    }
