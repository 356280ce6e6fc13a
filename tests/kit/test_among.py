"""Among: one parameter holds however many keys, and finds the rows of exactly these."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from app.kit import inserts
from app.kit.among import among
from app.kit.db import Database, Transaction
from app.kit.ids import new_id
from app.kit.search import TEXT
from tests.conftest import TESTER

TEXTS = ["plain", 'a "quoted" one', "back\\slash", "{braces, and commas}", "NULL", "", "Ünïcode 中"]


def test_texts_and_ids_are_found_whatever_they_hold(database: Database) -> None:
    records = [new_id(datetime(2026, 3, 1, tzinfo=UTC)) for _ in TEXTS]
    rows = [
        {"id": n, "noun": "organizations", "record_id": record, "key": key}
        for n, (record, key) in enumerate(zip(records, TEXTS, strict=True))
    ]

    def work(tx: Transaction) -> None:
        inserts.insert(tx, inserts.part(TEXT, rows))
        by_key, by_id = (
            sa.select(TEXT.c.id).where(among(TEXT.c.key)),
            sa.select(TEXT.c.id).where(among(TEXT.c.record_id)),
        )
        for n, (record, key) in enumerate(zip(records, TEXTS, strict=True)):
            assert tx.execute(by_key, {"ids": [key, "none such"]}).scalars().all() == [n]
            assert tx.execute(by_id, {"ids": [record, new_id(tx.now)]}).scalars().all() == [n]
        assert sorted(tx.execute(by_key, {"ids": TEXTS * 300}).scalars()) == list(range(len(TEXTS)))
        assert tx.execute(by_key, {"ids": []}).all() == []

    database.write(work, TESTER)
