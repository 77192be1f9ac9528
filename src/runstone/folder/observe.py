"""From a run folder to its status object."""

from __future__ import annotations

import os
import time
from typing import Any

from runstone.core.moves import DONE
from runstone.core.status import Observation, status_object
from runstone.errors import FolderError
from runstone.folder import clock, read


def observe(reading: read.Reading, path: str) -> dict[str, Any]:
    """The status object for what was read from the folder at `path`."""
    state = reading.state
    heuristic = reading.heuristic
    return status_object(
        reading.info,
        state,
        Observation(
            liveness=reading.liveness,
            source=reading.source,
            run_folder=printable(os.path.abspath(path)),
            heuristic=None if heuristic is None else getattr(heuristic, "value", heuristic),
            alive=reading.gone is False,
            copied=reading.copied,
            missing=reading.missing,
            notes=reading.notes,
            duration_seconds=duration(state.started_at, state.finished_at, running=state.status not in DONE),
        ),
    )


def duration(started_at: str | None, finished_at: str | None, *, running: bool) -> float | None:
    """Seconds from start to end; None while a run goes on, for a status object tells only what is recorded."""
    start, stop = clock.seconds(started_at), clock.seconds(finished_at)
    if start is None or stop is None or running:
        return None
    return round(max(0.0, stop - start), 6)


def status(path: str) -> dict[str, Any]:
    """The status object of the run in a folder; for what cannot be read `{"status": "missing"|"error", ...}`."""
    try:
        return observe(read.read_run(path), path)
    except (FileNotFoundError, NotADirectoryError):
        return failure(path, "missing", f"no run in {path}: run.json is not there")
    except FolderError as error:
        return failure(path, "error", str(error))
    except OSError as error:
        return failure(path, "error", f"{path} cannot be read: {error.strerror}")


def failure(path: str, word: str, error: str) -> dict[str, Any]:
    """The answer for a folder that gives no status object."""
    folder = printable(os.path.abspath(path))
    return {"run_folder": folder, "status": word, "status_source": "disk_heuristic", "error": printable(error)}


def printable(text: str) -> str:
    """Text that may come from a path, as JSON takes it: bytes that are no UTF-8 are shown as escapes."""
    return text.encode(errors="backslashreplace").decode()


def observed_at() -> str:
    """When an observation was made: told beside the status object, never in it."""
    return clock.rfc3339(time.time_ns())
