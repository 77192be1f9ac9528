"""A tracked run for each of many pieces of work."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from runstone.engine.track import complaints
from runstone.engine.track.tracked import Called, Tracked


def runs(items: Iterable[Any], options: dict[str, Any], kind: type[Tracked] = Tracked) -> Iterator[Tracked]:
    """A run `window_<n>` for each item, n from 0 on, in their order; none has begun. Items are asked for one by one."""
    for number, item in enumerate(items):
        run = kind(f"window_{number}", "track.windows", **{"rows_in": length(item), **options})
        run.item = item
        yield run


def processed(items: Iterable[Any], process: Callable[[Any], Any], options: dict[str, Any]) -> Any:
    """What `process` returns for each item; a list, or of a coroutine function something to await that gives one."""
    if inspect.iscoroutinefunction(process) or inspect.iscoroutinefunction(type(process).__call__):
        return _processed_async(items, process, options)
    results = []
    for run in runs(items, options, Called):
        with run:
            results.append(process(run.item))
    return results


async def _processed_async(
    items: Iterable[Any], process: Callable[[Any], Awaitable[Any]], options: dict[str, Any]
) -> list[Any]:
    results = []
    for run in runs(items, options, Called):
        with run:
            results.append(await process(run.item))
    return results


def length(item: Any) -> int | None:
    """How many rows are in an item; None if it does not say."""
    try:
        return len(item)
    except TypeError:
        return None
    except Exception as error:
        complaints.once("length", f"rows_in of a window is not recorded: len() of it fails with {type(error).__name__}")
        return None
