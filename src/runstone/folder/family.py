"""The family of a run folder: `runs/x`, and the runs that took over from it, `runs/x.2`, `runs/x.3` and so on.

What merely has such a name is no member: a member's `run.json` says that it is a retry, and it is not older than the
first run; older than that are the successors of a run that was overwritten. Where the first folder holds only what a
run left that was killed at once, whatever has such a name is one.
"""

from __future__ import annotations

import os
import re
import secrets
import time

import msgspec

from runstone.errors import FolderError
from runstone.folder import disk, layout, read
from runstone.folder.look import Look

TRASH = ".trash"

_NUMBERED = re.compile(r"(.+)\.([2-9]|[1-9]\d{1,8})")
_BEGINNING_SECONDS = 3.0
"""From making its folder to being a run nothing takes that long, unless it was killed meanwhile."""

_REMAINS = frozenset({layout.JOURNAL, layout.INPUTS, layout.OUTPUTS, layout.LOGS, layout.CHECKPOINT})


class _Origin(msgspec.Struct):
    id: str
    created_at: str = ""
    retry_of: str | None = None

    def follows(self, first: _Origin | None) -> bool:
        """Whether it can be a successor in the family of this run; None if its folder is gone."""
        return self.retry_of is not None and (first is None or self.created_at >= first.created_at)


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a family. number: 1 for the first; id: of the run."""

    path: str
    number: int
    id: str


_decode_origin = msgspec.json.Decoder(_Origin).decode


def members(folder: str) -> list[Member]:
    """The runs of the family that this folder belongs to, oldest first; none if there is no run yet."""
    base = _base(folder)
    above, name = os.path.split(base)
    first = _origin(base)
    # a run that went round what one had left that was killed at once took nothing over
    went_round = first is None and is_remains(base)
    found = [] if first is None else [Member(path=base, number=1, id=first.id)]
    try:
        with os.scandir(above or os.curdir) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(f"{name}.")]
    except OSError:
        return found
    for each in names:
        match = _NUMBERED.fullmatch(each)
        path = os.path.join(above, each)
        origin = _origin(path) if match and match[1] == name else None
        if match and origin is not None and (went_round or origin.follows(first)):
            found.append(Member(path=path, number=int(match[2]), id=origin.id))
    return sorted(found, key=lambda member: member.number)


def newest(folder: str) -> str | None:
    """The folder of the newest run of the family, None if there is no run yet."""
    found = members(folder)
    return found[-1].path if found else None


def claim_next(folder: str) -> str:
    """Make the folder for the next run of the family, empty. Of any number of processes each gets its own."""
    base = _base(folder)
    number = _next_number(folder)
    while True:
        path = f"{base}.{number}"
        try:
            disk.make_folder(path, parents=True, new=True)
        except FileExistsError:
            number += 1
        else:
            return path


def claim_after(newest: str) -> str | None:
    """Make the folder for the run that takes over from the newest of a family; None if another one has become that.

    Whoever makes such a folder begins a run in it at once, so another process that finds it taken waits for that.
    """
    number = _next_number(newest)
    while members(newest)[-1].path == os.path.abspath(newest):
        path = f"{_base(newest)}.{number}"
        try:
            disk.make_folder(path, parents=True, new=True)
        except FileExistsError:
            _wait_for_a_run(path)
            number += 1
        else:
            return path
    return None


def _next_number(folder: str) -> int:
    found = members(folder)
    return max(2, found[-1].number + 1 if found else 2)


def _wait_for_a_run(folder: str) -> None:
    """Wait until a folder has a run, if a process has only just made it."""
    try:
        made = os.stat(folder).st_mtime
    except OSError:
        return
    until = time.time() + _BEGINNING_SECONDS if abs(time.time() - made) < _BEGINNING_SECONDS else 0.0
    while time.time() < until and not os.path.lexists(os.path.join(folder, layout.RUN)):
        time.sleep(0.01)


def move_to_trash(folder: str, *, unproven: bool = False) -> str:
    """Move a run folder to `.trash/<name>-<time>` beside it; returns where it is now.

    unproven: a person's word that its driver is dead, for where that can be proven neither way.
    Raises FolderError if its driver may live, or if this is no run folder; then nothing is moved.
    """
    folder = os.path.abspath(folder)
    _refuse_living(folder, unproven=unproven)
    above, name = os.path.split(folder)
    trash = os.path.join(above, TRASH)
    disk.make_folder(trash)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = os.path.join(trash, f"{name}-{stamp}")
    while os.path.lexists(path):
        path = os.path.join(trash, f"{name}-{stamp}-{secrets.token_hex(2)}")
    disk.move(folder, path)
    disk.sync_folder(trash)
    disk.sync_folder(above)
    return path


def _refuse_living(folder: str, *, unproven: bool) -> None:
    try:
        reading = read.read_run(folder)
    except FileNotFoundError:
        if is_remains(folder):
            return
        raise FolderError(f"{folder} is not a run folder; nothing was moved") from None
    except NotADirectoryError:
        raise FolderError(f"{folder} is not a folder; nothing was moved") from None
    if reading.state.done or reading.gone or (unproven and reading.gone is None):
        return
    driver = reading.state.driver
    who = f"pid {driver.pid} on {driver.host}" if driver else "a process that nobody knows"
    proof = "is alive" if reading.gone is False else "cannot be proven dead from here"
    raise FolderError(f"the run in {folder} is held by {who}, which {proof}; nothing was moved")


def is_remains(folder: str) -> bool:
    """Whether it is what a run has left that was killed before it had its `run.json`; an empty folder is no run."""
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    return bool(names) and all(name in _REMAINS or (name[:1] == "." and name.endswith(".tmp")) for name in names)


def _base(folder: str) -> str:
    folder = os.path.abspath(folder)
    above, name = os.path.split(folder)
    match = _NUMBERED.fullmatch(name)
    if match is None:
        return folder
    first, origin = _origin(os.path.join(above, match[1])), _origin(folder)
    if first is None or origin is None or not origin.follows(first):
        return folder
    return os.path.join(above, match[1])


def _origin(path: str) -> _Origin | None:
    try:
        with Look(path) as look:
            data = look.read(layout.RUN, layout.RUN_LIMIT)
    except (OSError, FolderError):
        return None
    try:
        return None if data is None else _decode_origin(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
