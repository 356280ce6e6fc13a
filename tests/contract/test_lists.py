"""What every list promises: each record once, in one documented order, filtered by what the parameters say."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.api.v1 import RESOURCES
from app.kit import edtf, views
from app.kit.db import Database
from app.kit.filters import Among, ListQuery, Refers
from app.kit.text import fold
from tests.conftest import Ticking
from tests.support.answers import Json, pages, parameters, problem, slugs, walk
from tests.support.builders import (
    NOUNS,
    Builder,
    citation,
    collaboration,
    collaboration_type,
    instrument,
    milestone,
    organization,
    patch,
    review,
    source,
    succession,
    together,
    withdraw,
)

RESOURCE = {resource.plural: resource for resource in RESOURCES}
every_noun = pytest.mark.parametrize("noun", NOUNS.values(), ids=NOUNS)
PAGE_SIZES = (2, 7, 50)

# --- order ----------------------------------------------------------------------------------------------------------

Key = Callable[[Json], Any]


def as_moment(name: str) -> Key:
    return lambda record: None if record[name] is None else datetime.fromisoformat(record[name])


def as_key(name: str) -> Key:
    return lambda record: fold(record[name])


def as_date(name: str) -> Key:
    return lambda record: None if record[name] is None else edtf.parse(record[name]).earliest


# What each sort compares. A sort that has no row here fails the test below it.
SORTS: dict[str, Key] = {
    "slug": lambda record: record["slug"],
    "name": as_key("name"),
    "label": as_key("label"),
    "title": as_key("title"),
    "founded": as_date("founded"),
    "adopted": as_date("adopted"),
    "revised": as_date("revised"),
    "published": as_date("published"),
    "period": as_date("period"),
    "date": as_date("date"),
    "due": as_date("due"),
    "retrieved": as_moment("retrieved"),
    "created_at": as_moment("created_at"),
    "updated_at": as_moment("updated_at"),
}
# Titles of one key, and of keys that a locale's order or an ASCII order would put elsewhere.
TITLES = [
    "ilo",
    "İLO",
    "Éclair",
    "eclat",
    "Zürich",
    "zurich",
    "ÖBB",
    "obb 2",
    "a b",
    "a-b",
    "A_B",
    "ångström",
    "ω",
    "10",
    "9",
]
DATES = ["2014", "2014-01-01", None, "2014/2016", "1999/..", "../2005", "1999", None, "201X", "2014-01", "2013-12-31"]
MOMENTS = [
    "2014-01-01T00:00:00Z",
    None,
    "2014-01-01T00:00:00.000001Z",
    "2014-01-01T01:00:00+01:00",
    "2013-12-31T23:59:59Z",
]


def various(client: httpx.Client, noun: Builder) -> list[Json]:
    """Records with ties and gaps in every sort key, made at two moments and a few of them changed at a third."""
    resource = RESOURCE[noun.plural]
    fields = resource.write.model_fields
    shared = noun.draft(client)
    drafts = []
    for n in range(15):
        draft = dict(shared)
        if "country" in fields:
            draft["country"] = ("CH", "FR")[n % 2]  # so that two may have one name
        if noun.title is not None:
            draft[noun.title] = f"{TITLES[n]} {n}" if noun is collaboration_type else TITLES[n]  # a label is claimed
        for name in ("founded", "adopted", "revised", "published", "period", "date", "due"):
            if name in fields:
                draft[name] = DATES[(n + len(name)) % len(DATES)]
        if "retrieved" in fields:
            draft["retrieved"] = MOMENTS[n % len(MOMENTS)]
        drafts.append(draft)
    made = together(client, noun, drafts[:8]) + together(client, noun, drafts[8:])
    operations = [
        {"verb": "patch", "noun": noun.plural, "record": made[n]["slug"], "if_match": "*", "body": noun.change}
        for n in (1, 5, 9)
    ]
    assert client.post("/v1/batch", json={"operations": operations}).status_code == 200
    withdraw(client, noun, noun(client))
    return [client.get(noun.at(record)).json() for record in made]


def documented(records: list[Json], sort: str) -> list[str]:
    """The order that the contract promises: by key, ties by id, both turned round by `-`; without a key last."""
    key, down = SORTS[sort.removeprefix("-")], sort.startswith("-")
    keyed = [record for record in records if key(record) is not None]
    keyless = [record for record in records if key(record) is None]
    keyed.sort(key=lambda record: (key(record), record["id"]), reverse=down)
    keyless.sort(key=lambda record: record["id"], reverse=down)
    return [record["slug"] for record in (*keyed, *keyless)]


@every_noun
def test_following_next_yields_every_record_once_in_the_documented_order(client: httpx.Client, noun: Builder) -> None:
    records = various(client, noun)
    for name in RESOURCE[noun.plural].sorts:
        for sort in (name, f"-{name}"):
            expected = documented(records, sort)
            for limit in PAGE_SIZES:
                walked = list(pages(client, f"{noun.path}?sort={sort}&limit={limit}"))
                found = [item["slug"] for page in walked for item in page["items"]]
                assert found == expected, f"sort={sort}&limit={limit}"
                assert [len(page["items"]) for page in walked[:-1]] == [limit] * (len(walked) - 1)
                assert len(walked) == -(-len(records) // limit)


@every_noun
def test_a_list_without_sort_is_in_the_order_of_slugs(client: httpx.Client, noun: Builder) -> None:
    made = [noun(client, slug=slug)["slug"] for slug in ("b", "a-b", "ab", "a-2", "a-10", "a")]
    assert slugs(client, noun.path) == sorted(made) == ["a", "a-10", "a-2", "a-b", "ab", "b"]


@every_noun
def test_a_walk_meets_every_record_that_nobody_touches_meanwhile(client: httpx.Client, noun: Builder) -> None:
    made = [noun(client, slug=f"r{n}")["slug"] for n in range(9)]
    following, seen = f"{noun.path}?limit=2", []
    for n in range(4):
        page = client.get(following).json()
        seen += [item["slug"] for item in page["items"]]
        following = page["next"]
        withdraw(client, noun, {"slug": made[2 * n]})  # seen by now
        noun(client, slug=f"a{n}")  # before where the walk stands
    seen += slugs(client, following)
    assert seen == made


# --- the page -------------------------------------------------------------------------------------------------------


@every_noun
def test_count_tells_the_size_of_the_whole_list_and_only_when_asked(client: httpx.Client, noun: Builder) -> None:
    made = [noun(client) for _ in range(3)]
    withdraw(client, noun, made[0])
    totals = {
        query: client.get(noun.path + query).json().get("total")
        for query in (
            "",
            "?count=false",
            "?count=true",
            "?count=true&limit=1",
            "?count=true&withdrawn=any",
            "?count=true&updated_since=2100-01-01T00:00:00Z",
        )
    }
    assert totals == {
        "": None,
        "?count=false": None,
        "?count=true": 2,
        "?count=true&limit=1": 2,
        "?count=true&withdrawn=any": 3,
        "?count=true&updated_since=2100-01-01T00:00:00Z": 0,
    }
    assert [page["total"] for page in pages(client, f"{noun.path}?count=true&limit=1")] == [2, 2]


@every_noun
def test_limit_runs_from_1_to_200_and_is_50_when_not_given(client: httpx.Client, noun: Builder) -> None:
    shared = noun.draft(client)
    titled = noun.title or "note"
    together(client, noun, [shared | {titled: f"Numbered {n}"} for n in range(51)])
    sizes = {limit: len(client.get(f"{noun.path}?{limit}").json()["items"]) for limit in ("", "limit=1", "limit=200")}
    assert sizes == {"": 50, "limit=1": 1, "limit=200": 51}
    for limit in ("0", "201", "-1", "1.5", "many", "", "1e2", "9" * 30):
        body = problem(client, client.get(noun.path, params={"limit": limit}), 422)
        assert parameters(body) == ["limit"], limit
    repeated = problem(client, client.get(f"{noun.path}?limit=1&limit=2"), 400)
    assert parameters(repeated) == ["limit"]


@every_noun
def test_next_is_in_the_body_and_in_the_link_header_and_null_on_the_last_page(
    client: httpx.Client, noun: Builder
) -> None:
    assert client.get(noun.path).json() == {"items": [], "next": None}
    for _ in range(2):
        noun(client)
    first = client.get(f"{noun.path}?limit=1")
    assert first.headers["link"] == f'<{first.json()["next"]}>; rel="next"'
    assert first.json()["next"].startswith(f"{noun.path}?")
    last = client.get(first.json()["next"])
    assert last.json()["next"] is None
    assert "link" not in last.headers
    assert client.get(f"{noun.path}?limit=2").json()["next"] is None


@every_noun
def test_next_keeps_filters_sort_and_shape(client: httpx.Client, noun: Builder) -> None:
    made = [noun(client) for _ in range(5)]
    for record in made[:4]:
        withdraw(client, noun, record)
    query = {
        "withdrawn": "true",
        "sort": "-created_at",
        "fields": "slug,version",
        "updated_since": "2026-03-01T10:00:00+01:00",
        "count": "true",
        "limit": "1",
    }
    first = client.get(noun.path, params=query)
    assert dict(httpx.URL(first.json()["next"]).params.items()).items() >= query.items()
    walked = list(pages(client, str(first.request.url)))
    assert [page["items"] for page in walked] == [
        [{"slug": record["slug"], "version": 2}] for record in reversed(made[:4])
    ]
    assert [page["total"] for page in walked] == [4] * 4


# --- cursors --------------------------------------------------------------------------------------------------------


def cursor_of(client: httpx.Client, url: str) -> str:
    cursor: str = httpx.URL(client.get(url).json()["next"]).params["cursor"]
    return cursor


@every_noun
def test_a_cursor_is_refused_in_another_list_order_or_filter(client: httpx.Client, noun: Builder) -> None:
    for _ in range(3):
        noun(client)
    other = source if noun is organization else organization
    other(client)
    other(client)
    cursor = cursor_of(client, f"{noun.path}?limit=1&sort=created_at")
    for url in (
        noun.path,
        f"{noun.path}?sort=-created_at",
        f"{noun.path}?sort=updated_at",
        f"{noun.path}?sort=created_at&withdrawn=any",
        f"{noun.path}?sort=created_at&updated_since=2020-01-01T00:00:00Z",
        f"{other.path}?sort=created_at",
    ):
        refused = client.get(url, params=dict(httpx.URL(url).params) | {"cursor": cursor})
        assert problem(client, refused, 400)["type"] == "/problems/invalid-cursor", url
    for shape in ("limit=2", "limit=200", "count=true", "fields=slug"):
        answer = client.get(f"{noun.path}?sort=created_at&{shape}&cursor={cursor}")
        assert answer.status_code == 200, shape


@pytest.mark.parametrize("sort", ["slug", "created_at", "retrieved", "-published"])
def test_a_cursor_with_any_byte_changed_is_refused(client: httpx.Client, sort: str) -> None:
    for _ in range(3):
        source(client)
    cursor = cursor_of(client, f"{source.path}?limit=1&sort={sort}")
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    forged = []
    for n in range(len(raw)):
        raw[n] ^= 1
        forged.append(base64.urlsafe_b64encode(raw).rstrip(b"=").decode())
        raw[n] ^= 1
    forged += [cursor[:n] + ("A" if cursor[n] != "A" else "B") + cursor[n + 1 :] for n in range(len(cursor))]
    forged += [cursor[:-1], cursor + "A", cursor + "=", cursor + "AAAA", cursor[4:]]
    assert client.get(f"{source.path}?limit=1&sort={sort}&cursor={cursor}").status_code == 200
    accepted = [
        text for text in forged if client.get(source.path, params={"sort": sort, "cursor": text}).status_code != 400
    ]
    assert accepted == []


@every_noun
@pytest.mark.parametrize("sort", ["slug", "updated_at"])
def test_a_cursor_that_no_list_made_is_refused(client: httpx.Client, noun: Builder, sort: str) -> None:
    noun(client)
    encoded = [base64.urlsafe_b64encode(text).decode() for text in (b"null", b"[]", b"{}", b'{"k":-1}', b"[1,2]")]
    for cursor in ("x", "", "a b", "é", "%", "\x7f", "A" * 3000, "-1", "0", *encoded):
        refused = client.get(noun.path, params={"sort": sort, "cursor": cursor})
        body = problem(client, refused, 400)
        assert body["type"] in ("/problems/invalid-cursor", "/problems/malformed-request"), cursor
        assert (body["type"] == "/problems/invalid-cursor") == (cursor != "\x7f")


# --- what is not known is named -------------------------------------------------------------------------------------


@every_noun
def test_unknown_parameters_sorts_fields_and_includes_answer_400_naming_what_is_allowed(
    client: httpx.Client, noun: Builder
) -> None:
    resource = RESOURCE[noun.plural]
    record = noun(client)
    allowed = {
        "sort": sorted(resource.sorts),
        "fields": list(resource.read.model_fields),
        "include": list(views.paths(resource)),
    }
    for parameter, names in allowed.items():
        for value in ("naem", "id'--", "slug,naem" if parameter == "fields" else "naem"):
            body = problem(client, client.get(noun.path, params={parameter: value}), 400)
            assert body["type"] == "/problems/unknown-parameter"
            assert parameters(body) == [parameter]
            assert all(name in body["errors"][0]["message"] for name in names)
    for parameter in ("fields", "include"):
        body = problem(client, client.get(noun.at(record), params={parameter: "naem"}), 400)
        assert all(name in body["errors"][0]["message"] for name in allowed[parameter])
    for parameter in ("limitt", "filter[name]", "q'", "offset"):
        body = problem(client, client.get(noun.path, params={parameter: "1"}), 400)
        assert (body["type"], parameters(body)) == ("/problems/unknown-parameter", [parameter])
        known = {info.alias or name for name, info in resource.query.model_fields.items()}
        assert known <= set(body["errors"][0]["message"].removeprefix("Allowed: ").rstrip(".").split(", "))


def references(query: type[ListQuery]) -> list[str]:
    """The parameters of a list that name another record."""
    return [
        info.alias or name
        for name, info in query.model_fields.items()
        for mark in info.metadata
        if isinstance(mark.wrapped if isinstance(mark, Among) else mark, Refers)
    ]


FILTERS_BY_REFERENCE = [(noun, name) for noun in NOUNS.values() for name in references(RESOURCE[noun.plural].query)]


@pytest.mark.parametrize(
    ("noun", "parameter"), FILTERS_BY_REFERENCE, ids=[f"{noun.plural}-{name}" for noun, name in FILTERS_BY_REFERENCE]
)
def test_a_filter_that_names_an_unknown_record_answers_422_and_is_never_an_empty_list(
    client: httpx.Client, noun: Builder, parameter: str
) -> None:
    noun(client)
    for value in ("no-such-record", "01935f7e-8c00-7000-8000-000000000001", "Not A Slug", ""):
        refused = client.get(noun.path, params={parameter: value, "count": "true"})
        assert parameters(problem(client, refused, 422)) == [parameter], value


# --- shape ----------------------------------------------------------------------------------------------------------


@every_noun
def test_fields_picks_fields_of_records_and_lists_in_the_order_asked(client: httpx.Client, noun: Builder) -> None:
    record = noun(client, **noun.optional)
    for name in record:
        assert client.get(f"{noun.at(record)}?fields={name}").json() == {name: record[name]}
        assert client.get(f"{noun.path}?fields={name}").json()["items"] == [{name: record[name]}]
    every = ",".join(reversed(record))
    assert list(client.get(f"{noun.at(record)}?fields={every}").json().items()) == list(reversed(record.items()))


def _made(builder: Builder, client: httpx.Client) -> str:
    slug: str = builder(client)["slug"]
    return slug


# For each noun a record's fields that refer to something by every reference the noun has.
RICH: dict[str, Callable[[httpx.Client], Json]] = {
    "organizations": lambda client: {"part_of": _made(organization, client)},
    "collaboration-types": lambda client: {"broader": _made(collaboration_type, client)},
    "instruments": lambda client: {
        "issuer": _made(organization, client),
        "replaces": _made(instrument, client),
        "refers_to": [_made(instrument, client), _made(instrument, client)],
    },
    "collaborations": lambda client: {
        "part_of": _made(collaboration, client),
        "instruments": [_made(instrument, client)],
        "participants": [
            {"organization": _made(organization, client), "role": "partner"},
            {"organization": _made(organization, client), "role": "host", "on_behalf_of": _made(organization, client)},
        ],
    },
    "milestones": lambda client: {
        "collaboration": _made(collaboration, client),
        "instrument": _made(instrument, client),
        "organization": _made(organization, client),
    },
    "sources": lambda client: {"publisher": _made(organization, client), "replaces": _made(source, client)},
    "citations": lambda client: {"target": {"noun": "milestones", "record": _made(milestone, client)}},
    "reviews": lambda client: {
        "body": _made(organization, client),
        "document": _made(source, client),
        "items": [{"collaboration": _made(collaboration, client), "finding": "noted"}],
    },
    "successions": lambda client: {
        "predecessors": [_made(organization, client), _made(organization, client)],
        "successors": [_made(organization, client)],
    },
}


def rich(client: httpx.Client, noun: Builder) -> Json:
    """A record that refers to something by every reference it has."""
    return noun(client, **RICH[noun.plural](client))


def named_at(value: Any, steps: list[str]) -> Iterator[str]:
    """What the references at the end of `steps` name."""
    if isinstance(value, list):
        for item in value:
            yield from named_at(item, steps)
    elif steps and value is not None:
        yield from named_at(value[steps[0]], steps[1:])
    elif value is not None:
        yield value


INCLUDED_NOUN = {
    "part_of": None, "replaces": None, "refers_to": None, "broader": None,  # of the record's own noun
    "issuer": "organizations", "publisher": "organizations", "body": "organizations", "organization": "organizations",
    "participants.organization": "organizations", "participants.on_behalf_of": "organizations",
    "type": "collaboration-types", "instrument": "instruments", "instruments": "instruments",
    "collaboration": "collaborations", "items.collaboration": "collaborations",
    "predecessors": "organizations", "successors": "organizations",
    "document": "sources", "source": "sources", "target.record": "milestones",
}  # fmt: skip


@every_noun
def test_include_answers_the_records_that_references_name(client: httpx.Client, noun: Builder) -> None:
    record = rich(client, noun)
    names = list(views.paths(RESOURCE[noun.plural]))
    for asked in (*([name] for name in names), names):
        expected: dict[str, Json] = {}
        for name in asked:
            plural = INCLUDED_NOUN[name] or noun.plural
            found = {slug: client.get(NOUNS[plural].at(slug)).json() for slug in named_at(record, name.split("."))}
            assert found, f"the record names nothing by {name}"
            expected[plural] = expected.get(plural, {}) | found
        query = f"include={','.join(asked)}"
        answer = client.get(f"{noun.at(record)}?{query}").json()
        assert answer.pop("included") == expected
        assert answer == record
        picked = client.get(f"{noun.at(record)}?{query}&fields=slug").json()
        assert picked == {"slug": record["slug"], "included": expected}
        page = client.get(f"{noun.path}?{query}&sort=-created_at&limit=1").json()
        assert (page["items"], page["included"]) == ([record], expected)


def test_include_goes_one_step_and_says_so(client: httpx.Client) -> None:
    record = collaboration(client)
    for name in ("participants", "participants.organization.part_of", "participants.role", "type.broader"):
        body = problem(client, client.get(f"{collaboration.at(record)}?include={name}"), 400)
        assert parameters(body) == ["include"]
        assert "participants.organization" in body["errors"][0]["message"]


@every_noun
def test_the_etag_of_an_answer_with_include_moves_with_what_is_included(client: httpx.Client, noun: Builder) -> None:
    record = rich(client, noun)
    name = next(iter(views.paths(RESOURCE[noun.plural])))
    path = f"{noun.at(record)}?include={name}"
    before = client.get(path)
    plural, found = next(iter(before.json()["included"].items()))
    used = NOUNS[plural]
    patch(client, used, next(iter(found.values())), **used.change)
    after = client.get(path, headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.json()["included"] != before.json()["included"]
    assert (
        client.patch(noun.at(record), json=noun.change, headers={"If-Match": before.headers["etag"]}).status_code == 200
    )


# --- filters --------------------------------------------------------------------------------------------------------


def world(client: httpx.Client) -> None:
    """A small registry that every filter below asks."""
    place = {"section": 1, "paragraph": 1, "sentence": 1}
    organization(
        client, slug="ilo", kind="intergovernmental_organization", country="CH", founded="1919", dissolved="201X"
    )
    organization(client, slug="gb", kind="organ", part_of="ilo", country="CH")
    organization(client, slug="gb-group", kind="group", part_of="gb")
    organization(client, slug="oecd", kind="intergovernmental_organization", country="FR", founded="1948")
    organization(client, slug="firm", kind="company", country="DE")

    collaboration_type(client, slug="event")
    collaboration_type(client, slug="forum", broader="event")
    collaboration_type(client, slug="round-table", broader="forum")
    collaboration_type(client, slug="training")

    instrument(client, slug="mne", kind="declaration", issuer="ilo", adopted="1977-11")
    instrument(client, slug="guidelines", kind="guidelines", issuer="oecd", adopted="1976", refers_to=["mne"])
    instrument(client, slug="mne-2017", kind="declaration", issuer="ilo", adopted="2017-03", replaces="mne")
    instrument(client, slug="sdg", kind="goals", refers_to=["guidelines", "mne"])

    def part(name: str, role: str) -> Json:
        return {"organization": name, "role": role}

    collaboration(
        client, slug="forum-2014", type="forum", status="completed", period="2014-12-04", sdgs=[8, 17], review_every_months=12,
        instruments=["mne"], participants=[part("ilo", "speaker"), part("oecd", "host")],
    )  # fmt: skip
    collaboration(
        client, slug="table-2015", type="round-table", status="active", period="2015/..", part_of="forum-2014",
        instruments=["guidelines", "mne"], sdgs=[8], participants=[part("ilo", "host"), part("oecd", "speaker")],
    )  # fmt: skip
    collaboration(client, slug="table-day", type="round-table", period="2015?", part_of="table-2015", sdgs=[1])
    collaboration(
        client,
        slug="course",
        type="training",
        review_every_months=24,
        status="on_request",
        period="201X",
        participants=[part("ilo", "provider")],
    )
    collaboration(client, slug="undated", type="training", status="planned")

    milestone(client, slug="adopted", kind="adoption", status="met", instrument="mne", date="1977-11-16")
    milestone(client, slug="held", kind="session", status="met", collaboration="forum-2014", date="2014-12-04")
    milestone(client, slug="joined", kind="membership", status="planned", organization="oecd", date="2014")
    milestone(client, slug="both", kind="report", status="not_met", organization="ilo", collaboration="forum-2014")

    source(client, slug="page-2014", kind="web_page", publisher="ilo", published="2014")
    source(client, slug="page-2016", kind="web_page", publisher="ilo", published="2016-05", replaces="page-2014")
    source(client, slug="paper", kind="meeting_document", publisher="oecd")

    citation(client, slug="c1", source="page-2014", target={"noun": "organizations", "record": "ilo"})
    citation(client, slug="c2", source="page-2014", support="implies", target={"noun": "instruments", "record": "mne"})
    citation(
        client, slug="c3", source="paper", support="contradicts", passages=[place],
        target={"noun": "instruments", "record": "mne"},
    )  # fmt: skip

    def item(name: str, finding: str) -> Json:
        return {"collaboration": name, "finding": finding}

    review(client, slug="gb-322", status="held", body="gb", date="2014-11", items=[item("forum-2014", "continue")])
    review(
        client, slug="gb-326", status="held", body="gb", date="2016-03",
        items=[item("forum-2014", "close"), item("course", "continue")],
    )  # fmt: skip
    review(client, slug="gb-next", status="planned", body="ilo")

    succession(client, slug="oeec", kind="replacement", date="1961", predecessors=["firm"], successors=["oecd"])
    succession(client, slug="later", kind="split", date="2014-05", predecessors=["oecd"], successors=["gb-group", "gb"])

    source(client, slug="book", kind="other")
    for noun, record, support in EVIDENCE:
        target = {"noun": noun, "record": record}
        citation(client, slug=f"book-{support}-{record}", source="book", support=support, target=target)


# What the book says of whom.
EVIDENCE = [
    ("collaboration-types", "event", "states"), ("collaboration-types", "training", "contradicts"),
    ("collaborations", "forum-2014", "states"), ("collaborations", "course", "contradicts"),
    ("milestones", "held", "implies"), ("milestones", "both", "contradicts"),
    ("sources", "paper", "states"), ("sources", "page-2016", "contradicts"),
    ("reviews", "gb-322", "implies"), ("reviews", "gb-326", "contradicts"),
    ("organizations", "oecd", "contradicts"),
    ("successions", "oeec", "states"), ("successions", "later", "contradicts"),
]  # fmt: skip


# For each noun: what is asked -> the slugs that answer. Each filter finds something and leaves something out.
FILTERS: dict[str, dict[str, str]] = {
    "organizations": {
        "uncited=true": "firm gb gb-group oecd",
        "uncited=false": "ilo",
        "source=book": "oecd",
        "source=page-2014": "ilo",
        "source=paper": "",
        "contradicted=true": "oecd",
        "contradicted=false": "firm gb gb-group ilo",
        "contradicted=true&country=FR": "oecd",
        "at=1950": "firm gb gb-group ilo oecd",
        "at=1910": "firm gb gb-group",
        "at=1990&match=certain": "ilo oecd",
        "at=2019&match=certain": "oecd",
        "kind=organ": "gb",
        "kind=organ,group": "gb gb-group",
        "kind=network": "",
        "country=CH": "gb ilo",
        "country=FR,DE": "firm oecd",
        "part_of=ilo": "gb",
        "part_of=ilo&descendants=false": "gb",
        "part_of=ilo&descendants=true": "gb gb-group",
        "part_of=gb&descendants=true": "gb-group",
        "part_of=oecd": "",
        "part_of=ilo&descendants=true&kind=group": "gb-group",
        "country=CH&kind=company": "",
    },
    "collaboration-types": {
        "uncited=true": "forum round-table training",
        "uncited=false": "event",
        "source=book": "event training",
        "contradicted=true": "training",
        "contradicted=true&uncited=true": "training",
        "broader=event": "forum",
        "broader=event&descendants=true": "forum round-table",
        "broader=round-table": "",
    },
    "instruments": {
        "uncited=true": "guidelines mne-2017 sdg",
        "source=paper": "mne",
        "source=book": "",
        "contradicted=true": "mne",
        "contradicted=true&uncited=false": "mne",
        "at=1976-07": "guidelines",
        "at=1977&match=certain": "mne",
        "kind=declaration": "mne mne-2017",
        "kind=guidelines,goals": "guidelines sdg",
        "issuer=oecd": "guidelines",
        "issuer=firm": "",
        "refers_to=mne": "guidelines sdg",
        "refers_to=guidelines": "sdg",
        "replaces=mne": "mne-2017",
        "from=1977&to=1977": "mne",
        "from=1977": "mne mne-2017",
        "to=1976": "guidelines",
        "to=1975": "",
        "from=1976-06&to=1976-07": "guidelines",
        "from=1976-06&to=1976-07&match=certain": "",
        "from=1976&to=1976&match=certain": "guidelines",
    },
    "collaborations": {
        "review_status=overdue": "course forum-2014",
        "review_status=overdue,never&type=training": "course",
        "review_status=none&type=training": "undated",
        "review_status=current,due": "",
        "organization=gb&lineage=true": "forum-2014 table-2015",
        "organization=gb&lineage=true&role=speaker": "table-2015",
        "organization=oecd&lineage=true": "forum-2014 table-2015",
        "organization=firm&lineage=true": "",
        "uncited=false": "forum-2014",
        "source=book": "course forum-2014",
        "contradicted=true": "course",
        "contradicted=false&type=training": "undated",
        "at=2015&match=certain": "table-2015",
        "at=2014-12-04": "course forum-2014",
        "type=forum": "forum-2014",
        "type=forum&descendants=true": "forum-2014 table-2015 table-day",
        "type=event&descendants=true": "forum-2014 table-2015 table-day",
        "type=event": "",
        "status=active": "table-2015",
        "status=active,unknown": "table-2015 table-day",
        "status=ended": "",
        "organization=ilo": "course forum-2014 table-2015",
        "organization=gb": "",
        "role=speaker": "forum-2014 table-2015",
        "role=provider,host": "course forum-2014 table-2015",
        "organization=ilo&role=speaker": "forum-2014",
        "organization=ilo&role=host": "table-2015",
        "organization=oecd&role=speaker": "table-2015",
        "organization=oecd&role=provider": "",
        "instrument=mne": "forum-2014 table-2015",
        "instrument=guidelines": "table-2015",
        "instrument=sdg": "",
        "sdg=8": "forum-2014 table-2015",
        "sdg=1,17": "forum-2014 table-day",
        "sdg=2": "",
        "part_of=forum-2014": "table-2015",
        "part_of=forum-2014&descendants=true": "table-2015 table-day",
        "part_of=forum-2014&type=event&descendants=true": "table-2015 table-day",
        "part_of=course": "",
        "from=2014-12-04&to=2014-12-04": "course forum-2014",
        "from=2014-12-05&to=2014": "course",
        "from=2014&to=2014&match=certain": "forum-2014",
        "from=2015&to=2015": "course table-2015 table-day",
        "from=2016": "course table-2015",
        "from=2016&match=certain": "table-2015",
        "from=2010&to=2019&match=certain": "course forum-2014 table-2015",
        "to=2009": "",
        "active_on=2014-12-04": "course forum-2014",
        "active_on=2014-12-04&match=certain": "forum-2014",
        "active_on=2030": "table-2015",
        "active_on=2015&sdg=1": "table-day",
    },
    "milestones": {
        "organization=gb-group&lineage=true": "joined",
        "organization=gb-group": "",
        "organization=oecd&lineage=false": "joined",
        "uncited=false": "held",
        "source=book": "both held",
        "contradicted=true": "both",
        "at=2014": "held joined",
        "at=2014-12-04&match=certain": "held",
        "kind=adoption": "adopted",
        "kind=session,report": "both held",
        "kind=end": "",
        "status=met": "adopted held",
        "status=planned,not_met": "both joined",
        "collaboration=forum-2014": "both held",
        "collaboration=course": "",
        "instrument=mne": "adopted",
        "instrument=sdg": "",
        "organization=ilo": "both",
        "organization=ilo&collaboration=forum-2014": "both",
        "organization=firm": "",
        "from=2014&to=2014": "held joined",
        "from=2014-12-04&to=2014-12-04": "held joined",
        "from=2014-12-04&to=2014-12-04&match=certain": "held",
        "to=2000": "adopted",
    },
    "sources": {
        "uncited=false": "paper",
        "source=book": "page-2016 paper",
        "contradicted=true": "page-2016",
        "at=2016": "page-2016",
        "kind=web_page": "page-2014 page-2016",
        "kind=web_page,meeting_document": "page-2014 page-2016 paper",
        "kind=report": "",
        "kind=other": "book",
        "publisher=ilo": "page-2014 page-2016",
        "publisher=firm": "",
        "replaces=page-2014": "page-2016",
        "replaces=paper": "",
        "from=2016&to=2016": "page-2016",
        "from=2014-02&to=2014-03": "page-2014",
        "from=2014-02&to=2014-03&match=certain": "",
    },
    "citations": {
        "source=book&noun=milestones": "book-contradicts-both book-implies-held",
        "noun=milestones&record=held": "book-implies-held",
        "noun=instruments&record=mne&support=implies": "c2",
        "noun=organizations&record=gb": "",
        "source=page-2014": "c1 c2",
        "source=page-2016": "",
        "orphaned=true": "",
        "orphaned=false&support=states&source=page-2014": "c1",
        "support=states": "book-states-event book-states-forum-2014 book-states-oeec book-states-paper c1",
        "support=implies&noun=instruments,milestones": "book-implies-held c2",
        "noun=instruments": "c2 c3",
        "noun=instruments,organizations": "book-contradicts-oecd c1 c2 c3",
        "noun=reviews": "book-contradicts-gb-326 book-implies-gb-322",
        "source=page-2014&noun=instruments": "c2",
    },
    "successions": {
        "kind=split": "later",
        "kind=split,merger,replacement": "later oeec",
        "kind=rename": "",
        "predecessor=firm": "oeec",
        "predecessor=oecd": "later",
        "successor=oecd": "oeec",
        "successor=gb": "later",
        "successor=gb&predecessor=oecd": "later",
        "from=1961&to=1961": "oeec",
        "from=1962": "later",
        "at=2014-05&match=certain": "later",
        "uncited=false": "oeec",
        "source=book": "later oeec",
        "contradicted=true": "later",
    },
    "reviews": {
        "uncited=false": "gb-322",
        "source=book": "gb-322 gb-326",
        "contradicted=true": "gb-326",
        "at=2014-11": "gb-322",
        "status=planned": "gb-next",
        "status=planned,held": "gb-322 gb-326 gb-next",
        "body=gb": "gb-322 gb-326",
        "body=oecd": "",
        "collaboration=forum-2014": "gb-322 gb-326",
        "collaboration=course": "gb-326",
        "collaboration=undated": "",
        "finding=continue": "gb-322 gb-326",
        "finding=close,renew": "gb-326",
        "collaboration=forum-2014&finding=continue": "gb-322",
        "collaboration=course&finding=close": "",
        "from=2014&to=2014": "gb-322",
        "from=2014-11-30&match=certain": "gb-326",
        "to=2015": "gb-322",
    },
}
COMMON_PARAMETERS = set(ListQuery.model_fields)


@every_noun
def test_filters_find_what_answers_and_nothing_else(client: httpx.Client, noun: Builder) -> None:
    world(client)
    asked = FILTERS[noun.plural]
    found = {query: " ".join(sorted(slugs(client, f"{noun.path}?{query}"))) for query in asked}
    assert found == asked
    counted = {query: client.get(f"{noun.path}?{query}&count=true").json()["total"] for query in asked}
    assert counted == {query: len(answer.split()) for query, answer in asked.items()}


@every_noun
def test_filters_take_ids_where_they_take_slugs_and_page_like_the_whole_list(
    client: httpx.Client, noun: Builder
) -> None:
    world(client)
    ids = {item["slug"]: item["id"] for other in NOUNS.values() for item in walk(client, other.path)}
    by_reference = references(RESOURCE[noun.plural].query)
    for query, answer in FILTERS[noun.plural].items():
        asked = {
            name: ids[value] if name in by_reference else value for name, value in httpx.QueryParams(query).items()
        }
        url = httpx.URL(noun.path, params=asked | {"limit": "1"})
        assert sorted(slugs(client, str(url))) == answer.split(), query


@every_noun
def test_every_filter_of_a_list_has_an_example_here(noun: Builder) -> None:
    fields = RESOURCE[noun.plural].query.model_fields
    filters = {info.alias or name for name, info in fields.items() if name not in COMMON_PARAMETERS}
    asked = {name for query in FILTERS[noun.plural] for name in httpx.QueryParams(query)}
    assert asked == filters


BAD_VALUES = {
    "kind": ["nonsense", "Other", "other,nonsense", ""],
    "status": ["nonsense", ""],
    "role": ["nonsense"],
    "support": ["nonsense"],
    "noun": ["organisations"],
    "finding": ["continue_"],
    "country": ["ch", "CHE", ""],
    "sdg": ["0", "18", "one", "1,1", ""],
    "descendants": ["maybe"],
    "from": ["2014-13", "yesterday", ""],
    "to": ["2014-00", "31.12.2014"],
    "match": ["perhaps"],
    "active_on": ["today"],
    "updated_since": ["2026-03-01", "2026-03-01T09:00:00", "1772355600", "1e248", ""],
    "withdrawn": ["yes"],
    "count": ["maybe"],
}


@every_noun
def test_a_filter_value_that_means_nothing_answers_422_naming_the_parameter(
    client: httpx.Client, noun: Builder
) -> None:
    known = {info.alias or name for name, info in RESOURCE[noun.plural].query.model_fields.items()}
    for parameter in known & BAD_VALUES.keys():
        for value in BAD_VALUES[parameter]:
            refused = client.get(noun.path, params={parameter: value})
            assert parameters(problem(client, refused, 422)) == [parameter], f"{parameter}={value}"


@every_noun
def test_updated_since_finds_what_was_written_at_or_after_a_moment(
    client: httpx.Client, noun: Builder, clock: Ticking
) -> None:
    first, second = noun(client), noun(client)
    between = second["updated_at"]
    assert slugs(client, f"{noun.path}?updated_since={between}") == [second["slug"]]
    shifted = datetime.fromisoformat(between).astimezone().isoformat()
    assert slugs(client, str(httpx.URL(noun.path, params={"updated_since": shifted}))) == [second["slug"]]
    later = str(httpx.URL(noun.path, params={"updated_since": clock().isoformat()}))
    assert slugs(client, later) == []
    patch(client, noun, first, **noun.change)
    assert slugs(client, later) == [first["slug"]]
    withdraw(client, noun, second)
    assert slugs(client, later) == [first["slug"]]
    assert sorted(slugs(client, f"{later}&withdrawn=any")) == sorted([first["slug"], second["slug"]])


# --- what a page costs ----------------------------------------------------------------------------------------------


@contextmanager
def statements(database: Database, *, all_of_them: bool = False) -> Iterator[list[str]]:
    """The SQL that is sent meanwhile, without the begin of transactions and without the look-up of keys, or `all_of_them`."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        # Who asks is looked up apart.
        if all_of_them or (not statement.startswith("BEGIN") and "FROM api_key" not in statement):
            sent.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", note)


