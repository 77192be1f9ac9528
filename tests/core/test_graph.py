"""Pipelines as graphs: what follows from the blocks, and everything that is refused before a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from runstone.blocks import block
from runstone.core.graph import NO_DEFAULT, Graph, Use, build_graph
from runstone.errors import PipelineError


def graph(*blocks: Any) -> Graph:
    return build_graph([one.graph_block() for one in blocks])


def make(text: str, **settings: Any) -> Any:
    """A block from the text of a signature, such as `parse(x, n=1)`."""
    names: dict[str, Any] = {"np": __import__("numpy")}
    exec(f"def {text}: pass", names)
    return block(names[text.partition("(")[0]], **settings)


def refused(*blocks: Any, match: str) -> None:
    with pytest.raises(PipelineError, match=match):
        graph(*blocks)


def test_parameters_named_like_an_output_are_fed_by_it_and_the_rest_is_given_by_the_run() -> None:
    built = graph(make("a(root)", output="x"), make("b(x, n=3)"))
    assert built.producers == {"x": "a", "b": "b"}
    assert list(built.run_parameters) == ["root", "n"]
    assert built.run_parameters["root"].required
    assert built.run_parameters["n"].default == 3
    assert built.run_parameters["root"].default is NO_DEFAULT
    assert built.uses["b"]["x"].source == "a"
    assert built.uses["b"]["n"].source is None


def test_blocks_come_after_what_they_need_and_otherwise_stay_in_order() -> None:
    built = graph(make("d(c, a)"), make("z(root)"), make("c(b)"), make("b(a)"), make("a(root)"))
    assert list(built.blocks) == ["z", "a", "b", "c", "d"]
    assert built.upstream["d"] == ("c", "a")
    assert built.downstream["a"] == ("b", "d")
    later = graph(make("a(b)"), make("b(root)"), make("c(root)"))
    assert list(later.blocks) == ["b", "a", "c"]
    assert list(built.upstream) == list(built.downstream) == list(built.uses) == list(built.blocks)


def test_a_circle_is_named() -> None:
    refused(
        make("start(root)"), make("a(z, start)"), make("b(a)"), make("z(b)"), match=r"a -> b -> z -> a .*'a' needs 'z'"
    )


def test_a_circle_is_found_below_blocks_that_hang_on_it() -> None:
    refused(make("tail(a)"), make("a(b)"), make("b(a)"), match=r"circle: \w -> \w -> \w \(")


def test_a_condition_adds_a_dependency() -> None:
    built = graph(make("late(x)", when=lambda check, limit=5: True), make("check(x)"))
    assert list(built.blocks) == ["check", "late"]
    assert built.upstream["late"] == ("check",)
    assert built.run_parameters["limit"].default == 5
    assert built.condition_uses["late"]["check"].use is Use.CONSTANT


def test_a_condition_takes_part_in_circles() -> None:
    refused(make("a(x)", when=lambda b: True), make("b(a)"), match="circle")
    with pytest.raises(PipelineError, match="condition of block 'a' asks for 'a'"):
        make("a(x)", when=lambda a: True)


def test_names_are_there_once() -> None:
    refused(match="at least one block")
    refused(make("a(x)"), make("a(y)", output="z"), match="two blocks are called 'a'")
    refused(make("a(x)"), make("b(x)", output="a"), match="'a' and 'b' both make 'a'")


HOW: list[tuple[str, str, Use, tuple[str | None, ...]]] = [
    ("x[i] -> y[i]", "", Use.CONSTANT, ()),
    ("x[i] -> y[i]", "z[i] -> c[i]", Use.ARRAY, ()),
    ("x[i] -> y[i]", "y[i] -> c[i]", Use.ELEMENT, ("i",)),
    ("x[i] -> y[i, j]", "y[i, :] -> c[i]", Use.SLICE, ("i", None)),
    ("x[i] -> y[i, j]", "y[:, :] -> c[k]", Use.ARRAY, ()),
    ("... -> y[i]", "y[i] -> c[i]", Use.ELEMENT, ("i",)),
    ("... -> y[i]", "z[i] -> c[i]", Use.CONSTANT, ()),
    ("", "y[i] -> c[i]", Use.ELEMENT, ("i",)),
]


@pytest.mark.parametrize(("producer", "consumer", "use", "axes"), HOW)
def test_how_a_parameter_is_taken(producer: str, consumer: str, use: Use, axes: tuple[str | None, ...]) -> None:
    made = make("p(x)", mapspec=producer or None, output="y")
    if consumer:
        built = graph(made, make("c(y, z)", mapspec=consumer))
        assert (built.uses["c"]["y"].use, built.uses["c"]["y"].axes) == (use, axes)
    else:
        assert graph(made).uses["p"]["x"].use is Use.ELEMENT


def test_axes_are_put_together_from_all_who_name_them() -> None:
    built = graph(
        make("p(x)", output="y"), make("c(y)", mapspec="y[i, :, :] -> c[i]"), make("d(y)", mapspec="y[:, j, :] -> d[j]")
    )
    assert built.axes == {"y": ("i", "j", ":"), "c": ("i",), "d": ("j",)}


def test_an_array_has_one_rank_and_one_name_for_each_axis() -> None:
    a, b = make("a(x)", mapspec="x[i] -> a[i]"), make("b(x)", mapspec="x[i, j] -> b[i, j]")
    refused(a, b, match=r"'x' has 1 axis in block 'a' \(x\[i\]\) and 2 axes in block 'b'")
    refused(a, make("b(a)", mapspec="a[k] -> b[k]"), match="axis 1 of the array 'a' is called 'i' in block 'a'")
    refused(a, make("b(a)", mapspec="a[i, :] -> b[i]"), match="1 axis in block 'a'")


def test_what_a_mapspec_names_must_be_there() -> None:
    with pytest.raises(PipelineError, match="names 'fils', which is not a parameter of it; did you mean 'files'"):
        make("a(files)", mapspec="fils[i] -> y[i]")
    with pytest.raises(PipelineError, match="names 'x', which is renamed: write 'files'"):
        make("a(x)", mapspec="x[i] -> y[i]", renames={"x": "files"})
    with pytest.raises(PipelineError, match="has the outputs 'z', but those of its mapspec"):
        make("a(x)", mapspec="x[i] -> y[i]", output="z")
    with pytest.raises(PipelineError, match="'x' both as a parameter and as an output"):
        make("a(x)", output="x")
    with pytest.raises(PipelineError, match="two outputs called 'y'"):
        make("a(x)", output=("y", "y"))


def test_defaults_agree_between_blocks() -> None:
    refused(make("a(n=1)"), make("b(n=2)"), match="'n' has two defaults: 1 in block 'a' and 2 in block 'b'")
    refused(make("a(n=1)"), make("b(n=True)"), match="two defaults")
    refused(make("a(n=np.zeros(2))"), make("b(n=np.zeros(3))"), match="two defaults")
    same = graph(make("a(n=[1], e=float('nan'))"), make("b(n=[1], e=float('nan'))"))
    assert same.run_parameters["n"].default == [1]
    assert math.isnan(same.run_parameters["e"].default)
    assert graph(make("a(m=np.ones(3))"), make("b(m=np.ones(3))"), make("c(m)")).run_parameters["m"].required is False


def test_a_default_that_cannot_be_compared_counts_as_another() -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError

    blocks = [block(lambda n=odd: n, name=name) for name, odd in (("one", Odd()), ("two", Odd()))]
    refused(*blocks, match="two defaults")


def test_a_default_of_a_parameter_that_an_output_feeds_is_not_used() -> None:
    built = graph(make("a(x)"), make("b(a=3)"), make("c(a=4)"))
    assert list(built.run_parameters) == ["x"]


TOLERANT = {"mapspec": "x[i] -> y[i]", "on_error": "continue"}


def tolerant() -> Any:
    return make("p(x)", **TOLERANT)


def test_a_reduction_of_what_may_be_missing_says_what_to_do() -> None:
    refused(tolerant(), make("c(y)"), match="block 'c' takes many elements of 'y'.*block 'p' has on_error='continue'")
    refused(tolerant(), make("c(y)", mapspec="y[:] -> c[k]"), match="missing='drop'")
    graph(tolerant(), make("c(y)", missing="drop"))
    graph(tolerant(), make("c(y)", missing="keep"))


def test_missing_elements_are_followed_through_blocks_that_take_them_one_by_one() -> None:
    middle = make("m(y)", mapspec="y[i] -> z[i]")
    refused(tolerant(), middle, make("c(z)"), match="elements of 'z'.*'p' has on_error")
    graph(tolerant(), middle, make("c(z)", missing="keep"))


def test_nothing_is_missing_behind_a_reduction_that_has_decided() -> None:
    graph(tolerant(), make("m(y)", missing="drop"), make("c(m)"))
    graph(tolerant(), make("m(y, w)", mapspec="w[k] -> z[k]", missing="drop"), make("c(z)"))


def test_a_partial_reduction_counts_only_over_axes_of_elements() -> None:
    two = make("p(x, w)", mapspec="x[i], w[j] -> y[i, j]", on_error="continue")
    refused(two, make("c(y)", mapspec="y[i, :] -> c[i]"), match="missing=")
    inner = make("p(x)", mapspec="x[i] -> y[i, j]", on_error="continue")
    cells = make("c(y)", mapspec="y[i, :] -> c[i]")
    graph(inner, cells)
    refused(inner, cells, make("d(c)"), match="elements of 'c'")
    refused(inner, make("c(y)", mapspec="y[:, j] -> c[j]"), match="missing=")


def test_a_condition_that_looks_at_elements_says_what_to_do_as_well() -> None:
    refused(tolerant(), make("c(q)", when=lambda y: True), match="block 'c' takes many elements of 'y'")
    graph(tolerant(), make("c(q)", when=lambda y: True, missing="drop"))


def test_missing_may_be_said_where_nothing_can_be_missing() -> None:
    graph(make("p(x)", mapspec="x[i] -> y[i]"), make("c(y)", missing="drop"))
    graph(make("p(x)", on_error="continue"), make("c(p)"))


def strings(x: str) -> list[str]: ...  # type: ignore[empty-body]


def number(x: str) -> int: ...  # type: ignore[empty-body]


def wants_int(y: int) -> None: ...
def wants_str(y: str) -> None: ...
def wants_ints(y: list[int]) -> None: ...
def wants_dict(y: dict[str, int]) -> None: ...


@pytest.mark.parametrize(
    ("made", "mapspec", "taker", "taken", "problem"),
    [
        (number, None, wants_int, None, None),
        (number, None, wants_str, None, "int is not str"),
        (strings, None, wants_str, "y[i] -> c[i]", None),
        (strings, None, wants_int, "y[i] -> c[i]", "str is not int"),
        (strings, "... -> y[i]", wants_int, "y[i] -> c[i]", "str is not int"),
        (number, None, wants_int, "y[i] -> c[i]", "int has no elements"),
        (number, "x[i] -> y[i]", wants_ints, None, None),
        (strings, "x[i] -> y[i]", wants_ints, None, r"list\[list\[str\]\], which is not list\[int\]"),
        (number, "x[i] -> y[i]", wants_dict, None, r"list\[int\], which is not dict\[str, int\]"),
        (number, "x[i] -> y[i]", wants_int, None, r"list\[int\], which is not int"),
        (number, "x[i] -> y[i]", wants_int, "y[i] -> c[i]", None),
        (strings, "x[i] -> y[i, j]", wants_str, "y[i, j] -> c[i, j]", None),
        (strings, "x[i] -> y[i, j]", wants_ints, "y[i, :] -> c[i]", r"list\[str\], which is not list\[int\]"),
        (number, "x[i] -> y[i, j]", wants_int, "y[i, j] -> c[i, j]", "int has no elements"),
    ],
)
def test_annotations_that_cannot_fit_are_refused(
    made: Callable[..., Any], mapspec: str | None, taker: Callable[..., Any], taken: str | None, problem: str | None
) -> None:
    blocks = block(made, name="p", output="y", mapspec=mapspec), block(taker, name="c", output="c", mapspec=taken)
    if problem is None:
        graph(*blocks)
    else:
        refused(*blocks, match=f"output 'y' of block 'p' cannot go into the parameter 'y' of block 'c'.*{problem}")


def test_several_outputs_are_compared_each_on_its_own() -> None:
    def pair(x: int) -> tuple[int, str]: ...  # type: ignore[empty-body]

    both = block(pair, output=("n", "y"))
    graph(both, block(wants_str))
    refused(both, block(wants_int), match="str is not int")


def test_a_parameter_of_the_run_is_annotated_as_a_whole() -> None:
    def parse(files: str, n: int) -> None: ...

    built = graph(block(parse, mapspec="files[i] -> y[i]"))
    assert built.run_parameters["files"].annotation == list[str]
    assert built.run_parameters["n"].annotation is int


def test_blocks_that_take_the_rest_are_known() -> None:
    assert graph(make("a(x, **rest)"), make("b(x)")).extra_takers == ("a",)
