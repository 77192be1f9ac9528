"""`runstone runs tail`, and `runstone tail`, which is short for it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from runstone.cli.finding import (
    all_workspaces_option,
    as_line,
    json_lines_option,
    no_ledger,
    open_ledger_to_read,
    query_option,
    say_what_is_cut,
    scope,
)

if TYPE_CHECKING:
    from runstone.core.query import Query
    from runstone.ledger.find_summary import RunSummary
    from runstone.ledger.port import Store


@click.command("tail")
@click.option(
    "-n", "--n", "count", type=click.IntRange(min=0), default=10, show_default=True, metavar="N", help="How many runs."
)
@query_option
@click.option("--follow", "-f", is_flag=True, help="Go on with runs that are new or have changed, until Ctrl-C.")
@all_workspaces_option
@json_lines_option
def command(count: int, query: Query, follow: bool, all_workspaces: bool, as_json: bool) -> None:
    """List the newest runs, the newest last.

    Where there is no ledger yet, those in the folder `runs`. Exits 0 also if there is none.
    """
    workspace = scope(all_workspaces)
    try:
        if follow:
            _follow(count, query, workspace, as_json=as_json)
            return
        store = open_ledger_to_read()
        if store is None:
            found = _of_folders(count, query)
        else:
            try:
                found = _newest(store, count, query, workspace)
                say_what_is_cut(store, query, workspace)
            finally:
                store.close()
        if found:
            _Printer(found, workspace, as_json=as_json).print(found)
        else:
            click.echo("no runs", err=True)
    except BrokenPipeError:
        # whoever reads has seen enough, as `head` does; what is left in the buffer would be refused once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _newest(store: Store, count: int, query: Query, workspace: str | None) -> list[RunSummary]:
    """So many runs, the newest last; looks through all of them where a query takes that."""
    from runstone.ledger.find import MOST, find

    found: list[RunSummary] = []
    cursor: str | None = None
    while len(found) < count:
        page = find(store, query, workspace=workspace, limit=min(MOST, count - len(found)), cursor=cursor)
        found += page.runs
        cursor = page.cursor
        if cursor is None:
            break
    return found[::-1]


def _follow(count: int, query: Query, workspace: str | None, *, as_json: bool) -> None:
    from runstone.ledger.find_follow import Follower
    from runstone.ledger.place import find

    if find() is None:
        raise no_ledger()
    follower = Follower(open_ledger_to_read, query, workspace)
    try:
        found = follower.newest(count)
        printer = _Printer(found, workspace, as_json=as_json)
        printer.print(found)
        for run in follower.changes():
            printer.print([run])
    finally:
        follower.close()


class _Printer:
    """Prints runs as they come. first: those that are there at once."""

    def __init__(self, first: list[RunSummary], workspace: str | None, *, as_json: bool) -> None:
        from runstone.cli.run_lines import RunLines

        self._lines = None if as_json else RunLines(first, several_workspaces=workspace is None)
        self._begun = False

    def print(self, runs: list[RunSummary]) -> None:
        from runstone.cli.paper import write
        from runstone.cli.run_lines import print_bytes

        if self._lines is None:
            print_bytes(b"".join(map(as_line, runs)))
            return
        head = "" if self._begun else self._lines.head()
        self._begun = True
        write(head + "".join(map(self._lines.line, runs)))


def _of_folders(count: int, query: Query) -> list[RunSummary]:
    """The newest runs in the folder `runs`, where nobody keeps a ledger."""
    from runstone import config
    from runstone.folder.listing import list_runs

    if query.terms:
        raise no_ledger()
    found = list_runs(config.runs_root(), count)["runs"] if count else []
    readable = [run for run in found if "error" not in run]
    if len(readable) < len(found):
        click.echo("runstone: some folders cannot be read; see: runstone list-runs", err=True)
    return [_summary(run) for run in reversed(readable)]


def _summary(status: dict[str, Any]) -> RunSummary:
    """A status object as lists show it."""
    from runstone.ledger.find_summary import of_status

    return of_status(status)
