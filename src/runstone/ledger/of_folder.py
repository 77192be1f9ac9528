"""Rows of a run, made of its folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from runstone.core.annotated import acting_tags
from runstone.core.events import Event
from runstone.core.records import RunInfo
from runstone.errors import FolderError
from runstone.folder import annotations as in_folder
from runstone.folder import input_digests
from runstone.folder.load import journal_events
from runstone.folder.look import Look
from runstone.folder.read import read_look
from runstone.ledger.column_values import text
from runstone.ledger.port import Store
from runstone.ledger.projection import Outcome, known, put
from runstone.ledger.row_types import Rows
from runstone.ledger.rows import Taker, block_rows, fingerprint, run_row, tags

_TRIES = 5


def rows_of(folder: str, since: tuple[int, int] = (0, 0)) -> Rows:
    """All that the ledger should have of the run in a folder, after the record `since`: its epoch and number.

    Raises FolderError, OSError.
    """
    path = os.path.abspath(folder)
    with Look(path) as look:
        reading = read_look(look, bounded=False)
        info, state = reading.info, reading.state
        check_names(info)
        epoch, seq = since if state.epoch == since[0] else (0, 0)
        rows = Rows(
            run=run_row(info, state, path, fingerprint(input_digests.of_run(look, info.params))),
            blocks=block_rows(state),
            tags=acting_tags(tags(info), in_folder.read(look)),
            since=seq,
        )
        Taker(rows, epoch).take(_after(seq, state.seq, journal_events(look, reading)))
    return rows


def check_names(info: RunInfo) -> None:
    """Raises FolderError if the ledger could not tell this run, or its workspace, from another one."""
    for what, name, longest in (("id of a run", info.id, 200), ("name of a workspace", info.workspace, 100)):
        if not 1 <= len(name) <= longest or text(name) != name:
            raise FolderError(f"run.json is damaged: {name[:50]!r} is no {what}")


def _after(seq: int, last: int, events: Iterable[Event]) -> Iterator[Event]:
    """The events from behind `seq` to `last`, each number once: a damaged journal may have lines twice."""
    for event in events:
        if seq < event.seq <= last:
            seq = event.seq
            yield event


def project(
    store: Store, folder: str, run_id: str | None = None, *, settle: Callable[[], None] = lambda: None
) -> Outcome:
    """Bring what a folder says of its run into the ledger. run_id: saves the first look if it is known.

    settle: called when the folder was read, before the ledger is told.
    Raises FolderError, OSError, LedgerError.
    """
    since = (0, 0) if run_id is None else known(store, run_id)
    outcome = Outcome.GAP
    for _ in range(_TRIES):
        rows = rows_of(folder, since)
        settle()
        outcome = put(store, rows)
        if outcome is not Outcome.GAP:
            break
        since = known(store, rows.run.run_id)
    return outcome
