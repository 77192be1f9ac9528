"""`runstone tag`."""

from __future__ import annotations

import click

from runstone.cli.arguments import run_argument


@click.command()
@run_argument
@click.argument("tags", metavar="[+]TAG...", nargs=-1)
@click.option(
    "--remove", "removed", metavar="TAG", multiple=True, help="Take this tag away; several times for several."
)
def command(run: str, tags: tuple[str, ...], removed: tuple[str, ...]) -> None:
    """Tag RUN, also one that ended; without TAG print the tags it has, one a line.

    Tags find runs: `--query tag:best`. They are kept in the run folder, beside what the run recorded itself, and in the
    ledger.
    """
    from runstone.cli.annotating import say, subject
    from runstone.cli.ledger_at_hand import ledger_at_hand
    from runstone.core.annotated import TAG, UNTAG, problem_with_tag
    from runstone.drawing.lettering import showable

    given = [tag.removeprefix("+") for tag in tags]
    for tag in (*given, *removed):
        problem = problem_with_tag(tag)
        if problem is not None:
            raise click.UsageError(f"{tag!r} cannot be a tag: {problem}")
    with ledger_at_hand(only_read=not given and not removed) as store:
        about = subject(run, store)
        if not given and not removed:
            for tag in about.tags:
                click.echo(showable(tag))
            return
        said = [(UNTAG, tag) for tag in dict.fromkeys(removed) if tag in about.tags]
        said += [(TAG, tag) for tag in dict.fromkeys(given) if tag not in about.tags or (UNTAG, tag) in said]
        say(about, said, store)
        left = [tag for tag in about.tags if (UNTAG, tag) not in said]
        now = list(dict.fromkeys([*left, *(tag for kind, tag in said if kind == TAG)]))
    click.echo(f"run {about.run_id[:8]} has {'the tags ' + showable(', '.join(now)) if now else 'no tags'}")
