"""Parts of the pages that `runstone show` prints, the same for a run and for a block."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from runstone.cli.paper import STYLES, said, said_lines
from runstone.core.annotated import Annotation
from runstone.core.figures import ago, duration, size
from runstone.core.tones import Tone, tone_of
from runstone.drawing.lettering import cells, shortened_to_cells, showable
from runstone.folder import clock
from runstone.folder.overview import BlockDetail, OutputDetail, Overview

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

_INDENT = 2
_GAP = 2
_FRAME = 4
_NOTES = 10
_MOST_NOTE = 2000
_TITLE = "Traceback (most recent call last):"


def print_section(console: Console, title: str, *parts: RenderableType) -> None:
    """A title, and below it, indented, what belongs to it."""
    from rich.padding import Padding

    console.print()
    console.print(said(title, "bold"))
    for part in parts:
        console.print(Padding(part, (0, 0, 0, 2), expand=False))


def grid(*justify: str) -> Table:
    """A table without lines. justify: for every column left, right, or whole, which is left and never broken."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    for each in justify:
        table.add_column(justify="right" if each == "right" else "left", overflow="fold", no_wrap=each == "whole")
    return table


def fits(table: Table, console: Console) -> bool:
    """Whether a table stands below a title without any cell being broken."""
    from rich.measure import Measurement

    unbroken = console.options.update(max_width=100_000)
    return Measurement.get(console, unbroken, table).maximum + _INDENT <= console.width


def print_head(console: Console, title: Text, line: Text, facts: Iterable[tuple[str, str]], status: str) -> None:
    """What stands above a page, in a frame of the colour of `status` on a terminal.

    line: the status in words. facts: names and values; those that are empty are left out.
    """
    from rich.panel import Panel

    told = [(name, value) for name, value in facts if value]
    room = console.width - _FRAME - max(map(cells, ("status", *(name for name, _ in told)))) - _GAP
    lines = grid("whole", "left")
    lines.add_row(said("status", "dim"), line)
    for name, value in told:
        lines.add_row(said(name, "dim"), _within(said(value), room))
    if console.is_terminal:
        style = STYLES[tone_of(status)]
        console.print(Panel(lines, title=title, title_align="left", border_style=style, padding=(0, 1)))
    else:
        console.print(title)
        console.print(lines)


def _within(value: Text, room: int) -> Text:
    """A path that is too long for a line, broken where one of its folders ends; anything else as it is."""
    if cells(value.plain) <= room or " " in value.plain or os.sep not in value.plain:
        return value
    lines = [""]
    for part in re.split(f"(?<={re.escape(os.sep)})", value.plain):
        if lines[-1] and cells(lines[-1] + part) > room:
            lines.append("")
        lines[-1] += part
    return said_lines("\n".join(lines))


def status_line(status: str, seconds: float | None, *, underway: bool) -> Text:
    """A status in its colour, and for how long it has been so."""
    from rich.text import Text

    style = STYLES[tone_of(status)]
    line = Text.assemble(("● ", style), (showable(status), f"bold {style}"))
    if seconds is not None:
        line.append(f" {'for' if underway else 'after'} {duration(seconds)}")
    return line


def when(moment: str) -> str:
    """A time as the clock on the wall shows it, and how long ago that is."""
    from datetime import datetime

    then = clock.seconds(moment)
    if then is None:
        return moment
    try:
        local = datetime.fromtimestamp(then).astimezone()
    except (OverflowError, OSError, ValueError):
        return moment
    since = time.time() - then
    return f"{local:%Y-%m-%d %H:%M:%S %Z}" + (f" ({ago(since)})" if since >= 0 else "")


def elements_text(block: BlockDetail) -> str:
    """How many elements of a mapped block have ended, of how many."""
    if block.shape is None or block.total is None:
        return ""
    shape = f" ({' × '.join(map(str, block.shape))})" if len(block.shape) > 1 else ""
    return f"{block.ended:,}/{block.total:,}{shape}"


def failed_text(block: BlockDetail) -> str:
    """How many elements of a mapped block have failed, or were not called as something before them had failed."""
    if block.shape is None:
        return ""
    told = [f"{block.failed:,}"] if block.failed else []
    if block.upstream_failed:
        told.append(f"{block.upstream_failed:,} not called")
    return ", ".join(told)


