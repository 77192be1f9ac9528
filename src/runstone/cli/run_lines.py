"""Runs as lines of a table that begins before the last of them is there; without rich, which takes time to load."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from runstone.cli.elapsed import elapsed
from runstone.cli.local_time import on_the_wall
from runstone.cli.paper import is_decorated, takes, width, write
from runstone.core.reasons import Reason
from runstone.core.tones import Tone, tone_of
from runstone.drawing.lettering import ELLIPSIS, cells, shortened_to_cells, showable
from runstone.ledger.find_summary import RunSummary

UNKNOWN = "-"
_GAP = 2
_ID = 8
_STATUS = 10
"""The longest word there is."""
_LEAST_STAGE, _MOST_STAGE = 6, 40
_STEADY_STAGE = 12
"""A column of names is at least so wide where there is room, so that it does not jump about."""
_WORTH_SEEING = 20
"""So much of a name is worth more than the year, all digits of rows, and rows at all."""
_WORTH_MOST = 8
"""So much of it is worth more than the time."""
_DURATION = 8
_STARTED = "Started At"
_LONG_TIME, _SHORT_TIME = "%Y-%m-%d %H:%M:%S", "%m-%d %H:%M"
_UNITS = "kMGTPE"
_COLOURS = {Tone.GOOD: "32", Tone.BAD: "31", Tone.BUSY: "33", Tone.WARNED: "33", Tone.IDLE: "2"}
_DIM = "2"


class Column(msgspec.Struct, frozen=True):
    """title, columns of the terminal, and whether it is set right."""

    title: str
    width: int
    right: bool = False


class RunLines:
    """Prints runs below each other. first: those that the widths of the columns are taken from.

    Where it is narrow, other columns give way to the names, one after the other: times are told without the year, rows
    in round numbers, then not at all, and at last no times.
    """

    def __init__(self, first: Sequence[RunSummary], *, several_workspaces: bool = False) -> None:
        self._decorated = is_decorated()
        self._room = width() - 1
        self._workspaces = several_workspaces
        self._columns = self._arranged(first)

    def _arranged(self, first: Sequence[RunSummary]) -> list[Column]:
        stage = max([5, *(cells(showable(self._stage(run))) for run in first)])
        counts = [count for run in first for count in (run.rows_in, run.rows_out) if count is not None]
        digits = max((len(_count(count)) for count in counts), default=1)
        lasts = max((len(_duration(run)) for run in first), default=1)
        status, duration = Column("Status", _STATUS), Column("Duration", max(_DURATION, lasts), True)
        long, short = Column(_STARTED, len("2026-01-31 12:30:00")), Column(_STARTED, len("01-31 12:30"))
        rows = [Column("Rows In", max(7, digits), True), Column("Rows Out", max(8, digits), True)]
        rounded = [Column("In", 4, True), Column("Out", 4, True)] if counts else []
        ways = [
            [status, long, *rows, duration],
            [status, short, *(rows if counts else []), duration],
            [status, short, *rounded, duration],
            [status, short, duration],
            [status, short, Column("Time", max(5, lasts), True)],
        ]
        others = next((way for way in ways if self._left(way) >= min(stage, _WORTH_SEEING)), ways[-1])
        if self._left(others) < min(stage, _WORTH_MOST):
            others = [each for each in others if each is not short]
        self._time = _LONG_TIME if long in others else _SHORT_TIME
        wanted = max(stage, _STEADY_STAGE)
        if self._decorated:
            wanted = min(wanted, _MOST_STAGE)
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
            "Status": _status(run),
            _STARTED: on_the_wall(run.started_at, self._time) or UNKNOWN,
            "Rows In": _count(run.rows_in),
            "Rows Out": _count(run.rows_out),
            "In": _rounded(run.rows_in),
            "Out": _rounded(run.rows_out),
            "Duration": _duration(run),
            "Time": _duration(run),
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
        if column.title not in ("Duration", "Time"):
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


def _duration(run: RunSummary) -> str:
    return seconds_text(elapsed(run.status, run.started_at, run.duration_seconds))


def _status(run: RunSummary) -> str:
    """How it stands; a run whose result was taken from the cache did nothing of that itself."""
    return Reason.REUSED.value if run.status == "completed" and run.reason == Reason.REUSED else run.status


def _rounded(count: int | None) -> str:
    """In at most four characters, but for counts beyond all measure: `999`, `1.2M`, `35k`."""
    if count is None or count < 1000:
        return _count(count)
    amount, power = float(count), 0
    while amount >= 999.5 and power < len(_UNITS):
        amount /= 1000
        power += 1
    return f"{amount:.{1 if amount < 9.95 else 0}f}{_UNITS[power - 1]}"


def _count(count: int | None) -> str:
    return UNKNOWN if count is None else f"{count:,}"
