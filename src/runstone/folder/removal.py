"""Removing run folders so that no death in between leaves half of one where runs are.

A folder is first moved to `.deleting/<anything>/run` beside it, with the name of the process that does it; then whoever
holds rows about it takes them away; then its files go. What a dead process has left there, the next one finishes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator

import msgspec

from runstone.core.events import Driver
from runstone.errors import FolderError, StorageError
from runstone.folder import disk, identity
from runstone.folder.look import Look
from runstone.folder.read import read_info, read_run

DELETING = ".deleting"
_BY = "by.json"
_RUN = "run"
_LONG_AGO = 24 * 3600.0
"""Seconds after which a process that cannot be looked at, on another machine say, is not waited for."""

_LIMIT = 16 * 1024


class Aside(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that was moved aside. path: where it was; place: where it is, in a folder of its own."""

    path: str
    place: str

    @property
    def run(self) -> str:
        """Where the run folder is."""
        return f"{self.place}/{_RUN}"


def living(folder: str, *, unproven: bool = False) -> str | None:
    """Why the run in a folder may not be removed, in words; None if its process ended or is proven dead.

    unproven: a person's word that its process is dead, for where that can be proven neither way.
    Raises FileNotFoundError, NotADirectoryError, FolderError if that cannot be read.
    """
    reading = read_run(folder)
    if reading.state.done or reading.gone or (unproven and reading.gone is None):
        return None
    driver = reading.state.driver
    who = f"its process (pid {driver.pid} on {driver.host})" if driver else "the process that has it"
    proof = "is alive" if reading.gone is False else "is not proven dead"
    return f"it is {reading.state.status.value}, and {who} {proof}"


def move_aside(folder: str, *, unproven: bool = False) -> Aside:
    """Move a run folder out of the way of everybody. Raises FolderError if its process may live, StorageError.

    Then it is where it was.
    """
    path = os.path.abspath(folder)
    if os.path.islink(path):
        raise FolderError(f"{path} is a link; delete the folder that it leads to")
    above = f"{os.path.dirname(path)}/{DELETING}"
    place = f"{above}/{secrets.token_hex(8)}"
    disk.make_folder(above)
    disk.make_folder(place, new=True)
    aside = Aside(path=path, place=place)
    try:
        disk.replace(f"{place}/{_BY}", msgspec.json.encode(identity.this_process()))
        disk.move(path, aside.run)
        try:
            # it may have been taken over since it was last looked at; from here on nobody finds it
            why = living(aside.run, unproven=unproven)
        except (OSError, FolderError):
            why = None
        if why is not None:
            raise FolderError(f"{path} was not deleted: {why}")
    except BaseException:
        put_back(aside)
        raise
    disk.sync_folder(above)
    disk.sync_folder(os.path.dirname(path))
    return aside


def put_back(aside: Aside) -> None:
    """Undo `move_aside`."""
    if os.path.lexists(aside.run):
        disk.move(aside.run, aside.path)
    remove(aside)


def remove(aside: Aside) -> None:
    """Remove all of it from the disk. Raises StorageError if something of it stays; it is tried again later."""
    _remove_tree(aside.place)
    disk.remove_folder(os.path.dirname(aside.place))


def left_behind(root: str) -> Iterator[tuple[Aside, str | None]]:
    """What dead processes have moved aside in this folder and not removed, with the id of the run if it has one."""
    above = os.path.join(os.path.abspath(root), DELETING)
    try:
        names = sorted(os.listdir(above))
    except OSError:
        return
    for name in names:
        aside = Aside(path="", place=f"{above}/{name}")
        if _is_abandoned(aside.place):
            yield aside, _id(aside.run)


def _is_abandoned(place: str) -> bool:
    try:
        with Look(place) as look:
            by = msgspec.json.decode(look.read(_BY, _LIMIT) or b"", type=Driver)
        gone = identity.is_gone(by)
    except (OSError, FolderError, msgspec.DecodeError, UnicodeDecodeError):
        gone = None
    if gone is not None:
        return gone
    try:
        return time.time() - os.lstat(place).st_mtime > _LONG_AGO
    except OSError:
        return False


def _id(folder: str) -> str | None:
    try:
        with Look(folder) as look:
            return read_info(look).id
    except (OSError, FolderError):
        return None


def _remove_tree(path: str) -> None:
    refusals: list[OSError] = []

    def again(function: Callable[..., object], name: str, error: BaseException) -> None:
        if isinstance(error, FileNotFoundError):
            return
        # a folder that takes no changes is one of ours nevertheless
        with contextlib.suppress(OSError):
            for each in (os.path.dirname(name), name):
                if stat.S_ISDIR(os.lstat(each).st_mode):
                    os.chmod(each, 0o700)
            function(name)
            return
        if isinstance(error, OSError):
            refusals.append(error)

    for _ in range(2):
        refusals.clear()
        _rmtree(path, again)
        if not os.path.lexists(path):
            return
    why = (refusals[0].strerror or str(refusals[0])).lower() if refusals else "it is in use"
    raise StorageError(f"{path} cannot be removed: {why}; remove it by hand, or let runstone cleanup try again")


def _rmtree(path: str, again: Callable[[Callable[..., object], str, BaseException], None]) -> None:
    import sys

    if sys.version_info >= (3, 12):
        shutil.rmtree(path, onexc=again)
    else:
        shutil.rmtree(path, onerror=lambda function, name, info: again(function, name, info[1]))
