"""`runstone runs ...`: the runs that the ledger knows."""

from __future__ import annotations

import copy
import shlex
import sys
from typing import TYPE_CHECKING

import click

from runstone.cli import runs_show
from runstone.cli.arguments import with_workspace
from runstone.cli.finding import (
    all_workspaces_option,
    as_line,
    json_lines_option,
    ledger_to_read,
    query_option,
    say_what_is_cut,
    scope,
)
from runstone.cli.tail import command as tail

if TYPE_CHECKING:
    from runstone.core.query import Query


@click.group("runs")
def command() -> None:
    """List and show the runs that the ledger knows, wherever their folders are."""


@click.command("list")
@click.option(
    "-n",
    "--n",
    "count",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    metavar="N",
    help="Runs on a page.",
)
@query_option
@click.option("--cursor", metavar="C", help="Go on where the page before has ended.")
@all_workspaces_option
@json_lines_option
@click.pass_context
def list_(
    ctx: click.Context, count: int, query: Query, cursor: str | None, all_workspaces: bool, as_json: bool
) -> None:
    """List runs, the newest first, a page at a time.

    At the end of a page that has a next one, standard error tells how to see that.
    """
    from runstone.cli.run_lines import print_bytes, print_runs
    from runstone.ledger.find import find

    with ledger_to_read() as store:
        workspace = scope(all_workspaces)
        page = find(store, query, workspace=workspace, limit=count, cursor=cursor)
        say_what_is_cut(store, query, workspace)
    if as_json:
        print_bytes(b"".join(map(as_line, page.runs)))
    elif page.runs:
        print_runs(page.runs, several_workspaces=all_workspaces)
    else:
        click.echo(f"no runs{' yet; more may follow' if page.cursor else ''}", err=True)
    if page.cursor is not None:
        click.echo(f"more: {_again(ctx, page.cursor)}", err=True)


def _again(ctx: click.Context, cursor: str) -> str:
    """The same command, for the next page."""
    said = sys.argv[1:] if ctx.obj else ["runs", "list"]
    kept: list[str] = []
    skip = False
    for word in said:
        if not skip and word != "--cursor" and not word.startswith("--cursor="):
            kept.append(word)
        skip = not skip and word == "--cursor"
    return shlex.join(["runstone", *kept, "--cursor", cursor])


def _again_as(other: click.Command, short_help: str) -> click.Command:
    """The same command, told apart where commands are listed."""
    found = copy.copy(other)
    found.short_help = short_help
    return found


command.add_command(with_workspace(tail), "tail")
command.add_command(with_workspace(list_), "list")
command.add_command(_again_as(list_, "The same as list."), "ls")
command.add_command(with_workspace(runs_show.command), "show")
