"""Pictures of a graph: ranked from the top down, as SVG for a page and as text for a terminal."""

from runstone.drawing.graph import Drawing, Edge, Node, NodeKind
from runstone.drawing.layers import Layout, layout
from runstone.drawing.svg import to_svg
from runstone.drawing.text import to_text

__all__ = ["Drawing", "Edge", "Layout", "Node", "NodeKind", "layout", "to_svg", "to_text"]
