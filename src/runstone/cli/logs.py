"""`runstone logs`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator

import click
import msgspec

from runstone.cli.arguments import run_argument
from runstone.cli.reading import reading_block
from runstone.core.records import RunInfo
from runstone.folder.log_reading import log_files, newest, oldest_first
from runstone.folder.log_search import LogQuery
from runstone.folder.logs import LEVELS, LogLine
from runstone.folder.look import Look
from runstone.folder.read import read_info


@click.command()
@run_argument
@click.option("--block", metavar="B", help="Only this block.")
@click.option("--element", type=click.IntRange(min=0), metavar="I", help="Only this element, by its flat number.")
@click.option("--level", type=click.Choice(LEVELS, case_sensitive=False), metavar="L",
              help=f"At least this level: {', '.join(LEVELS)}.")  # fmt: skip
@click.option("--grep", metavar="RE", help="Only messages in which this regular expression is found.")
@click.option("-n", "count", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--follow", is_flag=True, help="Go on with new lines until the run has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print each line as a JSON object.")
def command(
    run: str,
    block: str | None,
    element: int | None,
    level: str | None,
    grep: str | None,
    count: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Print what the blocks of RUN, or RUN/BLOCK alone, have printed, logged and warned of, oldest first.

    Works while it runs, after its process died, and on a copy. Exits 1 if there is no run or it cannot be read.
    """
    with contextlib.ExitStack() as stack:
        with reading_block(run) as found:
            look = stack.enter_context(Look(found.folder))
            info = read_info(look)
        # from here on an error of the system is one of standard output
        block = _block(info, found.block, block)
        query = LogQuery.of(block=block, element=element, level=level, grep=grep)
        if follow:
            from runstone.folder.log_following import follow_logs

            lines: Iterable[LogLine] = follow_logs(found.folder, query, count=count, block=block)
        elif count is not None:
            lines = newest(look, log_files(look, query), query, count)
        else:
            lines = oldest_first(look, log_files(look, query), query)
        if not _print(lines, as_json=as_json, at_once=follow) and count != 0:
            from runstone.cli.main import complain
            from runstone.cli.nothing_said import nothing_said

            if (note := nothing_said(found.folder, info, query)) is not None:
                complain(note, 0)


def _block(info: RunInfo, named: str | None, asked: str | None) -> str | None:
    """The one block that is meant, by RUN/BLOCK or --block. Raises UsageError if there is none such."""
    if asked is None or asked == named:
        return named
    names = [block.name for block in info.blocks]
    if named is not None:
        raise click.UsageError(f"--block {asked} does not go with {named}, the block that is named already")
    if asked not in names:
        from difflib import get_close_matches

        close = get_close_matches(asked, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names)}"
        raise click.UsageError(f"this run has no block {asked!r}; {hint}")
    return asked


def _print(lines: Iterable[LogLine], *, as_json: bool, at_once: bool) -> bool:
    """Print the lines; returns whether there were any."""
    printed = False
    try:
        for text in _as_json(lines) if as_json else _as_text(lines):
            sys.stdout.buffer.write(text)
            printed = True
            if at_once:
                sys.stdout.buffer.flush()
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # whoever reads has seen enough, as `head` does; what is left in the buffer would be refused once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return printed


def _as_json(lines: Iterable[LogLine]) -> Iterator[bytes]:
    from runstone.cli.printing import harmless

    watched = sys.stdout.isatty()
    for line in lines:
        data = msgspec.json.encode(msgspec.structs.asdict(line))
        yield (harmless(data) if watched else data) + b"\n"


def _as_text(lines: Iterable[LogLine]) -> Iterator[bytes]:
    from runstone.cli.log_text import LogText

    text = LogText()
    for line in lines:
        yield text.of(line)
