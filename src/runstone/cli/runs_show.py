"""`runstone runs show`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from runstone.cli.arguments import run_argument
from runstone.cli.finding import open_ledger_to_read, scope

if TYPE_CHECKING:
    from runstone.ledger.detail import RunDetail


@click.command("show", short_help="Show one run in full.")
@run_argument
@click.option("--json", "as_json", is_flag=True, help="Print all of it as one JSON object.")
def command(run: str, as_json: bool) -> None:
    """Show what the ledger knows of RUN: times, metrics, fingerprints, blocks, errors with their stack, related runs.

    Works also where its folder is gone. Of a run that the ledger does not know, shows its folder.
    """
    found = of_ledger(run)
    if found is None:
        from runstone.cli.show import print_folder

        print_folder(run, as_json=as_json)
        return
    print_detail(found, run, as_json=as_json)


def print_detail(found: RunDetail, run: str, *, as_json: bool) -> None:
    """Print what the ledger knows of a run. run: how the user named it."""
    if as_json:
        import msgspec

        from runstone.cli.printing import print_json

        print_json(msgspec.to_builtins(found))
        return
    from runstone.cli.paper import paper
    from runstone.cli.runs_panel import print_run

    with paper() as console:
        print_run(found, run, console)


def of_ledger(run: str) -> RunDetail | None:
    """What the ledger knows of RUN, which may be named by its folder too; None if that is nothing.

    Raises RunAmbiguous, LedgerError.
    """
    from runstone.errors import RunAmbiguous, RunNotFound
    from runstone.ledger.detail import detail

    store = open_ledger_to_read()
    if store is None:
        return None
    workspace = scope(False)
    with contextlib.closing(store):
        try:
            return detail(store, run, workspace=workspace)
        except RunAmbiguous:
            raise
        except RunNotFound:
            run_id = _id_in_folder(run)
        try:
            return None if run_id is None else detail(store, run_id, workspace=workspace)
        except RunNotFound:
            return None


def _id_in_folder(run: str) -> str | None:
    from runstone.errors import FolderError, RunNotFound
    from runstone.folder.look import Look
    from runstone.folder.read import read_info
    from runstone.folder.resolve import locate

    try:
        found = locate(run)
        if found.block is not None:
            return None
        with Look(found.folder) as look:
            return read_info(look).id
    except (RunNotFound, FolderError, OSError):
        # the folder is shown instead, with what is wrong with it
        return None
