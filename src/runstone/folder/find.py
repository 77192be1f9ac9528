"""The status of what a user names, for commands that always answer with JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from runstone.errors import FolderError, RunNotFound
from runstone.folder import layout, observe
from runstone.folder.foreign import door
from runstone.folder.look import Look
from runstone.folder.resolve import Located, locate


def status_of(run: str, *, include_run_info: bool = False, locate: Callable[[str], Located] = locate) -> dict[str, Any]:
    """The status object of a run; `{"status": "missing"|"error", "error": ...}` where there is none to be had.

    Of RUN/BLOCK it has the record of that block, `block`, as well. locate: finds what RUN means, or raises RunNotFound.
    include_run_info: add `run_info`, the content of `run.json`, or of pipefunc's `run_info.json`.
    """
    try:
        found = locate(run)
    except RunNotFound as error:
        return observe.failure(run, "missing", str(error))
    status = observe.status(found.folder, found.block)
    if include_run_info and "error" not in status:
        status["run_info"] = _run_info(found.folder)
    return status


def _run_info(folder: str) -> Any:
    if door.is_run(folder):
        return door.run_info(folder)
    try:
        with Look(folder) as look:
            return msgspec.json.decode(look.read(layout.RUN, layout.RUN_LIMIT) or b"null")
    except (OSError, FolderError, msgspec.DecodeError):
        return None
