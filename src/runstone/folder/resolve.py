"""From what a user types to a run folder: the one resolver for RUN."""

from __future__ import annotations

import os

from runstone import config
from runstone.errors import FolderError, RunNotFound
from runstone.folder import layout
from runstone.folder.look import Look
from runstone.folder.read import read_info

_MINIMUM = 4
_NAMED = 10


def resolve(run: str | os.PathLike[str], root: str | None = None) -> str:
    """The folder of a run.

    run: a folder (if it has a run.json, or is written with a separator), else the name of a folder in `root`, an id,
    or the first characters of one id. root: where names and ids are looked up, `runs` in the project if not given.
    Raises RunNotFound; the message lists the candidates if there are several.
    """
    text = os.fspath(run)
    if not text:
        raise RunNotFound("no run given: name a run folder, or the id of a run")
    if os.path.isfile(os.path.join(text, layout.RUN)) or any(sep in text for sep in (os.sep, os.altsep) if sep):
        return text
    root = root or config.runs_root()
    if os.path.isfile(os.path.join(root, text, layout.RUN)):
        return os.path.join(root, text)
    found = _by_id(root, text) if len(text) >= _MINIMUM else []
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(os.path.basename(path) for path in sorted(found)[:_NAMED])
        raise RunNotFound(f"{text!r} fits {len(found)} runs: {listed}; give more characters of the id")
    if os.path.isdir(text):
        raise RunNotFound(f"no run in {text}: {layout.RUN} is not there")
    hint = "" if len(text) >= _MINIMUM else f"; of an id give at least {_MINIMUM} characters"
    raise RunNotFound(f"no run {text!r} here, and none with this id in {root}{hint}")


def shown(folder: str) -> str:
    """A folder as a user would type it: relative if it lies below the current folder."""
    try:
        relative = os.path.relpath(folder)
    except ValueError:
        # another drive
        return folder
    return os.path.abspath(folder) if relative.startswith(os.pardir) else relative


def _by_id(root: str, prefix: str) -> list[str]:
    """The folders of runs whose id begins like this; folders named after their run are found without opening others."""
    try:
        with os.scandir(root) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []
    short = prefix[:8]
    likely = [name for name in names if name.rpartition("-")[2].startswith(short)]
    found = [path for path in (os.path.join(root, name) for name in likely) if _id(path).startswith(prefix)]
    if found:
        return found
    return [path for path in (os.path.join(root, name) for name in names) if _id(path).startswith(prefix)]


def _id(path: str) -> str:
    try:
        with Look(path) as look:
            return read_info(look).id
    except (OSError, FolderError):
        return ""
