"""One table says who may do what, and every route asks it: each cell is tried over each route, with a key of each role."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from app.api.limits import FAILURES
from app.api.strict import StrictRoute
from app.api.v1 import RESOURCES
from app.auth import keys, policy
from app.auth.policy import GRANTS, OPEN, Permission, Role
from app.kit import records
from app.kit.db import Author, Database, Transaction
from app.kit.errors import Forbidden
from tests.conftest import TESTER
from tests.support.answers import nothing_written, problem
from tests.support.builders import organization
from tests.support.wire import UNTRUSTING, Wire

CALLERS: list[Role | None] = [None, *Role]
UNLISTED = {
    "/",
    "/.well-known/api-catalog",
    "/problems",
    "/problems/{slug}",
    "/openapi.json",
    "/docs",
    "/v1/reconcile/view",
}
"""Pages that are in no description and open to anybody."""


def routes(app: FastAPI) -> Iterator[tuple[str, str, Permission | None]]:
    """(verb, path, permission) of every route."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            for verb in sorted(route.methods or ()):
                yield verb, str(context.path), (route.openapi_extra or {}).get("x-permission")


Secrets = dict[Role | None, dict[str, str]]


def _maker(role: Role) -> Callable[[Transaction], keys.Made]:
    return lambda tx: keys.make(tx, f"a-{role}", role)


@pytest.fixture
def secrets(client: httpx.Client, database: Database) -> Iterator[Secrets]:
    """For each caller the headers that they send. The client sends none of its own meanwhile."""
    made = {role: database.write(_maker(role), TESTER).secret for role in Role}
    kept = client.headers.pop("authorization")
    yield {None: {}} | {role: {"Authorization": f"Bearer {secret}"} for role, secret in made.items()}
    client.headers["authorization"] = kept
    with database.engine.begin() as connection:
        connection.execute(keys.TABLE.delete().where(keys.TABLE.c.name != TESTER.name))


def test_every_noun_is_in_the_table() -> None:
    assert set(policy.NOUNS) == {resource.plural for resource in RESOURCES}


def test_a_role_may_do_what_those_before_it_may() -> None:
    roles = list(Role)
    for lesser, greater in itertools.pairwise(roles):
        assert GRANTS[lesser] < GRANTS[greater]
    assert GRANTS[Role.reader] > OPEN


def test_every_route_has_a_rule(app: FastAPI) -> None:
    bare = {path for _, path, permission in routes(app) if permission is None}
    listed = {path for path, items in app.openapi()["paths"].items() for item in items.values() if not item["security"]}
    assert bare == UNLISTED | listed
    assert all(path.startswith("/v1/") for _, path, permission in routes(app) if permission is not None)
    asked = {permission for _, _, permission in routes(app) if permission is not None}
    assert asked <= GRANTS[Role.admin]


def test_a_route_without_a_row_in_the_table_does_not_start() -> None:
    with pytest.raises(KeyError, match="nobody may paint organizations"):
        StrictRoute("/paint", lambda: None, openapi_extra={"x-permission": Permission("paint", "organizations")})


def test_every_cell_over_every_route(app: FastAPI, client: httpx.Client, secrets: Secrets) -> None:
    asked = [row for row in routes(app) if row[2] is not None]
    assert len(asked) > 130
    with httpx.Client(base_url=client.base_url, verify=UNTRUSTING) as stranger, nothing_written(stranger):
        for verb, path, permission in asked:
            for caller in CALLERS:
                headers = {"Accept": "application/json", "Content-Type": "text/x-nothing", **secrets[caller]}
                answer = client.request(verb, _at(path), headers=headers, content=b"" if verb == "GET" else b"?")
                allowed = permission in (OPEN if caller is None else GRANTS[caller])
                expected = None if allowed else 401 if caller is None else 403
                refused = answer.status_code if answer.status_code in (401, 403) else None
                assert refused == expected, f"{caller} {verb} {path}: {answer.status_code}"


