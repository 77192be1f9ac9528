"""Whether a value annotated so can go where another annotation is asked for.

Only what is certain counts: whatever cannot be resolved or decided fits.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import types
import typing
from typing import Any

_CONTAINERS = (
    list,
    set,
    frozenset,
    collections.abc.Iterable,
    collections.abc.Collection,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Set,
)
"""Generics whose one argument is the type of what they hold."""

_NOT_SEQUENCES = (int, float, complex, bool, str, bytes, bytearray, dict, set, frozenset, type(None))

_WIDER = {int: (float, complex), float: (complex,), bool: (float, complex)}
"""Numbers that Python's type system lets through without inheritance. Source: PEP 484, the numeric tower."""


def cannot_fit(produced: Any, consumed: Any) -> str | None:
    """Why no value of one annotation can be taken where the other is asked for, or None if it may."""
    made, asked = _members(produced), _members(consumed)
    if any(_may_fit(one, other) for one in made for other in asked):
        return None
    return f"{show(produced)} is not {show(consumed)}"


def cannot_reduce(element: Any, axes: int, consumed: Any) -> str | None:
    """Why a list of such elements, nested once for each axis (or an array), does not fit, or None if it may."""
    if wants_array(consumed):
        return None
    whole = list_annotation(element, axes)
    if cannot_fit(whole, consumed) is None:
        return None
    return f"it receives all elements together, {show(whole)}, which is not {show(consumed)}"


def element_annotation(produced: Any, axes: int) -> tuple[Any, str | None]:
    """What is left of an annotation after taking an element along so many axes; and why that cannot be done."""
    current = produced
    for _ in range(axes):
        members = _members(current)
        if all(isinstance(member, type) and issubclass(member, _NOT_SEQUENCES) for member in map(_class_of, members)):
            return Any, f"{show(current)} has no elements to map over; return a list, a tuple or an array"
        if len(members) != 1:
            return Any, None
        current = _element(members[0])
    return current, None


def list_annotation(element: Any, axes: int) -> Any:
    """The annotation of lists nested once for each axis."""
    for _ in range(axes):
        element = types.GenericAlias(list, (element,))
    return element


def wants_array(annotation: Any) -> bool:
    """Whether a parameter asks for a numpy array; numpy is not imported to find out."""
    return any(_is_array(member) for member in _members(annotation))


def wants_list(annotation: Any) -> bool:
    """Whether a parameter asks for a list, and for nothing else."""
    return all(_class_of(member) in (list, type(None)) for member in _members(annotation))


def hints_of(function: Any, *, extras: bool = False) -> dict[str, Any]:
    """The annotations of whatever can be called, resolved as far as possible; what cannot be resolved stays text.

    extras: leave `Annotated[...]` as it is; otherwise only the type is left of it.
    """
    if isinstance(function, functools.partial):
        return hints_of(function.func, extras=extras)
    if isinstance(function, type):
        return hints_of(function.__init__, extras=extras) | {"return": function}  # type: ignore[misc]
    if not hasattr(function, "__annotations__") and isinstance(type(function).__call__, types.FunctionType):
        return hints_of(type(function).__call__, extras=extras)
    # One by one: a single name that exists for type checkers only would make all of them fail.
    annotations = getattr(function, "__annotations__", {})
    names = getattr(inspect.unwrap(function), "__globals__", {})
    return {name: _resolved(name, annotation, names, extras=extras) for name, annotation in annotations.items()}


def show(annotation: Any) -> str:
    """An annotation as a user would write it."""
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return "None" if annotation is type(None) else annotation.__qualname__
    return annotation if isinstance(annotation, str) else str(annotation).replace("typing.", "")


def _resolved(name: str, annotation: Any, names: dict[str, Any], *, extras: bool) -> Any:
    alone = types.SimpleNamespace(__annotations__={name: annotation})
    try:
        return typing.get_type_hints(alone, names, include_extras=extras)[name]
    except Exception:
        # Resolving runs what the user wrote there, so anything can come out of it.
        return annotation


