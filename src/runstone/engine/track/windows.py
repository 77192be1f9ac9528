"""A tracked run for each of many pieces of work."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from runstone.engine.track import complaints
from runstone.engine.track.tracked import Called, Tracked
from runstone.folder.preview import type_name

if TYPE_CHECKING:
    from runstone.engine.track.cached import Process


def runs(items: Iterable[Any], options: dict[str, Any], kind: type[Tracked] = Tracked) -> Iterator[Tracked]:
    """A run `window_<n>` for each item, n from 0 on, in their order; none has begun. Items are asked for one by one.

    The item is the input of its run, unless the options say what is.
    """
    for number, item in enumerate(items):
        run = kind(f"window_{number}", "track.windows", **{"rows_in": length(item), "inputs": item, **options})
        run.item = item
        yield run


def processed(items: Iterable[Any], process: Callable[[Any], Any], options: dict[str, Any]) -> Any:
    """What `process` returns for each item; a list, or of a coroutine function something to await that gives one."""
    if inspect.iscoroutinefunction(process) or inspect.iscoroutinefunction(type(process).__call__):
        return _processed_async(items, process, options)
    if _is_cached(options):
        return _cached(process, options).processed(runs(items, _others(options), Called))
    results = []
    for run in runs(items, _others(options), Called):
        with run:
            results.append(process(run.item))
    return results


def _others(options: dict[str, Any]) -> dict[str, Any]:
    """The options that are about each run."""
    return {name: value for name, value in options.items() if name != "cache"} if "cache" in options else options


def _is_cached(options: dict[str, Any]) -> bool:
    """What `cache=` says; False, and a warning, if it says neither True nor False."""
    value = options.get("cache")
    if value is None or isinstance(value, bool):
        return bool(value)
    # other things may raise when they are shown
    said = repr(value) if type(value) in (str, int, float) else f"<a {type_name(value)}>"
    complaints.once("cache option", f"track.windows(cache={said[:60]}) caches nothing: write True or False")
    return False


def _cached(process: Callable[[Any], Any], options: dict[str, Any]) -> Process:
    # loaded by those who keep results
    from runstone.engine.track.cached import Process

    return Process(process, _others(options))


async def _processed_async(
    items: Iterable[Any], process: Callable[[Any], Awaitable[Any]], options: dict[str, Any]
) -> list[Any]:
    if _is_cached(options):
        return await _cached(process, options).processed_async(runs(items, _others(options), Called))
    results = []
    for run in runs(items, _others(options), Called):
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
