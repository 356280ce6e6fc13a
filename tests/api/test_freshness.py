"""Answers that are kept: who gets one, and that nobody gets one that is old."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from app.api import freshness
from app.api.freshness import Freshness, Kept, State, Store, weight
from app.auth import keys
from app.auth.policy import Role
from app.kit import backfill, records
from app.kit.db import Author, Database
from app.kit.probes import FileProbe, ServerProbe
from tests.api.conftest import Make
from tests.conftest import Ticking
from tests.support.asgi import Client, ask, scope_of
from tests.support.builders import organization
from tests.support.wire import AUTHORIZED, Answer

WARM = 6
LIST, ILO = "/v1/organizations?limit=3", "/v1/organizations/ilo"


@contextmanager
def questions(database: Database) -> Iterator[list[str]]:
    """What is asked of the database meanwhile, other than by its probe."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    yield asked
    sa.event.remove(database.engine, "before_cursor_execute", note)


@pytest.fixture
def anybody(registry: httpx.Client) -> Iterator[httpx.Client]:
    """A client without a key."""
    with httpx.Client(base_url=registry.base_url, timeout=30) as client:
        yield client


def warm(client: httpx.Client, target: str, **headers: str) -> httpx.Response:
    """Ask until the answer is kept, and given by the connection itself: what is asked for the first time is not."""
    for _ in range(WARM):
        answer = client.get(target, headers=headers)
    return answer


def core(answer: httpx.Response) -> tuple[Any, ...]:
    """An answer without what each has of its own."""
    own = ("x-request-id", "date")
    return answer.status_code, sorted((n, v) for n, v in answer.headers.items() if n not in own), answer.content


# --- what is kept ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", [ILO, LIST, "/v1/search?q=labour", "/v1/collaborations?include=participants.organization"]
)
def test_what_is_asked_again_is_answered_without_a_question_to_the_database(
    anybody: httpx.Client, seeded: Database, target: str
) -> None:
    first = anybody.get(target)
    warm(anybody, target)
    with questions(seeded) as asked:
        again = anybody.get(target)
    assert asked == []
    assert core(again) == core(first)
    assert again.headers["x-request-id"] != first.headers["x-request-id"]


def test_the_metrics_tell_of_kept_answers(anybody: httpx.Client, app: FastAPI) -> None:
    def told(name: str) -> float:
        lines = anybody.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(f"concord_{name} ")).split()[1])

    app.state.kept.forget()
    before = told("kept_answers_given_total")
    warm(anybody, ILO)
    anybody.get(ILO)
    assert told("kept_answers_given_total") == before + WARM - 1
    assert told("kept_answers") == len(app.state.kept) > 0
    assert told("kept_bytes") == app.state.kept.size > 0


def test_who_has_it_already_is_told_so_without_a_question_to_the_database(
    anybody: httpx.Client, seeded: Database
) -> None:
    tag = anybody.get(LIST).headers["etag"]
    first = anybody.get(LIST, headers={"If-None-Match": tag})
    warm(anybody, LIST, **{"If-None-Match": tag})
    with questions(seeded) as asked:
        again = anybody.get(LIST, headers={"If-None-Match": tag})
    assert (asked, again.status_code, again.content) == ([], 304, b"")
    assert core(again) == core(first)
    warm(anybody, LIST)
    with questions(seeded) as asked:
        other = anybody.get(LIST, headers={"If-None-Match": '"s1"'})
    assert (asked, other.status_code) == ([], 200)


def test_head_answers_as_get_does(anybody: httpx.Client) -> None:
    got = warm(anybody, ILO)
    for _ in range(3):
        head = anybody.head(ILO)
        assert head.content == b""
        assert core(head)[1] == core(got)[1]
    assert core(anybody.get(ILO)) == core(got)


def test_each_form_of_an_address_is_kept_for_those_who_want_it(anybody: httpx.Client) -> None:
    target, wanted = "/v1/changes?limit=3", ("application/json", "application/atom+xml", "*/*")
    kinds = {accept: warm(anybody, target, Accept=accept).headers["content-type"] for accept in wanted}
    assert len(set(kinds.values())) == 2
    for accept, kind in kinds.items():
        assert anybody.get(target, headers={"Accept": accept}).headers["content-type"] == kind


