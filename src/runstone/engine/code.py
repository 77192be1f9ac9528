"""Code identity: which code a block ran, part by part, so that a later reader can name the part that changed.

A function's part is a digest of its bytecode with names and constants: comments, white space and line numbers are not
in it, and no source file is needed. A part that cannot be resolved is "?": it equals nothing, not even itself.
"""

from __future__ import annotations

import functools
import hashlib
import sys
import weakref
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

from runstone.engine.failures import clean
from runstone.engine.importing import file_of

UNRESOLVED = "?"

Parts = tuple[tuple[str, str], ...]

# Weak, for a function may hold large data in what it closes over.
_known: weakref.WeakKeyDictionary[Callable[..., Any], Parts] = weakref.WeakKeyDictionary()

_PLAIN = frozenset({bool, int, float, complex, str, bytes})
_ITEMS = 4096


def parts(function: Callable[..., Any], version: str | None) -> dict[str, str]:
    """The identity of a function: its own code, what it closes over, its defaults, and the Python it runs on."""
    if version is not None:
        return {"version": version}
    found = dict(_of_function(_inner(function)))
    found["python"] = f"{sys.version_info.major}.{sys.version_info.minor}"
    return found


def combined(identities: Mapping[str, Mapping[str, str]]) -> str | None:
    """One short digest for a whole pipeline, None as soon as a part is unresolved."""
    text = repr(sorted((block, sorted(identity.items())) for block, identity in identities.items()))
    if any(UNRESOLVED in identity.values() for identity in identities.values()):
        return None
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def loader(function: Callable[..., Any]) -> str | None:
    """Under which `module:name` or `path.py:name` the function is found again, None if it has no such name."""
    inner = _inner(function)
    module, name = getattr(inner, "__module__", None), getattr(inner, "__qualname__", "")
    if not module or not name or "<" in name:
        return None
    path = file_of(module)
    if path is not None:
        # a path that is no text cannot be written down
        return f"{path}:{name}" if clean(path) == path else None
    return None if module == "__main__" else f"{module}:{name}"


def _inner(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _of_function(function: Callable[..., Any]) -> Parts:
    try:
        known = _known.get(function)
        if known is None:
            known = _known[function] = _made_for(function)
        return known
    except TypeError:
        # callable objects may refuse to be hashed, or to be referred to weakly
        return _made_for(function)


def _made_for(function: Callable[..., Any]) -> Parts:
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return (("function", UNRESOLVED),)
    found = [("function", _of_code(code))]
    defaults = (getattr(function, "__defaults__", None), getattr(function, "__kwdefaults__", None))
    if any(defaults):
        found.append(("defaults", _of_values(defaults)))
    cells = getattr(function, "__closure__", None)
    if cells:
        found.append(("closure", _of_values(tuple(_cell(cell) for cell in cells))))
    return tuple(found)


def _cell(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return UNRESOLVED


def _of_values(values: object) -> str:
    """A digest of values whose repr says all about them, in every process alike; other values are unresolved."""
    try:
        return _digest(repr(values).encode(errors="backslashreplace")) if _is_plain(values, _ITEMS) else UNRESOLVED
    except ValueError:
        # a number too long to be written
        return UNRESOLVED


def _is_plain(value: Any, room: int) -> bool:
    kind = type(value)
    if kind in (list, tuple, dict):
        items = (*value.keys(), *value.values()) if kind is dict else value
        return len(items) <= room and all(_is_plain(item, room // 4) for item in items)
    return value is None or kind in _PLAIN


def _of_code(code: CodeType) -> str:
    """A digest of the bytecode: comments, white space and positions are not in it, the names and constants are."""
    digest = hashlib.sha256()
    stack = [code]
    while stack:
        one = stack.pop()
        digest.update(repr((one.co_code, one.co_names, one.co_varnames, one.co_freevars, one.co_flags)).encode())
        for constant in one.co_consts:
            if isinstance(constant, CodeType):
                stack.append(constant)
            else:
                text = repr(sorted(constant, key=repr)) if isinstance(constant, frozenset) else repr(constant)
                digest.update(f"{type(constant).__name__}:{text}".encode())
    return digest.hexdigest()[:16]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
