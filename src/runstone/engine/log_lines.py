"""A run on a stream that nobody watches live: a plain line when something has changed, now and then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from runstone.core.figures import duration
from runstone.drawing.lettering import showable
from runstone.engine.glance import Glance, Row

# The longer a run takes, the less often a mere count is worth a line: each tells of some five percent more.
_SPACING = 0.05
_NAMED = 5


class LogLines:
    """Writes lines without any escape codes, at most one a second for each run, and one at its end."""

    seconds = 0.2
    """Between two looks."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last: dict[str, tuple[float, object, object]] = {}

    def open(self) -> None:
        """Nothing has to be prepared."""

    def close(self) -> None:
        """Nothing has to be put back."""

    def begin(self, glance: Glance) -> None:
        """Nothing yet: a short run is shown at its end only."""

    def show(self, glances: Sequence[Glance]) -> None:
        """Tell what has changed, if that is due. Raises OSError or ValueError if the stream is gone."""
        for glance in glances:
            at, statuses, counts = self._last.get(glance.id, (-1.0, None, None))
            statuses_now = [row.status for row in glance.rows]
            counts_now = [(row.ended, row.failed) for row in glance.rows]
            wait = 1.0 if statuses_now != statuses else max(1.0, _SPACING * glance.seconds)
            if (statuses_now, counts_now) != (statuses, counts) and glance.seconds - at >= wait:
                self._last[glance.id] = (glance.seconds, statuses_now, counts_now)
                self._write(glance, _progress(glance))

    def settle(self, glance: Glance, others: Sequence[Glance]) -> None:
        """Tell the end."""
        self._last.pop(glance.id, None)
        count = len(glance.rows)
        told = [glance.status, f"{count:,} block{'s' * (count != 1)}", *_failures(glance), duration(glance.seconds)]
        self._write(glance, told)

    def _write(self, glance: Glance, told: Sequence[str]) -> None:
        self._stream.write(f"{showable(glance.pipeline)} {glance.id[:8]}: {', '.join(told)}\n")
        self._stream.flush()


def _progress(glance: Glance) -> list[str]:
    active = [_active(row) for row in glance.rows if row.active]
    more = [f"{len(active) - _NAMED} more"] if len(active) > _NAMED else []
    blocks = f"{glance.blocks_done:,} of {len(glance.rows):,} blocks done"
    return [*active[:_NAMED], *more, blocks, duration(glance.seconds)]


def _active(row: Row) -> str:
    if row.total is None:
        return f"{showable(row.name)} {row.status}"
    failed = f" ({row.failed:,} failed)" if row.failed else ""
    return f"{showable(row.name)} {row.ended:,}/{row.total:,}{failed}"


def _failures(glance: Glance) -> list[str]:
    found = [f"{showable(row.name)}: {row.failed:,} of {row.total:,} failed" for row in glance.rows if row.failed]
    found.extend(
        f"{showable(row.name)} {row.status}" for row in glance.rows if row.status == "failed" and not row.failed
    )
    return found[:_NAMED]
