"""`runstone import`."""

from __future__ import annotations

import os

import click


@click.command("import")
@click.argument("file", metavar="FILE", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print what became of it as one JSON object.")
def command(file: str, as_json: bool) -> None:
    """Take the run in FILE, written by `runstone archive`, into the workspace.

    Everything is checked before anything has its place. The run keeps its id, unless another run has that; importing it
    once more does nothing. Its pickled values stay closed, until a command such as `output` opens them with --trust.
    """
    import msgspec

    from runstone import config
    from runstone.cli.ledger_at_hand import ledger_at_hand, warn
    from runstone.cli.printing import print_json
    from runstone.drawing.lettering import showable
    from runstone.folder.resolve import shown
    from runstone.ledger.imports import import_run

    if not os.path.isfile(file):
        raise click.UsageError(f"there is no file {file}")
    with ledger_at_hand() as store:
        done = import_run(file, workspace=config.workspace(), root=config.runs_root(), store=store)
    if done.problem is not None:
        warn(f"{done.problem}; the run has its place, and comes into the ledger with: runstone ledger sync")
    if as_json:
        print_json(msgspec.to_builtins(done))
        return
    # what an archive says of itself is not for the terminal to obey
    where, pipeline = showable(shown(done.folder)), showable(done.pipeline)
    if done.known:
        click.echo(f"run {done.run_id[:8]} of {pipeline} is here already, in {where}; nothing was done")
        return
    click.echo(f"run {done.run_id[:8]} of {pipeline}, {showable(done.status)}, is in {where}")
    if done.run_id != done.imported_from:
        click.echo(f"its id was {done.imported_from}, which another run has here; it is {done.run_id} now")
