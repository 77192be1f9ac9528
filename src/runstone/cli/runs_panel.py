"""What `runstone runs show` prints: what the ledger knows of a run, on one screen."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from runstone.cli.elapsed import elapsed
from runstone.cli.naming import typed
from runstone.cli.paper import STYLES, said, said_lines, word
from runstone.cli.run_lines import seconds_text
from runstone.cli.sections import (
    fits,
    grid,
    named_rows,
    notes_lines,
    print_head,
    print_section,
    print_steps,
    stack_lines,
    status_line,
    when,
)
from runstone.core.figures import duration, size
from runstone.core.previews import in_words
from runstone.core.tones import Tone
from runstone.drawing.lettering import shortened_to_cells, showable
from runstone.ledger.acting import UNFINISHED
from runstone.ledger.detail import BlockRecord, ErrorRecord, Related, RunDetail

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

    from runstone.ledger.find_summary import RunSummary

_MOST_PREVIEW = 300
_ERRORS = 10
_TRACEBACK_LINES = 40
_HOW = {
    "retry_of": "tries again",
    "retried_by": "tried again by",
    "replay_of": "replays",
    "replayed_by": "replayed by",
    "parent": "started by",
    "child": "has started",
    "same_input": "same input",
}


def print_run(seen: RunDetail, run: str, console: Console) -> None:
    """Print a run for a person. run: how the user named it."""
    from rich.text import Text

    summary = seen.run
    title = Text(showable(summary.pipeline_name), style="bold")
    if summary.pipeline_version:
        title.append(f" {showable(summary.pipeline_version)}", "dim")
    line = status_line(summary.status, _lasts(summary), underway=summary.status in UNFINISHED)
    if summary.status != summary.recorded_status:
        line.append(f"  recorded: {summary.recorded_status}", "dim")
    print_head(console, title, line, _facts(seen), summary.status)
    print_section(console, "Timestamps", _pairs(_times(seen)))
    print_section(console, "Metrics", _pairs(_metrics(seen)))
    print_section(console, "Fingerprints", _pairs(_fingerprints(seen)))
    if seen.params:
        print_section(console, "Parameters", _params(seen))
    if seen.blocks:
        print_section(console, "Blocks", *_blocks(seen, console))
    if seen.errors or summary.error:
        print_section(
            console, "Error" if summary.error_count < 2 else f"Errors: {summary.error_count:,}", *_errors(seen)
        )
    if seen.notes:
        print_section(console, "Notes", *notes_lines(seen.notes))
    if seen.artifacts:
        whole = _artifacts(seen, seen.run.run_folder or "")
        print_section(console, "Artifacts", whole if fits(whole, console) else _artifacts(seen, ""))
    if seen.related:
        print_section(console, "Relations", _relations(seen))
    if steps := _steps(seen, run):
        print_steps(console, steps)


def _facts(seen: RunDetail) -> list[tuple[str, str]]:
    run = seen.run
    gone = run.run_folder is not None and not os.path.isdir(run.run_folder)
    return [
        ("message", run.message),
        ("run", run.run_id),
        ("kind", "" if run.kind == "pipeline" else run.kind),
        ("where", f"{run.run_folder}{' (not there any more)' if gone else ''}" if run.run_folder else ""),
        ("host", run.host or ""),
        ("trigger", run.trigger),
        ("tags", ", ".join(run.tags)),
        ("workspace", "" if run.workspace == "default" else run.workspace),
        ("imported", f"from {seen.imported_from}" if seen.imported_from else ""),
        ("job", seen.job_id or ""),
    ]


def _times(seen: RunDetail) -> list[tuple[str, str]]:
    run = seen.run
    said_times = (
        ("created", run.created_at),
        ("scheduled", seen.scheduled_at),
        ("started", run.started_at),
        ("cancel asked", seen.cancel_requested_at),
        ("finished", run.finished_at),
    )
    found = [(name, when(moment)) for name, moment in said_times if moment]
    return found if run.finished_at else [*found, ("finished", "-")]


def _metrics(seen: RunDetail) -> list[tuple[str, str]]:
    run = seen.run
    total = "?" if run.progress_total is None else f"{run.progress_total:,}"
    failed = f", {run.progress_failed:,} failed" if run.progress_failed else ""
    found = [
        ("duration", seconds_text(_lasts(run))),
        ("rows in", _number(run.rows_in)),
        ("rows out", _number(run.rows_out)),
        ("elements", f"{run.progress_done:,} of {total}{failed}" if run.kind == "pipeline" else "-"),
        ("llm calls", _number(seen.llm_calls)),
        ("tokens", _number(seen.tokens)),
    ]
    cpu = sum(block.cpu_seconds for block in seen.blocks)
    peak = max((block.peak_memory or 0 for block in seen.blocks), default=0)
    return [pair for pair in found if pair[1] != "-" or pair[0] in ("duration", "rows in", "rows out")] + [
        *([("cpu", duration(cpu))] if cpu else []),
        *([("peak memory", size(peak))] if peak else []),
        *((name, value if isinstance(value, str) else f"{value:,.6g}") for name, value in seen.metrics.items()),
    ]


def _fingerprints(seen: RunDetail) -> list[tuple[str, str]]:
    return [
        ("input", seen.input_fingerprint or "-"),
        ("code", seen.code_ref or "-"),
        ("config", seen.config_hash or "-"),
        *([("trace", seen.run.trace_id)] if seen.run.trace_id else []),
    ]


def _pairs(pairs: list[tuple[str, str]]) -> Table:
    table = grid("whole", "left")
    for name, value in pairs:
        table.add_row(said(name, "dim"), said(value))
    return table


def _params(seen: RunDetail) -> Table:
    table = grid("left", "left")
    for name, value in seen.params.items():
        table.add_row(said(name), said(shortened_to_cells(in_words(value), _MOST_PREVIEW)))
    return table


def _blocks(seen: RunDetail, console: Console) -> list[Text]:
    blocks = seen.blocks
    columns = [
        ("block", "left", [said(block.block) for block in blocks]),
        ("status", "whole", [word(block.status) for block in blocks]),
        ("elements", "right", [said(_elements(block)) for block in blocks]),
        ("failed", "right", [said(f"{block.failed:,}" if block.failed else "", STYLES[Tone.BAD]) for block in blocks]),
        ("duration", "right", [said(seconds_text(_lasts(block))) for block in blocks]),
        ("size", "right", [said(size(block.bytes) if block.bytes else "") for block in blocks]),
    ]
    kept = [column for column in columns if any(cell.plain for cell in column[2])]
    rows = [[cells[number] for _, _, cells in kept] for number in range(len(blocks))]
    titles = [said(title, "dim") for title, _, _ in kept]
    return named_rows([titles, *rows], [justify for _, justify, _ in kept], console)


def _elements(block: BlockRecord) -> str:
    ended = block.ok + block.failed + block.upstream_failed
    return "" if block.total is None else f"{ended:,}/{block.total:,}"


def _errors(seen: RunDetail) -> list[RenderableType]:
    if not seen.errors:
        return [said(seen.run.error or "", STYLES[Tone.BAD])]
    found: list[RenderableType] = []
    for number, error in enumerate(seen.errors[:_ERRORS]):
        found += _error(error, in_full=number == 0)
    more = seen.run.error_count - len(seen.errors[:_ERRORS])
    return [*found, said(f"and {more:,} more", "dim")] if more > 0 else found


def _error(error: ErrorRecord, *, in_full: bool) -> list[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    place = error.block if error.element is None else f"{error.block}[{error.element}]"
    first = Text.assemble((showable(place), "bold"), (f"  {showable(error.type)}", STYLES[Tone.BAD]))
    message = error.message.strip().partition("\n")[0]
    if message:
        first.append(f": {showable(message)}")
    if not in_full or not error.traceback:
        return [first]
    lines = stack_lines(error.traceback)[-_TRACEBACK_LINES:]
    return [first, Padding(said_lines("\n".join(lines), "dim"), (0, 0, 0, 2), expand=False)]


def _artifacts(seen: RunDetail, folder: str) -> Table:
    table = grid("left", "left", "right", "left")
    for artifact in seen.artifacts:
        path = os.path.join(folder, artifact.path)
        table.add_row(said(artifact.name), said(artifact.artifact_type), said(size(artifact.size_bytes)), said(path))
    more = seen.run.artifact_count - len(seen.artifacts)
    if more > 0:
        table.add_row(said(f"and {more:,} more", "dim"))
    return table


def _relations(seen: RunDetail) -> Table:
    table = grid("whole", "whole", "left", "whole", "left")
    for related in seen.related:
        table.add_row(*_relation(related))
    more = seen.children - sum(related.how == "child" for related in seen.related)
    if more > 0:
        table.add_row(said(f"and {more:,} more", "dim"))
    return table


def _relation(related: Related) -> list[RenderableType]:
    return [
        said(_HOW[related.how], "dim"),
        said(related.run_id[:8]),
        said(related.pipeline_name or "not in the ledger", "" if related.pipeline_name else "dim"),
        word(related.status) if related.status else said(""),
        said(when(related.created_at) if related.created_at else "", "dim"),
    ]


def _steps(seen: RunDetail, run: str) -> list[tuple[str, str]]:
    if seen.run.run_folder is None or not os.path.isdir(seen.run.run_folder):
        return []
    name = typed(run)
    steps = [(f"runstone show {name}", "its folder: outputs, logs, what to do next")]
    if seen.run.status in UNFINISHED:
        steps.append((f"runstone watch {name}", "follow it to its end"))
    elif seen.errors:
        steps.append((f"runstone why {name}", "why it is as it is"))
    return steps


def _lasts(what: RunSummary | BlockRecord) -> float | None:
    return elapsed(what.status, what.started_at, what.duration_seconds)


def _number(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"
