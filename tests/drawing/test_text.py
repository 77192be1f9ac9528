from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.drawing import Drawing, Edge, Node, NodeKind, to_text
from runstone.drawing.lanes import rows
from runstone.drawing.lettering import cells
from runstone.drawing.text import NARROWEST
from tests.drawing.graphs import CHAIN, SPLIT, drawings, plain


def drawn(drawing: Drawing, width: int = 60) -> list[str]:
    """The lines above the legend."""
    return to_text(drawing, width).split("\n\n")[0].splitlines()


def test_a_chain_reads_from_the_top_down() -> None:
    assert to_text(CHAIN, 60) == (
        "○ root\n"
        "■ files   completed\n"
        "▣ parse   degraded   files[i] -> stats[i]\n"
        "■ report  running\n"
        "\n"
        "○ parameter   ■ block   ▣ mapped block   ║ array\n"
    )


def test_details_go_below_where_it_is_narrow() -> None:
    assert drawn(CHAIN, 30) == [
        "○ root",
        "■ files   completed",
        "▣ parse   degraded",
        "║   files[i] -> stats[i]",
        "■ report  running",
    ]


def test_a_value_that_waits_runs_beside_those_that_do_not_take_it() -> None:
    assert drawn(plain("load left", "load right", "left join", "right join", "load join")) == [
        "■     load",
        "├─■   left",
        "├─│─■ right",
        "■─┴─╯ join",
    ]


def test_several_outputs_fork_and_those_who_take_them_say_which() -> None:
    assert drawn(SPLIT) == [
        "■   split  makes train, test",
        "├─╮",
        "■ │ fit    ← train",
        "■─╯ score  ← test",
    ]


def test_arrays_run_in_double_lines() -> None:
    drawing = Drawing(
        nodes=(Node(id="a", label="a"), Node(id="b", label="b", mapped=True), Node(id="c", label="c")),
        edges=(
            Edge(source="a", target="b", mapped=True),
            Edge(source="a", target="c", reduces=True),
            Edge(source="b", target="c", reduces=True),
        ),
    )
    assert drawn(drawing) == ["■   a", "╠═▣ b", "■═╝ c"]


def test_two_nodes_that_are_not_joined_never_touch() -> None:
    assert drawn(plain("a b")) == ["■ a", "■ b"]
    assert to_text(plain("a", "b"), 60).startswith("■ a\n\n■ b\n")


def test_a_parameter_stands_just_above_the_block_that_takes_it() -> None:
    drawing = plain("late c", "a b", "b c", kinds={"late": NodeKind.PARAMETER})
    assert drawn(drawing) == ["■   a", "■   b", "│ ○ late", "■─╯ c"]


def test_values_that_find_no_room_are_told_in_words() -> None:
    drawing = plain(*(f"s{number} sink" for number in range(30)))
    told = to_text(drawing, 40).split("← ")[1].split("\n\n")[0].replace(",", "").split()
    assert len(told) == 24
    assert set(told) < {f"s{number}" for number in range(30)}


def test_plain_text_is_ascii_alone() -> None:
    drawing = plain("größe 日本", "größe z", "日本 z")
    text = to_text(drawing, 60, plain=True)
    assert text.isascii()
    assert text.startswith("#   gr\\xf6\\xdfe\n")
    assert to_text(CHAIN, 60, plain=True).splitlines()[2] == "@ parse   degraded   files[i] -> stats[i]"


def test_letters_that_are_two_columns_wide_do_not_shift_the_columns_behind_them() -> None:
    nodes = (Node(id="a", label="日本", status="failed"), Node(id="b", label="b", status="failed"))
    first, second = drawn(Drawing(nodes=nodes, edges=(Edge(source="a", target="b"),)))
    assert cells(first.split("failed")[0]) == cells(second.split("failed")[0])


@given(drawings(), st.sampled_from([24, 40, 60, 80, 120]), st.booleans())
def test_no_line_is_wider_than_asked_and_none_can_command_the_terminal(
    drawing: Drawing, width: int, plain: bool
) -> None:
    text = to_text(drawing, width, plain=plain)
    assert all(cells(line) <= width for line in text.split("\n"))
    assert {letter for letter in text if unicodedata.category(letter) == "Cc"} <= {"\n"}


def test_a_width_below_the_narrowest_is_widened_to_it() -> None:
    assert to_text(CHAIN, 1) == to_text(CHAIN, NARROWEST)


@given(drawings())
def test_every_node_has_its_row_after_all_that_feed_it(drawing: Drawing) -> None:
    listed = rows(drawing, 6)
    place = {drawing.nodes[row.node].id: row.number for row in listed}
    assert len(place) == len(drawing.nodes)
    assert [row.number for row in listed] == list(range(len(listed)))
    assert all(place[edge.source] < place[edge.target] for edge in drawing.edges)


@given(drawings(), st.integers(1, 6))
def test_every_value_arrives_by_a_lane_or_in_words_and_lanes_stay_within_bounds(drawing: Drawing, most: int) -> None:
    listed = rows(drawing, most)
    place = {drawing.nodes[row.node].id: row.number for row in listed}
    for edge in drawing.edges:
        row = listed[place[edge.target]]
        by_lane = [lane for lane in row.takes if (lane.start, lane.name) == (place[edge.source], edge.label)]
        assert by_lane or edge in row.told
    for row in listed:
        below = [lane for other in listed for lane in other.makes if lane.start <= row.number < lane.end]
        assert len(below) <= most


@pytest.mark.parametrize("width", [60, 80, 120])
def test_following_the_lines_leads_from_every_node_to_those_it_feeds(width: int) -> None:
    drawing = plain("a b", "a c", "b d", "c d", "a e", "d e", "p c", "p e", kinds={"p": NodeKind.PARAMETER})
    lines = drawn(drawing, width)
    names = {line.split()[-1]: number for number, line in enumerate(lines)}
    for edge in drawing.edges:
        assert names[edge.target] in reached(lines, names[edge.source])


def reached(lines: list[str], start: int) -> set[int]:
    """The lines whose node the signs lead to from the node in `start`, never up and never through another node."""
    column = next(at for at, letter in enumerate(lines[start]) if letter in "■○")
    found: set[int] = set()
    seen: set[tuple[int, int]] = set()
    waiting = [(start + 1, column)]
    while waiting:
        row, at = waiting.pop()
        if (row, at) in seen or row >= len(lines):
            continue
        seen.add((row, at))
        sign = lines[row][at]
        if sign == "■":
            found.add(row)
            continue
        if sign in "│├┤┼":
            waiting.append((row + 1, at))
        if sign in "├┼┤╯╰┴":
            node = lines[row].index("■")
            between = lines[row][min(node, at) + 1 : max(node, at)]
            assert set(between) <= set("─│├┤┼┴╯╰")
            found.add(row)
    return found
