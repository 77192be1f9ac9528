"""Deleting a workspace with all that is in it."""

from __future__ import annotations

import contextlib
import os
import shutil

from runstone import config
from runstone.errors import RunError, SettingError
from runstone.folder.family import TRASH
from runstone.ledger.cleanup import Retention, cleanup
from runstone.ledger.port import Store
from runstone.ledger.workspaces import named

_DELETE = (
    "DELETE FROM workspace WHERE name = :name AND NOT EXISTS"
    " (SELECT 1 FROM pipeline_run WHERE pipeline_run.workspace = :name)"
)
_IS_THERE = "SELECT 1 FROM workspace WHERE name = :name"


def delete(store: Store, name: str) -> int:
    """Delete one with all its runs; returns how many there were.

    Raises RunError, and then nothing was deleted, if one of them goes on or is not proven dead; RunError as well if
    something is left that is no run or has come meanwhile, and the workspace with it. SettingError for `default`.
    """
    wanted = named(store, name).name
    if wanted == config.DEFAULT_WORKSPACE:
        raise SettingError(f"workspace {wanted!r} is always there: it can be emptied, not deleted")
    everything = Retention(keep=0)
    for spared in cleanup(store, everything, workspace=wanted, dry_run=True).spared:
        run = spared.target.run_id[:8]
        raise RunError(
            f"workspace {wanted!r} cannot be deleted, and nothing of it was: run {run} stays, for {spared.why}"
        )
    done = cleanup(store, everything, workspace=wanted)
    for problem in (*done.left, *(spared.why for spared in done.spared)):
        raise RunError(f"workspace {wanted!r} is still there: {problem}")
    _remove_folder(wanted)
    with store.writing():
        store.rows(_DELETE, {"name": wanted})
    if store.rows(_IS_THERE, {"name": wanted}):
        raise RunError(f"workspace {wanted!r} is still there: a run has come into it meanwhile")
    return len(done.runs)


def _remove_folder(name: str) -> None:
    """Remove what is empty, and runs that were moved to the trash. Raises RunError naming what else is there."""
    runs = config.runs_root(name)
    shutil.rmtree(os.path.join(runs, TRASH), ignore_errors=True)
    for folder in (runs, os.path.dirname(runs)):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            with contextlib.suppress(OSError):
                for left in sorted(os.listdir(folder))[:1]:
                    raise RunError(
                        f"workspace {name!r} is still there: {os.path.join(folder, left)} is no run that can be "
                        "deleted; remove it by hand"
                    ) from None
            why = (error.strerror or str(error)).lower()
            raise RunError(f"workspace {name!r} is still there: {folder} cannot be removed: {why}") from None
