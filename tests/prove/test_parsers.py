"""Whatever reads what a client sends either reads it or refuses it in the way that it says, and in time that grows with the
length of the text and no faster. Each reader is given bytes at random, and what it reads with bytes changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from app.api import conditional, deps, idempotency, negotiation, sequences, strict
from app.api.v1 import RESOURCES, changes
from app.exchange import files, loose_dates, loose_names, passages, tables
from app.kit import edtf, paging, strict_json, words
from app.kit.db import Key, UtcDateTime
from app.kit.errors import RegistryError
from app.kit.fields import AsOf, Language, Pointer, Uri, WebAddress
from app.kit.text import clean_prose
from tests.support.proofs import Proof

NOUNS = {resource.plural: resource for resource in RESOURCES}
LENGTHS = (300, 4_000, 20_000, 65_536)
"""Bytes. The third is what a query string may hold of a cursor, the last more than any header or query."""


@dataclass(frozen=True)
class Reader:
    """Something that reads bytes of a client."""

    read: Callable[[bytes], object]
    refuses: tuple[type[Exception], ...]
    """What it may raise. Nothing else, whatever it is given."""
    good: tuple[bytes, ...]
    """What it reads."""


def header(name: str, read: Callable[[Request], object], *good: bytes) -> Reader:
    """A reader of one header."""

    def of(raw: bytes) -> object:
        return read(asked(headers=[(name.encode(), raw)]))

    return Reader(of, (RegistryError,), good)


def text(read: Callable[[str], object], refuses: tuple[type[Exception], ...], *good: str) -> Reader:
    """A reader of text. What is no UTF-8 becomes lone surrogates, which JSON can escape."""
    return Reader(
        lambda raw: read(raw.decode("utf-8", "surrogateescape")), refuses, tuple(each.encode() for each in good)
    )


def asked(**scope: Any) -> Request:
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], **scope})


def any_of(reads: Iterable[Callable[[], object]]) -> object:
    """What the last of these reads that does not refuse. Raises the refusal of the last where all do."""
    found: list[object] = []
    for read in reads:
        try:
            found.append(read())
        except RegistryError as refusal:
            refused = refusal
    if not found:
        raise refused
    return found[-1]


COLUMNS: tuple[sa.Column[Any], ...] = (
    sa.Column("t", Key), sa.Column("n", sa.Integer), sa.Column("d", sa.Date), sa.Column("m", UtcDateTime),
)  # fmt: skip


def cursor(raw: bytes) -> object:
    """A cursor that holds `raw`, with the digest that it should have: anybody can compute that."""
    made = paging._text(paging._digest(raw, "list") + raw)
    return any_of(partial(paging.decode, made, "list", column) for column in COLUMNS)


def query(raw: bytes) -> object:
    classes: list[type[BaseModel]] = [*(noun.query for noun in RESOURCES), changes.NamedChangesQuery]
    return any_of(partial(deps.query, asked(query_string=raw), cls) for cls in classes)


def path(raw: bytes) -> object:
    strict.check_path({"raw_path": raw})
    return raw


def declared_table(raw: bytes) -> object:
    """A table, behind eight bytes that say its charset."""
    return list(tables.read(BytesIO(raw[8:]), raw[:8].decode("latin-1")).rows)


WHERE = str(UUID(int=7)).encode()
READERS: dict[str, Reader] = {
    "cursor": Reader(cursor, (RegistryError,), (
        b'["oecd","%s"]' % WHERE, b'[null,"%s"]' % WHERE, b'["2014-12-04","%s"]' % WHERE,
        b'["2014-12-04T10:00:00Z","%s"]' % WHERE,
        b'[7,"%s"]' % WHERE,
    )),
    "cursor, undecoded": text(partial(paging.decode, context="list", column=COLUMNS[0]), (RegistryError,),
                              paging.encode(paging.Position("oecd", UUID(int=7)), "list")),
    "query": Reader(query, (RegistryError,), (
        b"limit=3&sort=-slug&count=true&fields=slug,id", b"q=labour+rights&as_of=2024-03-28T12:00:00%2B02:00",
        b"from=2014&to=201X&match=certain",
        b"updated_since=2024-03-28T12:00:00Z&cursor=abc", b"after=7&noun=organizations,sources",
        b"active_on=2014-12-04&withdrawn=true",
    )),
    "path": Reader(path, (RegistryError,), (b"/v1/organizations/oecd", b"/v1/%C3%A9", b"/v1/a%20b")),
    "If-Match": header("if-match", conditional.expected, b'"v7"', b'*', b'W/"v7", "v8.s1042"', b'"v7.s1042.d20240328"'),
    "If-None-Match": header("if-none-match", conditional.known, b'"s1042"', b'*', b'W/"v7"'),
    "If-None-Match of a creation": header("if-none-match", conditional.creates, b"*"),
    "Registry-Sequence": header("registry-sequence", sequences.seen, b"1042", b"0"),
    "Change-Reason": header("change-reason", deps.change_reason, b"Typing slip.", b"%C3%89t%C3%A9", b"50% done"),
    "Idempotency-Key": header("idempotency-key", idempotency.key_of, b"4f1c", b'"ab"', b'"a\\"b"'),
    "Accept": header("accept", partial(negotiation.preferred, offered=changes.OFFERED), b"application/json",
    b"text/*;q=0.5, */*;q=0.1"),
    "JSON": Reader(strict_json.parse, (RegistryError,), (
        b'{"name":"a","n":[1,2.5,-3e2,true,null],"o":{"x":"\\u00e9"}}', b"[[[]]]", b'"text"',
    )),
    "NDJSON": Reader(lambda raw: list(files.lines(raw, NOUNS, None).rows), (), (
        b'{"noun":"organizations","slug":"a","name":"A","kind":"other"}\n\n{"noun":"sources"}\n', b'{"noun":"reviews"}',
    )),
    "CSV": Reader(lambda raw: list(files.table(raw, NOUNS["organizations"]).rows), (), (
        b"name;kind;founded\r\nA;other;1 May 2014\r\n", b'name,kind\n"A ""b"", c",other\n',
        b"\xef\xbb\xbfname\tkind\nA\tother\n",
        "name,kind\nÉ,other\n".encode("utf-16"), b"sep=;\nname;kind\n",
    )),
    "CSV with a charset": Reader(declared_table, (tables.TableError,), (
        b"utf-8   name,kind\nA,other\n", b"cp1252  name\n\xe9\n", b"latin-1 name;kind\n\xe9;other\n",
    )),
    "text of an edition": Reader(passages.read, (passages.DocumentError,), (
        b"Heading\n\nA sentence. Another (e.g. this) one.\n\n* item\n", "É. “Quoted.” Dr. A. B. Smith said 3.5 %.".encode(),
    )),
    "EDTF": text(edtf.parse, (edtf.EdtfError,), "2014", "2014-12-04", "1999/..", "../2001?", "201X", "2014-21",
    "2014~/2016%", "2018-Q3"),
    "a date in words": text(loose_dates.edtf_of, (loose_dates.DateHint,), "3 May 2018", "c. 1990", "2014–2016",
    "Sept. 2018", "since 1999"),
    "a name in words": text(loose_names.read_name, (), "World Health Organization (WHO)", "A / B (f.k.a. C)",
    "Int'l Org. for X"),
    "a question": text(words.question, (), "labour rights", '"in one text" beg', "C++", "NEAR/2 AND ("),
    "prose": text(clean_prose, (PydanticCustomError,), "Lines\nof text"),
    "renamed columns": text(files.renamed, (ValueError,), "Partner:name,Contact:", "a%2Cb:name"),
    **{
        name: text(kind.validate_python, (ValidationError,), *good)
        for name, kind, good in (
            ("a moment or number", TypeAdapter[Any](AsOf), ("2024-03-28", "1042", "2024-03-28T12:00:00+05:45")),
            ("a web address", TypeAdapter[Any](WebAddress), ("https://example.org/a?b=c#d", "http://[::1]:80/", "https://münchen.example/é")),
            ("a URI", TypeAdapter[Any](Uri), ("urn:isbn:0", "https://example.org/")),
            ("a JSON Pointer", TypeAdapter[Any](Pointer), ("/participants/0/role", "/a~1b~0c")),
            ("a language", TypeAdapter[Any](Language), ("en", "zh-Hant-TW")),
        )
    },
}  # fmt: skip
PIECES = (
    b"a", b"9", b",", b";", b"[", b"{", b'{"a":', b'"', b'\\"', b"%41", b"%", b"=", b"a=1&", b"\n", b"\r\n", b'","',
    b" ", b"/", b"2014/", b"-", b"~",
    b"(", b"((a) ", "é".encode(), "\u0301".encode(), "ﷺ".encode(), b"\xff", b'W/"a",', b". A", b"text/*;q=0.1,",
    b"a;b,c\td|", b"\x00", b"\\",
)  # fmt: skip


@st.composite
def given_bytes(draw: st.DrawFn, good: tuple[bytes, ...]) -> bytes:
    """Random bytes, random text, and what is read with some of its bytes changed, dropped or added."""
    if draw(st.integers(0, 3)) == 0:
        return draw(
            st.one_of(
                st.binary(max_size=200), st.text(max_size=80).map(lambda made: made.encode("utf-8", "surrogatepass"))
            )
        )
    found = bytearray(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(1, 4))):
        at, cut = draw(st.integers(0, len(found))), draw(st.integers(0, 4))
        found[at : at + cut] = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=3), st.sampled_from(good)))
    return bytes(found)


@pytest.mark.proves("parsers")
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_what_a_client_sends_is_read_or_refused_as_it_is_said(proof: Proof, reader: Reader) -> None:
    tried = 0

    @settings(max_examples=proof.rounds(60, 2_000), deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(given_bytes(reader.good))
    def read(raw: bytes) -> None:
        nonlocal tried
        tried += 1
        with suppress(*reader.refuses):
            reader.read(raw)

    for good in reader.good:
        reader.read(good)
    read()
    assert tried >= proof.rounds(30, 1_000)


@pytest.mark.proves("parsers")
def test_a_long_text_is_read_or_refused_in_time_that_grows_with_its_length(proof: Proof) -> None:
    slowest = max(
        (seconds(reader, piece, length), name)
        for name, reader in READERS.items()
        for piece in PIECES
        for length in LENGTHS
    )
    proof.count("readers, each given thousands of texts at random", len(READERS), at_least=25)
    about = f"64 KiB of one sign or piece, read or refused within (the slowest: {slowest[1]})"
    proof.measure(about, slowest[0] * 1000, "ms of CPU", at_most=600)


def seconds(reader: Reader, piece: bytes, length: int) -> float:
    raw = (piece * (length // len(piece) + 1))[:length]
    began = time.process_time()
    with suppress(*reader.refuses):
        reader.read(raw)
    return time.process_time() - began
