"""The same random pipelines, executed from our plans and by pipefunc, give the same."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runstone.blocks import Block, block
from runstone.core.arrays import MappedArray, mapped_array
from runstone.core.calls import plan_calls
from runstone.core.graph import Graph, build_graph
from runstone.core.inputs import check_inputs
from runstone.core.mapspec import ArraySpec, MapSpec

pipefunc = pytest.importorskip("pipefunc")


class Step(msgspec.Struct):
    """One function of a random pipeline. inner: for the axes inside its values, their lengths."""

    name: str
    parameters: list[str]
    outputs: list[str]
    mapspec: str | None
    inner: list[int]


class Example(msgspec.Struct):
    """A random pipeline and what it is given."""

    steps: list[Step]
    inputs: dict[str, Any]


def frozen(value: Any) -> Any:
    """Nested lists of text, whatever the containers were."""
    if isinstance(value, np.ndarray):
        return [frozen(one) for one in value]
    if isinstance(value, (list, tuple)):
        return [frozen(one) for one in value]
    return str(value)


def function_of(step: Step) -> Callable[..., Any]:
    """A function that tells its name and its arguments in everything it returns."""

    def call(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        told = f"{step.name}({', '.join(f'{name}={frozen(given[name])}' for name in step.parameters)})"
        values = tuple(labelled(f"{told}.{output}", step.inner) for output in step.outputs)
        return values[0] if len(values) == 1 else values

    signature = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in step.parameters]
    )
    call.__name__ = step.name
    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def labelled(told: str, lengths: list[int]) -> Any:
    """Elements that tell their place: text, a list of texts, or an array where pipefunc takes nothing else."""
    if not lengths:
        return told
    if len(lengths) == 1:
        return [f"{told}[{at}]" for at in range(lengths[0])]
    array = np.empty(lengths, dtype=object)
    for place in np.ndindex(*lengths):
        array[place] = told + "".join(f"[{at}]" for at in place)
    return array


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """Each step takes one or two of all that is there, some of it new, in any of the ways a mapspec can say."""
    lengths: dict[str, int] = {}
    arrays: dict[str, tuple[str, ...]] = {}
    inputs: dict[str, Any] = {}
    steps: list[Step] = []

    def new_axis() -> str:
        axis = f"a{len(lengths)}"
        lengths[axis] = draw(st.integers(1, 3))
        return axis

    def new_input() -> str:
        name = f"x{len(inputs)}"
        known = draw(st.lists(st.sampled_from(sorted(lengths)), unique=True, max_size=2)) if lengths else []
        axes = tuple(known or [new_axis() for _ in range(draw(st.integers(1, 2)))])
        arrays[name] = axes
        inputs[name] = labelled(name, [lengths[axis] for axis in axes])
        return name

    for number in range(draw(st.integers(1, 4))):
        parameters: list[str] = []
        specs: list[ArraySpec] = []
        kept: list[str] = []
        for _ in range(draw(st.integers(1, 2))):
            others = [name for name in arrays if name not in parameters]
            name = draw(st.sampled_from(others)) if others and draw(st.booleans()) else new_input()
            parameters.append(name)
            how = draw(st.sampled_from(["element", "element", "slice", "whole"]))
            axes = arrays[name]
            if how == "slice" and len(axes) > 1:
                taken = draw(st.sets(st.sampled_from(axes), min_size=1, max_size=len(axes) - 1))
                specs.append(ArraySpec(name, tuple(axis if axis in taken else None for axis in axes)))
            elif how != "whole" and axes:
                specs.append(ArraySpec(name, axes))
            else:
                continue
            kept.extend(axis for axis in specs[-1].axes if axis is not None and axis not in kept)
        outputs = [f"y{number}", f"z{number}"][: draw(st.integers(1, 2))]
        inner = [new_axis() for _ in range(draw(st.integers(0, 1 if kept else 2)))]
        output_axes = tuple(draw(st.permutations([*kept, *inner])))
        mapspec = None
        if output_axes:
            mapspec = str(MapSpec(tuple(specs), tuple(ArraySpec(output, output_axes) for output in outputs)))
        inner_lengths = [lengths[axis] for axis in output_axes if axis in inner]
        steps.append(Step(f"f{number}", parameters, outputs, mapspec, inner_lengths))
        arrays.update(dict.fromkeys(outputs, output_axes))
    return Example(steps, {name: value for name, value in inputs.items() if any(name in s.parameters for s in steps)})


def evaluate(blocks: list[Block[..., Any]], inputs: dict[str, Any]) -> dict[str, Any]:
    """All outputs, from the plans alone, one call after the other."""
    graph: Graph = build_graph([one.graph_block() for one in blocks])
    values = check_inputs(graph, inputs)
    functions = {one.name: one.function for one in blocks}
    for record in graph.blocks.values():
        plan = plan_calls(functions[record.name], record.parameters, values, mapspec=record.mapspec)
        returned = [plan.function(*arguments) for arguments in plan.arguments(range(plan.count))]
        for number, output in enumerate(record.outputs):
            cells = [one[number] for one in returned] if len(record.outputs) > 1 else returned
            if record.is_mapped and record.mapspec is not None:
                values[output] = mapped_array(record.mapspec, output, plan.shape, cells)
            else:
                values[output] = cells[0]
    return {name: values[name] for name in graph.producers}


def by_pipefunc(example: Example) -> dict[str, Any]:
    functions = [
        pipefunc.PipeFunc(
            function_of(step),
            output_name=step.outputs[0] if len(step.outputs) == 1 else tuple(step.outputs),
            mapspec=step.mapspec,
        )
        for step in example.steps
    ]
    pipeline = pipefunc.Pipeline(functions, validate_type_annotations=False)
    made = pipeline.map(example.inputs, parallel=False, storage="dict", show_progress=False)
    return {output: made[output].output for step in example.steps for output in step.outputs}


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(examples())
def test_random_pipelines_give_what_pipefunc_gives(example: Example) -> None:
    blocks = [block(function_of(step), output=tuple(step.outputs), mapspec=step.mapspec) for step in example.steps]
    ours = evaluate(blocks, example.inputs)
    theirs = by_pipefunc(example)
    for name, value in ours.items():
        whole = value.whole() if isinstance(value, MappedArray) else value
        assert frozen(whole) == frozen(theirs[name]), name
