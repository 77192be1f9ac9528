"""What can be known to go wrong before a run: elements that may be missing, annotations that cannot fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runstone.core.annotations import cannot_fit, cannot_reduce, element_annotation
from runstone.core.graph_parts import Consumption, GraphBlock, Parameter, Use
from runstone.core.settings import OnError
from runstone.errors import PipelineError

if TYPE_CHECKING:
    from runstone.core.graph import Graph


def reduces_cells(consumption: Consumption, source: GraphBlock) -> bool:
    """Whether one argument is put together from several elements of a mapped block, so that some may have failed."""
    if not source.is_mapped or source.mapspec is None:
        return False
    if consumption.use is Use.SLICE:
        external = source.mapspec.external_axes
        pairs = zip(source.mapspec.output_axes, consumption.axes, strict=True)
        return any(named is None and axis in external for axis, named in pairs)
    return consumption.use is Use.ARRAY


def check_missing(graph: Graph) -> None:
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


def check_annotations(graph: Graph) -> None:
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
