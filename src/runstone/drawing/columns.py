"""Columns: where from left to right each node of a ranked graph stands, so that long edges run straight.

Source: Brandes and Köpf, "Fast and simple horizontal coordinate assignment", 2001; blocks are placed by longest paths
over the block graph, which avoids the shift of classes that their erratum of 2020 mends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from runstone.drawing.crossings import Neighbours

Gap = Callable[[int, int], float]
"""The least distance between the centres of two nodes that stand side by side, the left one first."""


def columns(
    layers: Sequence[Sequence[int]], up: Neighbours, down: Neighbours, node_count: int, gap: Gap
) -> list[float]:
    """The centre of every node, in px; the leftmost centre is wherever it falls.

    node_count: numbers from here on are not nodes but bends, points that a long edge passes.
    Four layouts, each leaning into another corner, are laid over each other, and the mean of the middle two counts.
    """
    size = len(up)
    torn = _torn(layers, up, node_count)
    answers = []
    for downwards in (True, False):
        for leftwards in (True, False):
            turned = [list(layer) if leftwards else list(reversed(layer)) for layer in layers]
            if not downwards:
                turned.reverse()
            before, after = (up, down) if downwards else (down, up)
            root = _aligned(turned, before, after, torn, node_count)
            answer = _compacted(turned, root, gap if leftwards else lambda left, right: gap(right, left), size)
            answers.append((answer if leftwards else [-x for x in answer], leftwards))

    narrowest = min((answer for answer, _ in answers), key=lambda answer: max(answer) - min(answer))
    aligned = []
    for answer, leftwards in answers:
        shift = min(narrowest) - min(answer) if leftwards else max(narrowest) - max(answer)
        aligned.append([x + shift for x in answer])
    return [(second + third) / 2 for _, second, third, _ in (sorted(four) for four in zip(*aligned, strict=True))]


def _torn(layers: Sequence[Sequence[int]], up: Neighbours, node_count: int) -> set[tuple[int, int]]:
    """The edges (upper, lower) that cross the inside of a long edge, and so give way to it."""
    torn: set[tuple[int, int]] = set()
    for upper, lower in pairwise(layers):
        place = {node: number for number, node in enumerate(upper)}
        start, left = 0, -1
        for number, node in enumerate(lower):
            inner = next((other for other in up[node] if node >= node_count and other >= node_count), None)
            if inner is None and number + 1 < len(lower):
                continue
            right = len(upper) if inner is None else place[inner]
            for other in lower[start : number + 1]:
                for above in up[other]:
                    if not left <= place[above] <= right and min(other, above) < node_count:
                        torn.add((above, other))
            start, left = number + 1, right
    return torn


def _aligned(
    layers: Sequence[Sequence[int]],
    before: Neighbours,
    after: Neighbours,
    torn: set[tuple[int, int]],
    node_count: int,
) -> list[int]:
    """Bind each node to a middle neighbour of the layer before it; the first node of everyone's column."""
    root = list(range(len(before)))
    for earlier, layer in pairwise(layers):
        place = {node: number for number, node in enumerate(earlier)}
        last = -1
        for node in layer:
            # A trunk runs on straight: its branches do not bend it.
            trunk = [other for other in before[node] if min(node, other) >= node_count]
            free = [other for other in before[node] if other < node_count or max(after[other]) < node_count]
            others = sorted(trunk or free, key=place.__getitem__)
            if not others:
                continue
            middle = len(others) // 2
            for other in others[(len(others) - 1) // 2 : middle + 1]:
                if place[other] > last and (other, node) not in torn and (node, other) not in torn:
                    root[node] = root[other]
                    last = place[other]
                    break
    return root


def _compacted(layers: Sequence[Sequence[int]], root: Sequence[int], gap: Gap, size: int) -> list[float]:
    """Put the columns side by side as far left as they go, then each as far right as its neighbours leave free."""
    right_of: list[dict[int, float]] = [{} for _ in range(size)]
    left_of: list[dict[int, float]] = [{} for _ in range(size)]
    for layer in layers:
        for left, right in pairwise(layer):
            a, b = root[left], root[right]
            distance = max(right_of[a].get(b, 0.0), gap(left, right))
            right_of[a][b] = left_of[b][a] = distance

    order = []
    waits_for = [len(left_of[node]) for node in range(size)]
    ready = [root[node] for layer in layers for node in layer if root[node] == node and not waits_for[node]]
    while ready:
        node = ready.pop()
        order.append(node)
        for other in right_of[node]:
            waits_for[other] -= 1
            if not waits_for[other]:
                ready.append(other)

    x = [0.0] * size
    for node in order:
        x[node] = max((x[other] + distance for other, distance in left_of[node].items()), default=0.0)
    for node in reversed(order):
        if right_of[node]:
            x[node] = max(x[node], min(x[other] - distance for other, distance in right_of[node].items()))
    return [x[root[node]] for node in range(size)]
