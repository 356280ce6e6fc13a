"""Many clients at once, over HTTP: nobody's write is lost, nobody is told twice that he was first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx

from app.kit.db import Database

HOME = "/v1/organizations"


def test_of_twenty_equal_posts_one_creates_and_the_others_are_told_the_record(client: httpx.Client) -> None:
    def post(_: int) -> httpx.Response:
        return client.post(HOME, json={"name": "Harbour office", "kind": "other"})

    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(post, range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    created = next(answer.json() for answer in answers if answer.status_code == 201)
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["existing"] == {"id": created["id"], "slug": "harbour-office"}
    assert client.get(HOME, params={"count": "true"}).json()["total"] == 1


def test_equal_titles_at_once_get_slugs_of_their_own(client: httpx.Client) -> None:
    assert client.post("/v1/collaboration-types", json={"label": "Meeting"}).status_code == 201

    def post(_: int) -> str:
        answer = client.post("/v1/collaborations", json={"title": "Annual meeting", "type": "meeting"})
        assert answer.status_code == 201
        return str(answer.json()["slug"])

    with ThreadPoolExecutor(4) as clients:
        slugs = list(clients.map(post, range(8)))
    assert sorted(slugs) == sorted({"annual-meeting", *(f"annual-meeting-{n}" for n in range(2, 9))})


def test_eight_clients_that_read_change_and_write_lose_no_change(client: httpx.Client, database: Database) -> None:
    assert (
        client.post(HOME, json={"slug": "counter", "name": "Counter", "kind": "other", "acronym": "0"}).status_code
        == 201
    )

    def count_up(_: int) -> list[int]:
        statuses = []
        for _ in range(6):
            status = 412
            while status == 412:
                seen = client.get(f"{HOME}/counter")
                change = {"acronym": str(int(seen.json()["acronym"]) + 1)}
                answer = client.patch(f"{HOME}/counter", json=change, headers={"If-Match": seen.headers["etag"]})
                status = answer.status_code
                statuses.append(status)
        return statuses

    with ThreadPoolExecutor(8) as clients:
        statuses = [status for found in clients.map(count_up, range(8)) for status in found]
    assert set(statuses) <= {200, 412}
    last = client.get(f"{HOME}/counter").json()
    assert (last["acronym"], last["version"]) == ("48", 49)
    assert database.read(lambda tx: tx.sequence()) == 49


def test_writers_that_take_whatever_is_there_all_get_in(client: httpx.Client) -> None:
    assert client.post(HOME, json={"slug": "wall", "name": "Wall", "kind": "other"}).status_code == 201

    def write(n: int) -> int:
        return client.patch(f"{HOME}/wall", json={"acronym": f"W{n}"}, headers={"If-Match": "*"}).status_code

    with ThreadPoolExecutor(16) as clients:
        assert set(clients.map(write, range(48))) == {200}
    assert client.get(f"{HOME}/wall").json()["version"] == 49


def test_batches_of_the_same_records_in_opposite_orders_wait_for_each_other(client: httpx.Client) -> None:
    slugs = [f"body-{n}" for n in range(10)]
    for slug in slugs:
        assert client.post(HOME, json={"slug": slug, "name": slug, "kind": "other"}).status_code == 201

    def write(n: int) -> int:
        operations = [
            {"verb": "patch", "noun": "organizations", "record": slug, "if_match": "*", "body": {"acronym": f"N{n}"}}
            for slug in (slugs if n % 2 else reversed(slugs))
        ]
        return client.post("/v1/batch", json={"operations": operations}).status_code

    with ThreadPoolExecutor(8) as clients:
        assert set(clients.map(write, range(24))) == {200}
    final = {client.get(f"{HOME}/{slug}").json()["acronym"] for slug in slugs}
    assert len(final) == 1  # the last batch as a whole
