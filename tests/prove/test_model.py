"""R3: whatever is asked in whatever order, the registry answers what a few dictionaries answer, on both databases alike."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from app.kit.db import Transaction
from tests.conftest import Server
from tests.prove import model as plain
from tests.prove.model import BLANK, CITED, REQUIRED, SORTS, Fields, Match, Model, Refused
from tests.prove.sides import Json, Side, both, encoded
from tests.support.proofs import Proof
from tests.support.wire import JSON, Answer

NOUNS = tuple(BLANK)
BASE: dict[str, dict[str, Fields]] = {
    "organizations": {
        "o1": {"name": "Harbour office", "kind": "organ", "founded": "1919"},
        "o2": {"name": "Lake council", "kind": "group", "part_of": "o1", "acronym": "LC"},
        "o3": {"name": "River union", "kind": "group", "part_of": "o1", "country": "CH"},
        "o4": {"name": "Union of rivers", "kind": "other", "identifiers": [{"scheme": "ror", "value": "a", "url": None}]},
    },
    "collaboration-types": {"t1": {"label": "Meeting"}, "t2": {"label": "Yearly meeting", "broader": "t1"}},
    "sources": {
        "s1": {"title": "Minutes", "kind": "report", "publisher": "o1"}, "s2": {"title": "Lake page", "kind": "web_page"},
    },
    "collaborations": {
        "c1": {"title": "Lake days", "type": "t2", "participants": [
            {"organization": "o2", "role": "partner", "period": None, "on_behalf_of": "o1", "note": None},
        ]},
        "c2": {"title": "Harbour days", "type": "t1", "part_of": "c1", "period": "1999/.."},
    },
    "milestones": {
        "m1": {"title": "First day", "kind": "launch", "status": "met", "collaboration": "c1", "date": "2014"},
        "m2": {"title": "Second day", "kind": "session", "status": "planned", "organization": "o3"},
    },
    "citations": {
        "e1": {"source": "s1", "target": {"noun": "organizations", "record": "o2"}, "support": "states", "field": "/name"},
        "e2": {"source": "s2", "target": {"noun": "milestones", "record": "m1"}, "support": "implies"},
    },
}  # fmt: skip
"""What a run begins with."""
NEW = {noun: tuple(f"{next(iter(records))[0]}{n}" for n in range(6, 10)) for noun, records in BASE.items()}
SLUGS = {noun: (*BASE[noun], *BASE[noun], NEW[noun][0]) for noun in NOUNS}
"""Of each noun the records that are there at first, and one that is not."""
NAMES = (
    "Harbour office",
    "Büro Hafen",
    "BÜRO  hafen",
    "Lake council",
    "Ångström board",
    "River union",
    "Office of lakes",
    *(f"Pier {n}" for n in range(20)),
)
WORDS = ("hafen", "ANG", "lak", "office", "ri", "nothing")
DATES = ("1919", "2014", "2014-05", "2014-05-20", "2016-01")
ROLES = ("partner", "funder", "speaker")
LINES, TABLE = "application/x-ndjson", "text/csv"


def slug_of(noun: str) -> st.SearchStrategy[str]:
    return st.sampled_from(SLUGS[noun])


def names(noun: str) -> st.SearchStrategy[str]:
    """References: most of them to something that was there at first."""
    return st.sampled_from((*BASE[noun], *SLUGS[noun]))


_NAME = st.sampled_from(NAMES)
_TEXT = st.sampled_from(("An office at the lake.", "Harbours and rivers.", "Über die Häfen."))
_PARTICIPANT = st.fixed_dictionaries({
    "organization": names("organizations"), "role": st.sampled_from(ROLES), "period": st.sampled_from((None, "1999/..")),
    "on_behalf_of": st.none() | names("organizations"), "note": st.none(),
})  # fmt: skip
_TARGET = st.sampled_from(CITED).flatmap(
    lambda noun: st.fixed_dictionaries({"noun": st.just(noun), "record": names(noun)})
)
VALUES: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "organizations": {
        "name": _NAME, "kind": st.sampled_from(("organ", "group", "other")), "acronym": st.sampled_from(("HO", "LC")),
        "part_of": names("organizations"), "country": st.sampled_from(("CH", "FR")), "founded": st.sampled_from(DATES),
        "description": _TEXT,
        "other_names": st.lists(
            st.fixed_dictionaries({"value": _NAME, "lang": st.none(), "kind": st.sampled_from(("alias", "former"))}),
            max_size=2,
        ),
        "identifiers": st.lists(
            st.fixed_dictionaries({"scheme": st.just("ror"), "value": st.sampled_from("ab"), "url": st.none()}), max_size=2
        ),
    },
    "collaboration-types": {
        "label": _NAME, "broader": names("collaboration-types"), "definition": _TEXT,
        "labels": st.dictionaries(st.sampled_from(("fr", "de")), st.just("Bateau"), max_size=1),
    },
    "sources": {
        "title": _NAME, "kind": st.sampled_from(("report", "web_page")), "publisher": names("organizations"),
        "published": st.sampled_from(DATES), "replaces": names("sources"),
    },
    "collaborations": {
        "title": _NAME, "type": names("collaboration-types"), "status": st.sampled_from(("active", "ended")),
        "period": st.sampled_from(("1999/..", *DATES)), "part_of": names("collaborations"), "summary": _TEXT,
        "sdgs": st.lists(st.sampled_from((1, 8, 16)), unique=True, max_size=2),
        "participants": st.lists(_PARTICIPANT, max_size=3),
    },
    "milestones": {
        "title": _NAME, "kind": st.sampled_from(("launch", "session")), "status": st.sampled_from(("met", "planned")),
        "collaboration": names("collaborations"), "organization": names("organizations"),
        "date": st.sampled_from(DATES), "due": st.sampled_from(DATES), "place": st.just("Lake Geneva"),
    },
    "citations": {
        "source": names("sources"), "target": _TARGET, "support": st.sampled_from(("states", "contradicts")),
        "field": st.sampled_from(("", "/name", "/title")), "note": _TEXT,
    },
}  # fmt: skip
"""Values that fields may have: few, so that records meet."""

FILTERS: dict[str, dict[str, st.SearchStrategy[str]]] = {
    "organizations": {
        "kind": st.sampled_from(("organ", "organ,group")), "country": st.just("CH"), "part_of": slug_of("organizations"),
    },
    "collaboration-types": {"broader": slug_of("collaboration-types")},
    "sources": {"kind": st.just("report")},
    "collaborations": {
        "type": slug_of("collaboration-types"), "status": st.sampled_from(("active", "unknown,ended")),
        "part_of": slug_of("collaborations"), "organization": slug_of("organizations"), "role": st.sampled_from(ROLES),
        "sdg": st.sampled_from(("8", "1,16")), "from": st.just("2000"), "to": st.just("2014"),
    },
    "milestones": {
        "kind": st.just("launch"), "status": st.sampled_from(("met", "met,planned")),
        "collaboration": slug_of("collaborations"), "organization": slug_of("organizations"),
        "from": st.just("2014"), "to": st.just("2015"),
    },
    "citations": {"support": st.sampled_from(("states", "contradicts")), "source": slug_of("sources")},
}  # fmt: skip
TREES = {"organizations": "part_of", "collaboration-types": "broader", "collaborations": "type"}
"""The filter that `descendants=true` goes with."""

_noun = st.sampled_from(NOUNS)
Row = tuple[str, str, Fields]


def draft(noun: str) -> st.SearchStrategy[Fields]:
    """A body of a new record."""
    given = VALUES[noun]
    return st.fixed_dictionaries(
        {name: given[name] for name in REQUIRED[noun]},
        optional={name: value for name, value in given.items() if name not in REQUIRED[noun]},
    )


def patch(noun: str) -> st.SearchStrategy[Fields]:
    """A merge patch."""
    return st.fixed_dictionaries({}, optional={name: value | st.none() for name, value in VALUES[noun].items()})


_record = _noun.flatmap(lambda noun: st.tuples(st.just(noun), slug_of(noun)))
_draft = _noun.flatmap(lambda noun: st.tuples(st.just(noun), slug_of(noun), draft(noun)))
_new = _noun.flatmap(
    lambda noun: st.tuples(st.just(noun), st.sampled_from((*NEW[noun], next(iter(BASE[noun])))), draft(noun))
)
_patch = _noun.flatmap(lambda noun: st.tuples(st.just(noun), slug_of(noun), patch(noun)))
_match = st.sampled_from(("now", "now", "now", "now", "*", "*", "old", None))
_seldom, _mostly = st.sampled_from((False, False, False, True)), st.sampled_from((False, True, True, True))
_rows = st.lists(_draft | _new, min_size=1, max_size=4, unique_by=lambda row: row[:2])
_operation = st.one_of(
    st.tuples(st.just("create"), _new, st.none()),
    st.tuples(st.just("put"), _draft, _match),
    st.tuples(st.just("patch"), _patch, _match),
    st.tuples(st.just("withdraw"), _record, _match),
    st.tuples(st.just("restore"), _record, st.sampled_from(("*", None))),
)
_question = _noun.flatmap(
    lambda noun: st.fixed_dictionaries({
        "noun": st.just(noun),
        "filters": st.fixed_dictionaries({}, optional=FILTERS[noun]),
        "descendants": st.booleans(),
        "sort": st.sampled_from([f"{down}{name}" for name in SORTS[noun] for down in ("", "-")]),
        "withdrawn": st.sampled_from(("false", "false", "true", "any")),
        "limit": st.sampled_from((1, 2, 3, 50)),
    })
)  # fmt: skip


def replaced(noun: str, body: Fields) -> Callable[[Fields], Fields]:
    return lambda _: BLANK[noun] | {name: value for name, value in body.items() if value is not None}


def patched(noun: str, body: Fields) -> Callable[[Fields], Fields]:
    """A merge patch over the fields that a record has: null empties, an object merges, anything else replaces."""
    return lambda fields: fields | {name: merged(noun, name, fields[name], value) for name, value in body.items()}


def merged(noun: str, name: str, before: Any, value: Any) -> Any:
    if value is None:
        return BLANK[noun][name]
    return before | value if isinstance(value, dict) and isinstance(before, dict) else value


class Machine(RuleBasedStateMachine):
    """Clients of two registries and of the model. Every rule asks all three."""

    sides: Sequence[Side]
    counted: dict[str, int]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.tags: dict[tuple[str, str], str] = {}
        for side in self.sides:
            side.empty()

    # -- asking --

    def ask(self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None,
            kind: str = JSON[1]) -> list[Answer]:  # fmt: skip
        """The answers of both sides, which have one status and show one number of the sequence."""
        data = body if isinstance(body, bytes) or body is None else encoded(body)
        answers = [side.ask(method, target, data, (headers or {}).items(), kind) for side in self.sides]
        for side, answer in zip(self.sides, answers, strict=True):
            assert answer.status < 500, answer
            told = answer.header("registry-sequence")
            if told is not None and answer.status < 400 and "as_of" not in target:
                assert int(told) in (side.begin + len(self.model.log), self._before(side)), target
        assert len({answer.status for answer in answers}) == 1, [(answer.status, answer.body) for answer in answers]
        return answers

    def _before(self, side: Side) -> int:
        """What the sequence was at before a write that the model has made already."""
        return side.begin + self.since

    def write(self, work: Callable[[], Any], *request: Any, dry_run: bool = False, one: bool = True) -> list[Answer]:
        """Make a write of the model and of both sides. `one`: its revisions come in the order that the model expects."""
        self.since, refused = len(self.model.log), None
        try:
            with self.model.transaction(dry_run=dry_run):
                work()
        except Refused as error:
            refused = error
        answers = self.ask(*request)
        for answer in answers:
            if refused is not None:
                assert answer.status in refused.statuses, (refused.statuses, answer)
            else:
                assert answer.status in (200, 201, 204), answer
        self.counted["refused" if refused else "written"] += 1
        self.follow(in_order=one)
        return answers

    def follow(self, *, in_order: bool = True) -> None:
        """The changes since the last look are those of the model, on both sides."""
        for side in self.sides:
            page = side.ask("GET", f"/v1/changes?after={side.begin + self.since}&limit=200").json()
            told = page["items"]
            if not in_order and side is self.sides[0]:
                self.model.in_order(self.since, [(change["noun"], change["slug"]) for change in told])
            numbers = range(side.begin + self.since + 1, side.begin + len(self.model.log) + 1)
            assert [change["sequence"] for change in told] == list(numbers)
            expected = [
                (change.key, change.entry.version, change.action, change.changed)
                for change in self.model.log[self.since :]
            ]
            found = [
                ((c["noun"], c["slug"]), c["version"], c["action"], frozenset(c["changed"])) for c in told
            ]  # fmt: skip
            assert (found if in_order else sorted(found, key=str)) == (
                expected if in_order else sorted(expected, key=str)
            )
            for change in told:
                known = side.ids.setdefault((change["noun"], change["slug"]), change["id"])
                assert change["id"] == known
            self.moments.setdefault(side.kind, {}).update(
                {change["sequence"] - side.begin: change["at"] for change in told}
            )
        for key in {change.key for change in self.model.log[self.since :]}:
            self.look(*key)

    def look(self, noun: str, slug: str, number: int | None = None) -> None:
        """A record is what the model says, now or after the write `number`."""
        state = self.model.state if number is None else self.model.states[number]
        for side in self.sides:
            at = "" if number is None else f"?as_of={side.begin + number}"
            self.assert_record(side.ask("GET", f"/v1/{noun}/{slug}{at}"), state, noun, slug)

    def assert_record(self, answer: Answer, state: plain.State, noun: str, slug: str) -> None:
        entry = state.get((noun, slug))
        if entry is None:
            assert answer.status == 404, answer
        elif entry.moved_to is not None:
            assert answer.status == 308, answer
            assert f"/v1/{noun}/{entry.moved_to}" in str(answer.header("location"))
        elif entry.withdrawn:
            assert answer.status == 410, answer
            assert answer.json()["tombstone"]["version"] == entry.version
        else:
            assert answer.status == 200, answer
            self.assert_shown(answer.json(), state, noun, slug)
            assert str(answer.header("etag")).startswith(f'"v{entry.version}')

    def assert_shown(self, shown: Json, state: plain.State, noun: str, slug: str) -> None:
        entry = state[noun, slug]
        assert (shown["slug"], shown["version"]) == (slug, entry.version)
        assert {name: shown[name] for name in BLANK[noun]} == entry.fields
        if noun in CITED:
            told = shown["evidence"]
            assert (told["cited_fields"], told["sources"]) == plain.evidence(state, noun, slug)

    def matching(self, noun: str, slug: str, said: str | None) -> tuple[Match, dict[str, str]]:
        """What a caller says of the version that he means: for the model, and as a header."""
        entry = self.model.state.get((noun, slug))
        version = entry.version if entry is not None else 1
        if said is None:
            return None, {}
        if said == "*":
            return "*", {"If-Match": "*"}
        meant = version if said == "now" else version + 1 if version == 1 else version - 1
        return meant, {"If-Match": f'"v{meant}"'}

    # -- writing --

    @initialize()
    def begin(self) -> None:
        """Something to begin with: two records of each noun that name each other."""
        self.since = 0
        self.moments: dict[str, dict[int, str]] = {}
        rows = [(noun, slug, body) for noun, bodies in BASE.items() for slug, body in bodies.items()]
        operations = [{"verb": "create", "noun": noun, "body": body | {"slug": slug}} for noun, slug, body in rows]
        work = lambda: [self.model.create(noun, body, slug) for noun, slug, body in rows]  # noqa: E731
        self.write(work, "POST", "/v1/batch", {"operations": operations})

    @rule(row=_new, named=st.booleans())
    def post(self, row: Row, *, named: bool) -> None:
        noun, slug, body = row
        work = lambda: self.model.create(noun, body, slug if named else None)  # noqa: E731
        self.write(work, "POST", f"/v1/{noun}", body | ({"slug": slug} if named else {}))

    @rule(row=_new)
    def put_new(self, row: Row) -> None:
        noun, slug, body = row

        def work() -> None:
            entry = self.model.state.get((noun, slug))
            if entry is not None:
                raise Refused(410 if entry.withdrawn else 412)
            self.model.create(noun, body, slug)

        self.write(work, "PUT", f"/v1/{noun}/{slug}", body, {"If-None-Match": "*"})

    @rule(row=_draft, said=_match)
    def put(self, row: Row, said: str | None) -> None:
        noun, slug, body = row
        match, headers = self.matching(noun, slug, said)

        def work() -> None:
            if (noun, slug) not in self.model.state:
                raise Refused(428 if match is None else 412)
            self.model.change(noun, slug, replaced(noun, body), match)

        self.write(work, "PUT", f"/v1/{noun}/{slug}", body, headers)

    @rule(row=_patch)
    def edit_what_get_shows(self, row: Row) -> None:
        """GET, change a field, PUT with the ETag of the answer."""
        noun, slug, change = row
        shown = self.ask("GET", f"/v1/{noun}/{slug}")
        if shown[0].status == 200:
            name, value = next(iter(change.items()), ("", None))
            body = [answer.json() | ({name: value} if value is not None else {}) for answer in shown]
            edit = (lambda fields: fields | {name: value}) if value is not None else (lambda fields: fields)
            self.since = len(self.model.log)
            self.both_of(
                lambda: self.model.change(noun, slug, edit, "*"),
                [("PUT", f"/v1/{noun}/{slug}", encoded(body[n]), [("If-Match", str(answer.header("etag")))])
                 for n, answer in enumerate(shown)],
            )  # fmt: skip

    def both_of(self, work: Callable[[], Any], requests: Sequence[Any]) -> None:
        """A write whose request differs from side to side."""
        try:
            with self.model.transaction():
                work()
            statuses = frozenset((200,))
        except Refused as error:
            statuses = error.statuses
        for side, request in zip(self.sides, requests, strict=True):
            answer = side.ask(*request)
            assert answer.status in statuses, answer
        self.follow()

    @rule(row=_patch, said=_match)
    def patch(self, row: Row, said: str | None) -> None:
        noun, slug, body = row
        match, headers = self.matching(noun, slug, said)
        work = lambda: self.model.change(noun, slug, patched(noun, body), match)  # noqa: E731
        self.write(work, "PATCH", f"/v1/{noun}/{slug}", body, headers)

    @rule(record=_record, said=_match)
    def withdraw(self, record: tuple[str, str], said: str | None) -> None:
        match, headers = self.matching(*record, said)
        self.write(lambda: self.model.withdraw(*record, match), "DELETE", f"/v1/{record[0]}/{record[1]}", None, headers)

    @rule(record=_record, said=_match)
    def restore(self, record: tuple[str, str], said: str | None) -> None:
        match, headers = self.matching(*record, said)
        target = f"/v1/{record[0]}/{record[1]}/restore"
        self.write(lambda: self.model.restore(*record, "*" if match is None else match), "POST", target, None, headers)

    @rule(record=_record, version=st.sampled_from((1, 1, 1, 2, 3)), said=_match)
    def bring_back(self, record: tuple[str, str], version: int, said: str | None) -> None:
        match, headers = self.matching(*record, said)
        target = f"/v1/{record[0]}/{record[1]}/revisions/{version}/restore"
        self.write(lambda: self.model.bring_back(*record, version, match), "POST", target, None, headers)

    @rule(pair=st.permutations((*BASE["organizations"], NEW["organizations"][0])), same=_seldom, said=_match)
    def merge(self, pair: Sequence[str], *, same: bool, said: str | None) -> None:
        slug, into = pair[0], pair[0 if same else 1]
        match, headers = self.matching("organizations", slug, said)
        work = lambda: self.model.merge(slug, into, "*" if match is None else match)  # noqa: E731
        self.write(work, "POST", f"/v1/organizations/{slug}/merge", {"into": into}, headers)

    @rule(slug=slug_of("organizations"), any_of_them=_mostly)
    def unmerge(self, slug: str, *, any_of_them: bool) -> None:
        chosen = next(iter(self.model.merges), slug) if any_of_them else slug
        self.write(lambda: self.model.unmerge(chosen), "POST", f"/v1/organizations/{chosen}/unmerge")

    @rule(rows=_rows, upsert=_mostly, dry_run=_seldom)
    def import_lines(self, rows: Sequence[Row], *, upsert: bool, dry_run: bool) -> None:
        lines = b"\n".join(encoded({"noun": noun, "slug": slug, **body}) for noun, slug, body in rows)
        query = urlencode({"mode": "upsert" if upsert else "create", "dry_run": str(dry_run).lower()})
        work = lambda: self.model.load(rows, upsert=upsert)  # noqa: E731
        self.write(work, "POST", f"/v1/import?{query}", lines, {}, LINES, dry_run=dry_run, one=False)

    @rule(
        rows=st.lists(st.tuples(slug_of("organizations"), draft("organizations")), min_size=1, max_size=4,
                      unique_by=lambda row: row[0]),
        columns=st.sets(st.sampled_from(("acronym", "country", "founded"))),
    )  # fmt: skip
    def import_table(self, rows: Sequence[tuple[str, Fields]], columns: set[str]) -> None:
        shown = ("name", "kind", *sorted(columns))
        given = [("organizations", slug, {name: body.get(name) for name in shown}) for slug, body in rows]
        file = io.StringIO()
        csv.writer(file).writerows([("slug", *shown), *((slug, *fields.values()) for _, slug, fields in given)])
        work = lambda: self.model.load(given, upsert=True)  # noqa: E731
        target = "/v1/import?mode=upsert&noun=organizations"
        self.write(work, "POST", target, file.getvalue().encode(), {}, TABLE, one=False)

    @rule(operations=st.lists(_operation, min_size=1, max_size=4), dry_run=_seldom)
    def batch(self, operations: Sequence[Any], *, dry_run: bool) -> None:
        asked = []
        for verb, (noun, slug, *body), said in operations:
            match = self.matching(noun, slug, said)[0]
            asked.append((verb, noun, slug, body[0] if body else None, match))
        bodies = [
            {"verb": verb, "noun": noun}
            | ({"record": slug} if verb != "create" else {})
            | ({"body": body | ({"slug": slug} if verb == "create" else {})} if body is not None else {})
            | ({"if_match": str(match)} if match is not None else {})
            for verb, noun, slug, body, match in asked
        ]
        target = f"/v1/batch?dry_run={str(dry_run).lower()}"
        self.write(lambda: self._run(asked), "POST", target, {"operations": bodies}, dry_run=dry_run)

    def _run(self, operations: Sequence[Any]) -> None:
        for verb, noun, slug, body, match in operations:
            if verb == "create":
                self.model.create(noun, body, slug)
            elif verb == "withdraw":
                self.model.withdraw(noun, slug, match)
            elif verb == "restore":
                self.model.restore(noun, slug, "*" if match is None else match)
            else:
                self.model.change(noun, slug, (replaced if verb == "put" else patched)(noun, body), match)

    # -- reading --

    @rule(question=_question, point=st.none() | st.integers(0, 60), by_moment=st.booleans())
    def browse(self, question: Json, point: int | None, *, by_moment: bool) -> None:
        """A list with its filters and its sort, page by page, now or as it stood."""
        noun, filters = question["noun"], dict(question["filters"])
        if question["descendants"] and TREES.get(noun) in filters:
            filters["descendants"] = "true"
        number = None if point is None else point % (len(self.model.log) + 1)
        state = self.model.state if number is None else self.model.states[number]
        for side in self.sides:
            query = filters | {name: str(question[name]) for name in ("sort", "withdrawn", "limit")}
            if number is not None:
                query["as_of"] = self.point(side, number, by_moment=by_moment)
            order = lambda slug, side=side: side.ids[noun, slug]  # noqa: E731
            self.assert_list(side, noun, query | {"count": "true"}, state, filters, order)

    def point(self, side: Side, number: int, *, by_moment: bool) -> str:
        """The write `number` as `as_of` says it: by its number, or by the moment of the last write of its transaction."""
        moments = self.moments[side.kind]
        last = moments.get(number) != moments.get(number + 1)
        return moments[number] if by_moment and number and last else str(side.begin + number)

    def assert_list(self, side: Side, noun: str, query: Json, state: plain.State, filters: Json,
                    order: Callable[[str], str]) -> None:  # fmt: skip
        try:
            expected = plain.browse(state, noun, filters, order, query["sort"], query["withdrawn"])
        except Refused:
            assert side.ask("GET", f"/v1/{noun}?{urlencode(query)}").status == 422
            return
        found: list[str] = []
        following: str | None = f"/v1/{noun}?{urlencode(query)}"
        while following is not None:
            answer = side.ask("GET", following)
            assert answer.status == 200, answer
            page = answer.json()
            assert page["total"] == len(expected)
            assert len(page["items"]) <= int(query["limit"])
            for item in page["items"]:
                self.assert_shown(item, state, noun, item["slug"])
                assert ("withdrawn_at" in item) == state[noun, item["slug"]].withdrawn
            found += [item["slug"] for item in page["items"]]
            following = page["next"]
        assert found == expected, (side.kind, query)
        self.counted["lists"] += 1

    @rule(noun=_noun, word=st.sampled_from(WORDS))
    def find(self, noun: str, word: str) -> None:
        """The records that hold a word, in a list and in the search of all nouns."""
        there = {key for key, entry in self.model.state.items() if not entry.withdrawn}
        expected = {key for key in there if plain.holds_word(key[0], self.model.state[key].fields, word)}
        hits = []
        for side in self.sides:
            listed = side.ask("GET", f"/v1/{noun}?{urlencode({'q': word, 'limit': 200})}").json()["items"]
            assert {(noun, item["slug"]) for item in listed} == {key for key in expected if key[0] == noun}
            found = side.ask("GET", f"/v1/search?{urlencode({'q': word, 'limit': 100})}").json()["items"]
            hits.append([(hit["noun"], hit["slug"]) for hit in found])
        assert set(hits[0]) == set(hits[1])
        assert set(hits[0]) <= expected
        assert bool(hits[0]) == bool(expected)

    @rule(record=_record)
    def read_history(self, record: tuple[str, str]) -> None:
        """The revisions of a record, and each with the record as it was."""
        told = self.model.history(*record)
        for side, answer in zip(self.sides, self.ask("GET", f"/v1/{record[0]}/{record[1]}/revisions"), strict=True):
            if not told:
                assert answer.status == 404
                continue
            shown = [
                (r["sequence"], r["version"], r["action"], frozenset(r["changed"])) for r in answer.json()["items"]
            ]
            expected = [(side.begin + n, c.entry.version, c.action, c.changed) for n, c in reversed(told)]
            assert shown == expected[:50]

    @rule(record=_record, one=st.integers(1, 5), other=st.integers(0, 5))
    def compare(self, record: tuple[str, str], one: int, other: int) -> None:
        """A revision is the record as it was; the difference of two names the fields in which they differ."""
        versions = [self.model.version(*record, number) for number in (one, other)]
        at = f"/v1/{record[0]}/{record[1]}/revisions/{one}"
        revision, diff = self.ask("GET", at), self.ask("GET", f"{at}/diff?against={other}")
        if versions[0] is None:
            assert (revision[0].status, diff[0].status) == (404, 404)
            return
        for answer in revision:
            assert {name: answer.json()["record"][name] for name in BLANK[record[0]]} == versions[0].fields
        if versions[1] is None and other:
            assert diff[0].status == 404
            return
        older = versions[1].fields if versions[1] else {}
        newer = versions[0].fields
        nothing: tuple[Any, ...] = (None, [], {})
        differing = {
            name
            for name in newer
            if newer[name] != older.get(name) and not (newer[name] in nothing and older.get(name) in nothing)
        }
        for answer in diff:
            assert {change["pointer"].split("/")[1] for change in answer.json()["changes"]} == differing

    @rule(record=_record, point=st.integers(0, 60))
    def read_the_past(self, record: tuple[str, str], point: int) -> None:
        self.look(*record, point % (len(self.model.log) + 1))

    # -- what always holds --

    @invariant()
    def a_tag_moves_with_what_it_stands_for_and_with_nothing_else(self) -> None:
        """The ETag of the list of changes is kept from step to step: 304 exactly where nothing was written."""
        if not hasattr(self, "since"):
            return
        number = len(self.model.log)
        for side in self.sides:
            known, at = self.tags.get((side.kind, "tag"), ""), self.tags.get((side.kind, "at"), "")
            answer = side.ask("GET", "/v1/changes?limit=1", headers=[("If-None-Match", known)] if known else [])
            assert answer.status == (304 if at == str(number) else 200)
            self.tags[side.kind, "tag"], self.tags[side.kind, "at"] = str(answer.header("etag")), str(number)

    def teardown(self) -> None:
        """At the end every record and every list is what the model says, and as it stood after some of the writes; and no
        foreign key names nobody."""
        if sys.exc_info()[0] is not None:
            return  # a step has failed, and is what to tell
        last = len(self.model.log)
        for number in (*range(last % 5, last, 5), last):
            state, noun = self.model.states[number], NOUNS[number % len(NOUNS)]
            for side in self.sides:
                self.whole(side, state, NOUNS if number == last else (noun,), number)
        for side in self.sides:
            assert side.database.read(orphans) == 0
        self.counted["runs"] += 1
        self.counted["states"] += last

    def whole(self, side: Side, state: plain.State, nouns: Sequence[str], number: int) -> None:
        for noun in nouns:
            query = {
                "sort": "slug",
                "withdrawn": "any",
                "limit": "200",
                "count": "true",
                "as_of": str(side.begin + number),
            }
            self.assert_list(side, noun, query, state, {}, lambda slug: slug)


def orphans(tx: Transaction) -> int:
    """Rows whose foreign keys name no row, counted by the database that has to keep them clean."""
    return sum(_broken(tx, table, key) for table in tables() for column in table.c for key in column.foreign_keys)


def _broken(tx: Transaction, table: sa.Table, key: sa.ForeignKey) -> int:
    other = key.column.table.alias()
    lost = sa.select(sa.func.count()).select_from(table).outerjoin(other, key.parent == other.c[key.column.name])
    return int(tx.execute(lost.where(key.parent.is_not(None), other.c[key.column.name].is_(None))).scalar_one())


def tables() -> Iterator[sa.Table]:
    from app.kit.db import Base

    yield from Base.metadata.sorted_tables


@pytest.fixture(scope="module")
def sides(both_servers: list[Server]) -> Iterator[list[Side]]:
    with both(both_servers) as made:
        yield made


@pytest.mark.proves("R3")
def test_the_registry_answers_what_a_plain_model_answers_on_both_databases(sides: list[Side], proof: Proof) -> None:
    counted = dict.fromkeys(("runs", "written", "refused", "lists", "states"), 0)
    machine = type("Machine", (Machine,), {"sides": sides, "counted": counted})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=proof.rounds(10, 300),
            stateful_step_count=proof.rounds(25, 50),
            derandomize=not proof.full,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    runs = proof.rounds(10, 300)
    proof.count("runs of random requests against a plain model, without a divergence", counted["runs"], at_least=runs)
    proof.count("requests in them", sum(side.asked for side in sides), at_least=100 * runs)
    proof.count("writes that were done in them", counted["written"], at_least=2 * runs)
    proof.count("writes that were refused as they had to be", counted["refused"], at_least=runs)
    proof.count("lists walked, now or as they stood", counted["lists"], at_least=runs)
    proof.count("states of the registry in them", counted["states"], at_least=10 * runs)
