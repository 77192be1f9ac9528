"""`runstone cancel`."""

from __future__ import annotations

import sys

import click

from runstone.cli.arguments import Seconds, run_argument
from runstone.cli.naming import typed


@click.command()
@run_argument
@click.option("-m", "--message", default="", help="Why; it is kept with the run.")
@click.option(
    "--wait",
    type=Seconds(min=0),
    default=10.0,
    show_default=True,
    metavar="S",
    help="Seconds to wait for the end; 0 only asks.",
)
@click.option("--unproven", is_flag=True, help="Your word that its process, on another host, is dead: end it here.")
@click.option("--json", "as_json", is_flag=True, help="Print the status object.")
def command(run: str, message: str, wait: float, unproven: bool, as_json: bool) -> None:
    """Stop a run, from any terminal or machine that reaches its folder.

    The process that executes it is asked to stop; where it ends what does not stop by itself, that takes the grace of
    the run (5 s) at most. A run whose process is dead is recorded as cancelled at once.

    Exits 0 if it is cancelled, 1 if it ended otherwise before, 2 if it has not ended after --wait.
    """
    from runstone.cli.printing import print_json
    from runstone.cli.reading import reading
    from runstone.core.statuses import RunStatus
    from runstone.engine.stop import cancel

    with reading(run) as folder:
        found = cancel(folder, message=message, wait=wait, unproven=unproven)
    if as_json:
        print_json(found)
    name = found["id"][:8] if found.get("id") else run
    if not found["done"]:
        asked = "" if wait else "was asked to stop; it "
        click.echo(f"run {name} {asked}is {found['status']}; follow it: runstone watch {typed(run)}", err=True)
        sys.exit(2 if wait else 0)
    how = "" if found["status"] == RunStatus.CANCELLED else ", before it could be cancelled"
    click.echo(f"run {name} ended {found['status']}{how}", err=True)
    sys.exit(0 if found["status"] == RunStatus.CANCELLED else 1)
