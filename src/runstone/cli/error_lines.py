"""What a page of `runstone show` says about errors: the first in full, equal ones as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runstone.cli.naming import typed
from runstone.cli.paper import STYLES, said, said_lines
from runstone.cli.sections import print_section, stack_lines
from runstone.core.previews import in_words
from runstone.core.tones import Tone
from runstone.drawing.lettering import shortened_to_cells, showable
from runstone.folder.error_detail import ErrorDetail, ErrorGroup
from runstone.folder.overview import Overview

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_GROUPS = 10
_TRACEBACK_LINES = 40
_MOST_ARGUMENTS = 10
_MOST_PREVIEW = 300


def print_errors(seen: Overview, run: str, console: Console) -> None:
    """Print the section about errors, if there are any: equal ones once. run: how the user named it."""
    if not seen.errors:
        return
    # of each block only the first thousand are recorded, the others counted
    count = max(seen.error_count, sum(block.failed for block in seen.blocks))
    told = seen.error_groups[:_GROUPS]
    lines = [line for number, group in enumerate(told) for line in _group(group, in_full=number == 0)]
    more = sum(group.count for group in seen.error_groups[_GROUPS:])
    if more:
        lines.append(
            said(f"and {more:,} with other messages; runstone show {typed(run)} --json tells more of them", "dim")
        )
    counted = count - sum(group.count for group in seen.error_groups)
    if counted > 0:
        lines.append(said(f"and {counted:,} more, which were only counted", "dim"))
    print_section(console, "Error" if count == 1 else f"Errors: {count:,}", *lines)


def _group(group: ErrorGroup, *, in_full: bool) -> list[RenderableType]:
    first, *others = _error(group.first, in_full=in_full)
    if group.count == 1:
        return [first, *others]
    like = "like it" if group.same_message else "of this type, with other messages"
    places = [*group.places[1:], *(["..."] if group.count > len(group.places) else [])]
    where = f": {', '.join(places)}" if group.places[1:] else ""
    return [first, _indented(said(f"and {group.count - 1:,} more {like}{where}", "dim")), *others]


def _indented(line: RenderableType) -> RenderableType:
    from rich.padding import Padding

    return Padding(line, (0, 0, 0, 2), expand=False)


def _error(error: ErrorDetail, *, in_full: bool) -> list[RenderableType]:
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
        found.append(_indented(argument))
    lines = stack_lines(error.traceback) if error.traceback else []
    if len(lines) > _TRACEBACK_LINES:
        left_out = len(lines) - _TRACEBACK_LINES
        lines = [*lines[: _TRACEBACK_LINES // 2], f"  ... {left_out} lines ...", *lines[-_TRACEBACK_LINES // 2 :]]
    if lines:
        found.append(_indented(said_lines("\n".join(lines), "dim")))
    return found
