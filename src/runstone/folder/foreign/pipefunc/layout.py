"""The names of everything in a run folder of pipefunc."""

from __future__ import annotations

import os
import re
import stat

from runstone.folder.foreign import door

RUN = door.PIPEFUNC
HEARTBEAT = "pipefunc_status.json"
LIMIT = 8 * 1024 * 1024
"""Bytes that a reader takes of either at most."""

OUTPUTS = "outputs"
DEFAULTS = "defaults/defaults.cloudpickle"
DICT_ARRAY = "dict_array.cloudpickle"

_ELEMENT = re.compile(r"__(0|[1-9][0-9]{0,18})__\.pickle", re.ASCII)
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
# Folders of arrays whose own times are looked at to tell when a run last wrote something, without opening them.
_GLANCED = 200
_CHUNKS = ("", "/array", "/array/c")


def is_name(text: str) -> bool:
    """Whether an output can be called so: what becomes a path must be no path."""
    return len(text.encode(errors="replace")) <= 200 and _NAME.fullmatch(text) is not None


def value(output: str) -> str:
    """The file of an output without an array."""
    return f"{OUTPUTS}/{output}.cloudpickle"


def array(output: str) -> str:
    """The folder of an output with an array."""
    return f"{OUTPUTS}/{output}"


def element(name: str) -> int | None:
    """The flat number, row by row, of the element in a file of a file array; None if it is another file."""
    match = _ELEMENT.fullmatch(name)
    return int(match[1]) if match else None


def modified(folder: str) -> float:
    """When something last changed in a run folder, as far as a glance tells: not earlier than its files say."""
    times = [_time(f"{folder}/{name}") for name in (RUN, HEARTBEAT, OUTPUTS)]
    try:
        if not stat.S_ISDIR(os.lstat(f"{folder}/{OUTPUTS}").st_mode):
            return max(times)
        with os.scandir(f"{folder}/{OUTPUTS}") as entries:
            for entry, _ in zip(entries, range(_GLANCED), strict=False):
                chunks = _CHUNKS if entry.is_dir(follow_symlinks=False) else _CHUNKS[:1]
                times.extend(_time(entry.path + chunk) for chunk in chunks)
    except OSError:
        pass
    return max(times)


def _time(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0
