"""Deleting runs: their folders, their rows, what was said about them; and giving the space back.

In this order: the folders are moved aside, the rows go in one transaction, the files go. So whoever dies in between has
deleted a run or has not; what is left of it is removed by the next who deletes or cleans up.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import msgspec

from runstone.core.events import Driver
from runstone.errors import FolderError, LedgerError, RunError, StorageError
from runstone.folder import identity, removal, track_removal
from runstone.folder.look import Look
from runstone.folder.read import read_info
from runstone.folder.weight import Weight
from runstone.ledger import acting
from runstone.ledger.port import Store
from runstone.ledger.sqlite import SqliteStore
from runstone.ledger.tables import forget

_AT_ONCE = 100
"""Runs whose rows go in one transaction."""

_ROW = "SELECT run_key, status, CAST(driver AS TEXT), run_folder FROM pipeline_run WHERE run_id = :run_id"
_PLACES = "SELECT p.path FROM place p JOIN pipeline_run r ON r.run_key = p.run_key WHERE r.run_id = :run_id"
_FORGET_PLACE = (
    "DELETE FROM place WHERE path = :path AND run_key = (SELECT run_key FROM pipeline_run WHERE run_id = :run_id)"
)
_TRACKED = "SELECT CAST(driver AS TEXT) FROM pipeline_run WHERE run_id = :run_id AND kind = 'stage'"
_FORGET_SAID = "DELETE FROM annotation WHERE run_id = :run_id"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is to go. status: the word to act on; at: when it was last active; folders: where it lies.

    copy: only this folder goes, the run itself lies elsewhere and stays.
    """

    run_id: str
    workspace: str
    pipeline: str
    status: str
    created_at: str
    at: str
    folders: list[str]
    copy: bool = False


class Doomed(msgspec.Struct, frozen=True, kw_only=True):
    """A run that goes, or has gone. bytes: of disk that its folders give back; what another run shares stays."""

    target: Target
    bytes: int


