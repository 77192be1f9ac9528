"""What is in the way of a ledger: when to ask it again, and whether anybody has to be told."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable

from runstone.errors import LedgerBusy, LedgerError

BUSY_SECONDS = 10.0
"""When somebody holds the ledger for so long and nobody gets to write in it, that is told."""

HELD_SECONDS = 0.7
"""At the end of a process: when nobody was seen to write for so long, the ledger is held and not only much used."""

_BUSY_PAUSE = 0.2
_FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0


class Trouble:
    """With the ledger that is said as `shown`. complain: told once what is wrong with it."""

    def __init__(self, shown: str, complain: Callable[[str], None]) -> None:
        self._shown = shown
        self._complain = complain
        self._complained = False
        self._pause = 0.0
        self._next_try = 0.0
        # since when it is busy, with what it said last
        self._busy_since: float | None = None
        self._busy = ""
        self._by_us = False
        # when it was last seen to let anybody write
        self._moved = time.monotonic()

    @property
    def is_passing(self) -> bool:
        """Whether it is merely busy, and what cannot be brought may wait here for a moment."""
        return self._busy_since is not None and time.monotonic() - self._busy_since < BUSY_SECONDS

    def may_try(self) -> bool:
        """Whether it is time to ask it again."""
        return time.monotonic() >= self._next_try

    def answered(self) -> None:
        """It can be opened."""
        self._pause = 0.0
        self._moved = time.monotonic()

    def over(self) -> None:
        """It lets us write."""
        self._busy_since = None
        self._by_us = False
        self._moved = time.monotonic()

    def busy(self, error: LedgerBusy) -> None:
        """Somebody else is writing there."""
        now = time.monotonic()
        self._next_try = now + _BUSY_PAUSE
        self._busy, self._busy_since = str(error), self._busy_since or now
        self._by_us = error.by_us
        if error.held_seconds is not None:
            self._moved = max(self._moved, now - error.held_seconds)
        if now - self._moved >= BUSY_SECONDS:
            self.say(self._busy)

    def refused(self, error: LedgerError) -> None:
        """It is out of order."""
        self._busy_since = None
        self._pause = min(LONGEST_PAUSE, self._pause * 2 or _FIRST_PAUSE)
        self._next_try = time.monotonic() + self._pause
        self.say(str(error))

    def stumbled(self, error: Exception) -> None:
        """A fault of ours, not of the ledger: told as well, with where it is."""
        last = traceback.extract_tb(error.__traceback__)[-1:]
        where = f" ({last[0].filename}:{last[0].lineno})" if last else ""
        self.say(f"the ledger {self._shown} cannot be kept up: {type(error).__name__}: {error}{where}")

    def last_call(self) -> None:
        """The process ends: ask at once."""
        self._next_try = 0.0

    def rest(self) -> None:
        """Ask it again after a long while."""
        self._next_try = time.monotonic() + LONGEST_PAUSE

    def tell_if_held(self) -> None:
        """At the end, with something left to bring: say so unless others of us are writing, who only came first."""
        if not self._by_us and time.monotonic() - self._moved >= HELD_SECONDS:
            self.say(self._busy or f"the ledger {self._shown} is held up; runs come into it later")

    def say(self, what: str) -> None:
        """Once."""
        if not self._complained:
            self._complained = True
            self._complain(what)
