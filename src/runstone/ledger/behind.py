"""Runs that ended while the ledger could not be written: a note for each, until somebody has brought them there."""

from __future__ import annotations

import contextlib
import os

import msgspec

from runstone import config
from runstone.errors import FolderError
from runstone.folder import disk
from runstone.ledger.place import Place
from runstone.ledger.port import Store

_FOLDER = "behind"
_LONGEST = 64 * 1024


class _Note(msgspec.Struct):
    ledger: str
    folder: str


def remember(place: Place, run_id: str, folder: str) -> None:
    """Leave a note; where not even that can be written, `runstone ledger sync` finds the run."""
    notes = _notes()
    with contextlib.suppress(OSError, FolderError):
        os.makedirs(notes, exist_ok=True)
        disk.replace(os.path.join(notes, f"{run_id}.json"), msgspec.json.encode(_Note(place.shown, folder)))


def catch_up(store: Store, place: Place) -> None:
    """Bring the runs of all notes into the ledger. Raises LedgerError; then the rest is tried again another time."""
    notes = _read(_notes())
    if not notes:
        return
    from runstone.ledger.of_folder import project

    for path, note in notes:
        if note.ledger != place.shown:
            continue
        try:
            project(store, note.folder)
        except (FolderError, OSError):
            # deleted meanwhile, or damaged: `runstone ledger check` tells
            pass
        with contextlib.suppress(OSError):
            os.unlink(path)


def waiting() -> int:
    """How many runs have a note."""
    return len(_read(_notes()))


def _read(folder: str) -> list[tuple[str, _Note]]:
    found = []
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".json") and not name.startswith(".")]
    except OSError:
        return []
    for name in names:
        path = os.path.join(folder, name)
        try:
            with open(path, "rb") as file:
                found.append((path, msgspec.json.decode(file.read(_LONGEST), type=_Note)))
        except (OSError, msgspec.DecodeError):
            continue
    return found


def _notes() -> str:
    return os.path.join(config.project_root(), config.OWN, _FOLDER)
