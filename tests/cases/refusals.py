"""A refusal done right: the status and type it should have, the place it blames, and a registry that is as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx

from app.api.problems import TYPES
from app.kit.db import Base, Database, Transaction
from tests.cases.places import RESOURCE
from tests.support.answers import parameters, pointers
from tests.support.wire import Answer, Wire

Json = dict[str, Any]


def refused(answer: httpx.Response | Answer, status: int, slug: str) -> Json:
    """The problem in `answer`: of this status and type, RFC 9457, in UTF-8."""
    if isinstance(answer, httpx.Response):
        answer = Answer(answer.status_code, list(answer.headers.items()), answer.content)
    assert answer.status == status, f"{answer.status}: {answer.body[:500]!r}"
    assert answer.header("content-type") == "application/problem+json"
    body: Json = answer.json()
    assert body["type"].rpartition("/problems/")[2] == slug, body
    assert (body["status"], body["title"]) == (status, TYPES[slug].title)
    assert body["detail"]
    assert all(fault["code"] and fault["message"] for fault in body["errors"])
    return body


def blames_pointer(answer: httpx.Response | Answer, pointer: str) -> Json:
    """A 422 that finds one fault, at this place of the body."""
    body = refused(answer, 422, "invalid")
    assert pointers(body) == [pointer]
    return body


def blames_parameter(answer: httpx.Response | Answer, status: int, slug: str, parameter: str) -> Json:
    """A refusal that finds one fault, in this parameter."""
    body = refused(answer, status, slug)
    assert parameters(body) == [parameter]
    return body


@contextmanager
def same(client: httpx.Client, database: Database) -> Iterator[None]:
    """What happens inside leaves the registry as it was: every row of every table (the clock among them), and ETags."""
    before = database.read(_rows)
    paths = ["/v1/changes", "/v1/organizations", *database.read(_some_record)]
    wire = Wire(client.base_url.port or 80)
    tags = [wire.request("HEAD", path).header("etag") for path in paths]
    yield
    assert database.read(_rows) == before
    assert [wire.request("HEAD", path).header("etag") for path in paths] == tags


def _rows(tx: Transaction) -> dict[str, list[str]]:
    """Everything that ETags are made of, and everything else."""
    with closing(tx.connection.connection.cursor()) as cursor:  # the driver's own, which makes half of the work of it
        return {
            name: sorted(map(str, cursor.execute(f'SELECT * FROM "{name}"')))  # noqa: S608  # our own names
            for name in Base.metadata.tables
        }


def _some_record(tx: Transaction) -> list[str]:
    for resource in RESOURCE.values():
        statement = f'SELECT min(slug) FROM "{resource.table.name}" WHERE withdrawn_at IS NULL'  # noqa: S608
        slug = tx.connection.exec_driver_sql(statement).scalar()
        if slug is not None:
            return [f"/v1/{resource.plural}/{slug}"]
    return []
