"""What a status means for somebody who only sees its colour: the same on a terminal, in a notebook and in a picture."""

from __future__ import annotations

from enum import StrEnum


class Tone(StrEnum):
    """How a status feels."""

    GOOD = "good"
    BUSY = "busy"
    WARNED = "warned"
    BAD = "bad"
    HIT = "hit"
    """Suffered from something that failed before it."""
    IDLE = "idle"


_TONES = {
    "completed": Tone.GOOD,
    "reused": Tone.GOOD,
    "running": Tone.BUSY,
    "retrying": Tone.BUSY,
    "cancelling": Tone.WARNED,
    "cancelled": Tone.WARNED,
    "degraded": Tone.WARNED,
    "incomplete": Tone.WARNED,
    "failed": Tone.BAD,
    "timed_out": Tone.BAD,
    "crashed": Tone.BAD,
    "error": Tone.BAD,
    "missing": Tone.BAD,
    "upstream_failed": Tone.HIT,
}


def tone_of(status: str) -> Tone:
    """The tone of a status of a run or of a block; idle for those that wait, were skipped, or are unknown."""
    return _TONES.get(status, Tone.IDLE)
