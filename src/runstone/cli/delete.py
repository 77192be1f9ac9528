"""`runstone delete`."""

from __future__ import annotations

import click

from runstone.cli.arguments import complete_run
from runstone.cli.deleting import yes_option


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, shell_complete=complete_run)
@click.option("--dry-run", is_flag=True, help="Only show what would go, and the bytes that come free.")
@yes_option
@click.option("--unproven", is_flag=True, help="Your word that its process, on another host, is dead.")
@click.option("--json", "as_json", is_flag=True, help="Print what went as one JSON object.")
def command(runs: tuple[str, ...], dry_run: bool, yes: bool, unproven: bool, as_json: bool) -> None:
    """Delete RUN, one or several: the folder with everything in it, and the rows of the ledger.

    A run that goes on is never deleted, nor one whose process is not proven dead. What another run has taken over of it
    stays with that run, and frees nothing. There is no way back but an archive.
    """
    from runstone import config
    from runstone.cli.deleting import carry_out, tell
    from runstone.cli.ledger_at_hand import ledger_at_hand
    from runstone.ledger.cleanup import named
    from runstone.ledger.deletion import delete_runs, plan, refuse_spared

    with ledger_at_hand(required=True, only_read=dry_run) as store:
        targets = {}
        for run in runs:
            target = named(store, run, workspace=config.workspace())
            targets[target.run_id, *target.folders] = target
        found = [*targets.values()]
        planned = plan(store, found, unproven=unproven)
        refuse_spared(planned)
        done = carry_out(
            lambda: planned, lambda: delete_runs(store, found, unproven=unproven), dry_run=dry_run, yes=yes
        )
        tell(done, as_json=as_json)
        refuse_spared(done)
