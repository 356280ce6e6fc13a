"""Edits: from a record as it stands to the one that a client wants, by replacement or by merge patch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.kit.records import Edit, Snapshot
from app.kit.resource import COMMON, Resource

SHOWN_BESIDE = frozenset(("included", "warnings"))
"""What an answer may hold beside the record."""


def replaced(resource: Resource[Any], document: Snapshot) -> Edit:
    """The edit that puts `document` in the record's place. What GET shows and nobody writes may be in it: computed
    fields are left out, whatever they are, because others' writes and the calendar move them meanwhile."""
    left_out = SHOWN_BESIDE.union(resource.computed_fields)
    wanted = {name: value for name, value in document.items() if name not in left_out}
    if wanted.get("slug", "") is None:
        del wanted["slug"]
    return lambda _: wanted


def patched(patch: Snapshot) -> Edit:
    """The edit of a JSON merge patch. A common field cannot be removed: its null stays, to be refused."""
    kept = {name: None for name in COMMON if name in patch and patch[name] is None}
    return lambda before: merge(before, patch) | kept


def updated(fields: Snapshot) -> Edit:
    """The edit that gives some fields these values, as they are: none is merged with what stands there."""
    return lambda before: {**before, **fields}


def merge(target: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7396 §2): null removes, an object merges, anything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result
