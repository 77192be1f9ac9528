"""Trees of processes: who belongs to one, and how to end one so that nothing of it is left. Linux only."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator

from runstone.core.receipts import Receipt
from runstone.engine.guard import endings, processes

# Every process of a pool carries the tokens of the pools it is in, outermost first, with colons between.
MARK = "RUNSTONE_POOL"


def descendants(pid: int) -> list[processes.Process]:
    """The living processes below one, parents before their children."""
    found: dict[int, processes.Process] = {}
    waiting = [pid]
    while waiting:
        for child in processes.children(waiting.pop(0)):
            if child not in found and (process := processes.look(child)):
                found[child] = process
                waiting.append(child)
    return [process for process in found.values() if process.alive]


def with_mark(token: str, environ: dict[str, str]) -> dict[str, str]:
    """An environment whose processes, and all they start with it, are found by `marked(token)`."""
    outer = environ.get(MARK)
    return {**environ, MARK: f"{outer}:{token}" if outer else token}


def marked(token: str, session: int | None = None) -> Iterator[processes.Process]:
    """The living processes of this user that carry a mark, or are of a session; never this process.

    Looks at every process of the machine. Whoever has both left the session and dropped the environment is not found.
    """
    for process in processes.everyone():
        is_other = process.alive and process.pid != os.getpid()
        if is_other and (process.session == session or token in _tokens(process.pid)):
            yield process


def _tokens(pid: int) -> list[str]:
    mark = f"{MARK}=".encode()
    for line in processes.environment(pid).split(b"\0"):
        if line.startswith(mark):
            return line[len(mark) :].decode(errors="replace").split(":")
    return []


def end_tree(
    pid: int,
    grace: float,
    *,
    reason: str = "",
    name: str | None = None,
    others: Callable[[], Iterable[int]] = tuple,
) -> Receipt:
    """End a process and everything below it; returns when nothing of it lives, or after 5 s of vain SIGKILLs.

    SIGTERM to all, SIGKILL after `grace` seconds to those that are left; at once if grace is 0. others: pids that
    belong to it though they may not be below it, asked again until there are none; give the children that were
    adopted if this process is a subreaper, or what is `marked`. The caller waits for its own children.
    """
    ending = endings.Ending([pid], grace=grace, reason=reason, names={} if name is None else {pid: name}, others=others)
    while (pause := ending.step()) is not None:
        time.sleep(pause)
    return ending.receipt()


def end_marked(token: str, *, session: int | None = None, reason: str = "", patience: float = 2.0) -> Receipt:
    """Kill every process that carries a mark or is of a session, and what is below those, until none is left."""
    return endings.kill_all(lambda: (process.pid for process in marked(token, session)), reason, patience)
