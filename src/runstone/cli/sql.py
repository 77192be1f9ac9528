"""`runstone sql`."""

from __future__ import annotations

import sys

import click

from runstone.cli.destination import destination
from runstone.errors import StatementError
from runstone.ledger import place
from runstone.ledger.user_sql import Answer, Engine, answering, reader


def _refuse_workspace(ctx: click.Context, param: click.Parameter, given: str | None) -> None:
    if given is not None:
        raise click.UsageError(f"SQL sees all workspaces; ask for one with: WHERE tenant_id = '{given}'", ctx)


@click.command()
@click.option("--workspace", metavar="W", hidden=True, expose_value=False, callback=_refuse_workspace)
@click.argument("statement", required=False, metavar="[SQL]")
@click.option("--file", "path", metavar="FILE", help="Read the SQL from FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print an array of JSON objects, one for each row.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option(
    "--engine",
    type=click.Choice([engine.value for engine in Engine]),
    default=Engine.AUTO.value,
    help="Who executes it: the store itself (native) or DuckDB; auto asks DuckDB for what the store does not know.",
)
def command(statement: str | None, path: str | None, as_json: bool, as_csv: bool, engine: str) -> None:
    """Ask the database of all runs: one SELECT over the view `runs` and the tables behind it.

    SQL may be `-` for standard input. Nothing can be changed. Prints a table in a terminal, elsewhere lines separated
    by tabs, with a header. With DuckDB installed its functions work too, and COPY (SELECT ...) TO 'file'.
    """
    if as_json and as_csv:
        raise click.UsageError("choose one of --json and --csv")
    text = _text(statement, path)
    meant = place.find()
    if meant is None:
        raise click.ClickException("there is no ledger: it is switched off, by RUNSTONE_LEDGER or in runstone.toml")
    with reader(meant) as ledger:
        if ledger is None:
            raise click.ClickException(f"there is no ledger yet at {meant.shown}: the first recorded run makes it")
        with answering(ledger, text, Engine(engine)) as answer:
            _print(answer, as_json=as_json, as_csv=as_csv)


def _text(statement: str | None, path: str | None) -> str:
    if (statement is None) == (path is None):
        raise click.UsageError('write the SQL, such as "SELECT * FROM runs", or - for standard input, or --file FILE')
    try:
        if path is not None:
            with open(path, "rb") as file:
                data = file.read()
        elif statement == "-":
            data = sys.stdin.buffer.read()
        else:
            assert statement is not None
            data = statement.encode()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise click.UsageError(f"--file {path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeError:
        raise StatementError("the SQL is no UTF-8 text") from None


def _print(answer: Answer, *, as_json: bool, as_csv: bool) -> None:
    from runstone.cli.row_text import comma_separated, json_array, tab_separated

    if not (as_json or as_csv) and sys.stdout.isatty():
        from runstone.cli.row_table import print_rows

        print_rows(answer.columns, answer.batches)
        return
    form = json_array if as_json else comma_separated if as_csv else tab_separated
    with destination(None) as to:
        for piece in form(answer.columns, answer.batches):
            to.write(piece)
