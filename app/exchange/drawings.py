"""Graphs as pictures (SVG): for a page, a slide, or to look at.

Between two organizations there is one line for each type of collaboration, the wider the more collaborations it stands for.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree as Xml

from app.exchange import layouts, svg
from app.exchange.graphs import RELATIONS, title
from app.exchange.layouts import Box, Point
from app.exchange.markup import document, element
from app.exchange.svg import number
from app.registry.graphs import Edge, EdgeKind, Graph, Node, Summary

LINE = 14
"""Pixels from one line of text to the next."""
MANY = 60
"""From so many nodes on, labels are short."""
TOLD = 12
"""Collaborations that are named where the pointer rests."""
HEAD, MARGIN, COLUMN = 64, 28, 280
_PLAIN = {EdgeKind.part_of: "part", EdgeKind.succession: "became"}


@dataclass(slots=True)
class _Line:
    """What is drawn between two nodes for one type of collaboration, or for one relation."""

    ends: tuple[int, int]
    edges: list[Edge] = field(default_factory=list)

    @property
    def width(self) -> float:
        return min(1.6 + 1.1 * (len(self.edges) - 1), 7)


def graph(drawn: Graph) -> bytes:
    """The picture of a graph. The same graph has the same bytes."""
    nodes, numbers = drawn.nodes, {node.slug: number for number, node in enumerate(drawn.nodes)}
    labels = [_label(node, many=len(nodes) > MANY) for node in nodes]
    boxes = [_box(node, lines) for node, lines in zip(nodes, labels, strict=True)]
    pairs = sorted({(numbers[edge.source], numbers[edge.target]) for edge in drawn.edges})
    center = numbers.get(drawn.center or "")
    points = layouts.layout(pairs, boxes, center=center, unit=(230.0, 170.0) if len(nodes) <= MANY else (120.0, 100.0))
    left, top, width, height = _frame(points, boxes, center, svg.measure(title(drawn), 18))
    styles = _styles(drawn.edges)
    legend = _legend_rows(drawn, styles, width)
    root = svg.picture(
        left=left, top=top - HEAD, width=width, height=height + HEAD + legend * 20 + MARGIN, title=title(drawn),
        about=f"{_count(drawn)}. {_ABOUT}",
    )  # fmt: skip
    _arrows(root)
    svg.text(root, left + MARGIN, top - HEAD + 34, title(drawn), "h")
    svg.text(root, left + MARGIN, top - HEAD + 54, _count(drawn), "soft")
    _draw_edges(root, drawn, numbers, points, styles)
    _draw_nodes(root, drawn, points)
    _draw_labels(root, drawn, points, labels)
    _draw_legend(root, drawn, styles, (left + MARGIN, top + height + 14), width)
    return document(root)


_ABOUT = (
    "Lines are collaborations, coloured by type and wider where there are several; dotted grey lines lead to what an "
    "organization is part of."
)


def _count(drawn: Graph) -> str:
    works = {edge.work.slug for edge in drawn.edges if edge.work} | {
        work.slug for node in drawn.nodes for work in node.alone
    }
    counted = f"{_number(len(drawn.nodes), 'organization')}, {_number(len(works), 'collaboration')}"
    return f"{counted}; the most connected of more" if drawn.truncated else counted


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


# --- where things are ---------------------------------------------------------------------------------------------------


def _label(node: Node, *, many: bool) -> list[str]:
    if many:
        return [svg.shortened(node.acronym or node.name, 110, 10)]
    name = node.acronym or node.name
    return svg.wrapped(name, 130, 3)


def _radius(node: Node) -> float:
    return min(5 + 2.4 * math.sqrt(node.collaborations), 30)


def _box(node: Node, lines: Sequence[str]) -> Box:
    radius = _radius(node) + 4
    return Box(max(radius, max(map(svg.measure, lines)) / 2), radius, radius + LINE * len(lines) + 2)


def _frame(
    points: Sequence[Point], boxes: Sequence[Box], center: int | None, least: float
) -> tuple[float, float, float, float]:
    """Left, top, width and height around all boxes; with a center, the same to both sides of it. At least so wide."""
    lefts = [x - box.side for (x, _), box in zip(points, boxes, strict=True)]
    rights = [x + box.side for (x, _), box in zip(points, boxes, strict=True)]
    left, right = min(lefts, default=0.0), max(rights, default=0.0)
    top = min((y - box.above for (_, y), box in zip(points, boxes, strict=True)), default=0.0)
    bottom = max((y + box.below for (_, y), box in zip(points, boxes, strict=True)), default=0.0)
    if center is not None:
        left, right = -max(-left, right), max(-left, right)
        top, bottom = -max(-top, bottom), max(-top, bottom)
    slack = max(0.0, 600.0 - (right - left), least - (right - left)) / 2
    return left - MARGIN - slack, top, right - left + 2 * (MARGIN + slack), bottom - top


def _styles(edges: Sequence[Edge]) -> dict[str, str]:
    """The classes of each type's lines: a colour, and from the ninth type on another dash."""
    types = sorted({edge.work.type for edge in edges if edge.work})
    return {kind: f"edge c{n % len(svg.COLOURS)} k{n // len(svg.COLOURS) % 3}" for n, kind in enumerate(types)}


