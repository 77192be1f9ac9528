"""How much this machine computes at once."""

from __future__ import annotations

import os


def cores() -> int:
    """How many workers compute at once without being in each other's way."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
