"""Listing the runs in a folder: the newest by what they recorded, without reading more of them than needed.

A run's files cannot be older than what they record, but for a small delay, so their modification times say which runs
may be among the newest; what these recorded then decides.
"""

from __future__ import annotations

import heapq
import os
from typing import Any

import msgspec

from runstone.folder import clock, layout, observe
from runstone.folder.look import Look

# A heartbeat may be this much older than the newest record beside it.
_SLACK_SECONDS = 3.0
_QUICK_LIMIT = 64 * 1024 * 1024


class _Updated(msgspec.Struct):
    updated_at: str | None = None


class _Quick(msgspec.Struct):
    state: _Updated


_decode_quick = msgspec.json.Decoder(_Quick).decode


def list_runs(folder: str, max_runs: int | None = None) -> dict[str, Any]:
    """The newest runs in `folder`, newest recorded activity first, each as its status object without `outputs`.

    max_runs: how many at most; None or 0 for all. A run that cannot be read is an entry that says so.
    """
    entries, scanned, error = _scan(folder)
    names = _newest(folder, entries, max_runs) if max_runs and max_runs > 0 else [name for name, _ in entries]
    runs = [observe.status(os.path.join(folder, name)) for name in names]
    runs.sort(key=_activity, reverse=True)
    if max_runs and max_runs > 0:
        runs = runs[:max_runs]
    for run in runs:
        run.pop("outputs", None)
    return {"runs": runs, "total_count": len(runs), "folder": folder, "scanned_directories": scanned, "error": error}


def _scan(folder: str) -> tuple[list[tuple[str, float]], int, str | None]:
    """Every run in the folder with the newest modification time of its files."""
    entries: list[tuple[str, float]] = []
    scanned = 0
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if not entry.is_dir():
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


def _modified(path: str) -> float | None:
    """When a run last changed by its files, None if this is no run."""
    try:
        return os.stat(f"{path}/{layout.CHECKPOINT}").st_mtime
    except OSError:
        pass
    try:
        newest = os.stat(f"{path}/{layout.RUN}").st_mtime
    except OSError:
        return None
    for name in (layout.journal(1), layout.JOURNAL):
        try:
            newest = max(newest, os.stat(f"{path}/{name}").st_mtime)
        except OSError:
            continue
    return newest


def _newest(folder: str, entries: list[tuple[str, float]], count: int) -> list[str]:
    """Names that hold the `count` newest runs for certain."""
    entries.sort(key=lambda entry: entry[1], reverse=True)
    best: list[float] = []
    found: list[tuple[float, str]] = []
    for name, modified in entries:
        if len(best) == count and modified + _SLACK_SECONDS < best[0]:
            break
        activity = _recorded(os.path.join(folder, name), modified)
        found.append((activity, name))
        if len(best) < count:
            heapq.heappush(best, activity)
        else:
            heapq.heappushpop(best, activity)
    limit = best[0] - _SLACK_SECONDS if best else 0.0
    found.sort(reverse=True)
    return [name for number, (activity, name) in enumerate(found) if number < count or activity >= limit][: count * 4]


def _recorded(path: str, modified: float) -> float:
    """When a run was last active by its checkpoint alone; by its files if there is none."""
    try:
        with Look(path) as look:
            data = look.read(layout.CHECKPOINT, _QUICK_LIMIT)
        if data is None:
            return modified
        return clock.seconds(_decode_quick(data).state.updated_at) or modified
    except Exception:
        # whatever is wrong with it is told by its own entry
        return modified


def _activity(run: dict[str, Any]) -> float:
    return clock.seconds(run.get("updated_at")) or 0.0
