"""`runstone why`."""

from __future__ import annotations

import contextlib
import os
import re

import click

from runstone.cli.arguments import complete_run
from runstone.cli.reading import reading_block
from runstone.errors import RunNotFound
from runstone.folder.resolve import Located
from runstone.ledger.locating import locate

_NUMBERS = re.compile(r"[0-9]{1,18}(?:,[0-9]{1,18})*")


@click.command()
@click.argument("what", metavar="RUN[/BLOCK[/ELEMENT]]", shell_complete=complete_run)
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as a JSON object.")
def command(what: str, as_json: bool) -> None:
    """Tell why a run, a block or an element waits, failed, was skipped, reused, computed again or stopped.

    ELEMENT is its flat number, or an index for each axis: 7, or 2,1. The answer comes first, then what shows it.
    Works while the run goes on, after its process died, and on a copy. Exits 0 if it could be answered, 1 if the run
    cannot be read, 2 if it has no such block or element.
    """
    from runstone.folder.why import explain

    run, element = _split(what)
    with reading_block(run) as found:
        explanation = explain(found.folder, found.block, element)
    if as_json:
        from runstone.cli.printing import print_json

        print_json(explanation)
        return
    from runstone.cli.paper import width, write

    write(explanation.text(width()))


def _split(what: str) -> tuple[str, int | tuple[int, ...] | None]:
    """RUN or RUN/BLOCK, and the element behind it if one is named; a folder of that name comes first.

    Raises RunNotFound, and UsageError for a block that the run does not have, or what names no element.
    """
    head, _, tail = what.rpartition("/")
    if head and not os.path.isdir(what):
        with contextlib.suppress(RunNotFound):
            if _located(head).block is not None:
                return head, _element(tail)
    _located(what)
    return what, None


def _element(text: str) -> int | tuple[int, ...]:
    if not _NUMBERS.fullmatch(text):
        raise click.UsageError(f"{text!r} names no element; give its flat number, or an index for each axis: 7, or 2,1")
    numbers = tuple(map(int, text.split(",")))
    return numbers[0] if len(numbers) == 1 else numbers


def _located(what: str) -> Located:
    try:
        return locate(what)
    except RunNotFound as error:
        run = what.rpartition("/")[0]
        if run and _is_run(run):
            raise click.UsageError(str(error)) from None
        raise


def _is_run(what: str) -> bool:
    try:
        return locate(what).block is None
    except RunNotFound:
        return False
