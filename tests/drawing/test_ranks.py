from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from runstone.drawing.ranks import Link, ranks


def length(level: list[int] | tuple[int, ...], links: list[Link]) -> int:
    return sum(weight * (level[target] - level[source]) for source, target, weight in links)


@st.composite
def connected(draw: st.DrawFn, most_nodes: int) -> tuple[int, list[Link]]:
    size = draw(st.integers(1, most_nodes))
    links: dict[tuple[int, int], int] = {}
    for node in range(1, size):
        links[draw(st.integers(0, node - 1)), node] = draw(st.integers(1, 3))
    for _ in range(draw(st.integers(0, size)) if size > 1 else 0):
        source = draw(st.integers(0, size - 2))
        links[source, draw(st.integers(source + 1, size - 1))] = draw(st.integers(1, 3))
    return size, [(source, target, weight) for (source, target), weight in links.items()]


@given(connected(most_nodes=30))
def test_every_edge_points_down_and_the_highest_rank_is_0(graph: tuple[int, list[Link]]) -> None:
    size, links = graph
    level = ranks(size, links)
    assert min(level) == 0
    assert all(level[target] > level[source] for source, target, _ in links)


@given(connected(most_nodes=5))
def test_no_other_ranks_make_the_edges_shorter_in_total(graph: tuple[int, list[Link]]) -> None:
    size, links = graph
    shortest = min(
        length(level, links)
        for level in product(range(size), repeat=size)
        if all(level[target] > level[source] for source, target, _ in links)
    )
    assert length(ranks(size, links), links) == shortest


def test_a_source_stands_just_above_the_first_that_needs_it() -> None:
    # 0 -> 1 -> 2 -> 4, and 3 feeds only 4
    assert ranks(5, [(0, 1, 1), (1, 2, 1), (2, 4, 1), (3, 4, 1)])[3] == 2


def test_a_group_moves_as_one_where_that_is_shorter() -> None:
    # 1 and 2 feed 3, which feeds 6 at the end of the chain 0, 4, 5, 6: alone none of the three would gain by moving.
    level = ranks(7, [(0, 4, 1), (4, 5, 1), (5, 6, 1), (1, 3, 1), (2, 3, 1), (3, 6, 1)])
    assert level == [0, 1, 1, 2, 1, 2, 3]
