"""From a run folder to its status object."""

from __future__ import annotations

import os
import time
from typing import Any

from runstone.core.annotated import acting_tags
from runstone.core.block_status import block_object
from runstone.core.run_state import BlockState, RunState
from runstone.core.status import Observation, block_statuses, status_object
from runstone.core.statuses import Liveness
from runstone.errors import FolderError, ForeignFolder
from runstone.folder import annotations as annotations_of
from runstone.folder import clock, read, requests
from runstone.folder.foreign import door

_TIME = 40
"""Characters of a time that somebody else has written, at most."""


def observe(reading: read.Reading, path: str, block: str | None = None) -> dict[str, Any]:
    """The status object for what was read from the folder at `path`.

    block: add `block`, the record of this one. Raises FolderError if the run has none of this name.
    """
    seen = observation(reading, path)
    info, state = reading.info, reading.state
    found = status_object(info, state, seen)
    found["tags"] = acting_tags(info.tags, annotations_of.read_from(path))
    if block is not None:
        described = next((each for each in info.blocks if each.name == block), None)
        if described is None:
            raise FolderError(f"the run in {path} has no block {block!r}")
        word = block_statuses(info, state, seen, found["outputs"])[block]
        seconds = block_seconds(state.blocks[block], state.updated_at if word == "crashed" else None)
        found["block"] = block_object(described, state.blocks[block], word, found["outputs"], seconds)
    return found


def acting_blocks(path: str) -> dict[str, str]:
    """Every block of the run in a folder, with the word to act on. Raises what `read_run` raises."""
    reading = read.read_run(path)
    seen = observation(reading, path)
    outputs = status_object(reading.info, reading.state, seen)["outputs"]
    return block_statuses(reading.info, reading.state, seen, outputs)


def observation(reading: read.Reading, path: str) -> Observation:
    """What was found about the folder at `path` and its driver, as the status object needs it."""
    state = reading.state
    heuristic = reading.heuristic
    crashed = reading.liveness is Liveness.GONE and not state.done
    return Observation(
        liveness=reading.liveness,
        source=reading.source,
        run_folder=printable(os.path.abspath(path)),
        heuristic=None if heuristic is None else getattr(heuristic, "value", heuristic),
        alive=reading.gone is False,
        copied=reading.copied,
        missing=reading.missing,
        notes=reading.notes,
        duration_seconds=run_seconds(state, crashed=crashed),
        cancel_requested_at=None if state.done else _asked_at(path),
    )


def _asked_at(path: str) -> str | None:
    """When somebody asked the run to stop, as far as its folder says."""
    asked = requests.pending(path, requests.CANCEL) if requests.exist(path) else None
    return None if asked is None else printable(asked.at[:_TIME])


def run_seconds(state: RunState, *, crashed: bool) -> float | None:
    """How long a run took: to its end, or to the last that was recorded if its driver died; None while it goes on."""
    return duration(
        state.started_at, state.updated_at if crashed else state.finished_at, running=not (state.done or crashed)
    )


def block_seconds(block: BlockState, last: str | None) -> float | None:
    """How long a block took. last: when the last was recorded, if it was being executed when its driver died."""
    if block.duration is not None:
        return block.duration
    return duration(block.started_at, block.finished_at or last, running=False)


def duration(started_at: str | None, finished_at: str | None, *, running: bool) -> float | None:
    """Seconds from start to end; None while a run goes on, for a status object tells only what is recorded."""
    start, stop = clock.seconds(started_at), clock.seconds(finished_at)
    if start is None or stop is None or running:
        return None
    return round(max(0.0, stop - start), 6)


def status(path: str, block: str | None = None) -> dict[str, Any]:
    """The status object of the run in a folder; for what cannot be read `{"status": "missing"|"error", ...}`.

    block: add `block`, the record of this one.
    """
    try:
        return _status(path, block)
    except (FileNotFoundError, NotADirectoryError):
        return failure(path, "missing", f"no run in {path}: run.json is not there")
    except FolderError as error:
        return failure(path, "error", str(error))
    except OSError as error:
        return failure(path, "error", f"{path} cannot be read: {error.strerror}")


def _status(path: str, block: str | None) -> dict[str, Any]:
    try:
        return observe(read.read_run(path), path, block)
    except ForeignFolder:
        return door.status(path, block)


def failure(path: str | None, word: str, error: str) -> dict[str, Any]:
    """The answer for a folder that gives no status object. path: None for a run that has no folder."""
    return {
        "run_folder": None if path is None else printable(os.path.abspath(path)),
        "status": word,
        "status_source": "disk_heuristic" if path is not None else "ledger",
        "error": printable(error),
    }


def printable(text: str) -> str:
    """Text that may come from a path, as JSON takes it: bytes that are no UTF-8 are shown as escapes."""
    return text.encode(errors="backslashreplace").decode()


def observed_at() -> str:
    """When an observation was made: told beside the status object, never in it."""
    return clock.rfc3339(time.time_ns())
