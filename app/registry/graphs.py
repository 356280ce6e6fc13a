"""Graphs: organizations as nodes, what they do together as edges; the whole registry, or the neighbourhood of one of them.

A collaboration is an edge between each two of its participants. One that a single organization carries is no edge; it stays
with its node, under `alone`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.kit import edtf
from app.kit.db import Transaction, table_of
from app.kit.filters import Match, Overlaps, named, subtree
from app.kit.records import insist_on_reference
from app.kit.vocabularies import Vocabulary
from app.registry.collaboration_types import CollaborationType
from app.registry.collaborations import Collaboration, CollaborationParticipant, CollaborationStatus
from app.registry.organizations import Organization, OrganizationKind
from app.registry.successions import events_behind, lineage_of

ORGANIZATION, PARENT = table_of(Organization), table_of(Organization).alias("parent")
COLLABORATION, TYPE = table_of(Collaboration), table_of(CollaborationType)
PART = table_of(CollaborationParticipant)
MOST_NODES, MOST_EDGES = 500, 2_000
"""More is no picture, and no answer to a person."""
MOST_ALONE = 2_000
"""Collaborations that single organizations carry, all nodes together."""


class EdgeKind(Vocabulary):
    """What an edge between two organizations means."""

    collaboration = "collaboration", "They take part in the same collaboration."
    part_of = "part_of", "The source is a part of the target."
    succession = "succession", "The source became the target, or a part of it did."


@dataclass(frozen=True, slots=True)
class Scope:
    """Which collaborations count: of the types with these ids (None: of all), and whose period, as well as that of each
    participant, holds the EDTF date `active_on`. `structure`: whether being part of another organization is an edge."""

    types: Sequence[UUID] | None = None
    active_on: str | None = None
    match: Match = Match.possible
    structure: bool = True

    @property
    def narrow(self) -> bool:
        return self.types is not None or self.active_on is not None

    def parts(self, name: str) -> sa.Subquery:
        """A row for each part of an organization in a collaboration that counts."""
        own = (PART.c.organization_id, PART.c.collaboration_id, PART.c.role, PART.c.position)
        joined = PART.join(COLLABORATION, COLLABORATION.c.id == PART.c.collaboration_id)
        where = (*self.of_work(), *self.of_part())
        return sa.select(*own, COLLABORATION.c.slug).select_from(joined).where(*where).subquery(name)

    def of_work(self) -> Iterator[sa.ColumnElement[bool]]:
        """What a collaboration must fulfil."""
        yield COLLABORATION.c.withdrawn_at.is_(None)
        if self.types is not None:
            yield COLLABORATION.c.type_id.in_(self.types)
        if self.active_on is not None:
            yield self._held(Overlaps(Collaboration, "period"), self.active_on)

    def of_part(self) -> Iterator[sa.ColumnElement[bool]]:
        """What a part in it must fulfil."""
        if self.active_on is not None:
            own = self._held(Overlaps(CollaborationParticipant, "period"), self.active_on)
            yield sa.or_(PART.c.period_edtf.is_(None), own)

    def _held(self, span: Overlaps, active_on: str) -> sa.ColumnElement[bool]:
        day = edtf.parse(active_on)
        return span.within(day.earliest, day.latest, self.match)


@dataclass(frozen=True, slots=True)
class Summary:
    """A collaboration in short, as an edge or a node shows it. `period` is EDTF."""

    slug: str
    title: str
    type: str
    type_label: str
    status: CollaborationStatus
    period: str | None


@dataclass(slots=True)
class Node:
    """An organization. `steps` is its distance from the center, `collaborations` the number of those that count in which it
    takes part, `alone` those of them in which nobody else does."""

    id: UUID
    slug: str
    name: str
    acronym: str | None
    kind: OrganizationKind
    part_of: str | None
    steps: int | None
    collaborations: int = 0
    alone: list[Summary] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Edge:
    """What connects two organizations (slugs). `work` and the roles of both belong to a collaboration; `event` and its `date`
    (EDTF) to a succession."""

    kind: EdgeKind
    source: str
    target: str
    work: Summary | None = None
    source_roles: tuple[str, ...] = ()
    target_roles: tuple[str, ...] = ()
    event: str | None = None
    date: str | None = None

    @property
    def id(self) -> str:
        """Unique in its graph, and the same in every graph that holds the edge."""
        through = self.work.slug if self.work else f"{self.kind}--{self.event}" if self.event else self.kind
        return f"{self.source}--{self.target}--{through}"

    @property
    def period(self) -> str | None:
        return self.work.period if self.work else self.date


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes and edges by slug. `truncated`: there is more, and the most connected is here."""

    nodes: list[Node]
    edges: list[Edge]
    center: str | None
    truncated: bool


