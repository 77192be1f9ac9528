"""`pipefunc_status.json`: the sign of life of an asynchronous run, and how its task ended."""

from __future__ import annotations

from math import isfinite

import msgspec

from runstone.errors import FolderError
from runstone.folder import clock
from runstone.folder.foreign.pipefunc import layout
from runstone.folder.foreign.pipefunc.moments import rfc3339
from runstone.folder.look import Look

STALE_SECONDS = 60.0
"""What is silent for longer counts as lost, where the file does not say: twice pipefunc's own interval."""

# A copy that was not told to keep the times of files has others than those its content speaks of.
_SAME_MOMENT = 5.0
_LATER = 2.0
_WORDS = ("pending", "running", "completed", "failed", "cancelled")
_LONGEST = 7 * 86_400.0


class Progress(msgspec.Struct):
    """How far a function is. Failures count as progress."""

    function_name: str = ""
    output_names: list[str] = []
    state: str = ""
    progress: float = 0.0
    n_total: int | None = None
    n_completed: int = 0
    n_failed: int = 0

    @property
    def n_attempted(self) -> int:
        """How many elements have ended, well or not."""
        return max(0, self.n_completed) + max(0, self.n_failed)


class _File(msgspec.Struct):
    status: str
    updated_at: str
    outputs: dict[str, Progress] = {}
    functions: list[Progress] = []
    stale_after_seconds: float = STALE_SECONDS


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """at: seconds since 1970 on the clock of the process. told_at: the same as the file says it."""

    status: str
    at: float
    told_at: str
    stale_after: float
    outputs: dict[str, Progress]
    functions: list[Progress]

    @property
    def ended(self) -> bool:
        """Whether the task has ended, so that nothing more will come."""
        return self.status in ("completed", "failed", "cancelled")

    def silent(self, now: float) -> bool:
        """Whether this is no sign of life any more; nor is one from a future that no clock explains."""
        return abs(now - self.at) > self.stale_after


_decode = msgspec.json.Decoder(_File).decode


def read(look: Look) -> tuple[Heartbeat | None, str | None]:
    """The heartbeat, and why it is not used, where there is one that cannot be, or that a later attempt left behind."""
    try:
        data = look.read(layout.HEARTBEAT, layout.LIMIT)
    except FolderError as error:
        return None, str(error)
    if data is None:
        return None, None
    try:
        found = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, f"{layout.HEARTBEAT} is damaged and was not used"
    at = clock.seconds(found.updated_at)
    if at is None or found.status not in _WORDS:
        return None, f"{layout.HEARTBEAT} is damaged and was not used"
    if _is_outdated(look, at):
        return None, f"{layout.HEARTBEAT} says {found.status}, and is of an attempt before the last"
    limit = found.stale_after_seconds
    heartbeat = Heartbeat(
        status=found.status,
        at=at,
        told_at=rfc3339(at),
        stale_after=min(limit, _LONGEST) if isfinite(limit) and limit > 0 else STALE_SECONDS,
        outputs=found.outputs,
        functions=found.functions,
    )
    return heartbeat, None


def _is_outdated(look: Look, at: float) -> bool:
    """Whether a later attempt has begun since: that writes run_info.json anew, and need not write a heartbeat."""
    own, started = look.stat(layout.HEARTBEAT), look.stat(layout.RUN)
    if own is None or started is None or abs(own.st_mtime - at) > _SAME_MOMENT:
        return False
    return started.st_mtime > own.st_mtime + _LATER
