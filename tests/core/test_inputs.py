"""What a run is given, checked before anything starts."""

from __future__ import annotations

from typing import Any

import pytest

from runstone.blocks import block
from runstone.core.graph import Graph, build_graph
from runstone.core.inputs import check_inputs, extra_inputs
from runstone.errors import InputError


def pipeline(**renames: str) -> Graph:
    def load(root: Any, depth: int = 2) -> None: ...

    return build_graph([block(load, renames=renames).graph_block()])


def open_pipeline() -> Graph:
    def load(root: Any, **rest: Any) -> None: ...

    return build_graph([block(load).graph_block()])


def test_defaults_are_filled_in() -> None:
    assert check_inputs(pipeline(), {"root": "."}) == {"root": ".", "depth": 2}
    assert check_inputs(pipeline(), {"root": None, "depth": None}) == {"root": None, "depth": None}


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        check_inputs(pipeline(), {"rot": 1, "load": 2, "zzz": 3})
    told = str(caught.value)
    assert "'rot' is not a parameter of this pipeline; did you mean 'root'?" in told
    assert "'load' cannot be given: block 'load' makes it" in told
    assert "'zzz' is not a parameter of this pipeline; it has 'root', 'depth'" in told
    assert "'root' is missing: block 'load' needs it" in told


def test_nested_dicts_are_scopes_where_a_parameter_is_in_one() -> None:
    scoped = pipeline(root="foo.x", depth="foo.y")
    assert check_inputs(scoped, {"foo": {"x": 1}}) == {"foo.x": 1, "foo.y": 2}
    assert check_inputs(scoped, {"foo": {"x": 1}, "foo.y": {"x": 3}}) == {"foo.x": 1, "foo.y": {"x": 3}}
    assert check_inputs(pipeline(), {"root": {"x": 1}})["root"] == {"x": 1}


def test_a_name_given_twice_or_unknown_in_a_scope_is_told() -> None:
    with pytest.raises(InputError, match=r"'foo.x' is given twice"):
        check_inputs(pipeline(root="foo.x"), {"foo": {"x": 1}, "foo.x": 2})
    with pytest.raises(InputError, match=r"'foo.z' is not a parameter.*'foo.x' is missing"):
        check_inputs(pipeline(root="foo.x"), {"foo": {"z": 1}})


def test_a_parameter_named_like_a_scope_keeps_its_dict() -> None:
    both = pipeline(root="foo", depth="foo.x")
    assert check_inputs(both, {"foo": {"x": 1}}) == {"foo": {"x": 1}, "foo.x": 2}


def test_blocks_with_kwargs_receive_what_nothing_else_takes() -> None:
    values = check_inputs(open_pipeline(), {"root": 1, "colour": "red"})
    assert values == {"root": 1, "colour": "red"}
    assert extra_inputs(open_pipeline(), values) == {"colour": "red"}


def test_outputs_cannot_be_given_even_where_anything_can() -> None:
    with pytest.raises(InputError, match="block 'load' makes it"):
        check_inputs(open_pipeline(), {"root": 1, "load": 2})


@pytest.mark.parametrize("wrong", [[("root", 1)], "root", None, {1: 2}])
def test_parameters_are_a_dict_with_names(wrong: Any) -> None:
    with pytest.raises(InputError, match="parameters of a run"):
        check_inputs(pipeline(), wrong)
