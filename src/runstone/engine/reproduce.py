"""Calling one block, or one element of it, again with the inputs it had."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from runstone.blocks import Block
from runstone.core.calls import plan_calls, split_arguments
from runstone.core.records import BlockInfo, RunInfo
from runstone.core.settings import Missing
from runstone.engine.importing import attribute, import_named
from runstone.errors import RunError
from runstone.secrets.given import handed


def call_again(
    info: RunInfo,
    name: str,
    element: int | None,
    value: Callable[[str], Any],
    function: Callable[..., Any] | None,
    params: Iterable[str],
) -> Any:
    """Call a block's function as the run did.

    value: gives parameters and outputs by name; params: the names of all parameters. function: if it is known.

    Raises what the function raises, and RunError if the function cannot be found.
    """
    described = {block.name: block for block in info.blocks}[name]
    block = _block(described, function or find_function(described))
    taken = {parameter.name for other in info.blocks for parameter in other.parameters}
    plan = plan_calls(
        block.function,
        block.parameters,
        {parameter.name: handed(value(parameter.name), parameter.annotation) for parameter in block.parameters},
        mapspec=block.mapspec if block.graph_block().is_mapped else None,
        missing=None if described.missing is None else Missing(described.missing),
        extras={each: handed(value(each), Any) for each in params if each not in taken} if block.takes_extra else {},
    )
    arguments, keywords = split_arguments(block.parameters, plan.arguments_of(element or 0))
    return block.function(*arguments, **keywords)


def _block(described: BlockInfo, function: Callable[..., Any]) -> Block[..., Any]:
    renames = {each.function_name: each.name for each in described.parameters if each.function_name}
    return Block(
        function,
        name=described.name,
        output=described.outputs,
        mapspec=described.mapspec,
        renames={str(old): new for old, new in renames.items()},
    )


def find_function(described: BlockInfo) -> Callable[..., Any]:
    """Import the function of a block by the name under which the run found it. Raises RunError."""
    if described.loader is None:
        raise RunError(
            f"the function of block {described.name!r} has no name under which it could be found again "
            "(a lambda, or one made inside another function); reproduce it in the process that ran it"
        )
    place, _, path = described.loader.rpartition(":")
    try:
        found = attribute(import_named(place), path)
    except Exception as error:
        raise RunError(
            f"the function of block {described.name!r} cannot be found at {described.loader}: "
            f"{type(error).__name__}: {error}"
        ) from error
    return found.function if isinstance(found, Block) else found
