"""Code identity: which code a block ran, part by part, so that a later reader can name the part that changed.

`function`, `defaults`, `closure`   of the block's own function; `bound` and `self` where it is a partial or a method
`condition`                         its `when` function
`calls:`, `class:`, `constant:`     what these name in the project, and what that names in turn
`module:`                           what they import while they run, whole
`package:`                          an installed package they use: its version
`python`                            3.11, say

A function's part is a digest of its bytecode with names and constants: comments, white space, docstrings and line
numbers are not in it, and no source file is needed. A part that cannot be resolved is "?": it equals nothing, not even
itself. Everything is looked up again for every run, so that a function that was defined anew in a notebook counts; only
what the bytecode of a function says is kept, as long as the function has that bytecode.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Callable, Mapping
from types import FunctionType, MethodType
from typing import Any

from runstone.engine.failures import clean
from runstone.engine.identity_modules import Owner, owner_of_function, shown_name
from runstone.engine.identity_values import wrapped
from runstone.engine.identity_walk import UNRESOLVED, Survey, digest, scanned
from runstone.engine.importing import file_of

PARTS_KEPT = 120
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def parts(
    function: Callable[..., Any],
    version: str | None,
    condition: Callable[..., Any] | None = None,
    survey: Survey | None = None,
) -> dict[str, str]:
    """The identity of a block's code.

    version: what its user says stands for all of the function; condition: its `when`. survey: shared by the blocks of a
    pipeline, for one look at it.
    """
    if version is None and condition is None and isinstance(function, FunctionType):
        alone = _alone(function)
        if alone is not None:
            return {"function": alone, "python": PYTHON}
    survey = survey or Survey()

    def own() -> dict[str, str]:
        found = {"version": version} if version is not None else _of_function(survey, function)
        if condition is not None:
            found["condition"] = survey.told(lambda value: survey.texts.text(value), condition)
        return found

    return _gathered(survey.parts(own))


def _alone(function: FunctionType) -> str | None:
    """The one part of a function that reaches for nothing outside of itself; None for all others."""
    if function.__defaults__ or function.__kwdefaults__ or function.__closure__ or function.__dict__:
        return None
    found = scanned(function, function.__code__)
    return None if found.reaches or found.imports else digest(found.digest)


def _of_function(survey: Survey, function: Any) -> dict[str, str]:
    """The parts of the block's own function, unwrapped of what makes no difference to what it computes."""

    def text(value: Any) -> str:
        return survey.texts.text(value)

    found = {"python": PYTHON}
    bound: list[object] = []
    while True:
        if isinstance(function, functools.partial):
            bound.append((function.args, function.keywords))
            function = function.func
        elif isinstance(function, MethodType):
            found["self"] = survey.told(text, function.__self__)
            function = function.__func__
        elif _is_foreign_wrapper(function):
            if isinstance(function, FunctionType):
                found["wrapper"] = survey.told(survey.function_text, function)
            function = wrapped(function)
        else:
            break
    if bound:
        found["bound"] = survey.told(text, bound)
    if not isinstance(function, FunctionType):
        # an object with `__call__`, or a function written in C
        return {**found, "function": survey.told(text, function)}
    found["function"] = survey.told(survey.code_text, function)
    if function.__defaults__ or function.__kwdefaults__:
        found["defaults"] = survey.told(survey.defaults_text, function)
    if function.__closure__:
        found["closure"] = survey.told(survey.closure_text, function)
    return found


def _is_foreign_wrapper(function: Any) -> bool:
    """Whether it is somebody else's wrapper around a function: a cache, say, or a library's decorator."""
    if wrapped(function) is None:
        return False
    if not isinstance(function, FunctionType):
        return True
    return owner_of_function(function) is not Owner.PROJECT


def _gathered(found: dict[str, str]) -> dict[str, str]:
    """The parts as they are kept: beyond a number that fits into `run.json`, those of the smallest interest as one."""
    kept = {clean(name): told for name, told in sorted(found.items(), key=_interest)[:PARTS_KEPT]}
    others = sorted(item for item in found.items() if clean(item[0]) not in kept)
    if others:
        unresolved = any(told == UNRESOLVED for _, told in others)
        kept["others"] = UNRESOLVED if unresolved else hashlib.sha256(repr(others).encode()).hexdigest()[:16]
    return kept


def _interest(part: tuple[str, str]) -> tuple[bool, bool, str]:
    name, told = part
    return (":" in name, not name.startswith("package:") and told != UNRESOLVED, name)


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


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function with that of its module, the same however its script was started."""
    inner = _inner(function)
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    return clean(f"{shown_name(str(getattr(inner, '__module__', '')))}.{name}")


def _inner(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, functools.partial):
        function = function.func
    return function
