"""Circles: which nodes of a directed graph can reach each other."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import TypeVar

N = TypeVar("N", bound=Hashable)


def circles(graph: Mapping[N, Iterable[N]]) -> Iterator[set[N]]:
    """The strongly connected components of more than one node (Kosaraju's algorithm, in linear time). Every successor is a key
    of `graph`."""
    back: dict[N, list[N]] = {node: [] for node in graph}
    for node, successors in graph.items():
        for successor in successors:
            back[successor].append(node)
    forth_seen: set[N] = set()
    back_seen: set[N] = set()
    finished = [node for start in graph for node in _finished(start, graph, forth_seen)]
    for node in reversed(finished):
        component = set(_finished(node, back, back_seen))
        if len(component) > 1:
            yield component


def _finished(start: N, graph: Mapping[N, Iterable[N]], seen: set[N]) -> Iterator[N]:
    """The nodes that can be reached from `start` and were not `seen`, each behind all that it leads to."""
    if start in seen:
        return
    seen.add(start)
    path = [(start, iter(graph[start]))]
    while path:
        node, successors = path[-1]
        following = next((each for each in successors if each not in seen), None)
        if following is None:
            path.pop()
            yield node
        else:
            seen.add(following)
            path.append((following, iter(graph[following])))
