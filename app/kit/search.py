"""Search: the words of every record in one index, FTS5 on SQLite and tsvector with GIN on PostgreSQL, behind one function.

A record has texts, each of a rank: its name, other names, and so on. Every text that is a name has a row in `search_text`,
and all texts together have one more, of the lowest rank, so that words are also found which stand in several of them.
The number of a row holds rank, sequence and place, so that the first rows that the index finds are the best ones, the same
on both databases. Of a word that half of the records hold only these are looked at: ranking all is what would cost.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, mapped_column

from app.kit import words
from app.kit.among import among
from app.kit.db import Base, Key, Transaction, table_of
from app.kit.inserts import Part
from app.kit.words import Question


class Rank(enum.IntEnum):
    """What a text is to its record, the telling ones first."""

    title = 1
    other = 2
    acronym = 3
    former = 4
    prose = 5


WEIGHTS = {Rank.title: 1.0, Rank.other: 0.95, Rank.acronym: 0.9, Rank.former: 0.75, Rank.prose: 0.5}


class Text(NamedTuple):
    """A text of a record: where it stands in it (a JSON Pointer), what it says, what it is."""

    pointer: str
    value: str
    rank: Rank


Texts = Callable[[Mapping[str, Any]], Iterable[Text]]
"""The texts of a record, from its document."""

CANDIDATES = 200
"""Rows that are looked at, of each way to find some."""
_KEY_LENGTH = 200
_PROSE = Rank.prose
_PLACES = 0xFF


class SearchText(Base):
    """A text by which a record is found. `key` is its words as they would be asked for; of all texts together there is none."""

    __tablename__ = "search_text"
    __table_args__ = (sa.Index(None, "key", "noun"),)

    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    noun: Mapped[str] = mapped_column(sa.String(40))
    record_id: Mapped[UUID] = mapped_column(sa.Uuid, index=True)
    key: Mapped[str | None] = mapped_column(Key)


class Tokens(sa.types.TypeDecorator[Sequence[str]]):
    """A sequence of tokens as the index of the database takes it."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(TSVECTOR() if dialect.name == "postgresql" else sa.Text())

    def process_bind_param(self, value: Sequence[str] | None, dialect: Dialect) -> str | None:
        if value is None or dialect.name == "sqlite":
            return None if value is None else " ".join(value)
        return _as_tsvector(value)


def _as_tsvector(tokens: Sequence[str]) -> str:
    """Of a token that stands several times PostgreSQL gathers the places, as many and as far as a tsvector knows."""
    return " ".join([f"'{token}':{n}" for n, token in enumerate(tokens, 1)])


class Phrase(NamedTuple):
    """Words that stand next to each other; `begun`: the last of them is perhaps the begin of one."""

    words: Sequence[str]
    begun: bool = False


Clauses = Sequence[Sequence[Sequence[Phrase]]]
"""What the index is asked: all of these; of each, one of several; of that, every phrase."""


