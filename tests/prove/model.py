"""A registry as plain as can be: dictionaries, and every state that it was ever in. What it says, the real one has to answer.

It uses nothing of the program. Where a write is refused it gives every status with which that may be told: which of several
faults is found first is no promise.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

Fields = dict[str, Any]
Key = tuple[str, str]
"""A noun and a slug."""
Match = int | str | None
"""What a caller says of the version that he means: its number, `*`, or nothing."""


class Refused(Exception):
    """The write is refused, with one of these statuses, and nothing has changed."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(*statuses)
        self.statuses = frozenset(statuses)


@dataclass(frozen=True)
class Entry:
    """A record at one version; `created` and `updated` are the numbers of transactions."""

    version: int
    fields: Fields
    created: int
    updated: int
    withdrawn: bool = False
    moved_to: str | None = None


@dataclass(frozen=True)
class Change:
    """One write."""

    key: Key
    entry: Entry
    action: str
    changed: frozenset[str]


State = Mapping[Key, Entry]


@dataclass(frozen=True)
class Reference:
    """A place in a record that names another. `holds`: the other cannot be withdrawn meanwhile."""

    path: tuple[str | int, ...]
    key: Key
    holds: bool = True


# --- the nouns --------------------------------------------------------------------------------------------------------

BLANK: dict[str, Fields] = {
    "organizations": {
        "name": None, "acronym": None, "other_names": [], "kind": None, "part_of": None, "description": None, "url": None,
        "country": None, "founded": None, "dissolved": None, "identifiers": [],
    },
    "collaboration-types": {
        "label": None, "labels": {}, "definition": None, "broader": None, "exact_matches": [], "review_every_months": None,
    },
    "sources": {
        "title": None, "kind": None, "publisher": None, "symbol": None, "url": None, "language": None, "published": None,
        "retrieved": None, "replaces": None, "sha256": None, "passages": [],
    },
    "collaborations": {
        "title": None, "summary": None, "type": None, "status": "unknown", "period": None, "part_of": None,
        "instruments": [], "sdgs": [], "participants": [], "review_every_months": None,
    },
    "milestones": {
        "title": None, "kind": None, "collaboration": None, "instrument": None, "organization": None, "date": None,
        "due": None, "status": None, "description": None, "place": None, "url": None,
    },
    "citations": {
        "source": None, "passages": [], "target": None, "field": "", "stated_value": None, "support": None, "note": None,
    },
}  # fmt: skip
"""The fields of each noun, in its order, with what they are where nobody says anything. A noun stands behind those that it
names, so that they can be written in this order."""
REQUIRED = {
    "organizations": ("name", "kind"),
    "collaboration-types": ("label",),
    "sources": ("title", "kind"),
    "collaborations": ("title", "type"),
    "milestones": ("title", "kind", "status"),
    "citations": ("source", "target", "support"),
}
CLAIMS = {"organizations": ("name", "country", "part_of"), "collaboration-types": ("label",)}
"""Fields that together no two records share."""
ABOVE = {
    "organizations": "part_of",
    "collaboration-types": "broader",
    "collaborations": "part_of",
    "sources": "replaces",
}
"""The field that hangs a record on another of its noun. These form no circle."""
TITLE = {"organizations": "name", "collaboration-types": "label"}
TEXTS = {
    "organizations": ("name", "acronym", "description"),
    "collaboration-types": ("label", "definition"),
    "sources": ("title", "symbol"),
    "collaborations": ("title", "summary"),
    "milestones": ("title", "description", "place"),
    "citations": ("note",),
}
NAMES = {
    "organizations": {"part_of": "organizations"},
    "collaboration-types": {"broader": "collaboration-types"},
    "sources": {"publisher": "organizations", "replaces": "sources"},
    "collaborations": {"type": "collaboration-types", "part_of": "collaborations"},
    "milestones": {"collaboration": "collaborations", "organization": "organizations"},
    "citations": {"source": "sources"},
}
"""Fields that name a record, and of which noun."""


