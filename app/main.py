"""The only place where the parts meet."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from pydantic import BaseModel
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.api import deprecations, openapi, ops, problems, signals
from app.api.access import Lookups
from app.api.crud import crud_router
from app.api.deadlines import Deadlines
from app.api.deprecations import DEPRECATIONS, Deprecation
from app.api.direct import Direct
from app.api.edge import Edge
from app.api.freshness import Freshness, Present, Store
from app.api.limits import Failures, RateLimit, Slots
from app.api.metrics import FOLDER, SHARED, Metrics
from app.api.observed import QUIET, Notes, Observed
from app.api.pulse import Pulse
from app.api.v1 import (
    RESOURCES,
    agenda,
    batches,
    calendars,
    changes,
    documents,
    dossiers,
    entry_points,
    graphs,
    identity,
    imports,
    keys,
    matches,
    proposals,
    provenance,
    reconciliation,
    searches,
    statistics,
    timelines,
)
from app.api.v1.citations import RecordCitationQuery
from app.api.verbatim import VERBATIM, Verbatim
from app.api.verbs import Verbs, VerbsLayer
from app.exchange.documents import examples
from app.kit import migrations, records
from app.kit.db import Transaction
from app.kit.fields import AsOfQuery
from app.settings import MIGRATIONS, SEED, Settings

if TYPE_CHECKING:
    from app.auth.oidc import Verifier

TAGS = (
    {"name": "registry", "description": "The registry as a whole: its changes, and several writes at once."},
    {"name": "proposals", "description": "What somebody proposes, and a reviewer decides on."},
    {"name": "keys", "description": "API keys: who may write. For admins."},
    {"name": "operations", "description": "For those who run it."},
)
ROOMS = (
    entry_points, provenance, agenda, dossiers, calendars, graphs, timelines, statistics, identity, changes, batches,
    matches, searches, imports, documents, reconciliation, proposals, keys,
)  # fmt: skip
"""The modules whose routes are no noun's."""
_BY_TABLE = {resource.table.name: resource for resource in RESOURCES}
ROUTERS = (
    *(crud_router(resource, _BY_TABLE) for resource in RESOURCES), *(room.router for room in ROOMS), ops.router
)  # fmt: skip
"""All routes, made once: they know nothing of the application that they are in."""
SCHEMAS: tuple[type[BaseModel], ...] = (
    batches.Batch, batches.BatchQuery, identity.Merger, changes.NamedChangesQuery, AsOfQuery, RecordCitationQuery,
    provenance.DisagreementQuery, provenance.VerificationQuery, agenda.AgendaPageQuery, agenda.AgendaQuery,
    dossiers.DossierQuery, searches.SearchQuery, matches.MatchQuery, matches.Names, imports.ImportQuery,
    documents.ExportQuery, graphs.GraphQuery, timelines.TimelineQuery,
    reconciliation.ReconciliationQuery, reconciliation.EntityQuery, reconciliation.SuggestQuery,
    reconciliation.EntitySuggestQuery, reconciliation.PropertySuggestQuery, reconciliation.ProposalQuery,
    proposals.ProposalIn, proposals.ProposalsQuery, proposals.Decision, proposals.Refusal, keys.KeyIn, keys.KeyQuery,
)  # fmt: skip
"""The classes of bodies and parameters that are no noun's."""
ABOUT = """\
Who works with whom, on what, since when, and how we know.

Every record has an `id` and a `slug`; both work in paths and references. Lists are paged by `cursor` and filtered by named
parameters. Writes name the version they mean (`If-Match`). Every error is a problem document (RFC 9457). Dates are EDTF
(ISO 8601-2), kept as given: `2014`, `2014-12`, `1999/..`.
"""


