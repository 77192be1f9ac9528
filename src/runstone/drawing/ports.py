"""Ports: at which places along the sides of the boxes edges leave and arrive."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from runstone.drawing.face import Face
from runstone.drawing.settling import Settling
from runstone.drawing.skeleton import Skeleton

PORT_GAP = 15.0
"""Px between two edges that leave or enter a box side by side: room for the bar of a reduction."""

# An edge that could run straight gives way to one that is bent anyway only by a thousandth of what it could.
_STRAIGHT_WEIGHT = 1000.0


def leaving(skeleton: Skeleton, faces: Sequence[Face], centre: Sequence[float]) -> list[float]:
    """Where every trunk leaves its source: below the name of its output, or in the middle.

    Several from one place stand side by side, if they do not cross each other then.
    """
    sharing: dict[tuple[int, float, float], list[tuple[float, float, int]]] = {}
    for trunk, edges in enumerate(skeleton.trunks):
        source = skeleton.ends[edges[0]][0]
        face = faces[source]
        output = skeleton.edges[edges[0]].label
        left, right = next(((port.left, port.right) for port in face.ports if port.output == output), (0, face.width))
        aims = [centre[_next_below(skeleton, trunk, edge)] for edge in edges]
        sharing.setdefault((source, left, right), []).append((min(aims), max(aims), trunk))

    leaves = [0.0] * len(skeleton.trunks)
    for (source, left, right), trunks in sharing.items():
        trunks.sort()
        step = min(PORT_GAP, (right - left) / (len(trunks) + 1))
        if any(rightmost > leftmost for (_, rightmost, _), (leftmost, _, _) in pairwise(trunks)):
            step = 0.0
        anchor = centre[source] - faces[source].width / 2 + (left + right) / 2
        for position, (_, _, trunk) in enumerate(trunks):
            leaves[trunk] = anchor + (position - (len(trunks) - 1) / 2) * step
    return leaves


def entering(
    skeleton: Skeleton, faces: Sequence[Face], centre: Sequence[float], leaves: Sequence[float]
) -> list[float]:
    """Where along the upper side of its target every edge ends."""
    arriving: dict[int, list[tuple[float, int]]] = {}
    for trunk, edges in enumerate(skeleton.trunks):
        for edge in edges:
            way = skeleton.way(trunk, edge)
            arriving.setdefault(skeleton.ends[edge][1], []).append((centre[way[-1]] if way else leaves[trunk], edge))
    enters = [0.0] * len(skeleton.edges)
    for target, edges_there in arriving.items():
        edges_there.sort()
        places = spread([x - centre[target] for x, _ in edges_there], _room(faces[target]))
        for place, (_, edge) in zip(places, edges_there, strict=True):
            enters[edge] = centre[target] + place
    return enters


def straighten(skeleton: Skeleton, faces: Sequence[Face], settling: Settling, leaves: Sequence[float]) -> None:
    """Move straight trunks to the side, where there is room, if that spares a bend at one of their ends."""
    centre = settling.centre
    for trunk, bends in enumerate(skeleton.bends):
        if not bends or any(centre[bend] != centre[bends[0]] for bend in bends):
            continue
        target = skeleton.ends[skeleton.trunks[trunk][-1]][1]
        low, high = centre[target] - _room(faces[target]), centre[target] + _room(faces[target])
        here, leave = centre[bends[0]], leaves[trunk]
        # From most to least that is gained: straight at both ends, at the upper one, at the lower one.
        if low <= leave <= high:
            wishes = [leave, here]
        elif low <= here <= high:
            wishes = [here]
        else:
            wishes = [leave, min(max(here, low), high)]
        to_left, to_right = settling.room(bends)
        for wish in wishes:
            if to_left <= wish - here <= to_right:
                for bend in bends:
                    centre[bend] = wish
                break


def _next_below(skeleton: Skeleton, trunk: int, edge: int) -> int:
    way = skeleton.way(trunk, edge)
    return way[0] if way else skeleton.ends[edge][1]


def _room(face: Face) -> float:
    """How far from the middle of its upper side a box takes edges."""
    return face.width / 2 - PORT_GAP


def spread(wanted: Sequence[float], room: float) -> list[float]:
    """Places for edges along the side of a box, as near as can be to where they come from and not too close.

    wanted: from left to right, 0 is the middle of the side, which reaches `room` to both sides.
    An edge that comes from straight above ends there, if it can; one from further out between middle and corner.
    Source of the pooling: isotonic regression by pool adjacent violators.
    """
    gap = min(PORT_GAP, 2 * room / (len(wanted) - 1)) if len(wanted) > 1 else 0.0
    pools: list[tuple[float, float, int]] = []
    for number, x in enumerate(wanted):
        weight = _STRAIGHT_WEIGHT if abs(x) <= room else 1.0
        eased = x if abs(x) <= room else (room / 2 if x > 0 else -room / 2)
        pool = ((eased - number * gap) * weight, weight, 1)
        while pools and pools[-1][0] / pools[-1][1] > pool[0] / pool[1]:
            last = pools.pop()
            pool = (pool[0] + last[0], pool[1] + last[1], pool[2] + last[2])
        pools.append(pool)
    places: list[float] = []
    for total, weight, count in pools:
        for _ in range(count):
            number = len(places)
            place = total / weight + number * gap
            places.append(max(-room + number * gap, min(room - (len(wanted) - 1 - number) * gap, place)))
    return places
