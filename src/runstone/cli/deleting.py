"""What `runstone delete` and `runstone cleanup` share: showing what goes, asking, telling what went."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runstone.ledger.deletion import Deleted, Target

_SHOWN = 20
_WIDE = 100
_LEAST_WHERE = 12
_MOST_PIPELINE = 24

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
    """The runs that go, or would, with the room that each gives back and where it lies."""
    from runstone.cli.paper import UNBROKEN, paper, said, word
    from runstone.cli.sections import grid
    from runstone.core.figures import size
    from runstone.drawing.lettering import cells, shortened_to_cells

    with paper() as console:
        is_wide, is_terminal = console.width >= _WIDE, console.width < UNBROKEN
        titles = ("run", "pipeline", "status", "last active", "frees", "where")
        rows = []
        for doomed in planned.runs[:_SHOWN]:
            target = doomed.target
            active = _active(target.at, is_wide=is_wide)
            pipeline = shortened_to_cells(target.pipeline, _MOST_PIPELINE) if is_terminal else target.pipeline
            rows.append((target.run_id[:8], pipeline, target.status, active, size(doomed.bytes), _where(target)))
        # most folders have the name of the pipeline in theirs
        kept = [number for number in range(len(titles)) if is_wide or titles[number] != "pipeline"]
        taken = sum(max(cells(row[number]) for row in (titles, *rows)) + 2 for number in kept[:-1])
        table = grid(*("right" if titles[number] == "frees" else "whole" for number in kept))
        table.add_row(*(said(titles[number], "dim") for number in kept))
        for row in rows:
            shown = [word(row[number]) if titles[number] == "status" else said(row[number]) for number in kept[:-1]]
            table.add_row(*shown, said(_end_of(row[-1], console.width - taken - 1)))
        console.print(table)
        if len(planned.runs) > _SHOWN:
            console.print(said(f"and {len(planned.runs) - _SHOWN:,} more", "dim"))


def _active(moment: str, *, is_wide: bool) -> str:
    from runstone.cli.local_time import on_the_wall
    from runstone.cli.sections import when

    return when(moment) if is_wide else on_the_wall(moment, "%m-%d %H:%M") or "-"


def _where(target: Target) -> str:
    """The folder that goes, as the user would type it; what is said of a run that has none."""
    from runstone.folder.resolve import shown

    if not target.folders:
        return f"{target.pipeline}, no folder"
    more = len(target.folders) - 1
    return shown(target.folders[0]) + (f" and {more} more" if more else "")


def _end_of(path: str, most: int) -> str:
    """As much of its end as there is room for: the name of the run is there."""
    from runstone.cli.paper import takes
    from runstone.drawing.lettering import ELLIPSIS, cells

    mark = ELLIPSIS if takes(ELLIPSIS) else "..."
    most = max(most, _LEAST_WHERE)
    if cells(path) <= most:
        return path
    while cells(path) > most - cells(mark):
        path = path[1:]
    return mark + path


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
