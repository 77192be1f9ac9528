"""Lanes: a graph as rows from the top down, a node each, beside lanes in which values wait for those who take them."""

from __future__ import annotations

import msgspec

from runstone.drawing.graph import Drawing, Edge, NodeKind, sources_first

Value = tuple[int, str, bool]
"""The row of the node that makes it, its name, and whether it is an array taken by its elements."""

# Of more blocks that could come next only the latest are compared: enough to go on where the last one ended.
_MOST_COMPARED = 50


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """A value on its way down.

    start, end: the numbers of the row that makes it and of the last one that takes it.
    many: an array, of which elements are taken one by one, or gathered.
    """

    start: int
    end: int
    name: str
    many: bool


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A node, by its position in the drawing, in the row with this number, counted from 0.

    takes: the lanes that lead into it; makes: the lanes that begin here.
    told: edges into it that have no lane, because too many would run side by side.
    """

    number: int
    node: int
    takes: tuple[Lane, ...]
    makes: tuple[Lane, ...]
    told: tuple[Edge, ...]


def rows(drawing: Drawing, most_lanes: int) -> list[Row]:
    """The drawing row by row, with never more than `most_lanes` lanes side by side.

    Raises PipelineError for a graph that cannot be drawn.
    """
    order = _sequence(drawing)
    row_of = {drawing.nodes[node].id: row for row, node in enumerate(order)}
    values: dict[Value, list[Edge]] = {}
    for edge in drawing.edges:
        values.setdefault((row_of[edge.source], edge.label, edge.mapped or edge.reduces), []).append(edge)

    takes: list[list[Lane]] = [[] for _ in order]
    makes: list[list[Lane]] = [[] for _ in order]
    told: list[list[Edge]] = [[] for _ in order]
    ends = {value: max(row_of[edge.target] for edge in edges) for value, edges in values.items()}
    kept = _kept(ends, most_lanes)
    for value, edges in values.items():
        if value in kept:
            lane = Lane(start=value[0], end=ends[value], name=value[1], many=value[2])
            makes[lane.start].append(lane)
            for row in sorted({row_of[edge.target] for edge in edges}):
                takes[row].append(lane)
        else:
            for edge in edges:
                told[row_of[edge.target]].append(edge)
    return [
        Row(number=row, node=node, takes=tuple(takes[row]), makes=tuple(makes[row]), told=tuple(told[row]))
        for row, node in enumerate(order)
    ]


def _sequence(drawing: Drawing) -> list[int]:
    """The nodes with their sources first, so that few values wait at a time.

    Of the blocks that could come next, the one that lets most values end and fewest begin, and then the one that goes
    on with what was made last. A parameter comes just before the first block that takes it.
    """
    position = {node.id: number for number, node in enumerate(drawing.nodes)}
    sources: list[set[int]] = [set() for _ in drawing.nodes]
    targets: list[set[int]] = [set() for _ in drawing.nodes]
    for edge in drawing.edges:
        sources[position[edge.target]].add(position[edge.source])
        targets[position[edge.source]].add(position[edge.target])

    is_early = [
        bool(node.kind is NodeKind.PARAMETER and targets[number] and not sources[number])
        for number, node in enumerate(drawing.nodes)
    ]
    rank = {number: place for place, number in enumerate(sources_first(drawing))}
    waits_for = [sum(not is_early[source] for source in those) for those in sources]
    untaken = [len(those) for those in targets]
    placed: dict[int, int] = {}
    ready = [number for number in range(len(waits_for)) if not waits_for[number] and not is_early[number]]
    ready.sort(key=lambda number: -rank[number])

    def merit(number: int) -> tuple[int, int, int]:
        ending = sum(untaken[source] == 1 for source in sources[number])
        beginning = bool(targets[number]) + sum(
            source not in placed and untaken[source] > 1 for source in sources[number]
        )
        latest = max((placed.get(source, -1) for source in sources[number]), default=-1)
        return ending - beginning, latest, -rank[number]

    while ready:
        chosen = max(ready[-_MOST_COMPARED:], key=merit)
        ready.remove(chosen)
        for number in (*sorted(source for source in sources[chosen] if source not in placed), chosen):
            placed[number] = len(placed)
        for source in sources[chosen]:
            untaken[source] -= 1
        for target in targets[chosen]:
            waits_for[target] -= 1
            if not waits_for[target]:
                ready.append(target)
    return list(placed)


def _kept(ends: dict[Value, int], most: int) -> set[Value]:
    """The values that get a lane: where too many would run side by side, those that end last go without."""
    kept: set[Value] = set()
    running: list[Value] = []
    for value in sorted(ends):
        kept.add(value)
        running = [other for other in running if ends[other] > value[0]] + [value]
        if len(running) > most:
            last = max(running, key=lambda other: (ends[other], -other[0]))
            running.remove(last)
            kept.remove(last)
    return kept
