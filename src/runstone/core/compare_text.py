"""What a comparison of runs tells, as plain text: what differs, and where it begins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runstone.core.compare import Comparison, Divergence, Entry

_MOST_VALUE = 120


def in_words(compared: Comparison) -> str:
    """Several lines; what is the same is left out."""
    return "\n".join(_lines(compared))


def outputs_of(found: Divergence) -> str:
    """The outputs that differ, in brackets; nothing where the block says it already."""
    return f" ({', '.join(found.outputs)})" if found.outputs and found.outputs != [found.block] else ""


def _lines(compared: Comparison) -> Iterator[str]:
    from runstone.core.compare import LEDGER, letter

    for number, run in enumerate(compared.runs):
        yield f"{letter(number)}  {run.run_id[:8]}  {run.pipeline}  {run.status}"
    yield ""
    found = compared.diverges
    if compared.source == LEDGER:
        yield "by what the ledger has, without outputs"
    elif found is None:
        yield "all blocks made the same"
    if found is not None:
        because = f", for: {'; '.join(found.because)}" if found.because else ""
        yield f"first to diverge: {found.block}{outputs_of(found)}{because}"
    for name, entries in compared.sections.items():
        differing = [entry for entry in entries if not entry.same]
        if differing:
            yield ""
            yield name.capitalize()
        for entry in differing:
            yield f"  {entry.subject}"
            yield from (f"    {line}" for line in _of_entry(entry))
    if not compared.differences:
        yield "they do not differ"
    if compared.unsure:
        number = len(compared.unsure)
        yield ""
        yield f"{number:,} values look the same" if number > 1 else f"{compared.unsure[0]} looks the same"


def _of_entry(entry: Entry) -> Iterator[str]:
    from runstone.core.compare import letter

    for number, value in enumerate(entry.values):
        yield f"{letter(number)}  {'-' if value is None else _shortened(value)}"
    yield from entry.detail


def _shortened(value: str) -> str:
    return value if len(value) <= _MOST_VALUE else f"{value[:_MOST_VALUE]}..."
