from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given

from runstone.drawing import Drawing, Edge, Node, NodeKind, to_svg
from runstone.drawing.lettering import pixels
from tests.drawing.graphs import CHAIN, SPLIT, drawings, plain

SVG = "{http://www.w3.org/2000/svg}"


def parsed(drawing: Drawing) -> ElementTree.Element:
    return ElementTree.fromstring(to_svg(drawing))


def words(root: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in root.iter() if name in element.get("class", "").split()]


@given(drawings())
def test_whatever_the_names_are_the_picture_is_well_formed(drawing: Drawing) -> None:
    root = parsed(drawing)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "title", "style", "g", "rect", "path", "circle", "text",
    }  # fmt: skip
    assert all("\n" not in word and "\u202e" not in word for word in words(root))


@given(drawings())
def test_no_text_is_wider_than_its_box(drawing: Drawing) -> None:
    for node in of_class(parsed(drawing), "node"):
        width = min(float(rect.get("width", "0")) for rect in node.iter(f"{SVG}rect"))
        for text in node.iter(f"{SVG}text"):
            style = text.get("class")
            room = pixels(
                text.text or "",
                float(text.get("font-size", "0")),
                semibold=style in ("name", "status"),
                monospaced=style == "detail",
            )
            x = float(text.get("x", "0")) - (room / 2 if text.get("text-anchor") == "middle" else 0)
            # coordinates are rounded to a tenth
            assert x >= -0.2
            assert x + room <= width + 0.2


def test_it_needs_nothing_from_elsewhere() -> None:
    svg = to_svg(CHAIN)
    assert re.findall(r"https?://[^\"]*", svg) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<script|<image|<use|@import|@font-face|url\(|href", svg)


def test_it_follows_the_page_from_light_to_dark() -> None:
    assert "@media (prefers-color-scheme: dark)" in to_svg(CHAIN)


def test_its_style_touches_nothing_else_on_a_page_that_holds_it() -> None:
    style = parsed(CHAIN).findtext(f"{SVG}style") or ""
    selectors = re.findall(r"([^{}]+)\{[^{}]*\}", style.replace("@media (prefers-color-scheme: dark) {", ""))
    assert len(selectors) > 30
    assert all(part.strip().startswith(".runstone") for one in selectors for part in one.split(","))


def test_a_status_is_told_by_its_word_as_well_as_by_its_colour() -> None:
    root = parsed(CHAIN)
    assert {"completed", "degraded", "running"} <= set(words(root))
    for tone, word in (("good", "completed"), ("warned", "degraded"), ("busy", "running")):
        assert word in words(of_class(root, tone)[0])


def test_a_status_that_nobody_knows_yet_is_shown_all_the_same() -> None:
    root = parsed(Drawing(nodes=(Node(id="a", label="a", status="hibernating"),)))
    assert "hibernating" in words(of_class(root, "idle")[0])


def test_the_title_says_what_is_drawn() -> None:
    assert parsed(CHAIN).findtext(f"{SVG}title") == "survey: 3 blocks, 1 parameter"


def test_every_node_tells_in_full_what_its_box_may_cut_short() -> None:
    name = "a_name_that_is_far_too_long_" * 5
    root = parsed(Drawing(nodes=(Node(id="a", label=name, detail="x[i] -> y[i]", status="failed"),)))
    assert of_class(root, "node")[0].findtext(f"{SVG}title") == f"{name} · x[i] -> y[i] · failed"
    assert not [word for word in words(root) if word == name]


def test_arrays_run_in_double_lines_single_values_in_single_ones() -> None:
    root = parsed(CHAIN)
    edges = [group for group in root.iter(f"{SVG}g") if any(path.get("class") == "casing" for path in group)]
    doubled = [group for group in root.iter(f"{SVG}g") if any(path.get("class") == "core" for path in group)]
    assert len(edges) == 1
    assert len(doubled) == 2
    assert len([group for group in doubled if any(path.get("class") == "bar" for path in group)]) == 1


def test_a_legend_explains_lines_only_where_there_are_several_kinds() -> None:
    assert "element by element" in words(parsed(CHAIN))
    assert words(parsed(plain("a b"))) == ["a", "b"]


def test_parameters_are_pills_and_blocks_are_boxes() -> None:
    root = parsed(CHAIN)
    assert len(of_class(root, "pill")) == 1
    # the mapped one is a stack of two
    assert len(of_class(root, "box")) == 4


def test_outputs_are_named_on_the_box_when_there_are_several() -> None:
    assert {"train", "test"} <= set(words(parsed(SPLIT)))


@pytest.mark.parametrize("outputs", [(), ("load",), ("files",)])
def test_a_single_output_is_not_named_twice(outputs: tuple[str, ...]) -> None:
    node = Node(id="a", label="load", detail="root[i] -> files[i]", outputs=outputs)
    assert words(parsed(Drawing(nodes=(node,)))) == ["load", "root[i] -> files[i]"]


def test_hostile_names_stay_text() -> None:
    hostile = "<script>alert('&amp;\"')</script>\x00\ud800\u202e\n]]>"
    drawing = Drawing(
        title=hostile,
        nodes=(
            Node(id="a", label=hostile, detail=hostile, outputs=(hostile, "b"), status=hostile),
            Node(id="p", label=hostile, kind=NodeKind.PARAMETER),
        ),
        edges=(Edge(source="p", target="a"),),
    )
    svg = to_svg(drawing)
    assert "<script" not in svg
    assert "<script>alert('&amp;\"')</script>\ufffd\ufffd\ufffd ]]>" in (
        ElementTree.fromstring(svg).findtext(f"{SVG}title") or ""
    )
