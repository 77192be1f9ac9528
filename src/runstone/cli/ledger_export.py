"""`runstone ledger export`."""

from __future__ import annotations

import os

import click

from runstone.ledger import place


@click.command("export", short_help="Write all runs into a file of DuckDB.")
@click.argument("file", metavar="FILE.duckdb", type=click.Path(dir_okay=False))
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
def command(file: str, force: bool) -> None:
    """Write all runs into FILE, a database of DuckDB with the one table `runs`.

    Needs DuckDB: pip install 'runstone[analytics]'.
    """
    from runstone.ledger import duckdb_file
    from runstone.ledger.user_sql import reader

    meant = place.find()
    if meant is None:
        raise click.ClickException(f"the ledger is switched off, by {place.VARIABLE} or runstone.toml")
    if not os.path.isdir(os.path.dirname(os.path.abspath(file))):
        raise click.UsageError(f"{file}: there is no folder {os.path.dirname(file)}")
    with reader(meant) as ledger:
        if ledger is None:
            raise click.ClickException(f"there is no ledger yet at {meant.shown}: the first recorded run makes it")
        try:
            count = duckdb_file.write(ledger, file, replace=force)
        except FileExistsError:
            raise click.UsageError(f"{file} is there already; --force replaces it") from None
        except OSError as error:
            raise click.ClickException(f"{file}: {(error.strerror or str(error)).lower()}") from error
    click.echo(f"{count:,} {'run' if count == 1 else 'runs'} written to {file}")
