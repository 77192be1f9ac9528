"""The first moments of a guard: from a new interpreter to the process that forks workers."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys

from runstone.engine.guard import kernel, trees
from runstone.engine.guard.process import GuardProcess


def main(descriptor: int, driver: int, token: str, preload: list[str]) -> None:
    """Be the guard of a process; returns in workers, when they have done their job."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for name in [name for name in vars(sys.modules["__main__"]) if not name.startswith("__")]:
        # functions from the driver's __main__ bring what they need; ours must not answer in its place
        delattr(sys.modules["__main__"], name)
    _close_inherited(descriptor)
    kernel.adopt_orphans()
    kernel.set_name("runstone-guard")
    _import(preload, driver)
    # the collector would write to every object, and so copy to every worker what it could share with the guard
    gc.freeze()
    guard = GuardProcess(socket.socket(fileno=descriptor), driver)
    job = guard.serve()
    if job is not None:
        job()
        return
    if os.getppid() != driver:
        trees.end_marked(token, session=os.getpid(), reason="the driver has ended")
    os._exit(0)


def _close_inherited(kept: int) -> None:
    """Let go of what the driver had open for its children."""
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        if number > 2 and number != kept:
            try:
                os.close(number)
            except OSError:
                # the one the list was read from
                pass


def _import(names: list[str], driver: int) -> None:
    """Import what workers will need. What cannot be imported here is the affair of the worker that needs it."""

    def look(*_: object) -> None:
        if os.getppid() != driver:
            os._exit(0)

    # imports may take long, and nobody listens to the driver meanwhile
    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, 0.5, 0.5)
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:
            continue
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
