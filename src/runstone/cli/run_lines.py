"""Runs as lines of a table that begins before the last of them is there; without rich, which takes time to load."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from runstone.cli.local_time import on_the_wall
from runstone.cli.paper import is_decorated, takes, width, write
from runstone.core.tones import Tone, tone_of
from runstone.drawing.lettering import ELLIPSIS, cells, shortened_to_cells, showable
from runstone.ledger.find_summary import RunSummary

UNKNOWN = "-"
_GAP = 2
_ID = 8
_STATUS = 10
"""The longest word there is."""
_LEAST_STAGE, _MOST_STAGE = 6, 40
_WORTH_SEEING = 12
"""So much of a name is worth more than the year and the rows."""
_DURATION = 8
_COLOURS = {Tone.GOOD: "32", Tone.BAD: "31", Tone.BUSY: "33", Tone.WARNED: "33", Tone.IDLE: "2"}
_DIM = "2"


class Column(msgspec.Struct, frozen=True):
    """title, columns of the terminal, and whether it is set right."""

    title: str
    width: int
    right: bool = False


class RunLines:
    """Prints runs below each other. first: those that the widths of the columns are taken from.

    Where it is narrow, times are told without the year, and rows in and out only where they are known.
    """

    def __init__(self, first: Sequence[RunSummary], *, several_workspaces: bool = False) -> None:
        self._decorated = is_decorated()
        self._room = width() - 1
        self._workspaces = several_workspaces
        counted = max((len(text) for run in first for text in (_count(run.rows_in), _count(run.rows_out))), default=1)
        self._time = "%Y-%m-%d %H:%M:%S"
        rows = [Column("Rows In", max(7, counted), True), Column("Rows Out", max(8, counted), True)]
        stage = max([5, *(cells(showable(self._stage(run))) for run in first)])
        self._columns = self._arranged(stage, 19, rows)
        if self._left(self._columns[2:]) < min(stage, _WORTH_SEEING):
            self._time = "%m-%d %H:%M"
            rows = [Column("In", max(3, counted), True), Column("Out", max(3, counted), True)] if counted > 1 else []
            self._columns = self._arranged(stage, 11, rows)

    def _arranged(self, stage: int, time: int, rows: list[Column]) -> list[Column]:
        others = [Column("Status", _STATUS), Column("Started At", time), *rows, Column("Duration", _DURATION, True)]
        wanted = min(max(stage, _WORTH_SEEING), _MOST_STAGE) if self._decorated else max(stage, _WORTH_SEEING)
        return [
            Column("Run ID", _ID),
            Column("Stage", max(_LEAST_STAGE, min(wanted, self._left(others)))),
            *others,
        ]

    def _left(self, others: Sequence[Column]) -> int:
        """The room that these columns and that of ids leave to the names."""
        return self._room - _ID - _GAP - sum(_GAP + each.width for each in others)

    def head(self) -> str:
        """The line of titles."""
        line = "".join(self._placed(each.title, each, last=each is self._columns[-1]) for each in self._columns)
        return f"{self._coloured(line.rstrip(), _DIM)}\n"

    def line(self, run: RunSummary) -> str:
        """A run."""
        known = {
            "Run ID": run.run_id[:_ID],
            "Stage": self._stage(run),
            "Status": run.status,
            "Started At": on_the_wall(run.started_at, self._time) or UNKNOWN,
            "Rows In": _count(run.rows_in),
            "Rows Out": _count(run.rows_out),
            "In": _count(run.rows_in),
            "Out": _count(run.rows_out),
            "Duration": seconds_text(run.duration_seconds),
        }
        line = ""
        for each in self._columns:
            text = self._placed(known[each.title], each, last=each is self._columns[-1])
            line += self._coloured(text, _COLOURS[tone_of(run.status)]) if each.title == "Status" else text
        return f"{line.rstrip()}\n"

    def _stage(self, run: RunSummary) -> str:
        return f"{run.workspace}/{run.pipeline_name}" if self._workspaces else run.pipeline_name

    def _placed(self, text: str, column: Column, *, last: bool) -> str:
        shown = showable(text)
        if column.title != "Duration":
            shown = shortened_to_cells(shown, column.width, ELLIPSIS if takes(ELLIPSIS) else "...")
        padding = " " * max(0, column.width - cells(shown))
        return (f"{padding}{shown}" if column.right else f"{shown}{padding}") + ("" if last else " " * _GAP)

    def _coloured(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._decorated else text


def print_runs(runs: Sequence[RunSummary], *, several_workspaces: bool) -> None:
    """Print runs as a table, in their order."""
    lines = RunLines(runs, several_workspaces=several_workspaces)
    write(lines.head() + "".join(map(lines.line, runs)))


def print_bytes(text: bytes) -> None:
    """Write to standard output at once; nothing in it can command a terminal."""
    from runstone.cli.printing import harmless

    sys.stdout.buffer.write(harmless(text) if sys.stdout.isatty() else text)
    sys.stdout.buffer.flush()


def seconds_text(seconds: float | None) -> str:
    """A duration as lists show it: `12.45s`."""
    return UNKNOWN if seconds is None else f"{seconds:.2f}s"


def _count(count: int | None) -> str:
    return UNKNOWN if count is None else f"{count:,}"
