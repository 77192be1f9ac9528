"""`runstone cleanup`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from runstone.cli.deleting import yes_option


class Span(click.ParamType[timedelta]):
    """A span of time such as `30d`."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        from runstone.amounts import span

        try:
            return span(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option("--older-than", type=Span(), metavar="SPAN", help="Runs that were last active so long ago: 12h, 30d, 8w.")
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="The newest N always stay.")
@click.option("--query", metavar="Q", help="Only runs that this asks for, such as 'status:failed pipeline:survey'.")
@click.option("--dry-run", is_flag=True, help="Only show what would go, and the bytes that come free.")
@yes_option
@click.option("--json", "as_json", is_flag=True, help="Print what went as one JSON object.")
def command(
    older_than: timedelta | None, keep: int | None, query: str | None, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Delete old runs of the workspace, and give the space back.

    With --older-than and --keep, what goes is older and not among the newest N. Without either, [retention] of
    runstone.toml decides; with --query alone all that it asks for goes. Runs that go on stay.
    """
    from runstone import config
    from runstone.cli.deleting import carry_out, tell
    from runstone.cli.finding import no_ledger, say_what_is_cut
    from runstone.cli.ledger_at_hand import ledger_at_hand
    from runstone.core.query import parse
    from runstone.ledger.cleanup import Retention, cleanup, configured

    retention = Retention(older_than=older_than, keep=keep)
    if not retention.is_set and query is None:
        retention = configured()
        if not retention.is_set:
            raise click.UsageError(
                "nothing says what is to go: give --older-than, --keep or --query, or write [retention] into "
                f'{config.FILE}: older_than = "30d", keep = 100'
            )
    asked = None if query is None else parse(query)
    workspace = config.workspace()
    with ledger_at_hand(required=True, only_read=dry_run) as store:
        if asked is not None and store is None:
            raise no_ledger()
        if asked is not None and store is not None:
            say_what_is_cut(store, asked, workspace)
        done = carry_out(
            lambda: cleanup(store, retention, workspace=workspace, query=asked, dry_run=True),
            lambda: cleanup(store, retention, workspace=workspace, query=asked),
            dry_run=dry_run,
            yes=yes,
        )
    tell(done, as_json=as_json)
