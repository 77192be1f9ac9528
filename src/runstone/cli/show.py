"""`runstone show`."""

from __future__ import annotations

import click
import msgspec

from runstone.cli.arguments import run_argument
from runstone.cli.reading import reading_block
from runstone.folder.overview import overview
from runstone.ledger.locating import FolderGone


@click.command()
@run_argument
@click.option("--json", "as_json", is_flag=True, help="Print all of it as one JSON object.")
def command(run: str, as_json: bool) -> None:
    """Show RUN to a person: how it stands, its blocks and outputs, what went wrong, what to do next.

    RUN/BLOCK shows one block: its outputs and errors, its function and the identity of its code.
    Works while it runs, after its process died, and on a copy; of a run whose folder is gone, what the ledger knows is
    shown. Exits 1 if there is no run or it cannot be read.
    """
    try:
        print_folder(run, as_json=as_json)
    except FolderGone as gone:
        from runstone.cli.runs_show import of_ledger, print_detail

        known = None if gone.of_block else of_ledger(gone.run_id)
        if known is None:
            raise
        print_detail(known, run, as_json=as_json)


def print_folder(run: str, *, as_json: bool) -> None:
    """Print what the folder of RUN, or of RUN/BLOCK, tells. Raises RunNotFound, FolderGone, FolderError."""
    with reading_block(run) as found:
        seen = overview(found.folder, found.block)
    if as_json:
        from runstone.cli.printing import print_json

        print_json(msgspec.to_builtins(seen), pretty=False)
        return
    from runstone.cli.paper import paper

    with paper() as console:
        if found.block is None:
            from runstone.cli.panel import print_overview

            print_overview(seen, run, console)
        else:
            from runstone.cli.block_panel import print_block

            print_block(seen, run, console)
