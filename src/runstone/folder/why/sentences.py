"""The parts that sentences about a run are made of."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from runstone.core import events as ev
from runstone.core.causes import Cause, Why
from runstone.core.failed import Failed
from runstone.core.figures import ago
from runstone.core.previews import in_words
from runstone.core.run_state import BlockState
from runstone.drawing.lettering import shortened_to_cells
from runstone.folder import clock
from runstone.folder.error_detail import ErrorDetail
from runstone.folder.resolve import shown

_ID = 8
_MOST = 200
_ARGUMENTS = 10
_DIGEST = re.compile(r"(?:\w+:)?([0-9a-f]{16,})")
_CALL = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>.+)\n(?P<code>    .*)?', re.MULTILINE)
_FROM_OUTSIDE = ("WorkerDied", "OutOfMemory", "TimedOut")
_LIBRARY = re.compile(r"[/\\](?:site-packages|dist-packages|lib[/\\]python\d)|^<")


def place(block: str, index: Sequence[int] | None) -> str:
    """`block` or `block[index]`, as the user would write it."""
    return block if not index else f"{block}[{', '.join(map(str, index))}]"


def named(run: str) -> str:
    """A run by the first characters of its id."""
    return f"run {run[:_ID]}"


def error(type_name: str, message: str) -> str:
    """An error on one line; of what befell a process from outside the message says it all."""
    first = shortened_to_cells(message.strip().partition("\n")[0], _MOST)
    if first and type_name in _FROM_OUTSIDE:
        return first
    return f"{type_name}: {first}" if first else type_name


def raised(found: ErrorDetail | ev.ErrorRaised | Failed) -> str:
    """The error that was recorded, on one line."""
    return error(found.error_type if isinstance(found, Failed) else found.type, found.message)


def tries(found: ErrorDetail) -> str:
    """Which attempt it was, if it was not the only one; of a final error it was the last."""
    return f" (attempt {found.attempt} of {found.attempt})" if found.attempt > 1 else ""


def where(traceback: str) -> tuple[str, str] | None:
    """Where in the user's code an error was raised, `file:line, in function`, and the line of code; from the text of a
    traceback, None if it does not tell."""
    last = traceback.rpartition("Traceback (most recent call last):")[2]
    calls = list(_CALL.finditer(last))
    if not calls:
        return None
    own = [call for call in calls if not _LIBRARY.search(call["file"])]
    call = (own or calls)[-1]
    file = call["file"] if call["file"].startswith("<") else shown(call["file"])
    return f"{file}:{call['line']}, in {call['function']}", (call["code"] or "").strip()


def arguments(found: ErrorDetail) -> list[str]:
    """The arguments of a call that failed, by their previews."""
    return [
        f"{name} = {shortened_to_cells(in_words(preview), _MOST)}"
        for name, preview in list(found.params.items())[:_ARGUMENTS]
    ]


def counted(count: int, one: str = "element", many: str = "elements") -> str:
    """`1 element`, `29 elements`."""
    return f"1 {one}" if count == 1 else f"{count:,} {many}"


def progress(block: BlockState) -> str:
    """How many elements of a mapped block have ended; "" if it is not mapped or has not started."""
    return "" if block.shape is None else f"{block.ended:,} of {counted(block.total or 0)}"


def changed(why: Why) -> str:
    """What was the same or has changed, with what it was and is if that says anything."""
    said = str(why)
    if why.before is None or why.after is None or why.cause not in (Cause.CODE, Cause.SETTING):
        return said
    before, after = _short(why.before), _short(why.after)
    return f"{said} ({before} -> {after})"


def _short(text: str) -> str:
    match = _DIGEST.fullmatch(text)
    return match[1][:_ID] if match else shortened_to_cells(text, 60)


def whys(reasons: Sequence[Why]) -> str:
    """The reasons one after the other; the first few."""
    told = [changed(why) for why in reasons[:3]]
    more = len(reasons) - len(told)
    return ", ".join([*told, f"and {more:,} more"] if more > 0 else told)


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b and 7 more`."""
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3:,} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""


def moment(at: str) -> str:
    """A time as it was recorded, without parts of a second, and how long ago that is."""
    then = clock.seconds(at)
    if then is None:
        return at
    since = time.time() - then
    return at[:19] + "Z" + (f" ({ago(since)})" if since >= 0 else "")


def after(start: str | None, end: str | None) -> float | None:
    """Seconds from one time to another, None if either is not known."""
    begun, ended = clock.seconds(start), clock.seconds(end)
    return None if begun is None or ended is None else max(0.0, ended - begun)
