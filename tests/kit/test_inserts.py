"""Very many rows at once: what is stored, and what is said of a row that cannot be, is what any statement would do and say."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.kit import inserts
from app.kit.db import Database, Transaction
from app.kit.errors import Invalid
from app.kit.ids import new_id
from app.kit.inserts import Part
from app.kit.search import INDEX, TEXT
from tests.conftest import TESTER, Server

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
TEXTS = ["plain", "tab\t and \\ and \\N", "\\N", "lines\r\nand\n", "Ünïcode 中 'quoted' \"twice\"", "", None]


def rows(texts: list[str | None], record: UUID) -> list[dict[str, object]]:
    return [{"id": n, "noun": "organizations", "record_id": record, "key": text} for n, text in enumerate(texts)]


def test_values_come_back_as_they_were(database: Database) -> None:
    record = new_id(MOMENT)

    def work(tx: Transaction) -> list[tuple[UUID, str | None]]:
        inserts.insert(tx, inserts.part(TEXT, []))
        inserts.insert(tx, inserts.part(TEXT, rows(TEXTS, record)))
        return [(row.record_id, row.key) for row in tx.execute(sa.select(TEXT).order_by(TEXT.c.id))]

    assert database.write(work, TESTER) == [(record, text) for text in TEXTS]


@pytest.mark.parametrize("times", [1, 20])
def test_few_and_many_are_stored_alike(database: Database, times: int) -> None:
    """Of several tables at once, in whichever order they refer to each other."""
    texts = [None if text is None else f"{text} {n}" for n in range(times) for text in TEXTS]
    index = [(n, ["a", text.split()[0].strip("\\").lower()] if text else ["b"]) for n, text in enumerate(texts)]
    record = new_id(MOMENT)

    def work(tx: Transaction) -> list[tuple[str | None, int]]:
        inserts.insert(tx, Part(INDEX, ("rowid", "words"), index), inserts.part(TEXT, rows(texts, record)))
        found = sa.select(TEXT.c.key, INDEX.c.rowid).join(INDEX, INDEX.c.rowid == TEXT.c.id).order_by(TEXT.c.id)
        return [(row.key, row.rowid) for row in tx.execute(found)]

    assert database.write(work, TESTER) == list(zip(texts, range(len(texts)), strict=True))


@pytest.mark.parametrize("times", [1, 100])
def test_a_text_that_is_too_long_is_refused_and_not_cut_off(database: Database, server: Server, times: int) -> None:
    """A cast to the type of a column would cut it. (SQLite knows no lengths: it is stored as it is.)"""
    long = [{"id": n, "noun": "x" * 41, "record_id": new_id(MOMENT), "key": None} for n in range(times)]

    def work(tx: Transaction) -> set[str]:
        inserts.insert(tx, inserts.part(TEXT, long))
        return set(tx.execute(sa.select(TEXT.c.noun)).scalars())

    if server.kind == "sqlite":
        assert database.write(work, TESTER) == {"x" * 41}
    else:
        with pytest.raises(Invalid):
            database.write(work, TESTER)


def test_a_violation_is_told_as_of_any_statement_and_the_transaction_goes_on(database: Database) -> None:
    record = new_id(MOMENT)

    def work(tx: Transaction) -> int:
        inserts.insert(tx, inserts.part(TEXT, rows(["one"], record)))
        with pytest.raises(IntegrityError), tx.connection.begin_nested():
            inserts.insert(tx, inserts.part(TEXT, rows(["again"], record)))
        return int(tx.execute(sa.select(sa.func.count()).select_from(TEXT)).scalar_one())

    assert database.write(work, TESTER) == 1
