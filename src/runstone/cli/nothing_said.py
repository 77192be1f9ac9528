"""What `runstone logs` says when it has printed nothing: whether there could be anything, and what there is instead."""

from __future__ import annotations

import click

from runstone.core.records import RunInfo
from runstone.folder.log_reading import log_files
from runstone.folder.log_search import LogQuery
from runstone.folder.look import Look
from runstone.folder.read import read_run

_NAMED = 10


def nothing_said(folder: str, info: RunInfo, query: LogQuery) -> str | None:
    """One line for a person, None if there is nothing to explain.

    Raises click.UsageError if there is no such element in what was asked about.
    """
    state = read_run(folder).state
    asked = [block for block in info.blocks if query.wants_file(block.name)]
    where = "this run" if query.blocks is None else f"block {asked[0].name!r}"
    if query.element is not None:
        mapped = [block.name for block in asked if block.is_mapped]
        if not mapped:
            raise click.UsageError(f"{where} is not mapped, so it has no elements; leave --element out")
        totals = [state.blocks[name].total for name in mapped]
        known = [total for total in totals if total is not None]
        if len(known) == len(totals) and query.element >= max(known):
            counts = ", ".join(f"{total:,} in {name}" for name, total in zip(mapped[:_NAMED], known, strict=False))
            raise click.UsageError(f"{where} has no element {query.element}; counted from 0 there are {counts}")
        where = f"element {query.element} of {where}"
    so_far = "" if state.done else " so far"
    if query.level is not None or query.pattern is not None:
        # whoever searches may well hope to find nothing
        return None
    with Look(folder) as look:
        there = {file.block or "the run itself" for file in log_files(look, LogQuery()) if file.size}
    instead = f"; there are logs of {', '.join(sorted(there)[:_NAMED])}" if there else ""
    return f"{where} has printed, logged and warned of nothing{so_far}{instead}"
