"""`runstone output`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from typing import Any

import click
from click.shell_completion import CompletionItem

from runstone.cli.arguments import run_argument
from runstone.cli.reading import reading_block
from runstone.core.records import BlockInfo, RunInfo
from runstone.errors import RunstoneError
from runstone.folder.load import Loader
from runstone.folder.look import Look
from runstone.folder.pieces import Pieces
from runstone.folder.read import read_info
from runstone.folder.resolve import Located
from runstone.ledger.locating import locate

FORMATS = ("json", "csv", "parquet")


def complete_output(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Outputs of the run or block that is named already, for the shell."""
    try:
        found = locate(ctx.params["run"])
        with Look(found.folder) as look:
            names = _names(read_info(look), found)
    except (RunstoneError, OSError, KeyError):
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command()
@run_argument
@click.argument("name", metavar="NAME", required=False, shell_complete=complete_output)
@click.option("--format", "form", type=click.Choice(FORMATS),
              help="How to write it; otherwise what FILE ends in, or json.")  # fmt: skip
@click.option("-o", "file", metavar="FILE", help="Write into FILE instead; it appears once it is whole.")
@click.option("--trust", is_flag=True, help="Open pickled values, which runs code from the folder.")
def command(run: str, name: str | None, form: str | None, file: str | None, trust: bool) -> None:
    """Print or save the output NAME of RUN, also of a run that goes on, failed or died.

    NAME may be left out where there is only one: `runstone output RUN/BLOCK` of a block with one output.
    As JSON, elements that failed are null, and so are NaN and infinities. CSV and Parquet take what has rows: mapped
    outputs, lists, arrays and tables. Without --trust pickled values are shown by their previews.
    """
    file = None if file == "-" else file
    form = form or _format_of(file)
    with reading_block(run) as found:
        with Look(found.folder) as look:
            info = read_info(look)
        names = _names(info, found)
        if name is None:
            name = _only(run, names)
        if name not in names:
            raise click.UsageError(_unknown(run, name, names))
        if trust:
            _make_importable(info.outputs[name])
        pieces = Loader(found.folder, trust=trust).pieces(name)
    _write(pieces, form, file)
    block = run if found.block is not None else f"{run}/{info.outputs[name].name}"
    _tell(pieces, block, form, trust=trust)


def _names(info: RunInfo, found: Located) -> list[str]:
    """The outputs that may be meant: those of the block, where one is named."""
    return [name for name, block in info.outputs.items() if found.block in (None, block.name)]


def _only(run: str, names: list[str]) -> str:
    if len(names) != 1:
        raise click.UsageError(f"name an output of {run}: {', '.join(names)}")
    return names[0]


def _make_importable(block: BlockInfo) -> None:
    """Let pickles find the classes that they name where the run found them: here, and beside the block's file."""
    file = (block.loader or "").rpartition(":")[0]
    folders = [os.getcwd(), *([os.path.dirname(file)] if file.endswith(".py") else [])]
    sys.path.extend(folder for folder in folders if folder not in sys.path)


def _unknown(run: str, name: str, names: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, names, n=1)
    return f"{run} has no output {name!r}; " + (
        f"did you mean {close[0]!r}?" if close else f"it has {', '.join(names)}"
    )


def _format_of(file: str | None) -> str:
    """The format that the name of a file asks for; json where it has no ending. Raises click.UsageError."""
    ending = os.path.splitext(file or "")[1].lower()
    if ending and ending[1:] not in FORMATS:
        known = ", ".join(f".{form}" for form in FORMATS)
        raise click.UsageError(f"-o {file}: no format is known for {ending}, only for {known}; or give --format")
    return ending[1:] or "json"


def _write(pieces: Pieces, form: str, file: str | None) -> None:
    from runstone.cli.destination import destination

    watched = file is None and sys.stdout.isatty()
    if form == "parquet":
        from runstone.cli.tables import table_of, write_parquet

        if watched:
            raise click.UsageError("Parquet is nothing to read on a terminal; give -o FILE")
        with destination(file) as to:
            write_parquet(table_of(pieces), to)
        return
    with destination(file) as to:
        for part in _text(pieces, form, watched=watched):
            to.write(part)


def _text(pieces: Pieces, form: str, *, watched: bool) -> Iterator[bytes]:
    if form == "csv":
        from runstone.cli.tables import csv_text, table_of
        from runstone.drawing.lettering import showable

        for part in csv_text(table_of(pieces)):
            yield "\n".join(map(showable, part.decode().split("\n"))).encode() if watched else part
        return
    from runstone.cli.json_text import json_text
    from runstone.cli.printing import harmless

    for part in json_text(pieces, pretty=watched):
        yield harmless(part) if watched else part


def _tell(pieces: Pieces, block: str, form: str, *, trust: bool) -> None:
    """What the output does not show, on standard error. block: that has made it, as the user would name it."""
    found: list[Any] = []
    total = 1
    for length in pieces.shape:
        total *= length
    of = f" of {total:,} elements"
    if pieces.failed:
        instead = "null stands in their place" if form == "json" else "their rows are empty"
        see = f"see them: runstone show {shlex.quote(block)}"
        found.append(f"{pieces.failed:,}{of} failed and have no value, {instead}; {see}")
    if pieces.missing:
        found.append(f"{pieces.missing:,}{of} were not recorded, or their values are gone")
    if pieces.unopened and not trust:
        what = "the value is a pickle" if pieces.axes is None else f"{pieces.unopened:,}{of} are pickles"
        found.append(f"{what}, shown by preview; --trust opens it, which runs code from the folder")
    for note in found:
        click.echo(f"runstone: {note}", err=True)
