"""Idempotency-Key: a write that is sent again is answered as it was the first time, and is not done again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy.engine import make_url

from app.auth import keys
from app.auth.policy import Role
from app.kit import records
from app.kit.db import Database
from app.kit.repeats import SWEPT, TABLE
from tests.conftest import TESTER, Server, Ticking
from tests.kit.test_db import on_postgresql
from tests.support.answers import nothing_written, parameters, problem, sequence, slugs
from tests.support.builders import NOUNS, organization, patch, source, withdraw
from tests.support.wire import JSON, Wire

HOME = "/v1/organizations"
HARBOUR = {"name": "Harbour office", "kind": "other"}
NDJSON, TEXT = {"Content-Type": "application/x-ndjson"}, {"Content-Type": "text/plain"}
NOW = {"date", "idempotent-replayed", "registry-sequence", "x-request-id"}
"""Headers that say how it is now, or which request this is."""
Arguments = dict[str, Any]


def keyed(key: str, **more: str) -> dict[str, str]:
    return {"Idempotency-Key": key, **more}


def send(client: httpx.Client, path: str, key: str, **arguments: Any) -> httpx.Response:
    headers = keyed(key) | arguments.pop("headers", {})
    return client.post(path, headers=headers, **arguments)


def rows(database: Database) -> int:
    return database.read(lambda tx: int(tx.execute(sa.select(sa.func.count()).select_from(TABLE)).scalar_one()))


def assert_same(first: httpx.Response, second: httpx.Response) -> None:
    """`second` repeats `first` byte by byte, and says that it does."""
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert (second.status_code, second.content) == (first.status_code, first.content)
    said, again = (
        {name: value for name, value in answer.headers.items() if name not in NOW} for answer in (first, second)
    )
    assert again == said


# --- every POST that writes -------------------------------------------------------------------------------------------


def _merged(client: httpx.Client) -> tuple[str, Arguments]:
    merged, into = organization(client), organization(client)
    return f"{organization.at(merged)}/merge", {"json": {"into": into["slug"]}}


def _unmerged(client: httpx.Client) -> tuple[str, Arguments]:
    path, arguments = _merged(client)
    assert client.post(path, **arguments).status_code == 200
    return path.replace("/merge", "/unmerge"), {}


def _batch(client: httpx.Client) -> tuple[str, Arguments]:
    return "/v1/batch", {"json": {"operations": [{"verb": "create", "noun": "organizations", "body": HARBOUR}]}}


def _import(client: httpx.Client) -> tuple[str, Arguments]:
    lines = '{"noun":"organizations","name":"Harbour office","kind":"other"}\n'
    return "/v1/import?rows=true", {"content": lines, "headers": NDJSON}


def _verification(client: httpx.Client) -> tuple[str, Arguments]:
    page = source(client, url="https://office.example/page", language="en")
    return f"{source.at(page)}/verification?accept=true", {"content": "A newer text.", "headers": TEXT}


PROPOSALS = "/v1/proposals"
Request = Callable[[httpx.Client], tuple[str, Arguments]]
OTHERS: dict[str, Request] = {
    "/v1/organizations/{organization_id}/merge": _merged,
    "/v1/organizations/{organization_id}/unmerge": _unmerged,
    "/v1/batch": _batch,
    "/v1/import": _import,
    "/v1/sources/{source_id}/verification": _verification,
}


def _created(plural: str) -> Request:
    return lambda client: (NOUNS[plural].path, {"json": NOUNS[plural].draft(client)})


def _restored(plural: str) -> Request:
    def request(client: httpx.Client) -> tuple[str, Arguments]:
        record = NOUNS[plural](client)
        withdraw(client, NOUNS[plural], record)
        return f"{NOUNS[plural].at(record)}/restore", {}

    return request


def _brought_back(plural: str) -> Request:
    def request(client: httpx.Client) -> tuple[str, Arguments]:
        noun = NOUNS[plural]
        record = noun(client)
        patch(client, noun, record, **noun.change)
        return f"{noun.at(record)}/revisions/1/restore", {"headers": {"If-Match": "*"}}

    return request


def posts(app: FastAPI) -> Iterator[tuple[str, str, str | None]]:
    """(verb of its permission, path, what becomes of a key) of every POST."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        extra = getattr(route, "openapi_extra", None) or {}
        if isinstance(route, APIRoute) and "POST" in (route.methods or ()):
            yield extra["x-permission"].verb, str(context.path), extra["x-repeats"]


