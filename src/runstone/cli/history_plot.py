"""What `runstone history` prints: a row and a bar for every day, pipeline or status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runstone.cli.paper import STYLES, said, takes
from runstone.cli.run_lines import UNKNOWN, seconds_text
from runstone.core.tones import tone_of
from runstone.drawing.lettering import ELLIPSIS, cells, shortened_to_cells, showable
from runstone.ledger.history import Group, History, days_between

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_TITLES = ("runs", "success", "average", "p50", "p95")
_GAP = 2
_LEAST_BAR, _MOST_BAR = 8, 40
_ORDER = ("completed", "degraded", "cancelled", "failed", "timed_out", "crashed")


def print_history(found: History, count: int, console: Console) -> None:
    """Print a history. count: how many of its groups, the newest days or the largest others."""
    if not found.groups:
        console.print(said("no runs"))
        return
    shown = _with_empty_days(found.groups)[-count:] if found.by == "day" else found.groups[:count]
    rows = [(group, _figures(group)) for group in shown]
    total = _figures(found.total)
    widths = [
        max(len(title), len(total[place]), *(len(figures[place]) for _, figures in rows))
        for place, title in enumerate(_TITLES)
    ]
    named = max(cells(found.by), len("total"), *(cells(showable(group.name)) for group in shown))
    # a letter in the last column of a terminal makes some of them begin a new line
    room = console.width - 1 - sum(width + _GAP for width in widths)
    name = min(named, max(8, room - _LEAST_BAR - _GAP))
    bar = min(_MOST_BAR, room - name - _GAP)
    _print_line(console, said(found.by, "dim"), name, _TITLES, widths, None, "dim")
    most = max(group.runs for group in shown)
    for group, figures in rows:
        _print_line(
            console, said(_fitted(group.name, name)), name, figures, widths, _bar(group, most, bar) if bar > 0 else None
        )
    left = len(found.groups) - sum(1 for group in shown if group.runs)
    if left > 0:
        console.print(said(f"and {left:,} {'earlier days' if found.by == 'day' else 'more'}; -n shows them", "dim"))
    _print_line(console, said("total", "bold"), name, total, widths, None, "bold")


def _with_empty_days(groups: list[Group]) -> list[Group]:
    """Days on which nothing ran belong to the picture."""
    known = {group.name: group for group in groups}
    return [known.get(day) or _nothing(day) for day in days_between(groups[0].name, groups[-1].name)]


def _nothing(name: str) -> Group:
    return Group(
        name=name, runs=0, statuses={}, success_rate=None, average_seconds=None, p50_seconds=None, p95_seconds=None
    )


def _figures(group: Group) -> tuple[str, ...]:
    rate = UNKNOWN if group.success_rate is None else f"{100 * group.success_rate:.1f}%"
    times = (group.average_seconds, group.p50_seconds, group.p95_seconds)
    return (f"{group.runs:,}", rate, *map(seconds_text, times))


def _bar(group: Group, most: int, width: int) -> Text:
    """As long as the runs are many, in the colours of how they ended."""
    from rich.text import Text

    letter = "█" if takes("█") else "#"
    bar = Text()
    drawn = counted = 0
    for status in sorted(group.statuses, key=lambda each: _ORDER.index(each) if each in _ORDER else len(_ORDER)):
        counted += group.statuses[status]
        # what is there at all is seen
        until = max(drawn + 1, round(counted / most * width)) if drawn < width else drawn
        bar.append(letter * (until - drawn), STYLES[tone_of(status)])
        drawn = until
    return bar


def _print_line(
    console: Console,
    name: Text,
    room: int,
    figures: tuple[str, ...],
    widths: list[int],
    bar: Text | None,
    style: str = "",
) -> None:
    line = name.copy()
    line.append(" " * (room - cells(name.plain)))
    for figure, width in zip(figures, widths, strict=True):
        line.append(" " * (_GAP + width - len(figure)) + figure, style)
    if bar is not None:
        line.append(" " * _GAP)
        line.append_text(bar)
    line.rstrip()
    console.print(line, soft_wrap=True)


def _fitted(name: str, most: int) -> str:
    return shortened_to_cells(showable(name), most, ELLIPSIS if takes(ELLIPSIS) else "...")
