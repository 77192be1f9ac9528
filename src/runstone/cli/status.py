"""`runstone status`."""

from __future__ import annotations

import sys

import click

from runstone.cli import folderless
from runstone.cli.arguments import pretty_option, run_argument
from runstone.cli.printing import print_json
from runstone.errors import RunNotFound
from runstone.folder import find, observe
from runstone.ledger.locating import FolderGone, locate


@click.command()
@run_argument
@pretty_option
@click.option("--include-run-info", is_flag=True, help="Add run_info, the content of run.json.")
def command(run: str, pretty: bool, include_run_info: bool) -> None:
    """Tell how RUN stands, as one JSON object.

    Works while it runs, after its process died, and on a copy; of a run without a folder, as one that was tracked, the
    ledger tells. Exits 0 whenever the run could be read, else 1.
    """
    try:
        found = locate(run)
    except FolderGone as gone:
        status = folderless.status_of(gone)
        if include_run_info:
            status["run_info"] = None
    except RunNotFound as error:
        status = observe.failure(run, "missing", str(error))
    else:
        status = find.status_of(run, include_run_info=include_run_info, locate=lambda _: found)
    print_json(status, pretty=pretty)
    if "error" in status:
        sys.exit(1)
