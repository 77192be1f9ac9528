"""`runstone history`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runstone.cli.finding import all_workspaces_option, ledger_to_read, query_option, say_what_is_cut, scope

if TYPE_CHECKING:
    from runstone.core.query import Query


@click.command("history")
@click.option(
    "--by", type=click.Choice(["day", "pipeline", "status"]), default="day", show_default=True,
    help="What runs are put together by.",
)  # fmt: skip
@query_option
@click.option(
    "-n", "--n", "count", type=click.IntRange(min=1), default=30, show_default=True, metavar="N",
    help="At most N rows: the newest days, or the pipelines with the most runs.",
)  # fmt: skip
@all_workspaces_option
@click.option("--json", "as_json", is_flag=True, help="Print all of it as one JSON object.")
def command(by: str, query: Query, count: int, all_workspaces: bool, as_json: bool) -> None:
    """Tell how runs went: how many, how many of them well, and how long they took.

    A degraded run counts as a success, a cancelled one neither way. Half of the runs took at most p50, 95 of 100 at
    most p95.
    """
    from runstone.cli.local_time import LocalZone
    from runstone.ledger.history import By, history

    with ledger_to_read() as store:
        workspace = scope(all_workspaces)
        found = history(store, query, By(by), workspace=workspace, zone=LocalZone())
        say_what_is_cut(store, query, workspace)
    if as_json:
        import msgspec

        from runstone.cli.printing import print_json

        print_json(msgspec.to_builtins(found))
        return
    from runstone.cli.history_plot import print_history
    from runstone.cli.paper import paper

    with paper() as console:
        print_history(found, count, console)
