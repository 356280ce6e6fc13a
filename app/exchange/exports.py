"""Exports: whole lists, and the registry as a whole, in the forms that other programs read; page by page, so that a million
records take no more memory than a thousand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import IO, Any, Protocol, TypeVar

import msgspec

from app.exchange import cells, linked, tables, workbooks
from app.kit import past, records
from app.kit.db import Transaction
from app.kit.filters import ListQuery
from app.kit.records import Page
from app.kit.resource import COMMON, Resource
from app.kit.writer import Work

T = TypeVar("T")

NDJSON = "application/x-ndjson"
PAGE = 1_000
"""Records that are read at once."""

Progress = Callable[[int], object]
"""Is told now and then how many records more are done."""


class Reads(Protocol):
    """Runs a unit of work that reads, where the registry is at least at this number of its sequence."""

    def __call__(self, work: Work[T], *, at_least: int = 0) -> T: ...


Render = Callable[[Resource[Any], Sequence[bytes]], bytes]


@dataclass(frozen=True, slots=True)
class Form:
    """A form of an export: how a page of records is written, what stands before the first, between pages, and at the end."""

    media_type: str
    page: Render
    begin: bytes = b""
    between: bytes = b""
    end: bytes = b""


@dataclass(frozen=True, slots=True)
class Part:
    """A page of an export: its bytes, how many records it has, and where the next one begins."""

    body: bytes
    count: int
    next: str | None


@dataclass(frozen=True, slots=True)
class State:
    """What an export shows: the registry after a write, as it is seen at a moment."""

    number: int
    now: datetime


Lists = Sequence[tuple[Resource[Any], ListQuery]]


def state(tx: Transaction, lists: Lists) -> State:
    """What an export shows: what is there now, or what was on the day that is asked for."""
    as_of = lists[0][1].as_of
    then = tx if as_of is None else past.at(tx, as_of)
    return State(then.sequence(), then.now)


def seen(tx: Transaction, shown: State) -> Transaction:
    """The registry in that state, whatever was written since."""
    return replace(tx if tx.sequence() == shown.number else past.at(tx, shown.number), now=shown.now)


def whole(nouns: Iterable[Resource[Any]], as_of: Any = None) -> Lists:
    """All records of some nouns; of citations those whose record is there."""
    return [(noun, noun.query(as_of=as_of, **_there(noun))) for noun in nouns]


def _there(noun: Resource[Any]) -> dict[str, bool]:
    return {"orphaned": False} if "orphaned" in noun.query.model_fields else {}


def part(tx: Transaction, resource: Resource[Any], query: ListQuery, form: Form, cursor: str | None = None) -> Part:
    """The page of an export that begins at `cursor`: what a list would show, without its limit."""
    page = records.browse(tx, resource, query.model_copy(update={"limit": PAGE, "cursor": cursor}))
    return Part(form.page(resource, page.items), len(page.items), page.next)


def pages(read: Reads, resource: Resource[Any], query: ListQuery, shown: State) -> Iterator[list[bytes]]:
    """The records of a list, a page in each transaction."""
    cursor: str | None = None
    while True:
        asked = query.model_copy(update={"limit": PAGE, "cursor": cursor})
        page = read(partial(_page, resource=resource, query=asked, shown=shown), at_least=shown.number)
        yield page.items
        if (cursor := page.next) is None:
            return


def _page(tx: Transaction, *, resource: Resource[Any], query: ListQuery, shown: State) -> Page:
    return records.browse(seen(tx, shown), resource, query)


def write(read: Reads, lists: Lists, file: IO[bytes], form: Form, progress: Progress = lambda _: None) -> None:
    """Write an export into a file. `progress` is told how many records more are written."""
    shown = read(lambda tx: state(tx, lists))
    between = b""
    file.write(form.begin)
    for resource, query in lists:
        for items in filter(None, pages(read, resource, query, shown)):
            file.write(between + form.page(resource, items))
            between = form.between
            progress(len(items))
    file.write(form.end)


def write_workbook(
    read: Reads,
    lists: Lists,
    file: IO[bytes],
    *,
    shown: State | None = None,
    progress: Progress = lambda _: None,
) -> None:
    """The same as a workbook, a sheet a list; `shown` is the state that was announced."""
    shown = shown or read(lambda tx: state(tx, lists))
    about = workbooks.About("Concord", shown.now, shown.number)
    sheets = (
        _sheet(resource, query.fields, pages(read, resource, query, shown), progress) for resource, query in lists
    )
    workbooks.workbook(sheets, file, about=about)


def _sheet(
    resource: Resource[Any], fields: Sequence[str] | None, pages: Iterable[list[bytes]], progress: Progress
) -> workbooks.Sheet:
    names, shown = cells.columns(resource), shown_columns(resource, fields)

    def rows() -> Iterator[list[str]]:
        for items in pages:
            yield from ([row[n] for n in shown] for row in rows_of(resource, items))
            progress(len(items))

    return resource.plural, [names[n] for n in shown], rows()


# --- forms ------------------------------------------------------------------------------------------------------------


def ndjson(fields: Sequence[str] | None = None) -> Form:
    """A record a line, as GET shows it, or the `fields` of it."""

    def page(_: Resource[Any], items: Sequence[bytes]) -> bytes:
        return b"".join(item + b"\n" for item in (items if fields is None else _picked(items, fields)))

    return Form(NDJSON, page)


def _picked(items: Sequence[bytes], fields: Sequence[str]) -> Sequence[bytes]:
    documents = (msgspec.json.decode(item, type=dict[str, msgspec.Raw]) for item in items)
    return [msgspec.json.encode({name: each[name] for name in fields if name in each}) for each in documents]


def csv(resource: Resource[Any], fields: Sequence[str] | None = None, *, bom: bool = False) -> Form:
    """A record a row (RFC 4180), its columns those of cells.columns, or those of `fields`. No cell is a formula."""
    shown = shown_columns(resource, fields)
    names = cells.columns(resource)

    def page(of: Resource[Any], items: Sequence[bytes]) -> bytes:
        return tables.rows([row[n] for n in shown] for row in rows_of(of, items))

    return Form(
        "text/csv; charset=utf-8; header=present", page, b"".join(tables.write([names[n] for n in shown], (), bom=bom))
    )


def shown_columns(resource: Resource[Any], fields: Sequence[str] | None) -> list[int]:
    """The places of the columns that hold `fields`; all of them without."""
    return [n for n, name in enumerate(cells.columns(resource)) if fields is None or name.partition(".")[0] in fields]


def rows_of(resource: Resource[Any], items: Sequence[bytes]) -> Iterator[list[str]]:
    """The rows of some records."""
    return (cells.row(resource, msgspec.json.decode(item)) for item in items)


def json_ld(context: str, base: str) -> Form:
    """One JSON-LD document of all records (see linked.py)."""

    def page(resource: Resource[Any], items: Sequence[bytes]) -> bytes:
        documents = (linked.document(resource, msgspec.json.decode(item), base) for item in items)
        return b",\n".join(msgspec.json.encode(document) for document in documents)

    begin = b'{"@context":' + msgspec.json.encode(context) + b',"@graph":[\n'
    return Form(linked.MEDIA_TYPE, page, begin, b",\n", b"\n]}\n")


def document_set() -> Form:
    """Records of any noun as an import takes them: the noun, the id, the slug, and what is not empty of the rest. What the
    registry counts by itself is left out (versions, moments), so that an import and the export of it are the same."""

    def page(resource: Resource[Any], items: Sequence[bytes]) -> bytes:
        return b"".join(msgspec.json.encode(_line(resource, msgspec.json.decode(item))) + b"\n" for item in items)

    return Form(NDJSON, page)


def _line(resource: Resource[Any], document: dict[str, Any]) -> dict[str, Any]:
    own = {planned.name: document.get(planned.name) for planned in resource.plan.fields}
    kept = {name: said for name, value in own.items() if (said := _said(value)) not in (None, [], {}, "")}
    return {"noun": resource.plural, **{name: document[name] for name in COMMON[:2]}, **kept}


def _said(value: Any) -> Any:
    """A value without what is null inside of it."""
    if isinstance(value, dict):
        return {name: _said(inner) for name, inner in value.items() if inner is not None}
    return [_said(item) for item in value] if isinstance(value, list) else value