class Spared(msgspec.Struct, frozen=True, kw_only=True):
    """A run that stays. why: in words."""

    target: Target
    why: str


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What went. bytes: of disk that came free; ledger_bytes: of these, in the ledger.

    finished: folders that earlier deletions had left behind. left: what could not be removed yet, and why.
    """

    runs: list[Doomed] = []
    spared: list[Spared] = []
    bytes: int = 0
    ledger_bytes: int = 0
    finished: int = 0
    left: list[str] = []
    dry_run: bool = False


def plan(store: Store | None, targets: Iterable[Target], *, unproven: bool = False) -> Deleted:
    """What would go and what would stay, and the bytes. Changes nothing. See `delete_runs`."""
    weight = Weight()
    doomed: list[Doomed] = []
    spared: list[Spared] = []
    for target in targets:
        why = why_not(store, target, unproven=unproven)
        if why is not None:
            spared.append(Spared(target=target, why=why))
        else:
            folders = [*target.folders, *_saved(store, target)]
            doomed.append(Doomed(target=target, bytes=sum(weight.add(folder) for folder in folders)))
    return Deleted(runs=doomed, spared=spared, bytes=weight.bytes, dry_run=True)


def delete_runs(store: Store | None, targets: Iterable[Target], *, unproven: bool = False) -> Deleted:
    """Delete runs; those stay whose process is alive, or not proven dead.

    store: None if there is no ledger. unproven: a person's word that a process of which nothing can be proven is dead.
    Raises LedgerError; then the runs that it was about are as they were.
    """
    planned = plan(store, targets, unproven=unproven)
    before = 0 if store is None else store.size_bytes()
    gone: list[Doomed] = []
    spared = list(planned.spared)
    left: list[str] = []
    for start in range(0, len(planned.runs), _AT_ONCE):
        part = planned.runs[start : start + _AT_ONCE]
        moved = _move_aside(part, spared, unproven=unproven)
        try:
            left += _forget(store, [doomed.target for doomed, _ in moved])
        except BaseException:
            for _, asides in moved:
                _put_back(asides)
            raise
        for doomed, asides in moved:
            gone.append(doomed)
            left += _remove(asides)
    freed = _release(store, before) if gone else 0
    return Deleted(
        runs=gone,
        spared=spared,
        bytes=sum(doomed.bytes for doomed in gone) + freed,
        ledger_bytes=freed,
        left=left,
    )


def finish(store: Store | None, roots: Iterable[str]) -> Deleted:
    """Do what deletions have left undone in these folders whose processes died. Raises LedgerError."""
    weight = Weight()
    finished = 0
    left: list[str] = []
    before = 0 if store is None else store.size_bytes()
    for root in dict.fromkeys(roots):
        for aside, run_id in removal.left_behind(root):
            weight.add(aside.place)
            if store is not None and run_id is not None and not _is_there_again(store, run_id):
                _forget_rows(store, [run_id])
            left += _remove([aside])
            finished += 1
    freed = _release(store, before) if finished else 0
    return Deleted(bytes=weight.bytes + freed, ledger_bytes=freed, finished=finished, left=left)


def why_not(store: Store | None, target: Target, *, unproven: bool = False) -> str | None:
    """Why a run may not be deleted, in words; None if it may."""
    ended = False
    for folder in target.folders:
        try:
            why = removal.living(folder, unproven=unproven)
        except (OSError, FolderError) as error:
            why = None if _row_has_ended(store, target.run_id) else f"nobody can tell whether it has ended: {error}"
        if why is not None:
            return why
        ended = True
    if ended or store is None:
        return None
    return _why_not_by_row(store, target.run_id, unproven=unproven)


def _row_has_ended(store: Store | None, run_id: str) -> bool:
    row = [] if store is None else store.rows(_ROW, {"run_id": run_id})
    return bool(row) and row[0][1] not in acting.UNFINISHED


def _why_not_by_row(store: Store, run_id: str, *, unproven: bool) -> str | None:
    """The same for a run of which there is only a row."""
    row = store.rows(_ROW, {"run_id": run_id})
    if not row or row[0][1] not in acting.UNFINISHED:
        return None
    status, said = str(row[0][1]), row[0][2]
    try:
        driver = None if said is None else msgspec.json.decode(said, type=Driver)
    except msgspec.DecodeError:
        driver = None
    gone = None if driver is None else identity.is_gone(driver)
    if gone or (gone is None and unproven):
        return None
    if driver is None:
        return f"it is {status}, and whoever has it may not know that it goes; cancel it first"
    proof = "is alive" if gone is False else "is not proven dead"
    return f"it is {status}, and its process (pid {driver.pid} on {driver.host}) {proof}"


def _move_aside(
    part: Sequence[Doomed], spared: list[Spared], *, unproven: bool
) -> list[tuple[Doomed, list[removal.Aside]]]:
    moved: list[tuple[Doomed, list[removal.Aside]]] = []
    for doomed in part:
        asides: list[removal.Aside] = []
        try:
            asides.extend(removal.move_aside(folder, unproven=unproven) for folder in doomed.target.folders)
        except FolderError as error:
            _put_back(asides)
            spared.append(Spared(target=doomed.target, why=str(error)))
        else:
            moved.append((doomed, asides))
    return moved


def _put_back(asides: Iterable[removal.Aside]) -> None:
    for aside in asides:
        removal.put_back(aside)


def _remove(asides: Iterable[removal.Aside]) -> list[str]:
    """Returns what stays and why."""
    left: list[str] = []
    for aside in asides:
        try:
            removal.remove(aside)
        except StorageError as error:
            left.append(str(error))
    return left


def _forget(store: Store | None, targets: Iterable[Target]) -> list[str]:
    """Returns what stays of tracked runs, and why."""
    if store is None:
        return []
    targets = list(targets)
    tombstones = track_removal.of_runs(
        (run_id, journal) for target in targets for run_id, journal in _tracked(store, target.run_id)
    )
    with store.writing():
        for target in targets:
            if target.copy:
                for path in target.folders:
                    store.rows(_FORGET_PLACE, {"path": os.path.abspath(path), "run_id": target.run_id})
            else:
                _forget_inside(store, target.run_id)
    return [why for root in tombstones for why in track_removal.finish(root)]


def _saved(store: Store | None, target: Target) -> list[str]:
    """The folder of the files that were saved with a tracked run."""
    tracked = [] if store is None or target.folders else _tracked(store, target.run_id)
    return [folder for run_id, journal in tracked if (folder := track_removal.saved_folder(run_id, journal))]


def _tracked(store: Store, run_id: str) -> list[tuple[str, str]]:
    """A run that has no folder because it was tracked: its id, and the journal that its row names."""
    found = store.rows(_TRACKED, {"run_id": run_id})
    return [(run_id, journal) for (driver,) in found if (journal := acting.journal_of(driver))]


def _forget_rows(store: Store, run_ids: Iterable[str]) -> None:
    with store.writing():
        for run_id in run_ids:
            _forget_inside(store, run_id)


def _forget_inside(store: Store, run_id: str) -> None:
    for row in store.rows(_ROW, {"run_id": run_id}):
        forget(store, int(row[0]))
    store.rows(_FORGET_SAID, {"run_id": run_id})


def _is_there_again(store: Store, run_id: str) -> bool:
    """Whether the run lies where the ledger says, imported once more, say."""
    return any(holds(str(path), run_id) for (path,) in store.rows(_PLACES, {"run_id": run_id}))


def holds(folder: str, run_id: str) -> bool:
    """Whether this run is in a folder; what the ledger says of folders may be old, or was never true."""
    try:
        with Look(folder) as look:
            return read_info(look).id == run_id
    except (OSError, FolderError):
        return False


def _release(store: Store | None, before: int) -> int:
    """Give the room of the rows back; returns the bytes. That somebody else is in the way does no harm."""
    if store is None:
        return 0
    if isinstance(store, SqliteStore):
        try:
            store.release_pages()
        except LedgerError:
            return 0
    return max(0, before - store.size_bytes())


def refuse_spared(deleted: Deleted) -> None:
    """Raise RunError if one of the runs has to stay: for whoever named each of them."""
    for spared in deleted.spared:
        raise RunError(f"run {spared.target.run_id[:8]} cannot be deleted: {spared.why}")
