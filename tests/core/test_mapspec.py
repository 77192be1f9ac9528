"""The mapspec language: what it means, and where exactly a mistake is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.core.mapspec import ArraySpec, MapSpec, parse_mapspec
from runstone.errors import MapSpecError

MISTAKES = [
    # text, position of the first wrong character, part of the message
    ("", 0, "nothing"),
    ("x[i]", 4, "arrow"),
    ("...", 3, "arrow"),
    ("x[i] y[j] -> z[i, j]", 5, "comma"),
    ("a[i], n -> b[i]", 6, "'n' has no axes"),
    ("x -> y[i]", 0, "'x' has no axes"),
    ("x[i] -> y", 8, "'y' has no axes"),
    ("..., a[i] -> b[i]", 0, "stands alone"),
    ("a[i], ... -> b[i]", 6, "stands alone"),
    ("a[i] ... -> b[i]", 5, "stands alone"),
    ("x[i] -> ...", 8, "cannot be on the right"),
    ("... -> ...", 7, "cannot be on the right"),
    ("x[] -> y[i]", 2, "between the brackets"),
    ("x[i,] -> y[i]", 4, "axis"),
    ("x[,i] -> y[i]", 2, "axis"),
    ("x[i j] -> y[i, j]", 4, "comma"),
    ("x[i :] -> y[i]", 4, "comma"),
    ("x[1] -> y[i]", 2, "axis"),
    ("x[i", 1, "never closed"),
    ("x[i,", 1, "never closed"),
    ("x[", 1, "never closed"),
    ("x[i -> y[i]", 4, "->"),
    ("x[i] -> y[i] junk", 13, "comma"),
    ("x[i] -> y[i]]", 12, "]"),
    ("x[i] -> y[i] -> z[i]", 13, "second arrow"),
    ("x[i] ->", 7, "the end"),
    ("x[i] -> y[i],", 13, "the end"),
    (" -> y[i]", 1, "before the arrow"),
    ("x[i], -> y[i]", 6, "name of an input"),
    ("a.b.c[i] -> d[i]", 3, "second dot"),
    ("a.[i] -> d[i]", 2, "name"),
    (".a[i] -> d[i]", 0, "name"),
    ("x[i, i] -> y[i]", 5, "twice"),
    ("x[i] -> y[j, i, j]", 16, "twice"),
    ("x[i], x[j] -> y[i, j]", 6, "twice on the left"),
    ("x[i] -> y[i], y[i]", 14, "twice on the right"),
    ("x[i] -> x[i]", 8, "both sides"),
    ("x[i] -> y[:]", 10, "':' cannot be on the right"),
    ("x[i, j] -> y[i]", 5, "'j' of 'x' is not in y[i]"),
    ("x[i] -> a[i], b[j]", 14, "different axes"),
    ("x[i, j] -> a[i, j], b[j, i]", 20, "different axes"),
    ("x[i] => y[i]", 5, "="),
    ("x(i) -> y[i]", 0, "'x' has no axes"),
    ("2x[i] -> y[i]", 0, "'2'"),
    ("x[i]; y[i] -> z[i]", 4, ";"),
]


@pytest.mark.parametrize(("text", "position", "part"), MISTAKES)
def test_a_mistake_is_refused_with_its_place(text: str, position: int, part: str) -> None:
    with pytest.raises(MapSpecError) as caught:
        parse_mapspec(text)
    assert (caught.value.position, caught.value.text) == (position, text)
    assert part in caught.value.problem


@pytest.mark.parametrize(
    ("text", "external", "internal"),
    [
        ("x[i] -> y[i]", ("i",), ()),
        ("x[i], w[i] -> y[i]", ("i",), ()),
        ("y[j], x[i] -> z[i, j]", ("i", "j"), ()),
        ("x[i, :] -> y[i]", ("i",), ()),
        ("x[i, j], y[j, :, k] -> z[i, j, k]", ("i", "j", "k"), ()),
        ("... -> x[i]", (), ("i",)),
        ("... -> x[i, j]", (), ("i", "j")),
        ("x[:] -> y[i]", (), ("i",)),
        ("x[i] -> y[i, j]", ("i",), ("j",)),
        ("x[i] -> y[j, i]", ("i",), ("j",)),
        ("x[i] -> a[i], b[i]", ("i",), ()),
        ("foo.x[i] -> bar.y[i]", ("i",), ()),
        ("x[row], y[col] -> z[row, col]", ("row", "col"), ()),
        ("größe[i] -> y[i]", ("i",), ()),
    ],
)
def test_axes_that_are_mapped_over_are_told_from_those_inside_a_value(
    text: str, external: tuple[str, ...], internal: tuple[str, ...]
) -> None:
    mapspec = parse_mapspec(text)
    assert (mapspec.external_axes, mapspec.internal_axes) == (external, internal)
    assert mapspec.is_generator == (not external)
    assert str(mapspec) == text


def test_space_is_without_meaning() -> None:
    assert parse_mapspec(" x [ i ,: ]->\n y[ i ] ") == parse_mapspec("x[i, :] -> y[i]")


def test_an_input_is_found_by_name_and_others_are_not_there() -> None:
    mapspec = parse_mapspec("x[i, :] -> y[i]")
    assert mapspec.input_spec("x") == ArraySpec("x", ("i", None))
    assert mapspec.input_spec("y") is None


NAMES = st.sampled_from(["x", "y2", "_z", "foo.x", "foo.y", "größe", "in", "w"])
AXES = st.sampled_from(["i", "j", "k", "row"])


@st.composite
def mapspecs(draw: st.DrawFn) -> MapSpec:
    names = draw(st.lists(NAMES, unique=True, min_size=1, max_size=6))
    split = draw(st.integers(0, len(names) - 1))
    output_axes = tuple(draw(st.lists(AXES, unique=True, min_size=1)))
    inputs = []
    for name in names[:split]:
        axes = draw(st.lists(st.sampled_from(output_axes), unique=True, min_size=0))
        whole = draw(st.integers(0 if axes else 1, 2))
        inputs.append(ArraySpec(name, tuple(draw(st.permutations([*axes, *[None] * whole])))))
    return MapSpec(tuple(inputs), tuple(ArraySpec(name, output_axes) for name in names[split:]))


@given(mapspecs())
def test_reading_what_was_written_gives_the_same(mapspec: MapSpec) -> None:
    assert parse_mapspec(str(mapspec)) == mapspec


@given(st.text(alphabet="xyi[],:.-> j", max_size=24))
def test_any_text_is_either_read_or_refused_with_a_place_inside_it(text: str) -> None:
    try:
        mapspec = parse_mapspec(text)
    except MapSpecError as error:
        position = error.position
    else:
        position = 0
        assert parse_mapspec(str(mapspec)) == mapspec
    assert 0 <= position <= len(text)