def request_of(path: str) -> Request:
    """A request of the form `path` that writes. Raises KeyError: a new POST needs one here."""
    if path in OTHERS:
        return OTHERS[path]
    _, _, plural, *below = path.split("/")
    forms = {(): _created, ("restore",): _restored, ("revisions", "{version}", "restore"): _brought_back}
    return forms[tuple(below[1:])](plural)


def test_every_post_that_writes_takes_a_key_but_for_the_one_that_answers_a_secret(app: FastAPI) -> None:
    taken = {path: repeats for verb, path, repeats in posts(app) if verb != "read"}
    assert {path for path, repeats in taken.items() if repeats == "refused"} == {"/v1/keys"}
    assert set(taken.values()) == {"answered", "refused"}
    apart = [
        path for path in taken if path.startswith(PROPOSALS)
    ]  # tested with them: they are no writes of the registry
    assert len(taken) == 3 * len(NOUNS) + len(OTHERS) + len(apart) + 1
    assert {repeats for verb, _, repeats in posts(app) if verb == "read"} == {None}


def test_every_post_that_writes_is_done_once_and_answered_twice(
    app: FastAPI, client: httpx.Client, database: Database
) -> None:
    answered = [path for _, path, repeats in posts(app) if repeats == "answered" and not path.startswith(PROPOSALS)]
    for number, path in enumerate(answered):
        target, arguments = request_of(path)(client)
        before = sequence(client)
        first = send(client, target, f"key-{number}", **dict(arguments))
        assert first.is_success, f"{path}: {first.text}"
        assert sequence(client) != before, path
        with nothing_written(client):
            assert_same(first, send(client, target, f"key-{number}", **dict(arguments)))
        if path.endswith("/organizations"):
            assert {"etag", "location"} <= set(first.headers)
        assert rows(database) == number + 1
        client.delete(f"{HOME}/harbour-office", headers={"If-Match": "*"})  # the batch and the import make the same


def test_a_write_that_changes_nothing_is_answered_again_too_and_takes_no_number(
    client: httpx.Client, database: Database
) -> None:
    path = f"{organization.at(organization(client))}/restore"
    with nothing_written(client):
        first = send(client, path, "k")
        assert_same(first, send(client, path, "k"))
    assert rows(database) == 1


def test_what_was_answered_is_answered_whatever_became_of_the_record(client: httpx.Client) -> None:
    first = send(client, HOME, "k", json=HARBOUR)
    patch(client, organization, first.json(), acronym="HO")
    withdraw(client, organization, first.json())
    assert_same(first, send(client, HOME, "k", json=HARBOUR))


def test_the_warnings_are_those_of_the_first_time(client: httpx.Client) -> None:
    organization(client, name="Harbour office of Geneva")
    first = send(client, HOME, "k", json={"name": "Harbour office in Geneva", "kind": "other"})
    unkeyed = client.post(HOME, json={"name": "Harbour office at Geneva", "kind": "other"})
    assert [warning["code"] for warning in first.json()["warnings"]] == ["resembles"]
    assert len(unkeyed.json()["warnings"]) == 2
    assert_same(first, send(client, HOME, "k", json={"name": "Harbour office in Geneva", "kind": "other"}))


def test_the_warnings_are_those_that_a_request_without_a_key_gets(client: httpx.Client) -> None:
    for number in range(4):
        organization(client, name=f"Harbour office {number}")
    body = {"name": "Harbour office 9", "kind": "other"}
    first = send(client, HOME, "k", json=body)
    withdraw(client, organization, first.json())
    second = client.post(HOME, json=body)
    assert first.json().get("warnings") == second.json().get("warnings")


# --- another request --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        (HOME, {"json": HARBOUR | {"acronym": "HO"}}),
        (HOME, {"json": HARBOUR, "headers": {"Change-Reason": "Another"}}),
        (HOME, {"json": HARBOUR, "headers": {"If-Match": "*"}}),
        (HOME, {"json": HARBOUR, "headers": {"Content-Type": "application/json; charset=utf-8"}}),
        ("/v1/reviews", {"json": {"title": "A review", "status": "held"}}),
        (f"{HOME}/harbour-office/restore", {}),
        ("/v1/import?rows=true", _import(httpx.Client())[1]),
    ],
)
def test_the_key_of_another_request_is_refused(client: httpx.Client, path: str, arguments: Arguments) -> None:
    first = send(client, HOME, "k", json=HARBOUR)
    with nothing_written(client):
        body = problem(client, send(client, path, "k", **dict(arguments)), 422)
    assert body["type"] == "/problems/idempotency-key-reused"
    assert_same(first, send(client, HOME, "k", json=HARBOUR))


