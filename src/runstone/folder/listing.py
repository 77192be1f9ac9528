"""Listing the runs in a folder: the newest by what they recorded, without reading more of them than needed.

A run's files cannot be older than what they record, but for a small delay, so their modification times say which runs
may be among the newest; what these recorded then decides.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Collection
from typing import Any

import msgspec

from runstone.core.moves import DONE
from runstone.core.statuses import RunStatus
from runstone.folder import checkpoint as checkpoints
from runstone.folder import clock, layout, observe
from runstone.folder.foreign import door
from runstone.folder.look import Look
from runstone.folder.sealed import unseal

# A file may be this much older, by its modification time, than the newest record in it says.
_SLACK_SECONDS = 3.0


class _End(msgspec.Struct):
    status: RunStatus
    updated_at: str | None = None


class _Quick(msgspec.Struct):
    state: _End


_decode_quick = msgspec.json.Decoder(_Quick).decode


def list_runs(folder: str, max_runs: int | None = None, statuses: Collection[str] = ()) -> dict[str, Any]:
    """The newest runs in `folder`, newest recorded activity first, each as its status object without `outputs`.

    max_runs: how many at most; None or 0 for all. statuses: only runs with one of these words to act on; all if empty.
    A run that cannot be read is an entry that says so, as active as its files are new. Among runs of the same moment,
    the order is that of their names.
    """
    entries, scanned, error = _scan(folder)
    count = max_runs if max_runs is not None and max_runs > 0 else len(entries)
    looked: dict[str, dict[str, Any]] = {}
    while True:
        names = _newest(folder, entries, count, statuses, looked)
        runs = {name: looked.get(name) or observe.status(os.path.join(folder, name)) for name in names}
        looked.update(runs)
        # a folder with a status.json of something else, or of an end that its journal does not confirm
        unwanted = {name for name, run in runs.items() if not _is_wanted(run["status"], statuses)}
        if not unwanted:
            break
        entries = [entry for entry in entries if entry[0] not in unwanted]
    for run in runs.values():
        run.pop("outputs", None)
    return {
        "runs": list(runs.values()),
        "total_count": len(runs),
        "folder": observe.printable(folder),
        "scanned_directories": scanned,
        "error": None if error is None else observe.printable(error),
    }


def _is_wanted(status: str, statuses: Collection[str]) -> bool:
    return status in statuses if statuses else status != "missing"


def _scan(folder: str) -> tuple[list[tuple[str, float]], int, str | None]:
    """Every run in the folder with the newest modification time of its files."""
    entries: list[tuple[str, float]] = []
    scanned = 0
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if not _is_folder(entry):
                    continue
                scanned += 1
                modified = _modified(entry.path)
                if modified is not None:
                    entries.append((entry.name, modified))
    except FileNotFoundError:
        return [], 0, f"there is no folder {folder}"
    except NotADirectoryError:
        return [], 0, f"{folder} is not a folder"
    except OSError as refusal:
        return [], scanned, f"{folder} cannot be read: {refusal.strerror}"
    return entries, scanned, None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # a link in a circle
        return False


def _modified(path: str) -> float | None:
    """When a run last changed by its files, None if this is no run."""
    try:
        return os.stat(f"{path}/{layout.CHECKPOINT}").st_mtime
    except OSError:
        pass
    try:
        newest = os.stat(f"{path}/{layout.RUN}").st_mtime
    except OSError:
        return door.modified(path)
    for name in (layout.journal(1), layout.JOURNAL):
        try:
            newest = max(newest, os.stat(f"{path}/{name}").st_mtime)
        except OSError:
            continue
    return newest


def _newest(
    folder: str,
    entries: list[tuple[str, float]],
    count: int,
    statuses: Collection[str],
    looked: dict[str, dict[str, Any]],
) -> list[str]:
    """The `count` newest, in order; what cannot be one of them by the times of its files is not opened.

    looked: the status objects of runs that had to be read for this; more are added.
    """
    entries.sort(key=lambda entry: entry[1], reverse=True)
    best: list[float] = []
    found: list[tuple[float, str]] = []
    for name, modified in entries:
        if len(best) == count and modified + _SLACK_SECONDS < best[0]:
            break
        activity, status = _activity(folder, name, modified, looked)
        if statuses and status not in statuses:
            continue
        found.append((-activity, name))
        if len(best) < count:
            heapq.heappush(best, activity)
        else:
            heapq.heappushpop(best, activity)
    found.sort()
    return [name for _, name in found[:count]]


def _activity(folder: str, name: str, modified: float, looked: dict[str, dict[str, Any]]) -> tuple[float, str]:
    """When a run recorded something for the last time, and how it stands.

    Where nothing can be read, the time is that of its files.
    """
    path = os.path.join(folder, name)
    if name not in looked:
        ended = _ended(path)
        if ended is not None:
            return ended
        looked[name] = observe.status(path)
        looked[name].pop("outputs", None)
    status = looked[name]
    return clock.seconds(status.get("updated_at")) or modified, status["status"]


def _ended(path: str) -> tuple[float, str] | None:
    """When a run was last active and how it ended by its checkpoint alone; None unless that is all there is to know."""
    try:
        with Look(path) as look:
            body = unseal(look.read(layout.CHECKPOINT, checkpoints.LIMIT) or b"")
        if body is None:
            return None
        state = _decode_quick(body).state
        moment = clock.seconds(state.updated_at) if state.status in DONE else None
        return None if moment is None else (moment, state.status.value)
    except Exception:
        # whatever is wrong with it is told by its own entry
        return None
