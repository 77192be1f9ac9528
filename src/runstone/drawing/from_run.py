"""From the record of a pipeline or a run to its drawing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from runstone.core.mapspec import parse_mapspec
from runstone.core.records import BlockInfo, ParameterInfo
from runstone.drawing.graph import Drawing, Edge, Node, NodeKind
from runstone.errors import MapSpecError


def graph_drawing(
    title: str, blocks: Sequence[BlockInfo], parameters: Mapping[str, str], statuses: Mapping[str, str] | None = None
) -> Drawing:
    """The drawing of these blocks.

    parameters: what a run is given, with a short word on each. statuses: how each block stands, None if nothing runs.
    """
    makers = {output: block.name for block in blocks for output in block.outputs}
    edges = [edge for block in blocks for edge in _edges(block, blocks, makers, parameters)]
    used = {edge.source for edge in edges}
    return Drawing(
        title=title,
        nodes=(
            *(
                Node(id=_parameter(name), label=name, kind=NodeKind.PARAMETER, detail=detail)
                for name, detail in parameters.items()
                if _parameter(name) in used
            ),
            *(_node(block, statuses) for block in blocks),
        ),
        edges=tuple(edges),
    )


def _block(name: str) -> str:
    return f"block {name}"


def _parameter(name: str) -> str:
    return f"parameter {name}"


def _node(block: BlockInfo, statuses: Mapping[str, str] | None) -> Node:
    return Node(
        id=_block(block.name),
        label=block.name,
        detail=block.mapspec or "",
        outputs=tuple(block.outputs),
        mapped=_is_mapped(block),
        status=None if statuses is None else statuses.get(block.name),
    )


def _is_mapped(block: BlockInfo) -> bool:
    try:
        return block.mapspec is not None and not parse_mapspec(block.mapspec).is_generator
    except MapSpecError:
        return False


def _edges(
    block: BlockInfo, blocks: Sequence[BlockInfo], makers: Mapping[str, str], parameters: Mapping[str, str]
) -> Iterable[Edge]:
    taken = {parameter.name: parameter for parameter in block.parameters}
    for name in block.condition:
        taken.setdefault(name, ParameterInfo(name=name))
    if block.takes_extra:
        claimed = {parameter.name for other in blocks for parameter in other.parameters}
        claimed.update(name for other in blocks for name in other.condition)
        for name in parameters:
            if name not in claimed:
                taken[name] = ParameterInfo(name=name)
    for name, parameter in taken.items():
        if name in makers:
            source = _block(makers[name])
        elif name in parameters:
            source = _parameter(name)
        else:
            continue
        yield Edge(
            source=source,
            target=_block(block.name),
            label=name if name in makers else "",
            mapped=parameter.consumed in ("element", "slice"),
            reduces=parameter.consumed in ("slice", "array"),
        )
