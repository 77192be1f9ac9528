"""What workers do in these tests: good deeds and bad ones. Each says b"!" on its channel when it has begun."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

# No process of a test lives longer than this, whatever happens to the code under test.
LONGEST = 40


def echo(channel: socket.socket, *extra: int) -> None:
    """Answer until the other side hangs up; say first what was inherited."""
    channel.sendall(b"!")
    while said := channel.recv(4096):
        channel.sendall(said)


def leave(channel: socket.socket) -> None:
    channel.sendall(b"!")


def fail(channel: socket.socket) -> None:
    raise ValueError("this worker is meant to fail")


def exit_with_three(channel: socket.socket) -> None:
    sys.exit(3)


def surroundings(channel: socket.socket, *extra: int) -> None:
    """Tell what a worker finds around itself."""
    print("printed by a worker")
    main = sys.modules["__main__"]
    told = {
        "cwd": os.getcwd(),
        "argv": sys.argv,
        "path": sys.path,
        "environ": dict(os.environ),
        "main": [name for name in vars(main) if not name.startswith("__")],
        "main_file": getattr(main, "__file__", None),
        "random": random.random(),
        "descriptors": sorted(
            int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")
        ),
        "channel": channel.fileno(),
        "extra": extra,
        "stdin": os.readlink("/proc/self/fd/0"),
        "interrupt": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
        "terminate": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        "blocked": [number.name for number in signal.pthread_sigmask(signal.SIG_BLOCK, ()) if number < 32],
        "session": os.getsid(0),
        "group": os.getpgrp(),
        "optimize": sys.flags.optimize,
        "threads": threading.active_count(),
    }
    channel.sendall(json.dumps(told).encode() + b"\n")


def write_to_extra(channel: socket.socket, descriptor: int) -> None:
    os.write(descriptor, b"through an extra descriptor")


def spin_in_c(channel: socket.socket) -> None:
    """A loop in C that holds the interpreter, so that a Python handler of SIGTERM never has its turn."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.setitimer(signal.ITIMER_PROF, LONGEST)
    channel.sendall(b"!")
    sum(range(10**15))


def ignore_terminate(channel: socket.socket) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.alarm(LONGEST)
    channel.sendall(b"!")
    while True:
        signal.pause()


def _linger(*, deaf: bool = True, ready: Callable[[], object] = bool) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN if deaf else signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LONGEST)
    ready()
    while True:
        time.sleep(LONGEST)


def _forked(act: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            act()
        finally:
            os._exit(0)
    return pid


def _daemonize(channel: socket.socket) -> None:
    """Fork, setsid, fork again: the grandchild says its pid and stays."""

    def grandchild() -> None:
        _linger(ready=lambda: channel.sendall(struct.pack("i", os.getpid())))

    def child() -> None:
        os.setsid()
        _forked(grandchild)

    os.waitpid(_forked(child), 0)


def start_a_daemon(channel: socket.socket) -> None:
    _daemonize(channel)
    _linger(deaf=False)


def start_a_daemon_and_leave(channel: socket.socket) -> None:
    _daemonize(channel)


def start_a_daemon_without_environment(channel: socket.socket) -> None:
    """It can be told neither by its session nor by its environment, only by its place in the tree."""
    program = (
        "import os, signal, time; signal.signal(15, signal.SIG_IGN); print(os.getpid(), flush=True); time.sleep(40)"
    )
    started = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", program], env={}, start_new_session=True, stdout=subprocess.PIPE
    )
    assert started.stdout is not None
    channel.sendall(struct.pack("i", int(started.stdout.readline())))
    _linger(deaf=False)


def have_children(channel: socket.socket) -> None:
    """A polite child that is started as another program, and a deaf one that is forked."""
    polite = subprocess.Popen([sys.executable, "-S", "-c", f"import time; time.sleep({LONGEST})"])
    _forked(lambda: _linger(ready=lambda: channel.sendall(struct.pack("ii", polite.pid, os.getpid()))))
    _linger(deaf=False)


def bomb(channel: socket.socket) -> None:
    """Processes that fork as soon as they are there and leave, so that each is seen for a moment only; and more and
    more that stay. Bounded: 300 that stay, and 40 s."""
    shared = mmap.mmap(-1, 8)
    until = time.monotonic() + LONGEST

    def hop() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while time.monotonic() < until:
            if os.fork():
                os._exit(0)
            (staying,) = struct.unpack("q", shared[:])
            if staying < 300:
                shared[:] = struct.pack("q", staying + 1)
                _forked(_linger)
            time.sleep(0.001)

    for _ in range(6):
        _forked(hop)
    channel.sendall(b"!")
    _linger()


def lose_the_first_thread(channel: socket.socket) -> None:
    """The first thread ends, another works on: the process looks like a zombie."""

    def work() -> None:
        channel.sendall(b"!")
        _linger_in_thread()

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=work, daemon=True).start()
    ctypes.CDLL(None).pthread_exit(None)


def _linger_in_thread() -> None:
    time.sleep(LONGEST)
    os._exit(0)


def eat_memory(channel: socket.socket) -> None:
    """Take memory, a megabyte at a time, up to a gigabyte."""
    taken = []
    for _ in range(1024):
        taken.append(b"x" * (1 << 20))
    channel.sendall(b"survived")


def work_hard(channel: socket.socket) -> None:
    """0.2 s of CPU, 80 MB of memory."""
    kept = b"x" * (80 << 20)
    while time.process_time() < 0.2:
        sum(range(1000))
    channel.sendall(b"!" if kept else b"")


def kill_the_group(channel: socket.socket) -> None:
    """What a careless shell script does."""
    channel.sendall(b"!")
    os.killpg(0, signal.SIGKILL)


def guard_of_its_own(channel: socket.socket) -> None:
    """A worker that is a driver, as in a run inside of a block."""
    from runstone.engine.guard.client import Guard

    guard = Guard([])
    inner = guard.spawn("tests.engine.guard.deeds:ignore_terminate", "inner")
    inner.channel.recv(1)
    channel.sendall(b"!")
    _linger(deaf=False)
