from __future__ import annotations

import pytest
from hypothesis import given

from runstone.drawing import Drawing, Edge, Node
from runstone.drawing.graph import MOST_EDGES, MOST_NODES, sources_first
from runstone.errors import PipelineError
from tests.drawing.graphs import drawings, plain


@given(drawings())
def test_every_source_comes_before_its_targets_and_every_node_once(drawing: Drawing) -> None:
    order = sources_first(drawing)
    assert sorted(order) == list(range(len(drawing.nodes)))
    place = {drawing.nodes[number].id: at for at, number in enumerate(order)}
    assert all(place[edge.source] < place[edge.target] for edge in drawing.edges)


def test_nodes_that_do_not_depend_on_each_other_keep_their_order() -> None:
    drawing = plain("z", "b", "a", "c")
    assert sources_first(drawing) == [0, 1, 2, 3]


@pytest.mark.parametrize("edges", [["a a"], ["a b", "b c", "c b", "c d"]])
def test_a_graph_that_goes_round_in_a_circle_is_refused_with_the_nodes_to_look_at(edges: list[str]) -> None:
    with pytest.raises(PipelineError, match=r"circle.*look among '[ab]'"):
        sources_first(plain(*edges))


def test_an_edge_to_nowhere_is_refused() -> None:
    with pytest.raises(PipelineError, match="no node 'b'"):
        sources_first(Drawing(nodes=(Node(id="a", label="a"),), edges=(Edge(source="a", target="b"),)))


def test_a_name_that_is_there_twice_is_refused() -> None:
    with pytest.raises(PipelineError, match="two nodes of the graph are called 'a'"):
        sources_first(Drawing(nodes=(Node(id="a", label="x"), Node(id="a", label="y"))))


def test_a_graph_that_somebody_made_up_to_keep_us_busy_is_refused() -> None:
    many = tuple(Node(id=str(number), label="n") for number in range(MOST_NODES + 1))
    with pytest.raises(PipelineError, match="2,001 blocks and parameters are too many"):
        sources_first(Drawing(nodes=many))
    edges = (Edge(source="0", target="1"),) * (MOST_EDGES + 1)
    with pytest.raises(PipelineError, match="10,001 edges are too many"):
        sources_first(Drawing(nodes=many[:2], edges=edges))
