"""Graphs for other programs: JSON Graph Format, GraphML, and GEXF for Gephi.

All three are undirected, since working together is: what a `part_of` or a `succession` leads from and to is its source and
its target. (A file that mixes both sorts of edges is one that half of the programs refuse.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree as Xml

import msgspec

from app.exchange.markup import document, element
from app.kit import edtf
from app.registry.graphs import Edge, EdgeKind, Graph, Node

GRAPHML, GEXF = "http://graphml.graphdrawing.org/xmlns", "http://gexf.net/1.3"
RELATIONS = {EdgeKind.part_of: "is part of", EdgeKind.succession: "became"}


def title(graph: Graph) -> str:
    """What the graph shows, for people."""
    center = next((node for node in graph.nodes if node.slug == graph.center), None)
    return f"{center.name} and those around it" if center else "Who works with whom"


def label(edge: Edge) -> str:
    """An edge in words."""
    return edge.work.title if edge.work else RELATIONS[edge.kind]


def jgf(graph: Graph) -> bytes:
    """JSON Graph Format, version 2: nodes by slug, edges in the order of their ends."""
    return msgspec.json.encode(
        {
            "graph": {
                "directed": False,
                "type": "organizations and collaborations",
                "label": title(graph),
                "metadata": {"center": graph.center, "truncated": graph.truncated},
                "nodes": {node.slug: _node(node) for node in graph.nodes},
                "edges": [_edge(edge) for edge in graph.edges],
            }
        }
    )


def _node(node: Node) -> dict[str, Any]:
    about = {
        "id": str(node.id), "acronym": node.acronym, "kind": node.kind, "part_of": node.part_of, "steps": node.steps,
        "collaborations": node.collaborations, "alone": [msgspec.to_builtins(work) for work in node.alone],
    }  # fmt: skip
    return {"label": node.name, "metadata": about}


def _edge(edge: Edge) -> dict[str, Any]:
    return {
        "id": edge.id, "source": edge.source, "target": edge.target, "relation": edge.kind,
        "directed": edge.kind is not EdgeKind.collaboration, "label": label(edge), "metadata": _about(edge),
    }  # fmt: skip


def _about(edge: Edge) -> dict[str, Any]:
    if edge.work is None:
        return {"succession": edge.event, "date": edge.date} if edge.event else {}
    work = edge.work
    return {
        "collaboration": work.slug, "type": work.type, "type_label": work.type_label, "status": work.status,
        "period": work.period, "source_roles": edge.source_roles, "target_roles": edge.target_roles,
    }  # fmt: skip


# --- XML ----------------------------------------------------------------------------------------------------------------

OF_NODES: Mapping[str, str] = {
    "name": "string", "acronym": "string", "kind": "string", "part_of": "string", "steps": "int", "collaborations": "int",
    "alone": "string",
}  # fmt: skip
OF_EDGES: Mapping[str, str] = {
    "relation": "string", "title": "string", "collaboration": "string", "type": "string", "status": "string",
    "period": "string", "source_roles": "string", "target_roles": "string", "succession": "string",
}  # fmt: skip
"""The attributes of nodes and edges, with their type in GraphML. Lists are words with blanks between them."""


def graphml(graph: Graph) -> bytes:
    """GraphML 1.0, as NetworkX, igraph, yEd and Gephi read it."""
    root = Xml.Element("graphml", xmlns=GRAPHML)
    for owner, attributes in (("node", OF_NODES), ("edge", OF_EDGES)):
        for name, kind in attributes.items():
            key = element(root, "key", id=f"{owner}-{name}", for_=owner)
            key.attrib.update({"attr.name": name, "attr.type": kind})
    for name, kind in (("label", "string"), ("truncated", "boolean")):
        key = element(root, "key", id=f"graph-{name}", for_="graph")
        key.attrib.update({"attr.name": name, "attr.type": kind})
    made = element(root, "graph", id="registry", edgedefault="undirected")
    element(made, "data", title(graph), key="graph-label")
    element(made, "data", str(graph.truncated).lower(), key="graph-truncated")
    for node in graph.nodes:
        _data(element(made, "node", id=node.slug), "node", _of_node(node))
    for edge in graph.edges:
        _data(element(made, "edge", id=edge.id, source=edge.source, target=edge.target), "edge", _of_edge(edge))
    Xml.indent(root)
    return document(root)


def _data(parent: Xml.Element, owner: str, values: Mapping[str, Any]) -> None:
    for name, value in _stated(values):
        element(parent, "data", value, key=f"{owner}-{name}")


def gexf(graph: Graph) -> bytes:
    """GEXF 1.3. An edge has a start and an end where something is known of its period: the earliest and the latest day on
    which it may have been, so that Gephi's timeline shows it whenever it is possible."""
    root = Xml.Element("gexf", xmlns=GEXF, version="1.3")
    element(element(root, "meta"), "description", f"{title(graph)}{' (truncated)' if graph.truncated else ''}")
    made = element(root, "graph", defaultedgetype="undirected", mode="dynamic", timeformat="date")
    for owner, attributes in (("node", OF_NODES), ("edge", OF_EDGES)):
        declared = element(made, "attributes", class_=owner, mode="static")
        for name, kind in attributes.items():
            element(declared, "attribute", id=name, title=name, type={"int": "integer"}.get(kind, kind))
    nodes, edges = element(made, "nodes"), element(made, "edges")
    for node in graph.nodes:
        _values(element(nodes, "node", id=node.slug, label=node.acronym or node.name), _of_node(node))
    for edge in graph.edges:
        start, end = _days(edge)
        kind = edge.work.type if edge.work else edge.kind
        shown = element(
            edges, "edge", id=edge.id, source=edge.source, target=edge.target, label=label(edge), kind=kind,
            start=start, end=end,
        )  # fmt: skip
        _values(shown, _of_edge(edge))
    Xml.indent(root)
    return document(root)


def _values(parent: Xml.Element, values: Mapping[str, Any]) -> None:
    held = element(parent, "attvalues")
    for name, value in _stated(values):
        element(held, "attvalue", for_=name, value=value)


def _days(edge: Edge) -> tuple[str | None, str | None]:
    """The first and the last day on which the edge may have been there; None for an end that is open or not known."""
    if edge.period is None:
        return None, None
    when = edtf.parse(edge.period)
    first = None if when.earliest == edtf.FIRST else when.earliest.isoformat()
    # What one became it stays.
    lasts = edge.kind is EdgeKind.succession or when.latest == edtf.LAST
    return first, None if lasts else when.latest.isoformat()


def _of_node(node: Node) -> dict[str, Any]:
    return {
        "name": node.name, "acronym": node.acronym, "kind": node.kind, "part_of": node.part_of, "steps": node.steps,
        "collaborations": node.collaborations, "alone": " ".join(work.slug for work in node.alone) or None,
    }  # fmt: skip


def _of_edge(edge: Edge) -> dict[str, Any]:
    about = _about(edge)
    roles = {name: " ".join(about.get(name, ())) or None for name in ("source_roles", "target_roles")}
    plain = {name: about.get(name) for name in ("collaboration", "type", "status", "succession")}
    return {"relation": edge.kind, "title": label(edge), **plain, "period": edge.period, **roles}


def _stated(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return ((name, str(value)) for name, value in values.items() if value is not None)
