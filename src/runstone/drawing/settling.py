"""Settling: what moves together, or to the side, once every node has a column, so that edges are shorter."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise

from runstone.drawing.columns import Gap
from runstone.drawing.crossings import Neighbours

_MOST_ROUNDS = 12
# Columns that differ by less, in px, are one: nobody sees that bend.
_STRAIGHT = 0.5


class Settling:
    """The centres of all nodes, in px, while they move without overtaking each other.

    centre: of every node and bend; moved in place.
    """

    def __init__(
        self,
        layers: Sequence[Sequence[int]],
        up: Neighbours,
        down: Neighbours,
        gap: Gap,
        centre: list[float],
    ) -> None:
        self.centre = centre
        self._layers = layers
        self._up = up
        self._down = down
        self._gap = gap
        self._left = {right: left for layer in layers for left, right in pairwise(layer)}
        self._right = {left: right for layer in layers for left, right in pairwise(layer)}

    def room(self, body: Sequence[int]) -> tuple[float, float]:
        """How far nodes can go together without changing anything else: to the left (not above 0), to the right.

        Of nodes side by side only the first and the last of a layer count; they keep their distances.
        """
        inside = set(body)
        centre, left, right = self.centre, self._left, self._right
        to_left = [
            centre[left[node]] + self._gap(left[node], node) - centre[node]
            for node in body
            if node in left and left[node] not in inside
        ]
        to_right = [
            centre[right[node]] - self._gap(node, right[node]) - centre[node]
            for node in body
            if node in right and right[node] not in inside
        ]
        return min(0.0, max(to_left, default=-1e9)), max(0.0, min(to_right, default=1e9))

    def move(self, body: Sequence[int], shift: float) -> float:
        """Move nodes together, as far as there is room; how far they went."""
        to_left, to_right = self.room(body)
        shift = min(max(shift, to_left), to_right)
        if abs(shift) < _STRAIGHT:
            return 0.0
        for node in body:
            self.centre[node] += shift
        return shift

    def gather(self) -> None:
        """Move whole columns, whose nodes stand straight below each other, to the median of what they are joined to.

        That shortens edges and bends none that was straight. A column that stands between two medians stays, so what
        was centred stays centred.
        """
        for _ in range(_MOST_ROUNDS):
            moved = 0.0
            seen: set[int] = set()
            for layer in self._layers:
                for start in layer:
                    if start in seen:
                        continue
                    column = self._column(start)
                    seen.update(column)
                    inside = set(column)
                    pulls = sorted(
                        self.centre[other]
                        for node in column
                        for other in (*self._up[node], *self._down[node])
                        if other not in inside
                    )
                    if pulls:
                        here = self.centre[start]
                        wanted = min(max(here, pulls[(len(pulls) - 1) // 2]), pulls[len(pulls) // 2])
                        moved += abs(self.move(column, wanted - here))
            if moved < 1:
                return

    def centre_satellites(self) -> None:
        """Move nodes that hang on one and the same other node, side by side, so that it stands in their middle."""
        for layer in self._layers:
            for hub, group in groupby(layer, key=self._hub):
                if hub is None:
                    continue
                satellites = list(group)
                middle = (self.centre[satellites[0]] + self.centre[satellites[-1]]) / 2
                self.move(satellites, self.centre[hub] - middle)

    def _hub(self, node: int) -> int | None:
        """The only node that another is joined to."""
        joined = (*self._up[node], *self._down[node])
        return joined[0] if len(joined) == 1 else None

    def _column(self, start: int) -> list[int]:
        """The nodes joined to `start` by edges that run straight down."""
        column = [start]
        seen = {start}
        for node in column:
            for other in (*self._up[node], *self._down[node]):
                if other not in seen and abs(self.centre[other] - self.centre[node]) < _STRAIGHT:
                    seen.add(other)
                    column.append(other)
        return column
