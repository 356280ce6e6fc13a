"""The edge: what it refuses before the application is asked, what it gives up on, and what it says with every answer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from app.api.deadlines import Deadlines
from app.api.edge import Edge
from app.api.limits import RateLimit
from app.api.problems import TYPES
from app.api.verbs import Verbs, VerbsLayer
from app.kit import sides
from app.kit.db import Database, Transaction
from app.kit.errors import Unavailable
from app.settings import Settings
from tests.api.conftest import Make
from tests.cases.refusals import refused
from tests.support.asgi import Client, ask, scope_of
from tests.support.wire import AUTHORIZED, Answer

FAR = "203.0.113.7"
LIST, ILO = "/v1/organizations", "/v1/organizations/ilo"
on_one_database = pytest.mark.parametrize("server", ["sqlite"], indirect=True)
"""For what no database has a part in."""
SOON: Any = 0.25
"""Seconds of a deadline that tests can wait for. (Settings take whole ones.)"""
WRITTEN = json.dumps({"name": "Slow write", "kind": "other"}).encode()
WRITES = [("Content-Type", "application/json"), *AUTHORIZED.items()]


def get(app: FastAPI, target: str, **request: Any) -> Answer:
    return asyncio.run(ask(app, scope_of(target, **request)))


def edged(app: Any, **settings: Any) -> Edge:
    """The edge, and what lies between it and the routes, around an application of the test's own."""
    made = Settings(**settings)
    layer = VerbsLayer(Deadlines(app, settings=made), verbs=Verbs(FastAPI()), root_path=made.root_path)
    return Edge(layer, settings=made, rate=RateLimit(made))


# --- sizes -----------------------------------------------------------------------------------------------------------


@on_one_database
def test_a_query_may_be_as_long_as_is_set_and_no_longer(make: Make) -> None:
    app = make(max_query_bytes=100)
    base = f"{LIST}?q="
    assert get(app, base + "a" * (100 - 2)).status == 200
    told = refused(get(app, base + "a" * (100 - 1)), 414, "uri-too-long")
    assert "100 bytes" in told["detail"]


@on_one_database
def test_headers_may_be_so_long_and_so_many(make: Make) -> None:
    app = make()
    for headers in ([("X-Long", "a" * 33_000)], [("X-Many", "a")] * 101, [("X" * 30_000, "a" * 3_000)]):
        refused(get(app, LIST, headers=headers), 431, "headers-too-large")
    assert get(app, LIST, headers=[("X-Long", "a" * 30_000), *([("X-Many", "a")] * 90)]).status == 200


# --- hosts -----------------------------------------------------------------------------------------------------------


HOSTS = {
    "registry.example.org": True, "REGISTRY.example.org:8443": True, "a.example.net": True, "a.b.example.net": True,
    "[::1]:8000": True, "example.net": False, "evilexample.net": False, "registry.example.org.evil.example": False,
    "evil.example": False, "127.0.0.1": False, "": False, "[::2]": False,
}  # fmt: skip


@on_one_database
def test_only_the_names_that_are_set_are_answered(make: Make) -> None:
    app = make(trusted_hosts=("registry.example.org", "*.example.net", "[::1]"))
    for host, known in HOSTS.items():
        scope = scope_of("/v1")
        scope["headers"] = [(b"host", host.encode())]
        answer = asyncio.run(ask(app, scope))
        if known:
            assert answer.status == 200, host
        else:
            refused(answer, 421, "misdirected-request")


@on_one_database
def test_probes_ask_by_address_and_two_hosts_are_none(make: Make) -> None:
    app = make(trusted_hosts=("registry.example.org",), root_path="/registry")
    for probe in ("/livez", "/readyz", "/registry/livez"):
        assert get(app, probe).status == 200
    told = refused(get(app, LIST), 421, "misdirected-request")
    assert (told["type"], told["instance"]) == ("/registry/problems/misdirected-request", f"/registry{LIST}")
    twice = scope_of(LIST, headers=[("Host", "registry.example.org")])
    refused(asyncio.run(ask(app, twice)), 400, "malformed-request")


# --- rate ------------------------------------------------------------------------------------------------------------


