"""From what a user types to a run folder, and a block in it: the one resolver for RUN and RUN/BLOCK."""

from __future__ import annotations

import os

import msgspec

from runstone import config
from runstone.errors import FolderError, ForeignFolder, RunAmbiguous, RunNotFound
from runstone.folder import layout
from runstone.folder.foreign import door
from runstone.folder.look import Look
from runstone.folder.read import read_info

_MINIMUM = 4
_NAMED = 10
_COMPARED = 2_000
_SUGGESTED = 3
SEPARATORS = tuple({"/", os.sep, os.altsep or "/"})


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """What a user named: a run by its folder, and the block of it, None if the whole run is meant."""

    folder: str
    block: str | None = None


def locate(run: str | os.PathLike[str], root: str | None = None) -> Located:
    """What RUN or RUN/BLOCK means.

    run: a folder (if it is a run, of pipefunc too, or is written with a separator), else the name of a folder in
    `root`, an id, or the first characters of one id; a separator and the name of a block may follow. A folder that is
    a run is that run, whatever else its path could mean. root: where names and ids are looked up, `runs` in the project
    if not given.
    Raises RunNotFound, also for a block that the run does not have; the message names what could be meant.
    """
    text = os.fspath(run)
    if not text:
        raise RunNotFound("no run given: name a run folder, or the id of a run")
    if _is_run(text):
        return Located(folder=text)
    root = root or config.runs_root()
    head, name = split_block(text)
    if name:
        folder = head if _is_run(head) else _below(root, head)
        if folder is not None:
            return Located(folder=folder, block=_known_block(folder, head, name))
    if any(separator in text for separator in SEPARATORS):
        return Located(folder=text)
    return Located(folder=_named(root, text))


def resolve(run: str | os.PathLike[str], root: str | None = None) -> str:
    """The folder of the run that a user names; see `locate`. For those who cannot do anything about a single block.

    Raises RunNotFound, also if it is a block that is named.
    """
    return whole(run, locate(run, root))


def whole(run: str | os.PathLike[str], found: Located) -> str:
    """The folder of what was found for `run`. Raises RunNotFound if that is a block."""
    if found.block is not None:
        named = os.fspath(run)
        raise RunNotFound(f"{named} is a block; this is about whole runs, so name the run: {shown(found.folder)}")
    return found.folder


def shown(folder: str) -> str:
    """A folder as a user would type it: relative if it lies below the current folder."""
    try:
        relative = os.path.relpath(folder)
    except (ValueError, FileNotFoundError):
        # another drive; or the current folder was deleted
        return folder
    return os.path.abspath(folder) if relative.startswith(os.pardir) else relative


def no_run_in(folder: str) -> RunNotFound:
    """The error for a folder that is no run; it names runs beside it that could be meant."""
    return RunNotFound(f"no run in {folder}: {layout.RUN} is not there{_similar(folder)}")


def _similar(folder: str, within: str | None = None) -> str:
    """`; did you mean ...?` with runs beside this folder that are called much like it, "" if there are none.

    within: what the user writes before the name of a run there, if it is not the place of the folder.
    """
    from difflib import get_close_matches

    beside, name = os.path.split(folder.rstrip("".join(SEPARATORS)))
    try:
        names = sorted(os.listdir(beside or os.curdir))[:_COMPARED]
    except OSError:
        return ""
    # what begins with the name of a pipeline is named after it
    close = get_close_matches(name, names) or [each for each in names if each.startswith(f"{name}-")]
    found = [each for each in close if _is_run(os.path.join(beside, each))][:_SUGGESTED]
    before = beside if within is None else within
    return f"; did you mean {' or '.join(os.path.join(before, each) for each in found)}?" if found else ""


def typed(folder: str) -> str:
    """A folder as a part of a command for a shell."""
    import shlex

    return shlex.quote(shown(folder))


def _is_run(path: str) -> bool:
    return os.path.isfile(os.path.join(path, layout.RUN)) or door.is_run(path)


def split_block(text: str) -> tuple[str, str]:
    """What stands before the last separator, and behind it; empty if there is none."""
    at = max(text.rfind(separator) for separator in SEPARATORS)
    return (text[:at], text[at + 1 :]) if at > 0 else ("", "")


def _below(root: str, name: str) -> str | None:
    """The folder of a run by its name in `root` or its id, None if the name is rather that of a folder, or of nothing.

    Raises RunNotFound if several runs fit.
    """
    if any(separator in name for separator in SEPARATORS) or name in (os.curdir, os.pardir):
        return None
    if _is_run(os.path.join(root, name)):
        return os.path.join(root, name)
    return None if os.path.isdir(name) else _by_prefix(root, name)


def _named(root: str, text: str) -> str:
    """The folder of a run by its name in `root` or its id. Raises RunNotFound."""
    if _is_run(os.path.join(root, text)):
        return os.path.join(root, text)
    found = _by_prefix(root, text)
    if found is not None:
        return found
    if os.path.isdir(text):
        raise RunNotFound(f"no run in {text}: {layout.RUN} is not there")
    hint = "" if len(text) >= _MINIMUM else f"; of an id give at least {_MINIMUM} characters"
    # whether another workspace has it, is not for this one to know
    whose = f" (workspace {config.workspace()}; --workspace W looks into another)" if root == config.runs_root() else ""
    more = _similar(os.path.join(root, text), "") or hint
    raise RunNotFound(f"no run {text!r} here, and none with this id in {shown(root)}{whose}{more}")


def _by_prefix(root: str, prefix: str) -> str | None:
    """The folder of the run with this id, None if there is none. Raises RunNotFound if there are several."""
    found = _by_id(root, prefix) if len(prefix) >= _MINIMUM else []
    if len(found) > 1:
        listed = ", ".join(os.path.basename(path) for path in sorted(found)[:_NAMED])
        raise RunAmbiguous(f"{prefix!r} fits {len(found)} runs: {listed}; give more characters of the id")
    return found[0] if found else None


def _known_block(folder: str, run: str, name: str) -> str:
    """The name of a block, if the run has it. run: as the user named it. Raises RunNotFound."""
    try:
        names = _block_names(folder)
    except (OSError, FolderError):
        # whoever reads the run says what is wrong with it
        return name
    if name in names:
        return name
    from difflib import get_close_matches

    close = get_close_matches(name, names, n=1)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    hint = f"did you mean {run}/{close[0]}?" if close else f"it has {', '.join(names[:_NAMED])}{more}"
    raise RunNotFound(f"run {run} has no block {name!r}; {hint}")


def _block_names(folder: str) -> list[str]:
    try:
        with Look(folder) as look:
            return [block.name for block in read_info(look).blocks]
    except ForeignFolder:
        return door.blocks(folder)


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
