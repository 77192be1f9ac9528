"""What a page of `runstone show` says about errors: the first in full, a line for the others."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from runstone.cli.paper import STYLES, said, said_lines
from runstone.cli.sections import print_section
from runstone.core.previews import in_words
from runstone.core.tones import Tone
from runstone.drawing.lettering import shortened_to_cells, showable
from runstone.folder.overview import ERRORS, ErrorDetail, Overview

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_ERRORS = 5
_TRACEBACK_LINES = 40
_MOST_ARGUMENTS = 10
_MOST_PREVIEW = 300


def print_errors(seen: Overview, run: str, console: Console) -> None:
    """Print the section about errors, if there are any. run: how the user named it."""
    if not seen.errors:
        return
    # of each block only the first thousand are recorded, the others counted
    count = max(seen.error_count, sum(block.failed for block in seen.blocks))
    lines = [line for number, error in enumerate(seen.errors[:_ERRORS]) for line in _error(error, in_full=number == 0)]
    more = count - len(seen.errors[:_ERRORS])
    if more > 0:
        told = min(ERRORS, seen.error_count)
        lines.append(said(f"and {more:,} more; runstone show {shlex.quote(run)} --json tells the first {told}", "dim"))
    print_section(console, "Error" if count == 1 else f"Errors: {count:,}", *lines)


def _error(error: ErrorDetail, *, in_full: bool) -> list[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    message = error.message.strip().partition("\n")[0]
    first = Text.assemble((showable(error.place), "bold"), (f"  {showable(error.type)}", STYLES[Tone.BAD]))
    if message:
        first.append(f": {showable(message)}")
    if error.attempt > 1:
        first.append(f"  attempt {error.attempt}", "dim")
    if not in_full:
        return [first]
    found: list[RenderableType] = [first]
    for name, preview in list(error.params.items())[:_MOST_ARGUMENTS]:
        argument = said(f"{name} = ", "dim")
        argument.append(showable(shortened_to_cells(in_words(preview), _MOST_PREVIEW)))
        found.append(Padding(argument, (0, 0, 0, 2), expand=False))
    lines = error.traceback.rstrip("\n").split("\n") if error.traceback else []
    if len(lines) > _TRACEBACK_LINES:
        left_out = len(lines) - _TRACEBACK_LINES
        lines = [*lines[: _TRACEBACK_LINES // 2], f"  ... {left_out} lines ...", *lines[-_TRACEBACK_LINES // 2 :]]
    if lines:
        found.append(Padding(said_lines("\n".join(lines), "dim"), (0, 0, 0, 2), expand=False))
    return found