# --- drawing ------------------------------------------------------------------------------------------------------------


def _arrows(root: Xml.Element) -> None:
    held = element(root, "defs")
    for name, kind in (("part", "tip"), ("became", "tip-became")):
        marker = element(
            held, "marker", id=f"to-{name}", markerWidth=7, markerHeight=7, refX=6, refY=3.5, orient="auto",
            markerUnits="userSpaceOnUse",
        )  # fmt: skip
        element(marker, "path", d="M0 0L7 3.5L0 7z", class_=kind)


def _draw_edges(
    root: Xml.Element, drawn: Graph, numbers: Mapping[str, int], points: Sequence[Point], styles: Mapping[str, str]
) -> None:
    between: dict[tuple[int, int], dict[str, _Line]] = defaultdict(dict)
    for edge in drawn.edges:
        ends = numbers[edge.source], numbers[edge.target]
        kind = edge.work.type if edge.work else f"edge {_PLAIN[edge.kind]}"  # which no slug can be
        pair = min(ends), max(ends)
        between[pair].setdefault(kind, _Line(ends)).edges.append(edge)
    held = element(root, "g", class_="many" if len(between) > 150 else None)
    others = _circles(drawn, points) if len(points) <= MANY else []
    for ends, lines in between.items():
        for place, kind in enumerate(sorted(lines)):
            bend = (place - (len(lines) - 1) / 2) * 22
            bend = _clear(ends, points, bend, others) if len(lines) == 1 else bend
            _draw_line(held, drawn, lines[kind], points, styles.get(kind, kind), bend)


Circle = tuple[int, float, float, float]


def _circles(drawn: Graph, points: Sequence[Point]) -> list[Circle]:
    return [(n, x, y, _radius(node) + 5) for n, (node, (x, y)) in enumerate(zip(drawn.nodes, points, strict=True))]


def _clear(ends: tuple[int, int], points: Sequence[Point], bend: float, circles: Sequence[Circle]) -> float:
    """The least bend with which the line between two nodes passes beside all others."""
    others = [circle for circle in circles if circle[0] not in ends]
    one, two = (points[end] for end in ends)
    tries = (bend, *(side * step for step in (30, 60) for side in (1, -1)))
    return next((each for each in tries if not _meets(one, _middle(one, two, each), two, others)), bend)


def _meets(start: Point, middle: Point, end: Point, circles: Sequence[Circle]) -> bool:
    """Whether the curve from `start` to `end`, bent towards `middle`, touches a circle; looked at in some places of it."""
    for n in range(1, _PLACES):
        t = n / _PLACES
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
        x, y = (a * start[i] + b * middle[i] + c * end[i] for i in (0, 1))
        if any((x - cx) ** 2 + (y - cy) ** 2 < radius**2 for _, cx, cy, radius in circles):
            return True
    return False


_PLACES = 24


def _middle(one: Point, two: Point, bend: float) -> Point:
    """The point towards which a line bends: half way, and to one side."""
    dx, dy = two[0] - one[0], two[1] - one[1]
    length = math.hypot(dx, dy) or 1.0
    return (one[0] + two[0]) / 2 - bend * dy / length, (one[1] + two[1]) / 2 + bend * dx / length


def _draw_line(held: Xml.Element, drawn: Graph, line: _Line, points: Sequence[Point], style: str, bend: float) -> None:
    one, two = line.ends
    start, end = points[one], points[two]
    # A bend is to the same side, whichever way the line leads.
    middle = _middle(start, end, -bend if one > two else bend)
    edge = line.edges[0]
    tip = None
    if edge.work is None:
        tip = f"url(#to-{_PLAIN[edge.kind]})"
        end = _short(middle, end, _radius(drawn.nodes[two]) + 3)
    course = f"Q{_at(middle)} {_at(end)}" if bend else f"L{_at(end)}"
    width = number(line.width) if edge.work else None
    made = element(held, "path", d=f"M{_at(start)}{course}", class_=style, stroke_width=width, marker_end=tip)
    element(made, "title", _told(drawn, line))


