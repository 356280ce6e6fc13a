"""API keys over HTTP and at the command line: made once, shown once, taken back at once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from app.auth import keys
from app.auth.policy import Role
from app.kit import records
from app.kit.db import Database
from app.kit.engines import make_engine
from app.kit.errors import Conflict, Invalid
from tests.conftest import TESTER, Server, Ticking
from tests.support.answers import Json, nothing_written, pages, pointers, problem
from tests.support.wire import KEY
from tests.test_cli import run, served


@pytest.fixture
def database(server: Server, clock: Ticking) -> Iterator[Database]:
    """A registry of its own: keys outlive a test."""
    opened = records.open_database(server.fresh("empty"), pool_size=4, clock=clock)
    yield opened
    opened.close()


def made(client: httpx.Client, name: str, role: str = "editor", **more: str) -> Json:
    answer = client.post("/v1/keys", json={"name": name, "role": role, **more})
    assert answer.status_code == 201, answer.text
    body: Json = answer.json()
    return body


def bearer(key: Json) -> dict[str, str]:
    return {"Authorization": f"Bearer {key['secret']}"}


def test_a_key_is_shown_once_and_opens_at_once(client: httpx.Client) -> None:
    answer = client.post("/v1/keys", json={"name": "maria.rossi", "role": "editor"})
    key = answer.json()
    assert answer.headers["location"] == "/v1/keys/maria.rossi"
    assert answer.headers["cache-control"] == "no-store"
    assert key["secret"].startswith("concord_")
    assert len(key["secret"]) == len("concord_") + 43  # 256 bits
    assert key["hint"] == key["secret"][-4:]
    assert (key["created_by"], key["expires_at"], key["revoked_at"]) == ("tester", None, None)
    shown = client.get("/v1/keys/maria.rossi").json()
    assert shown == {name: value for name, value in key.items() if name != "secret"}
    organization = client.post("/v1/organizations", json={"name": "A", "kind": "other"}, headers=bearer(key))
    assert organization.status_code == 201
    assert client.get("/v1/organizations/a/revisions").json()["items"][0]["author"] == "maria.rossi"


def test_the_database_holds_no_secret(client: httpx.Client, database: Database) -> None:
    key = made(client, "maria.rossi")
    with database.engine.connect() as connection:
        rows = connection.execute(sa.select(keys.TABLE)).all()
    assert key["secret"] not in str(rows)
    assert hashlib.sha256(key["secret"].encode()).hexdigest() in str(rows)


def test_a_revoked_key_opens_nothing_from_the_next_request_on(client: httpx.Client) -> None:
    key = made(client, "maria.rossi")
    assert client.get("/v1/organizations", headers=bearer(key)).status_code == 200
    assert client.delete("/v1/keys/maria.rossi").status_code == 204
    problem(client, client.get("/v1/organizations", headers=bearer(key)), 401)
    shown = client.get("/v1/keys/maria.rossi").json()
    assert (shown["revoked_by"], shown["revoked_at"] is not None) == ("tester", True)
    assert client.delete("/v1/keys/maria.rossi").status_code == 204
    assert client.get("/v1/keys/maria.rossi").json() == shown


def test_a_key_that_another_process_revokes_opens_nothing_here(
    client: httpx.Client, server: Server, database: Database
) -> None:
    key = made(client, "maria.rossi")
    assert client.get("/v1/organizations", headers=bearer(key)).status_code == 200
    url = database.engine.url.render_as_string(hide_password=False)
    assert run("key", "revoke", "maria.rossi", database_url=url).returncode == 0
    assert client.get("/v1/organizations", headers=bearer(key)).status_code == 401


def test_an_expired_key_opens_nothing(client: httpx.Client, clock: Ticking) -> None:
    key = made(client, "visitor", "reader", expires_at="2026-03-01T12:00:00+01:00")
    assert key["expires_at"] == "2026-03-01T11:00:00Z"
    assert client.get("/v1/organizations", headers=bearer(key)).status_code == 200
    clock.now += timedelta(hours=3)
    problem(client, client.get("/v1/organizations", headers=bearer(key)), 401)


def test_a_name_is_used_once_also_when_its_key_is_revoked(client: httpx.Client) -> None:
    made(client, "maria.rossi")
    client.delete("/v1/keys/maria.rossi")
    body = problem(client, client.post("/v1/keys", json={"name": "maria.rossi", "role": "reader"}), 409)
    assert body["existing"] == "maria.rossi"


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"name": "Maria", "role": "editor"}, "/name"),
        ({"name": "", "role": "editor"}, "/name"),
        ({"name": "m" * 65, "role": "editor"}, "/name"),
        ({"name": "maria\nrossi", "role": "editor"}, "/name"),
        ({"name": "oidc:maria", "role": "editor"}, "/name"),
        ({"name": "seed", "role": "editor"}, "/name"),
        ({"name": "anonymous", "role": "editor"}, "/name"),
        ({"name": "maria", "role": "owner"}, "/role"),
        ({"name": "maria"}, "/role"),
        ({"name": "maria", "role": "editor", "expires_at": "2026-02-01T00:00:00Z"}, "/expires_at"),
        ({"name": "maria", "role": "editor", "expires_at": "2027-02-01T00:00:00"}, "/expires_at"),
        ({"name": "maria", "role": "editor", "secret": "of-my-own"}, "/secret"),
        ({"name": "maria", "role": "editor", "created_by": "me"}, "/created_by"),
    ],
)
def test_a_bad_key_is_refused(client: httpx.Client, given: Json, pointer: str) -> None:
    with nothing_written(client):
        assert pointers(problem(client, client.post("/v1/keys", json=given), 422)) == [pointer]
    assert len(client.get("/v1/keys").json()["items"]) == 1


def test_the_description_of_a_name_lets_through_what_is_taken_and_nothing_else(app: FastAPI) -> None:
    name = app.openapi()["components"]["schemas"]["KeyIn"]["properties"]["name"]
    taken, refused = (
        ("maria.rossi", "a", "2nd@office_b-1"),
        ("Maria", "maria rossi", "maria\n", ".maria", "oidc:maria", ""),
    )
    assert [bool(re.search(name["pattern"], each)) for each in taken] == [True] * len(taken)
    # (JSON Schema's $ is the very end, which Python writes as \Z.)
    assert [bool(re.search(name["pattern"].replace("$", r"\Z"), each)) for each in refused] == [False] * len(refused)


def test_keys_are_paged_by_name(client: httpx.Client) -> None:
    for name in ("c", "a", "b.2", "b-1"):
        made(client, name)
    found = [item["name"] for page in pages(client, "/v1/keys?limit=2") for item in page["items"]]
    assert found == ["a", "b-1", "b.2", "c", "tester"]
    problem(client, client.get("/v1/keys?cursor=x"), 400)


def test_an_unknown_key_is_not_found(client: httpx.Client) -> None:
    problem(client, client.get("/v1/keys/nobody-there"), 404)
    problem(client, client.delete("/v1/keys/nobody-there"), 404)


def test_the_last_admins_key_is_not_revoked_over_http(client: httpx.Client) -> None:
    problem(client, client.delete("/v1/keys/tester"), 409)
    second = made(client, "second", "admin")
    assert client.delete("/v1/keys/tester").status_code == 204
    problem(client, client.delete("/v1/keys/second", headers=bearer(second)), 409)


def test_two_admins_do_not_revoke_each_other_at_the_same_moment(client: httpx.Client) -> None:
    second = made(client, "second", "admin")
    pairs = [("second", {}), ("tester", bearer(second))]
    with ThreadPoolExecutor(2) as pool:
        statuses = list(pool.map(lambda pair: client.delete(f"/v1/keys/{pair[0]}", headers=pair[1]).status_code, pairs))
    assert sorted(statuses) in ([204, 401], [204, 409])


def test_of_equal_keys_made_at_once_one_is_made(client: httpx.Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client.post, "/v1/keys", json={"name": "twin", "role": "reader"}) for _ in range(8)]
    assert sorted(each.result().status_code for each in asked) == [201, *[409] * 7]


def test_a_live_stream_ends_when_its_key_is_revoked(client: httpx.Client) -> None:
    key = made(client, "listener", "reader")
    headers = bearer(key) | {"Accept": "text/event-stream"}
    with client.stream("GET", "/v1/changes", headers=headers, timeout=20) as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("retry")
        client.delete("/v1/keys/listener")
        client.post("/v1/organizations", json={"name": "A secret", "kind": "other"})
        assert [line for line in lines if line.startswith("data")] == []


def test_a60_no_key_that_was_sent_is_in_the_log_the_metrics_or_the_database(server: Server, tmp_path: Path) -> None:
    url, log = server.fresh("seeded"), tmp_path / "log"
    with served(url, "--no-seed", log=log, log_level="debug") as (_, client):
        key = made(client, "maria.rossi")
        sent = [key["secret"], "concord_" + "w" * 43, "not-even-one-" + "x" * 30]
        asked = [client.get("/v1/organizations", headers={"Authorization": f"Bearer {secret}"}) for secret in sent]
        asked += [client.get("/v1/organizations", params={name: sent[0]}) for name in ("api_key", "access_token")]
        asked.append(client.post("/v1/organizations", json={"name": "A", "kind": "other"}, headers=bearer(key)))
        metrics = client.get("/metrics").text
    assert [answer.status_code for answer in asked] == [200, 401, 401, 400, 400, 201]
    wrong = [answer.json() for answer in asked[1:3]]
    assert wrong[0] == wrong[1]  # which of the two was nearer to a key, nobody learns
    engine = make_engine(url, pool_size=1)
    with engine.connect() as connection:
        tables = [table for table in sa.inspect(connection).get_table_names() if not table.startswith("search_index")]
        rows = str([connection.exec_driver_sql(f'SELECT * FROM "{table}"').all() for table in tables])  # noqa: S608  # ours
    engine.dispose()
    assert "maria.rossi" in rows
    for place in (log.read_text(), metrics, rows, *(answer.text for answer in asked)):
        assert not [secret for secret in [*sent, KEY] if secret in place]


# --- the first key ----------------------------------------------------------------------------------------------------


def test_a_new_registry_gets_one_first_key(server: Server) -> None:
    url = server.fresh("empty")
    opened = records.open_database(url, pool_size=1)
    with opened.engine.begin() as connection:
        connection.execute(keys.TABLE.delete())
    first = opened.write(lambda tx: keys.first(tx, None), TESTER)
    assert first is not None
    assert (first.key.name, first.key.role) == ("admin", Role.admin)
    assert opened.read(lambda tx: keys.find(tx, first.secret)) is not None
    assert opened.write(lambda tx: keys.first(tx, "another"), TESTER) is None
    opened.close()


def test_serving_prints_the_first_key_once_and_a_given_one_never(server: Server) -> None:
    printed = [_first_words(server.fresh("blank"), admin_key=secret) for secret in ("", "given-" + "x" * 40)]
    assert [text.count("concord_") for text in printed] == [1, 0]
    assert "given-" not in printed[1]


def _first_words(url: str, admin_key: str) -> str:
    """What `concord serve` says, on a port that is taken: it ends by itself."""
    import socket

    given = {"admin_key": admin_key} if admin_key else {}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        first = run("serve", "--port", port, "--no-seed", database_url=url, **given)
        second = run("serve", "--port", port, "--no-seed", database_url=url, **given)
    assert "concord_" not in second.stdout + second.stderr
    return first.stdout + first.stderr


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_makes_lists_and_revokes(server: Server) -> None:
    url = server.fresh("empty")
    secret = run("key", "create", "maria.rossi", "--role", "editor", database_url=url).stdout.strip()
    assert secret.startswith("concord_")
    made = run("key", "create", "guest", "--role", "reader", "--expires", "2999-01-01T00:00:00Z", database_url=url)
    assert made.returncode == 0
    assert run("key", "revoke", "guest", database_url=url).returncode == 0
    listed = run("key", "list", database_url=url).stdout.splitlines()
    assert [line.split()[:2] for line in listed] == [
        ["guest", "reader"],
        ["maria.rossi", "editor"],
        ["tester", "admin"],
    ]
    assert "revoked" in listed[0]
    assert secret[-4:] in listed[1]
    assert secret not in str(listed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "Maria", "--role", "editor"), "a-z"),
        (("create", "tester", "--role", "editor"), "names are used once"),
        (("create", "maria", "--role", "editor", "--expires", "tomorrow"), "expires"),
        (("create", "maria", "--role", "editor", "--expires", "2001-01-01T00:00:00Z"), "expired"),
        (("revoke", "nobody-there"), "no key"),
    ],
)
def test_the_command_says_what_is_wrong(server: Server, arguments: tuple[str, ...], said: str) -> None:
    answer = run("key", *arguments, database_url=server.fresh("empty"))
    assert answer.returncode == 1
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


def test_rules_hold_below_http_too(database: Database) -> None:
    with pytest.raises(Invalid):
        database.write(lambda tx: keys.make(tx, "Not A Name", Role.reader), TESTER)
    with pytest.raises(Conflict):
        database.write(lambda tx: keys.make(tx, "tester", Role.reader), TESTER)
