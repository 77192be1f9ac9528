"""`block` makes a function part of a pipeline; the function stays callable as before."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, cast, get_args, get_origin, overload

from runstone.core.annotations import cannot_fit, hints_of, show
from runstone.core.graph import NO_DEFAULT, GraphBlock, Parameter, check_block
from runstone.core.mapspec import MapSpec, parse_mapspec
from runstone.core.settings import BlockSettings, Level, OnError, Settings, read_settings
from runstone.errors import PipelineError
from runstone.secrets.marks import by_annotation

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_NAME = 100
"""In bytes, since names of blocks and outputs become names of files."""


class Block(Generic[P, R]):
    """A function as a part of a pipeline. Calling it calls the function.

    name: of the block. outputs: the names of what it makes, in the order in which the function returns them.
    parameters: of the function, in the order of its signature. function: what is called; is_async: and awaited.
    """

    name: str
    function: Callable[P, R]
    outputs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    takes_extra: bool
    is_async: bool
    mapspec: MapSpec | None
    settings: Settings

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        output: str | Iterable[str] | None = None,
        mapspec: str | None = None,
        renames: Mapping[str, str] | None = None,
        settings: Settings | None = None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = _name(function, name)
        self.settings = settings or Settings()
        self.mapspec = _mapspec(self.name, mapspec)
        self.outputs = _outputs(self.name, output, self.mapspec)
        _check_plain(f"block {self.name!r}", function, may_await=True)
        self.is_async = _awaits(function)
        signature = _signature(self.name, function)
        hints = hints_of(function)
        names = _checked_renames(self.name, renames, signature)
        self.parameters = _parameters(self.name, signature, hints, names, by_annotation(function, hints))
        self.takes_extra = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
        self._graph_block = GraphBlock(
            name=self.name,
            outputs=self.outputs,
            parameters=self.parameters,
            takes_extra=self.takes_extra,
            mapspec=self.mapspec,
            on_error=self.settings.on_error or OnError.FAIL,
            missing=self.settings.missing,
            condition=_condition(self.name, self.settings.when, names),
            returns=_returns(self.name, self.outputs, hints.get("return", Any)),
        )
        check_block(self._graph_block)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, without a pipeline and without a record."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<block {self.name!r}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Travel as a reference where the other side can import it, like a function; else by value."""
        module = getattr(self, "__module__", None)
        path = getattr(self, "__qualname__", "")
        if module and module != "__main__" and _found_at(module, path) is self:
            return cast(str, path)
        return _rebuild, (self.function, self.__dict__)

    def graph_block(self) -> GraphBlock:
        """What the graph has to know of this block."""
        return self._graph_block


@overload
def block(
    function: Callable[P, R],
    *,
    name: str | None = ...,
    output: str | Iterable[str] | None = ...,
    mapspec: str | None = ...,
    renames: Mapping[str, str] | None = ...,
    **settings: Unpack[BlockSettings],
) -> Block[P, R]: ...


@overload
def block(
    function: None = None,
    *,
    name: str | None = ...,
    output: str | Iterable[str] | None = ...,
    mapspec: str | None = ...,
    renames: Mapping[str, str] | None = ...,
    **settings: Unpack[BlockSettings],
) -> Callable[[Callable[P, R]], Block[P, R]]: ...


def block(
    function: Callable[P, R] | None = None,
    *,
    name: str | None = None,
    output: str | Iterable[str] | None = None,
    mapspec: str | None = None,
    renames: Mapping[str, str] | None = None,
    **settings: Unpack[BlockSettings],
) -> Block[P, R] | Callable[[Callable[P, R]], Block[P, R]]:
    """Make a function a block of a pipeline; as `@block`, `@block(...)` or `block(function, ...)`.

    name: of the block; otherwise the function's.
    output: the name of what it makes, or several if the function returns a tuple; otherwise those of the mapspec,
        otherwise the name of the block.
    mapspec: over which arrays it is mapped, such as "x[i], y[j] -> z[i, j]".
    renames: the function's parameter -> its name in the pipeline.
    settings: retries, timeout, when, on_error ("fail", "continue"), missing ("drop", "keep"), executor, max_parallel,
        cache, version, tags. What is None or left out is taken from the run, then from the pipeline.

    Raises PipelineError (MapSpecError for the mapspec) or SettingError.
    """

    def decorate(function: Callable[P, R]) -> Block[P, R]:
        if isinstance(function, Block):
            raise PipelineError(
                f"{function.name!r} is a block already; for a second one use block({function.name}.function)"
            )
        if not callable(function):
            raise PipelineError(f"block() makes blocks of functions, not of {function!r}")
        checked = read_settings(Level.BLOCK, f"block {_name(function, name)!r}", settings)
        return Block(function, name=name, output=output, mapspec=mapspec, renames=renames, settings=checked)

    return decorate if function is None else decorate(function)


def _rebuild(function: Callable[..., Any], state: dict[str, Any]) -> Block[..., Any]:
    made: Block[..., Any] = Block.__new__(Block)
    made.__dict__.update(state)
    return made


