"""The driver's end of what a worker says: shows all of it, and records what the worker could not record itself."""

from __future__ import annotations

import codecs
import os
import selectors
from collections.abc import Callable
from typing import Any

from runstone.engine import capture, log_relay, streams
from runstone.engine.capture import Speaker
from runstone.engine.echo import Frames, Kind
from runstone.engine.spoken import overwritten, parted, pieces, settled
from runstone.folder.logs import MESSAGE_LIMIT, STREAM_LEVELS
from runstone.secrets.redaction import redact, redact_open

_PIECE = 64 * 1024
_ROUNDS = 16
"""How many pieces are taken from each pipe at a time, so that one worker's output does not keep out the others'."""


class Lines:
    """Text of one stream of one worker, joined to lines."""

    def __init__(self, stream: str, pid: Callable[[], int]) -> None:
        self._stream = stream
        self._pid = pid
        self._tail = ""
        self._speaker: Speaker | None = None

    def take(self, text: str, speaker: Speaker | None) -> None:
        """This came while the worker computed for `speaker`; what ends a line that was begun belongs to the first."""
        if self._tail and not _same_block(self._speaker, speaker):
            self.finish()
        first = self._speaker if self._tail else speaker
        whole, newline, tail = (self._tail + text).rpartition("\n")
        if newline:
            for line in whole.split("\n"):
                self._keep(first, line)
                first = speaker
        self._speaker = first
        self._tail = overwritten(tail) if "\r" in tail else tail
        if len(self._tail) > MESSAGE_LIMIT:
            self._tail, rest = parted(self._tail)
            self.finish()
            self._tail = rest

    def follow(self, text: str, speaker: Speaker | None) -> None:
        """The same for lines that the worker keeps itself: only the one that has no end is remembered."""
        begun = text.rpartition("\n")
        self._tail = begun[2] if begun[1] else self._tail + text
        self._tail = overwritten(self._tail) if "\r" in self._tail else self._tail
        if len(self._tail) > MESSAGE_LIMIT:
            self._tail = ""
        self._speaker = speaker

    def forget(self) -> None:
        """The worker has kept the line that was begun."""
        self._tail = ""

    def finish(self) -> None:
        """No more comes: keep the line that has no end."""
        tail, self._tail = self._tail, ""
        if tail:
            self._keep(self._speaker, redact_open(tail))

    def _keep(self, speaker: Speaker | None, line: str) -> None:
        if speaker is None:
            return
        for piece in pieces(redact(settled(line))):
            speaker.logs.add(
                piece,
                level=STREAM_LEVELS[self._stream],
                stream=self._stream,
                block=speaker.block,
                element=speaker.element,
                attempt=speaker.attempt,
                pid=self._pid(),
            )


class WorkerOutput:
    """The pipes of one worker.

    theirs: the descriptors for `capture_fd.install` in the worker, to be closed here by `handed_over`.
    who: tells for whom the worker computes at the moment, None if for nobody. pid: tells that of the worker.
    Not for several threads. Never raises for what a worker does or a terminal refuses.
    """

    def __init__(self, who: Callable[[], Speaker | None], pid: Callable[[], int]) -> None:
        self._who = who
        self.theirs: tuple[int, ...] = ()
        self._selector = selectors.DefaultSelector()
        self._frames = Frames()
        self._record = b""
        self._raw = {name: Lines(name, pid) for name in streams.NAMES}
        self._begun = {name: Lines(name, pid) for name in streams.NAMES}
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {
            (source, name): decoder("backslashreplace") for source in ("raw", "echo") for name in streams.NAMES
        }
        for kind in (*streams.NAMES, "echo"):
            ours, theirs = os.pipe()
            os.set_blocking(ours, False)
            self._selector.register(ours, selectors.EVENT_READ, kind)
            self.theirs += (theirs,)

    def handed_over(self) -> None:
        """The worker has its descriptors: close them here, or their end is never seen."""
        for descriptor in self.theirs:
            os.close(descriptor)
        self.theirs = ()

    def fileno(self) -> int:
        """Readable when there is something for `read_ready`."""
        found: Any = self._selector
        return int(found.fileno())

    def read_ready(self) -> bool:
        """Take what is there, without waiting; False once the worker, and whoever holds its outputs, is gone."""
        for _ in range(_ROUNDS):
            ready = self._selector.select(0)
            if not ready:
                break
            for key, _ in ready:
                self._take(key.fd, key.data)
        return bool(self._selector.get_map())

    def end_lines(self) -> None:
        """The worker has done what it was asked for: take what it wrote meanwhile, and keep lines that were not ended,
        before `who` tells another."""
        self.read_ready()
        for lines in self._raw.values():
            lines.finish()

    def finish(self) -> None:
        """The worker is dead: take what is left, keep lines that were not ended, and close the pipes."""
        while self._selector.get_map() and self._selector.select(0):
            self.read_ready()
        for lines in (*self._raw.values(), *self._begun.values()):
            lines.finish()
        self.close()

    def close(self) -> None:
        """Let go of the pipes; again does nothing. What still runs and holds their other ends can write no more."""
        self.handed_over()
        for key in list((self._selector.get_map() or {}).values()):
            self._close(key.fd)
        self._selector.close()

    def _close(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        os.close(descriptor)

    def _take(self, descriptor: int, kind: str) -> None:
        # Asked between knowing that there is something and taking it: a worker that has called `settle` waits then.
        speaker = self._who()
        try:
            data = os.read(descriptor, _PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(descriptor)
        elif kind == "echo":
            for frame, payload in self._frames.feed(data):
                self._echoed(frame, payload, speaker)
        else:
            text = self._decoders["raw", kind].decode(data)
            self._raw[kind].take(text, speaker)
            _show(kind, text)

    def _echoed(self, kind: Kind, payload: bytes, speaker: Speaker | None) -> None:
        if kind in (Kind.RECORD_PART, Kind.RECORD):
            self._record += payload
            if kind is Kind.RECORD:
                record, self._record = log_relay.unpacked(self._record), b""
                if record is not None:
                    capture.show_record(record)
            return
        name = "stdout" if kind in (Kind.STDOUT, Kind.STDOUT_KEPT) else "stderr"
        if kind in (Kind.STDOUT_KEPT, Kind.STDERR_KEPT):
            self._begun[name].forget()
            return
        text = self._decoders["echo", name].decode(payload)
        self._begun[name].follow(text, speaker)
        _show(name, text)


def _same_block(one: Speaker | None, other: Speaker | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.logs is other.logs and one.block == other.block


def _show(name: str, text: str) -> None:
    """Write what a worker wrote to where the program writes the same."""
    stream: Any = streams.beneath(name)
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        stream.write(text.encode(stream.encoding, "backslashreplace").decode(stream.encoding))
    except (AttributeError, OSError, ValueError):
        # no stream, one that is closed, a reader that has gone: it is recorded all the same
        return
