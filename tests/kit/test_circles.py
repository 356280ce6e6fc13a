"""Circles of a graph."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.kit.circles import circles

GRAPHS = st.integers(1, 8).flatmap(
    lambda n: st.dictionaries(st.sampled_from(range(n)), st.lists(st.sampled_from(range(n)), max_size=4)).map(
        lambda edges: {node: edges.get(node, []) for node in range(n)}
    )
)


def reachable(graph: dict[int, list[int]], start: int) -> set[int]:
    seen, waiting = set(), [start]
    while waiting:
        for node in graph[waiting.pop()]:
            if node not in seen:
                seen.add(node)
                waiting.append(node)
    return seen


@given(GRAPHS)
def test_two_nodes_are_in_one_circle_exactly_when_each_leads_to_the_other(graph: dict[int, list[int]]) -> None:
    found = list(circles(graph))
    assert sum(map(len, found)) == len(set().union(*found))
    leads = {node: reachable(graph, node) for node in graph}
    for one in graph:
        for other in graph:
            together = any({one, other} <= circle for circle in found)
            assert together == (one != other and other in leads[one] and one in leads[other]) or one == other


def test_a_long_chain_that_closes_is_one_circle() -> None:
    graph = {n: [(n + 1) % 50_000] for n in range(50_000)}
    assert [len(circle) for circle in circles(graph)] == [50_000]
