"""Stopping a run from outside of its process: `run.cancel()` and `runstone cancel`."""

from __future__ import annotations

import getpass
import time
from typing import Any

from runstone.core.reasons import Reason
from runstone.core.statuses import Liveness, RunStatus
from runstone.engine.finish import write_end
from runstone.errors import FolderError, ForeignFolder
from runstone.folder import identity, requests
from runstone.folder.foreign import door
from runstone.folder.observe import status

_LOOK = 0.05


def cancel(folder: str, *, message: str = "", wait: float = 0.0, unproven: bool = False) -> dict[str, Any]:
    """Ask a run to stop, and return how it stands then; a run whose driver is proven dead is ended here.

    wait: seconds to wait for its end. unproven: a person's word that the driver on another host is dead.
    Raises FolderError if the folder cannot be read or written.
    """
    if door.is_run(folder):
        raise ForeignFolder(door.refusal(folder))
    found = _status(folder)
    if found["done"]:
        return found
    if found["liveness"] == Liveness.GONE or unproven:
        # then it cannot answer, and its work is dead with it
        reason = Reason.CANCEL_REQUESTED if found["liveness"] == Liveness.GONE else Reason.CANCEL_UNCONFIRMED
        try:
            write_end(folder, RunStatus.CANCELLED, reason=reason, message=message, by=who(), unproven=unproven)
        except FolderError:
            # somebody else may have been first
            found = _status(folder)
            if not found["done"]:
                raise
        return _status(folder)
    requests.leave(folder, requests.CANCEL, by=who(), message=message)
    until = time.monotonic() + wait
    while not found["done"] and found["liveness"] != Liveness.GONE and time.monotonic() < until:
        time.sleep(_LOOK)
        found = _status(folder)
    if found["liveness"] == Liveness.GONE and not found["done"]:
        return cancel(folder, message=message)
    return found


def _status(folder: str) -> dict[str, Any]:
    found = status(folder)
    if "done" not in found:
        raise FolderError(str(found["error"]))
    return found


def who() -> str:
    """This user, as a request names it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user}@{identity.host()}"