class Asked(sa.types.TypeDecorator[Clauses]):
    """Clauses in the language of the database's index. Words hold letters and digits alone, so nothing needs escaping."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Clauses | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        phrase, every, either = _LANGUAGES[dialect.name]
        return every.join(
            f"({either.join(f'({every.join(map(phrase, phrases))})' for phrases in clause)})" for clause in value
        )


def _fts5(phrase: Phrase) -> str:
    return f'"{" ".join(phrase.words)}"' + "*" * phrase.begun


def _tsquery(phrase: Phrase) -> str:
    return "(" + " <-> ".join(f"'{word}'" for word in phrase.words) + ":*" * phrase.begun + ")"


_LANGUAGES: dict[str, tuple[Callable[[Phrase], str], str, str]] = {
    "sqlite": (_fts5, " AND ", " OR "),
    "postgresql": (_tsquery, " & ", " | "),
}


TEXT = table_of(SearchText)
# Made by the migration, an FTS5 table on SQLite, a table with a tsvector on PostgreSQL; no model, for they differ.
INDEX = sa.Table("search_index", sa.MetaData(), sa.Column("rowid", sa.BigInteger), sa.Column("words", Tokens))


class matches(sa.sql.functions.FunctionElement[Any]):  # noqa: N801  # it reads as an operator
    """Whether the row of the index answers the question."""

    type = sa.types.NULLTYPE  # a Boolean would be compared with 1, and SQLite's index would not be used
    inherit_cache = True


@compiles(matches, "sqlite")
def _matches_fts5(element: matches, compiler: Any, **options: Any) -> str:
    return f"search_index MATCH {compiler.process(element.clauses, **options)}"


@compiles(matches, "postgresql")
def _matches_tsquery(element: matches, compiler: Any, **options: Any) -> str:
    return f"search_index.words @@ CAST({compiler.process(element.clauses, **options)} AS tsquery)"


@cache
def _token(noun: str) -> str:
    """The token that every row of a noun holds, so that a noun is a word like any other to the index."""
    return f"{words.MARK}{noun.replace('-', '')}"


# --- writing ----------------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """What the index is to hold of a record from the write number `sequence` on: nothing, where it has no texts."""

    noun: str
    record: UUID
    sequence: int
    texts: Sequence[Text]
    fresh: bool  # nothing of it is there yet


def store(tx: Transaction, entries: Iterable[Entry]) -> None:
    """Bring the index to what `entries` say. Of several for one record the last counts."""
    last = {entry.record: entry for entry in entries}
    if not last:
        return
    forget(tx, [entry.record for entry in last.values() if not entry.fresh])
    rows = chain.from_iterable(map(_rows, last.values()))
    while part := sorted(islice(rows, 1000), key=_by_number):  # all of them would be more than the records themselves
        tx.execute(_INSERT_TEXT, [dict(zip(_COLUMNS, row, strict=True)) for row, _ in part])
        tx.execute(_INSERT_WORDS, [{"rowid": row[0], "words": found} for row, found in part])
    numbers = [entry.sequence for entry in last.values()]
    if tx.connection.dialect.name == "sqlite" and (min(numbers) - 1) // MERGED < max(numbers) // MERGED:
        tx.connection.exec_driver_sql(_MERGE)


_INSERT_TEXT, _INSERT_WORDS = sa.insert(TEXT), sa.insert(INDEX)
MERGED = 64
"""After so many writes SQLite's index of words puts parts of it together, rewriting so many pages at most. By itself it does
so only where very much is written at once; and a word is looked up in every part."""
_MERGE = f"INSERT INTO search_index (search_index, rank) VALUES ('merge', {MERGED})"  # noqa: S608  # a number of ours


def compact(tx: Transaction) -> None:
    """Put SQLite's index of words in one part: it takes some 3 µs a text, and a word is looked up twice as fast as in the
    ten parts that very many writes at once leave."""
    if tx.connection.dialect.name == "sqlite":
        tx.connection.exec_driver_sql("INSERT INTO search_index (search_index) VALUES ('optimize')")


def arriving(written: sa.CTE) -> tuple[sa.Insert, sa.Insert]:
    """What lets records be found, as parts of a statement of PostgreSQL that knows the numbers of their writes only as
    `written.seq`, and which write is which by its `place`. `arrays` gives the parameters."""
    given: dict[str, type[sa.types.TypeEngine[Any]]] = {
        "writes": sa.Integer, "places": sa.BigInteger, "keys": sa.Text, "words": sa.Text,
    }  # fmt: skip
    row = (
        sa.func.unnest(*(sa.bindparam(f"row_{name}", type_=sa.ARRAY(kind)) for name, kind in given.items()))
        .table_valued(*given)
        .render_derived("row")
    )
    number = (sa.type_coerce(row.c.places, sa.BigInteger) + written.c.seq * (_PLACES + 1)).label("number")
    rows = written.join(row, row.c.writes == written.c.place)
    texts = sa.select(number, written.c.noun, written.c.record_id, row.c["keys"]).select_from(rows)
    found = sa.select(number, sa.cast(row.c.words, TSVECTOR)).select_from(rows)
    return sa.insert(TEXT).from_select(_COLUMNS, texts), sa.insert(INDEX).from_select(("rowid", "words"), found)


def arrays(entries: Iterable[Entry | None]) -> dict[str, list[Any]]:
    """The rows of entries that have no numbers yet, column by column; of each, the how manieth entry (from 1) it is of."""
    rows = [
        (write, row, _as_tsvector(found))
        for write, entry in enumerate(entries, 1)
        if entry is not None
        for row, found in _rows(entry)
    ]
    return {
        "row_writes": [write for write, _, _ in rows],
        "row_places": [row[0] for _, row, _ in rows],
        "row_keys": [row[3] for _, row, _ in rows],
        "row_words": [words for _, _, words in rows],
    }


def entering(entries: Iterable[Entry]) -> tuple[Part, Part]:
    """What lets new records be found, very many at once."""
    rows = sorted(chain.from_iterable(map(_rows, entries)), key=_by_number)
    found = [(row[0], tokens) for row, tokens in rows]
    return Part(TEXT, _COLUMNS, [row for row, _ in rows]), Part(INDEX, ("rowid", "words"), found)


_Row = tuple[int, str, UUID, str | None]
_COLUMNS = ("id", "noun", "record_id", "key")


def _by_number(row: tuple[_Row, list[str]]) -> int:
    """Rows are stored in the order of their numbers: FTS5 writes out all that it holds in memory whenever a number is less than
    the one before, and merging so many small pieces would take half of an import."""
    return row[0][0]


def forget(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Take the texts of these records out of the index."""
    if ids:
        for statement in _FORGETTING:
            tx.execute(statement, {"ids": ids})