@pytest.mark.parametrize(
    "target", ["/v1/organizations/nobody", "/v1/organizations?limit=0", "/problems/gone", "/livez"]
)
def test_a_refusal_and_what_has_no_entity_tag_are_not_kept(make: Make, target: str) -> None:
    app = make()

    async def asked() -> int:
        for _ in range(4):
            await ask(app, scope_of(target))
        return len(app.state.kept)

    assert asyncio.run(asked()) == 0


@pytest.mark.parametrize("headers", [
    [("Host", "a.example"), ("Host", "b.example")], [("Change-Reason", "a"), ("Change-Reason", "b")],
    [("Content-Length", "99999999")], [("Registry-Sequence", "soon")],
])  # fmt: skip
def test_what_a_route_would_refuse_is_refused_also_when_the_answer_is_kept(
    make: Make, headers: list[tuple[str, str]]
) -> None:
    async def statuses(app: FastAPI) -> list[int]:
        plain = [(await ask(app, scope_of(ILO))).status for _ in range(3)]
        return [*plain, (await ask(app, scope_of(ILO, headers=headers))).status]

    *plain, last = asyncio.run(statuses(make()))
    assert plain == [200] * 3
    assert last in (400, 413)


# --- no answer is old --------------------------------------------------------------------------------------------------


def test_a_write_is_seen_by_the_very_next_request(registry: httpx.Client, anybody: httpx.Client) -> None:
    for turn in range(20):
        before = warm(anybody, ILO)
        patched = registry.patch(
            ILO, json={"description": f"turn {turn}"}, headers={"If-Match": before.headers["etag"]}
        )
        assert patched.status_code == 200
        assert anybody.get(ILO).json() == patched.json()


def test_a_write_by_another_process_is_seen_by_the_very_next_request(anybody: httpx.Client, seeded: Database) -> None:
    warm(anybody, LIST)
    with closing(records.open_database(seeded.engine.url.render_as_string(hide_password=False), pool_size=1)) as other:
        for turn in range(5):
            other.write(lambda tx: backfill.reindex(tx, []), Author("tester"))  # the index of search is empty now
            assert anybody.get("/v1/search?q=labour").json()["items"] == []
            made = other.write(lambda tx: keys.make(tx, f"reader-{turn}", Role.reader), Author("tester"))  # noqa: B023
            header = {"Authorization": f"Bearer {made.secret}"}
            assert warm(anybody, LIST, **header).status_code == 200
            other.write(lambda tx: keys.revoke(tx, f"reader-{turn}"), Author("tester"))  # noqa: B023
            assert anybody.get(LIST, headers=header).status_code == 401


def test_what_depends_on_the_day_is_made_anew_when_it_begins(anybody: httpx.Client, clock: Ticking) -> None:
    target = "/v1/collaborations?limit=200"
    clock.now = datetime(2026, 6, 30, 23, 59, 50, tzinfo=UTC)
    assert warm(anybody, target).headers["etag"].endswith('.d20260630"')
    clock.now = datetime(2026, 7, 1, 0, 0, tzinfo=UTC)
    assert anybody.get(target).headers["etag"].endswith('.d20260701"')


# --- who asks ----------------------------------------------------------------------------------------------------------


def test_a_key_is_looked_up_once_and_until_something_is_written(registry: httpx.Client, seeded: Database) -> None:
    warm(registry, LIST)
    with questions(seeded) as asked:
        assert registry.get(LIST).status_code == 200
    assert asked == []


def test_a_key_that_expires_opens_nothing_from_then_on(
    anybody: httpx.Client, seeded: Database, clock: Ticking, private: None
) -> None:
    until = clock() + timedelta(minutes=5)
    made = seeded.write(lambda tx: keys.make(tx, "guest", Role.reader, expires_at=until), Author("tester"))
    header = {"Authorization": f"Bearer {made.secret}"}
    assert warm(anybody, LIST, **header).status_code == 200
    clock.now = until
    assert anybody.get(LIST, headers=header).status_code == 401


def test_where_reading_is_not_public_nobody_gets_what_is_kept_for_others(
    registry: httpx.Client, anybody: httpx.Client, private: None
) -> None:
    assert warm(registry, LIST).status_code == 200
    assert anybody.get(LIST).status_code == 401
    assert anybody.get(LIST, headers={"Authorization": "Bearer concord_" + "x" * 40}).status_code == 401


