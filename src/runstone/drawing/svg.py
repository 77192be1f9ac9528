"""A drawing as SVG: one file that needs no font, script or style from elsewhere, for light and dark pages."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby, pairwise

from runstone.core.tones import tone_of
from runstone.drawing.face import BLOCK_RADIUS, DOT, STACK, TYPES
from runstone.drawing.graph import Drawing, Edge, NodeKind
from runstone.drawing.layers import MARGIN, STUB, Box, Layout, Route, layout
from runstone.drawing.lettering import pixels, showable

_STYLE = """\
.runstone { color-scheme: light dark; max-width: 100%; height: auto }
.runstone text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif }
.runstone .paper { fill: #ffffff }
.runstone .name { font-weight: 600; fill: #1c2128 }
.runstone text.detail { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }
.runstone .detail, .runstone .output, .runstone .legend { fill: #57606a }
.runstone .status { font-weight: 600 }
.runstone .box { fill: #ffffff; stroke: #b9c1cb; stroke-width: 1.25 }
.runstone .foot { stroke: #e3e7ec }
.runstone .pill { fill: #eef1f4; stroke: #d7dce2 }
.runstone .parameter { fill: #3d4650 }
.runstone path { fill: none }
.runstone .casing { stroke: #ffffff; stroke-width: 6 }
.runstone .casing.many { stroke-width: 9 }
.runstone .line { stroke: #8b95a1; stroke-width: 1.5 }
.runstone .line.many { stroke-width: 5 }
.runstone .core { stroke: #ffffff; stroke-width: 2.2 }
.runstone .bar { stroke: #8b95a1; stroke-width: 2; stroke-linecap: round }
.runstone .head { fill: #8b95a1 }
.runstone .idle .status { fill: #57606a } .runstone .idle .dot { fill: #8b95a1 }
.runstone .good .status { fill: #1a7f47 } .runstone .good .dot { fill: #2da05f }
.runstone .good .box { stroke: #7cc49b; fill: #f8fdfa }
.runstone .busy .status { fill: #0b62c9 } .runstone .busy .dot { fill: #2f81f7 }
.runstone .busy .box { stroke: #5a9df5; fill: #f6faff }
.runstone .warned .status { fill: #8a5a00 } .runstone .warned .dot { fill: #d29922 }
.runstone .warned .box { stroke: #dcb257; fill: #fffcf4 }
.runstone .bad .status { fill: #c0262d } .runstone .bad .dot { fill: #e5484d }
.runstone .bad .box { stroke: #e5484d; fill: #fff8f8 }
.runstone .hit .status { fill: #a04a4d } .runstone .hit .dot { fill: #e2a5a7 }
.runstone .hit .box { stroke: #e2b4b5; stroke-dasharray: 4 3 }
@media (prefers-color-scheme: dark) {
.runstone .paper { fill: #0f1318 }
.runstone .name { fill: #e8ecf1 }
.runstone .detail, .runstone .output, .runstone .legend { fill: #9aa5b1 }
.runstone .box { fill: #171c23; stroke: #414b57 }
.runstone .foot { stroke: #2a323c }
.runstone .pill { fill: #222932; stroke: #333c47 }
.runstone .parameter { fill: #c9d1da }
.runstone .casing, .runstone .core { stroke: #0f1318 }
.runstone .line, .runstone .bar { stroke: #6f7b89 }
.runstone .head { fill: #6f7b89 }
.runstone .idle .status { fill: #9aa5b1 } .runstone .idle .dot { fill: #6f7b89 }
.runstone .good .status { fill: #56d38a } .runstone .good .dot { fill: #34b36b }
.runstone .good .box { stroke: #2c7a4e; fill: #13201b }
.runstone .busy .status { fill: #79b8ff } .runstone .busy .dot { fill: #388bfd }
.runstone .busy .box { stroke: #2f6fc4; fill: #131d2b }
.runstone .warned .status { fill: #e3b341 } .runstone .warned .dot { fill: #d29922 }
.runstone .warned .box { stroke: #8a6a1f; fill: #211d13 }
.runstone .bad .status { fill: #ff8e8a } .runstone .bad .dot { fill: #e5484d }
.runstone .bad .box { stroke: #c2413f; fill: #261719 }
.runstone .hit .status { fill: #d99a9b } .runstone .hit .dot { fill: #8f5153 }
.runstone .hit .box { stroke: #7a484a }
}
"""

_LEGEND_ROW = 34.0
_LEGEND_SAMPLE = 34.0
_LEGEND_SIZE = 11.5


def to_svg(drawing: Drawing) -> str:
    """The drawing as one SVG document. Raises PipelineError for a graph that cannot be drawn."""
    placed = layout(drawing)
    legend, legend_width = _legend(drawing, placed.height)
    width = max(placed.width, legend_width)
    height = placed.height + (_LEGEND_ROW if legend else 0)
    shift = (width - placed.width) / 2
    body = [*_edges(placed), *(piece for box in placed.boxes for piece in _box(box))]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="runstone" role="img" '
            f'width="{_px(width)}" height="{_px(height)}" viewBox="0 0 {_px(width)} {_px(height)}">',
            f"<title>{_escaped(_title(drawing))}</title>",
            f"<style>\n{_STYLE}</style>",
            f'<rect class="paper" width="{_px(width)}" height="{_px(height)}" rx="10"/>',
            f'<g transform="translate({_px(shift)} 0)">' if shift else "<g>",
            *body,
            "</g>",
            *legend,
            "</svg>\n",
        ]
    )


def _escaped(text: str) -> str:
    """Text as it may stand in an element or in an attribute."""
    text = showable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("'", "&#39;")


def _px(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _title(drawing: Drawing) -> str:
    blocks = sum(node.kind is NodeKind.BLOCK for node in drawing.nodes)
    parameters = len(drawing.nodes) - blocks
    counted = f"{blocks} block{'s' * (blocks != 1)}, {parameters} parameter{'s' * (parameters != 1)}"
    return f"{drawing.title}: {counted}" if drawing.title else counted


def _edges(placed: Layout) -> Iterable[str]:
    """All edges, trunk by trunk: a casing lifts each trunk off those it crosses, but not off its own branches."""

    def trunk(route: Route) -> tuple[str, str, bool, bool]:
        edge = route.edge
        return edge.source, edge.label, edge.mapped, edge.reduces

    for _, group in groupby(placed.routes, key=trunk):
        routes = list(group)
        many = " many" if _is_many(routes[0].edge) else ""
        ways = [_way(route) for route in routes]
        yield "<g>"
        for way in ways:
            yield f'<path class="casing{many}" d="{way}"/>'
        for way in ways:
            yield f'<path class="line{many}" d="{way}"/>'
        if many:
            for way in ways:
                yield f'<path class="core" d="{way}"/>'
        for route in routes:
            yield from _arrival(route.edge, route.points[-1].x, route.points[-1].y)
        yield "</g>"


def _is_many(edge: Edge) -> bool:
    return edge.mapped or edge.reduces


def _way(route: Route) -> str:
    """The line of an edge up to where its arrowhead, or the bar of a reduction, begins."""
    *points, end = route.points
    tail = end.y - (STUB - 4 if route.edge.reduces else 7)
    way = [f"M{_px(points[0].x)} {_px(points[0].y)}"]
    for one, other in pairwise(points):
        if one.x == other.x:
            way.append(f"V{_px(other.y)}")
        else:
            middle = _px((one.y + other.y) / 2)
            way.append(f"C{_px(one.x)} {middle} {_px(other.x)} {middle} {_px(other.x)} {_px(other.y)}")
    way.append(f"V{_px(tail)}")
    return "".join(way)


def _arrival(edge: Edge, x: float, y: float) -> Iterable[str]:
    """The arrowhead of an edge that ends at x, y; before it the bar at which a reduction gathers its elements."""
    if edge.reduces:
        bar = _px(y - STUB + 4)
        yield f'<path class="bar" d="M{_px(x - 6)} {bar}h12"/>'
        yield f'<path class="line" d="M{_px(x)} {bar}V{_px(y - 7)}"/>'
    half = 5 if edge.mapped and not edge.reduces else 4
    yield f'<path class="head" d="M{_px(x)} {_px(y - 0.5)}l{-half} -8h{2 * half}z"/>'


def _box(box: Box) -> Iterable[str]:
    node, face = box.node, box.face
    tone = tone_of(node.status).value if node.status else ""
    told = [node.label, node.detail, ", ".join(node.outputs) if node.outputs != (node.label,) else "", node.status]
    yield f'<g class="node {tone}" transform="translate({_px(box.x)} {_px(box.y)})">'
    yield f"<title>{_escaped(' · '.join(part for part in told if part))}</title>"
    size = f'width="{_px(face.width)}" height="{_px(face.height)}"'
    if node.kind is NodeKind.PARAMETER:
        yield f'<rect class="pill" {size} rx="{_px(face.height / 2)}"/>'
    else:
        if node.mapped:
            yield f'<rect class="box" x="{_px(STACK)}" y="{_px(STACK)}" {size} rx="{_px(BLOCK_RADIUS)}"/>'
        yield f'<rect class="box" {size} rx="{_px(BLOCK_RADIUS)}"/>'
    if face.foot is not None:
        yield f'<path class="foot" d="M0.6 {_px(face.foot)}H{_px(face.width - 0.6)}"/>'
        for port in face.ports[1:]:
            yield f'<path class="foot" d="M{_px(port.left)} {_px(face.foot)}V{_px(face.height - 0.6)}"/>'
    if face.dot:
        yield f'<circle class="dot" cx="{_px(face.dot[0])}" cy="{_px(face.dot[1])}" r="{_px(DOT / 2)}"/>'
    for text in face.texts:
        anchor = ' text-anchor="middle"' if text.centred else ""
        yield (
            f'<text class="{text.style.value}" x="{_px(text.x)}" y="{_px(text.y)}" '
            f'font-size="{_px(TYPES[text.style].size)}"{anchor}>{_escaped(text.text)}</text>'
        )
    yield "</g>"


def _legend(drawing: Drawing, top: float) -> tuple[list[str], float]:
    """A row that explains the kinds of edges, where there is more than one kind, and how wide it is."""
    samples = [
        (edge, words)
        for edge, words in (
            (Edge(source="", target=""), "one value"),
            (Edge(source="", target="", mapped=True), "element by element"),
            (Edge(source="", target="", reduces=True), "all elements at once"),
        )
        if any(
            (other.reduces, other.mapped and not other.reduces) == (edge.reduces, edge.mapped)
            for other in drawing.edges
        )
    ]
    if len(samples) < 2:
        return [], 0.0
    pieces = []
    x, y = MARGIN, top + 6
    for edge, words in samples:
        many = " many" if _is_many(edge) else ""
        end = x + _LEGEND_SAMPLE
        tail = end - (STUB - 4 if edge.reduces else 7)
        pieces.append(f'<path class="line{many}" d="M{_px(x)} {_px(y)}H{_px(tail)}"/>')
        if many:
            pieces.append(f'<path class="core" d="M{_px(x)} {_px(y)}H{_px(tail)}"/>')
        pieces.append(f'<g transform="translate({_px(end)} {_px(y)}) rotate(-90)">')
        pieces.extend(_arrival(edge, 0, 0))
        pieces.append("</g>")
        pieces.append(
            f'<text class="legend" x="{_px(end + 8)}" y="{_px(y + 4)}" font-size="{_px(_LEGEND_SIZE)}">{words}</text>'
        )
        x = end + 8 + pixels(words, _LEGEND_SIZE) + 22
    return pieces, x - 22 + MARGIN