_OF_RECORDS = among(TEXT.c.record_id)
_FORGETTING = (
    sa.delete(INDEX).where(INDEX.c.rowid.in_(sa.select(TEXT.c.id).where(_OF_RECORDS))),
    sa.delete(TEXT).where(_OF_RECORDS),
)


def _rows(entry: Entry) -> Iterator[tuple[_Row, list[str]]]:
    noun = _token(entry.noun)
    parts = [(text.rank, *words.apart(text.value)) for text in entry.texts]
    named = [part for part in parts if part[0] is not _PROSE][:_PLACES]
    for place, (rank, found, marks) in enumerate(named):
        yield _row(entry, rank, place, _key(found)), [*found, *marks, *map(words.sketch, found), noun]
    if len(parts) > 1 or (parts and not named):
        every = [
            word for _, found, _ in parts for word in (*found, words.END)
        ]  # no phrase runs from one text into the next
        marks = sorted({mark for _, _, several in parts for mark in several})
        yield _row(entry, Rank.prose, _PLACES, None), [*every, *marks, noun]


def _row(entry: Entry, rank: Rank, place: int, key: str | None) -> _Row:
    return _number(rank, entry.sequence, place), entry.noun, entry.record, key


def _number(rank: Rank, sequence: int, place: int) -> int:
    return rank << 60 | sequence << 8 | place


def key_of(text: str) -> str:
    """The key of a text: its words as a question that means exactly it would have them."""
    return _key(words.apart(text)[0])


def _key(found: Sequence[str]) -> str:
    return " ".join(found)[:_KEY_LENGTH].rstrip()


# --- finding ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """A record that answers a question, how well (0 to 1), and the key of the text that does (None: all of them together)."""

    noun: str
    record: UUID
    score: float
    key: str | None


def answering(asked: Question, nouns: Sequence[str] = (), *, whole_words: bool = False) -> Clauses:
    """What the index is asked for a question: all its phrases and marks, and one of the nouns."""
    last = len(asked.phrases) - 1
    phrases = [Phrase(words, asked.begun and not whole_words and n == last) for n, words in enumerate(asked.phrases)]
    return [[[*phrases, *(Phrase((mark,)) for mark in asked.marks)]], *_one_of(nouns)]


def _one_of(nouns: Sequence[str]) -> Clauses:
    return [[[Phrase((_token(noun),))] for noun in nouns]] if nouns else []


def search(tx: Transaction, asked: Question, nouns: Sequence[str], limit: int) -> list[Found]:
    """At most `limit` records that answer the question, the best first.

    Found are those whose name or another text is exactly what is asked, those that begin so, and the first CANDIDATES that
    hold the words anywhere; so what is exact is never missed, however common its words are.
    """
    best: dict[UUID, tuple[float, int, Found]] = {}
    for row in _candidates(tx, asked, nouns):
        score = _score(asked, row)
        if row.record_id not in best or (-score, row.id) < best[row.record_id][:2]:
            best[row.record_id] = (-score, row.id, Found(row.noun, row.record_id, round(score, 3), row.key))
    return [found for _, _, found in sorted(best.values(), key=lambda one: one[:2])[:limit]]


def _candidates(tx: Transaction, asked: Question, nouns: Sequence[str]) -> Iterator[Any]:
    exact: Sequence[Any] = ()
    if (key := _key(asked.words)) and not asked.marks:  # a key does not know of marks
        bounds = {"key": key, "beyond": key + chr(0x10FFFF), "nouns": list(nouns)}
        exact = tx.rows(_exact(bool(nouns)), bounds)
        yield from exact
        yield from tx.rows(_beginning(bool(nouns)), bounds)
    if asked.phrases or asked.marks:
        rows = tx.rows(_MATCHING, {"asked": answering(asked, nouns, whole_words=True)})
        yield from rows
        if asked.begun and not exact and len(rows) < CANDIDATES:  # what is exactly there was not begun, but meant
            yield from _begun(tx, {"asked": answering(asked, nouns)})


