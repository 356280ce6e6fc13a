"""Look-ups: what the driver is asked by itself is what SQLAlchemy would have asked, told and refused."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Connection

from app.kit import lookups
from app.kit.db import NOBODY, Clock, Database, Several, Transaction, table_of
from app.kit.errors import Unavailable
from app.registry.citations import Citation
from app.registry.organizations import Organization

ORGANIZATIONS, C = table_of(Organization), table_of(Citation)
SLUG = ORGANIZATIONS.c.slug
KEYED = sa.select(ORGANIZATIONS).where(sa.bindparam("key", type_=SLUG.type) == SLUG)
OF_CITATIONS = (
    sa.select(C, sa.func.count().over().label("of"), sa.literal("%(a)s ?").label("odd"))
    .where(
        C.c.target_noun == sa.bindparam("noun", type_=C.c.target_noun.type),
        C.c.created_at <= sa.bindparam("until", type_=C.c.created_at.type),
    )
    .order_by(C.c.slug)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


@contextmanager
def alone(database: Database) -> Iterator[Connection]:
    """A connection for a single statement, which this thread does not keep."""
    try:
        with database.primary.asking() as connection:
            yield connection
    finally:
        database.primary.rest()


def _both(database: Database, statement: sa.Select[Any], **values: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    direct = database.read(lambda tx: tx.rows(statement, values), alone=True)
    with alone(database) as connection:
        return direct, connection.execute(statement, values).all()


def test_every_column_is_what_sqlalchemy_makes_of_it(seeded: Database) -> None:
    now = seeded.clock()
    for statement, values in (
        (KEYED, {"key": "ilo"}), (KEYED, {"key": "nobody"}), (KEYED, {"key": "'; --"}),
        (OF_CITATIONS, {"noun": "collaborations", "until": now, "most": 20}),
        (OF_CITATIONS, {"noun": "organizations", "until": now.replace(year=2000), "most": 20}),
        (sa.select(SLUG, SLUG.label("again"), ORGANIZATIONS.c.founded_earliest).order_by(SLUG), {}),
    ):  # fmt: skip
        direct, usual = _both(seeded, statement, **values)
        assert [tuple(row) for row in direct] == [tuple(row) for row in usual]
        assert [type(value) for row in direct for value in row] == [type(value) for row in usual for value in row]
        assert [row._fields for row in direct] == [row._fields for row in usual]


def test_an_in_that_is_written_out_is_asked_the_usual_way(seeded: Database) -> None:
    statement = sa.select(SLUG).where(SLUG.in_(sa.bindparam("several", expanding=True))).order_by(SLUG)
    for several in (["ilo"], ["ilo", "oecd"], []):
        direct, usual = _both(seeded, statement, several=several)
        assert [row.slug for row in direct] == [row.slug for row in usual] == several


def test_who_listens_to_statements_hears_all(seeded: Database) -> None:
    heard: list[str] = []
    sa.event.listen(seeded.engine, "before_cursor_execute", lambda *call: heard.append(call[2]))
    seeded.read(lambda tx: tx.rows(KEYED, {"key": "ilo"}), alone=True)
    assert len(heard) == 1


def test_a_second_question_begins_a_transaction(seeded: Database) -> None:
    asked: list[int] = []

    def twice(tx: Transaction) -> list[str]:
        asked.append(1)
        return [tx.rows(KEYED, {"key": key})[0].slug for key in ("ilo", "oecd")]

    assert seeded.read(twice, alone=True) == ["ilo", "oecd"]
    assert len(asked) == 2
    with alone(seeded) as connection, pytest.raises(Several):
        twice(Transaction(connection, seeded.clock(), NOBODY, snapshot=True, left=1))


def test_an_error_is_the_one_that_sqlalchemy_tells_and_the_connection_goes_on(seeded: Database) -> None:
    none = sa.select(sa.Table("no_such_table", sa.MetaData(), sa.Column("id", sa.Integer)))
    with alone(seeded) as connection:
        with pytest.raises(exc.DBAPIError) as usual:
            connection.execute(none)
        connection.rollback()
        with pytest.raises(type(usual.value)) as direct:
            lookups.rows(connection, none, {})
        assert str(direct.value.orig) == str(usual.value.orig)
        assert direct.value.statement == usual.value.statement
        assert [row.slug for row in lookups.rows(connection, KEYED, {"key": "ilo"})] == ["ilo"]


def test_a_line_that_is_lost_is_taken_up_anew(seeded: Database) -> None:
    """PostgreSQL ends all sessions; the reading that meets the dead line is done again, on another."""
    if seeded.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no lines to lose")
    read = partial(seeded.read, lambda tx: tx.rows(KEYED, {"key": "ilo"})[0].slug, alone=True)
    assert read() == "ilo"
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    lone = sa.create_engine(seeded.engine.url, isolation_level="AUTOCOMMIT")
    with lone.connect() as connection:
        connection.exec_driver_sql(end)
    lone.dispose()
    assert read() == "ilo"


def test_a_look_up_takes_no_longer_than_a_reading_may(seeded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    if seeded.engine.dialect.name != "sqlite":
        pytest.skip("the server ends its statements itself")
    monkeypatch.setattr("app.kit.sides.READ_SECONDS", 0.2)
    seq = table_of(Clock).c.seq
    numbers = sa.select(sa.literal(1).label("n")).cte("numbers", recursive=True)
    endless = sa.select(sa.func.max(numbers.union_all(sa.select(numbers.c.n + 1)).c.n), seq)
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        seeded.read(lambda tx: tx.rows(endless, {}), alone=True)
    assert time.monotonic() - begun < 20
