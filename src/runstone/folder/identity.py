"""Which process this is, and the proof that another one is dead.

A pid alone proves nothing: it may be used again, or be counted in another namespace or on another machine. `gone`
needs the same boot and the same pid namespace, and the pid absent, a zombie, or started at another time; or the same
machine after another boot.
"""

from __future__ import annotations

import functools
import os
import sys

from runstone.core.events import Driver


def read_text(path: str) -> str:
    """A small file of the system, "" if it cannot be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(4096).strip()
    except OSError:
        return ""


@functools.cache
def boot_id() -> str:
    """What changes with every start of the machine; "" where that is unknown."""
    if sys.platform == "linux":
        return read_text("/proc/sys/kernel/random/boot_id")
    import psutil

    return f"boot-{round(psutil.boot_time())}"


@functools.cache
def machine_id() -> str:
    """What stays with the machine; "" where that is unknown."""
    return read_text("/etc/machine-id") or read_text("/var/lib/dbus/machine-id")


@functools.cache
def host() -> str:
    """The machine's name."""
    if sys.platform == "win32":
        return os.environ.get("COMPUTERNAME", "")
    return os.uname().nodename


@functools.cache
def _pid_namespace(pid: int) -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def pid_namespace() -> int:
    """The inode of this process's pid namespace, 0 where there are none."""
    return _pid_namespace(os.getpid())


def start_ticks(pid: int) -> int | None:
    """When a process started, in the raw unit of the system; None if it is absent or a zombie, -1 if unknown."""
    if sys.platform != "linux":
        return _start_by_psutil(pid)
    if not _proc_is_ours(os.getpid()):
        return _absent(pid)
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            content = file.read(4096)
    except (FileNotFoundError, ProcessLookupError):
        return _absent(pid)
    except OSError:
        return -1
    # the name in parentheses may hold anything, so count the fields from its end
    fields = content[content.rfind(b")") + 2 :].split()
    if len(fields) < 20:
        return -1
    return None if fields[0] in (b"Z", b"X", b"x") else int(fields[19])


@functools.cache
def _proc_is_ours(pid: int) -> bool:
    # In a pid namespace that sees the /proc of another one, equal numbers are different processes.
    try:
        return os.readlink("/proc/self") == str(pid)
    except OSError:
        return False


def _absent(pid: int) -> int | None:
    # /proc may be missing, or hide the processes of other users: only the kernel's "no such process" is proof
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except (OSError, OverflowError):
        return -1
    return -1


def _start_by_psutil(pid: int) -> int | None:
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return round(process.create_time() * 1000)
    except psutil.NoSuchProcess:
        return None
    except psutil.Error:
        return -1


@functools.cache
def _this_process(pid: int) -> Driver:
    return Driver(
        host=host(),
        pid=pid,
        start_ticks=start_ticks(pid) or -1,
        boot_id=boot_id(),
        machine_id=machine_id(),
        pid_namespace=pid_namespace(),
    )


def this_process() -> Driver:
    """The identity of this process (fork-safe); its journal is not filled in."""
    return _this_process(os.getpid())


def is_gone(driver: Driver) -> bool | None:
    """True: proven dead. False: proven alive. None: nothing can be proven from here."""
    if not driver.boot_id:
        return None
    if driver.boot_id == boot_id():
        if driver.pid_namespace != pid_namespace() or (sys.platform == "linux" and not driver.pid_namespace):
            return None
        ticks = start_ticks(driver.pid)
        if ticks is None:
            return True
        return None if -1 in (ticks, driver.start_ticks) else ticks != driver.start_ticks
    if driver.machine_id and driver.machine_id == machine_id() and driver.host == host():
        return True
    return None
