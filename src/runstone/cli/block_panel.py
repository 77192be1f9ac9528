"""What `runstone show RUN/BLOCK` prints: one block of a run on one screen."""

from __future__ import annotations

import shlex
from itertools import islice
from typing import TYPE_CHECKING

from runstone.cli.error_lines import print_errors
from runstone.cli.naming import typed
from runstone.cli.paper import said
from runstone.cli.sections import (
    artifacts_table,
    elements_text,
    grid,
    output_cells,
    print_head,
    print_section,
    print_steps,
    status_line,
    when,
)
from runstone.folder.calling_again import can_be_called_again, command_to_call_again
from runstone.folder.overview import BlockDetail, Overview

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Of the identity of its code; a block that uses many modules has many.
_PARTS = 10


def print_block(seen: Overview, run: str, console: Console) -> None:
    """Print a block for a person. seen: an overview of this block alone; run: how the user named it, RUN/BLOCK."""
    (block,) = seen.blocks
    title = said(f"{seen.status['pipeline']['name']}/{block.name}", "bold")
    underway = block.acting_status in ("queued", "running", "retrying")
    line = status_line(block.acting_status, block.seconds, underway=underway)
    print_head(console, title, line, _facts(seen, block), block.acting_status)
    print_section(console, "Outputs", _outputs(block))
    print_errors(seen, run, console)
    if seen.artifacts:
        print_section(console, "Artifacts", artifacts_table(seen, console))
    print_steps(console, _next_steps(seen, block, run))


def _facts(seen: Overview, block: BlockDetail) -> list[tuple[str, str]]:
    counts = [elements_text(block)]
    if block.shape is not None:
        counts += [f"{block.failed:,} failed"] if block.failed else []
        counts += [f"{block.upstream_failed:,} not called"] if block.upstream_failed else []
    return [
        ("message", block.message),
        ("about", block.doc),
        ("maps", block.mapspec or ""),
        ("elements", ", ".join(filter(None, counts))),
        ("retries", f"{block.retries:,}" if block.retries else ""),
        ("started", when(block.started_at) if block.started_at else ""),
        ("after", ", ".join(block.upstream)),
        ("function", block.loader or ""),
        ("code", _code(block)),
        ("run", f"{seen.status['id']}, {seen.status['status']}"),
        ("where", seen.status["run_folder"]),
    ]


def _code(block: BlockDetail) -> str:
    told = [f"{part} {digest}" for part, digest in islice(block.code.items(), _PARTS)]
    more = len(block.code) - len(told)
    return ", ".join([*told, f"and {more:,} more parts"] if more else told)


def _outputs(block: BlockDetail) -> Table:
    table = grid("left", "left", "right")
    for output in block.outputs:
        table.add_row(*output_cells(output, block))
    return table


def _next_steps(seen: Overview, block: BlockDetail, run: str) -> list[tuple[str, str]]:
    name = typed(run)
    steps: list[tuple[str, str]] = []
    if seen.status["status"] in ("pending", "running") and not block.done:
        steps.append((f"runstone watch {name}", "follow it to its end"))
    there = [output.name for output in block.outputs if output.values]
    if there and not seen.foreign:
        named = "" if len(block.outputs) == 1 else f" {shlex.quote(there[0])}"
        steps.append((f"runstone output {name}{named}", "its value, as JSON, CSV or Parquet"))
    by_others = seen.foreign or seen.imported
    if seen.errors and not by_others and can_be_called_again(seen.errors[0], block.loader):
        steps.append((command_to_call_again(run, seen.errors[0]), "call again what failed first"))
    steps.append((f"runstone show {typed(run[: -len(block.name) - 1])}", "the whole run"))
    return steps
