"""What is drawn: a graph of blocks and of the parameters that feed them, as plain records."""

from __future__ import annotations

from collections import deque
from enum import StrEnum

import msgspec

from runstone.errors import PipelineError

# A larger graph is no picture any more, and one that somebody made up must not keep its reader busy.
MOST_NODES = 2_000
MOST_EDGES = 10_000


class NodeKind(StrEnum):
    """What a node stands for."""

    BLOCK = "block"
    PARAMETER = "parameter"


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A block, or a parameter of the run.

    label: the name in large letters.
    detail: one line in small ones: the mapspec of a block, the type or value of a parameter.
    outputs: names of the values it makes; () means one value of the same name.
    mapped: the block is called once for each element.
    status: the word for how it stands, None in a graph that is not run.
    """

    id: str
    label: str
    kind: NodeKind = NodeKind.BLOCK
    detail: str = ""
    outputs: tuple[str, ...] = ()
    mapped: bool = False
    status: str | None = None


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """A value on its way from the node that makes it to a block that takes it.

    label: the name of the value, one of the source's outputs; "" means its only one.
    mapped: the target gets one element at a time.
    reduces: the target gets a whole axis, or all of an array, at once.
    """

    source: str
    target: str
    label: str = ""
    mapped: bool = False
    reduces: bool = False


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """A graph to be drawn. Nodes that are equal in rank keep the order given here as far as that is good."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    title: str = ""


def named_outputs(node: Node) -> tuple[str, ...]:
    """The outputs that a reader would miss: several, or one whose name is told nowhere else on the node."""
    if len(node.outputs) == 1 and (node.outputs[0] == node.label or node.outputs[0] in node.detail):
        return ()
    return node.outputs


def sources_first(drawing: Drawing) -> list[int]:
    """Positions in `drawing.nodes`, every source before its targets, otherwise in the order given.

    Raises PipelineError for a graph that cannot be drawn: a name there twice or not at all, a cycle, too many nodes.
    """
    nodes = drawing.nodes
    if len(nodes) > MOST_NODES:
        raise PipelineError(f"{len(nodes):,} blocks and parameters are too many to draw; {MOST_NODES:,} are the most")
    if len(drawing.edges) > MOST_EDGES:
        raise PipelineError(f"{len(drawing.edges):,} edges are too many to draw; {MOST_EDGES:,} are the most")
    position = {node.id: number for number, node in enumerate(nodes)}
    if len(position) < len(nodes):
        twice = next(node.id for number, node in enumerate(nodes) if position[node.id] != number)
        raise PipelineError(f"two nodes of the graph are called {twice!r}; give one of them another name")

    targets: list[list[int]] = [[] for _ in nodes]
    waits_for = [0] * len(nodes)
    for edge in drawing.edges:
        for end in (edge.source, edge.target):
            if end not in position:
                raise PipelineError(f"the graph has an edge {edge.source!r} -> {edge.target!r}, but no node {end!r}")
        targets[position[edge.source]].append(position[edge.target])
        waits_for[position[edge.target]] += 1

    ready = deque(number for number, count in enumerate(waits_for) if not count)
    order = []
    while ready:
        number = ready.popleft()
        order.append(number)
        for target in targets[number]:
            waits_for[target] -= 1
            if not waits_for[target]:
                ready.append(target)
    if len(order) < len(nodes):
        stuck = ", ".join(repr(nodes[number].label) for number, count in enumerate(waits_for) if count)
        raise PipelineError(f"the graph goes round in a circle and cannot be drawn; look among {stuck}")
    return order
