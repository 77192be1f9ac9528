"""`runstone watch`."""

from __future__ import annotations

import sys

import click

from runstone.cli import folderless
from runstone.cli.arguments import Seconds, pretty_option, run_argument
from runstone.cli.exits import code_for
from runstone.cli.printing import print_json
from runstone.errors import RunNotFound
from runstone.folder import observe
from runstone.folder.follow import end_of, follow
from runstone.ledger.locating import FolderGone, locate


@click.command()
@run_argument
@click.option("--interval", type=Seconds(min=0.01), default=1.0, metavar="S", show_default=True,
              help="Seconds between two looks; the journal is watched more closely.")  # fmt: skip
@click.option("--timeout", type=Seconds(min=0), metavar="S", help="Give up after S seconds, with exit code 2.")
@click.option("--strict", is_flag=True, help="Exit 1 for a degraded run.")
@pretty_option
def command(run: str, interval: float, timeout: float | None, strict: bool, pretty: bool) -> None:
    """Follow RUN: one whole JSON object at every change; the last one is the end. RUN/BLOCK ends with that block.
    Of a run without a folder, as one that was tracked, the ledger tells.

    Exits 0 if it completed (or ended degraded), 1 if it failed, was cancelled, timed out, crashed or cannot be read, 2
    after the timeout.
    """
    try:
        found = locate(run)
    except FolderGone as gone:
        told = folderless.follow(gone, interval=interval, timeout=timeout)
    except RunNotFound as error:
        print_json(observe.failure(run, "missing", str(error)), pretty=pretty)
        sys.exit(1)
    else:
        told = follow(found.folder, interval=interval, timeout=timeout, block=found.block)
    end = None
    for seen in told:
        print_json(seen, pretty=pretty)
        end = end_of(seen)
    sys.exit(code_for(end, strict=strict))
