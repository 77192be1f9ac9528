"""Lines that show how a run gets on, fitted to a width: one for the run, one for each block."""

from __future__ import annotations

import os

import msgspec

from runstone.core.figures import coarse, duration
from runstone.core.statuses import BlockStatus
from runstone.core.tones import Tone, tone_of
from runstone.drawing.lettering import cells, shortened_to_cells, showable
from runstone.engine.glance import BROKEN_OFF, Glance, Row

Line = list[tuple[str, str]]
"""Pieces of text with their style: a tone, `bold`, `dim` or nothing."""

LIVE_ROWS = 14
"""A longer pipeline shows only what happens while it runs."""

FINAL_ROWS = 16

_RECENT, _NEXT = 6, 2

_GAP = "  "
_LEAST_BAR, _MOST_BAR = 8, 28
_LEAST_NAME, _MOST_NAME = 10, 32
_ESTIMATE = len("~12 min left")


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """What bars are made of."""

    full: str = "━"
    half: str = "╸"
    empty: str = "─"
    cross: str = "✗"
    ellipsis: str = "…"


UNICODE = Marks()
ASCII = Marks(full="=", half="-", empty=".", cross="!", ellipsis="..")


def lines(glance: Glance, width: int, height: int, *, marks: Marks = UNICODE, final: bool = False) -> list[Line]:
    """The run in at most `height` lines, none wider than `width` columns. final: nothing will change any more."""
    most = max(1, min(height - 2, FINAL_ROWS if final else LIVE_ROWS))
    shown = chosen(glance, most, final=final)
    found = [_headline(glance, width), *_block_lines(shown, glance.seconds, width, marks, final=final)]
    if len(shown) < len(glance.rows):
        found.append([(f"  {rest(glance, shown)}", "dim")])
    return [cropped(_trimmed(line), width, marks) for line in found[: max(1, height)]]


def _trimmed(line: Line) -> Line:
    while line and not line[-1][0].strip():
        line.pop()
    return line


def chosen(glance: Glance, most: int, *, final: bool) -> list[Row]:
    """The blocks to show, in the order of the pipeline.

    All if that many fit; else while it runs what happens, what ended last and what is next, and at the end what went
    wrong and what took longest.
    """
    if len(glance.rows) <= most:
        return glance.rows
    if final:
        picked = sorted(glance.rows, key=_interest)[:most]
    else:
        rows = {row.name: row for row in glance.rows}
        picked = [row for row in glance.rows if row.active]
        picked += [rows[name] for name in glance.recent[:_RECENT]]
        picked += [row for row in glance.rows if row.status == BlockStatus.PENDING][:_NEXT]
    kept = {row.name for row in picked[:most]}
    return [row for row in glance.rows if row.name in kept]


def _interest(row: Row) -> tuple[int, float]:
    tone = tone_of(row.status)
    if tone in (Tone.BAD, Tone.WARNED):
        return 0, 0
    return (1, -(row.seconds or 0)) if tone is Tone.GOOD else (2, 0)


def _headline(glance: Glance, width: int) -> Line:
    count = len(glance.rows)
    done = glance.blocks_done
    tone = Tone.BAD if glance.status == BROKEN_OFF else tone_of(glance.status)
    line: Line = [
        (showable(glance.pipeline), "bold"),
        (f" {glance.id[:8]}", "dim"),
        (_GAP, ""),
        (glance.status, tone),
        (f"{_GAP}{done:,} of {count:,} blocks" if done < count else f"{_GAP}{count:,} block{'s' * (count != 1)}", ""),
        (f"{_GAP}{duration(glance.seconds)}", ""),
    ]
    if glance.folder:
        where = (f"{_GAP}{showable(_near(glance.folder))}", "dim")
        if width_of([*line, where]) <= width:
            line.append(where)
    return line


def _near(path: str) -> str:
    """A path as somebody here would write it."""
    try:
        near = os.path.relpath(path)
    except (OSError, ValueError):
        return path
    return path if near.startswith("..") else near


def rest(glance: Glance, shown: list[Row]) -> str:
    """What is not shown, in a few words."""
    names = {row.name for row in shown}
    counts: dict[str, int] = {}
    for row in glance.rows:
        if row.name not in names:
            counts[row.status] = counts.get(row.status, 0) + 1
    told = ", ".join(f"{number:,} {status}" for status, number in counts.items())
    return f"and {sum(counts.values()):,} more blocks: {told}"


class _Columns(msgspec.Struct, frozen=True, kw_only=True):
    """How wide each column is; 0 for one that is left out."""

    name: int
    word: int
    bar: int
    count: int
    failed: int
    time: int
    left: int
    short: bool


