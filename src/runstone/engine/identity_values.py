"""Values as text that is the same in every process: what constants, defaults and closures say of a function."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from types import (
    BuiltinFunctionType,
    GenericAlias,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    UnionType,
    WrapperDescriptorType,
)
from typing import Any

from runstone.engine.identity_modules import Owner, owner, owner_of_module

TEXT_LIMIT = 1024 * 1024
ITEMS_LIMIT = 10_000
DEPTH_LIMIT = 20
"""What is larger or deeper counts as unresolved: it would be written out again at every run."""

_PLAIN = frozenset({bool, int, float, complex, type(None), type(Ellipsis), type(NotImplemented), range})
_BY_REPR = frozenset(
    {
        "datetime.datetime", "datetime.date", "datetime.time", "datetime.timedelta", "datetime.timezone",
        "zoneinfo.ZoneInfo", "decimal.Decimal", "fractions.Fraction", "uuid.UUID", "builtins.slice",
        "ipaddress.IPv4Address", "ipaddress.IPv6Address",
    }
)  # fmt: skip
_IDLE = frozenset(
    {
        "logging.Logger", "logging.RootLogger", "_thread.lock", "_thread.RLock", "threading.Event",
        "threading.Condition", "threading.Semaphore", "threading.BoundedSemaphore",
    }
)  # fmt: skip
"""Types of what no result comes from."""
_DESCRIPTORS = (GetSetDescriptorType, MemberDescriptorType, MethodDescriptorType, WrapperDescriptorType)

_FIELDS = frozenset({"collections._tuplegetter", "_collections._tuplegetter"})
_CONTAINERS: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "collections.OrderedDict": lambda value: (list(value.items()),),
    "collections.Counter": lambda value: (dict(value),),
    "collections.defaultdict": lambda value: (value.default_factory, dict(value)),
    "collections.deque": lambda value: (value.maxlen, list(value)),
    "functools.partialmethod": lambda value: (value.func, value.args, value.keywords),
    "functools.singledispatchmethod": lambda value: tuple(value.dispatcher.registry.items()),
}
"""What says all about values of types that are no plain containers."""

_HEAP_TYPE = 1 << 9
"""The flag of classes that were made by a class statement; see Py_TPFLAGS_HEAPTYPE."""

Refer = Callable[[Any], str | None]
"""Names a function or a class, and sees to it that it gets a part of its own; None for what is neither."""


class Unresolved(Exception):
    """Nothing that is the same in every process can be said of this value."""


class Texts:
    """Writes values; one for each walk through a block's code, since it also says when that becomes too much."""

    def __init__(self, refer: Refer) -> None:
        self._refer = refer
        self._items = ITEMS_LIMIT
        self._letters = TEXT_LIMIT

    def text(self, value: Any, depth: int = DEPTH_LIMIT) -> str:
        """A value as text. Raises Unresolved."""
        self._items -= 1
        if depth <= 0 or self._items <= 0:
            raise Unresolved
        kind = type(value)
        if kind in _PLAIN:
            return self._bounded(repr(value))
        if kind in (str, bytes, bytearray):
            self._spend(len(value))
            return repr(value)
        if kind in (list, tuple):
            return f"{kind.__name__}({', '.join([self.text(item, depth - 1) for item in value])})"
        if kind in (set, frozenset):
            return f"{kind.__name__}({', '.join(sorted(self.text(item, depth - 1) for item in value))})"
        if kind in (dict, MappingProxyType):
            items = [f"{self.text(key, depth - 1)}: {self.text(item, depth - 1)}" for key, item in value.items()]
            return f"dict({', '.join(items)})"
        return self._other(value, kind, depth)

    def _other(self, value: Any, kind: type, depth: int) -> str:
        full = f"{kind.__module__}.{kind.__qualname__}"
        if full in _BY_REPR:
            return self._bounded(repr(value))
        if full == "runstone.secrets.secret.Secret":
            return self._secret(value)
        if is_idle(value) or is_a(value, _DESCRIPTORS) or full in _FIELDS:
            return full
        if full in _CONTAINERS:
            if hasattr(kind, "__len__") and len(value) > self._items:
                # before all of it is copied
                raise Unresolved
            return f"{full}({self._several(depth, *_CONTAINERS[full](value))})"
        if full == "re.Pattern":
            return f"re.Pattern({value.pattern!r}, {value.flags})"
        if is_a(value, ModuleType):
            return f"module {value.__name__}"
        if kind is functools.partial:
            return f"partial({self.text(value.func, depth - 1)}, {self._several(depth, value.args, value.keywords)})"
        if kind is MethodType:
            return f"method({self._several(depth, value.__func__, value.__self__)})"
        if kind in (staticmethod, classmethod):
            return f"{kind.__name__}({self.text(value.__func__, depth - 1)})"
        if kind is property:
            return f"property({self._several(depth, value.fget, value.fset, value.fdel)})"
        if full == "functools.cached_property":
            return f"cached_property({self.text(value.func, depth - 1)})"
        named = self._refer(value)
        if named is not None:
            return named
        if kind is BuiltinFunctionType:
            return self._builtin(value, depth)
        if kind in (GenericAlias, UnionType) or kind.__module__ == "typing":
            return self._bounded(repr(value))
        if kind.__module__ == "numpy" and (found := self._array(value)) is not None:
            return found
        singleton = _name_in_module(value, kind)
        if singleton is not None:
            return singleton
        return self._instance(value, kind, full, depth)

    def _secret(self, value: Any) -> str:
        # a digest of the text itself would let others try guesses on it
        if value.reference is None:
            raise Unresolved
        return f"secret {value.reference}"

    def _several(self, depth: int, *values: Any) -> str:
        return ", ".join([self.text(value, depth - 1) for value in values])

    def _builtin(self, value: Any, depth: int) -> str:
        bound = value.__self__
        if bound is None or is_a(bound, ModuleType):
            return f"{value.__module__}.{value.__qualname__}"
        return f"{self.text(bound, depth - 1)}.{value.__name__}"

    def _array(self, value: Any) -> str | None:
        dtype = getattr(value, "dtype", None)
        if dtype is None or not hasattr(value, "tobytes") or dtype.hasobject:
            return None
        self._spend(value.nbytes)
        return f"numpy({dtype.str}, {getattr(value, 'shape', ())}, {value.tobytes()!r})"

    def _instance(self, value: Any, kind: type, full: str, depth: int) -> str:
        enum = sys.modules.get("enum")
        if enum is not None and is_a(value, enum.Enum):
            return f"{self._refer(kind) or full}.{value.name}"
        pathlib = sys.modules.get("pathlib")
        if pathlib is not None and is_a(value, pathlib.PurePath):
            return f"{full}({str(value)!r})"
        if owner_of_class(kind) is not Owner.PROJECT:
            raise Unresolved
        named = self._refer(kind)
        state = dict(_state(value, kind))
        return f"{named} {self.text(state, depth - 1)}"

    def _bounded(self, text: str) -> str:
        self._spend(len(text))
        return text

    def _spend(self, letters: int) -> None:
        self._letters -= letters
        if self._letters < 0:
            raise Unresolved


