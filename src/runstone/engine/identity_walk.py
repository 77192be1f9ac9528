"""Walks from the functions of blocks through all of the project's code that it names, part by part.

Functions and classes of the project get a part each, and so does every constant; an installed package is told by its
version; the standard library says nothing beyond the version of Python. What is called by a name that cannot be
followed (an attribute of a parameter, say) is not seen: nothing tells what it will be.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import hashlib
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from runstone.engine import identity_modules as modules
from runstone.engine.identity_bytecode import Import, Scan, scan
from runstone.engine.identity_classes import class_text
from runstone.engine.identity_modules import Owner
from runstone.engine.identity_values import Texts, Unresolved, held, is_a, is_idle, owner_of_class, wrapped

UNRESOLVED = "?"
ABSENT = "absent"
"""A module that is imported inside of a function and is not there."""

VALUES_LIMIT = 5_000
"""So many functions, classes and constants are looked at; what lies beyond them is unresolved."""

_NOTHING = object()
# Weak, for a function may hold large data in what it closes over.
_scans: weakref.WeakKeyDictionary[Callable[..., Any], tuple[CodeType, Scan]] = weakref.WeakKeyDictionary()


def digest(text: str) -> str:
    """A short digest of a text."""
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]


def scanned(function: Callable[..., Any], code: CodeType) -> Scan:
    """What the bytecode of a function says; read again only if the function was given another code."""
    known = _scans.get(function)
    if known is None or known[0] is not code:
        known = _scans[function] = (code, scan(code))
    return known[1]


class _Part:
    """A function, a class, a constant or a package that was found. needs: the parts that it names in turn."""

    __slots__ = ("label", "needs", "told")

    def __init__(self, label: str, told: str = UNRESOLVED) -> None:
        self.label = label
        self.told = told
        self.needs: list[_Part] = []


class Survey:
    """Walks from any number of blocks, through what they share only once."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[str | None, list[_Part]]] = {}
        self._held: list[Any] = []
        self._constants: dict[tuple[str, int], _Part] = {}
        self._others: dict[str, _Part] = {}
        self._waiting: list[tuple[_Part, Any]] = []
        self._found: list[_Part] = []
        self.texts = Texts(self.refer)

    def parts(self, look: Callable[[], dict[str, str]]) -> dict[str, str]:
        """What `look` says, and after it all the parts that are named on the way. Several of one name count as one."""
        with self._finding() as roots:
            own = look()
        while self._waiting:
            part, value = self._waiting.pop()
            if len(self._seen) <= VALUES_LIMIT:
                with self._finding() as part.needs:
                    part.told = self.told(self._text, value)
        told: dict[str, list[str]] = {}
        for part in _reached(roots):
            told.setdefault(part.label, []).append(part.told)
        return {**own, **{label: _as_one(several) for label, several in told.items()}}

    @contextlib.contextmanager
    def _finding(self) -> Iterator[list[_Part]]:
        outer, self._found = self._found, []
        try:
            yield self._found
        finally:
            self._found = outer

    def told(self, text: Callable[[Any], str], value: Any) -> str:
        """The digest of what is said of a value, "?" if nothing certain can be."""
        self.texts = Texts(self.refer)
        try:
            return digest(text(value))
        except Unresolved:
            return UNRESOLVED
        except Exception:
            # nested too deep, a number too long to be written, or an object that does not want to be looked at: nothing
            # about the code of a block may keep it from running
            return UNRESOLVED

    def _text(self, value: Any) -> str:
        return class_text(self, value) if is_a(value, type) else self.function_text(value)

    # functions

    def function_text(self, function: FunctionType) -> str:
        """All about a function but what it names, which becomes other parts. Raises Unresolved."""
        told = [self.code_text(function)]
        if function.__defaults__ or function.__kwdefaults__:
            told.append(self.defaults_text(function))
        if function.__closure__:
            told.append(self.closure_text(function))
        return "; ".join(told)

    def code_text(self, function: FunctionType) -> str:
        """The code of a function, and what the names in it mean where they mean something of another name."""
        found = scanned(function, function.__code__)
        told = [found.digest]
        for chain in found.reaches:
            label = self._reach(chain, function.__globals__, found)
            if label is not None and label.rpartition(".")[2] != chain[-1]:
                told.append(f"{'.'.join(chain)} is {label}")
        for each in found.imports:
            self._import(each, function.__globals__)
        return ", ".join(told)

    def defaults_text(self, function: FunctionType) -> str:
        """Raises Unresolved."""
        return f"{self.texts.text(function.__defaults__)} {self.texts.text(function.__kwdefaults__)}"

    def closure_text(self, function: FunctionType) -> str:
        """Raises Unresolved."""
        return self.texts.text(tuple(_cells(function)))

    # names

    def _reach(self, chain: tuple[str, ...], names: Mapping[str, Any], found: Scan) -> str | None:
        """Follow a name, and attributes of it as far as modules go; returns the part it leads to."""
        name, home = chain[0], str(names.get("__name__", ""))
        value = names.get(name, _NOTHING)
        if value is _NOTHING:
            if not hasattr(builtins, name):
                self._other(f"name:{modules.shown_name(home)}.{name}", UNRESOLVED)
            return None
        if name.startswith("__") and name.endswith("__"):
            return None
        for attribute in (*chain[1:], None):
            if not is_a(value, ModuleType):
                break
            if not self._is_project(value):
                return None
            if attribute is None:
                # the module itself is handed on: whatever of it the function knows by name
                for each in sorted(found.names & vars(value).keys()):
                    self._named(each, vars(value)[each], value.__name__)
                return None
            home, name = value.__name__, attribute
            value = vars(value).get(attribute, _NOTHING)
            if value is _NOTHING:
                self._other(f"name:{modules.shown_name(home)}.{name}", UNRESOLVED)
                return None
        return self._named(name, value, home)

    def _is_project(self, module: ModuleType) -> bool:
        who = modules.owner_of_module(module)
        if who is Owner.INSTALLED:
            self._package(module.__name__)
        return who is Owner.PROJECT

    def _other(self, label: str, told: str) -> _Part:
        """A part that is the same wherever it is met."""
        part = self._others.get(label)
        if part is None:
            part = self._others[label] = _Part(label, told)
        self._found.append(part)
        return part

    def _package(self, module: str) -> str:
        label = f"package:{module.partition('.')[0]}"
        if label in self._others:
            self._found.append(self._others[label])
        else:
            self._other(label, modules.version_of(module) or UNRESOLVED)
        return label

    def _named(self, name: str, value: Any, home: str) -> str | None:
        if is_a(value, ModuleType):
            self._is_project(value)
            return None
        if is_idle(value):
            return None
        label = self.refer(value)
        if label is not None:
            return label
        label = f"constant:{modules.shown_name(home)}.{name}"
        part = self._constants.get((label, id(value)))
        if part is None:
            part = self._constants[label, id(value)] = _Part(label)
            texts = self.texts
            with self._finding() as part.needs:
                part.told = self.told(lambda value: self.texts.text(value), value)
            self.texts = texts
        self._found.append(part)
        return label

    # what has a part of its own

    def refer(self, value: Any) -> str | None:
        """The name of a function or a class, which is looked at later; None for what is neither."""
        known = self._seen.get(id(value))
        if known is None:
            # what was seen stays alive meanwhile, for another object could get its number
            self._held.append(value)
            self._seen[id(value)] = (None, [])
            with self._finding() as found:
                label = self._refer(value)
            known = self._seen[id(value)] = (label, found)
        self._found += known[1]
        return known[0]

    def _refer(self, value: Any) -> str | None:
        if is_a(value, type):
            return self._refer_class(value)
        if is_a(value, FunctionType):
            return self._refer_function(value)
        if is_a(value, (functools.partial, MethodType)):
            return None
        inner = wrapped(value)
        if inner is not None:
            # lru_cache and blocks: what they wrap is what they are
            return self.refer(inner)
        if is_a(value, BuiltinFunctionType):
            return self._refer_builtin(value)
        if owner_of_class(type(value)) is Owner.OURS and isinstance(held(value).get("blocks"), Mapping):
            # a pipeline
            labels = [self.refer(block) for block in value.blocks.values()]
            return f"blocks {', '.join(map(str, labels))}"
        if owner_of_class(type(value)) is Owner.INSTALLED:
            self._package(type(value).__module__)
        return None

    def _refer_function(self, function: FunctionType) -> str | None:
        module, who = str(function.__globals__.get("__name__", "")), modules.owner_of_function(function)
        if who is Owner.PROJECT:
            return self._wait_for("calls", function)
        told = self._package(module) if who is Owner.INSTALLED else f"{module}.{function.__qualname__}"
        inner = wrapped(function)
        registry = held(function).get("registry")
        if isinstance(registry, Mapping):
            # functools.singledispatch: one function for each type
            labels = [self.refer(each) for each in registry.values()]
            return f"by type {', '.join(map(str, labels))}"
        if inner is None and function.__closure__ is None:
            return told
        # a decorator of somebody else's around the project's code
        return self._wait_for("calls", function) if inner is None else self.refer(inner)

    def _refer_builtin(self, function: Any) -> str | None:
        module = sys.modules.get(function.__module__ or "")
        return None if module is None or self._is_project(module) else f"{module.__name__}.{function.__qualname__}"

    def _refer_class(self, kind: type) -> str | None:
        who = owner_of_class(kind)
        if who is Owner.PROJECT:
            return self._wait_for("class", kind)
        return self._package(kind.__module__) if who is Owner.INSTALLED else f"{kind.__module__}.{kind.__qualname__}"

    def _wait_for(self, what: str, value: Any) -> str:
        part = _Part(f"{what}:{modules.shown_name(value.__module__ or '')}.{value.__qualname__}")
        self._waiting.append((part, value))
        self._found.append(part)
        return part.label

    # imports inside of functions

    def _import(self, wanted: Import, names: Mapping[str, Any]) -> None:
        """A module that is imported while the block runs may not be loaded yet: its file speaks for it, whole."""
        module = wanted.module
        if wanted.level:
            package = str(names.get("__package__") or "").split(".")
            above = package[: len(package) - wanted.level + 1]
            module = ".".join([*above, *([module] if module else [])])
        self._module(module)
        for name in wanted.names:
            # it may name a module in a package
            if modules.is_package(module) and modules.file_named(f"{module}.{name}") is not None:
                self._module(f"{module}.{name}")

    def _module(self, name: str) -> None:
        label = f"module:{modules.shown_name(name)}"
        if label in self._others:
            self._found.append(self._others[label])
            return
        path = modules.file_named(name)
        if path is None:
            if not modules.is_known(name):
                self._other(label, ABSENT)
            return
        who = modules.owner(name, path)
        if who is Owner.INSTALLED:
            self._package(name)
        if who is not Owner.PROJECT:
            return
        part = self._other(label, UNRESOLVED)
        code = modules.code_in(path)
        if code is None:
            return
        found = scan(code)
        part.told = found.digest
        package = name if modules.is_package(name) else name.rpartition(".")[0]
        with self._finding() as part.needs:
            for each in found.imports:
                self._import(each, {"__package__": package})


def _reached(roots: list[_Part]) -> Iterator[_Part]:
    """All parts that these lead to, those first that are named first."""
    seen: set[int] = set()
    waiting = deque(roots)
    while waiting:
        part = waiting.popleft()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            waiting.extend(part.needs)


def _as_one(several: list[str]) -> str:
    """What several parts of one name come to; their order counts, for two of them may have changed places."""
    if UNRESOLVED in several:
        return UNRESOLVED
    return several[0] if len(several) == 1 else digest(" ".join(several))


def _cells(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            raise Unresolved from None