def test_another_query_is_another_request(client: httpx.Client) -> None:
    path, arguments = _import(client)
    assert send(client, path, "k", **dict(arguments)).status_code == 200
    problem(client, send(client, "/v1/import?rows=false", "k", **dict(arguments)), 422)


def test_keys_belong_to_those_who_send_them(client: httpx.Client, database: Database) -> None:
    other = database.write(lambda tx: keys.make(tx, "another", Role.editor), TESTER)
    first = send(client, HOME, "k", json=HARBOUR)
    mine = {"Authorization": f"Bearer {other.secret}"}
    assert send(client, HOME, "k", json=HARBOUR, headers=mine).status_code == 409
    body = {"name": "Lighthouse", "kind": "other"}
    second = send(client, HOME, "k", json=body, headers=mine)
    assert second.status_code == 201
    assert_same(second, send(client, HOME, "k", json=body, headers=mine))
    assert_same(first, send(client, HOME, "k", json=HARBOUR))
    with database.engine.begin() as connection:
        connection.execute(keys.TABLE.delete().where(keys.TABLE.c.name == "another"))


def test_what_failed_is_tried_again(client: httpx.Client, database: Database) -> None:
    problem(client, send(client, HOME, "k", json={"name": "Harbour office"}), 422)
    taken = organization(client, name="Harbour office")
    problem(client, send(client, HOME, "k", json=HARBOUR), 409)
    assert rows(database) == 0
    withdraw(client, organization, taken)
    assert send(client, HOME, "k", json=HARBOUR).status_code == 201


def test_a_dry_run_uses_no_key_up(client: httpx.Client, database: Database) -> None:
    path, arguments = _batch(client)
    with nothing_written(client):
        for _ in range(2):
            answer = send(client, f"{path}?dry_run=true", "k", **dict(arguments))
            assert (answer.status_code, "idempotent-replayed" in answer.headers) == (200, False)
    assert rows(database) == 0
    assert send(client, path, "k", **dict(arguments)).status_code == 200


def test_where_nothing_is_posted_or_written_a_key_means_nothing(client: httpx.Client, database: Database) -> None:
    at = organization.at(organization(client, slug="harbour"))
    for _ in range(2):
        assert client.post(f"{HOME}/match", json={"names": ["Harbour"]}, headers=keyed("k")).status_code == 200
        assert client.patch(at, json={"acronym": "H"}, headers=keyed("k", **{"If-Match": "*"})).status_code == 200
        assert client.get(at, headers=keyed("not a key")).status_code == 200
        path, arguments = _verification(client)
        assert send(client, path.replace("=true", "=false"), "k", **arguments).status_code == 200
    assert rows(database) == 0


def test_where_a_secret_is_answered_a_key_is_refused(client: httpx.Client, database: Database) -> None:
    body = problem(client, send(client, "/v1/keys", "k", json={"name": "maria", "role": "editor"}), 400)
    assert parameters(body) == ["Idempotency-Key"]
    assert "secret" in body["errors"][0]["message"]
    assert client.get("/v1/keys/maria").status_code == 404
    assert rows(database) == 0


# --- its form ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "same"),
    [
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", '"8e03978e-40d5-43dd-bc93-6894a57f9324"'),
        ("a", ' "a"\t'),
        ("!#$%&'()*+-./:<=>?@[]^_`{|}~", '"!#$%&\'()*+-./:<=>?@[]^_`{|}~"'),
        ('"a,b;c\\"d\\\\e"', '"a,b;c\\"d\\\\e"'),
        ("k" * 255, '"' + "k" * 255 + '"'),
    ],
)
def test_a_key_is_a_word_bare_or_in_quotes(client: httpx.Client, sent: str, same: str) -> None:
    wire = Wire(client.base_url.port or 80)
    body = b'{"name": "Harbour office", "kind": "other"}'
    first, second = (
        wire.request("POST", HOME, headers=[JSON, ("Idempotency-Key", key)], body=body) for key in (sent, same)
    )
    assert (first.status, first.header("idempotent-replayed")) == (201, None)
    assert (second.status, second.header("idempotent-replayed")) == (201, "true")
    assert second.body == first.body


def test_case_matters(client: httpx.Client) -> None:
    assert send(client, HOME, "k", json=HARBOUR).status_code == 201
    assert send(client, HOME, "K", json=HARBOUR).status_code == 409


