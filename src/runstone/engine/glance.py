"""A run as it looks at one moment: counts and times only, read from a fold that another thread goes on changing."""

from __future__ import annotations

import time
from collections import deque

import msgspec

from runstone.core.moves import BLOCK_DONE
from runstone.core.records import RunInfo
from runstone.core.run_state import BlockState, RunState
from runstone.core.statuses import BlockStatus
from runstone.folder import clock

BROKEN_OFF = "broken off"
"""Instead of a status: the run could not be recorded to its end."""

_WINDOW_SECONDS, _LEAST_SAMPLES = 10.0, 8
"""An estimate looks back over so much, or over a third of the time, if that is more; in any case over
so many steps, if there were any."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A block at one moment.

    total: how many elements it has, None if it is not mapped or that is not known yet. seconds: since it started, or
    how long it took; None before that. left: an estimate in seconds, None where none would be honest.
    """

    name: str
    status: str
    ended: int = 0
    failed: int = 0
    total: int | None = None
    seconds: float | None = None
    left: float | None = None

    @property
    def done(self) -> bool:
        return self.status in BLOCK_DONE

    @property
    def active(self) -> bool:
        """Whether something happens in it."""
        return not self.done and self.status != BlockStatus.PENDING


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """A run at one moment. recent: the names of blocks that have ended, the latest first."""

    pipeline: str
    id: str
    status: str
    seconds: float
    rows: list[Row]
    recent: list[str]
    folder: str | None = None

    @property
    def blocks_done(self) -> int:
        return sum(row.done for row in self.rows)


class Pace:
    """How fast a block gets on, and how long the rest may take at that."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque(maxlen=200)

    def see(self, now: float, ended: int) -> None:
        """Note how many elements have ended at this time, in seconds of a steady clock."""
        if not self._seen or (ended > self._seen[-1][1] and now > self._seen[-1][0]):
            self._seen.append((now, ended))

    def left(self, now: float, total: int) -> float | None:
        """Seconds for the rest; None until some has been seen, while nothing moves, or if the pace changes too much."""
        window = max(_WINDOW_SECONDS, (now - self._seen[0][0]) / 3) if self._seen else 0.0
        seen = [sample for sample in self._seen if now - sample[0] <= window]
        if len(seen) < _LEAST_SAMPLES:
            seen = list(self._seen)[-_LEAST_SAMPLES:]
        if len(seen) < 4:
            return None
        (first_at, first), (middle_at, middle), (last_at, last) = seen[0], seen[len(seen) // 2], seen[-1]
        if last_at - first_at < 3 or (last - self._seen[0][1]) * 50 < total:
            return None
        if now - last_at > max(5.0, 4 * (last_at - first_at) / (len(seen) - 1)):
            return None
        earlier = (middle - first) / (middle_at - first_at)
        later = (last - middle) / (last_at - middle_at)
        if not 0.5 <= later / earlier <= 2:
            return None
        return max(0.0, (total - last) * (last_at - first_at) / (last - first) - (now - last_at))


class View:
    """One run on display. `state` is changed by the thread that executes the run; here it is only read."""

    def __init__(self, info: RunInfo, state: RunState, folder: str | None) -> None:
        self._info = info
        self._state = state
        self._folder = folder
        self._begun: dict[str, float] = {}
        self._paces: dict[str, Pace] = {}
        self._recent: list[str] = []
        self._start = time.monotonic()
        self.broken = False

    def glance(self) -> Glance:
        """The run as it is now."""
        now = time.monotonic()
        state = self._state
        rows = [self._row(name, block, now) for name, block in state.blocks.items()]
        for row in rows:
            if row.done and row.name not in self._recent:
                self._recent.insert(0, row.name)
        return Glance(
            pipeline=self._info.pipeline.name,
            id=self._info.id,
            status=BROKEN_OFF if self.broken and not state.done else state.status.value,
            seconds=now - self._start,
            rows=rows,
            recent=list(self._recent),
            folder=self._folder,
        )

    def _row(self, name: str, block: BlockState, now: float) -> Row:
        status, started_at, ended, total = block.status, block.started_at, block.ended, block.total
        mapped = total is not None
        seconds = left = None
        if status in BLOCK_DONE:
            if started_at is not None:
                seconds = _between(started_at, block.finished_at) if block.duration is None else block.duration
        elif started_at is not None:
            if name not in self._begun:
                self._begun[name] = now - max(0.0, time.time() - (clock.seconds(started_at) or time.time()))
            seconds = now - self._begun[name]
            if total is not None:
                pace = self._paces.setdefault(name, Pace())
                pace.see(now, ended)
                left = pace.left(now, total)
        return Row(
            name=name,
            status=status.value,
            ended=ended if mapped else 0,
            failed=block.failed if mapped else 0,
            total=total,
            seconds=seconds,
            left=left,
        )


def _between(start: str | None, stop: str | None) -> float | None:
    first, last = clock.seconds(start), clock.seconds(stop)
    return None if first is None or last is None else max(0.0, last - first)
