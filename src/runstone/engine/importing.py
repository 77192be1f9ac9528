"""Finding what a user names as `module:name` or `path.py:name`."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

_LOADED = "__runstone_path__"
_NOWHERE = ModuleType("nowhere")


def import_named(place: str) -> ModuleType:
    """The module at a dotted name or in a file. Raises whatever importing it raises."""
    return load_file(os.path.abspath(place)) if place.endswith(".py") else importlib.import_module(place)


def load_file(path: str) -> ModuleType:
    """Import a file that may lie anywhere, once, under its own name; its neighbours can be imported by it."""
    main = sys.modules.get("__main__")
    if main is not None and os.path.abspath(getattr(main, "__file__", None) or "") == path:
        return main
    stem = os.path.splitext(os.path.basename(path))[0]
    known = sys.modules.get(stem)
    if known is not None and getattr(known, "__file__", None) == path:
        return known
    name = stem if known is None else f"{stem}_{abs(hash(path)):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    folder = os.path.dirname(path)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = importlib.util.module_from_spec(spec)
    setattr(module, _LOADED, path)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def attribute(module: ModuleType, path: str) -> Any:
    """A name in a module, dots included. Raises AttributeError."""
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part)
    return found


def file_of(module_name: str) -> str | None:
    """The file under which a module must be named in another process: scripts, and what `load_file` loaded."""
    module = sys.modules.get(module_name)
    if module_name == "__main__":
        path = getattr(module, "__file__", None)
        # from standard input it is "<stdin>"
        return os.path.abspath(path) if path and os.path.isfile(path) else None
    return getattr(module, _LOADED, None)


def place_of(value: object, modules: Iterable[str]) -> str | None:
    """Under which `module:name` or `path.py:name` a value is found in one of these modules, None if it is in none."""
    for module_name in dict.fromkeys((*modules, "__main__")):
        for name, found in list(vars(sys.modules.get(module_name, _NOWHERE)).items()):
            if found is value:
                path = file_of(module_name)
                if path is not None:
                    return f"{path}:{name}" if path.isprintable() else None
                return None if module_name == "__main__" else f"{module_name}:{name}"
    return None
