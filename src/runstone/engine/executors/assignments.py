"""Dividing the elements of a block among those who compute them, in parts whose size follows from what they cost."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

Numbers = range | list[int]

SECONDS = 0.25
"""What one part should take: long against a message, short against the time that a person or a chunk waits."""

LEAST_SECONDS = 0.005
"""What less takes is not worth a message, however long others wait."""

_SMOOTH = 0.5


class Assignments:
    """The elements of a block that nobody has computed yet.

    numbers: of the elements, in order. parallel: how many compute at once.
    """

    def __init__(self, numbers: Numbers, parallel: int) -> None:
        self._numbers = numbers
        self._at = 0
        self._parallel = max(1, parallel)
        self._back: list[Numbers] = []
        self._later: list[tuple[float, int]] = []
        self._cost: float | None = None

    @property
    def left(self) -> int:
        """How many elements nobody has taken."""
        return len(self._numbers) - self._at + sum(map(len, self._back)) + len(self._later)

    def ready(self, now: float) -> bool:
        """Whether there is a part to be taken now."""
        return bool(self._back) or self._at < len(self._numbers) or (bool(self._later) and self._later[0][0] <= now)

    def take(self, now: float) -> Numbers | None:
        """The next part; None if there is nothing, or nothing yet, to be done. now: seconds, as in `retry_at`."""
        if self._later and self._later[0][0] <= now:
            return [heapq.heappop(self._later)[1]]
        size = self._size()
        if self._back:
            part = self._back.pop()
            if len(part) > size:
                self._back.append(part[size:])
            return part[:size]
        if self._at >= len(self._numbers):
            return None
        part = self._numbers[self._at : self._at + size]
        self._at += len(part)
        return part

    def _size(self) -> int:
        if self._cost is None:
            return 1
        wanted = int(SECONDS / self._cost) if self._cost > 0 else len(self._numbers)
        # the last parts are small, so that nobody waits long for the slowest
        fair = -(-self.left // (2 * self._parallel))
        least = int(LEAST_SECONDS / self._cost) if self._cost > 0 else 1
        return max(1, min(wanted, max(fair, least)))

    def measured(self, count: int, seconds: float) -> None:
        """So many elements took so long."""
        if count:
            cost = seconds / count
            self._cost = cost if self._cost is None else self._cost + _SMOOTH * (cost - self._cost)

    def give_back(self, numbers: Sequence[int]) -> None:
        """These were taken, but not computed."""
        if numbers:
            self._back.append(numbers if isinstance(numbers, range) else list(numbers))

    def retry_at(self, due: float, number: int) -> None:
        """This element failed and may be tried again from then on."""
        heapq.heappush(self._later, (due, number))
