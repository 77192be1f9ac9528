"""A pipeline as a graph: which block makes what, who consumes it and how, and what a run must be given.

`build_graph` checks everything that can be known before anything runs, and raises PipelineError with what is wrong,
in which block.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from runstone.core.annotations import cannot_fit, cannot_reduce, element_annotation, list_annotation
from runstone.core.mapspec import ArraySpec, MapSpec
from runstone.core.settings import Missing, OnError
from runstone.errors import PipelineError


class NoDefault(enum.Enum):
    """The type of NO_DEFAULT: None is a default like any other."""

    NO_DEFAULT = "no default"


NO_DEFAULT: Final = NoDefault.NO_DEFAULT

UNNAMED_AXIS: Final = ":"
"""Stands for the name of an axis that no mapspec of the pipeline names."""


class Use(enum.StrEnum):
    """How a parameter of a block is fed."""

    CONSTANT = "constant"
    """The value as it is, the same in every call."""
    ELEMENT = "element"
    """One element of an array a call: `x[i]`."""
    SLICE = "slice"
    """Part of an array a call: `x[i, :]`."""
    ARRAY = "array"
    """All that a mapped block made: the whole array."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One parameter of a function. name: as the graph calls it; python_name: as the function does.

    annotation: as far as it could be resolved; text if it could not, Any if there is none.
    """

    name: str
    python_name: str
    keyword_only: bool = False
    default: Any = NO_DEFAULT
    annotation: Any = Any


class GraphBlock(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What the graph has to know of a block.

    parameters: in the order of the signature. takes_extra: has `**kwargs`.
    condition: the parameters of its `when` function. returns: the annotation of each output, Any if unknown.
    """

    name: str
    outputs: tuple[str, ...]
    parameters: tuple[Parameter, ...] = ()
    takes_extra: bool = False
    mapspec: MapSpec | None = None
    on_error: OnError = OnError.FAIL
    missing: Missing | None = None
    condition: tuple[Parameter, ...] = ()
    returns: dict[str, Any] = {}

    @property
    def is_mapped(self) -> bool:
        """Whether it is called once for each element, and not just once."""
        return self.mapspec is not None and not self.mapspec.is_generator


class Consumption(msgspec.Struct, frozen=True, kw_only=True):
    """How a block takes one of its parameters. axes: None for what is taken whole; () unless element or slice.

    source: the block that makes it, None if it is a parameter of the run.
    """

    parameter: str
    use: Use
    axes: tuple[str | None, ...] = ()
    source: str | None = None


