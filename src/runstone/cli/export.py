"""`runstone export`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO

import click

from runstone.cli.destination import destination
from runstone.cli.finding import say_what_is_cut, scope
from runstone.ledger import place

if TYPE_CHECKING:
    from runstone.ledger.export import Exported

FORMATS = ("json", "jsonl", "csv", "parquet")


@click.command()
@click.option("--format", "form", type=click.Choice(FORMATS), help="What to write; else the ending of FILE, else json.")
@click.option("--query", metavar="QUERY", help="Only runs that QUERY asks for, such as 'status:failed since:7d'.")
@click.option("--all-workspaces", is_flag=True, help="Runs of every workspace.")
@click.option("-o", "file", metavar="FILE", help="Write into FILE instead of standard output.")
def command(form: str | None, query: str | None, all_workspaces: bool, file: str | None) -> None:
    """Write runs with all their fields, parameters and tags, newest first.

    In CSV and Parquet each parameter is a column of its own, `param.<name>`. Nothing is cut.
    """
    from runstone.core.query import Query, parse
    from runstone.ledger import export
    from runstone.ledger.opening import open_for_reading

    form = form or _format_of(file)
    if form == "parquet" and file is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: name a file with -o, or send it to a program")
    asked = Query() if query is None else parse(query)
    workspace = scope(all_workspaces)
    meant = place.find()
    if meant is None:
        raise click.ClickException(f"the ledger is switched off, by {place.VARIABLE} or runstone.toml")
    store = open_for_reading(meant)
    if store is None:
        raise click.ClickException(f"there is no ledger yet at {meant.shown}: the first recorded run makes it")
    with contextlib.closing(store), destination(file) as to:
        say_what_is_cut(store, asked, workspace)
        _write(form, export.runs(store, asked, workspace), to)


def _format_of(file: str | None) -> str:
    """The format that the name of a file asks for; json where it has no ending. Raises click.UsageError."""
    ending = os.path.splitext(file or "")[1].lower()
    if ending and ending[1:] not in FORMATS:
        known = ", ".join(f".{form}" for form in FORMATS)
        hint = "runstone ledger export writes it" if ending == ".duckdb" else "or give --format"
        raise click.UsageError(f"-o {file}: no format is known for {ending}, only for {known}; {hint}")
    return ending[1:] or "json"


def _write(form: str, runs: Iterable[list[Exported]], to: BinaryIO) -> None:
    from runstone.cli import run_text

    if form == "parquet":
        from runstone.cli.run_parquet import write_parquet

        write_parquet(runs, to)
        return
    pieces = {"json": run_text.json_array, "jsonl": run_text.json_lines, "csv": run_text.comma_separated}[form](runs)
    for piece in pieces:
        to.write(piece)