def references(noun: str, fields: Fields) -> Iterator[Reference]:
    """The places of a record that name others."""
    for name, other in NAMES[noun].items():
        if fields[name] is not None:
            yield Reference((name,), (other, fields[name]))
    for n, participant in enumerate(fields.get("participants", ())):
        for name in ("organization", "on_behalf_of"):
            if participant[name] is not None:
                yield Reference(("participants", n, name), ("organizations", participant[name]))
    if fields.get("target") is not None:
        yield Reference(("target", "record"), (fields["target"]["noun"], fields["target"]["record"]), holds=False)


def fold(text: str) -> str:
    """Without case and marks."""
    spread = unicodedata.normalize("NFKD", text)
    return " ".join("".join(c for c in spread if not unicodedata.combining(c)).casefold().split())


def words(text: str) -> list[str]:
    return re.findall("[a-z0-9]+", fold(text))


def earliest(date: str | None) -> str | None:
    return None if date is None else (date.split("/")[0] + "-01-01")[:10]


def latest(date: str) -> str:
    return "9999-12-31" if date.endswith("/..") else date + "-12-31"[len(date) - 4 :]


def at(document: Any, path: Sequence[str | int]) -> Any:
    """What stands at a place of a document; None where nothing does."""
    for step in path:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def put(document: Any, path: Sequence[str | int], value: Any) -> Any:
    """The document with `value` at a place that there is."""
    if not path:
        return value
    step, *below = path
    if isinstance(document, list):
        return [put(item, below, value) if n == step else item for n, item in enumerate(document)]
    return document | {str(step): put(document[step], below, value)}


# --- the registry -----------------------------------------------------------------------------------------------------


