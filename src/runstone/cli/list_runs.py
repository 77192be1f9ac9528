"""`runstone list-runs`."""

from __future__ import annotations

import sys

import click

from runstone import config
from runstone.cli.arguments import complete_status, pretty_option, read_statuses
from runstone.cli.printing import print_json
from runstone.folder.listing import list_runs
from runstone.folder.resolve import shown


@click.command("list-runs")
@click.argument("folder", required=False, metavar="[FOLDER]")
@click.option(
    "--max-runs", type=click.IntRange(min=0), metavar="N", help="At most N runs, the newest; 0 for all (the default)."
)
@click.option(
    "--status", "statuses", multiple=True, metavar="STATUS", callback=read_statuses, shell_complete=complete_status,
    help="Only runs with this status, or one of its other names (success, error, ...); may be given several times.",
)  # fmt: skip
@pretty_option
def command(folder: str | None, max_runs: int | None, statuses: frozenset[str], pretty: bool) -> None:
    """List the runs in FOLDER (`runs` in the project), newest recorded activity first, as one JSON object.

    A run that cannot be read is an entry that says why. Exits 1 only if FOLDER itself cannot be read.
    """
    found = list_runs(folder or shown(config.runs_root()), max_runs, statuses)
    print_json(found, pretty=pretty)
    if found["error"] is not None:
        sys.exit(1)
