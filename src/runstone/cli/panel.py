"""What `runstone show` prints: a run on one screen."""

from __future__ import annotations

import json
import os
import shlex
import time
from typing import TYPE_CHECKING

from runstone.cli.paper import STYLES, said, said_lines, word
from runstone.core.figures import ago, duration, size
from runstone.core.previews import in_words
from runstone.core.tones import Tone, tone_of
from runstone.drawing.lettering import cells, shortened_to_cells, showable
from runstone.folder import clock
from runstone.folder.overview import ERRORS, BlockDetail, ErrorDetail, OutputDetail, Overview

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

_ERRORS = 5
_TRACEBACK_LINES = 40
_MOST_ARGUMENTS = 10
_INDENT = 2
_MOST_PREVIEW = 300
# Where it is narrower the outputs have a table of their own.
_WIDE = 100


def print_overview(seen: Overview, run: str, console: Console) -> None:
    """Print a run for a person. run: how the user named it."""
    console.print(_head(seen, console))
    wide = console.width >= _WIDE
    _section(console, "Blocks", _blocks(seen, with_outputs=wide))
    if not wide:
        _section(console, "Outputs", _outputs(seen))
    if seen.params:
        _section(console, "Parameters", _params(seen))
    if seen.errors:
        count = _error_count(seen)
        _section(console, "Error" if count == 1 else f"Errors: {count:,}", *_errors(seen, run))
    if seen.status["warnings"]:
        _section(console, "Warnings", *_warnings(seen))
    if seen.artifacts:
        _section(console, "Artifacts", _artifacts(seen))
    _section(console, "Next")
    for line in _next_steps(seen, run, console.width):
        console.print(line, soft_wrap=True)


def _section(console: Console, title: str, *parts: RenderableType) -> None:
    from rich.padding import Padding

    console.print()
    console.print(said(title, "bold"))
    for part in parts:
        console.print(Padding(part, (0, 0, 0, 2), expand=False))


def _grid(*justify: str) -> Table:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0))
    for each in justify:
        grid.add_column(justify="right" if each == "right" else "left", overflow="fold", no_wrap=each == "whole")
    return grid


def _head(seen: Overview, console: Console) -> RenderableType:
    from rich.panel import Panel

    status = seen.status
    grid = _grid("whole", "left")
    grid.add_row(said("status", "dim"), _status_line(seen))
    if seen.status["message"]:
        grid.add_row(said("message", "dim"), said(status["message"]))
    for name, value in _facts(seen):
        grid.add_row(said(name, "dim"), said(value))
    title = said(status["pipeline"]["name"], "bold")
    if status["pipeline"]["version"]:
        title.append(f" {showable(status['pipeline']['version'])}", "dim")
    if not console.is_terminal:
        from rich.console import Group

        return Group(title, grid)
    return Panel(grid, title=title, title_align="left", border_style=STYLES[tone_of(status["status"])], padding=(0, 1))


def _status_line(seen: Overview) -> Text:
    from rich.text import Text

    status = seen.status
    style = STYLES[tone_of(status["status"])]
    line = Text.assemble(("● ", style), (showable(status["status"]), f"bold {style}"))
    if seen.seconds is not None:
        line.append(f" {'for' if status['liveness'] in ('live', 'stale') else 'after'} {duration(seen.seconds)}")
    progress = status["progress_fraction"]
    if progress is not None and progress < 1:
        line.append(f", {100 * progress:.0f}% done")
    return line


def _facts(seen: Overview) -> list[tuple[str, str]]:
    status, by = seen.status, seen.started_by
    facts = [("about", seen.description), ("run", status["id"]), ("where", status["run_folder"])]
    facts.append(("started", _when(status["started_at"] or status["created_at"])))
    who = f"{by.user} on {by.host}" if by.user and by.host else by.user or by.host
    facts.append(("by", who))
    facts.append(("command", by.command))
    facts.append(("tags", ", ".join(status["tags"])))
    facts.append(("workspace", "" if status["workspace"] == "default" else status["workspace"]))
    return [(name, value) for name, value in facts if value]


def _when(moment: str) -> str:
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


def _blocks(seen: Overview, *, with_outputs: bool) -> Table:
    """One row for each block; with its outputs beside it, or without them."""
    columns: list[tuple[str, str, list[Text]]] = [
        ("block", "left", [said(block.name) for block in seen.blocks]),
        ("status", "whole", [word(block.acting_status) for block in seen.blocks]),
        ("elements", "right", [said(_elements(block)) for block in seen.blocks]),
        ("failed", "right", [said(_failed(block), STYLES[Tone.BAD]) for block in seen.blocks]),
        ("time", "right", [said(_time(block)) for block in seen.blocks]),
    ]
    kept = [column for column in columns if any(cell.plain for cell in column[2])]
    titles = [title for title, _, _ in kept] + (["output", "type", "size"] if with_outputs else [])
    grid = _grid(*(justify for _, justify, _ in kept), *(["left", "left", "right"] if with_outputs else []))
    grid.add_row(*(said(title, "dim") for title in titles))
    for number, block in enumerate(seen.blocks):
        own = [cells[number] for _, _, cells in kept]
        if not with_outputs:
            grid.add_row(*own)
            continue
        for output in block.outputs:
            grid.add_row(*own, *_output(output, block))
            own = [said("")] * len(kept)
    return grid


