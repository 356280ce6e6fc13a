"""Very many rows at once: what is stored, and what is said of a row that cannot be, is what any statement would do and say."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.kit import inserts
from app.kit.db import Database, Transaction
from app.kit.ids import new_id
from app.kit.search import TEXT
from tests.conftest import TESTER

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


def test_a_violation_is_told_as_of_any_statement_and_the_transaction_goes_on(database: Database) -> None:
    record = new_id(MOMENT)

    def work(tx: Transaction) -> int:
        inserts.insert(tx, inserts.part(TEXT, rows(["one"], record)))
        with pytest.raises(IntegrityError), tx.connection.begin_nested():
            inserts.insert(tx, inserts.part(TEXT, rows(["again"], record)))
        return int(tx.execute(sa.select(sa.func.count()).select_from(TEXT)).scalar_one())

    assert database.write(work, TESTER) == 1
