"""Graphs to draw: a few that are known by heart, and any."""

from __future__ import annotations

from hypothesis import strategies as st

from runstone.drawing import Drawing, Edge, Node, NodeKind

CHAIN = Drawing(
    title="survey",
    nodes=(
        Node(id="p:root", label="root", kind=NodeKind.PARAMETER),
        Node(id="files", label="files", status="completed"),
        Node(
            id="parse",
            label="parse",
            detail="files[i] -> stats[i]",
            outputs=("stats",),
            mapped=True,
            status="degraded",
        ),
        Node(id="report", label="report", status="running"),
    ),
    edges=(
        Edge(source="p:root", target="files"),
        Edge(source="files", target="parse", mapped=True),
        Edge(source="parse", target="report", label="stats", reduces=True),
    ),
)

SPLIT = Drawing(
    nodes=(
        Node(id="split", label="split", outputs=("train", "test")),
        Node(id="fit", label="fit"),
        Node(id="score", label="score"),
    ),
    edges=(
        Edge(source="split", target="fit", label="train"),
        Edge(source="split", target="score", label="test"),
        Edge(source="fit", target="score"),
    ),
)


def plain(*edges: str, kinds: dict[str, NodeKind] | None = None) -> Drawing:
    """A drawing from edges like "a b": the nodes in the order in which they are named."""
    pairs = [edge.split() for edge in edges]
    names = dict.fromkeys(name for pair in pairs for name in pair)
    return Drawing(
        nodes=tuple(Node(id=name, label=name, kind=(kinds or {}).get(name, NodeKind.BLOCK)) for name in names),
        edges=tuple(Edge(source=pair[0], target=pair[1]) for pair in pairs if len(pair) == 2),
    )


ANY_TEXT = st.text(max_size=40)
NAMES = st.one_of(st.from_regex(r"[a-z_]{1,14}", fullmatch=True), ANY_TEXT)
STATUSES = st.sampled_from([None, "completed", "running", "failed", "upstream_failed", "a word from a newer version"])


@st.composite
def drawings(draw: st.DrawFn, most_nodes: int = 14) -> Drawing:
    """Any graph without a cycle, its nodes in any order, with names that nobody vouches for."""
    size = draw(st.integers(0, most_nodes))
    order = draw(st.permutations(range(size)))
    nodes = []
    for number in range(size):
        outputs = tuple(draw(st.lists(NAMES, max_size=3, unique=True)))
        nodes.append(
            Node(
                id=str(number),
                label=draw(NAMES),
                kind=draw(st.sampled_from(NodeKind)),
                detail=draw(ANY_TEXT),
                outputs=outputs,
                mapped=draw(st.booleans()),
                status=draw(STATUSES),
            )
        )
    pairs = [(one, other) for one in range(size) for other in range(one + 1, size)]
    edges = []
    for one, other in draw(st.lists(st.sampled_from(pairs), max_size=2 * size)) if pairs else []:
        source = nodes[order[one]]
        label = draw(st.sampled_from([*source.outputs, "", "not among the outputs"]))
        edges.append(
            Edge(
                source=source.id,
                target=nodes[order[other]].id,
                label=label,
                mapped=draw(st.booleans()),
                reduces=draw(st.booleans()),
            )
        )
    return Drawing(nodes=tuple(nodes), edges=tuple(edges), title=draw(ANY_TEXT))
