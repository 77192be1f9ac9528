"""The project: the nearest parent folder with `runstone.toml` or `.runstone/`, else the current folder."""

from __future__ import annotations

import os
from typing import Any

from runstone.errors import SettingError

FILE = "runstone.toml"
OWN = ".runstone"
RUNS = "runs"
DEFAULT_WORKSPACE = "default"

_read: dict[str, tuple[tuple[int, int], bytes, dict[str, Any]]] = {}


def project_root() -> str:
    """The project's folder, absolute."""
    start = folder = os.getcwd()
    while True:
        if os.path.exists(os.path.join(folder, FILE)) or os.path.isdir(os.path.join(folder, OWN)):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return start
        folder = above


def runs_root(workspace: str = DEFAULT_WORKSPACE) -> str:
    """The folder that new runs of a workspace go to, and in which names and ids are looked up."""
    root = project_root()
    return (
        os.path.join(root, RUNS)
        if workspace == DEFAULT_WORKSPACE
        else os.path.join(root, OWN, "workspaces", workspace, RUNS)
    )


def text() -> bytes:
    """What is in `runstone.toml`; nothing if there is none."""
    return _load()[0]


def section(name: str) -> dict[str, Any]:
    """A table of `runstone.toml`, empty if it is not there. Raises SettingError for a file that is no TOML."""
    found = _load()[1].get(name, {})
    if not isinstance(found, dict):
        raise SettingError(f"{name!r} in {FILE} is a value: write a table, [{name}]")
    return found


def _load() -> tuple[bytes, dict[str, Any]]:
    path = os.path.join(project_root(), FILE)
    try:
        found = os.stat(path)
    except OSError:
        return b"", {}
    mark = found.st_mtime_ns, found.st_size
    known = _read.get(path)
    if known is None or known[0] != mark:
        import tomllib

        try:
            with open(path, "rb") as file:
                data = file.read()
            known = _read[path] = (mark, data, tomllib.loads(data.decode("utf-8")))
        except OSError as error:
            raise SettingError(f"{path} cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingError(f"{path} is no TOML: {error}") from None
    return known[1], known[2]
