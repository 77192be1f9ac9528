from __future__ import annotations

import random
from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from runstone.drawing.crossings import crossings, ordered

Layered = tuple[list[list[int]], list[list[int]], list[list[int]]]


def joined(layers: list[list[int]], edges: set[tuple[int, int]]) -> Layered:
    size = sum(map(len, layers))
    up: list[list[int]] = [[] for _ in range(size)]
    down: list[list[int]] = [[] for _ in range(size)]
    for source, target in sorted(edges):
        down[source].append(target)
        up[target].append(source)
    return layers, up, down


@st.composite
def layered(draw: st.DrawFn) -> Layered:
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    layers: list[list[int]] = []
    for size in sizes:
        start = sum(map(len, layers))
        layers.append(list(range(start, start + size)))
    edges: set[tuple[int, int]] = set()
    for upper, lower in pairwise(layers):
        edges |= draw(st.sets(st.tuples(st.sampled_from(upper), st.sampled_from(lower)), max_size=8))
    return joined(layers, edges)


def counted_one_by_one(layers: list[list[int]], down: list[list[int]]) -> int:
    total = 0
    for upper, lower in pairwise(layers):
        edges = [(upper.index(source), lower.index(target)) for source in upper for target in down[source]]
        total += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(edges, 2))
    return total


@given(layered())
def test_crossings_are_counted_right(graph: Layered) -> None:
    layers, _, down = graph
    assert crossings(layers, down) == counted_one_by_one(layers, down)


@given(layered())
def test_the_order_found_keeps_every_node_in_its_layer_and_never_crosses_more_than_the_one_given(
    graph: Layered,
) -> None:
    layers, up, down = graph
    found = ordered(layers, up, down)
    assert [sorted(layer) for layer in found] == layers
    assert crossings(found, down) <= crossings(layers, down)


def test_what_need_not_cross_does_not() -> None:
    # two ladders, their rungs given in the worst order
    layers, up, down = joined(
        [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]],
        {(0, 7), (1, 6), (2, 5), (3, 4), (7, 8), (5, 8), (6, 9), (4, 9)},
    )
    found = ordered(layers, up, down)
    assert crossings(layers, down) > 0
    assert crossings(found, down) == 0


def test_an_order_without_crossings_is_left_alone() -> None:
    layers, up, down = joined([[0], [1, 2, 3], [4]], {(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)})
    assert ordered(layers, up, down) == [[0], [1, 2, 3], [4]]


def test_to_order_once_more_makes_nothing_worse() -> None:
    # So many edges that only sweeps are affordable, which alone now and then undo what the one before had won.
    rng = random.Random(5)
    layers = [list(range(start, start + 60)) for start in range(0, 360, 60)]
    for _ in range(3):
        edges = {(rng.choice(upper), rng.choice(lower)) for upper, lower in pairwise(layers) for _ in range(330)}
        _, up, down = joined(layers, edges)
        once = ordered(layers, up, down)
        assert crossings(ordered(once, up, down), down) <= crossings(once, down)
