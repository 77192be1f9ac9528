"""Rows of a run, made of its folder."""

from __future__ import annotations

import os

from runstone.core.records import RunInfo
from runstone.folder import input_digests
from runstone.folder.load import journal_events
from runstone.folder.look import Look
from runstone.folder.read import read_look
from runstone.ledger.port import Store
from runstone.ledger.projection import Outcome, known, put
from runstone.ledger.rows import Rows, Taker, block_rows, fingerprint, run_row, text

_TRIES = 5


def rows_of(folder: str, since: tuple[int, int] = (0, 0)) -> Rows:
    """All that the ledger should have of the run in a folder, after the record `since`: its epoch and number.

    Raises FolderError, OSError.
    """
    path = os.path.abspath(folder)
    with Look(path) as look:
        reading = read_look(look, bounded=False)
        info, state = reading.info, reading.state
        epoch, seq = since if state.epoch == since[0] else (0, 0)
        rows = Rows(
            run=run_row(info, state, path, fingerprint_of(look, info)),
            blocks=block_rows(state),
            tags=tags(info),
            since=seq,
        )
        Taker(rows, epoch).take(event for event in journal_events(look, reading) if seq < event.seq <= state.seq)
    return rows


def fingerprint_of(look: Look, info: RunInfo) -> str | None:
    """The fingerprint of the parameters of a run."""
    return fingerprint(input_digests.of_run(look, info.params))


def tags(info: RunInfo) -> list[str]:
    """What a run was tagged with when it began, each once."""
    return list(dict.fromkeys(text(tag) for tag in (*info.pipeline.tags, *info.tags) if tag))


def project(store: Store, folder: str, run_id: str | None = None) -> Outcome:
    """Bring what a folder says of its run into the ledger. run_id: saves the first look if it is known.

    Raises FolderError, OSError, LedgerError.
    """
    since = (0, 0) if run_id is None else known(store, run_id)
    outcome = Outcome.GAP
    for _ in range(_TRIES):
        rows = rows_of(folder, since)
        outcome = put(store, rows)
        if outcome is not Outcome.GAP:
            break
        since = known(store, rows.run.run_id)
    return outcome
