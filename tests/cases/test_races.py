"""Several clients at once, and lists that are walked meanwhile: A24, A25, A32, A33 and A42."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx
import pytest
import sqlalchemy as sa

from app.kit.db import Database, Transaction
from tests.cases.places import RESOURCE, Json, encoded, full, samples, without_slug
from tests.cases.refusals import refused, same
from tests.support.answers import pages, slugs, walk
from tests.support.builders import (
    NOUNS,
    Builder,
    collaboration,
    collaboration_type,
    organization,
    patch,
    source,
    together,
    withdraw,
)  # fmt: skip
from tests.support.wire import ANY, JSON, Answer, Wire

T = TypeVar("T")


def at_once(number: int, work: Callable[[int], T]) -> list[T]:
    """`work(n)` on so many threads, let go together."""
    barrier = threading.Barrier(number)

    def begin(n: int) -> T:
        barrier.wait(timeout=30)
        return work(n)

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(begin, range(number)))


# --- A32: equal writes at once --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("noun", "body"),
    [
        pytest.param(organization, {"name": "One", "kind": "other"}, id="A32-one-name"),
        pytest.param(collaboration_type, {"label": "One"}, id="A32-one-label"),
        pytest.param(source, {"title": "One", "kind": "report", "slug": "one"}, id="A32-one-slug"),
    ],
)
def test_of_twenty_equal_posts_one_creates_and_the_others_are_told_of_it(
    client: httpx.Client, wire: Wire, noun: Builder, body: Json
) -> None:
    answers = at_once(20, lambda _: wire.request("POST", noun.path, headers=[JSON], body=encoded(body)))
    only_one(client, noun, answers)


def test_a32_of_twenty_spellings_of_one_name_one_is_created(client: httpx.Client, wire: Wire) -> None:
    spellings = ["Straße", "STRASSE", "strasse", "Strasse ", "StraSSe"] * 4
    bodies = [encoded({"name": name, "kind": "other"}) for name in spellings]
    only_one(
        client,
        organization,
        at_once(20, lambda n: wire.request("POST", organization.path, headers=[JSON], body=bodies[n])),
    )


def test_a32_of_twenty_owners_of_one_identifier_one_is_created(client: httpx.Client, wire: Wire) -> None:
    """The names differ, so that nothing but the identifier is contended."""
    bodies = [
        encoded({"name": f"Owner {n}", "kind": "other", "identifiers": [{"scheme": "ror", "value": "01xqhr703"}]})
        for n in range(20)
    ]
    answers = at_once(20, lambda n: wire.request("POST", organization.path, headers=[JSON], body=bodies[n]))
    only_one(client, organization, answers)


def test_a32_of_twenty_puts_that_create_one_record_one_does(client: httpx.Client, wire: Wire) -> None:
    headers = [JSON, ("If-None-Match", "*")]
    bodies = [encoded({"name": f"Name {n}", "kind": "other"}) for n in range(20)]
    answers = at_once(20, lambda n: wire.request("PUT", organization.at("one"), headers=headers, body=bodies[n]))
    assert sorted(answer.status for answer in answers) == [201] + [412] * 19
    assert slugs(client, organization.path) == ["one"]


def test_a32_twenty_records_of_one_title_get_twenty_slugs(client: httpx.Client, wire: Wire) -> None:
    body = encoded({"title": "One", "kind": "report"})
    answers = at_once(20, lambda _: wire.request("POST", source.path, headers=[JSON], body=body))
    assert [answer.status for answer in answers] == [201] * 20
    assert sorted(slugs(client, source.path)) == sorted(["one", *(f"one-{n}" for n in range(2, 21))])


def test_a32_twenty_children_of_one_parent_are_all_created(client: httpx.Client, wire: Wire) -> None:
    samples(client)
    body = encoded(without_slug(full("collaborations")))
    answers = at_once(20, lambda _: wire.request("POST", collaboration.path, headers=[JSON], body=body))
    assert [answer.status for answer in answers] == [201] * 20
    assert len(slugs(client, f"{collaboration.path}?part_of=sample")) == 20


def test_a32_of_twenty_renamings_to_one_name_one_is_stored(client: httpx.Client, wire: Wire) -> None:
    rivals = [organization(client)["slug"] for _ in range(20)]
    body = encoded({"name": "One"})
    answers = at_once(20, lambda n: wire.request("PATCH", organization.at(rivals[n]), headers=[JSON, ANY], body=body))
    assert Counter(answer.status for answer in answers) == {200: 1, 409: 19}
    holder = next(answer for answer in answers if answer.status == 200).json()
    for answer in answers:
        if answer.status == 409:
            assert refused(answer, 409, "conflict")["existing"]["slug"] == holder["slug"]


def test_a32_of_twenty_equal_batches_one_is_stored_whole_and_none_by_half(client: httpx.Client, wire: Wire) -> None:
    def batch(n: int) -> Answer:
        own = {"verb": "create", "noun": "sources", "body": {"title": "Own", "kind": "report", "slug": f"own-{n}"}}
        shared = {"verb": "create", "noun": "organizations", "body": {"name": "One", "kind": "other"}}
        return wire.request("POST", "/v1/batch", headers=[JSON], body=encoded({"operations": [own, shared]}))

    answers = at_once(20, batch)
    assert Counter(answer.status for answer in answers) == {200: 1, 409: 19}
    for answer in answers:
        if answer.status == 409:
            problem = refused(answer, 409, "conflict")
            assert problem["existing"] == {"id": walk(client, organization.path)[0]["id"], "slug": "one"}
            assert [fault["pointer"] for fault in problem["errors"]] == ["/operations/1/body/name"]
    winner = next(n for n, answer in enumerate(answers) if answer.status == 200)
    assert slugs(client, source.path) == [f"own-{winner}"]
    assert len(list(walk_changes(client))) == 2


def only_one(client: httpx.Client, noun: Builder, answers: list[Answer]) -> None:
    assert Counter(answer.status for answer in answers) == {201: 1, 409: len(answers) - 1}
    made = next(answer for answer in answers if answer.status == 201).json()
    for answer in answers:
        if answer.status == 409:
            existing = refused(answer, 409, "conflict")["existing"]
            assert existing in ({"id": made["id"], "slug": made["slug"]}, made["slug"])
    assert [record["slug"] for record in walk(client, noun.path)] == [made["slug"]]
    changes = [change["id"] for change in walk_changes(client)]
    assert changes.count(made["id"]) == len(changes) == 1


def walk_changes(client: httpx.Client) -> Iterator[Json]:
    """Every change, in commit order."""
    following = "/v1/changes?limit=200"
    while items := client.get(following).json()["items"]:
        yield from items
        following = f"/v1/changes?limit=200&after={items[-1]['sequence']}"


# --- A42: read, change, write ---------------------------------------------------------------------------------------


def test_a42_no_update_of_eight_clients_is_lost(client: httpx.Client, wire: Wire) -> None:
    at = organization.at(organization(client, description="0"))
    statuses: Counter[int] = Counter()

    def count(_: int) -> None:
        seen = wire.request("GET", at)
        for _ in range(20):
            while True:
                body = encoded({"description": str(int(seen.json()["description"]) + 1)})
                tag = ("If-Match", str(seen.header("etag")))
                answer = wire.request("PATCH", at, headers=[JSON, tag], body=body)
                statuses[answer.status] += 1
                if answer.status == 200:
                    break
                seen = wire.request("GET", at)
            seen = answer  # what a write answers is a reading too

    at_once(8, count)
    assert set(statuses) <= {200, 412}
    assert statuses[200] == 160
    record = client.get(at).json()
    assert (record["description"], record["version"]) == ("160", 161)
    sequences = [change["sequence"] for change in walk_changes(client)]
    assert sequences == list(range(1, 162))


def test_a42_writes_of_eight_clients_to_records_of_their_own_all_succeed(client: httpx.Client, wire: Wire) -> None:
    made = [organization(client)["slug"] for _ in range(8)]

    def write(n: int) -> set[int]:
        return {
            wire.request(
                "PATCH", organization.at(made[n]), headers=[JSON, ANY], body=encoded({"description": str(m)})
            ).status
            for m in range(20)
        }

    assert at_once(8, write) == [{200}] * 8
    assert [change["version"] for change in walk_changes(client) if change["slug"] == made[0]] == list(range(1, 22))
    assert len(list(walk_changes(client))) == 8 * 21


def test_a42_no_update_of_eight_clients_that_put_in_batches_is_lost(client: httpx.Client, wire: Wire) -> None:
    record = organization(client, description="0")

    def count(_: int) -> Counter[int]:
        statuses: Counter[int] = Counter()
        while statuses[200] < 10:
            seen = wire.request("GET", organization.at(record)).json()
            operation = {
                "verb": "put", "noun": "organizations", "record": seen["id"], "if_match": str(seen["version"]),
                "body": seen | {"description": str(int(seen["description"]) + 1)},
            }  # fmt: skip
            body = encoded({"operations": [operation]})
            statuses[wire.request("POST", "/v1/batch", headers=[JSON], body=body).status] += 1
        return statuses

    statuses = sum(at_once(8, count), Counter())
    assert set(statuses) <= {200, 412}
    stored = client.get(organization.at(record)).json()
    assert (stored["description"], stored["version"]) == ("80", 81)


# --- A33: what is referred to stays ---------------------------------------------------------------------------------


def test_a33_what_others_refer_to_cannot_be_withdrawn(client: httpx.Client, database: Database, wire: Wire) -> None:
    samples(client)
    for noun in NOUNS.values():
        answer = wire.request("POST", noun.path, headers=[JSON], body=encoded(without_slug(full(noun.plural))))
        assert answer.status == 201, answer.body
    used = [noun for noun in NOUNS.values() if noun.plural not in ("milestones", "citations", "reviews", "successions")]
    with same(client, database):
        for noun in used:
            users = refused(wire.request("DELETE", noun.at("sample"), headers=[ANY]), 409, "conflict")["used_by"]
            assert users
            assert all(client.get(f"/v1/{user['noun']}/{user['slug']}").status_code == 200 for user in users)
    assert orphans(database) == 0
    assert len(walk(client, collaboration.path)) == 2
    again = encoded(without_slug(full("collaborations")))
    assert wire.request("POST", collaboration.path, headers=[JSON], body=again).status == 201


def test_a33_a_referring_write_and_a_withdrawal_at_once_leave_no_orphan(
    client: httpx.Client, database: Database, wire: Wire
) -> None:
    kind = collaboration_type(client)["slug"]
    for turn in range(10):
        slug = organization(client)["slug"]
        body = encoded({"title": f"T{turn}", "type": kind, "participants": [{"organization": slug, "role": "partner"}]})
        requests: list[Callable[[], Answer]] = [
            lambda body=body: wire.request("POST", collaboration.path, headers=[JSON], body=body),  # type: ignore[misc]
            lambda slug=slug: wire.request("DELETE", organization.at(slug), headers=[ANY]),  # type: ignore[misc]
        ]
        created, withdrawn = at_once(2, lambda n, requests=requests: requests[n]())  # type: ignore[misc]
        assert (created.status, withdrawn.status) in ((201, 409), (422, 204)), turn
    assert orphans(database) == 0


def orphans(database: Database) -> int:
    """Rows whose foreign keys name no row, and live collaborations whose participants are withdrawn."""

    def count(tx: Transaction) -> int:
        broken = 0
        for resource in RESOURCE.values():
            for table in resource.table.metadata.sorted_tables:
                for key in [
                    key for column in table.c for key in column.foreign_keys if key.column.table is resource.table
                ]:
                    other = resource.table.alias()
                    lost = sa.select(sa.func.count()).select_from(table).outerjoin(other, key.parent == other.c.id)
                    broken += tx.execute(lost.where(key.parent.is_not(None), other.c.id.is_(None))).scalar_one()
        participant = RESOURCE["collaborations"].table.metadata.tables["collaboration_participant"]
        withdrawn = RESOURCE["organizations"].table
        joined = participant.join(withdrawn, participant.c.organization_id == withdrawn.c.id)
        gone = sa.select(sa.func.count()).select_from(joined).where(withdrawn.c.withdrawn_at.is_not(None))
        return broken + int(tx.execute(gone).scalar_one())

    return database.read(count)


# --- A24, A25: walks ------------------------------------------------------------------------------------------------


def test_a24_ties_are_walked_once_in_both_directions_with_every_page_size(client: httpx.Client) -> None:
    """All made at one moment, many of them with one founding date, some without any."""
    dates: list[Any] = ["1999"] * 20 + ["1999-01-01"] * 10 + [None] * 20 + ["1999/.."] * 5 + ["2001?"] * 5
    drafts = [{"name": f"Tied {n}", "kind": "other", "founded": date} for n, date in enumerate(dates)]
    made = {record["slug"] for record in together(client, organization, drafts)}
    assert len({record["created_at"] for record in walk(client, organization.path)}) == 1
    for sort in ("created_at", "updated_at", "founded", "name", "slug"):
        up, down = slugs(client, f"{organization.path}?sort={sort}"), slugs(client, f"{organization.path}?sort=-{sort}")
        assert set(up) == made
        assert len(up) == len(down) == len(made)
        keyed = len(made) - 20 if sort == "founded" else len(made)
        assert down == up[:keyed][::-1] + up[keyed:][::-1], sort  # what lacks the key comes last both ways
        for size in (1, 2, 3, 7, 50) if sort == "founded" else (7, 50):
            for order, expected in ((sort, up), (f"-{sort}", down)):
                assert slugs(client, f"{organization.path}?sort={order}&limit={size}&fields=slug") == expected, (
                    order,
                    size,
                )


@pytest.mark.parametrize("sort", ["updated_at", "-updated_at", "title"])
def test_a25_a_walk_meets_what_nobody_touches_once_and_the_changes_tell_the_rest(
    client: httpx.Client, sort: str
) -> None:
    kind = collaboration_type(client)["slug"]
    drafts = [{"title": f"Title {n:02}", "type": kind, "slug": f"s{n:02}"} for n in range(20)]
    made = [record["slug"] for record in together(client, collaboration, drafts)]
    touched = made[::3]
    start = int(str(client.get("/v1/changes?limit=1").headers["etag"]).strip('"s'))
    steps = iter(touched)
    seen: list[str] = []
    for turn, page in enumerate(pages(client, f"{collaboration.path}?sort={sort}&limit=4&fields=slug")):
        seen += [record["slug"] for record in page["items"]]
        for slug in (next(steps, None), next(steps, None)):  # another client, between two pages
            if slug is not None:
                patch(client, collaboration, {"slug": slug}, summary=f"Changed in turn {turn}")
        withdraw(client, collaboration, collaboration(client, type=kind, slug=f"w{turn:02}"))
        collaboration(client, type=kind, slug=f"n{turn:02}")
    untouched = [slug for slug in made if slug not in touched]
    assert Counter(slug for slug in seen if slug in untouched) == Counter(untouched)
    told = [change["slug"] for change in client.get(f"/v1/changes?after={start}&limit=200").json()["items"]]
    assert set(touched) <= set(told)
    assert set(made) - set(told) == set(untouched)
    assert set(seen) - set(made) <= set(told)
