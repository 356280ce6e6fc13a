"""Backups: a whole registry in one file, taken while it is written to, that is there only once it is complete."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import subprocess  # pg_dump is a program
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL

from app.kit.engines import connecting, parsed

PAGES = 4096
"""Pages of an SQLite file that are copied at once; in between others may write."""
LIBPQ = frozenset(("host", "hostaddr", "port", "dbname", "user", "options", "connect_timeout", "target_session_attrs",
                   "sslmode", "sslrootcert", "sslcert", "sslkey", "service", "passfile"))  # fmt: skip
"""What of an address pg_dump is told on its command line, which everybody may read: no password."""


class BackupError(Exception):
    """There is no backup. The message says what to do."""


def backup(url: str, path: Path, environment: Mapping[str, str], *, overwrite: bool = False) -> None:
    """Write the registry at `url` into the file `path`: an SQLite registry, or PostgreSQL's custom format, for pg_restore.
    Raises BackupError."""
    if path.exists() and not overwrite:
        raise BackupError(f"{path} is there already. Nothing was written. To replace it: --overwrite")
    address = parsed(url)
    with _in_place(path) as made:
        if address.get_backend_name() == "sqlite":
            _copy(Path(address.database or ""), made)
        else:
            _dump(address, made, environment)


@contextmanager
def _in_place(path: Path) -> Iterator[Path]:
    """A new file beside `path` that takes its place when it is whole and on the disk."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        made = Path(file.name)
    try:
        yield made
        _settle(made)
        made.replace(path)
        _settle(path.parent)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def _settle(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(source: Path, target: Path) -> None:
    """SQLite's online backup: one state of the file, whoever writes to it meanwhile."""
    if not source.is_file():
        raise BackupError(f"{source} is not there.")
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, timeout=5)) as live,
            closing(sqlite3.connect(target)) as made,
        ):
            # One read transaction around all of it: without that, each write of another process begins the copy again.
            live.isolation_level = None
            live.execute("BEGIN")
            live.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            live.backup(made, pages=PAGES)
            made.execute("PRAGMA journal_mode = DELETE")  # one file, and none beside it
            found = [str(row[0]) for row in made.execute("PRAGMA integrity_check")]
    except sqlite3.Error as error:
        raise BackupError(f"{source} cannot be copied: {error}") from None
    if found != ["ok"]:
        raise BackupError(f"The copy of {source} is not sound, and was thrown away: {found[0]}")


def _dump(address: URL, target: Path, environment: Mapping[str, str]) -> None:
    """PostgreSQL's own dump, which is one state as well. The password goes through the environment: nobody else reads that."""
    words = connecting(address)
    password = words.pop("password", None)
    told = make_conninfo(**{name: value for name, value in words.items() if name in LIBPQ})
    command = ["pg_dump", "--format=custom", "--no-owner", f"--file={target}", f"--dbname={told}"]
    program = shutil.which(command[0], path=environment.get("PATH", ""))
    if program is None:
        raise BackupError(f"pg_dump is not on the PATH. Where it is, run: {shlex.join(command)}")
    environment = {**environment, **({"PGPASSWORD": str(password)} if password else {})}
    said = subprocess.run([program, *command[1:]], env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if said.returncode != 0:
        raise BackupError(said.stderr.strip())
