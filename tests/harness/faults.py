"""Deaths, stops and refusals at chosen points of what a process does to its run folder.

Every change of a run folder is a call of a function in `runstone.folder.disk`. Here these functions are wrapped, in
the process that is to suffer, so that something happens before, in the middle of, or after the n-th call.
"""

from __future__ import annotations

import errno
import itertools
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from runstone.engine import collect
from runstone.folder import disk, journal, pack, pulse, scan, takeover, writer

CHANGES = (
    "make_folder",
    "create",
    "append",
    "append_all",
    "cut",
    "sync",
    "sync_path",
    "sync_folder",
    "replace",
    "publish",
    "link",
    "move",
    "remove",
)
HALVED = ("append", "append_all")


def arm(
    call: int | None = None, when: str = "before", action: str = "kill", name: str | None = None, lasting: bool = False
) -> list[list[str]]:
    """Let something happen at the n-th call (from 1) of what changes the folder; returns the calls as they are made.

    when: before, middle (half of the bytes are written; only for appends), after. action: kill, stop (goes on after a
    SIGCONT), or the name of an error the disk answers with (ENOSPC, EIO). name: count only calls of this function.
    lasting: from then on every call suffers the same. call: None only lists the calls.
    """
    calls: list[list[str]] = []
    counter = itertools.count(1)

    def due(number: int) -> bool:
        return call is not None and (number == call or (lasting and number > call))

    def wrapped(original: Callable[..., Any], own: str) -> Callable[..., Any]:
        def instead(*arguments: Any, **keywords: Any) -> Any:
            path = next((each for each in reversed(arguments) if isinstance(each, str)), "")
            calls.append([own, os.path.basename(path)])
            if (name is not None and own != name) or not due(next(counter)):
                return original(*arguments, **keywords)
            if when == "before" or (when == "middle" and own not in HALVED):
                _suffer(action, path)
                return original(*arguments, **keywords)
            if when == "middle":
                descriptor, data, _ = arguments
                whole = bytes(data) if own == "append" else b"".join(data)
                half = len(whole) // 2
                os.write(descriptor, whole[:half])
                _suffer(action, path)
                os.write(descriptor, whole[half:])
                return None
            answer = original(*arguments, **keywords)
            _suffer(action, path)
            return answer

        return instead

    for each in CHANGES:
        setattr(disk, each, wrapped(getattr(disk, each), each))
    return calls


def _suffer(action: str, path: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        raise disk.refused(OSError(getattr(errno, action), action), path)


def points(calls: Sequence[Sequence[str]], *, after: bool = False) -> list[dict[str, Any]]:
    """Every fault point of a run that made these calls."""
    found: list[dict[str, Any]] = []
    for number, (name, _) in enumerate(calls, start=1):
        found.append({"call": number, "when": "before"})
        if name in HALVED:
            found.append({"call": number, "when": "middle"})
        if after:
            found.append({"call": number, "when": "after"})
    return found


def take_out(protection: str) -> None:
    """Break Runstone in this process: the tests must notice. protection: a key of `PROTECTIONS`."""
    PROTECTIONS[protection]()


def _nothing(*arguments: Any, **keywords: Any) -> None:
    return None


def _set(place: Any, name: str, value: Any) -> Callable[[], None]:
    return lambda: setattr(place, name, value)


def _skip_sync_of(ending: str) -> Callable[[], None]:
    def break_it() -> None:
        sync, sync_path, sync_folder = disk.sync, disk.sync_path, disk.sync_folder

        def only_others(original: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *arguments: None if arguments[-1].endswith(ending) else original(*arguments)

        disk.sync, disk.sync_path, disk.sync_folder = (
            only_others(sync),
            only_others(sync_path),
            only_others(sync_folder),
        )

    return break_it


def _close_pack_without_sync() -> None:
    def close(self: writer.RunWriter, block: str) -> None:
        if block in self._packs:
            with self._sync_lock, self.lock:
                self._release(self._packs.pop(block))

    writer.RunWriter.close_pack = close  # type: ignore[method-assign]


def _end_without_first_sync() -> None:
    end = writer.RunWriter.end

    def broken(self: writer.RunWriter, *arguments: Any, **keywords: Any) -> None:
        sync, calls = self.sync, itertools.count()
        self.sync = lambda: sync() if next(calls) else None  # type: ignore[method-assign]
        end(self, *arguments, **keywords)

    writer.RunWriter.end = broken  # type: ignore[method-assign]


def _checkpoint_without_sync() -> None:
    bring = writer.RunWriter._bring

    def only_others(self: writer.RunWriter, *dirty: Any) -> None:
        if sys._getframe(1).f_code.co_name != "write_checkpoint":
            bring(self, *dirty)

    writer.RunWriter._bring = only_others  # type: ignore[method-assign]


def _chunks_twice() -> None:
    original = collect.Collector.close

    def twice(self: collect.Collector) -> None:
        start = self._closed
        original(self)
        self._closed = start if self._closed == len(self.numbers) and start else self._closed
        original(self)

    collect.Collector.close = twice  # type: ignore[method-assign]


def _ahead_of_the_work() -> None:
    ranges = collect.Collector._ranges

    def later(self: collect.Collector, start: int, stop: int) -> list[tuple[int, int]]:
        return [(low + 1, high + 1) for low, high in ranges(self, start, stop)]

    collect.Collector._ranges = later  # type: ignore[method-assign]


def _number_twice() -> None:
    end = writer.RunWriter.event

    def event(self: writer.RunWriter, kind: Any, **fields: Any) -> Any:
        answer = end(self, kind, **fields)
        if kind.__name__ == "BlockEnded":
            self.state.seq -= 1
        return answer

    writer.RunWriter.event = event  # type: ignore[method-assign]


class _Whatever:
    """Equal to every checksum."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False


def _whatever(*arguments: Any) -> _Whatever:
    return _Whatever()


def _unsealed(data: bytes) -> bytes:
    return data[: data.rfind(b',"crc":"')] + b"}"


PROTECTIONS: dict[str, Callable[[], None]] = {
    "sync of packs": _skip_sync_of(".pack"),
    "sync of the journal": _skip_sync_of(".jsonl"),
    "sync of run.json": _skip_sync_of("run.json"),
    "sync of the inputs": _skip_sync_of("inputs.pack"),
    "sync of the names in outputs": _skip_sync_of("/outputs"),
    "sync of the names in journal": _skip_sync_of("/journal"),
    "sync of the names in the run folder": _skip_sync_of("/it"),
    "sync of the run folder's own name": _skip_sync_of("/runs"),
    "sync of the name of the folder above": _skip_sync_of("/deep"),
    "sync of the names in artifacts": _skip_sync_of("/artifacts"),
    "sync of an artifact": _skip_sync_of("report.txt"),
    "sync of a pack before the end of its block": _close_pack_without_sync,
    "sync before the end of the run": _end_without_first_sync,
    "sync before a checkpoint": _checkpoint_without_sync,
    "the pulse": _set(pulse, "join", _nothing),
    "the look at the next epoch": _set(writer.RunWriter, "check_epoch", _nothing),
    "one winner": _set(takeover.disk, "publish", lambda private, path: os.replace(private, path) or True),
    "the look for announcements": _set(takeover, "_refuse_announced", _nothing),
    "the checksum of values": _set(scan, "crc32", _whatever),
    "the checksum of headers": _set(pack, "crc32", _whatever),
    "the checksum of lines": _set(journal, "unseal", _unsealed),
    "each element once": _chunks_twice,
    "work before its record": _ahead_of_the_work,
    "each number once": _number_twice,
}
"""Everything that a test here must miss when it is gone."""
