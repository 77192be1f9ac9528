"""Crossings: in which order the nodes of each rank stand, so that few edges cross.

Source: the layer by layer sweep of Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system
structures", 1981, with the exchange of neighbours of Gansner and others, 1993.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise

Neighbours = Sequence[Sequence[int]]
"""For each node the nodes it is joined to, one rank up or one rank down."""

_MOST_SWEEPS = 24
_PATIENCE = 6
_FEWEST_SWEEPS = 4
# Sweeps times nodes and edges, and pairs of edges compared: what fits well under a second.
_SWEEP_WORK = 150_000
_EXCHANGE_WORK = 30_000


def ordered(layers: Sequence[Sequence[int]], up: Neighbours, down: Neighbours) -> list[list[int]]:
    """The same layers, from the top, each in an order from left to right with few crossings."""
    best = [list(layer) for layer in layers]
    fewest = crossings(best, down)
    size = len(up) + sum(len(targets) for targets in down)
    sweeps = max(_FEWEST_SWEEPS, min(_MOST_SWEEPS, _SWEEP_WORK // (size + 1)))
    exchanging = sum((len(up[node]) + len(down[node])) ** 2 for node in range(len(up))) <= _EXCHANGE_WORK
    for start in (_by_descent(layers, down), best):
        current = [list(layer) for layer in start]
        since_better = 0
        for sweep in range(sweeps):
            if fewest == 0 or since_better > _PATIENCE:
                break
            _sweep(current, up if sweep % 2 == 0 else down, downwards=sweep % 2 == 0)
            if exchanging:
                _exchange_neighbours(current, up, down)
            count = crossings(current, down)
            since_better += 1
            if count < fewest:
                best, fewest, since_better = [list(layer) for layer in current], count, 0
    return best


def crossings(layers: Sequence[Sequence[int]], down: Neighbours) -> int:
    """How many pairs of edges cross between neighbouring layers."""
    total = 0
    for upper, lower in pairwise(layers):
        place = {node: number for number, node in enumerate(lower)}
        passed: list[int] = []
        for node in upper:
            ends = sorted(place[target] for target in down[node])
            for end in ends:
                total += len(passed) - bisect_right(passed, end)
            for end in ends:
                insort(passed, end)
    return total


def _by_descent(layers: Sequence[Sequence[int]], down: Neighbours) -> list[list[int]]:
    """Each layer in the order in which a walk down, depth first, from the nodes of the highest layers meets it."""
    rank = {node: number for number, layer in enumerate(layers) for node in layer}
    found: list[list[int]] = [[] for _ in layers]
    seen: set[int] = set()
    for layer in layers:
        for start in layer:
            waiting = [start]
            while waiting:
                node = waiting.pop()
                if node not in seen:
                    seen.add(node)
                    found[rank[node]].append(node)
                    waiting.extend(reversed(down[node]))
    return found


def _sweep(layers: list[list[int]], fixed_side: Neighbours, *, downwards: bool) -> None:
    """Order each layer after the mean place of its neighbours in the layer just done."""
    numbers = range(1, len(layers)) if downwards else range(len(layers) - 2, -1, -1)
    for number in numbers:
        fixed = layers[number - 1 if downwards else number + 1]
        place = {node: position for position, node in enumerate(fixed)}
        layer = layers[number]
        mean = {
            node: sum(place[other] for other in fixed_side[node]) / len(fixed_side[node])
            for node in layer
            if fixed_side[node]
        }
        # Nodes without a neighbour there stay where they are; the others fill the places between them.
        moving = iter(sorted(mean, key=mean.__getitem__))
        layers[number] = [next(moving) if node in mean else node for node in layer]


def _exchange_neighbours(layers: list[list[int]], up: Neighbours, down: Neighbours) -> None:
    """Exchange two that stand side by side where that saves a crossing, until nowhere does."""
    places = [{node: position for position, node in enumerate(layer)} for layer in layers]
    nowhere: dict[int, int] = {}
    for _ in range(10):
        improved = False
        for number, layer in enumerate(layers):
            above = places[number - 1] if number else nowhere
            below = places[number + 1] if number + 1 < len(layers) else nowhere
            for position in range(len(layer) - 1):
                left, right = layer[position], layer[position + 1]
                saved = _saved(up[left], up[right], above) + _saved(down[left], down[right], below)
                if saved > 0:
                    layer[position], layer[position + 1] = right, left
                    places[number][right], places[number][left] = position, position + 1
                    improved = True
        if not improved:
            return


def _saved(left: Sequence[int], right: Sequence[int], place: dict[int, int]) -> int:
    """How many crossings fewer there are on one side if two neighbours change places; negative if more."""
    saved = 0
    for one in left:
        for other in right:
            if place[one] > place[other]:
                saved += 1
            elif place[one] < place[other]:
                saved -= 1
    return saved
