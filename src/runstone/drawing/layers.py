"""Layout: where in a picture every box stands and which way every edge takes, from the top down."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from runstone.drawing.columns import columns
from runstone.drawing.face import STACK, Face, face
from runstone.drawing.graph import Drawing, Edge, Node, named_outputs, sources_first
from runstone.drawing.ports import PORT_GAP, entering, leaving, straighten
from runstone.drawing.settling import Settling
from runstone.drawing.skeleton import Skeleton
from runstone.errors import PipelineError

MARGIN = 24.0
STUB = 20.0
"""How far an edge runs straight into its target, in px: room for its arrowhead and what marks a reduction."""

_NODE_GAP = 26.0
_EDGE_GAP = 16.0
_PIECE_GAP = 56.0
_MOST_PORTS_WIDTH = 420.0
# Where edges go far to the side the ranks stand further apart, or the curves would lie flat.
_RANK_GAP = 52.0
_MOST_RANK_GAP = 140.0
_NEAR = 50.0
_STEEPNESS = 0.13
# A graph with more is no picture any more, and would take seconds.
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
    def right(self) -> float:
        return self.x + self.face.width

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
    skeletons = _connected(drawing, sources_first(drawing))
    if sum(skeleton.bend_count for skeleton in skeletons) > _MOST_BENDS:
        raise PipelineError("too many edges of the graph pass over too many blocks for it to be drawn")
    return _packed([_placed(skeleton) for skeleton in skeletons])


def _connected(drawing: Drawing, order: Sequence[int]) -> list[Skeleton]:
    """The connected pieces of the graph, in the order of their first nodes."""
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

    nodes: dict[int, list[Node]] = {}
    edges: dict[int, list[Edge]] = {}
    for number in order:
        nodes.setdefault(lead(number), []).append(drawing.nodes[number])
    for edge in drawing.edges:
        edges.setdefault(lead(position[edge.source]), []).append(edge)
    return [Skeleton(nodes[first], edges.get(first, ())) for first in sorted(nodes)]


def _placed(skeleton: Skeleton) -> Layout:
    """A connected graph with its upper left corner at 0, 0."""
    skeleton.join()
    arriving = [0] * len(skeleton.nodes)
    for _, target in skeleton.ends:
        arriving[target] += 1
    least_width = [min(PORT_GAP * (count + 1), _MOST_PORTS_WIDTH) for count in arriving]
    faces = [face(node, named_outputs(node), least) for node, least in zip(skeleton.nodes, least_width, strict=True)]
    half = [(one.width + STACK * node.mapped) / 2 for one, node in zip(faces, skeleton.nodes, strict=True)]
    half.extend([0.0] * skeleton.bend_count)

    def gap(left: int, right: int) -> float:
        with_bend = skeleton.is_bend(left) or skeleton.is_bend(right)
        return half[left] + half[right] + (_EDGE_GAP if with_bend else _NODE_GAP)

    centre = columns(skeleton.layers, skeleton.up, skeleton.down, len(skeleton.nodes), gap)
    settling = Settling(skeleton.layers, skeleton.up, skeleton.down, gap, centre)
    settling.gather()
    settling.centre_satellites()
    faces = [
        face(node, _towards_targets(skeleton, number, centre), least_width[number])
        for number, node in enumerate(skeleton.nodes)
    ]
    straighten(skeleton, faces, settling, leaving(skeleton, faces, centre))
    leftmost = min(x - room for x, room in zip(centre, half, strict=True))
    return _drawn(skeleton, faces, [x - leftmost for x in centre])


def _towards_targets(skeleton: Skeleton, number: int, centre: Sequence[float]) -> tuple[str, ...]:
    """The named outputs of a node in the order in which their edges leave, from left to right."""
    names = named_outputs(skeleton.nodes[number])
    if len(names) < 2:
        return names
    aims: dict[str, list[float]] = {name: [] for name in names}
    for below in skeleton.trunks:
        for edge in below:
            source, target = skeleton.ends[edge]
            if source == number:
                aims.setdefault(skeleton.edges[edge].label, []).append(centre[target])
    mean = {name: sum(aim) / len(aim) if aim else centre[number] for name, aim in aims.items()}
    return tuple(sorted(names, key=mean.__getitem__))


def _drawn(skeleton: Skeleton, faces: Sequence[Face], centre: Sequence[float]) -> Layout:
    """Everything that follows from the columns: ports, heights, and the ways of the edges."""
    leaves = leaving(skeleton, faces, centre)
    enters = entering(skeleton, faces, centre, leaves)
    ways = [
        (trunk, edge, [leaves[trunk], *(centre[bend] for bend in skeleton.way(trunk, edge)), enters[edge]])
        for trunk, edges in enumerate(skeleton.trunks)
        for edge in edges
    ]
    height = [
        max((faces[number].height for number in layer if not skeleton.is_bend(number)), default=0.0)
        for layer in skeleton.layers
    ]
    farthest = [0.0] * len(height)
    for _, edge, way in ways:
        for rank, (one, other) in enumerate(pairwise(way), start=skeleton.rank[skeleton.ends[edge][0]]):
            farthest[rank] = max(farthest[rank], abs(one - other))
    top = [0.0]
    for tallest, far in zip(height, farthest, strict=True):
        top.append(top[-1] + tallest + min(_MOST_RANK_GAP, _RANK_GAP + max(0.0, far - _NEAR) * _STEEPNESS))

    boxes = []
    for number, node in enumerate(skeleton.nodes):
        rank, own = skeleton.rank[number], faces[number]
        y = top[rank] + (height[rank] - own.height) / 2
        boxes.append(Box(node=node, face=own, rank=rank, x=centre[number] - own.width / 2, y=y))

    routes = []
    for _, edge, way in ways:
        source, target = skeleton.ends[edge]
        points = [Point(way[0], boxes[source].bottom)]
        for rank, (one, other) in enumerate(pairwise(way), start=skeleton.rank[source]):
            points.append(Point(one, top[rank] + height[rank]))
            points.append(Point(other, top[rank + 1]))
        points[-1] = Point(way[-1], points[-1].y - STUB)
        points.append(Point(way[-1], boxes[target].y))
        routes.append(Route(edge=skeleton.edges[edge], points=tuple(points)))
    return Layout(
        width=max(*centre, *(box.right + STACK * box.node.mapped for box in boxes)),
        height=max(box.bottom + STACK * box.node.mapped for box in boxes),
        boxes=tuple(boxes),
        routes=tuple(routes),
    )


def _packed(pieces: Sequence[Layout]) -> Layout:
    """Pieces that are not connected, the tallest first, in several rows where one would be far too wide."""
    area = sum((piece.width + _PIECE_GAP) * (piece.height + _PIECE_GAP) for piece in pieces)
    row_width = max([(area * 1.8) ** 0.5, *(piece.width for piece in pieces)])
    boxes: list[Box] = []
    routes: list[Route] = []
    x = y = MARGIN
    width = lowest = 0.0
    for piece in sorted(pieces, key=lambda piece: -piece.height):
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