def create_app(
    settings: Settings | None = None,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    deprecated: Iterable[Deprecation] = DEPRECATIONS,
) -> FastAPI:
    """The application. Without `settings` they are read from the environment (as uvicorn's factory does it)."""
    settings = settings or Settings.from_environment(os.environ)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        migrations.verify(app.state.database.engine, MIGRATIONS)
        if not settings.read_only:
            app.state.database.tend()
        looking = asyncio.create_task(app.state.metrics.keep_looking())
        with signals.heard(lambda: app.state.pulse.stop(), grace=settings.grace_seconds):
            if threading.current_thread() is threading.main_thread():
                gc.freeze()  # what was made until now stays: no collection need look through it again
            yield {SHARED: app.state.metrics, VERBATIM: app.state.verbatim}
            looking.cancel()
            app.state.database.close()

    app = FastAPI(
        title="Concord", version="1", summary="The registry of partnerships", description=ABOUT, lifespan=lifespan,
        openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False,
        openapi_tags=[*({"name": noun.plural, "description": noun.model.__doc__} for noun in RESOURCES), *TAGS],
        telemetry=telemetry(settings),
    )  # fmt: skip
    app.state.settings = settings
    app.state.database = records.open_database(
        settings.database_url,
        pool_size=settings.pool_size,
        clock=clock,
        replica_url=settings.replica_url,
        waiting=settings.max_waiting,
    )
    app.state.oidc = _verifier(settings)
    app.state.schema = migrations.head(MIGRATIONS)
    app.state.resources = RESOURCES
    app.state.schemas = SCHEMAS
    app.state.deprecations = deprecations.table(deprecated)
    app.state.verbs = Verbs(app)
    # It looks at the side that those who are told will read.
    app.state.pulse = Pulse(lambda: app.state.database.ask(Transaction.sequence), most=settings.max_listeners)
    app.state.exports = Slots(settings.max_exports, "As many exports are being answered as this server takes at once.")
    app.state.failures = Failures()
    app.state.lookups = Lookups()
    app.state.kept = Store(settings.cache_bytes)
    app.state.present = Present(lambda: app.state.database, app.state.kept)
    app.state.metrics = Metrics(
        load=lambda: app.state.database.load(),
        listeners=lambda: app.state.pulse.listeners,
        kept=app.state.kept,
        shared=os.environ.get(FOLDER),
    )
    app.state.notes = Notes(app.state.metrics)
    app.state.verbatim = Verbatim(present=app.state.present, store=app.state.kept, notes=app.state.notes)
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    ops.install(app)
    inner = app.build_middleware_stack  # of it the outermost answers crashes
    app.build_middleware_stack = lambda: _layers(app, Direct(inner(), routers=ROUTERS), settings)  # type: ignore[method-assign]
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _layers(app: FastAPI, routes: ASGIApp, settings: Settings) -> ASGIApp:
    """What a request passes on its way to the routes, the innermost first."""
    layer: ASGIApp = Deadlines(routes, settings=settings)
    layer = Freshness(layer, present=app.state.present, store=app.state.kept)
    layer = VerbsLayer(layer, verbs=app.state.verbs, root_path=settings.root_path)
    layer = Edge(layer, settings=settings, rate=RateLimit(settings))
    layer = Observed(layer, metrics=app.state.metrics, notes=app.state.notes, learn=app.state.verbatim.learn)
    if settings.trusted_proxies:  # outermost: the log, too, shows the client that the proxy saw
        layer = ProxyHeadersMiddleware(cast(Any, layer), trusted_hosts=list(settings.trusted_proxies))  # type: ignore[assignment]
    return layer


def telemetry(settings: Settings) -> TelemetryConfig:
    """OpenTelemetry as FastAPI does it: a span a request and the durations. Not its log records, which hold the messages of
    exceptions: ours stays here, and names the trace."""
    return {
        "auto_configure": settings.telemetry, "tracing": settings.telemetry, "metrics": settings.telemetry,
        "operation_spans": False, "logs": False,
        "exclude": lambda scope: scope.get("path") in QUIET,
    }  # fmt: skip


def _verifier(settings: Settings) -> Verifier | None:
    """What reads the tokens of the issuer, where there is one."""
    if not settings.oidc_issuer:
        return None
    from app.auth import oidc  # its cryptography costs an eighth of a second and 20 MB: only those who use it

    return oidc.Verifier(
        oidc.Issuer(
            url=settings.oidc_issuer,
            audience=settings.oidc_audience,
            roles=dict(settings.oidc_roles),
            roles_claim=settings.oidc_roles_claim,
            name_claim=settings.oidc_name_claim,
            algorithms=settings.oidc_algorithms,
        )
    )


def _openapi(app: FastAPI) -> dict[str, object]:
    if app.openapi_schema is None:
        app.openapi_schema = openapi.build(app, RESOURCES, examples(SEED))
    return app.openapi_schema
