"""Backups: a whole registry in one file, taken while it is written to, that is there only once it is complete."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy.engine import URL, make_url

PAGES = 4096
"""Pages of an SQLite file that are copied at once; in between others may write."""


class BackupError(Exception):
    """There is no backup. The message says what to do."""


def backup(url: str, path: Path, *, overwrite: bool = False) -> None:
    """Write the registry at `url` into the file `path`: an SQLite registry, or PostgreSQL's custom format, for pg_restore.
    Raises BackupError."""
    if path.exists() and not overwrite:
        raise BackupError(f"{path} is there already. Nothing was written. To replace it: --overwrite")
    address = make_url(url)
    with _in_place(path) as made:
        if address.get_backend_name() == "sqlite":
            _copy(Path(address.database or ""), made)
        else:
            _dump(address, made)


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
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as live,
        closing(sqlite3.connect(target)) as made,
    ):
        # One read transaction around all of it: without that, each write of another process begins the copy again.
        live.isolation_level = None
        live.execute("BEGIN")
        live.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        live.backup(made, pages=PAGES)
        made.execute("PRAGMA journal_mode = DELETE")  # one file, and none beside it
        found = made.execute("PRAGMA integrity_check").fetchall()
        if found != [("ok",)]:
            raise BackupError(f"The copy is not sound, and was thrown away: {found[0][0]}")


def _dump(address: URL, target: Path) -> None:
    """PostgreSQL's own dump, which is one state as well."""
    program = shutil.which("pg_dump")
    plain = address.set(drivername="postgresql", password=None)
    if program is None:
        raise BackupError(
            "pg_dump is not on the PATH. Where it is, run:\n"
            f"  pg_dump --format=custom --no-owner --file={shlex_quote(target)} '{plain.render_as_string()}'"
        )
    environment = dict(os.environ) | ({"PGPASSWORD": str(address.password)} if address.password else {})
    command = [program, "--format=custom", "--no-owner", f"--file={target}", "--dbname", plain.render_as_string()]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # no shell
    if said.returncode != 0:
        raise BackupError(f"pg_dump failed: {said.stderr.strip()}")
