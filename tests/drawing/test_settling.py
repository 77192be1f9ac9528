from __future__ import annotations

from runstone.drawing.settling import Settling


def settling(layers: list[list[int]], edges: list[tuple[int, int]], centre: list[float], gap: float = 10.0) -> Settling:
    """gap: px that all nodes need to their neighbours."""
    up: list[list[int]] = [[] for _ in centre]
    down: list[list[int]] = [[] for _ in centre]
    for source, target in edges:
        down[source].append(target)
        up[target].append(source)
    return Settling(layers, up, down, lambda left, right: gap, centre)


def test_a_straight_column_moves_as_one_to_the_middle_of_what_it_is_joined_to() -> None:
    # 0 and 1 stand above each other; 2, 3 and 4 hang on them further to the right
    moved = settling([[0], [1, 2], [3, 4]], [(0, 1), (0, 2), (1, 3), (1, 4)], [0, 0, 50, 60, 80])
    moved.gather()
    assert moved.centre[0] == moved.centre[1]
    assert moved.centre[0] > 30


def test_nobody_comes_closer_to_a_neighbour_than_the_gap() -> None:
    moved = settling([[0, 1], [2]], [(0, 2)], [0, 30, 100])
    moved.gather()
    assert moved.centre[1] - moved.centre[0] >= 10
    assert moved.centre[0] <= 20


def test_what_stands_between_those_it_is_joined_to_stays() -> None:
    moved = settling([[0], [1, 2]], [(0, 1), (0, 2)], [50, 0, 100], gap=100)
    moved.gather()
    assert moved.centre == [50, 0, 100]


def test_those_that_hang_on_one_node_stand_with_it_in_their_middle() -> None:
    moved = settling([[0, 1], [2]], [(0, 2), (1, 2)], [0, 40, 100])
    moved.centre_satellites()
    assert moved.centre == [80, 120, 100]


def test_those_that_hang_on_one_node_go_only_as_far_as_there_is_room() -> None:
    moved = settling([[0, 1, 2], [3, 4]], [(0, 3), (1, 3), (2, 4)], [0, 40, 70, 100, 130])
    moved.centre_satellites()
    assert moved.centre[:2] == [20, 60]
