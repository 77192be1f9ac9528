"""Whose code it is: the standard library's, an installed package's, or the project's own.

Nothing is imported to find out, and no metadata is read unless a block uses an installed package.
"""

from __future__ import annotations

import functools
import importlib.machinery
import os
import re
import sys
from enum import Enum
from types import CodeType, FunctionType, ModuleType

from runstone.engine.importing import file_of

_STANDARD = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_METADATA = re.compile(r"(.+?)-([^-]+)(?:-py[\d.]+)?\.(?:dist-info|egg-info)")
_SOURCE_LIMIT = 4 * 1024 * 1024


class Owner(Enum):
    """Whose code it is. OURS: Runstone's own, which computes nothing for a block."""

    STANDARD = "standard"
    INSTALLED = "installed"
    PROJECT = "project"
    OURS = "ours"


def owner(module: str, file: str | None) -> Owner:
    """Whose the code of this module, in this file, is. file: None if it has none."""
    top = module.partition(".")[0]
    if top == "runstone":
        return Owner.OURS
    if file is not None and any(mark in file for mark in _INSTALLED):
        return Owner.INSTALLED
    if file is None or file.startswith(("<frozen", _STANDARD)):
        return Owner.STANDARD if file is not None or top in sys.stdlib_module_names else Owner.PROJECT
    return Owner.PROJECT


def owner_of_module(module: ModuleType) -> Owner:
    """Whose module it is."""
    return owner(module.__name__, getattr(module, "__file__", None))


def owner_of_function(function: FunctionType) -> Owner:
    """Whose code a function is, whatever it says its module is: decorators copy that."""
    return owner(str(function.__globals__.get("__name__", "")), function.__code__.co_filename)


def shown_name(module: str) -> str:
    """A module's name as it is told: a script is called by its file, however it was started."""
    path = file_of(module)
    return module if path is None else os.path.splitext(os.path.basename(path))[0]


# packages


def version_of(module: str) -> str | None:
    """The version of the installed package that a module belongs to, None if nothing tells."""
    return _version_of_top(module.partition(".")[0])


@functools.cache
def _version_of_top(top: str) -> str | None:
    place = _place_of(top)
    if place is not None:
        found = _version_by_name(place, top)
        if found is not None:
            return found
    told = getattr(sys.modules.get(top), "__version__", None)
    if isinstance(told, str):
        return told
    return None if place is None else _version_by_files(place, top)


def _place_of(top: str) -> str | None:
    """The folder that a top-level module was installed into."""
    loaded = sys.modules.get(top)
    paths: list[str | None] = [getattr(loaded, "__file__", None), *getattr(loaded, "__path__", ())]
    if loaded is None:
        spec = _find(top)
        paths = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
    for path in paths:
        for mark in _INSTALLED:
            if path and mark in path:
                return path[: path.rindex(mark) + len(mark)]
    return None


@functools.cache
def _metadata(place: str) -> dict[str, tuple[str, str]]:
    """The packages installed in a folder: normalised name -> version and name of the metadata folder."""
    try:
        names = os.listdir(place)
    except OSError:
        return {}
    return {_normal(match[1]): (match[2], name) for name in names if (match := _METADATA.fullmatch(name))}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _version_by_name(place: str, top: str) -> str | None:
    found = _metadata(place).get(_normal(top))
    return None if found is None else found[0]


def _version_by_files(place: str, top: str) -> str | None:
    """For packages that are called otherwise than what they install: who lists a file of this module?"""
    wanted = re.compile(rf"^{re.escape(top)}(?:/|\.py,|\.[^/,]*\.so,|$)", re.MULTILINE)
    for version, folder in _metadata(place).values():
        for listing in ("top_level.txt", "RECORD"):
            text = _read(os.path.join(place, folder, listing))
            if text is not None and wanted.search(text.decode(errors="replace")):
                return version
    return None


# modules that are imported inside of functions


def _find(name: str) -> importlib.machinery.ModuleSpec | None:
    """Where a module would be imported from; no package above it is imported for that."""
    path: list[str] | None = None
    spec: importlib.machinery.ModuleSpec | None = None
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        try:
            spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:count]), path)
        except (ImportError, ValueError, OSError):
            return None
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
    return spec


def file_named(name: str) -> str | None:
    """The file a module is, or would be, imported from, None if it is not found or has none."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        return getattr(loaded, "__file__", None)
    spec = _find(name)
    if spec is None:
        return None
    return spec.origin or next(iter(spec.submodule_search_locations or ()), None)


def is_package(name: str) -> bool:
    """Whether a module has modules inside."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        return hasattr(loaded, "__path__")
    spec = _find(name)
    return spec is not None and spec.submodule_search_locations is not None


def is_known(name: str) -> bool:
    """Whether a module without a file is there all the same: built in, frozen, or made by code."""
    return name in sys.modules or name.partition(".")[0] in sys.stdlib_module_names


def code_in(path: str) -> CodeType | None:
    """The compiled source of a file, None if it has none that can be read. Compiled again only after it changed."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return _code_in(path, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=512)
def _code_in(path: str, changed: int, size: int) -> CodeType | None:
    if not path.endswith(".py") or size > _SOURCE_LIMIT:
        return None
    source = _read(path)
    try:
        # the flags of this module's own future imports are not those of the user's
        return None if source is None else compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None
