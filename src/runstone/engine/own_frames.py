"""How the errors of a run leave it: a program that called `run` sees its own frames, not Runstone's."""

from __future__ import annotations

import os
import sys
from types import TracebackType

from runstone.errors import RunFailed
from runstone.folder.resolve import shown

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class OwnFramesHidden:
    """While entered, a failed run and Ctrl-C leave without the frames of Runstone, the caller's own ones stay.

    After Ctrl-C a line on standard error tells where the run is recorded. Every other error is a fault to be found, so
    it keeps all of its traceback. run_id, folder: of the run; folder is None if it is not kept.
    """

    def __init__(self, run_id: str, folder: str | None) -> None:
        self._run_id = run_id
        self._folder = folder

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not isinstance(error, (RunFailed, KeyboardInterrupt)):
            return
        # what is raised on from here has this traceback, to which only the frames of callers are added
        hide_own_frames(error)
        if isinstance(error, RunFailed) and error.__cause__ is not None:
            hide_own_frames(error.__cause__)
        elif isinstance(error, KeyboardInterrupt) and self._folder is not None and sys.stderr is not None:
            folder = shown(self._folder)
            sys.stderr.write(
                f"run {self._run_id[:8]} is recorded in {folder}; go on: run(..., run_folder={folder!r}, resume=True)\n"
            )


def hide_own_frames(error: BaseException) -> None:
    """Leave only frames of others in the traceback of an error."""
    kept: list[TracebackType] = []
    trace = error.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_OURS):
            kept.append(trace)
        trace = trace.tb_next
    below: TracebackType | None = None
    for each in reversed(kept):
        below = TracebackType(below, each.tb_frame, each.tb_lasti, each.tb_lineno)
    error.__traceback__ = below