def narrower(tx: Transaction, key: str) -> Sequence[UUID]:
    """The ids of the collaboration type with this slug or id and of all below it. Raises Invalid for one there is not."""
    insist_on_reference(tx, TYPE, key, "type")
    return tx.execute(subtree(TYPE, TYPE.c.broader_id, named(TYPE, key))).scalars().all()


def whole(tx: Transaction, scope: Scope) -> Graph:
    """The graph of the registry: of all organizations, or, where `scope` is narrow, of those that take part in what counts.
    Of too many those in the most collaborations. Three statements, whatever its size."""
    parts = scope.parts("parts")
    count = sa.func.count(parts.c.collaboration_id.distinct()).label("ties")
    ranked = sa.select(parts.c.organization_id.label("id"), count).group_by(parts.c.organization_id).subquery("ranked")
    found = _organizations(tx, ranked, MOST_NODES + 1, outer=not scope.narrow)
    return _graph(tx, scope, [_node(row, None) for row in found], center=None)


def around(tx: Transaction, center: str, scope: Scope, *, depth: int, lineage: bool = False) -> Graph:
    """The organizations that are at most `depth` steps from the one with this slug, and all edges between them. Of too many
    the nearest, of these those with most ties to the step before. With `lineage` its predecessors stand with it at step 0.
    Three statements and one a step, whatever its size."""
    own = named(ORGANIZATION, center)
    roots = lineage_of(own) if lineage else sa.select(ORGANIZATION.c.id).where(own)
    found = sa.select(roots.subquery().c.id, sa.literal(0).label("ties")).subquery("ranked")
    first = _organizations(tx, found, MOST_NODES + 1)
    nodes = sorted((_node(row, 0) for row in first), key=lambda node: node.slug != center)
    frontier = nodes
    for steps in range(1, depth + 1):
        seen = [node.id for node in nodes]
        rows = _organizations(tx, _ties(scope, [node.id for node in frontier]), _room(nodes), seen=seen)
        frontier = [_node(row, steps) for row in rows]
        nodes = nodes + frontier
        if not frontier or len(nodes) > MOST_NODES:
            break
    events = events_behind(tx, center) if lineage else []
    return _graph(tx, scope, nodes, center=center, events=events)


def _room(nodes: Sequence[Node]) -> int:
    """One more than fit tells that there are more."""
    return max(MOST_NODES + 1 - len(nodes), 1)


def _ties(scope: Scope, frontier: Sequence[UUID]) -> sa.Subquery:
    """The neighbours of the organizations `frontier`, each with the number of its ties to them."""
    other, c = scope.parts("other"), ORGANIZATION.c
    mine = sa.select(PART.c.collaboration_id).where(PART.c.organization_id.in_(frontier), *scope.of_part())
    ties = [
        sa.select(other.c.organization_id.label("id"), other.c.collaboration_id.label("tie")).where(
            other.c.collaboration_id.in_(mine)
        )
    ]
    if scope.structure:
        ties.append(sa.select(c.part_of_id, c.id).where(c.id.in_(frontier), c.part_of_id.is_not(None)))
        ties.append(sa.select(c.id, c.id).where(c.part_of_id.in_(frontier)))
    found = sa.union_all(*ties).subquery("ties")
    count = sa.func.count(found.c.tie.distinct()).label("ties")
    return sa.select(found.c.id, count).group_by(found.c.id).subquery("ranked")


def _organizations(
    tx: Transaction, ranked: sa.Subquery, most: int, *, seen: Sequence[UUID] = (), outer: bool = False
) -> Sequence[sa.Row[Any]]:
    """The organizations of `ranked` (with `outer`: all), those with most ties first."""
    c, ties = ORGANIZATION.c, sa.func.coalesce(ranked.c.ties, 0)
    joined = ORGANIZATION.join(ranked, ranked.c.id == c.id, isouter=outer)
    statement = (
        sa.select(c.id, c.slug, c.name, c.acronym, c.kind, PARENT.c.slug.label("parent"))
        .select_from(joined.outerjoin(PARENT, PARENT.c.id == c.part_of_id))
        .where(c.withdrawn_at.is_(None), *([c.id.not_in(seen)] if seen else []))
        .order_by(ties.desc(), c.slug)
    )
    return tx.execute(statement.limit(most)).all()


def _node(row: sa.Row[Any], steps: int | None) -> Node:
    return Node(row.id, row.slug, row.name, row.acronym, row.kind, row.parent, steps)


# --- edges ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Taking:
    """Who of the nodes (by their number) takes part in a collaboration, in which roles; and whether nobody else does."""

    id: UUID
    slug: str
    alone: bool
    roles: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))


Pair = tuple[int, int, _Taking]