@dataclass
class Model:
    """The registry: `states[n]` is how it stood after the write `n`, `log[n - 1]` that write."""

    states: list[State] = field(default_factory=lambda: [{}])
    log: list[Change] = field(default_factory=list)
    merges: Mapping[str, tuple[str, list[tuple[Key, list[Sequence[str | int]]]], Fields]] = field(default_factory=dict)
    """Of a merged organization the other, the places that were moved, and what the other got."""
    transactions: int = 0

    @property
    def state(self) -> State:
        return self.states[-1]

    @contextmanager
    def transaction(self, *, dry_run: bool = False) -> Iterator[None]:
        """What happens inside happens as a whole; with `dry_run`, or where any of it is refused, not at all."""
        number, merges = len(self.log), self.merges
        self.transactions += 1
        try:
            yield
        except Refused:
            self._back(number, merges)
            raise
        if dry_run:
            self._back(number, merges)

    def _back(self, number: int, merges: Any) -> None:
        del self.log[number:], self.states[number + 1 :]
        self.merges = merges

    def in_order(self, since: int, keys: Sequence[Key]) -> None:
        """The writes behind the number `since` are those of one transaction, whose order is its own affair: it was this."""
        waiting = self.log[since:]
        assert sorted(change.key for change in waiting) == sorted(keys)
        del self.log[since:], self.states[since + 1 :]
        for key in keys:
            change = next(change for change in waiting if change.key == key)
            waiting.remove(change)
            self._note(change)

    def _note(self, change: Change) -> None:
        self.log.append(change)
        self.states.append({**self.state, change.key: change.entry})

    # -- writing --

    def create(self, noun: str, given: Fields, slug: str | None = None) -> str:
        """A new record; its slug."""
        fields = {**BLANK[noun], **{name: value for name, value in given.items() if value is not None}}
        chosen = slug or self._derived(noun, fields)
        faults = self._faults(noun, chosen, fields, {})
        if (noun, chosen) in self.state:
            faults.add(409)
        if faults:
            raise Refused(*faults)
        entry = Entry(1, fields, self.transactions, self.transactions)
        stated = frozenset(name for name, value in fields.items() if value is not None)
        self._note(Change((noun, chosen), entry, "created", stated))
        return chosen

    def _derived(self, noun: str, fields: Fields) -> str:
        target = fields.get("target")
        title = f"{target['noun']} {target['record']}" if target else fields[TITLE.get(noun, "title")]
        slug = "-".join(words(title))
        numbered = (slug, *(f"{slug}-{n}" for n in range(2, len(self.state) + 3)))
        return next(slug for slug in numbered if (noun, slug) not in self.state)

    def change(self, noun: str, slug: str, edit: Callable[[Fields], Fields], match: Match) -> None:
        """Make of a record what `edit` makes of its fields. What changes nothing is no write."""
        entry = self._there(noun, slug)
        wanted = edit(entry.fields)
        faults = _unmet(entry, match)
        if wanted != entry.fields:
            faults |= self._faults(noun, slug, wanted, entry.fields)
        if faults:
            raise Refused(*faults)
        changed = frozenset(name for name in wanted if wanted[name] != entry.fields[name])
        if changed:
            self._write((noun, slug), replace(entry, fields=wanted), "changed", changed)

    def withdraw(self, noun: str, slug: str, match: Match, moved_to: str | None = None) -> None:
        """Take a record out, if nobody needs it."""
        entry = self._there(noun, slug)
        faults = _unmet(entry, match)
        if any(reference.holds for _, reference in self.users(noun, slug)):
            faults.add(409)
        if faults:
            raise Refused(*faults)
        self._write((noun, slug), replace(entry, withdrawn=True, moved_to=moved_to), "withdrawn", frozenset())

    def restore(self, noun: str, slug: str, match: Match = "*", *, moved: bool = False) -> None:
        """Bring a record back. One that is there stays as it is."""
        if (entry := self.state.get((noun, slug))) is None:
            raise Refused(404)
        faults = _unmet(entry, match)
        if entry.withdrawn:
            faults |= self._faults(noun, slug, entry.fields, {})
            if entry.moved_to is not None and not moved:
                faults.add(409)
        if faults:
            raise Refused(*faults)
        if entry.withdrawn:
            self._write((noun, slug), replace(entry, withdrawn=False, moved_to=None), "restored", frozenset())

    def bring_back(self, noun: str, slug: str, version: int, match: Match) -> None:
        """Make of a record what it was in a version."""
        found = self.version(noun, slug, version)
        if found is None:
            raise Refused(404)
        self.change(noun, slug, lambda _: found.fields, match)

    def _write(self, key: Key, entry: Entry, action: str, changed: frozenset[str]) -> None:
        entry = replace(entry, version=entry.version + 1, updated=self.transactions)
        self._note(Change(key, entry, action, changed))

    def _there(self, noun: str, slug: str) -> Entry:
        entry = self.state.get((noun, slug))
        if entry is None:
            raise Refused(404)
        if entry.withdrawn:
            raise Refused(410)
        return entry

    def _faults(self, noun: str, slug: str, fields: Fields, standing: Fields) -> set[int]:
        """The statuses of all that is wrong with a record of these fields, which had those of `standing`."""
        found = set()
        subjects = [fields[name] for name in ("collaboration", "instrument", "organization") if name in fields]
        if any(fields[name] is None for name in REQUIRED[noun]) or (noun == "milestones" and not any(subjects)):
            return {422}
        for reference in references(noun, fields):
            other = self.state.get(reference.key)
            if other is None or (other.withdrawn and at(standing, reference.path) != reference.key[1]):
                found.add(422)
        found |= {422} if self._circles(noun, slug, fields) else set()
        own = [_claim(item, ("scheme", "value")) for item in fields.get("identifiers", ())]
        found |= {422} if len(own) != len(set(own)) else set()
        for (kind, name), other in self.state.items():
            if kind == noun and name != slug and not other.withdrawn and _share(noun, fields, other.fields):
                found.add(409)
        return found

    def _circles(self, noun: str, slug: str, fields: Fields) -> bool:
        above = fields.get(ABOVE.get(noun, ""))
        seen: set[str] = set()
        while above is not None and above not in seen:
            if above == slug:
                return True
            seen.add(above)
            entry = self.state.get((noun, above))
            above = entry.fields[ABOVE[noun]] if entry else None
        return False

    # -- merging --

    def merge(self, slug: str, into: str, match: Match = "*") -> None:
        """Two organizations are one: whatever names the first names the second, which takes its names along."""
        loser, survivor = self._there("organizations", slug), self._there("organizations", into)
        faults = _unmet(loser, match) | ({422} if slug == into else set())
        if survivor.fields["part_of"] == slug:
            faults.add(409)
        if faults:
            raise Refused(*faults)
        moved: dict[Key, list[Sequence[str | int]]] = {}
        for key, reference in self.users("organizations", slug):
            moved.setdefault(key, []).append(reference.path)
        ordered = sorted(moved.items(), key=lambda item: (item[0][0] == "citations", item[0]))
        for (noun, user), paths in ordered:
            self.change(noun, user, partial(_set, paths=paths, value=into), "*")
        self.withdraw("organizations", slug, "*", moved_to=into)
        added = {"other_names": _new_names(loser.fields, survivor.fields), "identifiers": loser.fields["identifiers"]}
        self.change("organizations", into, lambda fields: fields | {n: fields[n] + added[n] for n in added}, "*")
        self.merges = {**self.merges, slug: (into, ordered, added)}

    def unmerge(self, slug: str, match: Match = "*") -> None:
        """Take that back, as far as nobody has changed it since."""
        if (entry := self.state.get(("organizations", slug))) is None:
            raise Refused(404)
        faults = _unmet(entry, match) | (set() if slug in self.merges else {409})
        if faults:
            raise Refused(*faults)
        into, moved, added = self.merges[slug]
        self._there("organizations", into)
        self.change("organizations", into, partial(_without, added=added), "*")
        self.restore("organizations", slug, moved=True)
        for (noun, user), paths in moved:
            record = self.state[noun, user]
            standing = [path for path in paths if at(record.fields, path) == into]
            if standing and not record.withdrawn:
                self.change(noun, user, partial(_set, paths=standing, value=slug), "*")
        self.merges = {name: merge for name, merge in self.merges.items() if name != slug}

    # -- importing --

    def load(self, rows: Sequence[tuple[str, str, Fields]], *, upsert: bool) -> None:
        """Bring in a file of records, in any order."""
        try:
            for noun in BLANK:
                self._load_noun(noun, {slug: given for kind, slug, given in rows if kind == noun}, upsert=upsert)
        except Refused:
            raise Refused(422) from None

    def _load_noun(self, noun: str, rows: Mapping[str, Fields], *, upsert: bool) -> None:
        fresh = {slug: given for slug, given in rows.items() if (noun, slug) not in self.state}
        if not upsert and len(fresh) < len(rows):
            raise Refused(422)
        waiting = dict(fresh)
        while waiting:
            above = ABOVE.get(noun, "")
            ready = [slug for slug, given in waiting.items() if given.get(above) not in waiting]
            if not ready:
                raise Refused(422)
            for slug in ready:
                self.create(noun, waiting.pop(slug), slug)
        for slug, given in rows.items():
            if slug not in fresh:
                self.change(noun, slug, partial(_over, given), "*")

    # -- reading --

    def users(self, noun: str, slug: str) -> Iterator[tuple[Key, Reference]]:
        """Who names a record, and where."""
        for key, entry in self.state.items():
            if not entry.withdrawn:
                yield from ((key, ref) for ref in references(key[0], entry.fields) if ref.key == (noun, slug))

    def history(self, noun: str, slug: str) -> list[tuple[int, Change]]:
        """The writes of a record with their numbers."""
        return [(n, change) for n, change in enumerate(self.log, 1) if change.key == (noun, slug)]

    def version(self, noun: str, slug: str, version: int) -> Entry | None:
        return next((c.entry for _, c in self.history(noun, slug) if c.entry.version == version), None)

    def slugs(self, noun: str) -> list[str]:
        return [slug for kind, slug in self.state if kind == noun]


