"""Layout: where in a picture every box stands and which way every edge takes, from the top down."""

from __future__ import annotations

from itertools import pairwise

import msgspec

from runstone.drawing.columns import columns
from runstone.drawing.crossings import ordered
from runstone.drawing.face import STACK, Face, face
from runstone.drawing.graph import Drawing, Edge, Node, NodeKind, named_outputs, sources_first
from runstone.drawing.ranks import Link, ranks
from runstone.errors import PipelineError

MARGIN = 24.0
STUB = 20.0
"""How far an edge runs straight into its target, in px: room for its arrowhead and what marks a reduction."""

_NODE_GAP = 26.0
_EDGE_GAP = 16.0
_RANK_GAP = 52.0
_MOST_RANK_GAP = 140.0
_NEAR = 50.0
_STEEPNESS = 0.13
_PORT_GAP = 15.0
_MOST_PORTS_WIDTH = 420.0
_PIECE_GAP = 56.0
# Where long edges pass ranks. A graph with more is no picture any more, and would take seconds.
_MOST_BENDS = 20_000


class Point(msgspec.Struct, frozen=True):
    """A place in the picture, px from its upper left corner."""

    x: float
    y: float


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """A node in its place: its upper left corner."""

    node: Node
    face: Face
    rank: int
    x: float
    y: float

    @property
    def centre(self) -> float:
        return self.x + self.face.width / 2

    @property
    def bottom(self) -> float:
        return self.y + self.face.height


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """The way of an edge, from the lower side of its source to the upper side of its target.

    From a point to one straight below it runs straight, to any other in a curve that is vertical at both ends.
    """

    edge: Edge
    points: tuple[Point, ...]


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """A drawing with a place for everything. Routes that share a way stand side by side."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]


def layout(drawing: Drawing) -> Layout:
    """Place everything. Raises PipelineError for a graph that cannot be drawn."""
    order = sources_first(drawing)
    pieces = [_Piece(drawing, members) for members in _connected(drawing, order)]
    if sum(piece.bend_count for piece in pieces) > _MOST_BENDS:
        raise PipelineError("the graph has too many edges that pass over many ranks to be drawn")
    return _packed([piece.placed() for piece in pieces])


def _connected(drawing: Drawing, order: list[int]) -> list[list[int]]:
    """The connected pieces of the graph, each with its sources first."""
    position = {node.id: number for number, node in enumerate(drawing.nodes)}
    leader = list(range(len(drawing.nodes)))

    def lead(number: int) -> int:
        while leader[number] != number:
            leader[number] = leader[leader[number]]
            number = leader[number]
        return number

    for edge in drawing.edges:
        one, other = sorted((lead(position[edge.source]), lead(position[edge.target])))
        leader[other] = one
    members: dict[int, list[int]] = {}
    for number in order:
        members.setdefault(lead(number), []).append(number)
    return [members[first] for first in sorted(members)]


class _Piece:
    """One connected piece of the graph while it is laid out.

    Its nodes, and the bends of its edges, are numbers: first the nodes, then the bends. Edges from one source that
    carry the same value in the same way share their bends, like a trunk from which branches leave.
    """

    def __init__(self, drawing: Drawing, members: list[int]) -> None:
        self.nodes = [drawing.nodes[number] for number in sorted(members)]
        number_of = {node.id: number for number, node in enumerate(self.nodes)}
        self.edges = [edge for edge in drawing.edges if edge.source in number_of]
        self.ends = [(number_of[edge.source], number_of[edge.target]) for edge in self.edges]
        topological = [number_of[drawing.nodes[number].id] for number in members]

        weight: dict[tuple[int, int], int] = {}
        for source, target in self.ends:
            # Blocks stand close together; parameters come to them.
            pull = 1 if self.nodes[source].kind is NodeKind.PARAMETER else 2
            weight[source, target] = weight.get((source, target), 0) + pull
        links: list[Link] = [(source, target, pull) for (source, target), pull in weight.items()]
        self.rank = ranks(topological, links)
        self.trunks = self._grouped()
        self.bend_count = sum(
            max(self.rank[self.ends[number][1]] for number in trunk) - self.rank[self.ends[trunk[0]][0]] - 1
            for trunk in self.trunks
        )

    def _grouped(self) -> list[list[int]]:
        """The edges by trunk: positions in `self.edges`."""
        trunks: dict[tuple[int, str, bool, bool], list[int]] = {}
        for number, edge in enumerate(self.edges):
            key = (self.ends[number][0], edge.label, edge.mapped, edge.reduces)
            trunks.setdefault(key, []).append(number)
        return list(trunks.values())

    def placed(self) -> Layout:
        """The piece with its upper left corner at 0, 0."""
        self._join()
        faces = [self._face(number, named_outputs(node)) for number, node in enumerate(self.nodes)]
        bends = [number >= len(self.nodes) for number in range(len(self.up))]
        half = [
            0.0 if bends[number] else (faces[number].width + (STACK if self.nodes[number].mapped else 0.0)) / 2
            for number in range(len(self.up))
        ]

        def gap(left: int, right: int) -> float:
            return half[left] + half[right] + (_EDGE_GAP if bends[left] or bends[right] else _NODE_GAP)

        self.layers = ordered(self._layers(), self.up, self.down)
        centre = columns(self.layers, self.up, self.down, bends, gap)
        leftmost = min(x - room for x, room in zip(centre, half, strict=True))
        self.centre = [x - leftmost for x in centre]
        self.faces = [self._face_towards_targets(number) for number in range(len(self.nodes))]
        width = max(x + room for x, room in zip(self.centre, half, strict=True))
        return self._drawn(width)

    def _join(self) -> None:
        """Lead every edge over the ranks it passes: `up`, `down` and `way`, the bends of each edge."""
        self.up: list[list[int]] = [[] for _ in self.nodes]
        self.down: list[list[int]] = [[] for _ in self.nodes]
        self.way: list[list[int]] = [[] for _ in self.edges]
        self.rank_of_bend: list[int] = []
        for trunk in self.trunks:
            source = self.ends[trunk[0]][0]
            chain = [source]
            for number in sorted(trunk, key=lambda number: self.rank[self.ends[number][1]]):
                target = self.ends[number][1]
                while self.rank[source] + len(chain) < self.rank[target]:
                    bend = len(self.up)
                    self.up.append([])
                    self.down.append([])
                    self.rank_of_bend.append(self.rank[source] + len(chain))
                    self._link(chain[-1], bend)
                    chain.append(bend)
                self._link(chain[self.rank[target] - self.rank[source] - 1], target)
                self.way[number] = chain[1 : self.rank[target] - self.rank[source]]

    def _link(self, upper: int, lower: int) -> None:
        if lower not in self.down[upper]:
            self.down[upper].append(lower)
            self.up[lower].append(upper)

    def _layers(self) -> list[list[int]]:
        layers: list[list[int]] = [[] for _ in range(max(self.rank.values()) + 1)]
        for number in range(len(self.nodes)):
            layers[self.rank[number]].append(number)
        for number, rank in enumerate(self.rank_of_bend, start=len(self.nodes)):
            layers[rank].append(number)
        return layers

    def _face_towards_targets(self, number: int) -> Face:
        """The face of a node, its outputs in the order in which their edges leave to the left and right."""
        node = self.nodes[number]
        names = named_outputs(node)
        aims: dict[str, list[float]] = {}
        for position, (source, target) in enumerate(self.ends):
            if source == number:
                towards = self.way[position][0] if self.way[position] else target
                aims.setdefault(self.edges[position].label, []).append(self.centre[towards])
        mean = {name: sum(aim) / len(aim) for name, aim in aims.items()}
        return self._face(number, tuple(sorted(names, key=lambda name: mean.get(name, self.centre[number]))))

    def _face(self, number: int, outputs: tuple[str, ...]) -> Face:
        arriving = sum(target == number for _, target in self.ends)
        return face(self.nodes[number], outputs, min(_PORT_GAP * (arriving + 1), _MOST_PORTS_WIDTH))

    def _drawn(self, width: float) -> Layout:
        """Everything that follows from the columns: ports, heights, and the ways of the edges."""
        leaves = [self._leaving(number) for number in range(len(self.edges))]
        enters = self._entering(leaves)
        band = [
            max((self.faces[number].height for number in layer if number < len(self.nodes)), default=0.0)
            for layer in self.layers
        ]
        farthest = [0.0] * len(band)
        for number, (source, _) in enumerate(self.ends):
            across = [leaves[number], *(self.centre[bend] for bend in self.way[number]), enters[number]]
            for rank, (one, other) in enumerate(pairwise(across), start=self.rank[source]):
                farthest[rank] = max(farthest[rank], abs(one - other))

        top = [0.0]
        for height, far in zip(band, farthest, strict=True):
            # Where edges go far to the side the ranks stand further apart, or the curves would lie flat.
            top.append(top[-1] + height + min(_MOST_RANK_GAP, _RANK_GAP + max(0.0, far - _NEAR) * _STEEPNESS))
        boxes = [
            Box(
                node=node,
                face=self.faces[number],
                rank=self.rank[number],
                x=self.centre[number] - self.faces[number].width / 2,
                y=top[self.rank[number]] + (band[self.rank[number]] - self.faces[number].height) / 2,
            )
            for number, node in enumerate(self.nodes)
        ]

        routes = []
        for trunk in self.trunks:
            for number in trunk:
                source, target = self.ends[number]
                rank = self.rank[source]
                points = [Point(leaves[number], boxes[source].bottom), Point(leaves[number], top[rank] + band[rank])]
                for bend in self.way[number]:
                    rank += 1
                    points.append(Point(self.centre[bend], top[rank]))
                    points.append(Point(self.centre[bend], top[rank] + band[rank]))
                points.append(Point(enters[number], top[rank + 1] - STUB))
                points.append(Point(enters[number], boxes[target].y))
                routes.append(Route(edge=self.edges[number], points=tuple(points)))
        height = max(box.bottom for box in boxes)
        return Layout(width=width, height=height, boxes=tuple(boxes), routes=tuple(routes))

    def _leaving(self, number: int) -> float:
        source = self.ends[number][0]
        for port in self.faces[source].ports:
            if port.output == self.edges[number].label:
                return self.centre[source] - self.faces[source].width / 2 + port.x
        return self.centre[source]

    def _entering(self, leaves: list[float]) -> list[float]:
        """Where along the upper side of its target each edge ends."""
        arriving: dict[int, list[tuple[float, int]]] = {}
        for number, (_, target) in enumerate(self.ends):
            way = self.way[number]
            arriving.setdefault(target, []).append((self.centre[way[-1]] if way else leaves[number], number))
        enters = [0.0] * len(self.edges)
        for target, edges in arriving.items():
            edges.sort()
            room = self.faces[target].width / 2 - _PORT_GAP
            places = _spread([x - self.centre[target] for x, _ in edges], room)
            for place, (_, number) in zip(places, edges, strict=True):
                enters[number] = self.centre[target] + place
        return enters


def _spread(wanted: list[float], room: float) -> list[float]:
    """Places for edges along the side of a box, as near as can be to where they come from and not too close.

    wanted: from left to right, 0 is the middle of the side, which reaches `room` to both sides.
    An edge that comes from straight above ends there; one from further out ends nearer to the middle.
    Source of the pooling: isotonic regression by pool adjacent violators.
    """
    gap = min(_PORT_GAP, 2 * room / (len(wanted) - 1)) if len(wanted) > 1 else 0.0
    eased = [x if abs(x) <= room else max(-room, min(room, x / abs(x) * room * 0.5)) for x in wanted]
    pools: list[tuple[float, int]] = []
    for number, x in enumerate(eased):
        pool = (x - number * gap, 1)
        while pools and pools[-1][0] / pools[-1][1] > pool[0] / pool[1]:
            pool = (pool[0] + pools[-1][0], pool[1] + pools[-1][1])
            pools.pop()
        pools.append(pool)
    places: list[float] = []
    for total, count in pools:
        for _ in range(count):
            number = len(places)
            place = total / count + number * gap
            places.append(max(-room + number * gap, min(room - (len(wanted) - 1 - number) * gap, place)))
    return places


def _packed(pieces: list[Layout]) -> Layout:
    """Pieces that are not connected, side by side, in several rows where one would be far too wide."""
    area = sum((piece.width + _PIECE_GAP) * (piece.height + _PIECE_GAP) for piece in pieces)
    row_width = max([piece.width for piece in pieces] + [(area * 1.8) ** 0.5])
    boxes: list[Box] = []
    routes: list[Route] = []
    x = y = MARGIN
    width = lowest = 0.0
    for piece in pieces:
        if x > MARGIN and x + piece.width > MARGIN + row_width:
            x, y = MARGIN, lowest + _PIECE_GAP
        for box in piece.boxes:
            boxes.append(msgspec.structs.replace(box, x=box.x + x, y=box.y + y))
        for route in piece.routes:
            points = tuple(Point(point.x + x, point.y + y) for point in route.points)
            routes.append(Route(edge=route.edge, points=points))
        width, lowest = max(width, x + piece.width), max(lowest, y + piece.height)
        x += piece.width + _PIECE_GAP
    return Layout(width=width + MARGIN, height=lowest + MARGIN, boxes=tuple(boxes), routes=tuple(routes))
