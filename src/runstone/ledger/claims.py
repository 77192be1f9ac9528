"""Which folders the ledger believes: what a folder says of its workspace and its id is a claim, its place is proof.

A folder may speak for a workspace if it lies under the folder that this workspace keeps its runs in, or if the ledger
itself was told by a driver that this run of this workspace is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import msgspec

from runstone import config
from runstone.folder import layout
from runstone.folder.foreign import door

_DEEP = 4
"""Runs may lie in folders of folders below a root, so many levels."""

_MOST = 1_000_000
"""Entries that are looked at in one folder."""


class Root(msgspec.Struct, frozen=True):
    """The folder that a workspace keeps its runs in. real: without links."""

    workspace: str
    path: str
    real: str


class Found(msgspec.Struct, frozen=True):
    """A folder that holds a run. workspace: the one it may speak for; None: it speaks for none. run_id: the only one
    it may speak of; None: any. foreign: another program wrote it."""

    path: str
    workspace: str | None
    run_id: str | None = None
    foreign: bool = False


def roots() -> list[Root]:
    """Where the workspaces of the project keep their runs, as far as these folders are there."""
    names = [config.DEFAULT_WORKSPACE, *_named()]
    found = [
        Root(name, path, os.path.realpath(path)) for name, path in ((name, config.runs_root(name)) for name in names)
    ]
    return [root for root in found if os.path.isdir(root.real)]


def _named() -> list[str]:
    """The workspaces that have a folder of their own; the name is that of the folder, not what something in it says."""
    folder = os.path.join(config.project_root(), config.OWN, "workspaces")
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and entry.name != config.DEFAULT_WORKSPACE)
    except OSError:
        return []


def under(path: str, roots: Sequence[Root]) -> Root | None:
    """The root that a folder really lies under, None if it is none of them."""
    real = os.path.realpath(path)
    inside = [root for root in roots if real.startswith(root.real.rstrip(os.sep) + os.sep)]
    return max(inside, key=lambda root: len(root.real), default=None)


def runs_below(root: Root, roots: Sequence[Root], unreadable: Callable[[str, str], None]) -> Iterator[Found]:
    """Every folder under a root that holds a run, in the order of their names.

    A link is a run of its own only if it leads out of all roots; it then speaks for no workspace.
    unreadable: told of folders that cannot be listed, and why.
    """
    return _below(root, root.path, roots, unreadable, _DEEP)


def _below(
    root: Root, folder: str, roots: Sequence[Root], unreadable: Callable[[str, str], None], deep: int
) -> Iterator[Found]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(
                (entry for entry, _ in zip(entries, range(_MOST), strict=False)), key=lambda entry: entry.name
            )
    except OSError as error:
        unreadable(folder, f"it cannot be listed: {(error.strerror or str(error)).lower()}")
        return
    for entry in found:
        try:
            linked = entry.is_symlink()
            if not entry.is_dir():
                continue
        except OSError:
            # a link in a circle
            continue
        kind = _kind(entry.path)
        if linked:
            if kind is not None and under(entry.path, roots) is None:
                yield Found(entry.path, None, foreign=kind)
        elif kind is not None:
            yield Found(entry.path, root.workspace, foreign=kind)
        elif deep > 1 and not entry.name.startswith("."):
            # what is on its way here, or was deleted and is still being removed, has such names
            yield from _below(root, entry.path, roots, unreadable, deep - 1)


def _kind(path: str) -> bool | None:
    """Whether another program wrote the run in a folder; None if there is no run."""
    if holds_run(path):
        return False
    return True if door.is_run(path) else None


def holds_run(path: str) -> bool:
    """Whether there is a run of ours in a folder, readable or not."""
    return os.path.lexists(f"{path}/{layout.RUN}")


def refusal(found: Found, run_id: str, workspace: str) -> str | None:
    """Why a folder is not believed what it says of its run, in words; None if it is."""
    if found.workspace is None:
        return "it is a link that leads out of the folder of the workspace's runs"
    if workspace != found.workspace:
        return f"it says it is of workspace {workspace!r}, and lies where those of {found.workspace!r} are"
    if found.run_id is not None and run_id != found.run_id:
        return f"it holds run {run_id}, and the ledger knows this place for {found.run_id}"
    return None
