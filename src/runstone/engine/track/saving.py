"""Files that are saved with a tracked run: only for these it has a folder."""

from __future__ import annotations

import os
from typing import Any

from runstone.core.events import ArtifactSaved
from runstone.engine.track import complaints, given
from runstone.engine.track.recording import Recording
from runstone.errors import InputError, StorageError
from runstone.folder import artifacts, disk, track_files
from runstone.folder.preview import type_name


def save(recording: Recording | None, stage: str, path: str | os.PathLike[str], about: dict[str, Any]) -> ArtifactSaved:
    """Copy a file into the folder of a run, and record it. about: what else `runstone.artifact` takes, by its names.

    Of what cannot be kept the record has no id, and the path that was given; why is said once. Never raises.
    """
    try:
        source = os.fsdecode(path)
    except TypeError:
        what = "None" if path is None else f"a {type_name(path)}"
        complaints.once("type file", f"artifact() was given {what}, and keeps nothing: give the path of a file")
        return _nothing(path, stage)
    try:
        if recording is None:
            complaints.once("early file", f"artifact({path!r}) is not kept: the run is not being recorded")
        else:
            found = _save(recording, stage, source, about)
            if found is not None:
                return found
            complaints.once("late file", f"artifact({path!r}) is not kept: run {recording.run_id[:8]} has ended")
    except InputError as error:
        complaints.once(f"file {error}", str(error))
    except (StorageError, OSError) as error:
        complaints.once("file", f"artifact({path!r}) is not kept: {error}")
    except Exception as error:
        complaints.unexpected(error)
    return _nothing(path, stage)


def _nothing(path: Any, stage: str) -> ArtifactSaved:
    return ArtifactSaved(
        seq=0, at="", artifact_id="", path=given.as_text(path), name="", artifact_type="", content_type="",
        size_bytes=0, sha256="", block=stage,
    )  # fmt: skip


def _save(recording: Recording, stage: str, source: str, about: dict[str, Any]) -> ArtifactSaved | None:
    if recording.ended:
        return None
    journal = recording.journal
    folder = track_files.run_folder(journal.root, recording.run_id)
    new = not os.path.isdir(folder)
    disk.make_folder(folder, parents=True)
    if new:
        disk.sync_folder(os.path.dirname(folder))
    fields = artifacts.copy_in(folder, source, block=stage, element=None, **about)
    copy = os.path.join(folder, fields["path"])
    fields["path"] = os.path.relpath(copy, journal.root)
    said = {name: value for name, value in fields.items() if name not in ("block", "element")}
    saved = recording.saved(said)
    if saved is None:
        disk.remove(copy)
        return None
    seq, at = saved
    return ArtifactSaved(seq=seq, at=at, **fields)