@every_noun
def test_a_record_and_a_page_are_one_statement_and_no_transaction(
    client: httpx.Client, noun: Builder, database: Database
) -> None:
    record, resource = noun(client), RESOURCE[noun.plural]
    both = [f"{noun.path}/{record['slug']}", noun.path]
    before = [client.get(path) for path in both]
    asked = 1 if resource.in_one else 2  # a review calendar is a question of its own
    with statements(database, all_of_them=True) as sent:
        assert [client.get(path).content for path in both] == [answer.content for answer in before]
    assert len([each for each in sent if "FROM api_key" not in each and not each.startswith("BEGIN")]) == 2 * asked
    assert sum(each.startswith("BEGIN") for each in sent) == 2 * (asked - 1)


@every_noun
def test_reading_costs_the_same_statements_whatever_the_size(
    client: httpx.Client, noun: Builder, database: Database
) -> None:
    record = rich(client, noun)
    own = {name: value for name, value in record.items() if name in RESOURCE[noun.plural].write.model_fields}
    del own["slug"]
    together(client, noun, [own | {noun.title or "note": f"Numbered {n}"} for n in range(60)])

    def cost(path: str) -> int:
        with statements(database) as sent:
            assert client.get(path).status_code == 200
        return len(sent)

    def costs(query: str) -> list[int]:
        return [cost(f"{noun.path}?sort=-created_at&{query}&limit={limit}") for limit in (1, 7, 60)]

    assert 1 <= cost(noun.at(record)) == cost(noun.at(record["id"])) <= 4
    for sort in RESOURCE[noun.plural].sorts:
        assert cost(f"{noun.path}?sort={sort}&limit=1") <= 5
        assert cost(f"{noun.path}?sort={sort}&limit=200") <= 5
    plain = costs("")
    assert plain == [plain[0]] * 3
    assert costs("count=true") == [plain[0] + 1] * 3
    for name in views.includable(RESOURCE[noun.plural]):
        dearer = costs(f"include={name}")
        assert dearer == [dearer[0]] * 3
        assert plain[0] < dearer[0] <= plain[0] + 3  # the records of one noun, and what is computed of them


def test_the_window_bounds_are_days(client: httpx.Client) -> None:
    milestone(client, slug="eve", date="2014-12-31")
    milestone(client, slug="day", date=date(2015, 1, 1).isoformat())
    assert slugs(client, f"{milestone.path}?from=2015") == ["day"]
    assert slugs(client, f"{milestone.path}?to=2014") == ["eve"]
