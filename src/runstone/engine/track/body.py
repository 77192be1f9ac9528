"""The code inside of a `with` statement, as something whose identity can be told, and the variables that it reads.

The statement is found in the source of the frame that is inside of it. Source that is not what the frame executes, as
of a file that was changed since, is not believed.
"""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Iterator, Mapping
from types import CodeType, FrameType, FunctionType
from typing import Any

import msgspec

from runstone.engine.identity_modules import shown_name
from runstone.engine.track.reads import read_first

_With = ast.With | ast.AsyncWith


class Body(msgspec.Struct, frozen=True):
    """function: has the code of the body, and is never called. variables: those around it that the body reads, and its
    code alone does not tell. given: of those that hold an input instead, the names of that input. name: of what it
    stands in, with its module."""

    function: FunctionType
    variables: dict[str, Any]
    given: dict[str, list[str]]
    name: str


def of(frame: FrameType, run: object, inputs: Mapping[str, Any]) -> Body | None:
    """The body of the `with` statement of a run that a frame is in; None if it cannot be found.

    inputs: of the run, by name; of variables that hold one of these is told which.
    """
    statement = _statement(frame, run)
    if statement is None:
        return None
    here = frame.f_locals
    is_module = here is frame.f_globals
    holders: dict[int, list[str]] = {id(run): []}
    for name, value in inputs.items():
        holders.setdefault(id(value), []).append(name)
    # what it reads of its surroundings; names that are not there are built in, or wrong
    read = {name for name in read_first(statement.body) if name in here}
    hidden = {name for name in read if id(here[name]) in holders}
    # at the top of a module the code itself finds what it reads, but for what it also binds
    own = read & _assigned(statement.body) if is_module else read
    code = _compiled(statement, sorted(hidden | own), is_async=_is_async(frame.f_code))
    if code is None:
        return None
    name = f"{shown_name(str(frame.f_globals.get('__name__', '')))}.{frame.f_code.co_qualname}"
    return Body(
        function=FunctionType(code, frame.f_globals),
        variables={each: here[each] for each in sorted(own - hidden)},
        # of small numbers, True or None the same object may be several inputs, and now one of them, now another
        given={each: held for each in sorted(hidden) if (held := holders[id(here[each])])},
        name=name,
    )


def _statement(frame: FrameType, run: object) -> _With | None:
    at = frame.f_lineno
    names: Mapping[str, Any] = frame.f_locals
    found = None
    for node in _statements(frame):
        if node.lineno <= at <= (node.end_lineno or 0):
            for item in node.items:
                target = item.optional_vars or item.context_expr
                if isinstance(target, ast.Name) and names.get(target.id, frame.f_globals.get(target.id)) is run:
                    # of several inside of each other, the innermost
                    found = node
    return found


def _statements(frame: FrameType) -> list[_With]:
    """All statements `with` in the source of what a frame executes; none if that is not to be had."""
    code = frame.f_code
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename, frame.f_globals))
    known = _parsed(text, code.co_filename)
    return known[0] if known is not None and code in known[1] else []


@functools.lru_cache(maxsize=16)
def _parsed(text: str, name: str) -> tuple[list[_With], frozenset[CodeType]] | None:
    try:
        statements = [node for node in ast.walk(ast.parse(text, name)) if isinstance(node, _With)]
        return statements, frozenset(_codes(compile(text, name, "exec", dont_inherit=True)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _is_async(code: CodeType) -> bool:
    return bool(code.co_flags & (0x80 | 0x200))


def _compiled(statement: _With, parameters: list[str], *, is_async: bool) -> CodeType | None:
    kind = ast.AsyncFunctionDef if is_async else ast.FunctionDef
    # in a loop, as the statement may say `continue`
    loop = ast.While(test=ast.Constant(value=True), body=statement.body, orelse=[])
    arguments = ast.arguments(
        posonlyargs=[], args=[ast.arg(arg=name) for name in parameters], kwonlyargs=[], kw_defaults=[], defaults=[]
    )
    made = kind(name="body", args=arguments, body=[loop], decorator_list=[], type_params=[])  # type: ignore[call-arg]
    tree = ast.fix_missing_locations(ast.Module(body=[made], type_ignores=[]))
    try:
        whole = compile(tree, "<with>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, TypeError, RecursionError):
        return None
    return next((each for each in whole.co_consts if isinstance(each, CodeType)), None)


def _assigned(body: list[ast.stmt]) -> set[str]:
    """The names that the body binds itself; what it does with them follows from the rest."""
    found: set[str] = set()
    for node in (each for part in body for each in ast.walk(part)):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
    return found