class RunParameter(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Something that no block makes. annotation: what a whole value should be, Any if unknown."""

    name: str
    default: Any = NO_DEFAULT
    consumers: tuple[str, ...] = ()
    annotation: Any = Any

    @property
    def required(self) -> bool:
        """Whether a run must be given it."""
        return self.default is NO_DEFAULT


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
    ordered = _ordered(given, upstream, producers)
    downstream = {
        block.name: tuple(after.name for after in ordered if block.name in upstream[after.name]) for block in ordered
    }
    uses = {block.name: _uses(block, block.parameters, producers, ordered) for block in ordered}
    graph = Graph(
        blocks={block.name: block for block in ordered},
        run_parameters=_run_parameters(ordered, producers, uses),
        producers=producers,
        axes=_axes(ordered),
        uses=uses,
        condition_uses={
            block.name: _uses(block, block.condition, producers, ordered, mapped=False) for block in ordered
        },
        upstream={block.name: upstream[block.name] for block in ordered},
        downstream=downstream,
        extra_takers=tuple(block.name for block in ordered if block.takes_extra),
    )
    _check_missing(graph)
    _check_annotations(graph)
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


def _ordered(
    blocks: Sequence[GraphBlock], upstream: dict[str, tuple[str, ...]], producers: dict[str, str]
) -> list[GraphBlock]:
    """The blocks so that each comes after all it depends on; among those that could come next, the first given.

    Source: A. B. Kahn, Topological sorting of large networks, 1962, with a heap in place of his list.
    """
    import heapq

    position = {block.name: number for number, block in enumerate(blocks)}
    after: dict[str, list[str]] = {block.name: [] for block in blocks}
    open_needs = {name: len(before) for name, before in upstream.items()}
    for name, before in upstream.items():
        for other in before:
            after[other].append(name)
    ready = [position[name] for name, count in open_needs.items() if not count]
    heapq.heapify(ready)
    ordered: list[GraphBlock] = []
    while ready:
        block = blocks[heapq.heappop(ready)]
        ordered.append(block)
        for name in after[block.name]:
            open_needs[name] -= 1
            if not open_needs[name]:
                heapq.heappush(ready, position[name])
    if len(ordered) < len(blocks):
        done = {block.name for block in ordered}
        raise PipelineError(_circle([block for block in blocks if block.name not in done], producers))
    return ordered


def _circle(blocks: Sequence[GraphBlock], producers: dict[str, str]) -> str:
    """Name one circle among blocks that all wait for each other."""
    by_name = {block.name: block for block in blocks}
    needs: dict[str, str] = {}
    current = blocks[0].name
    path: list[str] = []
    while current not in path:
        path.append(current)
        block = by_name[current]
        needs[current] = next(
            need.name for need in (*block.parameters, *block.condition) if producers.get(need.name) in by_name
        )
        current = producers[needs[current]]
    circle = path[path.index(current) :]
    steps = [f"{name!r} needs {needs[name]!r}" for name in circle]
    names = " -> ".join([circle[0], *reversed(circle)])
    return f"the blocks depend on each other in a circle: {names} ({', '.join(steps)})"


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
    return RunParameter(name=name, default=default, consumers=consumers, annotation=annotation)


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


def reduces_cells(consumption: Consumption, source: GraphBlock) -> bool:
    """Whether one argument is put together from several elements of a mapped block, so that some may have failed."""
    if not source.is_mapped or source.mapspec is None:
        return False
    if consumption.use is Use.SLICE:
        external = source.mapspec.external_axes
        pairs = zip(source.mapspec.output_axes, consumption.axes, strict=True)
        return any(named is None and axis in external for axis, named in pairs)
    return consumption.use is Use.ARRAY


def _check_missing(graph: Graph) -> None:
    """A block that brings elements together must say what to do if some may have failed."""
    tolerant: dict[str, str] = {}
    for block in graph.blocks.values():
        own = graph.uses[block.name].values()
        for consumption in (*own, *graph.condition_uses[block.name].values()):
            name = consumption.parameter
            if name not in tolerant or block.missing is not None:
                continue
            if reduces_cells(consumption, graph.blocks[graph.producers[name]]):
                raise PipelineError(
                    f"block {block.name!r} takes many elements of {name!r} at once, and some may be missing, because "
                    f"block {tolerant[name]!r} has on_error='continue': say missing='drop' (leave them out) or "
                    f"missing='keep' (a Failed in their place) at block {block.name!r}"
                )
        if not block.is_mapped:
            continue
        cause = block.name if block.on_error is OnError.CONTINUE else None
        for consumption in own:
            name = consumption.parameter
            if (
                cause is None
                and name in tolerant
                and not reduces_cells(consumption, graph.blocks[graph.producers[name]])
            ):
                cause = tolerant[name]
        if cause is not None:
            tolerant.update(dict.fromkeys(block.outputs, cause))


def _check_annotations(graph: Graph) -> None:
    for block in graph.blocks.values():
        for parameter in block.parameters:
            consumption = graph.uses[block.name][parameter.name]
            if consumption.source is None:
                continue
            source = graph.blocks[consumption.source]
            if problem := _misfit(source, consumption, parameter, graph.axes.get(parameter.name, ())):
                raise PipelineError(
                    f"the output {parameter.name!r} of block {source.name!r} cannot go into the parameter "
                    f"{parameter.python_name!r} of block {block.name!r}: {problem}"
                )


def _misfit(source: GraphBlock, consumption: Consumption, parameter: Parameter, axes: tuple[str, ...]) -> str | None:
    produced = source.returns.get(parameter.name, Any)
    if consumption.use is Use.CONSTANT:
        return cannot_fit(produced, parameter.annotation)
    external = len(source.mapspec.external_axes) if source.is_mapped and source.mapspec is not None else 0
    element, problem = element_annotation(produced, len(axes) - external)
    if problem is not None:
        return problem
    if consumption.use is Use.ELEMENT:
        return cannot_fit(element, parameter.annotation)
    taken = consumption.axes.count(None) if consumption.use is Use.SLICE else len(axes)
    return cannot_reduce(element, taken, parameter.annotation)


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
