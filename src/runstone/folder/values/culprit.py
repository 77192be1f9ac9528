"""Find which part of a value is the one that cannot be stored."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType
from typing import Any, cast

# Enough for any honest value; a bound, because each try pickles a part.
_MAX_TRIES = 20_000
_MAX_DEPTH = 50


def find_culprit(value: object, refusal: Callable[[object], Exception | None]) -> tuple[str, object, Exception | None]:
    """Lead to the innermost part that is refused.

    refusal: gives the error if this part alone cannot be stored, else None.
    Returns the path from the value to the part, as Python would write it (`['client'].lock`; "" is the value itself;
    a key of a dict and an element of a set, which no expression leads to, are <key> and <element>), the part, and
    its refusal.
    Looks into built-in containers, arrays and DataFrames of objects, functions' closures, and objects' attributes or
    what their __getstate__ gives.
    """
    path, part, error = "", value, refusal(value)
    tries = _MAX_TRIES
    seen = {id(value)}
    for _ in range(_MAX_DEPTH):
        for step, child in _children(part):
            if id(child) in seen:
                continue
            tries -= 1
            if tries < 0:
                return path, part, error
            if (refused := refusal(child)) is not None:
                seen.add(id(child))
                path, part, error = path + step, child, refused
                break
        else:
            return path, part, error
    return path, part, error


def _children(value: object) -> Iterator[tuple[str, object]]:
    kind = type(value)
    if issubclass(kind, dict):
        mapping = cast("dict[object, object]", value)
        yield from ((f"[{_shown(key)}]", item) for key, item in dict.items(mapping))
        yield from (("<key>", key) for key in dict.keys(mapping))
    elif issubclass(kind, list | tuple | deque):
        yield from ((f"[{index}]", item) for index, item in enumerate(cast("list[object]", value)))
    elif issubclass(kind, set | frozenset):
        yield from (("<element>", item) for item in cast("set[object]", value))
    elif kind is FunctionType:
        function = cast("FunctionType", value)
        for index, cell in enumerate(function.__closure__ or ()):
            yield f".__closure__[{index}].cell_contents", _contents(cell)
        for index, default in enumerate(function.__defaults__ or ()):
            yield f".__defaults__[{index}]", default
    elif kind is MethodType:
        yield ".__self__", cast("MethodType", value).__self__
    elif (numpy := sys.modules.get("numpy")) is not None and kind is getattr(numpy, "ndarray", None):
        yield from _array_items(cast("Any", value))
    elif (pandas := sys.modules.get("pandas")) is not None and kind is getattr(pandas, "DataFrame", None):
        yield from _cells_of(cast("Any", value))
    if kind not in (dict, list, tuple, set, frozenset):
        yield from _attributes(value)


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    try:
        state = value.__getstate__()
    except Exception:
        state = getattr(value, "__dict__", None)
    # The default state of an object with slots is (its __dict__ or None, its slots).
    parts = state if type(state) is tuple and all(part is None or type(part) is dict for part in state) else (state,)
    for part in parts:
        if type(part) is dict:
            for name, item in part.items():
                yield (f".{name}" if type(name) is str and name.isidentifier() else f"[{_shown(name)}]"), item
        elif part is not None:
            yield ".__getstate__()", part


def _array_items(array: Any) -> Iterator[tuple[str, object]]:
    if array.dtype.hasobject:
        flat = array.reshape(-1)
        for index in range(array.size):
            place = sys.modules["numpy"].unravel_index(index, array.shape)
            yield f"[{', '.join(map(str, map(int, place)))}]", flat[index]


def _cells_of(frame: Any) -> Iterator[tuple[str, object]]:
    for column, (name, dtype) in enumerate(zip(frame.columns, frame.dtypes, strict=True)):
        if getattr(dtype, "kind", "") == "O":
            for row, item in enumerate(frame.iloc[:, column]):
                yield f"[{_shown(name)}].iloc[{row}]", item


def _contents(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        # A variable that has not been assigned yet.
        return None


def _shown(key: object) -> str:
    if type(key) in (str, int, float, bool, bytes, type(None)):
        shown = repr(key)
        return shown if len(shown) <= 60 else shown[:57] + "..."
    return f"<{type(key).__name__}>"