@on_one_database
def test_who_asks_too_often_is_told_when_to_come_again(make: Make) -> None:
    app = make(rate_limit=3)
    for left in (2, 1, 0):
        answer = get(app, ILO)
        assert (answer.status, answer.header("ratelimit")) == (200, f'"default";r={left};t=20')
        assert answer.header("ratelimit-policy") == '"default";q=3;w=60'
    answer = get(app, ILO)
    refused(answer, 429, "too-many-requests")
    assert (answer.header("retry-after"), answer.header("ratelimit")) == ("20", '"default";r=0;t=20')
    assert len([name for name, _ in answer.headers if name == "ratelimit"]) == 1
    key = [("Authorization", "Bearer x")]
    assert get(app, "/problems", headers=key, client=FAR).header("ratelimit") == '"default";r=2;t=20'
    assert get(app, "/problems", headers=key).header("ratelimit") == '"default";r=1;t=20'
    assert {get(app, "/livez").status for _ in range(9)} == {200}  # a busy process is not to be ended
    assert get(app, "/none", client=FAR).header("ratelimit") == '"default";r=1;t=20'


@on_one_database
def test_nothing_is_said_where_nothing_is_counted(make: Make) -> None:
    assert get(make(), ILO).header("ratelimit") is None


@on_one_database
def test_a62_a_client_that_is_no_trusted_proxy_is_counted_by_its_own_address(make: Make) -> None:
    app = make(rate_limit=5)
    told = [get(app, ILO, client=FAR, headers=[("X-Forwarded-For", f"10.1.0.{n}")]).status for n in range(100)]
    assert told == [200] * 5 + [429] * 95


@on_one_database
def test_behind_a_trusted_proxy_the_clients_that_it_saw_are_counted(make: Make) -> None:
    app = make(rate_limit=5, trusted_proxies=("10.0.0.0/8",))

    def told(forged: str, client: str, proxy: str = "10.0.0.7") -> int:
        return get(app, ILO, client=proxy, headers=[("X-Forwarded-For", f"{forged}, {client}, 10.0.0.9")]).status

    assert [told(f"192.0.2.{n}", "198.51.100.1") for n in range(7)] == [200] * 5 + [429] * 2
    assert told("192.0.2.1", "198.51.100.2") == 200
    assert [told(f"192.0.2.{n}", f"198.51.100.{n}", proxy=FAR) for n in range(7)] == [200] * 5 + [429] * 2


@on_one_database
def test_a38_only_a_trusted_proxy_says_which_scheme_was_asked(make: Make) -> None:
    app = make(trusted_proxies=("10.0.0.7",))
    through = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Prefix", "/evil")]
    for client, scheme in (("10.0.0.7", "https"), ("10.0.0.8", "http")):
        answer = get(app, "/v1/reconcile", client=client, headers=through)
        assert answer.status == 200
        assert f'"{scheme}://127.0.0.1/'.encode() in answer.body
        assert b"evil" not in answer.body


# --- room, and time --------------------------------------------------------------------------------------------------