def _at(path: str) -> str:
    """An address of this form, of nothing that is there."""
    return path.replace("{version}", "1").replace("{", "no-").replace("}", "")


@pytest.mark.usefixtures("private")
@pytest.mark.parametrize("verb", ["GET", "HEAD"])
def test_where_reading_is_not_public_only_keys_read(
    app: FastAPI, client: httpx.Client, secrets: Secrets, verb: str
) -> None:
    for method, path, _ in (row for row in routes(app) if row[2] is not None):
        with_nothing = client.request("HEAD" if (method, verb) == ("GET", "HEAD") else method, _at(path))
        assert with_nothing.status_code == 401, f"{method} {path}"
    for path in ("/v1/organizations", "/v1/changes", "/v1/search?q=x", "/v1/export"):
        assert client.request(verb, path).status_code == 401
        assert client.request(verb, path, headers=secrets[Role.reader]).status_code == 200
    for path in ("/livez", "/readyz", "/openapi.json", "/docs", "/problems/unauthenticated", "/v1", "/"):
        assert client.request(verb, path).status_code == 200


def test_a_reader_writes_nothing_and_an_editor_no_review(client: httpx.Client, secrets: Secrets) -> None:
    organizations, review = {"name": "Harbour office", "kind": "other"}, {"title": "A review", "status": "held"}
    body = problem(client, client.post("/v1/organizations", json=organizations, headers=secrets[Role.reader]), 403)
    assert "a-reader" in body["detail"]
    assert "create organizations" in body["detail"]
    made = client.post("/v1/organizations", json=organizations, headers=secrets[Role.editor])
    assert made.status_code == 201
    assert client.get("/v1/organizations/harbour-office/revisions").json()["items"][0]["author"] == "a-editor"
    assert client.post("/v1/reviews", json=review, headers=secrets[Role.editor]).status_code == 403
    assert client.post("/v1/reviews", json=review, headers=secrets[Role.reviewer]).status_code == 201


def test_the_door_asks_of_every_record_in_a_batch_and_an_import(client: httpx.Client, secrets: Secrets) -> None:
    """The route lets an editor in; what they may not write there is refused record by record, and nothing stays."""
    operations = [
        {"verb": "create", "noun": "organizations", "body": {"name": "Harbour office", "kind": "other"}},
        {"verb": "create", "noun": "reviews", "body": {"title": "A review", "status": "held"}},
    ]
    editor = secrets[Role.editor]
    refused = client.post("/v1/batch", json={"operations": operations}, headers=editor)
    assert problem(client, refused, 403)["operation"] == 1
    lines = '{"noun":"organizations","name":"Harbour office","kind":"other"}\n{"noun":"reviews","title":"A","status":"held"}\n'
    ndjson = {"Content-Type": "application/x-ndjson"}
    problem(client, client.post("/v1/import", content=lines, headers=editor | ndjson), 403)
    assert client.get("/v1/organizations/harbour-office").status_code == 404
    assert client.post("/v1/import", content=lines, headers=secrets[Role.reviewer] | ndjson).status_code == 200


@pytest.mark.parametrize(
    ("verb", "call"),
    [
        ("create", lambda tx, noun, _: records.create(tx, noun, records.validated(noun, {"name": "A", "kind": "other"}))),
        ("change", lambda tx, noun, key: records.change(tx, noun, key, lambda snapshot: snapshot, records.ANYTHING)),
        ("withdraw", lambda tx, noun, key: records.withdraw(tx, noun, key, records.ANYTHING)),
        ("restore", lambda tx, noun, key: records.restore(tx, noun, key)),
    ],
)  # fmt: skip
def test_no_writing_verb_of_the_door_forgets_to_ask(
    client: httpx.Client, database: Database, verb: str, call: object
) -> None:
    made = organization(client)
    (noun,) = (resource for resource in RESOURCES if resource.plural == "organizations")
    asked: list[tuple[str, str]] = []

    def may(verb: str, noun: str) -> bool:
        asked.append((verb, noun))
        return False

    with pytest.raises(Forbidden):
        database.write(lambda tx: call(tx, noun, made["slug"]), Author("nobody", None, may))  # type: ignore[operator]
    assert asked == [(verb, "organizations")]


