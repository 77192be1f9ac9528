"""The project: the nearest parent folder with `runstone.toml` or `.runstone/`, else the current folder."""

from __future__ import annotations

import os
from typing import Any

from runstone.errors import CurrentFolderGone, SettingError

FILE = "runstone.toml"
OWN = ".runstone"
RUNS = "runs"
DEFAULT_WORKSPACE = "default"
WORKSPACE_VARIABLE = "RUNSTONE_WORKSPACE"

_chosen: str | None = None
_read: dict[str, tuple[tuple[int, int], bytes, dict[str, Any]]] = {}
_told: set[str] = set()


def project_root() -> str:
    """The project's folder, absolute. Raises CurrentFolderGone."""
    try:
        start = os.getcwd()
    except FileNotFoundError:
        raise CurrentFolderGone from None
    return project_of(start) or start


def project_of(folder: str) -> str | None:
    """The project that an absolute path lies in, or is the folder of; None if it is in none."""
    while True:
        if os.path.exists(os.path.join(folder, FILE)) or os.path.isdir(os.path.join(folder, OWN)):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def choose_workspace(name: str | None) -> str | None:
    """Let this process mean this workspace where none is given, None for the environment's; returns what it was."""
    global _chosen
    before, _chosen = _chosen, name
    return before


def chosen_workspace() -> str | None:
    """The one that this process was told to mean, and whoever types the next command has to tell it again."""
    return _chosen


def workspace(given: str | None = None) -> str:
    """The workspace that is meant: the one given, else the one chosen, else RUNSTONE_WORKSPACE, else `default`.

    Raises SettingError.
    """
    given = _chosen if given is None else given
    name = given if given is not None else os.environ.get(WORKSPACE_VARIABLE) or DEFAULT_WORKSPACE
    if not isinstance(name, str) or not name or not all(c.isalnum() or c in "-_" for c in name) or len(name) > 100:
        where = "workspace" if given is not None else WORKSPACE_VARIABLE
        raise SettingError(f"{where}={name!r}: use letters, digits, - and _, at most 100")
    return name


def runs_root(given: str | None = None) -> str:
    """The folder that new runs of a workspace go to, and in which names and ids are looked up. Raises SettingError."""
    root, name = project_root(), workspace(given)
    return os.path.join(root, RUNS) if name == DEFAULT_WORKSPACE else os.path.join(root, OWN, "workspaces", name, RUNS)


def text() -> bytes:
    """What is in `runstone.toml`; nothing if there is none. Raises SettingError."""
    try:
        return _load()[0]
    except CurrentFolderGone:
        return b""


def section(name: str) -> dict[str, Any]:
    """A table of `runstone.toml`, empty if it is not there.

    Raises SettingError for a file that is no TOML, and for what is in this table and should not be.
    """
    found = _load()[1]
    if name not in found:
        return {}
    for where, said in _problems(found):
        if where == name:
            _told.add(said)
            raise SettingError(said)
    table: dict[str, Any] = found[name]
    return table


def untold() -> list[str]:
    """What `runstone.toml` has that means nothing, and nobody has been told in this process: warnings, a line each."""
    try:
        found = _load()[1]
    except (SettingError, OSError):
        # those who need the file say so
        return []
    news = [said for _, said in _problems(found) if said not in _told] if found else []
    _told.update(news)
    return news


def _problems(found: dict[str, Any]) -> list[tuple[str, str]]:
    """For each problem the section it is in, and what to say."""
    # loaded by those who have such a file
    from runstone import config_keys

    path = os.path.join(project_root(), FILE)
    return [(problem.section, f"{path}: {problem.said}") for problem in config_keys.problems(found)]


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