def _at(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


def _short(start: Point, end: Point, cut: float) -> Point:
    """The end of a line that stops before it."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy) or 1.0
    return end[0] - dx / length * cut, end[1] - dy / length * cut


def _told(drawn: Graph, line: _Line) -> str:
    """What a line stands for, in words."""
    one, two = (drawn.nodes[number] for number in line.ends)
    first = line.edges[0]
    if first.work is None:
        return f"{one.name} {RELATIONS[first.kind]} {two.name}" + (f" ({first.date})" if first.date else "")
    works = _listed([edge.work for edge in line.edges if edge.work])
    return f"{one.acronym or one.name} and {two.acronym or two.name}, {first.work.type_label}: {works}"


def _listed(works: Sequence[Summary]) -> str:
    """Some collaborations by their titles, and how many there are beside."""
    told = [work.title + (f" ({work.period})" if work.period else "") for work in works[:TOLD]]
    return "; ".join(told) + (f"; and {len(works) - TOLD} more" if len(works) > TOLD else "")


def _draw_nodes(root: Xml.Element, drawn: Graph, points: Sequence[Point]) -> None:
    held = element(root, "g")
    for node, (x, y) in zip(drawn.nodes, points, strict=True):
        radius = _radius(node)
        where = {"cx": number(x), "cy": number(y)}
        made = element(held, "g")
        element(made, "title", _described(node))
        if node.alone:
            element(made, "circle", class_="ring", r=number(radius + 3.5), **where)
        element(
            made, "circle", class_="node center" if node.slug == drawn.center else "node", r=number(radius), **where
        )


def _described(node: Node) -> str:
    name = f"{node.name} ({node.acronym})" if node.acronym else node.name
    alone = f". Alone: {_listed(node.alone)}" if node.alone else ""
    return f"{name}: {_number(node.collaborations, 'collaboration')}{alone}"


def _draw_labels(root: Xml.Element, drawn: Graph, points: Sequence[Point], labels: Sequence[Sequence[str]]) -> None:
    held = element(root, "g", font_size=10 if len(drawn.nodes) > MANY else None)
    for node, (x, y), lines in zip(drawn.nodes, points, labels, strict=True):
        classes = ("halo", "b") if node.slug == drawn.center else ("halo",)
        for place, line in enumerate(lines):
            down = _radius(node) + 13 + LINE * place + (3 if node.alone else 0)
            svg.text(held, x, y + down, line, *classes, anchor="middle")


# --- the legend -----------------------------------------------------------------------------------------------------------


def _entries(drawn: Graph, styles: Mapping[str, str]) -> list[tuple[str, str]]:
    """The classes of a sample, and what it means."""
    named = {edge.work.type: edge.work.type_label for edge in drawn.edges if edge.work}
    of_type = Counter(kind for kind, _ in {(edge.work.type, edge.work.slug) for edge in drawn.edges if edge.work})
    rows = [(style, f"{named[kind]} ({of_type[kind]})") for kind, style in styles.items()]
    kinds = {edge.kind for edge in drawn.edges}
    rows += [(f"edge {_PLAIN[kind]}", RELATIONS[kind]) for kind in _PLAIN if kind in kinds]
    return [*rows, ("ring", "takes part in one alone")] if any(node.alone for node in drawn.nodes) else rows


def _columns(width: float) -> int:
    return max(1, int((width - 2 * MARGIN) // COLUMN))


def _legend_rows(drawn: Graph, styles: Mapping[str, str], width: float) -> int:
    return math.ceil(len(_entries(drawn, styles)) / _columns(width))


def _draw_legend(root: Xml.Element, drawn: Graph, styles: Mapping[str, str], corner: Point, width: float) -> None:
    entries, rows = _entries(drawn, styles), _legend_rows(drawn, styles, width)
    held = element(root, "g")
    for place, (style, meaning) in enumerate(entries):
        x, y = corner[0] + place // rows * COLUMN, corner[1] + place % rows * 20
        if style == "ring":
            for ring, size in (("ring", 8), ("node", 4.5)):
                element(held, "circle", class_=ring, cx=number(x + 15), cy=number(y + 8), r=size)
        else:
            tip = f"url(#to-{style.removeprefix('edge ')})" if style.removeprefix("edge ") in _PLAIN.values() else None
            d = f"M{number(x)} {number(y + 8)}h30"
            element(held, "path", d=d, class_=style, stroke_width=None if tip else 3, marker_end=tip)
        svg.text(held, x + 40, y + 12, svg.shortened(meaning, COLUMN - 50))