# --- what is sent as a key --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ("Bearer concord_of-somebody-else-0123456789abcdefghijklmn", "invalid_token"),
        ("Bearer x", "invalid_token"),
        ("Bearer", "invalid_request"),
        ("Bearer a b", "invalid_request"),
        ("Basic dGVzdGVyOng=", "invalid_request"),
        ("", "invalid_request"),
        ("Bearer " + "x" * 8001, "invalid_request"),
    ],
)
def test_a_key_that_opens_nothing_is_refused_also_where_none_is_needed(
    client: httpx.Client, header: str, error: str
) -> None:
    for answer in (
        client.get("/v1/organizations", headers={"Authorization": header}),
        client.post("/v1/organizations", json={"name": "A", "kind": "other"}, headers={"Authorization": header}),
    ):
        body = problem(client, answer, 401)
        assert answer.headers["www-authenticate"] == f'Bearer realm="concord", error="{error}"'
        assert "concord_" not in body["detail"]


def test_without_a_key_the_challenge_names_no_error(client: httpx.Client) -> None:
    with httpx.Client(base_url=client.base_url, verify=UNTRUSTING) as stranger:
        answer = stranger.post("/v1/organizations", json={"name": "A", "kind": "other"})
    problem(client, answer, 401)
    assert answer.headers["www-authenticate"] == 'Bearer realm="concord"'


def test_the_scheme_is_read_in_any_case(client: httpx.Client) -> None:
    secret = client.headers["authorization"].removeprefix("Bearer ")
    assert client.get("/v1/keys", headers={"Authorization": f"BEARER  {secret}"}).status_code == 200


def test_two_keys_in_one_request_are_refused(client: httpx.Client) -> None:
    secret = client.headers["authorization"]
    twice = [("Authorization", secret), ("Authorization", "Bearer x")]
    with httpx.Client(base_url=client.base_url, verify=UNTRUSTING) as stranger:
        problem(client, stranger.get("/v1/organizations", headers=twice), 400)


@pytest.mark.parametrize("name", ["api_key", "access_token", "key"])
def test_a_key_in_the_query_string_is_refused(client: httpx.Client, name: str) -> None:
    body = problem(client, client.get("/v1/organizations", params={name: "concord_x"}), 400)
    assert body["type"] == "/problems/unknown-parameter"
    assert "concord_x" not in str(body)


def test_an_address_that_tries_many_keys_is_told_to_wait_and_a_good_key_is_let_in(client: httpx.Client) -> None:
    guesses = [
        client.get("/v1/organizations", headers={"Authorization": f"Bearer guess-{n}"}) for n in range(FAILURES + 2)
    ]
    assert [answer.status_code for answer in guesses] == [401] * FAILURES + [429] * 2
    problem(client, guesses[-1], 429)
    assert 1 <= int(guesses[-1].headers["retry-after"]) <= 60
    assert client.get("/v1/organizations").status_code == 200


def test_what_needs_no_key_looks_at_none(client: httpx.Client) -> None:
    for path in ("/livez", "/readyz", "/v1", "/docs"):
        assert client.get(path, headers={"Authorization": "Bearer nonsense"}).status_code == 200


def test_a_body_that_is_too_long_is_refused_before_the_key_is_looked_at(client: httpx.Client) -> None:
    headers = [("Authorization", "Bearer x"), ("Content-Length", "1048577")]
    answer = Wire(client.base_url.port or 80).request("POST", "/v1/organizations", headers=headers)
    assert (answer.status, answer.json()["type"]) == (413, "/problems/body-too-large")
