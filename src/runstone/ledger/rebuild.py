"""Making the index of the ledger again of run folders, in one transaction, and nothing of what it alone knows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import msgspec

from runstone import config
from runstone.errors import LedgerError
from runstone.folder import track_reading
from runstone.ledger import claims, of_track
from runstone.ledger.claims import Found
from runstone.ledger.intake import Intake, inside
from runstone.ledger.port import Store
from runstone.ledger.sync import Named, Report, Walk, is_under
from runstone.ledger.tables import Kept, forget, forget_all_with_folders

_LOCK = """
LOCK TABLE workspace, pipeline_run IN SHARE ROW EXCLUSIVE MODE;
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0
"""
"""Writers wait, in the order in which they take these tables themselves; readers do not. There is no limit of time."""


class Loss(LedgerError):
    """The rows of some runs cannot be made again: their folders are gone, or cannot be read any more.

    lost: which runs, and where they were.
    """

    def __init__(self, lost: Named) -> None:
        self.lost = lost
        many = lost.count > 1
        super().__init__(
            f"the folder{'s' * many} of {lost.count:,} run{'s' * many} cannot be read any more, and rebuild would "
            f"forget {'them' if many else 'it'}; to do so all the same: runstone ledger rebuild --yes"
        )


class _Before(msgspec.Struct, frozen=True):
    """A run before the index was made again. others: further places of it."""

    run_key: int
    run_id: str
    workspace: str
    run_folder: str
    others: list[str]

    @property
    def places(self) -> list[str]:
        return [self.run_folder, *self.others]


def unreadable_runs(store: Store, below: str | None = None) -> Named:
    """The runs whose rows a rebuild would lose, as far as can be told without reading folders. Raises LedgerError."""
    lost = Named()
    for run in _before(store, below):
        if not any(map(claims.holds_run, run.places)):
            lost.add(run.run_id, run.run_folder)
    return lost


def rebuild(store: Store, below: str | None = None, *, lose: bool = False) -> Report:
    """Drop the rows of all runs that have a folder, and make them again; those without are known by the ledger alone.

    Folders are those under the roots of the project, and in places that the ledger knew. below: only runs in this
    folder, an absolute path. lose: runs that cannot be read any more may go; otherwise they raise Loss, and everything
    is as it was. Raises LedgerError.
    """
    report = Report()
    with store.writing():
        if store.dialect == "postgres":
            store.script(_LOCK)
        before = _before(store, below)
        kept = Kept(store)
        if below is None:
            forget_all_with_folders(store)
        else:
            for run in before:
                forget(store, run.run_key)
        settled = {run.run_id: run.run_folder for run in before}
        walk = Walk(store, Intake(store, lambda: inside(store), settled), report)
        # first the place that each run had: of copies that differ that one counts
        walk.take(_there(before, lambda run: [run.run_folder]))
        walk.take(_there(before, lambda run: run.others))
        walk.take(_under_roots({path for run in before for path in run.places}, below, report))
        if below is None:
            _remake_tracked(store, report)
        _tell_what_cannot_be_seen(store, before)
        kept.give_back(store)
        lost = _lost(store, before)
        if lost.count and not lose:
            raise Loss(lost)
    return report


def _remake_tracked(store: Store, report: Report) -> None:
    """Those that the journals of the project have; others stay as they are."""
    try:
        told = track_reading.survey(config.project_root(), report.unreadable.add)
    except OSError as error:
        report.unreadable.add(error.filename, (error.strerror or str(error)).lower())
        return
    for path, rows in of_track.rows_of_project(told, store.where, report.unreadable.add):
        report.tracked += 1
        if of_track.remake(store, rows):
            report.taken += 1
        else:
            report.refused.add(path, f"another run has the id of the tracked run {rows.run.run_id}")


def _before(store: Store, below: str | None) -> list[_Before]:
    found: dict[int, _Before] = {}
    for run_key, run_id, workspace, run_folder, path in store.rows(
        "SELECT pipeline_run.run_key, run_id, workspace, run_folder, path FROM pipeline_run"
        " LEFT JOIN place ON place.run_key = pipeline_run.run_key"
        " WHERE run_folder IS NOT NULL ORDER BY pipeline_run.run_key, path"
    ):
        if not _is_below(run_folder, below):
            continue
        run = found.setdefault(run_key, _Before(run_key, run_id, workspace, run_folder, []))
        if path not in (None, run_folder):
            run.others.append(path)
    return list(found.values())


def _is_below(path: str, folder: str | None) -> bool:
    return folder is None or path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _there(before: list[_Before], places: Callable[[_Before], list[str]]) -> Iterator[Found]:
    return (Found(path, run.workspace, run.run_id) for run in before for path in places(run) if claims.holds_run(path))


def _under_roots(seen: set[str], below: str | None, report: Report) -> Iterator[Found]:
    roots = claims.roots()
    for root in roots:
        for found in claims.runs_below(root, roots, report.unreadable.add):
            if found.path not in seen and _is_below(found.path, below):
                yield found


def _tell_what_cannot_be_seen(store: Store, before: list[_Before]) -> None:
    """Places outside of the roots that nothing is in now, say of a disk that is not mounted, are not forgotten."""
    roots = claims.roots()
    store.many(
        "INSERT INTO place (run_key, path) SELECT run_key, :path FROM pipeline_run WHERE run_id = :run_id"
        " ON CONFLICT DO NOTHING",
        [
            {"path": path, "run_id": run.run_id}
            for run in before
            for path in run.places
            if not claims.holds_run(path) and not is_under(path, run.workspace, roots)
        ],
    )


def _lost(store: Store, before: list[_Before]) -> Named:
    made = {str(row[0]) for row in store.rows("SELECT run_id FROM pipeline_run")}
    lost = Named()
    for run in before:
        if run.run_id not in made:
            lost.add(run.run_id, run.run_folder)
    return lost
