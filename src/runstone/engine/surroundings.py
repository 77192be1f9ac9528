"""What a run finds around it: the commit of the git repository it is started in, and the settings it runs with."""

from __future__ import annotations

import hashlib
import os
import select
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from runstone.core.settings import Settings

PATIENCE = 2.0
"""Seconds in which git has to answer."""

FRESH = 5.0
"""Seconds for which an answer is believed while HEAD and the index of the repository stay as they were."""

_COMMAND = (
    "git", "--no-optional-locks", "-c", "core.fsmonitor=false",
    "status", "--porcelain=v2", "--branch", "--untracked-files=no", "--no-renames", "--ignore-submodules=dirty",
)  # fmt: skip
# set in a hook of git, where they name the repository of the hook and not that of the current folder
_MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
_HEAD_LINE = b"# branch.oid "

State = tuple[str, int, int]
"""Of a repository: where it is, and when its HEAD and its index were last written."""


class _Question:
    """git, asked about the current folder and not yet heard. state: of the repository when it was asked."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._deadline = time.monotonic() + PATIENCE
        self._owner = os.getpid()
        environment = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
        self._answer, there = os.pipe()
        try:
            nowhere = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0)
            silent = (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_RDWR, 0)
            # a spawned process costs a fraction of what loading subprocess does
            self._pid = os.posix_spawnp(
                "git",
                _COMMAND,
                environment | {"GIT_OPTIONAL_LOCKS": "0"},
                file_actions=[nowhere, (os.POSIX_SPAWN_DUP2, there, 1), silent],
                # Ctrl-C is meant for the run
                setpgroup=0,
            )
        except BaseException:
            os.close(self._answer)
            raise
        finally:
            os.close(there)

    def hear(self) -> str:
        """What git says: the commit; nothing if it fails or takes too long."""
        if os.getpid() != self._owner:
            # asked before a fork: the child of a parent that will hear it
            os.close(self._answer)
            return ""
        said = b""
        try:
            while select.select([self._answer], [], [], max(0.0, self._deadline - time.monotonic()))[0]:
                data = os.read(self._answer, 65536)
                if not data:
                    break
                said += data
            else:
                os.kill(self._pid, signal.SIGKILL)
                said = b""
            return _commit(said) if os.waitpid(self._pid, 0)[1] == 0 else ""
        except OSError:
            # the user's own code waits for every child
            return _commit(said)
        finally:
            os.close(self._answer)


_lock = threading.Lock()


def _forked() -> None:
    """In a child another thread of its parent may hold the lock for ever."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)

_asked: _Question | None = None
_heard: tuple[State, float, str] | None = None
# the last folder that was asked for, its `.git`, and where HEAD and the index are
_found: tuple[str, str, str, str] | None = None


def ask() -> State | None:
    """Begin to find out the commit, unless it is known; does not wait. Returns what `commit` is to be asked with."""
    try:
        state = _repository(os.getcwd())
    except FileNotFoundError:
        # the current folder was deleted
        return None
    with _lock:
        _ask(state)
    return state


def commit(state: State | None) -> str:
    """HEAD of the git repository around the current folder, `+dirty` behind it if tracked files differ.

    state: of the repository, from `ask`. Empty if there is none, or git is not there, fails or is too slow.
    """
    if state is None:
        return ""
    with _lock:
        _hear()
        return "" if _heard is None or _heard[0][0] != state[0] else _heard[2]


def _ask(state: State | None) -> None:
    global _asked
    if _asked is not None and (state is None or _asked.state[0] != state[0]):
        # the current folder has become another one meanwhile
        _hear()
    if _asked is not None or state is None or _fresh(state):
        return
    try:
        _asked = _Question(state)
    except (OSError, AttributeError):
        # no git, or a system that cannot spawn: as good as no repository
        _remember(state, "")


def _hear() -> None:
    global _asked
    if _asked is not None:
        question, _asked = _asked, None
        _remember(question.state, question.hear())


def config_hash(run: Settings, blocks: Mapping[str, Settings], file: bytes) -> str:
    """SHA-256, in hex, of the settings of a run and of each of its blocks, and of the bytes of `runstone.toml`."""
    global _hashed
    known = _hashed
    if known is not None and known[0] == run and known[1] == blocks and known[2] == file:
        return known[3]
    digest = hashlib.sha256(_encode({"run": run, "blocks": blocks}))
    digest.update(b"\0")
    digest.update(file)
    found = digest.hexdigest()
    if all(isinstance(each.executor, str | None) for each in (run, *blocks.values())):
        # somebody's own executor is not kept alive for this
        _hashed = run, blocks, file, found
    return found


_hashed: tuple[Settings, Mapping[str, Settings], bytes, str] | None = None


def _named(value: Any) -> str:
    """A function, a class or an executor in settings, by a name that is the same in every process."""
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


_encode = msgspec.json.Encoder(enc_hook=_named, order="sorted").encode


def _remember(state: State, said: str) -> None:
    global _heard
    _heard = state, time.monotonic(), said


def _fresh(state: State) -> bool:
    return _heard is not None and _heard[0] == state and time.monotonic() - _heard[1] < FRESH


def _repository(folder: str) -> State | None:
    """The repository around a folder, as it stands."""
    global _found
    found = _found
    if found is not None and found[0] == folder:
        head = _written(found[2])
        if head:
            return found[1], head, _written(found[3])
    place = _search(folder)
    if place is None:
        return None
    own = _own_folder(place)
    _found = found = folder, place, os.path.join(own, "HEAD"), os.path.join(own, "index")
    return place, _written(found[2]), _written(found[3])


def _search(folder: str) -> str | None:
    """The nearest `.git` around a folder."""
    while True:
        place = os.path.join(folder, ".git")
        if os.path.lexists(place):
            return place
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def _own_folder(place: str) -> str:
    """Where HEAD and the index are: of a worktree that is another folder, named in its file `.git`."""
    if os.path.isdir(place):
        return place
    try:
        with open(place, encoding="utf-8", errors="surrogateescape") as file:
            named = file.read(4096).partition("gitdir:")[2].strip()
    except OSError:
        return place
    return os.path.join(os.path.dirname(place), named)


def _written(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _commit(said: bytes) -> str:
    """The commit that `git status` tells."""
    found, changed = "", False
    for line in said.splitlines():
        if line.startswith(_HEAD_LINE):
            found = line.removeprefix(_HEAD_LINE).decode("ascii", "replace")
        elif not line.startswith(b"#"):
            changed = True
    if not found or not found.isalnum():
        # a repository without a commit says (initial)
        return ""
    return f"{found}+dirty" if changed else found
