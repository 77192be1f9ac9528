"""A drawing as text for a terminal: a row for each node, and beside it the ways that the values take."""

from __future__ import annotations

from collections.abc import Sequence

from runstone.drawing.graph import Drawing, Edge, Node, NodeKind, named_outputs
from runstone.drawing.lanes import Row, rows
from runstone.drawing.lettering import cells, shortened_to_cells, showable, wrapped_to_cells
from runstone.drawing.pen import ASCII, BOX_DRAWING, Pen
from runstone.drawing.tracks import WIDTH, Tracks

NARROWEST = 24
"""Columns that a drawing needs: asked for fewer, it takes these."""

_BETWEEN = "  "
_MOST_LANES = 24
_LEAST_NAME = 8


def to_text(drawing: Drawing, width: int, *, plain: bool = False) -> str:
    """The drawing in lines of at most `width` columns, but never fewer than NARROWEST.

    plain: ASCII alone, for terminals and files that show nothing else.
    Raises PipelineError for a graph that cannot be drawn.
    """
    width = max(width, NARROWEST)
    pen = ASCII if plain else BOX_DRAWING
    listed = rows(drawing, max(2, min(_MOST_LANES, width // 6)))
    tracks = Tracks(pen)
    sketches = [tracks.sketch(row, _sign(drawing.nodes[row.node], pen)) for row in listed]
    left = tracks.count * WIDTH
    words = _Words(drawing, listed, width - left, pen).rows()

    lines: list[str] = []
    for sketch, own in zip(sketches, words, strict=True):
        if sketch.is_new and lines and _is_sign(lines[-1], sketch.track * WIDTH, pen):
            # Straight below each other two nodes would look joined.
            lines.append(sketch.before)
        for number in range(max(len(own), len(sketch.lines))):
            way = sketch.lines[number] if number < len(sketch.lines) else sketch.after
            lines.append(way.ljust(left) + (own[number] if number < len(own) else ""))
    lines.extend(["", *_legend(drawing, width, pen)])
    return "".join(line.rstrip() + "\n" for line in lines)


def _sign(node: Node, pen: Pen) -> str:
    if node.kind is NodeKind.PARAMETER:
        return pen.parameter
    return pen.mapped if node.mapped else pen.block


def _is_sign(line: str, column: int, pen: Pen) -> bool:
    return line[column : column + 1] in (pen.parameter, pen.block, pen.mapped)


class _Words:
    """What is written beside the tracks: name, status and details in columns; where it is narrow, details below."""

    def __init__(self, drawing: Drawing, listed: Sequence[Row], width: int, pen: Pen) -> None:
        self._width = width
        self._pen = pen
        nodes = {node.id: node for node in drawing.nodes}
        self._names = [self._shown(drawing.nodes[row.node].label) for row in listed]
        self._statuses = [self._shown(drawing.nodes[row.node].status or "") for row in listed]
        labelled: dict[str, list[Edge]] = {}
        for edge in drawing.edges:
            if edge.label and len(named_outputs(nodes[edge.source])) > 1:
                labelled.setdefault(edge.target, []).append(edge)
        self._details = [
            self._details_of(drawing.nodes[row.node], [*labelled.get(drawing.nodes[row.node].id, ()), *row.told], nodes)
            for row in listed
        ]

    def rows(self) -> list[list[str]]:
        """The lines of every row."""
        status_width = max(map(cells, self._statuses), default=0)
        beside = status_width + len(_BETWEEN) if status_width else 0
        name_width = min(max(map(cells, self._names), default=0), max(self._width - beside, _LEAST_NAME))
        detail_width = max((cells(_BETWEEN.join(details)) for details in self._details), default=0)
        is_wide = name_width + beside + len(_BETWEEN) + detail_width <= self._width
        return [
            self._row(name, status, details, name_width, status_width, is_wide)
            for name, status, details in zip(self._names, self._statuses, self._details, strict=True)
        ]

    def _row(
        self, name: str, status: str, details: Sequence[str], name_width: int, status_width: int, is_wide: bool
    ) -> list[str]:
        line = self._padded(shortened_to_cells(name, name_width, self._pen.ellipsis), name_width)
        if status_width:
            line += _BETWEEN + self._padded(status, status_width)
        if is_wide:
            return [_BETWEEN.join([line, *details])]
        room = self._width - len(_BETWEEN)
        return [
            shortened_to_cells(line.rstrip(), self._width, self._pen.ellipsis),
            *(_BETWEEN + piece for detail in details for piece in wrapped_to_cells(detail, room)),
        ]

    def _details_of(self, node: Node, told: Sequence[Edge], nodes: dict[str, Node]) -> list[str]:
        details = [self._shown(node.detail)] if node.detail else []
        outputs = named_outputs(node)
        if outputs:
            details.append(self._shown(f"makes {', '.join(outputs)}"))
        if told:
            names = [edge.label or nodes[edge.source].label for edge in told]
            details.append(f"{self._pen.takes} {self._shown(', '.join(dict.fromkeys(names)))}")
        return details

    def _shown(self, text: str) -> str:
        return self._pen.written(showable(text))

    def _padded(self, text: str, width: int) -> str:
        return text + " " * (width - cells(text))


def _legend(drawing: Drawing, width: int, pen: Pen) -> list[str]:
    """What the signs in this drawing mean."""
    kinds = {_sign(node, pen) for node in drawing.nodes}
    entries = [
        f"{sign} {meaning}"
        for sign, meaning in (
            (pen.parameter, "parameter"),
            (pen.block, "block"),
            (pen.mapped, "mapped block"),
        )
        if sign in kinds
    ]
    if any(edge.mapped or edge.reduces for edge in drawing.edges):
        entries.append(f"{pen.down[True]} array")
    lines = [""]
    for entry in entries:
        if lines[-1] and len(lines[-1]) + 3 + len(entry) > width:
            lines.append("")
        lines[-1] += "   " * bool(lines[-1]) + entry
    return lines