def _block_lines(rows: list[Row], moment: float, width: int, marks: Marks, *, final: bool) -> list[Line]:
    columns = _columns(rows, width, marks, final=final)
    found = []
    for row in rows:
        name = shortened_to_cells(showable(row.name), columns.name, marks.ellipsis)
        line: Line = [(_GAP + name + " " * (columns.name - cells(name)), "dim" if row.status == "pending" else "")]
        line.append((f"{_GAP}{row.status:<{columns.word}}", tone_of(row.status)))
        if columns.bar:
            line.append((_GAP, ""))
            line.extend(_bar(row, columns.bar, moment, marks))
        if columns.count:
            line.append((f"{_GAP}{_count(row, short=columns.short):>{columns.count}}", ""))
        if columns.failed:
            line.append((f"{_GAP}{_failed(row, marks, short=columns.short):>{columns.failed}}", Tone.BAD))
        if columns.time:
            time = _time(row)
            if row.left is not None and not columns.left and len(_left(row)) <= columns.time:
                time = _left(row)
            line.append((f"{_GAP}{time:>{columns.time}}", ""))
        if columns.left:
            line.append((f"{_GAP}{_left(row):>{columns.left}}", "dim"))
        found.append(line)
    return found


def _columns(rows: list[Row], width: int, marks: Marks, *, final: bool) -> _Columns:
    """The widest columns that fit. What is given up first is what can be spared most.

    While a run goes on there is room for what may come, so that the bars do not jump.
    """
    estimates = not final and any(row.total is not None and not row.done for row in rows)
    wide = {
        "name": min(_MOST_NAME, max(cells(showable(row.name)) for row in rows)),
        "word": max(len(row.status) for row in rows),
        "count": max(len(_count(row, short=False)) for row in rows),
        "failed": max(len(_failed(row, marks, short=False)) for row in rows),
        "time": max(len(_time(row)) for row in rows),
        "left": _ESTIMATE if estimates else 0,
    }
    short = False
    if not final:
        wide["word"] = max(wide["word"], len("completed"))
        wide["time"] = max(wide["time"], len("999 ms"))

    def room() -> int:
        return width - sum(len(_GAP) + column for column in wide.values() if column) - len(_GAP)

    if room() < _LEAST_BAR and estimates:
        wide["left"] = 0
        wide["time"] = max(wide["time"], len(_left_text(59)), *(len(_left(row)) for row in rows))
    if room() < _LEAST_BAR:
        short = True
        wide["count"] = max(len(_count(row, short=True)) for row in rows)
        wide["failed"] = max(len(_failed(row, marks, short=True)) for row in rows)
    if room() < _LEAST_BAR:
        wide["name"] = max(min(_LEAST_NAME, wide["name"]), wide["name"] + room() - _LEAST_BAR)
    if room() < _LEAST_BAR:
        wide["time"] = max(len(_time(row)) for row in rows)
    for spared in ("failed", "time", "count"):
        if room() < 0:
            wide[spared] = 0
    bar = min(_MOST_BAR, room())
    return _Columns(**wide, short=short, bar=bar if bar >= _LEAST_BAR else 0)


def _count(row: Row, *, short: bool) -> str:
    if row.total is None:
        return ""
    if short:
        return f"{100 * row.ended // row.total}%" if row.total else "100%"
    return f"{row.ended:,}/{row.total:,}"


def _failed(row: Row, marks: Marks, *, short: bool) -> str:
    if not row.failed:
        return ""
    return f"{row.failed:,}{marks.cross}" if short else f"{row.failed:,} failed"


def _time(row: Row) -> str:
    return "" if row.seconds is None else duration(row.seconds)


def _left(row: Row) -> str:
    return "" if row.left is None else _left_text(row.left)


def _left_text(seconds: float) -> str:
    return f"~{coarse(seconds)} left"


def _bar(row: Row, width: int, moment: float, marks: Marks) -> Line:
    """What ended well, what failed, what is to come; for a block without elements, whether it is done."""
    tone = tone_of(row.status)
    if row.total is None:
        if row.done:
            started = row.seconds is not None
            return [(marks.full * width, tone)] if started else [(marks.empty * width, "dim")]
        return _wandering(width, moment, marks) if row.active else [(marks.empty * width, "dim")]
    if not row.total:
        return [((marks.full if row.done else marks.empty) * width, tone if row.done else "dim")]
    halves = 2 * width * row.ended // row.total
    bad = min(halves // 2, max(1, round(width * row.failed / row.total))) if row.failed else 0
    good, half = divmod(halves - 2 * bad, 2)
    if row.failed and row.done:
        tone = Tone.GOOD if row.ended > row.failed else Tone.BAD
    rest = width - good - half - bad
    return [
        (marks.full * good + marks.half * half, tone),
        (marks.full * bad, Tone.BAD),
        (marks.empty * rest, "dim"),
    ]


def _wandering(width: int, moment: float, marks: Marks) -> Line:
    """Something goes on, and nobody knows how long."""
    span = max(2, width // 5)
    track = width - span
    at = int(moment * 8) % (2 * track)
    at = at if at <= track else 2 * track - at
    return [(marks.empty * at, "dim"), (marks.full * span, Tone.BUSY), (marks.empty * (track - at), "dim")]


def width_of(line: Line) -> int:
    """How many columns a line takes."""
    return sum(cells(text) for text, _ in line)


def cropped(line: Line, width: int, marks: Marks = UNICODE) -> Line:
    """The line, or as much of it as fits."""
    if width_of(line) <= width:
        return line
    kept: Line = []
    for text, style in line:
        room = width - width_of(kept)
        if cells(text) > room:
            kept.append((shortened_to_cells(text, room, marks.ellipsis), style))
            return kept
        kept.append((text, style))
    return kept
