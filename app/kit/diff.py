"""What changed between two documents, place by place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, NamedTuple

import msgspec

from app.kit.vocabularies import Vocabulary

MISSING = object()


class Change(Vocabulary):
    """What happened at a place of a document."""

    added = "added", "There was nothing, or nothing stated."
    removed = "removed", "There is nothing any more."
    changed = "changed", "It says something else."


class Difference(NamedTuple):
    """One place in which two documents differ: a JSON Pointer (RFC 6901) into the newer one, of what was removed into the
    older one."""

    pointer: str
    change: Change
    was: Any
    now: Any


def differences(old: Any, new: Any, pointer: str = "") -> Iterator[Difference]:
    """Every place in which `new` differs from `old` (both JSON values), in the order of the newer document. The items of a
    list are aligned, so that one more in front is one addition and not a change of all that follow."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**new, **old}:
            step = name.replace("~", "~0").replace("/", "~1")
            yield from differences(old.get(name), new.get(name), f"{pointer}/{step}")
    elif isinstance(old, list) and isinstance(new, list):
        yield from _of_lists(old, new, pointer)
    elif old != new and not (_empty(old) and _empty(new)):
        change = Change.added if old is None else Change.removed if new is None else Change.changed
        yield Difference(pointer, change, old, new)


def _empty(value: Any) -> bool:
    return value is None or value in ([], {})


def _of_lists(old: Sequence[Any], new: Sequence[Any], pointer: str) -> Iterator[Difference]:
    keys = [[msgspec.json.encode(item) for item in items] for items in (old, new)]
    for tag, a, b, c, d in SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes():
        if tag != "equal":
            yield from _of_runs(old[a:b], new[c:d], pointer, a, c)


def _of_runs(old: Sequence[Any], new: Sequence[Any], pointer: str, a: int, c: int) -> Iterator[Difference]:
    """Two runs of items that stand for each other, the older beginning at `a`, the newer at `c`: pairs, then what is over."""
    for n, (was, now) in enumerate(zip_longest(old, new, fillvalue=MISSING)):
        if was is MISSING:
            yield Difference(f"{pointer}/{c + n}", Change.added, None, now)
        elif now is MISSING:
            yield Difference(f"{pointer}/{a + n}", Change.removed, was, None)
        else:
            yield from differences(was, now, f"{pointer}/{c + n}")
