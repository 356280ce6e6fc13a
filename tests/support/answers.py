"""Reading answers: problems, lists walked to their end, and what must be as it was after a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from app.api.problems import TYPES

Json = dict[str, Any]


def problem(client: httpx.Client, answer: httpx.Response, status: int) -> Json:
    """The problem document in `answer`: RFC 9457, with a type that a person can read up."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["content-type"] == "application/problem+json"
    body: Json = answer.json()
    assert body["status"] == status
    kind = TYPES[body["type"].removeprefix("/problems/")]
    assert (kind.status, kind.title) == (status, body["title"])
    assert body["detail"]
    page = client.get(body["type"])
    assert page.status_code == 200
    assert kind.title in page.text
    return body


def pointers(body: Json) -> list[str | None]:
    """Where the faults of a problem are: JSON Pointers."""
    return [fault.get("pointer") for fault in body["errors"]]


def parameters(body: Json) -> list[str | None]:
    """Which parameters a problem blames."""
    return [fault.get("parameter") for fault in body["errors"]]


def pages(client: httpx.Client, url: str) -> Iterator[Json]:
    """The pages of a list from `url` on, by `next` alone."""
    following: str | None = url
    while following is not None:
        answer = client.get(following)
        assert answer.status_code == 200, f"{following}: {answer.text[:500]}"
        page: Json = answer.json()
        yield page
        following = page["next"]


def walk(client: httpx.Client, url: str) -> list[Json]:
    """All records of a list."""
    return [item for page in pages(client, url) for item in page["items"]]


def slugs(client: httpx.Client, url: str) -> list[str]:
    """The slugs of all records of a list, in its order."""
    return [item["slug"] for item in walk(client, url)]


def sequence(client: httpx.Client) -> str:
    """The ETag of the list of all changes: it moves with every write and with nothing else."""
    return client.get("/v1/changes").headers["etag"]


@contextmanager
def nothing_written(client: httpx.Client) -> Iterator[None]:
    """What happens inside leaves no trace in the registry."""
    before = sequence(client)
    yield
    assert sequence(client) == before
