"""What a client may rely on when it follows `next`: a cursor says where it stands, and works in its own list alone."""

from __future__ import annotations

import string
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.kit.db import Database, Key, Transaction, UtcDateTime
from app.kit.errors import Malformed
from app.kit.paging import Order, Position, decode, encode, page
from tests.conftest import TESTER

bounded = settings(derandomize=True, deadline=None, max_examples=150)

TEXT: sa.Column[Any] = sa.Column("t", Key)
WHOLE: sa.Column[Any] = sa.Column("n", sa.Integer)
DAY: sa.Column[Any] = sa.Column("d", sa.Date)
MOMENT: sa.Column[Any] = sa.Column("m", UtcDateTime)

POSITIONS = st.one_of(
    st.tuples(st.just(TEXT), st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=60))),
    st.tuples(st.just(WHOLE), st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))),
    st.tuples(st.just(DAY), st.one_of(st.none(), st.dates())),
    st.tuples(st.just(MOMENT), st.one_of(st.none(), st.datetimes(timezones=st.just(UTC)))),
)
CONTEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
URL_SAFE = frozenset(string.ascii_letters + string.digits + "-_")


def refused(cursor: str, context: str, column: sa.Column[Any]) -> bool:
    with pytest.raises(Malformed) as caught:
        decode(cursor, context, column)
    return bool(caught.value.extra["slug"] == "invalid-cursor")


@bounded
@given(POSITIONS, st.uuids(), CONTEXTS)
def test_a_cursor_gives_back_the_position_it_was_made_of(
    position: tuple[sa.Column[Any], Any], identifier: UUID, context: str
) -> None:
    column, value = position
    cursor = encode(Position(value, identifier), context)
    assert set(cursor) <= URL_SAFE
    found = decode(cursor, context, column)
    assert found == Position(value, identifier)
    assert type(found.value) is type(value)


@bounded
@given(POSITIONS, st.uuids(), CONTEXTS, CONTEXTS)
def test_a_cursor_is_refused_in_any_other_list(
    position: tuple[sa.Column[Any], Any], identifier: UUID, context: str, other: str
) -> None:
    assume(context != other)
    assert refused(encode(Position(position[1], identifier), context), other, position[0])


@bounded
@given(POSITIONS, st.uuids(), CONTEXTS, st.data())
def test_a_cursor_with_any_character_changed_added_or_dropped_is_refused(
    position: tuple[sa.Column[Any], Any], identifier: UUID, context: str, data: st.DataObject
) -> None:
    cursor = encode(Position(position[1], identifier), context)
    at = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.one_of(st.sampled_from(sorted(URL_SAFE)), st.characters()))
    for changed in (
        cursor[:at] + other + cursor[at + 1 :],
        cursor[:at] + other + cursor[at:],
        cursor + other,
        cursor[:at] + cursor[at + 1 :],
        cursor[:at],
    ):
        if changed != cursor:
            assert refused(changed, context, position[0])


@bounded
@given(st.one_of(st.text(), st.text(st.sampled_from([*sorted(URL_SAFE), "="]), max_size=120)), CONTEXTS)
def test_a_text_that_is_no_cursor_is_refused(text: str, context: str) -> None:
    for column in (TEXT, WHOLE, DAY, MOMENT):
        assert refused(text, context, column)


def test_a_cursor_of_any_length_is_refused_in_no_time() -> None:
    assert refused("A" * 5_000_000, "list", TEXT)


@pytest.mark.parametrize("padding", ["=", "==", "\n", " ", "\x00"])
def test_a_cursor_has_one_spelling(padding: str) -> None:
    cursor = encode(Position("a", UUID(int=1)), "list")
    assert refused(cursor + padding, "list", TEXT)
    assert refused(padding + cursor, "list", TEXT)


# --- walking ----------------------------------------------------------------------------------------------------------

ROWS = sa.Table(
    "walked",
    sa.MetaData(),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("text", Key, nullable=False),
    sa.Column("number", sa.Integer, nullable=True),
    sa.Column("day", sa.Date, nullable=True),
    sa.Column("moment", UtcDateTime, nullable=False),
)


def rows() -> list[dict[str, Any]]:
    """40 rows with many ties and many gaps, their ids in no order."""
    return [
        {
            "id": UUID(int=(n * 2654435761) % 2**32 << 96 | n),
            "text": "aBbé中𐀀"[n % 6],
            "number": None if n % 3 == 0 else n % 4,
            "day": None if n % 5 else date(2014, 1, 1 + n % 3),
            "moment": datetime(2026, 3, 1, 9, 0, 0, n % 4 * 1000, tzinfo=UTC),
        }
        for n in range(40)
    ]


@pytest.fixture
def walked(database: Database) -> Database:
    with database.engine.begin() as connection:
        ROWS.create(connection)
    database.write(lambda tx: tx.execute(sa.insert(ROWS), rows()), TESTER)
    return database


def in_order(name: str, *, down: bool) -> list[UUID]:
    """The ids as they should come: those without the key last in both directions, ties by id."""
    having = sorted((r for r in rows() if r[name] is not None), key=lambda r: (r[name], r["id"]), reverse=down)
    lacking = sorted((r for r in rows() if r[name] is None), key=lambda r: r["id"], reverse=down)
    return [row["id"] for row in having + lacking]


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("name", ["text", "number", "day", "moment"])
def test_a_walk_meets_every_row_once_and_in_order_whatever_the_size_of_its_pages(
    walked: Database, name: str, *, down: bool
) -> None:
    column = ROWS.c[name]
    order = Order(column, ROWS.c.id, down)
    for limit in (1, 3, 7, 39, 40, 41):
        seen: list[UUID] = []
        cursor: str | None = None
        for _ in range(41):
            after = decode(cursor, "list", column) if cursor is not None else None

            def work(tx: Transaction, after: Position | None = after, limit: int = limit) -> Any:
                return page(tx, sa.select(ROWS.c.id, column.label("key")), order, limit=limit, after=after)

            found, more = walked.read(work)
            assert 0 < len(found) <= limit
            seen += [row.id for row in found]
            if not more:
                break
            cursor = encode(Position(found[-1].key, found[-1].id), "list")
        assert seen == in_order(name, down=down)
