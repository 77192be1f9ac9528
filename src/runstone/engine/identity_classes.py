"""What a class says of itself: its bases, its fields, and all its methods and attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any

from runstone.engine.identity_modules import Owner, owner_of_function
from runstone.engine.identity_values import is_a, wrapped

if TYPE_CHECKING:
    from runstone.engine.identity_walk import Survey

_LEFT_OUT = frozenset(
    {
        "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__",
        "__annotate__", "__annotate_func__", "__annotations_cache__", "__dataclass_fields__", "__dataclass_params__",
        "__parameters__", "__orig_bases__", "__abstractmethods__", "__hash__", "_abc_impl", "__annotations__",
        "__protocol_attrs__", "__non_callable_proto_members__", "__slotnames__",
    }
)  # fmt: skip
"""Attributes of classes that say nothing, or nothing that others do not say."""


def class_text(survey: Survey, kind: type) -> str:
    """All about a class but what its methods name, which becomes other parts. Raises Unresolved."""
    told = [f"({', '.join(str(survey.refer(base)) for base in kind.__bases__)})", str(survey.refer(type(kind)))]
    notes = vars(kind).get("__annotations__")
    if isinstance(notes, dict):
        told.append(", ".join(f"{name}: {_annotation(note)}" for name, note in notes.items()))
    for name, value in sorted(_attributes(kind), key=lambda item: item[0]):
        told.append(f"{name} = {_attribute_text(survey, value, kind)}")
    return "; ".join(told)


def _attribute_text(survey: Survey, value: Any, kind: type) -> str:
    """A method belongs to its class, and has no part of its own. Raises Unresolved."""
    if is_a(value, FunctionType) and value.__module__ == kind.__module__ and wrapped(value) is None:
        return survey.function_text(value)
    if is_a(value, FunctionType) and wrapped(value) is None and owner_of_function(value) is Owner.STANDARD:
        # made by the standard library out of what else is in the class
        return str(value.__qualname__)
    if type(value) in (staticmethod, classmethod):
        return f"{type(value).__name__} {_attribute_text(survey, value.__func__, kind)}"
    if type(value) is property:
        made = (value.fget, value.fset, value.fdel)
        return "property " + ", ".join("" if each is None else _attribute_text(survey, each, kind) for each in made)
    return survey.texts.text(value)


def _annotation(note: Any) -> str:
    if isinstance(note, type):
        return f"{note.__module__}.{note.__qualname__}"
    return note if isinstance(note, str) else repr(note)


def _attributes(kind: type) -> Iterator[tuple[str, Any]]:
    members = getattr(kind, "__members__", None)
    if isinstance(members, Mapping):
        # an enum: its members, and none of what it keeps about them
        yield from ((name, member.value) for name, member in members.items())
    for name, value in vars(kind).items():
        if name in _LEFT_OUT or name.startswith("_abc_"):
            continue
        if isinstance(members, Mapping) and (name in members or not is_a(value, (FunctionType, property))):
            continue
        yield name, value
