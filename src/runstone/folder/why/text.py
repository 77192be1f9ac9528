"""An explanation as a person reads it: the answer, then what shows it, in lines that fit."""

from __future__ import annotations

import re

from runstone.core.figures import duration
from runstone.core.receipts import EndedProcess, Receipt
from runstone.drawing.lettering import cells, shortened_to_cells, showable, wrapped_to_cells
from runstone.folder.why.explanation import Explanation
from runstone.folder.why.sentences import after, arguments, place, raised, where

_INDENT = 2
_NARROW = 30
_ATTEMPTS = 5
_NAME = 26
# one that is not broken into lines: a terminal wider than that is none
_UNBROKEN = 1000


def written(found: Explanation, width: int) -> str:
    """All of an explanation, each line ended; lines have at most `width` columns, commands excepted."""
    width = max(_NARROW, min(width, _UNBROKEN))
    lines = wrapped_to_cells(showable(found.answer), width)
    lines += _chain(found, width)
    lines += _evidence(found, width)
    for receipt in found.receipts:
        lines += _receipt(receipt, width)
    lines += _next(found, width)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _chain(found: Explanation, width: int) -> list[str]:
    if not found.chain:
        return []
    return ["", "Because", *_table([(step.place, step.text) for step in found.chain], width)]


def _evidence(found: Explanation, width: int) -> list[str]:
    rows: list[tuple[str, str]] = []
    error = found.error
    if error is not None:
        called = place(error.block or "", error.index)
        if found.answer.find(raised(error)) < 0 and not any(raised(error) in step.text for step in found.chain):
            rows.append(("error", f"{called}: {raised(error)}"))
        spot = where(error.traceback)
        if spot is not None:
            rows.append(("where", spot[0]))
            rows += [("", spot[1])] if spot[1] else []
        rows += [("arguments" if not number else "", told) for number, told in enumerate(arguments(error))]
        if error.reason not in (None, "exception"):
            rows.append(("reason", f"{error.reason}"))
    rows += [(f"attempt {one.attempt}", raised(one)) for one in found.attempts[:_ATTEMPTS]]
    rows += [(fact.name, fact.text) for fact in found.facts]
    return ["", *_table(rows, width)] if rows else []


def _table(rows: list[tuple[str, str]], width: int) -> list[str]:
    """Names and texts beside each other; below each other where that leaves no room."""
    names = [shortened_to_cells(showable(name), _NAME) for name, _ in rows]
    room = max(map(cells, names), default=0) + 2
    lines: list[str] = []
    for name, (_, text) in zip(names, rows, strict=True):
        told = [part for line in re.split(r"\r\n|\r|\n", text) for part in _wrapped(showable(line), width, room)]
        first, *more = told or [""]
        lines.append(f"{' ' * _INDENT}{name}{' ' * (room - cells(name))}{first}")
        lines += [" " * (_INDENT + room) + line for line in more]
    return lines


def _wrapped(text: str, width: int, room: int) -> list[str]:
    return wrapped_to_cells(text, max(_NARROW // 2, width - _INDENT - room))


def _receipt(receipt: Receipt, width: int) -> list[str]:
    """Which processes were ended, by which signals, and when they were seen dead: seconds after it was asked for."""
    how = "all seen dead" if receipt.finished else "not all seen dead"
    told = f"Ended {len(receipt.processes) + receipt.omitted} processes in {duration(receipt.seconds)}, {how}"
    rows = [("pid", "process", "signals", "dead"), *(_process(one, receipt.asked_at) for one in receipt.processes)]
    wide = [max(cells(row[column]) for row in rows) for column in range(4)]
    left = width - _INDENT - wide[0] - wide[2] - wide[3] - 6
    wide[1] = max(8, min(wide[1], left))
    lines = ["", *wrapped_to_cells(told.replace("Ended 1 processes", "Ended 1 process"), width)]
    for row in rows:
        cut = [row[0], shortened_to_cells(row[1], wide[1]), row[2], row[3]]
        padded = [text + " " * (wide[column] - cells(text)) for column, text in enumerate(cut)]
        lines.append(" " * _INDENT + "  ".join(padded))
    if receipt.omitted:
        lines.append(f"{' ' * _INDENT}and {receipt.omitted:,} more")
    return lines


def _process(one: EndedProcess, asked_at: str) -> tuple[str, str, str, str]:
    signals = " ".join(showable(signal.name).removeprefix("SIG") for signal in one.signals[:4]) or "none"
    seconds = after(asked_at, one.dead_at)
    dead = "alive" if one.dead_at is None else "yes" if seconds is None else f"{duration(seconds)}"
    return str(one.pid), showable(one.name), signals, dead


def _next(found: Explanation, width: int) -> list[str]:
    """Commands; they are not broken, for what is too long for a terminal it breaks itself."""
    if not found.next:
        return []
    lines = ["", "Next"]
    for step in found.next:
        lines.append(f"{' ' * _INDENT}# {shortened_to_cells(step.purpose, width - 4)}")
        lines.append(" " * _INDENT + showable(step.command))
    return lines