@pytest.mark.parametrize(
    "key",
    ["", " ", '""',
     "a b", '"a b"', "a,b", "a;b", "a\\b", '"a', 'a"', '"a"b', '"a";b=1', '"\\a"', "k" * 256, '"\t"', "é", "\x7f"],
)  # fmt: skip
def test_a_key_that_cannot_be_read_is_refused(client: httpx.Client, key: str) -> None:
    wire = Wire(client.base_url.port or 80)
    with nothing_written(client):
        answer = wire.request(
            "POST", HOME, headers=[JSON, ("Idempotency-Key", key)], body=b'{"name": "Harbour office", "kind": "other"}'
        )
    assert answer.status == 400, key
    if key != "\x7f":  # the server itself refuses that in a header
        assert [fault["parameter"] for fault in answer.json()["errors"]] == ["Idempotency-Key"]


def test_two_keys_are_refused(client: httpx.Client) -> None:
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b"), JSON]
    body = problem(client, client.post(HOME, content=b'{"name": "A", "kind": "other"}', headers=twice), 400)
    assert parameters(body) == ["idempotency-key"]


# --- its time ---------------------------------------------------------------------------------------------------------


def test_after_a_day_a_key_is_new(client: httpx.Client, clock: Ticking) -> None:
    path = f"{organization.at(organization(client))}/restore"
    first = send(client, path, "k")
    clock.now += timedelta(hours=24) - timedelta(seconds=1)
    assert_same(first, send(client, path, "k"))
    clock.now += timedelta(seconds=1)
    anew = send(client, HOME, "k", json=HARBOUR)
    assert anew.status_code == 201
    assert_same(anew, send(client, HOME, "k", json=HARBOUR))


def test_keys_that_have_had_their_day_are_removed_by_later_writes_a_few_at_a_time(
    client: httpx.Client, database: Database, clock: Ticking
) -> None:
    path = f"{organization.at(organization(client))}/restore"
    for number in range(SWEPT + 5):
        send(client, path, f"old-{number}")
    clock.now += timedelta(hours=24)
    send(client, path, "new-1")
    assert rows(database) == 5 + 1
    send(client, path, "new-2")
    assert rows(database) == 2
    assert send(client, path, "new-1").headers["idempotent-replayed"] == "true"


# --- at the same time -------------------------------------------------------------------------------------------------


def test_of_twenty_equal_requests_at_once_one_is_done_and_all_have_its_answer(
    client: httpx.Client, database: Database
) -> None:
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda _: send(client, HOME, "k", json=HARBOUR), range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert slugs(client, HOME) == ["harbour-office"]
    assert database.read(lambda tx: tx.sequence()) == 1
    assert rows(database) == 1


def test_of_different_requests_at_once_under_one_key_one_is_done(client: httpx.Client, database: Database) -> None:
    bodies = [{"name": f"Office {number}", "kind": "other"} for number in range(12)]
    with ThreadPoolExecutor(12) as clients:
        answers = list(clients.map(lambda body: send(client, HOME, "k", json=body), bodies))
    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 11
    assert len(slugs(client, HOME)) == 1
    assert database.read(lambda tx: tx.sequence()) == 1


@pytest.fixture
def impatient(app: FastAPI, server: Server, clock: Ticking) -> Iterator[Database]:
    """The registry under `http`: an empty one that waits a twentieth of a second for a lock."""
    url = make_url(server.fresh("empty")).update_query_dict({"options": "-c lock_timeout=50ms"})
    opened = records.open_database(url.render_as_string(hide_password=False), pool_size=2, clock=clock)
    unused, app.state.database = app.state.database, opened
    yield opened
    app.state.database = unused
    opened.close()


@on_postgresql
def test_while_the_first_is_at_work_a_twin_is_told_to_come_back(http: httpx.Client, impatient: Database) -> None:
    unfilled = {"fingerprint": "", "status": 0, "headers": "", "body": b"", "created_at": impatient.clock()}
    with impatient.engine.connect() as first:
        first.execute(TABLE.insert(), {"caller": "tester", "key": "k", **unfilled})
        answer = send(http, HOME, "k", json=HARBOUR)
        first.rollback()
    body = problem(http, answer, 409)
    assert (body["type"], answer.headers["retry-after"]) == ("/problems/request-outstanding", "1")
    assert send(http, HOME, "k", json=HARBOUR).status_code == 201