def _begun(tx: Transaction, asked: Mapping[str, Any]) -> Iterator[Any]:
    """The texts that hold a begun word. PostgreSQL cannot tell how many these are, and its guess is far off: so the first texts
    of both classes are looked through, more of them where some answer, and only where few do is the index asked for all."""
    if tx.connection.dialect.name == "sqlite":
        yield from tx.rows(_MATCHING, asked)
        return
    for near, far, all_of_them in _THOROUGHLY:
        rows = tx.rows(near, asked)
        if FEW <= len(rows) < ENOUGH:
            rows = tx.rows(far, asked)
        yield from rows if len(rows) >= ENOUGH else tx.rows(all_of_them, asked)


_SHOWN = (TEXT.c.id, TEXT.c.noun, TEXT.c.record_id, TEXT.c.key)
_ASKED = sa.bindparam("asked", type_=Asked)
_LONGER = sa.literal_column(str(Rank.prose << 60), sa.BigInteger)
_CLASSES = (INDEX.c.rowid < _LONGER, INDEX.c.rowid >= _LONGER)
"""Names, and longer texts: a word that most of the latter hold may be in none of the former."""
NEAR, FAR = 4_000, 40_000
"""Texts of a class that are looked through one by one."""
FEW, ENOUGH = 12, CANDIDATES // 2
"""Of the near ones so many must answer for the far ones to hold enough; and so many are enough."""


def _shown(found: sa.FromClause) -> sa.Select[Any]:
    return sa.select(*_SHOWN).join(found, found.c.rowid == TEXT.c.id).order_by(TEXT.c.id)


def _first(of_class: sa.ColumnElement[bool], asked: sa.BindParameter[Any] = _ASKED) -> sa.Select[Any]:
    """The first that answer, in whatever way the planner thinks best."""
    first = sa.select(INDEX.c.rowid).where(matches(asked), of_class).order_by(INDEX.c.rowid).limit(CANDIDATES)
    return sa.select(first.subquery().c.rowid)


