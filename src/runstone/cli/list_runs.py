"""`runstone list-runs`."""

from __future__ import annotations

import sys

import click

from runstone.cli.arguments import pretty_option
from runstone.cli.printing import print_json
from runstone.folder.listing import list_runs


@click.command("list-runs")
@click.argument("folder", default="runs", type=click.Path())
@click.option(
    "--max-runs", type=click.IntRange(min=0), metavar="N", help="At most N runs, the newest; 0 for all (the default)."
)
@pretty_option
def command(folder: str, max_runs: int | None, pretty: bool) -> None:
    """List the runs in FOLDER (runs), newest recorded activity first, as one JSON object.

    A run that cannot be read is an entry that says why. Exits 1 only if FOLDER itself cannot be read.
    """
    found = list_runs(folder, max_runs)
    print_json(found, pretty=pretty)
    if found["error"] is not None:
        sys.exit(1)