def test_no_secret_is_kept(make: Make) -> None:
    app = make()

    async def asked() -> list[Answer]:
        return [await ask(app, scope_of(LIST, headers=AUTHORIZED.items())) for _ in range(4)]

    asyncio.run(asked())
    layer = layer_of(app)
    assert layer._callers
    assert AUTHORIZED["Authorization"].split()[1] not in repr(
        (layer._callers, app.state.kept._kept, app.state.kept.newcomers)
    )


# --- how much ----------------------------------------------------------------------------------------------------------


def layer_of(app: FastAPI) -> Freshness:
    layer: Any = app.middleware_stack
    while not isinstance(layer, Freshness):
        layer = layer._app
    return layer


def test_what_is_asked_once_does_not_push_out_what_is_asked_often(make: Make, database: Database) -> None:
    app = make()

    async def walk() -> int:
        for _ in range(3):
            await ask(app, scope_of(ILO))
        for number in range(200):
            await ask(app, scope_of(f"/v1/organizations?limit={number + 1}"))
        return len(app.state.kept)

    assert asyncio.run(walk()) == 1


def kept(size: int, number: int = 1) -> Kept:
    return Kept(200, [], b"x" * size, '"s1"', "/", 1, State(1, number, datetime(2026, 1, 1, tzinfo=UTC).date()))


def test_the_least_recently_used_goes_when_there_is_no_room() -> None:
    answer = kept(400)
    room = 3 * (answer.size + weight("a"))
    store = Store(room)
    for name in "abc":
        store.keep(name, answer)
    assert store.find("a", answer.state) is answer
    store.keep("d", answer)
    assert [name for name in "abcd" if store.find(name, answer.state)] == ["a", "c", "d"]
    assert store.size == room
    store.keep("d", kept(10))
    assert store.size < room
    store.keep("e", kept(10_000))
    assert (len(store), store.size) == (0, 0)  # one that is too large for all of it goes, too


def test_what_was_made_under_another_state_is_not_found() -> None:
    store = Store(10_000)
    store.keep("a", kept(10))
    assert store.find("a", kept(10, number=2).state) is None


def test_it_is_off_where_nothing_may_be_kept(make: Make) -> None:
    app = make(cache_bytes=0)

    async def asked() -> list[int]:
        return [(await ask(app, scope_of(ILO))).status for _ in range(4)]

    with questions(app.state.database) as sent:
        assert asyncio.run(asked()) == [200] * 4
    assert len([statement for statement in sent if "FROM organization" in statement]) == 4


# --- when many ask at once ---------------------------------------------------------------------------------------------


def test_what_many_ask_for_at_once_is_made_once(make: Make) -> None:
    app = make()

    async def asked() -> list[Answer]:
        await ask(app, scope_of(ILO))
        return list(await asyncio.gather(*(ask(app, scope_of(ILO)) for _ in range(30))))

    with questions(app.state.database) as sent:
        answers = asyncio.run(asked())
    assert len({answer.body for answer in answers}) == 1
    assert {answer.status for answer in answers} == {200}
    assert len([statement for statement in sent if "FROM organization" in statement]) <= 3


def test_a_client_that_does_not_take_its_answer_keeps_nobody_waiting_who_asks_the_same(make: Make) -> None:
    app = make()

    async def asked() -> Answer:
        await ask(app, scope_of(ILO))
        leader = asyncio.create_task(Client().ask(app, scope_of(ILO)))
        await asyncio.sleep(0)
        answer = await asyncio.wait_for(ask(app, scope_of(ILO)), 10)
        leader.cancel()
        return answer

    assert asyncio.run(asked()).status == 200


def test_nobody_waits_for_the_end_of_what_another_is_sent_in_pieces(make: Make) -> None:
    app, stream = make(), [("Accept", "text/event-stream")]

    async def asked() -> list[int]:
        listeners = [Client() for _ in range(4)]
        tasks = [
            asyncio.create_task(each.ask(app, scope_of("/v1/changes?after=0", headers=stream))) for each in listeners
        ]
        for each in listeners:
            each.takes.set()
            await asyncio.wait_for(each.begun.wait(), 10)
        app.state.pulse.stop()
        return [answer.status for answer in await asyncio.wait_for(asyncio.gather(*tasks), 10)]

    assert asyncio.run(asked()) == [200] * 4
    assert len(app.state.kept) == 0


