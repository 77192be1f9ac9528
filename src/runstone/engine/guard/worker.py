"""A worker's first moments: between the fork and the function it is for."""

from __future__ import annotations

import gc
import importlib
import os
import random
import signal
import socket
import sys

from runstone.engine.guard import kernel, wire


class Job:
    """What a forked worker is to do. descriptors: in the order told in `wire.Spawn`."""

    def __init__(self, order: wire.Spawn, descriptors: list[int], guard: int) -> None:
        self._order = order
        self._guard = guard
        self._channel, self._out, self._err, *rest = descriptors
        self._directory = rest.pop(0) if order.has_directory else None
        self._extra = rest

    def __call__(self) -> None:
        """Become a process of its own and call the function; what that raises ends the process as usual."""
        kernel.die_with(self._guard)
        kernel.adopt_orphans()
        kernel.set_name(f"rs {self._order.label}")
        # a group of its own, so that code that signals its group does not hit the guard and the other workers
        os.setpgid(0, 0)
        self._settle_signals()
        self._settle_files()
        _offer_to_the_killer()
        random.seed()
        if numpy := sys.modules.get("numpy.random"):
            numpy.seed()
        gc.enable()
        module, _, name = self._order.main.partition(":")
        function = getattr(importlib.import_module(module), name)
        function(socket.socket(fileno=self._channel), *self._extra)

    def _settle_signals(self) -> None:
        # Ctrl-C is the driver's affair
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def _settle_files(self) -> None:
        for ours, theirs in ((self._out, 1), (self._err, 2)):
            os.dup2(ours, theirs)
            os.close(ours)
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=stream.isatty() or stream is sys.stderr)  # type: ignore[union-attr]  # typed as any text stream
        if self._directory is not None:
            try:
                os.fchdir(self._directory)
            except OSError:
                # then it stays where the guard was started
                pass
            os.close(self._directory)


def _offer_to_the_killer() -> None:
    """When memory runs out, let the system take a worker before a driver, which could only lose the whole run."""
    try:
        with open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:
            file.write(str(min(1000, int(file.read()) + 100)).encode())
    except (OSError, ValueError):
        pass
