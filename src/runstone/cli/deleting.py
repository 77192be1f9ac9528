"""What `runstone delete` and `runstone cleanup` share: showing what goes, asking, telling what went."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runstone.ledger.deletion import Deleted

_SHOWN = 20

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


def confirm(planned: Deleted, *, yes: bool) -> None:
    """Show what would go and ask; where nobody can be asked --yes has to say it. Raises click.Abort, UsageError."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError(f"this deletes {counted(planned)}; add --yes, or --dry-run to see which")
    show(planned)
    click.confirm(f"Delete {counted(planned)}?", abort=True)


def show(planned: Deleted) -> None:
    """The runs that go, or would, with the room that each gives back."""
    from runstone.cli.paper import paper, said, word
    from runstone.cli.sections import grid, when
    from runstone.core.figures import size

    with paper() as console:
        table = grid("whole", "left", "whole", "left", "right")
        table.add_row(*(said(title, "dim") for title in ("run", "pipeline", "status", "last active", "frees")))
        for doomed in planned.runs[:_SHOWN]:
            target = doomed.target
            table.add_row(
                said(target.run_id[:8]),
                said(target.pipeline),
                word(target.status),
                said(when(target.at)),
                said(size(doomed.bytes)),
            )
        console.print(table)
        if len(planned.runs) > _SHOWN:
            console.print(said(f"and {len(planned.runs) - _SHOWN:,} more", "dim"))


def counted(deleted: Deleted) -> str:
    """`3 runs, 1.2 MB`."""
    from runstone.core.figures import size

    number = len(deleted.runs)
    return f"{number:,} run{'s' * (number != 1)}, {size(deleted.bytes)}"


def tell(deleted: Deleted, *, as_json: bool) -> None:
    """What went, or would go; on standard error what could not be removed."""
    import msgspec

    from runstone.cli.ledger_at_hand import warn
    from runstone.cli.printing import print_json
    from runstone.drawing.lettering import showable

    for problem in deleted.left:
        warn(problem)
    if as_json:
        print_json(msgspec.to_builtins(deleted))
        return
    if deleted.dry_run:
        show(deleted)
    click.echo(f"{'would delete' if deleted.dry_run else 'deleted'} {counted(deleted)}")
    if deleted.finished:
        click.echo(f"removed what {deleted.finished:,} earlier deletion{'s' * (deleted.finished != 1)} had left behind")
    if deleted.spared:
        stay = f"{len(deleted.spared):,} run{'s' * (len(deleted.spared) != 1)}"
        first = deleted.spared[0]
        click.echo(showable(f"{stay} not touched: {first.target.run_id[:8]}, for {first.why}"))


def carry_out(planned: Callable[[], Deleted], done: Callable[[], Deleted], *, dry_run: bool, yes: bool) -> Deleted:
    """Only plan, or ask about the plan and do it."""
    if dry_run:
        return planned()
    if not yes:
        seen = planned()
        if seen.runs:
            confirm(seen, yes=yes)
    return done()
