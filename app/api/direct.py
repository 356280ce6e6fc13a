"""The short way to an endpoint: one look at the path, instead of one at each route.

FastAPI asks its routes in turn, and the one that is meant twice; around it stand exit stacks and layers for what no endpoint
here has: dependencies that are closed, bodies that are read for it. Together they cost a record as much as the database does.
Endpoints that need nothing of it (`StrictRoute.direct`) are found here and asked. Whatever else is asked for goes on to
FastAPI: other endpoints, verbs that a path does not have, paths that nothing has, and every request of which a trace is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.problems import on_http_exception, on_registry_error
from app.api.strict import Handler, StrictRoute
from app.kit.errors import RegistryError


@dataclass(slots=True)
class Place:
    """A place in the tree of paths: what is said there to each verb, and where it goes on. A handler that is None stands for a
    route that FastAPI has to ask."""

    handlers: dict[str, tuple[Handler | None, tuple[str, ...]]] = field(default_factory=dict)
    steps: dict[str, Place] = field(default_factory=dict)
    any: Place | None = None
    """Where any other step leads: it is the value of a parameter."""


class Paths:
    """The paths of routes, as a tree. A step that is written out comes before a parameter in its place."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._root = Place()
        for route in routes:
            if isinstance(route, StrictRoute):
                self._add(route)

    def _add(self, route: StrictRoute) -> None:
        place, names = self._root, list[str]()
        for step in route.path_format.split("/"):
            if step.startswith("{"):
                names.append(step[1:-1])
                if place.any is None:
                    place.any = Place()
                place = place.any
            else:
                place = place.steps.setdefault(step, Place())
        for method in route.methods or ():
            place.handlers.setdefault(method, (route.direct(), tuple(names)))

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]] | None:
        """What answers this, and the parameters in the path; None where FastAPI has to look."""
        place, given = self._root, list[str]()
        for step in path.split("/"):
            there = place.steps.get(step)
            if there is None:
                if place.any is None or not step:
                    return None
                there = place.any
                given.append(step)
            place = there
        handler, names = place.handlers.get(method, (None, ()))
        return None if handler is None else (handler, dict(zip(names, given, strict=True)))


class Direct:
    """The layer in front of FastAPI."""

    def __init__(self, app: ASGIApp, *, routers: Iterable[APIRouter]) -> None:
        self._app = app
        self._paths = Paths(route for router in routers for route in router.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "fastapi.telemetry" in scope:
            await self._app(scope, receive, send)
            return
        found = self._paths.find(scope["method"], get_route_path(scope))
        if found is None:
            await self._app(scope, receive, send)
            return
        handler, scope["path_params"] = found
        request = Request(scope, receive, send)
        try:
            response = await handler(request)
        except RegistryError as error:
            response = await on_registry_error(request, error)
        except HTTPException as error:
            response = await on_http_exception(request, error)
        await response(scope, receive, send)