def _graph(
    tx: Transaction, scope: Scope, found: list[Node], *, center: str | None, events: Iterable[Mapping[str, Any]] = ()
) -> Graph:
    nodes = found[:MOST_NODES]
    given = chain(_successions(nodes, events), _structure(nodes) if scope.structure else ())
    edges, more_given = _first(given, MOST_EDGES)
    of_node = _takings(tx, scope, nodes)
    for node, takings in zip(nodes, of_node, strict=True):
        node.collaborations = len(takings)
    pairs, more = _first(_pairs(of_node), MOST_EDGES - len(edges))
    alone, more_alone = _first(_alone(of_node), MOST_ALONE)
    works = _works(tx, {taking.id for *_, taking in (*pairs, *alone)})
    for number, taking in alone:
        nodes[number].alone.append(works[taking.id])
    edges += (_edge(nodes, pair, works[pair[2].id]) for pair in pairs)
    return Graph(
        nodes=sorted(nodes, key=lambda node: node.slug),
        edges=sorted(edges, key=lambda edge: (edge.source, edge.target, edge.kind, edge.id)),
        center=center,
        truncated=len(found) > MOST_NODES or more_given or more or more_alone,
    )


def _first(items: Iterator[Any], most: int) -> tuple[list[Any], bool]:
    """The first so many, and whether there are more. The rest is never made: ten collaborations of five hundred
    participants have a million pairs."""
    kept = [item for _, item in zip(range(most), items, strict=False)]
    return kept, len(kept) == most and next(items, None) is not None


def _takings(tx: Transaction, scope: Scope, nodes: Sequence[Node]) -> list[list[_Taking]]:
    """For each node the collaborations that it takes part in, by slug."""
    part, another = scope.parts("part"), scope.parts("another")
    shared = sa.exists().where(
        another.c.collaboration_id == part.c.collaboration_id, another.c.organization_id != part.c.organization_id
    )
    statement = (
        sa.select(part.c.collaboration_id, part.c.organization_id, part.c.role, part.c.slug, shared.label("shared"))
        .where(part.c.organization_id.in_([node.id for node in nodes]))
        .order_by(part.c.slug, part.c.position)
    )
    numbers = {node.id: number for number, node in enumerate(nodes)}
    takings: dict[UUID, _Taking] = {}
    found: list[list[_Taking]] = [[] for _ in nodes]
    for row in tx.execute(statement):
        taking = takings.get(row.collaboration_id)
        if taking is None:
            taking = takings[row.collaboration_id] = _Taking(row.collaboration_id, row.slug, alone=not row.shared)
        number = numbers[row.organization_id]
        if number not in taking.roles:
            found[number].append(taking)
        if row.role not in taking.roles[number]:
            taking.roles[number].append(row.role)
    return found


def _pairs(of_node: Sequence[Sequence[_Taking]]) -> Iterator[Pair]:
    """Each two nodes that take part in the same collaboration, those among the first nodes first."""
    for number, takings in enumerate(of_node):
        pairs = ((other, number, taking) for taking in takings for other in taking.roles if other < number)
        yield from sorted(pairs, key=lambda pair: (pair[0], pair[2].slug))


def _alone(of_node: Sequence[Sequence[_Taking]]) -> Iterator[tuple[int, _Taking]]:
    return ((number, taking) for number, takings in enumerate(of_node) for taking in takings if taking.alone)


def _works(tx: Transaction, ids: set[UUID]) -> dict[UUID, Summary]:
    c = COLLABORATION.c
    shown = (c.id, c.slug, c.title, TYPE.c.slug.label("type"), TYPE.c.label, c.status, c.period_edtf)
    statement = sa.select(*shown).select_from(COLLABORATION.join(TYPE, TYPE.c.id == c.type_id))
    return {
        row.id: Summary(row.slug, row.title, row.type, row.label, row.status, row.period_edtf)
        for row in tx.execute(statement.where(c.id.in_(ids)))
    }


def _edge(nodes: Sequence[Node], pair: Pair, work: Summary) -> Edge:
    one, two, taking = pair
    if nodes[two].slug < nodes[one].slug:
        one, two = two, one
    ends = nodes[one].slug, nodes[two].slug
    return Edge(EdgeKind.collaboration, *ends, work, tuple(taking.roles[one]), tuple(taking.roles[two]))


def _structure(nodes: Sequence[Node]) -> Iterator[Edge]:
    there = {node.slug for node in nodes}
    for node in nodes:
        if node.part_of in there:
            yield Edge(EdgeKind.part_of, node.slug, str(node.part_of))


def _successions(nodes: Sequence[Node], events: Iterable[Mapping[str, Any]]) -> Iterator[Edge]:
    there = {node.slug for node in nodes}
    for event in events:
        ends = event["organization"], event["became"]
        if there.issuperset(ends):
            yield Edge(EdgeKind.succession, *ends, event=event["succession"], date=event["date"])
