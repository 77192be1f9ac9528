"""What is wrong with tracking, said once of each kind, and never raised into the work that is tracked."""

from __future__ import annotations

import traceback
from typing import Any

from runstone.engine import streams
from runstone.errors import RunstoneError

_said: set[str] = set()
_MOST = 50


def once(kind: str, text: str) -> None:
    """Say this in one line on standard error, unless something of this kind was said before in this process."""
    if kind in _said or len(_said) >= _MOST:
        return
    _said.add(kind)
    stream: Any = streams.beneath("stderr")
    try:
        stream.write(f"runstone: {text}\n")
        stream.flush()
    except (AttributeError, OSError, ValueError):
        return


def was_said(kind: str) -> bool:
    """Whether something of this kind was said in this process."""
    return kind in _said


def unexpected(error: Exception) -> None:
    """The same for a fault of ours, with where it is; what was raised on purpose says enough."""
    if isinstance(error, RunstoneError):
        once(f"refusal {type(error).__name__}", f"a run is not tracked as it should be: {error}")
        return
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" ({last[0].filename}:{last[0].lineno})" if last else ""
    kind = type(error).__name__
    once(f"fault {kind}", f"a run is not tracked as it should be: {kind}: {error}{where}")