def test_a_client_that_leaves_keeps_nobody_waiting_who_asks_the_same(make: Make) -> None:
    app = make()

    async def asked() -> Answer:
        await ask(app, scope_of(ILO))
        leader = asyncio.create_task(Client().ask(app, scope_of(ILO)))  # which never takes its answer
        await asyncio.sleep(0)
        follower = asyncio.create_task(ask(app, scope_of(ILO)))
        await asyncio.sleep(0.01)
        leader.cancel()
        return await asyncio.wait_for(follower, 10)

    assert asyncio.run(asked()).status == 200


# --- probes ------------------------------------------------------------------------------------------------------------


def on_a_loop(work: Callable[[], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await work()

    return asyncio.run(run())


def test_a_probe_shows_another_state_after_every_write_and_the_same_without_one(database: Database) -> None:
    async def states() -> list[Any]:
        probe, seen = database.probe(), []
        for turn in range(3):
            seen += [await probe.state(), await probe.state()]
            await asyncio.sleep(0)
            work = lambda tx: keys.make(tx, f"key-{turn}", Role.reader)  # noqa: B023, E731
            await asyncio.to_thread(database.write, work, Author("tester"))
        probe.close()
        return seen

    first, same, second, again, third, still = on_a_loop(states)
    assert (first, second, third) == (same, again, still)
    assert len({first, second, third}) == 3
    assert None not in (first, second, third)


def test_one_question_answers_all_who_asked_before_it_was_sent_and_nobody_after(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not database.primary.postgresql:
        pytest.skip("SQLite is asked on the loop itself")

    async def asked() -> tuple[int, int]:
        probe = ServerProbe(database.engine.url)
        sent, under_way = 0, asyncio.Event()
        ask = probe._ask

        def counted() -> None:
            nonlocal sent
            sent += 1
            if sent > 1:
                under_way.set()
            ask()

        monkeypatch.setattr(probe, "_ask", counted)
        await asyncio.gather(*(probe.state() for _ in range(50)))
        together = sent
        first = asyncio.create_task(probe.state())
        await under_way.wait()
        await asyncio.gather(first, *(probe.state() for _ in range(50)))  # they came while it was under way
        probe.close()
        return together, sent - together

    assert on_a_loop(asked) == (1, 2)


def test_a_database_that_cannot_be_probed_is_read(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(_: Any) -> None:
        return None

    for probe in (FileProbe, ServerProbe):
        monkeypatch.setattr(probe, "state", unknown)
    app = make()

    async def asked() -> list[int]:
        return [(await ask(app, scope_of(ILO))).status for _ in range(4)]

    with questions(app.state.database) as sent:
        assert asyncio.run(asked()) == [200] * 4
    assert len([statement for statement in sent if "FROM organization" in statement]) == 4


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_a_line_that_was_cut_is_made_anew_to_the_same_server(database: Database) -> None:
    async def states() -> list[Any]:
        probe = database.probe()
        seen = [await probe.state()]
        line = cast(ServerProbe, probe)._line
        assert line is not None
        end = sa.select(sa.func.pg_terminate_backend(line.info.backend_pid))
        await asyncio.to_thread(database.read, lambda tx: tx.execute(end).all())
        seen.append(await probe.state())  # noticed by now, or not yet: then it is not known
        probe._rest_until = 0.0  # type: ignore[attr-defined]
        seen.append(await probe.state())
        probe.close()
        return seen

    first, cut, anew = on_a_loop(states)
    assert first is not None
    assert cut in (None, first)
    assert anew == first


def test_addresses_that_were_asked_once_are_forgotten_before_they_are_too_many(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "NEWCOMERS", 10)
    app = make()

    async def asked() -> int:
        for number in range(25):
            await ask(app, scope_of(f"/v1/organizations/{number}"))
        return len(app.state.kept.newcomers)

    assert asyncio.run(asked()) <= 10


def test_builders_are_kept_apart_by_the_state_that_they_made(client: httpx.Client) -> None:
    """A slug that is nobody's is asked for, then made, then asked for."""
    assert warm(client, "/v1/organizations/lake-fund").status_code == 404
    made = organization(client, name="Lake Fund")
    assert client.get("/v1/organizations/lake-fund").json() == made
