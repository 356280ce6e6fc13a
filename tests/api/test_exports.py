"""Exports at once: so many, and no place is ever lost."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import FastAPI

from tests.api.conftest import Make
from tests.cases.refusals import refused
from tests.support.asgi import Client, ask, scope_of
from tests.support.wire import Answer

EXPORTS = [
    "/v1/export",
    "/v1/organizations?format=csv",
    "/v1/organizations?format=xlsx",
    "/v1/milestones?format=jsonld",
]


async def get(app: FastAPI, target: str, method: str = "GET") -> Answer:
    return await ask(app, scope_of(target, method=method))


@pytest.mark.parametrize("leaves", [False, True], ids=["sent-whole", "left-by-its-client"])
def test_more_exports_than_are_answered_at_once_are_refused_until_one_is_over(
    make: Make,
    leaves: bool,  # noqa: FBT001
) -> None:
    async def run(app: FastAPI) -> None:
        for target in EXPORTS:
            client = Client()
            task = asyncio.create_task(client.ask(app, scope_of(target)))
            await client.begun.wait()
            answer = await get(app, "/v1/export")
            refused(answer, 503, "overloaded")
            assert answer.header("retry-after")
            assert (await get(app, "/v1/organizations")).status == 200  # pages are no exports
            (client.leaves if leaves else client.takes).set()
            await task
            assert app.state.exports.taken == 0
            assert (await get(app, target)).status == 200

    asyncio.run(run(make(max_exports=1)))


def test_what_is_no_stream_in_the_end_takes_no_place(make: Make) -> None:
    async def run(app: FastAPI) -> None:
        tag = (await get(app, "/v1/export")).header("etag")
        for target in (
            *EXPORTS,
            "/v1/organizations?format=csv&sort=nothing",
            "/v1/organizations?format=csv&as_of=999999",
        ):
            await get(app, target, "HEAD")
            await get(app, target)
            await ask(app, scope_of(target, headers=[("If-None-Match", str(tag))]))
            assert app.state.exports.taken == 0, target

    asyncio.run(run(make(max_exports=1)))
