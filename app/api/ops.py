"""What is not a noun: health, the pages that explain problems, /docs from files of this machine, the front door."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from importlib.resources import files

import msgspec
import sqlalchemy as sa
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.staticfiles import StaticFiles

from app.api import deps, openapi
from app.api.problems import TYPES
from app.api.strict import StrictRoute
from app.api.v1 import entry_points
from app.kit.db import Transaction
from app.kit.errors import NotFound

router = APIRouter(route_class=StrictRoute)
HEALTH = openapi.object_of("Health", "How the process is.", {"status": {"type": "string", "examples": ["alive"]}})
ASSETS = "/docs/assets"


@router.get(
    "/livez", tags=["operations"],
    **openapi.operation("getLiveness", "Is the process alive?", "Does not ask the database.",
                        {200: openapi.ok("It is.", HEALTH, headers={}), **openapi.problems(["malformed-request"])}, may=None),
)  # fmt: skip
async def livez() -> Response:
    return JSONResponse({"status": "alive"})


@router.get(
    "/readyz", tags=["operations"],
    **openapi.operation("getReadiness", "Can it answer?", "Asks the database.",
                        {200: openapi.ok("It can.", HEALTH, headers={}),
                         **openapi.problems(["malformed-request", "unavailable"])}, may=None),
)  # fmt: skip
async def readyz(request: Request) -> Response:
    await deps.reading(request, _ask)
    return JSONResponse({"status": "ready"})


def _ask(tx: Transaction) -> None:
    tx.execute(sa.select(sa.literal(1)))
    tx.sequence()


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


def install(app: FastAPI) -> None:
    app.state.descriptions = {}
    app.include_router(router)
    app.mount(ASSETS, StaticFiles(directory=str(files("fastapi_offline") / "static")), name="assets")