def time_text(block: BlockDetail) -> str:
    """How long a block took, or has taken so far."""
    return "" if block.seconds is None else duration(block.seconds)


def output_cells(output: OutputDetail, block: BlockDetail) -> list[Text]:
    """Name, type and size of an output; dim as long as it is not there, red if it was there once."""
    there = output.values > 0 or output.complete
    lost = not output.complete and block.status in ("completed", "reused", *(["degraded"] if not there else []))
    style = STYLES[Tone.BAD] if lost else "" if there else "dim"
    kind = output.type or ""
    if lost or not there:
        kind = "missing on disk" if lost else "-"
    elif block.shape is not None:
        kind = f"{output.values:,} × {kind}"
    return [said(output.name, style), said(kind, style), said(size(output.bytes) if there and not lost else "", style)]


def artifacts_table(seen: Overview, console: Console) -> Table:
    """The files that were saved on purpose; their paths begin in the run's folder where there is no room for all."""
    whole = _artifacts(seen, seen.status["run_folder"])
    return whole if fits(whole, console) else _artifacts(seen, "")


def stack_lines(traceback: str) -> list[str]:
    """The lines of a traceback, without the title where no frames follow it."""
    lines = traceback.rstrip("\n").split("\n")
    below = [*lines[1:], ""]
    return [line for line, after in zip(lines, below, strict=True) if line != _TITLE or after.startswith(" ")]


def _artifacts(seen: Overview, folder: str) -> Table:
    table = grid("left", "left", "right", "left")
    for artifact in seen.artifacts:
        path = os.path.join(folder, artifact.path)
        place = said(path) if artifact.present else said("missing on disk", STYLES[Tone.BAD])
        table.add_row(said(artifact.name), said(artifact.artifact_type), said(size(artifact.size_bytes)), place)
    more = seen.artifact_count - len(seen.artifacts)
    if more > 0:
        table.add_row(said(f"and {more:,} more", "dim"))
    return table


def notes_lines(notes: Sequence[Annotation]) -> list[RenderableType]:
    """What was noted about a run: the newest, oldest first; when and by whom, and below it the text."""
    from rich.padding import Padding

    more = len(notes) - _NOTES
    lines: list[RenderableType] = [said(f"and {more:,} before", "dim")] if more > 0 else []
    for note in notes[-_NOTES:]:
        lines.append(said(", ".join(filter(None, (when(note.said_at), note.said_by))), "dim"))
        text = said_lines(shortened_to_cells(note.text, _MOST_NOTE))
        lines.append(Padding(text, (0, 0, 0, 2), expand=False))
    return lines


def named_rows(rows: Sequence[Sequence[Text]], justify: Sequence[str], console: Console) -> list[Text]:
    """Rows that begin with a name, below each other: a name too long to stand beside the rest has a line of its own.

    rows: cells, as many in each; the first row has the titles. justify: left or right, for every column.
    """
    from rich.text import Text

    names = [cells(row[0].plain) for row in rows]
    widths = [max(cells(row[place].plain) for row in rows) for place in range(1, len(justify))]
    room = console.width - 1 - _INDENT - sum(width + _GAP for width in widths)
    widths = [max((name for name in names if name <= room), default=0), *widths]
    lines: list[Text] = []
    for row in rows:
        cut = [row[0], *row[1:]]
        if cells(row[0].plain) > widths[0]:
            lines.append(row[0])
            cut[0] = Text()
        line = Text()
        for text, width, side in zip(cut, widths, justify, strict=True):
            padding = Text(" " * (width - cells(text.plain)))
            line.append_text(padding + text if side == "right" else text + padding)
            line.append(" " * _GAP)
        line.rstrip()
        if line.plain:
            lines.append(line)
    return lines


def print_steps(console: Console, steps: list[tuple[str, str]]) -> None:
    """Commands worth typing now. They are not to be broken: what is too long for a terminal it breaks itself."""
    print_section(console, "Next")
    room = max(cells(command) for command, _ in steps) + 2
    beside = all(_INDENT + room + len(why) + 2 <= console.width for _, why in steps)
    for command, why in steps:
        line = said(" " * _INDENT + command)
        if beside:
            line.append(" " * (room - cells(command)) + f"# {why}", "dim")
        else:
            console.print(said(f"{' ' * _INDENT}# {why}", "dim"), soft_wrap=True)
        console.print(line, soft_wrap=True)
