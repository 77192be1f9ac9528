"""Functions of which every call is a tracked run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeVar

from runstone.engine.track import complaints, fingerprint
from runstone.engine.track.tracked import Called, Tracked, step_in, step_out

F = TypeVar("F", bound=Callable[..., Any])

Begun = Callable[[tuple[Any, ...], dict[str, Any]], Tracked]
"""Makes the run of a call with these arguments."""


def decorated(function: F, stage: Any, options: dict[str, Any]) -> F:
    """The same function; a run begins with every call. stage: None for its name.

    The run of a generator begins when it is first asked for a value, and ends when it has no more or is closed.
    """
    if inspect.isclass(function) or not callable(function):
        complaints.once("decorated", f"track cannot decorate {function!r}: only functions; it is left as it is")
        return function
    name = stage if stage is not None else getattr(function, "__name__", type(function).__name__)

    of_call = None
    if options.get("inputs") is None and options.get("input_fingerprint") is None:
        of_call = fingerprint.of_calls(function)

    def begun(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tracked:
        if of_call is None:
            return Called(name, "track", **options)
        return Called(name, "track", **{**options, "input_fingerprint": of_call(args, kwargs)})

    called: Any
    if inspect.isasyncgenfunction(function):
        called = _of_async_generator(function, begun)
    elif inspect.isgeneratorfunction(function):
        called = _of_generator(function, begun)
    elif inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def called(*args: Any, **kwargs: Any) -> Any:
            with begun(args, kwargs):
                return await function(*args, **kwargs)

    else:

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with begun(args, kwargs):
                return function(*args, **kwargs)

    wrapped: F = called
    return wrapped


def _of_generator(function: Callable[..., Any], begun: Begun) -> Callable[..., Any]:
    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with begun(args, kwargs) as run:
            # between two values its caller is somewhere else
            run.step_out()
            return (yield from _Stepped(function(*args, **kwargs), run))

    return called


class _Stepped:
    """A generator that is inside of its run only while it works, not while somebody has what it gave."""

    def __init__(self, inner: Generator[Any, Any, Any], run: Tracked) -> None:
        self._inner = inner
        self._run = run

    def __iter__(self) -> _Stepped:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        token = step_in(self._run)
        try:
            return self._inner.send(value)
        finally:
            step_out(token)

    def throw(self, *error: Any) -> Any:
        token = step_in(self._run)
        try:
            return self._inner.throw(*error)
        finally:
            step_out(token)

    def close(self) -> None:
        token = step_in(self._run)
        try:
            self._inner.close()
        finally:
            step_out(token)


def _of_async_generator(function: Callable[..., Any], begun: Begun) -> Callable[..., Any]:
    @functools.wraps(function)
    async def called(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner: AsyncGenerator[Any, Any] = function(*args, **kwargs)
        with begun(args, kwargs) as run:
            run.step_out()
            step, sent = inner.asend, None
            while True:
                token = step_in(run)
                try:
                    value = await step(sent)
                except StopAsyncIteration:
                    return
                finally:
                    step_out(token)
                try:
                    step, sent = inner.asend, (yield value)
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as error:
                    step, sent = inner.athrow, error

    return called