def _members(annotation: Any) -> tuple[Any, ...]:
    """The possibilities of an annotation, with everything that only wraps a type taken off."""
    if annotation is None:
        return (type(None),)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _members(annotation.__origin__)
    if origin is typing.Union or origin is types.UnionType:
        return tuple(member for part in typing.get_args(annotation) for member in _members(part))
    if origin is typing.Literal:
        return tuple(dict.fromkeys(type(value) for value in typing.get_args(annotation)))
    if isinstance(annotation, typing.NewType):
        return _members(annotation.__supertype__)
    if hasattr(annotation, "__value__"):
        return _members(annotation.__value__)
    if typing.is_typeddict(annotation):
        return (dict,)
    return (annotation,)


def _class_of(annotation: Any) -> Any:
    return typing.get_origin(annotation) or annotation


def _may_fit(produced: Any, consumed: Any) -> bool:
    made, asked = _class_of(produced), _class_of(consumed)
    if not isinstance(made, type) or not isinstance(asked, type):
        return True
    if Any in (made, asked) or object in (made, asked) or _is_protocol(made) or _is_protocol(asked):
        return True
    if asked in _WIDER.get(made, ()):
        return True
    if _is_numpy_scalar(made) or _is_numpy_scalar(asked):
        return True
    try:
        if not issubclass(made, asked) and not issubclass(asked, made):
            return _may_have_common_subclass(made, asked)
    except TypeError:
        return True
    return _arguments_may_fit(made, typing.get_args(produced), asked, typing.get_args(consumed))


def _may_have_common_subclass(one: type, other: type) -> bool:
    """An abstract class may be joined to a user's class by a subclass of both; to a built-in nobody does that."""
    abstract_one, abstract_other = _is_abstract(one), _is_abstract(other)
    if abstract_one and abstract_other:
        return True
    if abstract_one or abstract_other:
        concrete = other if abstract_one else one
        return concrete.__module__ != "builtins"
    return False


def _arguments_may_fit(made: type, produced: tuple[Any, ...], asked: type, consumed: tuple[Any, ...]) -> bool:
    if not produced or not consumed:
        return True
    if made is tuple and asked is tuple:
        if Ellipsis not in produced and Ellipsis not in consumed:
            return len(produced) == len(consumed) and all(
                cannot_fit(one, other) is None for one, other in zip(produced, consumed, strict=True)
            )
        return all(
            cannot_fit(one, other) is None
            for one in produced
            for other in consumed
            if one is not Ellipsis and other is not Ellipsis
        )
    if made in _CONTAINERS and asked in _CONTAINERS:
        return cannot_fit(produced[0], consumed[0]) is None
    if made is dict and asked in (dict, collections.abc.Mapping, collections.abc.MutableMapping):
        return all(cannot_fit(one, other) is None for one, other in zip(produced, consumed, strict=False))
    return True


def _element(annotation: Any) -> Any:
    arguments = typing.get_args(annotation)
    origin = _class_of(annotation)
    if origin is tuple and arguments:
        known = tuple(argument for argument in arguments if argument is not Ellipsis)
        return typing.Union[known]  # noqa: UP007 - a union of as many members as there happen to be
    if origin in _CONTAINERS and arguments:
        return arguments[0]
    return Any


def _is_array(annotation: Any) -> bool:
    if isinstance(annotation, str):
        head = annotation.strip().partition("[")[0].rpartition(".")[2]
        return head in ("ndarray", "NDArray")
    origin = _class_of(annotation)
    return getattr(origin, "__name__", "") == "ndarray" and getattr(origin, "__module__", "") == "numpy"


def _is_numpy_scalar(kind: type) -> bool:
    return kind.__module__ == "numpy" and any(base.__name__ == "generic" for base in kind.__mro__)


def _is_protocol(kind: type) -> bool:
    return bool(getattr(kind, "_is_protocol", False)) and kind.__module__ != "collections.abc"


def _is_abstract(kind: type) -> bool:
    return bool(getattr(kind, "__abstractmethods__", ()))
