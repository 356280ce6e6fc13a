"""What is not a noun: health, the pages that explain problems, /docs from files of this machine, the front door."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import platform
import re
from importlib.metadata import version
from importlib.resources import files
from typing import TypeVar

import msgspec
import sqlalchemy as sa
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from app.api import deps, metrics, openapi
from app.api.metrics import DISTRIBUTION
from app.api.problems import TYPES
from app.api.strict import StrictRoute
from app.api.v1 import entry_points
from app.kit import migrations
from app.kit.db import Transaction
from app.kit.errors import NotFound, NotReady, Unavailable
from app.kit.failures import refusal
from app.kit.writer import Work

router = APIRouter(route_class=StrictRoute)
HEALTH = openapi.object_of("Health", "How the process is.", {"status": {"type": "string", "examples": ["alive"]}})
VERSION = openapi.object_of(
    "Version", "Which program runs, on what.",
    {
        "version": {"type": "string", "examples": ["0.1.0"], "description": "Of the program."},
        "python": {"type": "string", "examples": ["3.13.1"], "description": "Of Python."},
        "database": {"type": "string", "enum": ["postgresql", "sqlite"], "description": "Its kind."},
        "schema": openapi.object_of(
            "SchemaVersion", "The revisions of the schema.",
            {
                "program": {"type": "string", "description": "The one that the program needs."},
                "database": {"type": ["string", "null"], "description": "The one that the database is at."},
            },
        ),
    },
)  # fmt: skip
ASSETS = "/docs/assets"
PATIENCE = 1.5
"""Seconds that the database has to say how it is: who asks gives up after two or three."""
T = TypeVar("T")


@router.get(
    "/livez", tags=["operations"],
    **openapi.operation("getLiveness", "Is the process alive?", "Does not ask the database.",
                        {200: openapi.ok("It is.", HEALTH, headers={}), **openapi.problems(["malformed-request"])}, may=None),
)  # fmt: skip
async def livez() -> Response:
    return JSONResponse({"status": "alive"})


@router.get(
    "/readyz", tags=["operations"],
    **openapi.operation(
        "getReadiness", "Can it answer?",
        "Asks the database, and whether its schema is the one that this program needs. Answers within two seconds, also when "
        "the database does not.",
        {200: openapi.ok("It can.", HEALTH, headers={}), **openapi.problems(["malformed-request", "unavailable", "not-ready"])},
        may=None,
    ),
)  # fmt: skip
async def readyz(request: Request) -> Response:
    found, needed = await _soon(request, _revision), request.app.state.schema
    if found != needed:
        raise NotReady(f"The database is at revision {found or 'none'}, this program needs {needed}.")
    return JSONResponse({"status": "ready"})


def _revision(tx: Transaction) -> str | None:
    try:
        return migrations.current(tx.connection)
    except (sa.exc.OperationalError, sa.exc.ProgrammingError) as error:
        if refusal(error) is not error:
            raise
        return None  # it answers, and has no such table


async def _soon(request: Request, work: Work[T]) -> T:
    """What `work` reads. Raises Unavailable where that takes longer than somebody waits who asks how things are."""
    try:
        return await asyncio.wait_for(deps.database(request).ask(work), PATIENCE)
    except TimeoutError:
        raise Unavailable("The database does not answer in time.") from None


@router.get(
    "/version", tags=["operations"],
    **openapi.operation(
        "getVersion", "Which program is this?",
        "The version of the program and of Python, the kind of database, and the revisions of the schema: the one that the "
        "program needs, and the one that the database is at (null while it does not answer).",
        {200: openapi.ok("It.", VERSION, headers={}), **openapi.problems(["malformed-request"])}, may=None,
    ),
)  # fmt: skip
async def get_version(request: Request) -> Response:
    try:
        found = await _soon(request, _revision)
    except Unavailable:
        found = None
    return JSONResponse({
        "version": version(DISTRIBUTION), "python": platform.python_version(), "database": _kind(request),
        "schema": {"program": request.app.state.schema, "database": found},
    })  # fmt: skip


def _kind(request: Request) -> str:
    return deps.database(request).engine.dialect.name


@router.get(
    "/metrics", tags=["operations"],
    **openapi.operation(
        "getMetrics", "What is measured?",
        "Counters, durations and gauges of all workers together, in the text format of Prometheus.",
        {200: {"description": "The metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}},
         **openapi.problems(["malformed-request"])}, may=None,
    ),
)  # fmt: skip
async def get_metrics(request: Request) -> Response:
    try:
        sequence = await _soon(request, Transaction.sequence)
    except Unavailable:
        sequence = None
    facts = metrics.facts(sequence, _kind(request))
    body = await asyncio.to_thread(request.app.state.metrics.exposed, facts)
    return Response(body, media_type=metrics.MEDIA_TYPE, headers={"Cache-Control": "no-store"})


@router.get("/", include_in_schema=False)
async def front_door(request: Request) -> Response:
    return JSONResponse(
        {"name": "Concord", "v1": deps.path(request, entry_points.HERE), "docs": deps.path(request, "/docs"),
         "openapi": deps.path(request, "/openapi.json"),
         "nouns": {r.plural: deps.path(request, f"/v1/{r.plural}") for r in request.app.state.resources}},
        headers={"Link": entry_points.links(request)},
    )  # fmt: skip


@router.get("/problems", include_in_schema=False)
async def list_problems(request: Request) -> Response:
    rows = "".join(
        f'<li><a href="{deps.path(request, "/problems/" + kind.slug)}">{html.escape(kind.title)}</a></li>'
        for kind in TYPES.values()
    )
    return _page("Problems", f"<ul>{rows}</ul>")


@router.get("/problems/{slug}", include_in_schema=False)
async def explain_problem(slug: str) -> Response:
    if slug not in TYPES:
        raise NotFound(f"There is no kind of problem {slug[:50]!r}.")
    kind = TYPES[slug]
    return _page(kind.title, f"<p>HTTP status {kind.status}</p><p>{html.escape(kind.about)}</p>")


def _page(title: str, body: str) -> Response:
    title = html.escape(title)
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>{body}</html>',
        headers={"Content-Security-Policy": "default-src 'none'"},
    )


@router.get("/openapi.json", include_in_schema=False)
async def openapi_json(request: Request) -> Response:
    """The description of this API; `servers` names the prefix under which it was asked for. It is long: it is written once, or
    whoever asked for it again and again would keep the server from everything else."""
    kept, root = request.app.state.descriptions, request.scope.get("root_path", "")
    if root not in kept:
        kept[root] = msgspec.json.encode({**request.app.openapi(), "servers": [{"url": root or "/"}]})
    return Response(kept[root], media_type="application/json")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """Swagger UI. Its files come from an installed package, so that it works without a network."""
    assets = deps.path(request, ASSETS)
    page = get_swagger_ui_html(
        openapi_url=deps.path(request, "/openapi.json"),
        title="Concord",
        swagger_js_url=f"{assets}/swagger-ui-bundle.js",
        swagger_css_url=f"{assets}/swagger-ui.css",
        swagger_favicon_url=f"{assets}/favicon.png",
        swagger_ui_parameters={
            "validatorUrl": None,
            "tryItOutEnabled": True,
            "displayOperationId": True,
            "docExpansion": "none",
            "filter": True,
            "defaultModelsExpandDepth": 0,  # a hundred operations: first the nouns
        },
    )
    page.headers["Content-Security-Policy"] = _docs_policy(bytes(page.body))
    return page


_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def _docs_policy(page: bytes) -> str:
    """What Swagger UI needs: its own files, the one script that is written into the page (by its hash), the styles that it
    sets, pictures that it holds as data, and the registry."""
    hashes = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _INLINE.findall(page)]
    scripts = " ".join(f"'sha256-{found}'" for found in hashes)
    return (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class Assets(StaticFiles):
    """Files, all of one route."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["route"] = f"{ASSETS}/{{path}}"
        await super().__call__(scope, receive, send)


def install(app: FastAPI) -> None:
    app.state.descriptions = {}
    app.mount(ASSETS, Assets(directory=str(files("fastapi_offline") / "static")), name="assets")
