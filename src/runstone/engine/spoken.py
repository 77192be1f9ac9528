"""From what is written to a stream, piece by piece, to lines that belong to somebody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from runstone.folder.logs import MESSAGE_LIMIT
from runstone.secrets.redaction import redact_open, unfinished


class BySomebody(Protocol):
    """Who speaks: into which logs, for which block."""

    @property
    def logs(self) -> Any: ...

    @property
    def block(self) -> str | None: ...


S = TypeVar("S", bound=BySomebody)


class Spoken(Generic[S]):
    """Joins what each thread writes until a newline comes, or somebody else speaks, and then keeps it.

    keep: takes the speaker, the name of the stream and a line without its newline. unfinished: told the stream when a
    line is kept that has none.
    """

    def __init__(self, keep: Callable[[S, str, str], None]) -> None:
        self._keep = keep
        self.unfinished: Callable[[str], None] | None = None
        self._waiting: dict[tuple[str, int], tuple[S, str]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def say(self, speaker: S | None, stream: str, text: str) -> None:
        """The calling thread has written this to a stream. speaker: None if nobody wants to know."""
        key = (stream, threading.get_ident())
        before = self._waiting.pop(key, None)
        if before is not None:
            if before[0] == speaker:
                text = before[1] + text
            else:
                self._keep_unfinished(before[0], stream, before[1])
        if speaker is None:
            return
        whole, newline, tail = text.rpartition("\n")
        if newline:
            for line in whole.split("\n"):
                self._keep(speaker, stream, settled(line))
        if len(tail) > MESSAGE_LIMIT:
            begun, tail = parted(tail)
            self._keep_unfinished(speaker, stream, begun)
        if tail:
            self._waiting[key] = speaker, (overwritten(tail) if "\r" in tail else tail)

    def finish(self, logs: Any, block: str | None = None) -> None:
        """No more comes for these logs, or for one block in them: keep lines that were not ended."""
        for key, (speaker, text) in list(self._waiting.items()):
            if speaker.logs is logs and block in (None, speaker.block) and self._waiting.pop(key, None) is not None:
                self._keep_unfinished(speaker, key[0], text)

    def _keep_unfinished(self, speaker: S, stream: str, line: str) -> None:
        self._keep(speaker, stream, redact_open(settled(line)))
        if self.unfinished is not None:
            self.unfinished(stream)

    def forget(self) -> None:
        """Keep nothing of what waits."""
        self._waiting.clear()


def parted(line: str) -> tuple[str, str]:
    """A line that is too long to wait for its end: what can be kept of it, and its last part if a secret may begin
    there."""
    waits = unfinished(line)
    return (line[: len(line) - waits], line[len(line) - waits :]) if waits < len(line) else (line, "")


def overwritten(line: str) -> str:
    """What a terminal shows of a line that was written over: a bar that draws itself again and again."""
    shown = line.rstrip("\r")
    return shown.rpartition("\r")[2] + line[len(shown) :]


def settled(line: str) -> str:
    """The line as it is seen in the end."""
    return overwritten(line).rstrip("\r") if "\r" in line else line


def pieces(line: str) -> list[str]:
    """A line in parts that fit a log."""
    return [line[at : at + MESSAGE_LIMIT] for at in range(0, len(line), MESSAGE_LIMIT)] or [line]
