"""A pipeline as a graph: which block makes what, who consumes it and how, and what a run must be given.

`build_graph` checks everything that can be known before anything runs, and raises PipelineError with what is wrong,
in which block.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from runstone.core.annotations import list_annotation
from runstone.core.graph_checks import check_annotations, check_missing
from runstone.core.graph_order import ordered
from runstone.core.graph_parts import NO_DEFAULT, Consumption, GraphBlock, NoDefault, Parameter, RunParameter, Use
from runstone.core.mapspec import ArraySpec
from runstone.errors import PipelineError

__all__ = [
    "NO_DEFAULT",
    "UNNAMED_AXIS",
    "Consumption",
    "Graph",
    "GraphBlock",
    "NoDefault",
    "Parameter",
    "RunParameter",
    "Use",
    "build_graph",
    "check_block",
]

UNNAMED_AXIS: Final = ":"
"""Stands for the name of an axis that no mapspec of the pipeline names."""


class Graph(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A checked pipeline.

    blocks: by name, each after all it depends on, otherwise in the order they were given.
    run_parameters: by name, in the order in which the blocks ask for them.
    producers: output -> the block that makes it.
    axes: array -> the names of its axes; outputs and parameters that are never mapped are not there.
    uses: block -> parameter -> how it is taken; condition_uses: the same for what `when` functions ask for.
    upstream, downstream: block -> the blocks directly before and after it, conditions included, in order.
    extra_takers: the blocks that receive the parameters of a run that nothing else takes.
    """

    blocks: dict[str, GraphBlock]
    run_parameters: dict[str, RunParameter]
    producers: dict[str, str]
    axes: dict[str, tuple[str, ...]]
    uses: dict[str, dict[str, Consumption]]
    condition_uses: dict[str, dict[str, Consumption]]
    upstream: dict[str, tuple[str, ...]]
    downstream: dict[str, tuple[str, ...]]
    extra_takers: tuple[str, ...]


def build_graph(blocks: Iterable[GraphBlock]) -> Graph:
    """Put blocks together and check all that can be known before a run. Raises PipelineError."""
    given = list(blocks)
    if not given:
        raise PipelineError("a pipeline needs at least one block")
    for block in given:
        check_block(block)
    producers = _producers(given)
    upstream = {block.name: _upstream(block, producers) for block in given}
    in_order = ordered(given, upstream, producers)
    downstream = {
        block.name: tuple(after.name for after in in_order if block.name in upstream[after.name]) for block in in_order
    }
    uses = {block.name: _uses(block, block.parameters, producers, in_order) for block in in_order}
    graph = Graph(
        blocks={block.name: block for block in in_order},
        run_parameters=_run_parameters(in_order, producers, uses),
        producers=producers,
        axes=_axes(in_order),
        uses=uses,
        condition_uses={
            block.name: _uses(block, block.condition, producers, in_order, mapped=False) for block in in_order
        },
        upstream={block.name: upstream[block.name] for block in in_order},
        downstream=downstream,
        extra_takers=tuple(block.name for block in in_order if block.takes_extra),
    )
    check_missing(graph)
    check_annotations(graph)
    return graph


def check_block(block: GraphBlock) -> None:
    """Check what concerns one block alone. Raises PipelineError."""
    who = f"block {block.name!r}"
    names = [parameter.name for parameter in block.parameters]
    if double := _first_double(names):
        raise PipelineError(f"{who} has two parameters called {double!r}; see its renames")
    if double := _first_double(block.outputs):
        raise PipelineError(f"{who} has two outputs called {double!r}")
    for name in block.outputs:
        if name in names:
            raise PipelineError(
                f"{who} has {name!r} both as a parameter and as an output; give the output another name"
            )
        if any(name == parameter.name for parameter in block.condition):
            raise PipelineError(f"the condition of {who} asks for {name!r}, which the block itself makes")
    if block.mapspec is None:
        return
    for spec in block.mapspec.inputs:
        if spec.name not in names:
            raise PipelineError(
                f"the mapspec of {who}, {block.mapspec}, names {spec.name!r}, {_why_not(block, spec.name)}"
            )
    specified = [spec.name for spec in block.mapspec.outputs]
    if set(specified) != set(block.outputs):
        raise PipelineError(
            f"{who} has the outputs {_listed(block.outputs)}, "
            f"but those of its mapspec, {block.mapspec}, are {_listed(specified)}"
        )


def _why_not(block: GraphBlock, name: str) -> str:
    for parameter in block.parameters:
        if parameter.python_name == name:
            return f"which is renamed: write {parameter.name!r}"
    from difflib import get_close_matches

    names = [parameter.name for parameter in block.parameters]
    close = get_close_matches(name, names, n=1)
    has = f"did you mean {close[0]!r}?" if close else f"it has {_listed(names)}" if names else "it has none"
    return f"which is not a parameter of it; {has}"


def _producers(blocks: Sequence[GraphBlock]) -> dict[str, str]:
    if double := _first_double([block.name for block in blocks]):
        raise PipelineError(f"two blocks are called {double!r}; give one of them another name=")
    producers: dict[str, str] = {}
    for block in blocks:
        for output in block.outputs:
            if output in producers:
                raise PipelineError(
                    f"the blocks {producers[output]!r} and {block.name!r} both make {output!r}; "
                    f"give one of them another output="
                )
            producers[output] = block.name
    return producers


