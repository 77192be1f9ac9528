"""A trace of everything a process does to its disk, from which a machine's death can be played later.

Files are told by a number of their own, not by their name: names come and go, and are lost apart from contents.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from runstone.folder import disk


class Step(NamedTuple):
    """One thing done. begun: how many steps were complete when a sync began; what came later it need not cover.

    kind: folder, name, unname (path), write (file, data), cut (file, length), sync (file), sync_names (path).
    """

    kind: str
    at: float
    path: str = ""
    file: int = -1
    data: bytes = b""
    length: int = 0
    begun: int = 0


class Tracer:
    """Wraps the functions of `runstone.folder.disk` in this process. slow: seconds that every sync takes longer."""

    def __init__(self, slow: float = 0.0) -> None:
        self._slow = slow
        self.steps: list[Step] = []
        self._files: dict[tuple[int, int], int] = {}
        self._next = 0
        self._lock = threading.Lock()
        self._inside = threading.local()

    def _add(self, kind: str, **fields: Any) -> None:
        with self._lock:
            self.steps.append(Step(kind, time.monotonic(), **fields))

    def _file(self, found: os.stat_result, *, new: bool = False) -> int:
        key = (found.st_dev, found.st_ino)
        if new or key not in self._files:
            self._files[key] = self._next
            self._next += 1
        return self._files[key]

    def install(self) -> None:
        """From now on trace."""
        for name in ("make_folder", "create", "append", "append_all", "cut", "sync", "sync_folder", "replace"):
            setattr(disk, name, self._wrapped(getattr(disk, name), getattr(self, f"_{name}")))
        disk.publish = self._wrapped(disk.publish, self._publish)
        disk.remove = self._wrapped(disk.remove, self._remove)
        disk.link = self._wrapped(disk.link, self._link)

    def _wrapped(self, original: Callable[..., Any], traced: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, **keywords: traced(original, *arguments, **keywords)

    def _make_folder(self, original: Callable[..., Any], path: str, **keywords: Any) -> Any:
        new = not os.path.isdir(path)
        answer = original(path, **keywords)
        if new and not any(step.kind == "folder" and step.path == path for step in self.steps):
            self._add("folder", path=path)
        return answer

    def _create(self, original: Callable[..., Any], path: str) -> Any:
        descriptor = original(path)
        self._add("name", path=path, file=self._file(os.fstat(descriptor), new=True))
        return descriptor

    def _append(self, original: Callable[..., Any], descriptor: int, data: bytes, path: str) -> Any:
        if getattr(self._inside, "append", False):
            return original(descriptor, data, path)
        new = getattr(self._inside, "replace", False)
        self._inside.replace = False
        answer = original(descriptor, data, path)
        self._add("write", path=path, file=self._file(os.fstat(descriptor), new=new), data=bytes(data))
        return answer

    def _append_all(self, original: Callable[..., Any], descriptor: int, buffers: Any, path: str) -> Any:
        self._inside.append = True
        try:
            answer = original(descriptor, buffers, path)
        finally:
            self._inside.append = False
        self._add("write", path=path, file=self._file(os.fstat(descriptor)), data=b"".join(buffers))
        return answer

    def _cut(self, original: Callable[..., Any], descriptor: int, length: int, *rest: Any) -> Any:
        answer = original(descriptor, length, *rest)
        self._add("cut", file=self._file(os.fstat(descriptor)), length=length)
        return answer

    def _sync(self, original: Callable[..., Any], descriptor: int, path: str) -> Any:
        begun = len(self.steps)
        answer = original(descriptor, path)
        time.sleep(self._slow)
        self._add("sync", path=path, file=self._file(os.fstat(descriptor)), begun=begun)
        return answer

    def _sync_folder(self, original: Callable[..., Any], path: str) -> Any:
        begun = len(self.steps)
        answer = original(path)
        time.sleep(self._slow)
        self._add("sync_names", path=path, begun=begun)
        return answer

    def _replace(self, original: Callable[..., Any], path: str, data: bytes, **keywords: Any) -> Any:
        self._inside.replace = True
        try:
            answer = original(path, data, **keywords)
        finally:
            self._inside.replace = False
        self._add("name", path=path, file=self._file(os.stat(path)))
        return answer

    def _publish(self, original: Callable[..., Any], private: str, path: str) -> Any:
        answer = original(private, path)
        if answer:
            self._add("name", path=path, file=self._file(os.stat(path)))
        return answer

    def _link(self, original: Callable[..., Any], source: str, path: str) -> Any:
        answer = original(source, path)
        if answer:
            # what another process has written, and may not have synced
            with open(path, "rb") as file:
                data, number = file.read(), self._file(os.fstat(file.fileno()))
            self._add("name", path=path, file=number)
            self._add("write", path=path, file=number, data=data)
        return answer

    def _remove(self, original: Callable[..., Any], path: str) -> Any:
        answer = original(path)
        self._add("unname", path=path)
        return answer

    def save(self, path: str) -> None:
        """Keep the trace."""
        with open(path, "wb") as file:
            pickle.dump(self.steps, file)


def load(path: str) -> list[Step]:
    """A trace that was kept."""
    with open(path, "rb") as file:
        found: list[Step] = pickle.load(file)
    return found
