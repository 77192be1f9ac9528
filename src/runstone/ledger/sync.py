"""Bringing run folders into the ledger: those under the roots of the project, and those in places it knows.

Of runs that ended and are known nothing is read but their checkpoint.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from runstone import config
from runstone.core.moves import DONE
from runstone.core.statuses import RunStatus
from runstone.errors import FolderError, LedgerError
from runstone.folder import checkpoint, layout, track_reading, track_removal
from runstone.folder.look import Look
from runstone.folder.sealed import unseal
from runstone.ledger import behind, claims, of_track
from runstone.ledger.claims import Found, Root
from runstone.ledger.column_values import text
from runstone.ledger.deletion import finish
from runstone.ledger.intake import Intake, Refused, Taken
from runstone.ledger.port import Row, Store

NAMED = 20
"""So many folders of a kind are named; all are counted."""

_BATCH = 500


class Named(msgspec.Struct):
    """What happened to some folders, and why: all counted, the first of them named."""

    count: int = 0
    first: list[tuple[str, str]] = []

    def add(self, path: str, why: str) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < NAMED:
            self.first.append((path, why))


class Report(msgspec.Struct):
    """What became of the folders that were looked at.

    taken: brought into the ledger, or more of them. known: nothing was new. copies: further places of runs that it
    knows. moved: places of runs that were elsewhere before. annotated: tags or notes were new. foreign: written by
    other programs, stepped over. gone: runs in the ledger whose folder is not there any more. tracked: runs without a
    folder that were looked at as well; they count among taken and known.
    """

    folders: int = 0
    tracked: int = 0
    taken: int = 0
    known: int = 0
    copies: int = 0
    moved: int = 0
    annotated: int = 0
    foreign: int = 0
    gone: int = 0
    ahead: Named = msgspec.field(default_factory=Named)
    refused: Named = msgspec.field(default_factory=Named)
    unreadable: Named = msgspec.field(default_factory=Named)


class _Glance(msgspec.Struct, frozen=True):
    """What the checkpoint of a run tells at a glance."""

    run_id: str
    epoch: int
    seq: int
    status: RunStatus
    annotated: bool


class _Known(msgspec.Struct, frozen=True):
    run_id: str
    workspace: str
    run_folder: str | None
    status: str
    epoch: int
    seq: int


def sync(store: Store) -> Report:
    """Bring all folders of the project into the ledger, and tidy up the places it knows. Raises LedgerError."""
    report = Report()
    roots = claims.roots()
    # what a process was deleting when it died
    finish(store, [root.path for root in roots])
    walk = Walk(store, Intake(store), report)
    for root in roots:
        walk.take(claims.runs_below(root, roots, report.unreadable.add))
    walk.take(_elsewhere(store, roots, report))
    take_tracked(store, report)
    # most of what others had to leave behind is there now
    behind.catch_up(store)
    return report


def take_tracked(store: Store, report: Report) -> None:
    """Bring the tracked runs of the project into the ledger, and out of it those that were deleted.

    The project's own journals are believed for every workspace. Raises LedgerError.
    """
    notes = behind.journals(store.where, config.project_root())
    try:
        told = track_reading.survey(config.project_root(), report.unreadable.add)
    except OSError as error:
        report.unreadable.add(error.filename, (error.strerror or str(error)).lower())
        return
    runs = of_track.rows_of_project(told, store.where, report.unreadable.add)
    brought = of_track.bring(store, (rows for _, rows in runs))
    report.tracked += brought.taken + brought.known
    report.taken += brought.taken
    report.known += brought.known
    for run_id in brought.refused:
        report.refused.add(run_id, "another run has the id of this tracked run")
    of_track.forget_deleted(store, told.deleted)
    # should whoever deleted them have died before their files were gone
    track_removal.remove_saved(config.project_root(), told.deleted)
    for note, _ in notes:
        behind.forget(note)


class Walk:
    """Goes through folders and takes them in, many known ones at a time."""

    def __init__(self, store: Store, intake: Intake, report: Report) -> None:
        self._store = store
        self._intake = intake
        self.report = report

    def take(self, folders: Iterable[Found]) -> None:
        """Bring these into the ledger. Raises LedgerError; what is wrong with one folder is in the report."""
        folders = iter(folders)
        while batch := list(islice(folders, _BATCH)):
            self._take(batch)

    def _take(self, batch: list[Found]) -> None:
        glances = [None if found.foreign else _glance(found.path) for found in batch]
        known = self._known({glance.run_id for glance in glances if glance is not None})
        for found, glance in zip(batch, glances, strict=True):
            self.report.folders += 1
            if found.foreign:
                self.report.foreign += 1
            elif glance is None:
                self._take_one(found)
            elif not _is_known(found, glance, known.get(glance.run_id)):
                self._take_one(found, glance.run_id)
            else:
                self.report.known += 1
                if glance.annotated:
                    self._annotate(found, glance.run_id)

    def _take_one(self, found: Found, run_id: str | None = None) -> None:
        report = self.report
        with _troubles(found, report):
            match self._intake.take(found, run_id):
                case Taken.TAKEN:
                    report.taken += 1
                case Taken.COPY:
                    report.copies += 1
                case Taken.MOVED:
                    report.moved += 1
                case Taken.AHEAD:
                    report.ahead.add(found.path, "the ledger has later records of this run than the folder")
                case Taken.KNOWN:
                    report.known += 1

    def _annotate(self, found: Found, run_id: str) -> None:
        with _troubles(found, self.report):
            self.report.annotated += self._intake.annotate(found, run_id)

    def _known(self, run_ids: set[str]) -> dict[str, _Known]:
        if not run_ids:
            return {}
        names = {f"id{number}": run_id for number, run_id in enumerate(run_ids)}
        rows = self._store.rows(
            "SELECT run_id, workspace, run_folder, status, epoch, seq FROM pipeline_run"
            f" WHERE run_id IN ({', '.join(f':{name}' for name in names)})",
            names,
        )
        return {row[0]: _Known(*row) for row in rows}


@contextlib.contextmanager
def _troubles(found: Found, report: Report) -> Iterator[None]:
    """Puts what is wrong with one folder into the report; what is wrong with the ledger goes on."""
    try:
        yield
    except Refused as error:
        report.refused.add(found.path, str(error))
    except OSError as error:
        report.unreadable.add(found.path, (error.strerror or str(error)).lower())
    except FolderError as error:
        report.unreadable.add(found.path, str(error))
    except LedgerError as error:
        # one that is of no kind is about these rows: a folder may say what no row can hold
        if type(error) is not LedgerError:
            raise
        report.unreadable.add(found.path, str(error))


def _is_known(found: Found, glance: _Glance, known: _Known | None) -> bool:
    return (
        known is not None
        and glance.status in DONE
        and (known.epoch, known.seq, known.status) == (glance.epoch, glance.seq, glance.status.value)
        and (known.run_folder, known.workspace) == (found.path, found.workspace)
        and found.run_id in (None, known.run_id)
    )


class _State(msgspec.Struct):
    status: RunStatus
    epoch: int
    seq: int


class _Checkpoint(msgspec.Struct):
    run_id: str
    state: _State


_decode = msgspec.json.Decoder(_Checkpoint).decode


def _glance(path: str) -> _Glance | None:
    """What the checkpoint in a folder says; None unless it can be read."""
    try:
        with Look(path) as look:
            body = unseal(look.read(layout.CHECKPOINT, checkpoint.LIMIT) or b"")
            if body is None:
                return None
            found = _decode(body)
            state = found.state
            annotated = look.stat(layout.ANNOTATIONS) is not None
            if text(found.run_id) != found.run_id:
                return None
    except (OSError, FolderError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # whoever reads all of the folder says what is wrong with it
        return None
    return _Glance(found.run_id, state.epoch, state.seq, state.status, annotated)


_PLACES = (
    "SELECT place.run_key, place.path, run_id, workspace, run_folder"
    " FROM place JOIN pipeline_run ON pipeline_run.run_key = place.run_key"
    " WHERE (place.run_key, place.path) > (:run_key, :path) ORDER BY place.run_key, place.path LIMIT 1000"
)


def places(store: Store) -> Iterator[Row]:
    """Every place that the ledger knows: run_key, path, run_id, workspace and run_folder of the row."""
    run_key, path = -1, ""
    while batch := store.rows(_PLACES, {"run_key": run_key, "path": path}):
        yield from batch
        run_key, path = batch[-1][0], batch[-1][1]


def is_under(path: str, workspace: str, roots: Sequence[Root]) -> bool:
    """Whether a place is one that is found by going through the root of its workspace."""
    return any(root.workspace == workspace and path.startswith(f"{root.path}{os.sep}") for root in roots)


def _elsewhere(store: Store, roots: Sequence[Root], report: Report) -> Iterator[Found]:
    """The places that are under no root; those under one that are empty now are forgotten on the way."""
    for run_key, path, run_id, workspace, run_folder in places(store):
        there = claims.holds_run(path)
        ours = is_under(path, workspace, roots)
        if there and not ours:
            yield Found(path, workspace, run_id)
        elif not there and path == run_folder:
            report.gone += 1
        elif not there and ours:
            store.rows(
                "DELETE FROM place WHERE run_key = :run_key AND path = :path", {"run_key": run_key, "path": path}
            )


__all__ = ["Named", "Report", "Walk", "is_under", "places", "sync", "take_tracked"]