def _outputs(seen: Overview) -> Table:
    grid = _grid("left", "left", "right")
    for block in seen.blocks:
        for output in block.outputs:
            grid.add_row(*_output(output, block))
    return grid


def _elements(block: BlockDetail) -> str:
    if block.shape is None or block.total is None:
        return ""
    shape = f" ({' × '.join(map(str, block.shape))})" if len(block.shape) > 1 else ""
    return f"{block.ended:,}/{block.total:,}{shape}"


def _failed(block: BlockDetail) -> str:
    if block.shape is None:
        return ""
    told = [f"{block.failed:,}"] if block.failed else []
    if block.upstream_failed:
        told.append(f"{block.upstream_failed:,} not called")
    return ", ".join(told)


def _time(block: BlockDetail) -> str:
    return "" if block.seconds is None else duration(block.seconds)


def _output(output: OutputDetail, block: BlockDetail) -> list[Text]:
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


def _params(seen: Overview) -> Table:
    grid = _grid("left", "left")
    for param in seen.params:
        value = said(shortened_to_cells(in_words(param.preview), _MOST_PREVIEW))
        if param.source == "default":
            value.append("  default", "dim")
        grid.add_row(said(param.name), value)
    return grid


def _error_count(seen: Overview) -> int:
    """How many there were; of each block only the first thousand are recorded, the others counted."""
    return max(seen.error_count, sum(block.failed for block in seen.blocks))


def _errors(seen: Overview, run: str) -> list[RenderableType]:
    found: list[RenderableType] = []
    for number, error in enumerate(seen.errors[:_ERRORS]):
        found.extend(_error(error, in_full=number == 0))
    more = _error_count(seen) - len(seen.errors[:_ERRORS])
    if more > 0:
        told = min(ERRORS, seen.error_count)
        found.append(said(f"and {more:,} more; runstone show {shlex.quote(run)} --json tells the first {told}", "dim"))
    return found


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


def _warnings(seen: Overview) -> list[RenderableType]:
    found: list[RenderableType] = []
    for warning in seen.status["warnings"][:_ERRORS]:
        line = said(warning["code"], STYLES[Tone.WARNED])
        where = f" in {warning['block']}" if warning["block"] else ""
        line.append(showable(f"{where}: {warning['message']}"))
        found.append(line)
    more = len(seen.status["warnings"]) - _ERRORS
    return [*found, said(f"and {more:,} more", "dim")] if more > 0 else found


def _artifacts(seen: Overview) -> Table:
    grid = _grid("left", "left", "right", "left")
    for artifact in seen.artifacts:
        path = os.path.join(seen.status["run_folder"], artifact.path)
        place = said(path) if artifact.present else said("missing on disk", STYLES[Tone.BAD])
        grid.add_row(said(artifact.name), said(artifact.artifact_type), said(size(artifact.size_bytes)), place)
    more = seen.artifact_count - len(seen.artifacts)
    if more > 0:
        grid.add_row(said(f"and {more:,} more", "dim"))
    return grid


def _next_steps(seen: Overview, run: str, width: int) -> list[Text]:
    """Commands worth typing now. They are not to be broken: what is too long for a terminal it breaks itself."""
    name = shlex.quote(run)
    steps: list[tuple[str, str]] = []
    if seen.status["status"] in ("scheduled", "pending", "running", "cancelling"):
        steps.append((f"runstone watch {name}", "follow it to its end"))
    if (output := _result(seen)) is not None:
        steps.append((f"runstone output {name} {shlex.quote(output)}", "its value, as JSON, CSV or Parquet"))
    steps.append((f"runstone graph {name} -o {shlex.quote(seen.status['pipeline']['name'] + '.svg')}", "a picture"))
    if seen.errors and seen.errors[0].traceback:
        call = f"import runstone; runstone.open({json.dumps(run)}).errors[0].reproduce()"
        steps.append((f"python -c {shlex.quote(call)}", "call again what failed first"))
    room = max(cells(command) for command, _ in steps) + 2
    beside = all(_INDENT + room + len(why) + 2 <= width for _, why in steps)
    found: list[Text] = []
    for command, why in steps:
        line = said(" " * _INDENT + command)
        if beside:
            line.append(" " * (room - cells(command)) + f"# {why}", "dim")
        else:
            found.append(said(f"{' ' * _INDENT}# {why}", "dim"))
        found.append(line)
    return found


def _result(seen: Overview) -> str | None:
    """The output that is most worth a look: of a block that nothing comes after."""
    needed = {name for block in seen.blocks for name in block.upstream}
    there = [block for block in seen.blocks if any(output.values for output in block.outputs)]
    last = [block for block in there if block.name not in needed] or there
    return next((output.name for block in last for output in block.outputs if output.values), None)
