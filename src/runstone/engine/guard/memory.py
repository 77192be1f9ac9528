"""Whether the system has killed a process for lack of memory, by the counters it keeps of that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from runstone.core.receipts import OutOfMemory


class _Counter(NamedTuple):
    """A file of lines `name number`, the name that counts kills in it, and where the limit over it is written."""

    file: Path
    name: str
    limits: list[Path]
    known_by: str

    def read(self) -> int | None:
        """How many kills so far; None if it does not say."""
        try:
            lines = self.file.read_text("ascii").splitlines()
        except (OSError, ValueError):
            return None
        for line in lines:
            name, _, value = line.partition(" ")
            if name == self.name and value.isdigit():
                return int(value)
        return None

    def limit(self, machine: Path) -> int | None:
        """The narrowest limit that holds here, in bytes."""
        found = [value for value in (_bytes(path) for path in self.limits) if value is not None]
        total = _machine_memory(machine)
        return min([*found, total] if total is not None else found, default=None)


class KillCounter:
    """Tells of a process that died by a SIGKILL of unknown origin whether memory was the reason.

    Call `look` now and then: a kill counts only if the counter has risen since the look before the last one, for a
    large process takes a while to die. Each rise explains one death. Where the control group of this process counts
    its kills those are taken; elsewhere those of the whole machine.

    proc: for tests, a /proc written by hand.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        machine = _Counter(proc / "vmstat", "oom_kill", [], "oom_kill of /proc/vmstat, which counts the whole machine")
        counters = [*_group_counters(proc), machine]
        self._counter = next((counter for counter in counters if counter.read() is not None), None)
        self._before = self._last = self._read()

    def look(self) -> None:
        """What was counted before the last look has nothing to do with deaths to come."""
        self._before, self._last = self._last, self._read()

    def explain(self, peak: int) -> OutOfMemory | None:
        """Why a process died whose peak was that many bytes, if it was for lack of memory."""
        if self._counter is None or self._read() <= self._before:
            return None
        self._before += 1
        self._last = max(self._last, self._before)
        return OutOfMemory(peak=peak, limit=self._counter.limit(self._proc), known_by=self._counter.known_by)

    def _read(self) -> int:
        return (self._counter.read() or 0) if self._counter else 0


def _group_counters(proc: Path) -> list[_Counter]:
    """The counters of this process's control groups, version 2 and 1; those that are not there are told too."""
    found = []
    for directory, top, version in _memory_groups(proc):
        above = [directory, *directory.parents]
        above = above[: above.index(top) + 1] if top in above else above[:1]
        if version == 2:
            limits = [group / "memory.max" for group in above]
            found.append(_Counter(directory / "memory.events", "oom_kill", limits, "oom_kill of cgroup memory.events"))
        else:
            limits = [group / "memory.limit_in_bytes" for group in above]
            file = directory / "memory.oom_control"
            found.append(_Counter(file, "oom_kill", limits, "oom_kill of cgroup memory.oom_control"))
    return found


def _memory_groups(proc: Path) -> list[tuple[Path, Path, int]]:
    """Directory of each control group of this process that may count memory, top of that hierarchy, version."""
    found = []
    for line in _lines(proc / "self" / "cgroup"):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        for root, top, kind, options in _mounts(proc):
            is_version_2 = kind == "cgroup2"
            if is_version_2 != (not controllers) or (controllers and "memory" not in options.split(",")):
                continue
            inner = os.path.relpath(path, root) if path == root or path.startswith(root.rstrip("/") + "/") else path
            # a path that leads out of the namespace is not visible from here
            if not inner.startswith(".."):
                found.append((Path(os.path.normpath(f"{top}/{inner}")), Path(top), 2 if is_version_2 else 1))
    return found


def _mounts(proc: Path) -> list[tuple[str, str, str, str]]:
    """Root, mount point, type and options of each mounted hierarchy of control groups."""
    found = []
    for line in _lines(proc / "self" / "mountinfo"):
        before, _, after = line.partition(" - ")
        fields, tail = before.split(), after.split()
        if len(fields) >= 5 and len(tail) >= 3 and tail[0] in ("cgroup", "cgroup2"):
            found.append((_unescaped(fields[3]), _unescaped(fields[4]), tail[0], tail[2]))
    return found


def _unescaped(text: str) -> str:
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []


def _bytes(path: Path) -> int | None:
    """A limit; None for none (`max`) or if it cannot be read."""
    text = "".join(_lines(path)[:1]).strip()
    return int(text) if text.isdigit() else None


def _machine_memory(proc: Path) -> int | None:
    for line in _lines(proc / "meminfo"):
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None
