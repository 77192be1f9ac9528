"""Ending processes until nothing of them lives: ask, wait, freeze, kill, and look again."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Mapping

from runstone.core.receipts import EndedProcess, Receipt, SentSignal
from runstone.engine.guard import processes
from runstone.folder import clock

# How many processes a receipt names: it has to fit into one line of a journal.
NAMED = 50
# Seconds to wait for what was killed and does not die, because it hangs in the kernel.
PATIENCE = 5.0


class _Member:
    """A process that is to end, and what has been done to it."""

    def __init__(self, process: processes.Process) -> None:
        self.process = process
        self.name = ""
        self.sent: dict[signal.Signals, str] = {}
        self.dead_at: str | None = None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, each only once."""
        if number not in self.sent and processes.send(self.process, number):
            self.sent[number] = clock.now()

    def look(self) -> bool:
        """Whether it lives."""
        if self.dead_at is None:
            now = processes.look(self.process.pid)
            if now is None or not now.alive or now.started != self.process.started:
                self.dead_at = clock.now()
        return self.dead_at is None

    def told(self) -> EndedProcess:
        """Its line in the receipt."""
        return EndedProcess(
            pid=self.process.pid,
            parent=self.process.parent,
            name=self.name,
            signals=[SentSignal(name=number.name, at=at) for number, at in self.sent.items()],
            dead_at=self.dead_at,
        )


class Ending:
    """The end of some processes and of everything below them, a step at a time.

    SIGTERM to all that are there at the first step; after `grace` seconds SIGKILL. Before the kill the whole tree is
    stopped, parents first, until no new process shows up: what is stopped cannot fork, so a tree that grows faster
    than it can be killed still comes to an end.

    names: what to call the processes that have a name of their own. others: pids that belong to it wherever they
    are in the tree, asked at each step.
    """

    def __init__(
        self,
        roots: Iterable[int],
        *,
        grace: float,
        reason: str = "",
        names: Mapping[int, str] | None = None,
        others: Callable[[], Iterable[int]] = tuple,
        patience: float = PATIENCE,
    ) -> None:
        self._names = names or {}
        self._others = others
        self._reason = reason
        self._patience = patience
        self._asked_at = clock.now()
        self._began = time.monotonic()
        self._kill_at = self._began + grace
        self._seconds: float | None = None
        self._steps = 0
        self._members: dict[tuple[int, int], _Member] = {}
        # pids of the dead that nobody has waited for, within a step; a fork bomb leaves thousands
        self._zombies: set[int] = set()
        self._living = self._add(roots)

    def __contains__(self, identity: object) -> bool:
        """Whether a process, by its pid and start, is among those that are ended here."""
        return identity in self._members

    @property
    def is_killing(self) -> bool:
        """Whether the time to end by themselves is over."""
        return time.monotonic() >= self._kill_at

    @property
    def living(self) -> int:
        """How many lived when it last looked."""
        return len(self._living)

    def hasten(self, grace: float) -> None:
        """Kill no later than `grace` seconds from now."""
        self._kill_at = min(self._kill_at, time.monotonic() + grace)

    def has_killed(self, identity: tuple[int, int]) -> bool:
        """Whether this has sent a process SIGKILL."""
        member = self._members.get(identity)
        return member is not None and signal.SIGKILL in member.sent

    def step(self) -> float | None:
        """Do what is due now. Returns after how many seconds to call again, None when it is over."""
        if self._seconds is not None:
            return None
        self._zombies.clear()
        self._gather()
        now = time.monotonic()
        if not self._living and not self._gather():
            self._seconds = now - self._began
            return None
        if now >= self._kill_at + self._patience:
            self._seconds = now - self._began
            return None
        self._steps += 1
        if now >= self._kill_at:
            self._kill()
            return 0.002 if self._steps < 50 else 0.02
        if self._steps == 1:
            for member in self._living:
                member.send(signal.SIGTERM)
        return min(0.005 if self._steps < 20 else 0.03, self._kill_at - now)

    def receipt(self) -> Receipt:
        """What has been done so far."""
        members = sorted(self._members.values(), key=lambda member: member.dead_at is not None)
        return Receipt(
            reason=self._reason,
            asked_at=self._asked_at,
            seconds=round(time.monotonic() - self._began if self._seconds is None else self._seconds, 3),
            finished=self._seconds is not None and not self._living,
            processes=[member.told() for member in members[:NAMED]],
            omitted=max(0, len(members) - NAMED),
        )

    def _gather(self) -> int:
        """Look who lives and who has come since, and stop the latter once it comes to killing; returns how many came.

        Newest first: what forks and leaves within a millisecond has to be stopped before it is gone.
        """
        known = len(self._members)
        living = [member for member in self._living if member.look()]
        waiting = [member.process.pid for member in living]
        seen = set(waiting)
        while waiting:
            found = [child for child in reversed(processes.children(waiting.pop())) if child not in seen]
            seen.update(found)
            added = self._add(found)
            living += added
            waiting += [member.process.pid for member in added]
        living += self._add(pid for pid in self._others() if pid not in seen)
        self._living = living
        return len(self._members) - known

    def _add(self, pids: Iterable[int]) -> list[_Member]:
        """The members that live among these pids, which are no members that lived before."""
        freezing = self.is_killing
        living = []
        for pid in pids:
            if pid in self._zombies:
                continue
            process = processes.look(pid)
            if process is None or not process.alive:
                self._zombies.add(pid)
                continue
            member = self._members.get(process.identity)
            if member is None:
                member = self._members[process.identity] = _Member(process)
                if freezing:
                    member.send(signal.SIGSTOP)
                member.name = self._names.get(pid) or processes.command_line(pid)
            living.append(member)
        return living

    def _kill(self) -> None:
        for member in self._living:
            member.send(signal.SIGSTOP)
        for _ in range(20):
            if not self._gather():
                break
        for member in self._living:
            member.send(signal.SIGKILL)


def kill_all(find: Callable[[], Iterable[int]], reason: str, patience: float) -> Receipt:
    """Kill all that `find` finds, and what is below those, until it finds none or `patience` seconds are over."""
    ending = Ending([], grace=0.0, reason=reason, others=find, patience=patience)
    while (pause := ending.step()) is not None:
        time.sleep(pause)
    return ending.receipt()
