"""`runstone archive`."""

from __future__ import annotations

import click

from runstone.cli.arguments import run_argument


@click.command()
@run_argument
@click.argument("file", metavar="FILE", type=click.Path())
@click.option("--as-it-is", is_flag=True, help="Also of a run that goes on: what is recorded of it now.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as one JSON object.")
def command(run: str, file: str, as_it_is: bool, as_json: bool) -> None:
    """Write RUN with everything that belongs to it into FILE, a ZIP: outputs, logs, artifacts, errors, tags and notes.

    `runstone import FILE` opens it elsewhere. FILE holds the SHA-256 of all that is in it, appears once it is whole,
    and never replaces another one; the same run gives the same bytes.
    """
    import msgspec

    from runstone.cli.ledger_at_hand import warn
    from runstone.cli.printing import print_json
    from runstone.cli.reading import reading
    from runstone.core.figures import size
    from runstone.errors import StorageError
    from runstone.folder.archive import archive

    with reading(run) as folder:
        try:
            made = archive(folder, file, as_it_is=as_it_is)
        except StorageError as error:
            # about FILE: nothing is wrong with the run
            raise click.ClickException(str(error)) from error
    for path in made.left_out:
        warn(f"{path} is not in the archive: no archive takes a file of that name")
    if as_json:
        print_json(msgspec.to_builtins(made))
        return
    what = "" if made.ended else ", as it is now; it has not ended"
    files = f"{made.files:,} file{'s' * (made.files != 1)}"
    click.echo(f"run {made.run_id[:8]} is in {file}: {files}, {size(made.content)} in {size(made.bytes)}{what}")
