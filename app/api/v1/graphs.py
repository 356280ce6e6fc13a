"""The graph over HTTP: who works with whom, for programs and as a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Request, Response
from pydantic import Field, TypeAdapter

from app.api import conditional, deps, negotiation, openapi
from app.api.strict import StrictRoute
from app.api.v1.organizations import RESOURCE as ORGANIZATIONS
from app.exchange import drawings, svg
from app.exchange.graphs import gexf, graphml, jgf
from app.kit import records
from app.kit.db import Transaction
from app.kit.errors import Invalid, Moved
from app.kit.fields import AsOfQuery, Digits, EdtfDate, Flag, Key
from app.kit.filters import Match
from app.kit.vocabularies import Vocabulary
from app.registry.graphs import EdgeKind, Graph, Scope, around, narrower, whole
from app.registry.organizations import OrganizationKind

router = APIRouter(prefix="/v1", tags=["registry"], route_class=StrictRoute)


class GraphForm(Vocabulary):
    """In which form the graph is answered."""

    json = "json", "JSON Graph Format, version 2."
    graphml = "graphml", "GraphML, for NetworkX, igraph, yEd and others."
    gexf = "gexf", "GEXF 1.3, for Gephi, with periods."
    svg = "svg", "A picture."


class Written(NamedTuple):
    """How a media type is written, and the name of its form in entity-tags."""

    form: str
    write: Callable[[Graph], bytes]


JSON, SVG = "application/json", svg.MEDIA_TYPE
FORMS: dict[str, Written] = {
    "application/vnd.jgf+json": Written("jgf", jgf),
    JSON: Written("json", jgf),
    "application/graphml+xml": Written("graphml", graphml),
    "application/gexf+xml": Written("gexf", gexf),
    SVG: Written("svg", drawings.graph),
}
"""By media type, the one that is answered when none is asked for first."""
NAMED = {
    GraphForm.json: JSON, GraphForm.graphml: "application/graphml+xml", GraphForm.gexf: "application/gexf+xml",
    GraphForm.svg: SVG,
}  # fmt: skip
SVG_HEADERS = {"Content-Security-Policy": f"default-src 'none'; style-src '{svg.STYLE_HASH}'"}


class GraphQuery(AsOfQuery):
    """Which part of the graph."""

    center: Key | None = Field(
        default=None,
        description="An organization: it, and those around it. Without it the whole registry.",
        examples=["ilo"],
    )
    depth: Annotated[int, Digits] = Field(
        default=1, ge=1, le=4, description="With `center`: how many steps away, 1 to 4."
    )
    lineage: Flag = Field(
        default=False, description="With `center`: around its predecessors as well, with the successions between them."
    )
    type: Key | None = Field(
        default=None, description="Collaborations of this type and of those below it alone.", examples=["agreement"]
    )
    active_on: EdtfDate | None = Field(
        default=None,
        description="Collaborations whose period (and the participant's own, if stated) holds this EDTF date.",
    )
    match: Match = Field(
        default=Match.possible, description="`possible`: the period may hold `active_on`; `certain`: it surely does."
    )
    structure: Flag = Field(default=True, description="Also edges from an organization to the one that it is part of.")
    format: GraphForm | None = Field(default=None, description="The form; without it `Accept` chooses.")


TEXT_OR_NULL = {"type": ["string", "null"]}
WORK: dict[str, Any] = {
    "slug": {"type": "string"}, "title": {"type": "string"}, "type": {"type": "string"},
    "type_label": {"type": "string"}, "status": openapi.ref("CollaborationStatus"),
    "period": {**TEXT_OR_NULL, "format": "edtf"},
}  # fmt: skip
NODE: dict[str, Any] = {
    "type": "object", "title": "GraphNode",
    "properties": {
        "label": {"type": "string", "description": "Its name."},
        "metadata": {
            "type": "object", "title": "GraphNodeMetadata",
            "properties": {
                "id": {"type": "string", "format": "uuid"}, "acronym": TEXT_OR_NULL,
                "kind": TypeAdapter(OrganizationKind).json_schema(),
                "part_of": TEXT_OR_NULL,
                "steps": {"type": ["integer", "null"], "description": "Distance from the center; null without one."},
                "collaborations": {"type": "integer", "description": "In how many of those that count it takes part."},
                "alone": {
                    "type": "array", "description": "Those of them in which nobody else takes part.",
                    "items": {"type": "object", "title": "GraphCollaboration", "properties": WORK},
                },
            },
        },
    },
    "required": ["label", "metadata"],
}  # fmt: skip
EDGE: dict[str, Any] = {
    "type": "object", "title": "GraphEdge",
    "properties": {
        "id": {"type": "string"}, "source": {"type": "string"}, "target": {"type": "string"},
        "relation": TypeAdapter(EdgeKind).json_schema(),
        "directed": {"type": "boolean"}, "label": {"type": "string"},
        "metadata": {
            "type": "object", "title": "GraphEdgeMetadata",
            "description": "Of a collaboration what it is, and the roles of both ends; of a succession its slug and date.",
            "properties": {
                "collaboration": {"type": "string"}, **{name: WORK[name] for name in WORK if name not in ("slug", "title")},
                "source_roles": {"type": "array", "items": openapi.ref("ParticipantRole")},
                "target_roles": {"type": "array", "items": openapi.ref("ParticipantRole")},
                "succession": {"type": "string"}, "date": {**TEXT_OR_NULL, "format": "edtf"},
            },
        },
    },
    "required": ["id", "source", "target", "relation", "directed", "label", "metadata"],
}  # fmt: skip
GRAPH: dict[str, Any] = {
    "type": "object", "title": "GraphDocument",
    "description": "JSON Graph Format, version 2.",
    "properties": {
        "graph": {
            "type": "object", "title": "Graph",
            "properties": {
                "directed": {"type": "boolean", "const": False}, "type": {"type": "string"}, "label": {"type": "string"},
                "metadata": {
                    "type": "object", "title": "GraphMetadata",
                    "properties": {
                        "center": TEXT_OR_NULL,
                        "truncated": {"type": "boolean", "description": "There is more; the most connected is here."},
                    },
                    "required": ["center", "truncated"],
                },
                "nodes": {"type": "object", "description": "By slug.", "additionalProperties": NODE},
                "edges": {"type": "array", "items": EDGE},
            },
            "required": ["directed", "label", "metadata", "nodes", "edges"],
        },
    },
    "required": ["graph"],
}  # fmt: skip
ABOUT = """\
Organizations are nodes. A collaboration is an edge between each two of its participants, with the roles of both; one that a
single organization carries stays with its node, under `alone`. A step leads over a collaboration or, unless `structure=false`,
over `part_of`. With `type` or `active_on` and without `center`, only organizations that take part in such a collaboration are
nodes. At most 500 nodes and 2,000 edges: of more, the nearest and most connected, and `truncated` says so."""
EXAMPLE: dict[str, Any] = {
    "graph": {
        "directed": False, "type": "organizations and collaborations",
        "label": "UN Global Compact Academy and those around it",
        "metadata": {"center": "un-global-compact-academy", "truncated": False},
        "nodes": {
            "ilo": {
                "label": "International Labour Organization",
                "metadata": {
                    "id": openapi.EXAMPLE_META["id"], "acronym": "ILO", "kind": "intergovernmental_organization",
                    "part_of": None, "steps": 1, "collaborations": 1, "alone": [],
                },
            },
            "un-global-compact-academy": {
                "label": "UN Global Compact Academy",
                "metadata": {
                    "id": "01935f7e-8c00-7000-8000-000000000002", "acronym": None, "kind": "initiative",
                    "part_of": "un-global-compact", "steps": 0, "collaborations": 1, "alone": [],
                },
            },
        },
        "edges": [{
            "id": "ilo--un-global-compact-academy--ungc-academy-session",
            "source": "ilo", "target": "un-global-compact-academy",
            "relation": "collaboration", "directed": False, "label": "Session of the UNGC Academy on supply chains",
            "metadata": {
                "collaboration": "ungc-academy-session", "type": "event-participation",
                "type_label": "Event participation", "status": "completed", "period": None,
                "source_roles": ["speaker"], "target_roles": ["host"],
            },
        }],
    },
}  # fmt: skip


def _responses() -> dict[int | str, Any]:
    shown = openapi.ok("The graph.", GRAPH, example=EXAMPLE)
    json = shown["content"][JSON]
    shown["content"] = {
        kind: json if written.write is jgf else {"schema": {"type": "string"}} for kind, written in FORMS.items()
    }
    problems = openapi.problems((*openapi.READ, "not-found", "gone", "not-acceptable"))
    return {200: shown, 304: openapi.NOT_MODIFIED, **problems}


@router.get(
    "/graph",
    **openapi.operation(
        "getGraph", "Get the graph of who works with whom", ABOUT, _responses(),
        parameters=[openapi.IF_NONE_MATCH], query=GraphQuery,
    ),
)  # fmt: skip
async def get_graph(request: Request) -> Response:
    query = deps.query(request, GraphQuery)
    kind = negotiation.preferred(request, list(FORMS)) if query.format is None else NAMED[query.format]
    form, write = FORMS[kind]

    def work(tx: Transaction) -> tuple[bytes, str]:
        tag = conditional.etag(sequence=tx.sequence(), form=form)
        return b"" if conditional.unchanged(request, tag) else write(_asked(tx, query)), tag

    body, tag = await deps.reading(request, work, query.as_of)
    headers = negotiation.VARY | (SVG_HEADERS if kind == SVG else {})
    if not body:
        return deps.not_modified(tag, headers)
    return deps.answer(body, tag, headers=headers, media_type=kind)


def _asked(tx: Transaction, query: GraphQuery) -> Graph:
    """Raises Invalid for an unknown type or what means nothing without a center; NotFound, Gone for the center."""
    given = query.model_fields_set
    for name in ("depth", "lineage"):
        if query.center is None and name in given:
            raise Invalid.parameter(name, "alone", "It starts from an organization: name one with `center`.")
    types = None if query.type is None else narrower(tx, query.type)
    scope = Scope(types, query.active_on, query.match, query.structure)
    if query.center is None:
        return whole(tx, scope)
    try:
        center = records.fetch(tx, ORGANIZATIONS, query.center)
    except Moved as moved:  # the parameter in which the other is to be named
        raise Moved(moved.detail, **moved.extra, parameter="center") from None
    return around(tx, center.slug, scope, depth=query.depth, lineage=query.lineage)
