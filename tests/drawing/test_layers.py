from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given

from runstone.drawing import Drawing, Edge, Layout, Node, NodeKind, layout
from runstone.drawing.layers import Box, Point, Route
from runstone.errors import PipelineError
from tests.drawing.graphs import SPLIT, drawings, plain


def box_of(placed: Layout, name: str) -> Box:
    return next(box for box in placed.boxes if box.node.id == name)


def route_of(placed: Layout, source: str, target: str) -> Route:
    return next(route for route in placed.routes if (route.edge.source, route.edge.target) == (source, target))


def middle(box: Box) -> float:
    return box.x + box.face.width / 2


def along(route: Route) -> list[Point]:
    """Points on the way of an edge, close together."""
    points = []
    for one, other in pairwise(route.points):
        for step in range(21):
            t = step / 20
            # The curve that svg draws: vertical at both ends, so x eases in and out.
            ease = t * t * (3 - 2 * t)
            y = one.y + (other.y - one.y) * (1.5 * t * (1 - t) + t**3)
            points.append(Point(one.x + (other.x - one.x) * ease, y))
    return points


@given(drawings())
def test_boxes_stand_apart_and_inside_the_picture(drawing: Drawing) -> None:
    placed = layout(drawing)
    assert [box.node.id for box in placed.boxes if box.x < 0 or box.y < 0] == []
    assert all(box.right <= placed.width and box.bottom <= placed.height for box in placed.boxes)
    for one, other in combinations(placed.boxes, 2):
        assert one.right < other.x or other.right < one.x or one.bottom < other.y or other.bottom < one.y


@given(drawings())
def test_every_edge_runs_down_from_its_source_to_its_target(drawing: Drawing) -> None:
    placed = layout(drawing)
    assert sorted(map(repr, (route.edge for route in placed.routes))) == sorted(map(repr, drawing.edges))
    for route in placed.routes:
        source, target = box_of(placed, route.edge.source), box_of(placed, route.edge.target)
        assert route.points[0].y == source.bottom
        assert route.points[-1].y == target.y
        assert source.x <= route.points[0].x <= source.right
        assert target.x <= route.points[-1].x <= target.right
        assert all(one.y <= other.y for one, other in pairwise(route.points))
        assert all(0 <= point.x <= placed.width for point in route.points)


@given(drawings())
def test_no_edge_runs_through_a_box_that_is_not_its_own(drawing: Drawing) -> None:
    placed = layout(drawing)
    for route in placed.routes:
        ends = {route.edge.source, route.edge.target}
        others = [box for box in placed.boxes if box.node.id not in ends]
        for point in along(route):
            assert not [box.node.id for box in others if box.x < point.x < box.right and box.y < point.y < box.bottom]


def test_a_chain_is_one_straight_line() -> None:
    placed = layout(plain("a b", "b c", "c d"))
    assert len({middle(box) for box in placed.boxes}) == 1
    assert {point.x for route in placed.routes for point in route.points} == {middle(placed.boxes[0])}


def test_a_diamond_is_symmetrical() -> None:
    placed = layout(plain("a left", "a rite", "left z", "rite z"))
    left, right = box_of(placed, "left"), box_of(placed, "rite")
    assert middle(box_of(placed, "a")) == pytest.approx((middle(left) + middle(right)) / 2)
    assert middle(box_of(placed, "z")) == pytest.approx((middle(left) + middle(right)) / 2)


def test_a_long_edge_is_straight_where_it_passes_other_blocks() -> None:
    placed = layout(plain("a b", "b c", "c d", "d e", "a e"))
    inner = route_of(placed, "a", "e").points[2:-2]
    assert len(inner) == 6
    assert len({point.x for point in inner}) == 1


def test_a_value_that_many_take_runs_down_straight_past_all_who_take_it() -> None:
    steps = [f"s{number} s{number + 1}" for number in range(6)]
    across = ["s0 s6", "s0 s4", "s1 s5", "s2 side", "side s6"]
    config = [f"config s{number}" for number in (0, 2, 3, 6)]
    placed = layout(plain(*config, *steps, *across, kinds={"config": NodeKind.PARAMETER}))
    inner = route_of(placed, "config", "s6").points[2:-2]
    assert len(inner) == 12
    assert len({point.x for point in inner}) == 1


def test_edges_with_the_same_value_share_their_way_as_far_as_they_go_together() -> None:
    placed = layout(plain("p a", "a b", "b c", "c d", "p c", "p d", kinds={"p": NodeKind.PARAMETER}))
    near, far = route_of(placed, "p", "c").points, route_of(placed, "p", "d").points
    assert near[:-2] == far[: len(near) - 2]


def test_parameters_stand_just_above_the_first_block_that_takes_them() -> None:
    placed = layout(plain("a b", "b c", "late c", kinds={"late": NodeKind.PARAMETER}))
    assert box_of(placed, "late").rank == box_of(placed, "b").rank


def test_every_output_leaves_below_its_name() -> None:
    placed = layout(SPLIT)
    split = box_of(placed, "split")
    ports = {port.output: split.x + port.x for port in split.face.ports}
    starts = {route.edge.label: route.points[0].x for route in placed.routes if route.edge.source == "split"}
    assert starts == ports


def test_edges_that_end_at_one_block_end_side_by_side_and_do_not_cross_there() -> None:
    placed = layout(plain(*(f"source{number} sink" for number in range(9))))
    routes = sorted(placed.routes, key=lambda route: route.points[0].x)
    ends = [route.points[-1].x for route in routes]
    assert all(other - one >= 14 for one, other in pairwise(ends))


def test_pieces_that_are_not_connected_stand_side_by_side_in_several_rows() -> None:
    placed = layout(plain(*(f"block{number}" for number in range(30))))
    assert placed.width < 4 * placed.height
    assert len({box.y for box in placed.boxes}) > 2


def test_the_same_graph_is_always_placed_in_the_same_way() -> None:
    assert layout(SPLIT) == layout(SPLIT)


def test_nothing_at_all_can_be_drawn() -> None:
    assert layout(Drawing(nodes=())).boxes == ()


def test_a_knot_of_long_edges_is_refused_before_it_takes_long() -> None:
    nodes = tuple(Node(id=str(number), label="n") for number in range(400))
    edges = [Edge(source=str(number), target=str(number + 1)) for number in range(399)]
    edges += [Edge(source=str(number), target=str(number + 200)) for number in range(200)]
    with pytest.raises(PipelineError, match="too many edges of the graph pass over too many blocks"):
        layout(Drawing(nodes=nodes, edges=tuple(edges)))