def _found_at(module: str, path: str) -> object:
    found: object = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _name(function: Callable[..., Any], name: str | None) -> str:
    if name is not None:
        return _checked_name("the name of a block", name)
    own = getattr(function, "__name__", None)
    if not isinstance(own, str) or not own.isidentifier():
        what = "a lambda" if own == "<lambda>" else f"{type(function).__name__} objects"
        raise PipelineError(f"{what} cannot give a block its name; add name='...'")
    return _checked_name("the name of a block", own)


def _checked_name(what: str, name: object) -> str:
    """Names become parts of file names and of addresses, so only `name` and `scope.name` are let through."""
    if not isinstance(name, str):
        raise PipelineError(f"{what} is text, not {name!r}")
    parts = name.split(".")
    if len(parts) > 2 or not all(part.isidentifier() for part in parts):
        raise PipelineError(f"{name!r} cannot be {what}: write a name like a Python variable's, or scope.name")
    if len(name.encode()) > LONGEST_NAME:
        raise PipelineError(f"{name[:20] + '...'!r} cannot be {what}: it is longer than {LONGEST_NAME} bytes")
    return name


def _mapspec(owner: str, text: object) -> MapSpec | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise PipelineError(f"the mapspec of block {owner!r} is text such as 'x[i] -> y[i]', not {text!r}")
    return parse_mapspec(text)


def _outputs(owner: str, output: str | Iterable[str] | None, mapspec: MapSpec | None) -> tuple[str, ...]:
    if output is not None:
        names = (output,) if isinstance(output, str) else tuple(output)
    elif mapspec is not None:
        names = tuple(array.name for array in mapspec.outputs)
    else:
        names = (owner,)
    if not names:
        raise PipelineError(
            f"block {owner!r} has no output; a block that makes nothing useful still has one, often None"
        )
    return tuple(_checked_name(f"an output of block {owner!r}", name) for name in names)


def _awaits(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _check_plain(what: str, function: Callable[..., Any], *, may_await: bool = False) -> None:
    for called in (function, type(function).__call__):
        if inspect.isasyncgenfunction(called) or (inspect.iscoroutinefunction(called) and not may_await):
            raise PipelineError(f"{what} is an async {'generator' * may_await or 'function'}; make it a plain function")
        if inspect.isgeneratorfunction(called):
            raise PipelineError(f"{what} is a generator function; return a list instead of using yield")


def _signature(owner: str, function: Callable[..., Any]) -> inspect.Signature:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise PipelineError(
            f"block {owner!r}: {function!r} does not tell its parameters; wrap it in a function of your own"
        ) from None
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise PipelineError(f"block {owner!r} takes *{parameter.name}; in a pipeline every parameter has a name")
    return signature


def _checked_renames(owner: str, renames: Mapping[str, str] | None, signature: inspect.Signature) -> dict[str, str]:
    names = [name for name, parameter in signature.parameters.items() if parameter.kind is not parameter.VAR_KEYWORD]
    checked: dict[str, str] = {}
    for old, new in (renames or {}).items():
        if old not in names:
            from difflib import get_close_matches

            close = get_close_matches(str(old), names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(map(repr, names)) or 'none'}"
            raise PipelineError(f"block {owner!r} has no parameter {old!r} to rename; {hint}")
        checked[old] = _checked_name(f"the new name of {old!r} of block {owner!r}", new)
    return checked


def _parameters(
    owner: str,
    signature: inspect.Signature,
    hints: Mapping[str, Any],
    renames: Mapping[str, str],
    secrets: Collection[str],
) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(
            name=renames.get(name, name),
            python_name=name,
            keyword_only=parameter.kind is parameter.KEYWORD_ONLY,
            default=NO_DEFAULT if parameter.default is parameter.empty else parameter.default,
            annotation=hints.get(name, Any),
            secret=name in secrets,
        )
        for name, parameter in signature.parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    )


def _condition(owner: str, when: Callable[..., Any] | None, renames: Mapping[str, str]) -> tuple[Parameter, ...]:
    if when is None:
        return ()
    what = f"the condition of {owner}"
    _check_plain(f"the condition of block {owner!r}", when)
    signature = _signature(what, when)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
        raise PipelineError(f"the condition of block {owner!r} takes **kwargs; name what it decides by")
    hints = hints_of(when)
    return _parameters(what, signature, hints, renames, by_annotation(when, hints))


def _returns(owner: str, outputs: tuple[str, ...], annotation: Any) -> dict[str, Any]:
    if len(outputs) == 1:
        return {outputs[0]: annotation}
    if problem := cannot_fit(annotation, tuple):
        raise PipelineError(f"block {owner!r} has {len(outputs)} outputs, so it must return a tuple, but {problem}")
    parts = get_args(annotation)
    if get_origin(annotation) is not tuple or not parts:
        return dict.fromkeys(outputs, Any)
    if len(parts) == 2 and parts[1] is Ellipsis:
        return dict.fromkeys(outputs, parts[0])
    if len(parts) != len(outputs):
        raise PipelineError(f"block {owner!r} has {len(outputs)} outputs, but returns {show(annotation)}")
    return dict(zip(outputs, parts, strict=True))
