"""`runstone note`."""

from __future__ import annotations

import sys

import click

from runstone.cli.arguments import run_argument


@click.command()
@run_argument
@click.argument("text", metavar="TEXT")
def command(run: str, text: str) -> None:
    """Write a note about RUN, also about one that ended; `runstone show RUN` shows it. TEXT - is read from a pipe.

    Notes are kept in the run folder, beside what the run recorded itself, and in the ledger.
    """
    from runstone.cli.annotating import say, subject
    from runstone.cli.ledger_at_hand import ledger_at_hand
    from runstone.core.annotated import NOTE, TEXT_MOST

    if text == "-":
        text = sys.stdin.read(TEXT_MOST + 1)
    text = text.strip()
    if not text:
        raise click.UsageError("there is nothing to note: TEXT is empty")
    if len(text) > TEXT_MOST:
        raise click.UsageError(f"a note has at most {TEXT_MOST:,} characters; keep longer texts in a file")
    with ledger_at_hand() as store:
        about = subject(run, store)
        say(about, [(NOTE, text)], store)
    click.echo(f"noted about run {about.run_id[:8]}")
