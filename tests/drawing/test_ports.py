from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.drawing.ports import PORT_GAP, spread


def test_an_edge_from_straight_above_ends_there_though_others_come_from_afar() -> None:
    assert spread([3.0], 50) == [3.0]
    assert spread([-300.0, 3.0, 300.0], 50) == pytest.approx([-25, 3, 25])


def test_an_edge_that_is_bent_anyway_gives_way_to_one_that_is_not() -> None:
    straight, bent = spread([20.0, 300.0], 50)
    assert straight == pytest.approx(20, abs=0.1)
    assert bent == pytest.approx(20 + PORT_GAP, abs=0.1)


@given(st.lists(st.floats(-500, 500), min_size=1, max_size=12).map(sorted), st.floats(10, 200))
def test_edges_end_on_the_side_in_their_order_and_apart(wanted: list[float], room: float) -> None:
    places = spread(wanted, room)
    gap = min(PORT_GAP, 2 * room / max(1, len(wanted) - 1))
    assert all(-room - 1e-6 <= place <= room + 1e-6 for place in places)
    assert all(other - one >= gap - 1e-6 for one, other in pairwise(places))
