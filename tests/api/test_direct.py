"""The short way: whoever takes it comes to the endpoint that FastAPI would have asked, and fails as there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from itertools import product
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from app.api import direct
from app.api.direct import Direct
from app.api.strict import Handler, StrictRoute
from app.kit.errors import NotFound
from app.main import create_app
from app.settings import Settings
from tests.support.asgi import ask, scope_of
from tests.support.wire import Answer

VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE")


@pytest.fixture
def telling(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FastAPI]:
    """The application, every route of which only tells which one it is, and what of the path it was given."""

    def telling(route: StrictRoute, endpoint: Handler) -> Handler:
        async def tell(request: Request) -> Response:
            return Response(f"{sorted(route.methods or ())} {route.path_format} {request.path_params}")

        return tell

    monkeypatch.setattr(StrictRoute, "guarded", telling)
    app = create_app(Settings(database_url=f"sqlite:///{tmp_path}/none.db"))
    yield app
    app.state.database.close()


def _addresses(app: FastAPI) -> Iterator[str]:
    """For the path of each route: what fits it, with any value for a parameter, and with each step that other paths have in its
    place; and what is nearly so."""
    paths = [str(context.path_format).split("/") for context in iter_route_contexts(app.routes)]
    for path in paths:
        others = {tuple(other[: n + 1]) for other in paths for n, step in enumerate(path) if step.startswith("{")}
        for n, step in enumerate(path):
            values = [other[n] for other in others if len(other) == n + 1 and list(other[:n]) == path[:n]]
            for value in {"a-value", *values} if step.startswith("{") else ():
                fitting = "/".join([*path[:n], value, *path[n + 1 :]])
                yield from (fitting, f"{fitting}/", f"{fitting}/more")
        yield "/".join(path)
    yield from ("", "/", "//", "/v1", "/v1//ilo")


def test_every_address_leads_to_the_same_endpoint_as_fastapi_finds(
    telling: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list(product(sorted(set(_addresses(telling))), VERBS))

    async def answers() -> list[tuple[int, bytes, list[tuple[str, str]]]]:
        found = [await ask(telling, scope_of(path, method=verb)) for path, verb in asked]
        return [(a.status, a.body, [pair for pair in a.headers if pair[0] != "x-request-id"]) for a in found]

    short = asyncio.run(answers())
    monkeypatch.setattr(direct.Paths, "find", lambda *_: None)
    long = asyncio.run(answers())
    assert [(*each, *two) for each, *two in zip(asked, short, long, strict=True) if two[0] != two[1]] == []
    assert sum(status == 200 for status, _, _ in short) > 150


def test_most_requests_take_the_short_way(telling: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a change of how endpoints are written would make all of them slow, and nobody would know."""
    monkeypatch.setattr(FastAPI, "build_middleware_stack", lambda _: _nobody)
    app = create_app(telling.state.settings)
    for path in ("/v1/organizations", "/v1/organizations/ilo", "/v1/collaborations/a/revisions", "/v1/changes"):
        assert asyncio.run(ask(app, scope_of(path))).status == 200
    app.state.database.close()


async def _nobody(*_: object) -> None:
    raise AssertionError("FastAPI was asked")


# --- how it fails ----------------------------------------------------------------------------------------------------

failing = APIRouter(route_class=StrictRoute)


@failing.get("/refused", include_in_schema=False)
async def refused(request: Request) -> Response:
    raise NotFound("There is none.")


@failing.get("/unreadable", include_in_schema=False)
async def unreadable(request: Request) -> Response:
    raise HTTPException(400, "There was an error parsing the body")


@failing.get("/broken", include_in_schema=False)
async def broken(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"the begin"
        raise ValueError("no more")

    return StreamingResponse(pieces())


@pytest.fixture(params=["short", "long"])
def fragile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FastAPI]:
    """The application with routes that fail, by the short way and by FastAPI's."""
    monkeypatch.setattr("app.main.ROUTERS", [failing])
    if request.param == "long":
        monkeypatch.setattr(Direct, "__init__", lambda layer, app, **_: setattr(layer, "_app", app))
        monkeypatch.setattr(Direct, "__call__", lambda layer, *message: layer._app(*message))
    app = create_app(Settings(database_url=f"sqlite:///{tmp_path}/none.db"))
    yield app
    app.state.database.close()


def _ask(app: FastAPI, path: str) -> Answer:
    return asyncio.run(ask(app, scope_of(path)))


def test_a_refusal_is_the_same_problem_by_both_ways(fragile: FastAPI) -> None:
    gone, bad = _ask(fragile, "/refused"), _ask(fragile, "/unreadable")
    assert (gone.status, gone.json()["type"], gone.json()["detail"]) == (404, "/problems/not-found", "There is none.")
    assert (bad.status, bad.json()["type"]) == (400, "/problems/malformed-request")
    assert bad.json()["detail"] == "There was an error parsing the body"


def test_a_stream_that_breaks_is_logged_once_with_its_number(
    fragile: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "concord"):
        answer = _ask(fragile, "/broken")
    assert (answer.status, answer.body) == (200, b"the begin")
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    lines = [record for record in caplog.records if record.name == "concord.access"]
    assert len(errors) == len(lines) == 1
    assert lines[0].__dict__["broken_off"] is True
    assert lines[0].__dict__["error_id"] in errors[0].getMessage()
