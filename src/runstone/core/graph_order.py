"""In which order blocks can be executed, and which circle keeps them from having one."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from runstone.core.graph_parts import GraphBlock
from runstone.errors import PipelineError


def ordered(
    blocks: Sequence[GraphBlock], upstream: Mapping[str, tuple[str, ...]], producers: Mapping[str, str]
) -> list[GraphBlock]:
    """The blocks so that each comes after all it depends on; among those that could come next, the first given.

    Source: A. B. Kahn, Topological sorting of large networks, 1962, with a heap in place of his list.
    """
    position = {block.name: number for number, block in enumerate(blocks)}
    after: dict[str, list[str]] = {block.name: [] for block in blocks}
    open_needs = {name: len(before) for name, before in upstream.items()}
    for name, before in upstream.items():
        for other in before:
            after[other].append(name)
    ready = [position[name] for name, count in open_needs.items() if not count]
    heapq.heapify(ready)
    found: list[GraphBlock] = []
    while ready:
        block = blocks[heapq.heappop(ready)]
        found.append(block)
        for name in after[block.name]:
            open_needs[name] -= 1
            if not open_needs[name]:
                heapq.heappush(ready, position[name])
    if len(found) < len(blocks):
        done = {block.name for block in found}
        raise PipelineError(_circle([block for block in blocks if block.name not in done], producers))
    return found


def _circle(blocks: Sequence[GraphBlock], producers: Mapping[str, str]) -> str:
    """Name one circle among blocks that all wait for each other."""
    by_name = {block.name: block for block in blocks}
    needs: dict[str, str] = {}
    current = blocks[0].name
    path: list[str] = []
    while current not in path:
        path.append(current)
        block = by_name[current]
        needs[current] = next(
            need.name for need in (*block.parameters, *block.condition) if producers.get(need.name) in by_name
        )
        current = producers[needs[current]]
    circle = path[path.index(current) :]
    steps = [f"{name!r} needs {needs[name]!r}" for name in circle]
    names = " -> ".join([circle[0], *reversed(circle)])
    return f"the blocks depend on each other in a circle: {names} ({', '.join(steps)})"
