"""What whoever started a run is told once it has ended, beside how it ended: a few lines on standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable

from runstone.core.run_state import RunState
from runstone.drawing.lettering import showable

WORTH_TELLING = frozenset(
    {"secret_in_output", "secret_in_parameter", "literal_secret", "secret_not_comparable", "cache"}
)
"""The codes of the warnings that are of no use to anybody who finds them only later."""
MOST = 5
"""Warnings that are told; the rest is counted."""


def warnings(state: RunState) -> list[str]:
    """The warnings of a run that are worth telling, a line each, at most MOST and a line that counts the others."""
    found = [warning.message for warning in state.warnings if warning.type in WORTH_TELLING]
    told = [f"warning: {showable(message)}" for message in dict.fromkeys(found)]
    more = len(told) - MOST
    return told if more <= 0 else [*told[:MOST], f"and {more:,} more such warning{'s' * (more > 1)}: runstone show"]


def tell(lines: Iterable[str]) -> None:
    """Write lines to standard error; where that takes nothing any more, the run has ended well all the same."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write("".join(f"{line}\n" for line in lines))
