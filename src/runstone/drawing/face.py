"""Faces: what stands inside the box of a node, and how large the box must be for it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from runstone.drawing.graph import Node, NodeKind
from runstone.drawing.lettering import pixels, shortened, showable


class Style(StrEnum):
    """How a piece of text is set."""

    NAME = "name"
    DETAIL = "detail"
    STATUS = "status"
    OUTPUT = "output"
    PARAMETER = "parameter"


class Type(msgspec.Struct, frozen=True, kw_only=True):
    """Size in px and face of a style."""

    size: float
    semibold: bool = False
    monospaced: bool = False


TYPES = {
    Style.NAME: Type(size=14, semibold=True),
    Style.DETAIL: Type(size=11.5, monospaced=True),
    Style.STATUS: Type(size=11.5, semibold=True),
    Style.OUTPUT: Type(size=11.5),
    Style.PARAMETER: Type(size=12.5),
}

BLOCK_RADIUS = 8.0
DOT = 7.0
"""Diameter of the dot before a status."""
STACK = 4.0
"""How far the second sheet behind a mapped block looks out."""

_MOST_TEXT = 300.0
_SIDE = 14.0
_TOP = 11.0
_BOTTOM = 11.0
_LEAST_WIDTH = 64.0
_PARAMETER_HEIGHT = 26.0
_PARAMETER_SIDE = 12.0
# From one baseline to the next.
_LINE = {Style.NAME: 14.0, Style.DETAIL: 18.0, Style.STATUS: 19.0}
_FOOT = 23.0
_OUTPUT_SIDE = 9.0


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A line of text: where its baseline starts, or has its middle when centred; px from the corner of the box."""

    x: float
    y: float
    text: str
    style: Style
    centred: bool = False


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """Where on the lower edge of a box a value leaves it; px from the left."""

    output: str
    x: float
    left: float
    right: float


class Face(msgspec.Struct, frozen=True, kw_only=True):
    """A box: its size in px without the second sheet, its lines of text, its ports, and where its foot begins.

    foot: px from the top to the line above the names of the outputs; None when they are not told.
    """

    width: float
    height: float
    texts: tuple[Text, ...]
    ports: tuple[Port, ...] = ()
    foot: float | None = None
    dot: tuple[float, float] | None = None


def face(node: Node, outputs: tuple[str, ...], least_width: float) -> Face:
    """The face of a node, its named outputs from left to right in the order given.

    least_width: px that the edges which end at the box need side by side.
    """
    if node.kind is NodeKind.PARAMETER:
        return _parameter_face(node, least_width)
    return _block_face(node, outputs, max(least_width, _LEAST_WIDTH))


def _fit(text: str, style: Style, most: float = _MOST_TEXT) -> tuple[str, float]:
    """The text as it can be shown and the room it takes."""
    kind = TYPES[style]
    shown = shortened(showable(text), most, size=kind.size, semibold=kind.semibold, monospaced=kind.monospaced)
    return shown, pixels(shown, kind.size, semibold=kind.semibold, monospaced=kind.monospaced)


def _parameter_face(node: Node, least_width: float) -> Face:
    name, width = _fit(node.label, Style.PARAMETER)
    width = max(width + 2 * _PARAMETER_SIDE, least_width)
    text = Text(x=width / 2, y=_PARAMETER_HEIGHT / 2 + 4.4, text=name, style=Style.PARAMETER, centred=True)
    return Face(width=width, height=_PARAMETER_HEIGHT, texts=(text,))


def _block_face(node: Node, outputs: tuple[str, ...], least_width: float) -> Face:
    texts = []
    widest = 0.0
    baseline = _TOP
    dot = None
    for content, style in ((node.label, Style.NAME), (node.detail, Style.DETAIL), (node.status, Style.STATUS)):
        if not content:
            continue
        shown, width = _fit(content, style)
        baseline += _LINE[style]
        indent = 0.0
        if style is Style.STATUS:
            indent = DOT + 6
            dot = (_SIDE + DOT / 2, baseline - 4)
        texts.append(Text(x=_SIDE + indent, y=baseline, text=shown, style=style))
        widest = max(widest, width + indent)
    width = max(widest + 2 * _SIDE, least_width)
    height = baseline + _BOTTOM
    fitted = [_fit(name, Style.OUTPUT, _MOST_TEXT / 2) for name in outputs]
    needed = sum(room + 2 * _OUTPUT_SIDE for _, room in fitted)
    width = max(width, needed)
    if [text.style for text in texts] == [Style.NAME]:
        texts = [Text(x=width / 2, y=baseline, text=texts[0].text, style=Style.NAME, centred=True)]
    if not outputs:
        return Face(width=width, height=height, texts=tuple(texts), dot=dot)

    spare = (width - needed) / len(fitted)
    ports = []
    left = 0.0
    for name, (shown, room) in zip(outputs, fitted, strict=True):
        right = left + room + 2 * _OUTPUT_SIDE + spare
        ports.append(Port(output=name, x=(left + right) / 2, left=left, right=right))
        texts.append(Text(x=(left + right) / 2, y=height + 15.5, text=shown, style=Style.OUTPUT, centred=True))
        left = right
    return Face(width=width, height=height + _FOOT, texts=tuple(texts), ports=tuple(ports), foot=height, dot=dot)