def _upstream(block: GraphBlock, producers: dict[str, str]) -> tuple[str, ...]:
    needed = (*block.parameters, *block.condition)
    return tuple(dict.fromkeys(producers[need.name] for need in needed if need.name in producers))


def _uses(
    block: GraphBlock,
    parameters: Iterable[Parameter],
    producers: dict[str, str],
    blocks: Sequence[GraphBlock],
    *,
    mapped: bool = True,
) -> dict[str, Consumption]:
    by_name = {other.name: other for other in blocks}
    uses: dict[str, Consumption] = {}
    for parameter in parameters:
        name = parameter.name
        source = producers.get(name)
        spec = block.mapspec.input_spec(name) if mapped and block.mapspec is not None else None
        if spec is not None and any(spec.axes):
            use = Use.SLICE if None in spec.axes else Use.ELEMENT
            uses[name] = Consumption(parameter=name, use=use, axes=spec.axes, source=source)
        elif spec is not None or (source is not None and by_name[source].is_mapped):
            uses[name] = Consumption(parameter=name, use=Use.ARRAY, source=source)
        else:
            uses[name] = Consumption(parameter=name, use=Use.CONSTANT, source=source)
    return uses


def _axes(blocks: Sequence[GraphBlock]) -> dict[str, tuple[str, ...]]:
    """Bring all mentions of each array together; they must have the same rank and the same name at each position."""
    seen: dict[str, list[tuple[str, ArraySpec]]] = {}
    for side in ("outputs", "inputs"):
        for block in blocks:
            if block.mapspec is not None:
                for spec in getattr(block.mapspec, side):
                    seen.setdefault(spec.name, []).append((block.name, spec))
    axes: dict[str, tuple[str, ...]] = {}
    for name, mentions in seen.items():
        merged = list(mentions[0][1].axes)
        owners = [mentions[0]] * len(merged)
        for block_name, spec in mentions[1:]:
            if len(spec.axes) != len(merged):
                first_block, first = mentions[0]
                raise PipelineError(
                    f"the array {name!r} has {_count(len(merged), 'axis', 'axes')} in block {first_block!r} ({first}) "
                    f"and {_count(len(spec.axes), 'axis', 'axes')} in block {block_name!r} ({spec})"
                )
            for position, axis in enumerate(spec.axes):
                known = merged[position]
                if axis is not None and known is not None and axis != known:
                    owner_block, owner = owners[position]
                    raise PipelineError(
                        f"axis {position + 1} of the array {name!r} is called {known!r} in block {owner_block!r} "
                        f"({owner}) and {axis!r} in block {block_name!r} ({spec}); it has one name in a pipeline"
                    )
                if known is None and axis is not None:
                    merged[position], owners[position] = axis, (block_name, spec)
        axes[name] = tuple(axis or UNNAMED_AXIS for axis in merged)
    return axes


def _run_parameters(
    blocks: Sequence[GraphBlock], producers: dict[str, str], uses: dict[str, dict[str, Consumption]]
) -> dict[str, RunParameter]:
    asked: dict[str, list[tuple[GraphBlock, Parameter]]] = {}
    for block in blocks:
        for parameter in (*block.parameters, *block.condition):
            if parameter.name not in producers:
                asked.setdefault(parameter.name, []).append((block, parameter))
    return {name: _run_parameter(name, askers, uses) for name, askers in asked.items()}


def _run_parameter(
    name: str, askers: Sequence[tuple[GraphBlock, Parameter]], uses: dict[str, dict[str, Consumption]]
) -> RunParameter:
    default: Any = NO_DEFAULT
    default_owner = ""
    annotation: Any = Any
    for block, parameter in askers:
        if parameter.default is not NO_DEFAULT:
            if default is NO_DEFAULT:
                default, default_owner = parameter.default, block.name
            elif not _same(default, parameter.default):
                raise PipelineError(
                    f"the parameter {name!r} has two defaults: {default!r} in block {default_owner!r} "
                    f"and {parameter.default!r} in block {block.name!r}"
                )
        if annotation is Any:
            annotation = _whole_annotation(parameter, uses[block.name].get(name))
    consumers = tuple(dict.fromkeys(block.name for block, _ in askers))
    secret = any(parameter.secret for _, parameter in askers)
    return RunParameter(name=name, default=default, consumers=consumers, annotation=annotation, secret=secret)


def _whole_annotation(parameter: Parameter, consumption: Consumption | None) -> Any:
    if consumption is None or consumption.use is Use.CONSTANT:
        return parameter.annotation
    if consumption.use is Use.ELEMENT and parameter.annotation is not Any:
        return list_annotation(parameter.annotation, len(consumption.axes))
    return Any


def _same(one: Any, other: Any) -> bool:
    """Whether two defaults are the same for a user; arrays are compared as a whole, nan is like nan."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    try:
        equal = one == other
        if hasattr(equal, "all"):
            return bool(getattr(one, "shape", None) == getattr(other, "shape", None) and equal.all())
        return bool(equal) or bool(one != one and other != other)
    except Exception:
        # A comparison is the user's code: whatever it raises, these two are not known to be equal.
        return False


def _first_double(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
