"""Bars at the foot of a terminal, below everything that the program prints meanwhile.

Nothing of the terminal's state is changed (no hidden cursor, no other screen), so that it is whole after any death.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from runstone.core.tones import Tone
from runstone.drawing.lettering import showable
from runstone.engine import streams
from runstone.engine.bars import ASCII, UNICODE, Line, cropped, lines, width_of
from runstone.engine.glance import Glance

_SGR = {
    Tone.GOOD: "32",
    Tone.BUSY: "36",
    Tone.WARNED: "33",
    Tone.BAD: "31",
    Tone.HIT: "2;31",
    Tone.IDLE: "2",
    "dim": "2",
    "bold": "1",
}
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
# Terminals that know it show what is between these two at once; the others ignore it.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_REDRAW_SECONDS = 0.05


class Terminal:
    """Draws on a stream that is a terminal, from whichever thread calls.

    Between `open` and `close` what the program writes to that terminal is led around the bars.
    """

    seconds = 0.1
    """Between two looks."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colours = not os.environ.get("NO_COLOR")
        self._marks = UNICODE if _writes(stream, "━╸─✗…") else ASCII
        self._lock = threading.RLock()
        self._above: list[Above] = []
        self._frame: list[Line] = []
        self._drawn: list[int] = []
        self._drawn_at = 0.0
        self.open_now = False

    def open(self) -> None:
        """From now on what the program writes goes above the bars."""
        self.open_now = True
        for name in streams.NAMES:
            stream = streams.beneath(name)
            if stream is self._stream or _same_terminal(stream, self._stream):
                above = Above(stream, self)
                self._above.append(above)
                streams.put_beneath(name, above)
                for handler in streams.log_handlers(stream):
                    handler.setStream(above)

    def close(self) -> None:
        """Leave the terminal as it was; what is drawn stays."""
        self.open_now = False
        for name in streams.NAMES:
            # Somebody may have put a stream of their own over ours: that is theirs to take away.
            if (above := streams.beneath(name)) in self._above:
                streams.put_beneath(name, above.stream)
        for above in self._above:
            for handler in streams.log_handlers(above):
                handler.setStream(above.stream)
            above.let_go()
        self._above.clear()

    def begin(self, glance: Glance) -> None:
        """Nothing yet: a short run is shown at its end only."""

    def show(self, glances: Sequence[Glance]) -> None:
        """Draw these runs as they are now. Raises OSError or ValueError if the terminal is gone."""
        with self._lock:
            width, height = self._size()
            frame = self._lines(glances, width, height)
            if frame != self._frame or not self._drawn:
                self._frame = frame
                self._draw("", width)

    def settle(self, glance: Glance, others: Sequence[Glance]) -> None:
        """Leave this run as it is now for good, and go on with the others below."""
        with self._lock:
            width, height = self._size()
            self._erase(width)
            for above in self._above:
                if above.tail:
                    above.let_go()
                    self._write("\n")
            final = lines(glance, width - 1, sys.maxsize, marks=self._marks, final=True)
            self._frame = self._lines(others, width, height)
            self._draw("".join(self._painted(line) + "\n" for line in final), width)

    def write_above(self, above: Above, text: str) -> None:
        """What the program writes, above the bars; a line that is not complete waits just over them."""
        with self._lock:
            whole, newline, tail = (above.tail + text).rpartition("\n")
            if "\r" in tail:
                tail = tail.rstrip("\r").rpartition("\r")[2]
            above.tail = tail
            if not newline:
                return
            width = self._size()[0]
            self._try(self._erase, width)
            above.stream.write(whole + newline)
            above.stream.flush()
            if time.monotonic() - self._drawn_at > _REDRAW_SECONDS:
                self._try(self._draw, "", width)

    def _try(self, act: Callable[..., None], *arguments: Any) -> None:
        """Do something to the terminal for somebody who only wanted to print."""
        try:
            act(*arguments)
        except (OSError, ValueError):
            self.open_now = False

    def _lines(self, glances: Sequence[Glance], width: int, height: int) -> list[Line]:
        found: list[Line] = []
        each = max(3, (height - 2) // max(1, len(glances)))
        for glance in glances:
            found.extend(lines(glance, width - 1, each, marks=self._marks))
        return found[: max(1, height - 2)]

    def _draw(self, before: str, width: int) -> None:
        """Put `before` where the bars stand, for good, and the bars below it, in one write."""
        partial = [
            cropped([(showable(_ESCAPES.sub("", above.tail)), "")], width - 1, self._marks)
            for above in self._above
            if above.tail
        ]
        frame = [*partial, *self._frame]
        begin, self._drawn = self._erasing(width), [width_of(line) for line in frame]
        self._drawn_at = time.monotonic()
        text = begin + before + "".join(self._painted(line) + "\n" for line in frame)
        if text:
            self._write(_BEGIN + text + _END)

    def _erase(self, width: int) -> None:
        begin, self._drawn = self._erasing(width), []
        if begin:
            self._write(begin)

    def _erasing(self, width: int) -> str:
        """What takes away the lines that are drawn; a terminal that became narrower has broken them."""
        rows = sum(max(1, -(-drawn // width)) for drawn in self._drawn)
        return f"\r\x1b[{rows}A\x1b[J" if rows else ""

    def _painted(self, line: Line) -> str:
        if not self._colours:
            return "".join(text for text, _ in line).rstrip()
        return "".join(f"\x1b[{_SGR[style]}m{text}\x1b[0m" if style and text else text for text, style in line)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _size(self) -> tuple[int, int]:
        try:
            width, height = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            width, height = shutil.get_terminal_size()
        return width or 80, height or 24


class Above:
    """Stands in for a stream of the program while bars are shown."""

    def __init__(self, stream: TextIO, terminal: Terminal) -> None:
        self.stream = stream
        self.tail = ""
        self._terminal = terminal

    def write(self, text: str) -> int:
        if not self._terminal.open_now or not isinstance(text, str):
            return self.stream.write(text)
        self._terminal.write_above(self, text)
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.write(text)

    def let_go(self) -> None:
        """Write the line that waited for its end."""
        tail, self.tail = self.tail, ""
        if tail:
            self.stream.write(tail)
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _writes(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _same_terminal(one: Any, other: Any) -> bool:
    try:
        return bool(one.isatty()) and os.path.sameopenfile(one.fileno(), other.fileno())
    except (AttributeError, OSError, ValueError):
        return False
