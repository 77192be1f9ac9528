"""What `runstone show` prints: a run on one screen."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from runstone.cli.error_lines import print_errors
from runstone.cli.naming import typed
from runstone.cli.paper import STYLES, said, word
from runstone.cli.sections import (
    artifacts_table,
    elements_text,
    failed_text,
    fits,
    grid,
    named_rows,
    notes_lines,
    output_cells,
    print_head,
    print_section,
    print_steps,
    status_line,
    time_text,
    when,
)
from runstone.core.previews import in_words
from runstone.core.tones import Tone
from runstone.drawing.lettering import shortened_to_cells, showable
from runstone.folder.calling_again import can_be_called_again, command_to_call_nth_again
from runstone.folder.overview import Overview

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

_WARNINGS = 5
_MOST_PREVIEW = 300
# Where it is narrower the outputs have a table of their own.
_WIDE = 100


def print_overview(seen: Overview, run: str, console: Console) -> None:
    """Print a run for a person. run: how the user named it."""
    print_head(console, _title(seen), _status(seen), _facts(seen), seen.status["status"])
    together = _together(seen)
    if console.width >= _WIDE and fits(together, console):
        print_section(console, "Blocks", together)
    else:
        print_section(console, "Blocks", *_blocks(seen, console))
        print_section(console, "Outputs", *_outputs(seen, console))
    if seen.params:
        print_section(console, "Parameters", _params(seen))
    print_errors(seen, run, console)
    if seen.status["warnings"]:
        print_section(console, "Warnings", *_warnings(seen))
    if seen.notes:
        print_section(console, "Notes", *notes_lines(seen.notes))
    if seen.artifacts:
        print_section(console, "Artifacts", artifacts_table(seen, console))
    if steps := _next_steps(seen, run):
        print_steps(console, steps)


def _title(seen: Overview) -> Text:
    pipeline = seen.status["pipeline"]
    title = said(pipeline["name"], "bold")
    if pipeline["version"]:
        title.append(f" {showable(pipeline['version'])}", "dim")
    return title


def _status(seen: Overview) -> Text:
    status = seen.status
    line = status_line(status["status"], seen.seconds, underway=status["liveness"] in ("live", "stale"))
    progress = status["progress_fraction"]
    if progress is not None and progress < 1:
        line.append(f", {100 * progress:.0f}% done")
    return line


def _facts(seen: Overview) -> list[tuple[str, str]]:
    status, by = seen.status, seen.started_by
    return [
        ("message", status["message"]),
        ("about", seen.description),
        ("run", status["id"]),
        ("where", status["run_folder"]),
        ("started", when(status["started_at"] or status["created_at"])),
        ("by", f"{by.user} on {by.host}" if by.user and by.host else by.user or by.host),
        ("command", shortened_to_cells(by.command, _MOST_PREVIEW)),
        ("tags", ", ".join(status["tags"])),
        ("workspace", "" if status["workspace"] == "default" else status["workspace"]),
    ]


def _columns(seen: Overview) -> list[tuple[str, str, list[Text]]]:
    """What is told of every block, as far as there is anything: title, side, and a cell for each."""
    columns: list[tuple[str, str, list[Text]]] = [
        ("block", "left", [said(block.name) for block in seen.blocks]),
        ("status", "whole", [word(block.acting_status) for block in seen.blocks]),
        ("elements", "right", [said(elements_text(block)) for block in seen.blocks]),
        ("failed", "right", [said(failed_text(block), STYLES[Tone.BAD]) for block in seen.blocks]),
        ("time", "right", [said(time_text(block)) for block in seen.blocks]),
    ]
    return [column for column in columns if any(cell.plain for cell in column[2])]


def _together(seen: Overview) -> Table:
    """One row for each output; blocks and their outputs beside each other."""
    columns = _columns(seen)
    table = grid(*(justify for _, justify, _ in columns), "left", "left", "right")
    table.add_row(*(said(title, "dim") for title in (*(title for title, _, _ in columns), "output", "type", "size")))
    for number, block in enumerate(seen.blocks):
        own = [cells[number] for _, _, cells in columns]
        for output in block.outputs:
            table.add_row(*own, *output_cells(output, block))
            own = [said("")] * len(columns)
    return table


def _blocks(seen: Overview, console: Console) -> list[Text]:
    columns = _columns(seen)
    titles = [said(title, "dim") for title, _, _ in columns]
    rows = [[cells[number] for _, _, cells in columns] for number in range(len(seen.blocks))]
    return named_rows([titles, *rows], [justify for _, justify, _ in columns], console)


def _outputs(seen: Overview, console: Console) -> list[Text]:
    rows = [output_cells(output, block) for block in seen.blocks for output in block.outputs]
    return named_rows(rows, ["left", "left", "right"], console) if rows else []


def _params(seen: Overview) -> Table:
    table = grid("left", "left")
    for param in seen.params:
        value = said(shortened_to_cells(in_words(param.preview), _MOST_PREVIEW))
        if param.source == "default":
            value.append("  default", "dim")
        table.add_row(said(param.name), value)
    return table


def _warnings(seen: Overview) -> list[RenderableType]:
    found: list[RenderableType] = []
    for warning in seen.status["warnings"][:_WARNINGS]:
        line = said(warning["code"], STYLES[Tone.WARNED])
        where = f" in {warning['block']}" if warning["block"] else ""
        line.append(showable(f"{where}: {warning['message']}"))
        found.append(line)
    more = len(seen.status["warnings"]) - _WARNINGS
    return [*found, said(f"and {more:,} more", "dim")] if more > 0 else found


def _next_steps(seen: Overview, run: str) -> list[tuple[str, str]]:
    name = typed(run)
    steps: list[tuple[str, str]] = []
    if seen.status["status"] in ("scheduled", "pending", "running", "cancelling"):
        steps.append((f"runstone watch {name}", "follow it to its end"))
    if seen.foreign:
        return steps
    if (output := _result(seen)) is not None:
        steps.append((f"runstone output {name} {shlex.quote(output)}", "its value, as JSON, CSV or Parquet"))
    steps.append((f"runstone graph {name} -o {shlex.quote(seen.status['pipeline']['name'] + '.svg')}", "a picture"))
    loaders = {block.name: None if seen.imported else block.loader for block in seen.blocks}
    for number, error in enumerate(seen.errors):
        if can_be_called_again(error, loaders.get(str(error.block))):
            which = "first" if number == 0 else f"at {error.place}"
            steps.append((command_to_call_nth_again(run, number), f"call again what failed {which}"))
            break
    return steps


def _result(seen: Overview) -> str | None:
    """The output that is most worth a look: of a block that nothing comes after."""
    needed = {name for block in seen.blocks for name in block.upstream}
    there = [block for block in seen.blocks if any(output.values for output in block.outputs)]
    last = [block for block in there if block.name not in needed] or there
    return next((output.name for block in last for output in block.outputs if output.values), None)
