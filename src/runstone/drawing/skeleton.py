"""Skeletons: a connected graph with a rank for every node and an order in every rank, before anything has a size."""

from __future__ import annotations

from collections.abc import Sequence

from runstone.drawing.crossings import ordered
from runstone.drawing.graph import Edge, Node, NodeKind
from runstone.drawing.ranks import Link, ranks


class Skeleton:
    """One connected graph whose long edges have a bend in every rank that they pass.

    Nodes and bends are numbers: first the nodes, as in `nodes`, then the bends.

    ends: of every edge its source and its target.
    rank: of every node and bend, 0 is the highest.
    trunks: positions of the edges that share their way, from one source with the same value in the same manner: they
        share bends too, and leave them like branches, the nearest target first.
    bends: of every trunk, the bends that it passes, from the top.
    layers: the nodes and bends of every rank from left to right.
    up, down: of every node and bend, what it is joined to one rank up and one rank down.
    """

    def __init__(self, nodes: Sequence[Node], edges: Sequence[Edge]) -> None:
        """nodes: every source before its targets."""
        self.nodes = nodes
        self.edges = edges
        number_of = {node.id: number for number, node in enumerate(nodes)}
        self.ends = [(number_of[edge.source], number_of[edge.target]) for edge in edges]
        self.rank = ranks(len(nodes), self._links())
        self.trunks = self._trunks()
        self.bend_count = sum(self._span(trunk) - 1 for trunk in self.trunks)
        """How many bends `join` will make."""

    def join(self) -> None:
        """Lead every edge over the ranks that it passes, and order the ranks."""
        self.up: list[list[int]] = [[] for _ in self.nodes]
        self.down: list[list[int]] = [[] for _ in self.nodes]
        self.bends: list[list[int]] = []
        for trunk in self.trunks:
            source = self.ends[trunk[0]][0]
            chain = [source]
            for _ in range(self._span(trunk) - 1):
                bend = len(self.up)
                self.up.append([])
                self.down.append([])
                self.rank.append(self.rank[chain[-1]] + 1)
                self._link(chain[-1], bend)
                chain.append(bend)
            for number in trunk:
                target = self.ends[number][1]
                self._link(chain[self.rank[target] - self.rank[source] - 1], target)
            self.bends.append(chain[1:])

        layers: list[list[int]] = [[] for _ in range(max(self.rank) + 1)]
        for number, rank in enumerate(self.rank):
            layers[rank].append(number)
        self.layers = ordered(layers, self.up, self.down)

    def is_bend(self, number: int) -> bool:
        return number >= len(self.nodes)

    def way(self, trunk: int, edge: int) -> list[int]:
        """The bends that an edge of a trunk passes before it leaves it."""
        source, target = self.ends[edge]
        return self.bends[trunk][: self.rank[target] - self.rank[source] - 1]

    def _links(self) -> list[Link]:
        weights: dict[tuple[int, int], int] = {}
        for source, target in self.ends:
            # Blocks keep close together, and parameters come to them.
            weight = 1 if self.nodes[source].kind is NodeKind.PARAMETER else 2
            weights[source, target] = weights.get((source, target), 0) + weight
        return [(source, target, weight) for (source, target), weight in weights.items()]

    def _trunks(self) -> list[list[int]]:
        trunks: dict[tuple[int, str, bool, bool], list[int]] = {}
        for number, edge in enumerate(self.edges):
            key = (self.ends[number][0], edge.label, edge.mapped, edge.reduces)
            trunks.setdefault(key, []).append(number)
        return [sorted(trunk, key=lambda number: self.rank[self.ends[number][1]]) for trunk in trunks.values()]

    def _span(self, trunk: Sequence[int]) -> int:
        source, last = self.ends[trunk[-1]]
        return self.rank[last] - self.rank[source]

    def _link(self, upper: int, lower: int) -> None:
        if lower not in self.down[upper]:
            self.down[upper].append(lower)
            self.up[lower].append(upper)