def is_a(value: Any, kinds: type | tuple[type, ...]) -> bool:
    """`isinstance` that asks the value nothing: a proxy may be bound to nothing, and say so by raising."""
    return issubclass(type(value), kinds)


def is_idle(value: Any) -> bool:
    """Whether it is a logger or a lock, which make no difference to what is computed."""
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}" in _IDLE


def wrapped(value: Any) -> Any:
    """The function that a wrapper says it wraps, None if it is none. No code of the value's own is asked."""
    inner = held(value).get("__wrapped__")
    return inner if inner is not value and callable(inner) else None


def held(value: Any) -> Mapping[str, Any]:
    """The attributes an object holds itself. No code of its own is asked."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except (AttributeError, TypeError):
        return {}
    return found if isinstance(found, Mapping) else {}


def owner_of_class(kind: type) -> Owner:
    """Whose class it is."""
    module = sys.modules.get(kind.__module__)
    if module is None:
        return owner(kind.__module__, None)
    return owner_of_module(module)


def _state(value: Any, kind: type) -> Iterator[tuple[str, Any]]:
    """What an instance holds. Raises Unresolved for one that holds it where nobody can look."""
    held = getattr(value, "__dict__", None)
    slots = [name for each in kind.__mro__ for name in _names(vars(each).get("__slots__", ()))]
    if held is None and not slots:
        raise Unresolved
    if _is_native(kind):
        raise Unresolved
    yield from (held or {}).items()
    for name in slots:
        if name not in ("__dict__", "__weakref__") and hasattr(value, name):
            yield name, getattr(value, name)


def _names(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _is_native(kind: type) -> bool:
    """Whether it is made from a class written in C, which may hold more than its attributes show."""
    return any(each is not object and not each.__flags__ & _HEAP_TYPE for each in kind.__mro__)


def _name_in_module(value: Any, kind: type) -> str | None:
    """The name under which the module of its type holds this very value: sentinels, ufuncs and the like."""
    module = sys.modules.get(kind.__module__)
    if module is None or owner_of_module(module) is Owner.PROJECT:
        return None
    for name, held in vars(module).items():
        if held is value:
            return f"{module.__name__}.{name}"
    return None