class Slow:
    """An application that answers when it is told to, in two pieces."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.was_stopped = False

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        try:
            while (await receive()).get("more_body"):
                pass
            await self.goes_on.wait()
        except asyncio.CancelledError:
            self.was_stopped = True
            raise
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        await send({"type": "http.response.body", "body": b"2"})


def test_more_requests_than_there_is_room_for_are_refused_at_once_and_streams_take_none() -> None:
    async def run() -> None:
        slow = Slow()
        app = edged(slow, max_requests=2)
        clients = [Client(), Client()]
        tasks = [asyncio.create_task(client.ask(app, scope_of())) for client in clients]
        await asyncio.sleep(0)
        answer = await ask(app, scope_of())
        refused(answer, 503, "overloaded")
        assert answer.header("retry-after")
        slow.goes_on.set()
        for client in clients:
            await client.begun.wait()
        assert (await ask(app, scope_of())).body == b"12"  # the two still stream to clients that do not take it
        for client in clients:
            client.takes.set()
        assert [answer.body for answer in await asyncio.gather(*tasks)] == [b"12", b"12"]

    asyncio.run(run())


@pytest.mark.parametrize(("root", "probe"), [("", "/livez"), ("/registry", "/livez"), ("/registry", "/registry/livez")])
def test_a_server_that_has_no_room_is_alive(root: str, probe: str) -> None:
    async def run() -> None:
        slow = Slow()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await (PlainTextResponse("alive") if scope["path"].endswith("/livez") else slow)(scope, receive, send)

        full = edged(app, max_requests=1, root_path=root)
        waiting = asyncio.create_task(ask(full, scope_of()))
        await asyncio.sleep(0)
        assert [(await ask(full, scope_of(path))).status for path in (probe, "/v1/none/livez")] == [200, 503]
        slow.goes_on.set()
        await waiting

    asyncio.run(run())


def test_who_waits_for_the_rest_of_a_body_takes_no_room_and_no_time() -> None:
    async def run() -> None:
        slow, pieces = Slow(), asyncio.Queue[Message]()
        slow.goes_on.set()
        app = edged(slow, max_requests=1, deadline_seconds=SOON)
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        waiting = asyncio.create_task(app(scope_of(method="POST"), pieces.get, send))
        for more in (True, True, False):
            await asyncio.sleep(SOON)
            assert (await ask(app, scope_of())).status == 200
            pieces.put_nowait({"type": "http.request", "body": b"x", "more_body": more})
        await waiting
        assert sent[0]["status"] == 200

    asyncio.run(run())


@pytest.mark.parametrize(("method", "told"), [("GET", "Nothing was changed"), ("POST", "may still be stored")])
def test_a_request_that_is_not_answered_in_time_is_given_up_and_says_what_may_have_become_of_it(
    method: str, told: str
) -> None:
    async def run() -> None:
        slow = Slow()
        answer = await ask(edged(slow, deadline_seconds=SOON), scope_of(method=method))
        problem = refused(answer, 503, "timed-out")
        assert told in problem["detail"]
        assert answer.header("retry-after")
        assert slow.was_stopped

    asyncio.run(run())


def test_an_answer_that_has_begun_may_take_as_long_as_it_takes() -> None:
    async def run() -> None:
        slow, client = Slow(), Client()
        slow.goes_on.set()
        task = asyncio.create_task(client.ask(edged(slow, deadline_seconds=SOON), scope_of()))
        await asyncio.sleep(3 * SOON)
        client.takes.set()
        assert (await task).body == b"12"

    asyncio.run(run())


def test_a_write_that_waits_too_long_is_answered_while_it_waits(make: Make) -> None:
    app = make(deadline_seconds=1)
    database: Database = app.state.database
    with database.engine.execution_options(**{"for": "write"}).connect() as other:
        other.execute(sa.select(sa.literal(1)))
        if other.dialect.name == "postgresql":
            other.exec_driver_sql("SELECT * FROM clock FOR UPDATE")
        answer = asyncio.run(ask(app, scope_of(LIST, method="POST", headers=WRITES), WRITTEN))
        assert "may still be stored" in refused(answer, 503, "timed-out")["detail"]
        other.rollback()
    assert get(app, ILO).status == 200


def test_an_import_takes_the_time_that_it_needs(make: Make) -> None:
    app = make(deadline_seconds=1)
    database: Database = app.state.database
    rows = b"".join(
        json.dumps({"noun": "organizations", "name": f"Row {n}", "kind": "other"}).encode() + b"\n" for n in range(9)
    )
    lines = [("Content-Type", "application/x-ndjson"), *AUTHORIZED.items()]

    async def run() -> Answer:
        with database.engine.execution_options(**{"for": "write"}).connect() as other:
            other.execute(sa.select(sa.literal(1)))
            if other.dialect.name == "postgresql":
                other.exec_driver_sql("SELECT * FROM clock FOR UPDATE")
            task = asyncio.create_task(ask(app, scope_of("/v1/import", method="POST", headers=lines), rows))
            await asyncio.sleep(1.3)
            assert not task.done()
            other.rollback()
        return await task

    assert asyncio.run(run()).json()["created"] == 9


def test_reading_sqlite_ends_as_reading_postgresql_does(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = sa.text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
    monkeypatch.setattr(sides, "READ_SECONDS", 0.1)

    def work(tx: Transaction) -> None:
        if tx.connection.dialect.name == "postgresql":
            tx.connection.exec_driver_sql("SET LOCAL statement_timeout = '0.1s'")
        tx.execute(endless)

    with pytest.raises(Unavailable):
        database.read(work)
    assert database.read(lambda tx: tx.execute(sa.select(sa.literal(1))).scalar()) == 1


# --- crashes ---------------------------------------------------------------------------------------------------------


def test_a_crash_is_a_problem_with_every_header_and_one_in_a_stream_breaks_it() -> None:
    async def crash(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/begun":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("secret")

    app = edged(crash, cors_origins=("https://a.example",), rate_limit=10)
    answer = asyncio.run(ask(app, scope_of(headers=[("Origin", "https://a.example")])))
    problem = refused(answer, 500, "internal-error")
    assert "secret" not in json.dumps(problem)
    assert answer.header("access-control-allow-origin") == "https://a.example"
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("ratelimit")
    with pytest.raises(RuntimeError, match="secret"):
        asyncio.run(ask(app, scope_of("/begun")))


# --- what every answer says ------------------------------------------------------------------------------------------

SAID = ("x-content-type-options", "referrer-policy", "content-security-policy", "cross-origin-resource-policy")
EVERYTHING = [
    "/", "/livez", "/readyz", "/openapi.json", "/problems", "/problems/gone", "/none", "/v1", LIST, ILO, f"{ILO}?x=1", "/docs",
    "/docs/assets/swagger-ui.css", "/v1/export", f"{LIST}?format=csv", "/v1/graph?format=svg", "/v1/timeline?format=svg",
    "/v1/stats", "/v1/changes", "/v1/reconcile", "/v1/reconcile/preview?id=ilo", "/x%FF", "/v1/calendars/reviews.ics",
]  # fmt: skip


@on_one_database
def test_every_answer_keeps_browsers_from_misusing_it(make: Make) -> None:
    app = make()
    for target in EVERYTHING:
        for method in ("GET", "HEAD", "OPTIONS", "DELETE"):
            names = [name for name, _ in get(app, target, method=method).headers]
            for name in (
                "x-content-type-options",
                "referrer-policy",
                "content-security-policy",
                "cross-origin-resource-policy",
            ):
                assert names.count(name) == 1, (method, target, name)


@on_one_database
def test_each_kind_of_answer_may_do_in_a_browser_what_it_needs(make: Make) -> None:
    app = make()
    policies = {target: str(get(app, target).header("content-security-policy")) for target in EVERYTHING}
    for target, policy in policies.items():
        assert policy.startswith("default-src 'none'"), target
        assert ("frame-ancestors 'none'" in policy) == (target != "/v1/reconcile/preview?id=ilo"), target
        assert ("script-src" in policy) == (target == "/docs"), target
        assert ("'unsafe-inline'" in policy) == (target == "/docs"), target
    assert policies[LIST] == policies["/none"] == "default-src 'none'; frame-ancestors 'none'"
    for target in ("/v1/graph?format=svg", "/v1/reconcile"):
        assert get(app, target).header("cross-origin-resource-policy") == "cross-origin"
    for target in (LIST, "/docs", "/v1/export"):
        assert get(app, target).header("cross-origin-resource-policy") == "same-origin"


@on_one_database
def test_a_304_leaves_the_policy_of_the_copy_alone(make: Make) -> None:
    app = make()
    tag = str(get(app, ILO).header("etag"))
    answer = get(app, ILO, headers=[("If-None-Match", tag)])
    assert (answer.status, answer.header("content-security-policy")) == (304, None)


@on_one_database
def test_a40_the_docs_run_their_own_scripts_and_the_one_in_the_page_by_its_hash(make: Make) -> None:
    answer = get(make(), "/docs")
    policy, page = str(answer.header("content-security-policy")), answer.body.decode()
    scripts = str(re.search(r"script-src ([^;]*)", policy)).split()
    inline = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(inline) == 1
    digest = base64.b64encode(hashlib.sha256(inline[0].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert not [source for source in scripts if "unsafe" in source]
    assert not re.findall(r"\son\w+=|javascript:|(?:src|href)=\"(?:https?:)?//", page)
    assert re.findall(r"(?:src|href)=\"([^\"]+)", page)


# --- a client's bytes in an answer's headers -------------------------------------------------------------------------

INJECTED = ["%0d%0aX-Evil:%201", "%0aX-Evil:%201", "%E5%98%8A%E5%98%8DX-Evil:1", "%00", "%1b[31m", "%22;x=1"]


@on_one_database
def test_a19_a63_no_text_of_a_client_becomes_a_header_or_a_line_of_one(make: Make) -> None:
    app = make(cors_origins=("https://a.example",))
    for text in INJECTED:
        targets = [
            f"/{text}", f"{LIST}?cursor={text}", f"{LIST}?q={text}&limit=1", f"{LIST}/{text}", f"{LIST}?format=csv&q={text}",
            f"/problems/{text}", f"/docs/assets/{text}", f"/v1/reconcile/preview?id={text}", f"//{text}/v1/organizations",
        ]  # fmt: skip
        injected = [("Origin", f"https://a.example{text}"), ("If-None-Match", text), ("X-Request-ID", text)]
        for target in targets:
            for headers in ([], injected):
                answer = get(app, target, headers=headers)
                assert answer.status < 500, target
                assert all(value.isascii() and value.isprintable() for _, value in answer.headers), target
                assert "x-evil" not in dict(answer.headers)
                assert "access-control-allow-origin" not in dict(answer.headers) or "reconcile" in target


@on_one_database
def test_the_types_that_the_edge_answers_are_explained(make: Make) -> None:
    app = make()
    for slug in (
        "request-timeout", "uri-too-long", "misdirected-request", "too-many-requests", "headers-too-large", "overloaded",
        "timed-out",
    ):  # fmt: skip
        assert TYPES[slug].title.encode() in get(app, f"/problems/{slug}").body
