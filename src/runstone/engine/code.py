"""Code identity: which code a block ran, part by part, so that a later reader can name the part that changed.

A function's part is a digest of its bytecode with names and constants: comments, white space and line numbers are not
in it, and no source file is needed. A part that cannot be resolved is "?": it equals nothing, not even itself.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

from runstone.engine.failures import clean
from runstone.engine.importing import file_of

UNRESOLVED = "?"


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


@functools.lru_cache(maxsize=4096)
def _of_function(function: Callable[..., Any]) -> tuple[tuple[str, str], ...]:
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
    text = repr(values)
    # a repr with an address is another one in the next process
    return UNRESOLVED if " at 0x" in text or len(text) > 100_000 else _digest(text.encode())


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
