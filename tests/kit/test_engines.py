"""Opening a database."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import exc

from app.kit import engines
from app.settings import HOME

AT_ONCE = """
import sys
from app.kit.engines import make_engine
from tests.support.forks import at_once

def open_it(address):
    with make_engine(address, pool_size=1).connect() as connection:
        return int(connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal")

for address in sys.argv[1:]:
    at_once(*[lambda: open_it(address)] * 10)
"""
"""Ten processes open each of some new files at the same moment."""


def test_a_new_file_is_opened_by_all_who_open_it_at_once(tmp_path: Path) -> None:
    """SQLite refuses some of them, in every fifth file."""
    addresses = [f"sqlite:///{tmp_path}/{n}.db" for n in range(20)]
    said = subprocess.run(
        [sys.executable, "-c", AT_ONCE, *addresses], cwd=HOME, capture_output=True, text=True, check=False, timeout=120
    )
    assert said.returncode == 0, said.stderr


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """A file without a log, on which somebody else holds a lock."""
    path = tmp_path / "held.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE t (a)")
        other.execute("BEGIN EXCLUSIVE")
        yield path


def test_a_file_that_stays_locked_is_given_up(held: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "PATIENCE", 0.05)
    engine = engines.make_engine(f"sqlite:///{held}?timeout=0.1", pool_size=1)
    with pytest.raises(exc.OperationalError, match="locked"), engine.connect():
        pass
    engine.dispose()


def test_a_file_that_is_no_database_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "text.db"
    path.write_text("This is a text, and rather longer than the head of a database is. " * 20)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits"))
    engine = engines.make_engine(f"sqlite:///{path}", pool_size=1)
    with pytest.raises(exc.DatabaseError, match="not a database"), engine.connect():
        pass
    engine.dispose()
