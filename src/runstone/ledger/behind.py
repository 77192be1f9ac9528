"""Runs that ended while the ledger could not be written: a note for each, until somebody has brought them there."""

from __future__ import annotations

import contextlib
import os
import time

import msgspec

from runstone import config
from runstone.core.tracked import TrackDeleted, TrackEvent, TrackStarted
from runstone.errors import FolderError, LedgerError
from runstone.folder import disk, track_files, track_reading
from runstone.ledger.place import Place
from runstone.ledger.port import Store

_FOLDER = "behind"
_LONGEST = 64 * 1024
_LINES = 400_000


class _Note(msgspec.Struct):
    ledger: str
    folder: str


def remember(place: Place, run_id: str, folder: str, *, root: str | None = None) -> None:
    """Leave a note; where not even that can be written, `runstone ledger sync` finds the run.

    For the tracked runs of a process, run_id is the name of their journal, and folder the path to it; such a note is
    there as long as the process is. root: of the project, if it is not that of the current folder.
    """
    with contextlib.suppress(OSError, FolderError):
        path = note(run_id, root)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        disk.replace(path, msgspec.json.encode(_Note(place.shown, folder)))


def note(run_id: str, root: str | None = None) -> str:
    """Where the note about a run is."""
    return os.path.join(_notes(root), f"{run_id}.json")


def forget(path: str) -> None:
    """Take a note away."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def catch_up(store: Store, root: str | None = None, seconds: float | None = None) -> None:
    """Bring the runs of all notes in a project into the ledger. root: as in `remember`. seconds: for no longer than so.

    Raises LedgerError; then the rest is tried again another time.
    """
    until = None if seconds is None else time.monotonic() + seconds
    notes = runs(store.where, root)
    if not notes:
        return
    from runstone.ledger.of_folder import project

    for path, note in notes:
        if until is not None and time.monotonic() > until:
            return
        try:
            project(store, note)
        except (FolderError, FileNotFoundError, NotADirectoryError, ValueError) as error:
            # deleted meanwhile, or damaged, or no path at all: `runstone ledger check` tells
            if _is_passing(error):
                continue
        except OSError:
            continue
        except LedgerError as error:
            # one that is of no kind is about this run, which nobody brings there: `runstone ledger sync` tells
            if type(error) is not LedgerError:
                raise
        forget(path)


def _is_passing(error: BaseException) -> bool:
    """Whether it follows from what may be otherwise another time: a disk that is away, no more files to be had."""
    cause = error.__cause__ or error.__context__
    return isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError | NotADirectoryError)


def runs(ledger: str, root: str | None = None) -> list[tuple[str, str]]:
    """What is to come into the ledger that is shown so: the path of each note, and the folder of the run."""
    found = _read(_notes(root))
    return [(path, note.folder) for path, note in found if note.ledger == ledger and not _is_journal(note)]


def journals(ledger: str, root: str) -> list[tuple[str, str]]:
    """The same of the journals of tracked runs that dead processes left."""
    found = [(path, note) for path, note in _read(_notes(root)) if note.ledger == ledger and _is_journal(note)]
    return [(path, note.folder) for path, note in found if not _is_being_written(note)]


def on_the_way(ledger: str, store: Store | None, root: str | None = None) -> int:
    """How many runs are to come into the ledger that is shown so, those of pipelines and tracked ones.

    Of journals no more than the first few hundred thousand lines are looked at. store: that ledger, None if there is
    none yet. root: as in `remember`. Raises LedgerError.
    """
    from runstone.ledger import of_track

    left = 0
    lines = _LINES
    for _, path in journals(ledger, root or config.project_root()):
        said, lines = _said_by(path, lines)
        ids = list(said)
        for start in range(0, len(ids), of_track.BATCH):
            batch = ids[start : start + of_track.BATCH]
            known = {} if store is None else of_track.known_runs(store, batch)
            left += sum(not (run in known and known[run].seq >= said[run]) for run in batch)
    return left + len(runs(ledger, root))


def _said_by(path: str, lines: int) -> tuple[dict[str, int], int]:
    """The runs that a journal begins, each with the number of its last line; and how many lines are left to look at."""
    said: dict[str, int] = {}
    deleted: set[str] = set()
    with contextlib.suppress(OSError, FolderError), track_files.TrackFile(path) as file:
        for _, event in file.events():
            lines -= 1
            if lines < 0:
                break
            if isinstance(event, TrackDeleted):
                deleted.add(event.run)
            elif isinstance(event, TrackStarted) and event.ledger is None:
                said[event.run] = max(event.seq, said.get(event.run, 0))
            elif isinstance(event, TrackEvent) and event.run in said:
                said[event.run] = max(event.seq, said[event.run])
    return {run: seq for run, seq in said.items() if run not in deleted}, max(lines, 0)


def waiting(root: str | None = None) -> int:
    """How many runs, and journals of tracked runs, have a note. root: as in `remember`."""
    return sum(not _is_being_written(note) for _, note in _read(_notes(root)))


def _is_journal(note: _Note) -> bool:
    return note.folder.endswith(track_files.SUFFIX)


def _is_being_written(note: _Note) -> bool:
    """Whether it is about the tracked runs of a process that may be alive: it brings them itself."""
    return _is_journal(note) and track_reading.is_being_written(note.folder)


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


def _notes(root: str | None = None) -> str:
    return os.path.join(root or config.project_root(), config.OWN, _FOLDER)
