"""Programs in a terminal, and what remains on its screen."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from fcntl import ioctl
from pathlib import Path


class Screen:
    """As much of a terminal as is needed to see what remains on it. wrapped: rows that were too long."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.rows: list[str] = [""]
        self.row = self.column = 0
        self.wrapped = 0

    def feed(self, text: str) -> Screen:
        for piece in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|[^\x1b]|\x1b", text):
            if piece == "\n":
                self.column = 0
                self._down()
            elif piece == "\r":
                self.column = 0
            elif (up := re.fullmatch(r"\x1b\[(\d+)A", piece)) is not None:
                self.row = max(0, self.row - int(up[1]))
            elif piece == "\x1b[J":
                self.rows[self.row] = self.rows[self.row][: self.column]
                del self.rows[self.row + 1 :]
            elif not piece.startswith("\x1b["):
                self._put(piece)
            elif not re.fullmatch(r"\x1b\[([0-9;]*m|\?2026[hl])", piece):
                raise AssertionError(f"a terminal may not know {piece!r}")
        return self

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append("")

    def _put(self, letter: str) -> None:
        if self.column >= self.width:
            self.wrapped += 1
            self.column = 0
            self._down()
        row = self.rows[self.row].ljust(self.column)
        self.rows[self.row] = row[: self.column] + letter + row[self.column + 1 :]
        self.column += 1

    @property
    def text(self) -> str:
        return "\n".join(row.rstrip() for row in self.rows).rstrip("\n")


def execute(
    command: Sequence[str],
    folder: Path,
    *,
    width: int = 80,
    environment: dict[str, str] | None = None,
    interrupt_at: str | None = None,
    answer: tuple[str, str] | None = None,
) -> tuple[str, int]:
    """Execute a program whose three streams are a terminal of this width.

    interrupt_at: what it has to write until Ctrl-C is pressed. answer: what it has to ask, and what is typed then.
    Returns all that it wrote, and its exit code.
    """
    controller, terminal = pty.openpty()
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    process = subprocess.Popen(
        command,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=folder,
        env={**_without_wishes(), "TERM": "xterm-256color", **(environment or {})},
        start_new_session=True,
    )
    os.close(terminal)
    written = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([controller], [], [], 1)[0]:
            try:
                data = os.read(controller, 65536)
            except OSError:
                break
            if not data:
                break
            written += data
            if interrupt_at is not None and interrupt_at.encode() in written:
                process.send_signal(signal.SIGINT)
                interrupt_at = None
            if answer is not None and answer[0].encode() in written:
                os.write(controller, answer[1].encode())
                answer = None
    os.close(controller)
    return written.decode().replace("\r\n", "\n"), process.wait(timeout=60)


def _without_wishes() -> dict[str, str]:
    """The environment, without what the person who runs the tests wants terminals to be like."""
    return {
        name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    }