def _among(size: int, of_class: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Those among the first texts that answer."""
    near = sa.select(INDEX).where(of_class).order_by(INDEX.c.rowid).limit(size).subquery(INDEX.name)
    return _shown(sa.select(near.c.rowid).where(matches(_ASKED)).order_by(near.c.rowid).limit(CANDIDATES).subquery())


def _all(of_class: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The first that answer, by the index of words: in an order that no other index has."""
    found = sa.select(INDEX.c.rowid).where(matches(_ASKED), of_class)
    return _shown(found.order_by(INDEX.c.rowid + 0).limit(CANDIDATES).subquery())


@cache
def _names(count: int) -> sa.Select[Any]:
    """The names that answer each of so many questions: a statement, in which each is planned by what it asks."""
    firsts = [_first(_CLASSES[0], sa.bindparam(f"asked_{n}", type_=Asked)).subquery() for n in range(count)]
    each = [
        sa.select(sa.literal_column(str(n), sa.Integer).label("question"), first.c.rowid)
        for n, first in enumerate(firsts)
    ]
    found = sa.union_all(*each).subquery()
    return _shown(found).add_columns(found.c.question)


_MATCHING = _shown(sa.union_all(*map(_first, _CLASSES)).subquery())
_THOROUGHLY = [(_among(NEAR, each), _among(FAR, each), _all(each)) for each in _CLASSES]


@cache
def _exact(of_nouns: bool) -> sa.Select[Any]:  # noqa: FBT001
    statement = sa.select(*_SHOWN).where(TEXT.c.key == sa.bindparam("key", type_=TEXT.c.key.type))
    return _of_nouns(statement, of_nouns).order_by(TEXT.c.id).limit(CANDIDATES)


@cache
def _beginning(of_nouns: bool) -> sa.Select[Any]:  # noqa: FBT001
    key, beyond = (sa.bindparam(name, type_=TEXT.c.key.type) for name in ("key", "beyond"))
    statement = sa.select(*_SHOWN).where(TEXT.c.key > key, TEXT.c.key < beyond)
    return _of_nouns(statement, of_nouns).order_by(TEXT.c.key, TEXT.c.noun, TEXT.c.id).limit(CANDIDATES)


def _of_nouns(statement: sa.Select[Any], of_nouns: bool) -> sa.Select[Any]:  # noqa: FBT001
    return statement.where(TEXT.c.noun.in_(sa.bindparam("nouns", expanding=True))) if of_nouns else statement


def _score(asked: Question, row: Any) -> float:
    """How well a text answers: all of it is what is asked, it begins so, it holds the words; times the weight of its rank."""
    rank, wanted = Rank(row.id >> 60), asked.words
    if row.key is None or not wanted:
        return WEIGHTS[rank] * 0.6
    there = row.key.split(" ")
    if there == wanted:
        quality = 1.0
    elif there[: len(wanted)] == wanted:
        quality = 0.8
    elif row.key.startswith(asked.key):
        quality = 0.75
    else:
        quality = 0.6
    covered = min(len(wanted) / len(there), 1.0) if quality < 1 else 0.0
    return WEIGHTS[rank] * (quality + 0.04 * covered)


def alike(tx: Transaction, noun: str, several: Sequence[Sequence[Sequence[str]]]) -> list[Sequence[Any]]:
    """For each of several questions the first CANDIDATES names (noun, record_id, key, id) of a noun that hold all sketches of
    one of its sets. (No other text has sketches.)"""
    asked = [[[Phrase((sketch,)) for sketch in together] for together in sets] for sets in several]
    found: list[Sequence[Any]] = []
    for either, rows in zip(asked, _named(tx, [[either] for either in asked]), strict=True):
        if len(rows) < CANDIDATES:  # all there are; and the noun is the word that the index finds most of
            found.append([row for row in rows if row.noun == noun])
        else:
            found += _named(tx, [[either, *_one_of([noun])]])
    return found


def _named(tx: Transaction, several: Sequence[Clauses]) -> list[list[Any]]:
    """What the names say to each of several questions. Some are asked together: 16, 8, 4, 2 or 1."""
    found: list[list[Any]] = [[] for _ in several]
    start = 0
    while start < len(several):
        count = min(TOGETHER, 1 << (len(several) - start).bit_length() - 1)
        asked = {f"asked_{n}": clauses for n, clauses in enumerate(several[start : start + count])}
        for row in tx.rows(_names(count), asked):
            found[start + row.question].append(row)
        start += count
    return found


TOGETHER = 16
"""So many questions are one statement at most: to ask one costs PostgreSQL's client as much as the answer."""


def exactly(tx: Transaction, noun: str, keys: Sequence[str]) -> Sequence[Any]:
    """The texts of a noun with one of these keys, the telling ranks first."""
    return tx.rows(_OF_KEYS, {"keys": list(keys), "noun": noun})


def later(tx: Transaction, noun: str, sequence: int) -> Sequence[Any] | None:
    """The names of a noun (noun, record_id, key, id) that were written after the write number `sequence`; None where these are
    more than LATER."""
    bounds = {f"behind_{rank}": _number(rank, sequence, _PLACES) for rank in _NAMING}
    rows = tx.rows(_LATER, {"noun": noun, **bounds})
    return rows if len(rows) <= LATER else None


LATER = 300
_NAMING = tuple(rank for rank in Rank if rank is not _PROSE)


def _behind(rank: Rank) -> sa.Select[Any]:
    """The texts of a rank behind a bound."""
    behind = sa.bindparam(f"behind_{rank}", type_=sa.BigInteger)
    beyond = sa.literal_column(str(_number(Rank(rank + 1), 0, 0)), sa.BigInteger)
    return sa.select(*_SHOWN).where(TEXT.c.id > behind, TEXT.c.id < beyond, TEXT.c.noun == sa.bindparam("noun"))


_LATER = sa.select(sa.union_all(*map(_behind, _NAMING)).subquery()).limit(LATER + 1)


def sequence_of(row: Any) -> int:
    """The number of the write from which on the text in a row is there."""
    return int(row.id) >> 8 & 0xF_FFFF_FFFF_FFFF


def rank_of(row: Any) -> Rank:
    """What the text in a row is to its record."""
    return Rank(row.id >> 60)


_OF_KEYS = sa.select(*_SHOWN).where(among(TEXT.c.key, "keys"), TEXT.c.noun == sa.bindparam("noun")).order_by(TEXT.c.id)


def answers(identifier: sa.ColumnElement[Any], asked: Question, noun: str) -> sa.ColumnElement[bool]:
    """Whether the record with this id is one that answers the question, in the words of a WHERE clause."""
    if not asked.phrases and not asked.marks:
        return sa.false()
    value = sa.bindparam(None, answering(asked, (noun,)), type_=Asked, unique=True)
    index = sa.select(INDEX.c.rowid).where(matches(value))
    return identifier.in_(sa.select(TEXT.c.record_id).where(TEXT.c.id.in_(index)))


def texts_of(ranks: Mapping[str, Rank]) -> Texts:
    """The texts of a noun whose texts are fields of their own, with what each is."""

    def texts(record: Mapping[str, Any]) -> Iterator[Text]:
        return (Text(f"/{name}", record[name], rank) for name, rank in ranks.items() if record.get(name))

    return texts