def _unmet(entry: Entry, match: Match) -> set[int]:
    if match is None:
        return {428}
    return set() if match in ("*", entry.version) else {412}


def _claim(fields: Fields, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(fold(fields[name] or "") for name in names)


def _share(noun: str, one: Fields, other: Fields) -> bool:
    """Whether two records claim to be the same."""
    names = CLAIMS.get(noun)
    if names is not None and _claim(one, names) == _claim(other, names):
        return True
    numbers = [{_claim(item, ("scheme", "value")) for item in each.get("identifiers", ())} for each in (one, other)]
    return bool(numbers[0] & numbers[1])


def _set(fields: Fields, paths: Iterable[Sequence[str | int]], value: str) -> Fields:
    for path in paths:
        fields = put(fields, path, value)
    return fields


def _over(given: Fields, fields: Fields) -> Fields:
    return fields | given


def _without(fields: Fields, added: Fields) -> Fields:
    return fields | {name: [item for item in fields[name] if item not in items] for name, items in added.items()}


def _new_names(loser: Fields, survivor: Fields) -> list[Fields]:
    known = {fold(name) for name in (survivor["name"], survivor["acronym"] or "")}
    known |= {fold(name["value"]) for name in survivor["other_names"]}
    offered = [{"value": loser["name"], "lang": None, "kind": "alias"}]
    offered += [{"value": loser["acronym"], "lang": None, "kind": "acronym"}] if loser["acronym"] else []
    found = []
    for name in (*offered, *loser["other_names"]):
        if fold(name["value"]) not in known:
            known.add(fold(name["value"]))
            found.append(name)
    return found


# --- lists ------------------------------------------------------------------------------------------------------------


def browse(
    state: State,
    noun: str,
    filters: Mapping[str, str],
    order: Callable[[str], str],
    sort: str,
    withdrawn: str = "false",
) -> list[str]:
    """The slugs of a list, in its order. `order` tells of each slug what breaks ties. Raises Refused where a filter names
    nobody, or one who has gone into another."""
    shown = [
        slug
        for (kind, slug), entry in state.items()
        if kind == noun
        and (withdrawn == "any" or entry.withdrawn == (withdrawn == "true"))
        and all(
            ASKED[noun][name](state, slug, entry.fields, value, filters)
            for name, value in filters.items()
            if name in ASKED[noun]
        )
    ]
    if not shown:
        _insist(state, noun, filters)
    column, down = sort.removeprefix("-"), sort.startswith("-")
    keyed = {slug: _sort_key(noun, slug, state[noun, slug], column) for slug in shown}
    having = sorted((slug for slug in shown if keyed[slug] is not None), key=lambda slug: (keyed[slug], order(slug)))
    lacking = sorted((slug for slug in shown if keyed[slug] is None), key=order)
    return [*(having[::-1] if down else having), *(lacking[::-1] if down else lacking)]


def _sort_key(noun: str, slug: str, entry: Entry, column: str) -> Any:
    if column in ("created_at", "updated_at"):
        return entry.created if column == "created_at" else entry.updated
    if column == "slug":
        return slug
    value = entry.fields[column]
    return fold(value) if column in ("name", "label", "title") else earliest(value)


def _insist(state: State, noun: str, filters: Mapping[str, str]) -> None:
    for name, value in filters.items():
        other = FILTERS_THAT_NAME[noun].get(name)
        if other is not None and ((entry := state.get((other, value))) is None or entry.moved_to is not None):
            raise Refused(422)


def _below(state: State, noun: str, root: str) -> set[str]:
    """A record and all that hang on it, withdrawn ones too."""
    found = {root} if (noun, root) in state else set()
    while True:
        more = {s for (kind, s), e in state.items() if kind == noun and e.fields[ABOVE[noun]] in found} - found
        if not more:
            return found
        found |= more


Asked = Callable[[State, str, Fields, str, Mapping[str, str]], bool]


def _equals(name: str) -> Asked:
    return lambda _state, _slug, fields, value, _filters: fields[name] in value.split(",")


def _under(name: str, tree: str) -> Asked:
    """`name` is the record asked for, or with descendants=true one below it in the tree of the noun `tree`."""

    def asked(state: State, _slug: str, fields: Fields, value: str, filters: Mapping[str, str]) -> bool:
        return fields[name] in (_below(state, tree, value) if filters.get("descendants") == "true" else {value})

    return asked


def _takes_part(_state: State, _slug: str, fields: Fields, value: str, filters: Mapping[str, str]) -> bool:
    roles = filters.get("role", "").split(",") if "role" in filters else None
    return any(p["organization"] == value and (not roles or p["role"] in roles) for p in fields["participants"])


def _plays(_state: State, _slug: str, fields: Fields, value: str, _filters: Mapping[str, str]) -> bool:
    return any(participant["role"] in value.split(",") for participant in fields["participants"])


def _serves(_state: State, _slug: str, fields: Fields, value: str, _filters: Mapping[str, str]) -> bool:
    return any(str(goal) in value.split(",") for goal in fields["sdgs"])


def _holds_word(noun: str) -> Asked:
    def asked(_state: State, _slug: str, fields: Fields, value: str, _filters: Mapping[str, str]) -> bool:
        return holds_word(noun, fields, value)

    return asked


def holds_word(noun: str, fields: Fields, begin: str) -> bool:
    """Whether a word of a record's texts begins so."""
    texts = [fields[name] for name in TEXTS[noun] if fields[name]]
    texts += [name["value"] for name in fields.get("other_names", ())]
    return any(word.startswith(fold(begin)) for text in texts for word in words(text))


def _from(name: str) -> Asked:
    return lambda _state, _slug, fields, value, _filters: fields[name] is not None and latest(fields[name]) >= value


def _to(name: str) -> Asked:
    def asked(_state: State, _slug: str, fields: Fields, value: str, _filters: Mapping[str, str]) -> bool:
        begin = earliest(fields[name])
        return begin is not None and begin <= latest(value)

    return asked


ASKED: dict[str, dict[str, Asked]] = {
    "organizations": {
        "kind": _equals("kind"), "country": _equals("country"), "part_of": _under("part_of", "organizations"),
        "q": _holds_word("organizations"),
    },
    "collaboration-types": {
        "broader": _under("broader", "collaboration-types"), "q": _holds_word("collaboration-types"),
    },
    "sources": {"kind": _equals("kind"), "q": _holds_word("sources")},
    "collaborations": {
        "type": _under("type", "collaboration-types"), "status": _equals("status"),
        "part_of": _under("part_of", "collaborations"), "organization": _takes_part, "role": _plays, "sdg": _serves,
        "from": _from("period"), "to": _to("period"), "q": _holds_word("collaborations"),
    },
    "milestones": {
        "kind": _equals("kind"), "status": _equals("status"), "collaboration": _equals("collaboration"),
        "organization": _equals("organization"), "from": _from("date"), "to": _to("date"),
        "q": _holds_word("milestones"),
    },
    "citations": {"support": _equals("support"), "source": _equals("source"), "q": _holds_word("citations")},
}  # fmt: skip
FILTERS_THAT_NAME = {
    "organizations": {"part_of": "organizations"},
    "collaboration-types": {"broader": "collaboration-types"},
    "sources": {},
    "collaborations": {"type": "collaboration-types", "part_of": "collaborations", "organization": "organizations"},
    "milestones": {"collaboration": "collaborations", "organization": "organizations"},
    "citations": {"source": "sources"},
}
SORTS = {
    "organizations": ("slug", "name", "founded", "created_at", "updated_at"),
    "collaboration-types": ("slug", "label", "created_at", "updated_at"),
    "sources": ("slug", "title", "published", "created_at", "updated_at"),
    "collaborations": ("slug", "title", "period", "created_at", "updated_at"),
    "milestones": ("slug", "title", "date", "due", "created_at", "updated_at"),
    "citations": ("slug", "created_at", "updated_at"),
}
CITED = tuple(noun for noun in BLANK if noun != "citations")


def evidence(state: State, noun: str, slug: str) -> tuple[list[str], list[str]]:
    """Which fields of a record are cited, and from which sources."""
    told = [
        entry.fields
        for (kind, _), entry in state.items()
        if kind == "citations"
        and not entry.withdrawn
        and entry.fields["target"] == {"noun": noun, "record": slug}
        and entry.fields["support"] != "contradicts"
    ]
    return sorted({fields["field"] for fields in told}), sorted({fields["source"] for fields in told})
