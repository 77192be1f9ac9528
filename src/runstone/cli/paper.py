"""What commands write for people: colours and borders on a terminal, plain text everywhere else."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runstone.core.tones import Tone, tone_of
from runstone.drawing.lettering import showable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

STYLES = {
    Tone.GOOD: "green",
    Tone.BUSY: "cyan",
    Tone.WARNED: "yellow",
    Tone.BAD: "red",
    Tone.HIT: "dim red",
    Tone.IDLE: "dim",
}

UNBROKEN = 10_000
"""So many columns there are where no line is broken."""


@contextmanager
def paper() -> Iterator[Console]:
    """A console for one page, written to standard output at the end.

    It fits the terminal, or COLUMNS; on a pipe no line is broken. It reads no markup in what is printed.
    """
    from rich.console import Console

    decorated = is_decorated()
    written = io.StringIO()
    console = Console(
        file=written,
        force_terminal=decorated,
        force_jupyter=False,
        color_system="standard" if decorated else None,
        no_color=not decorated,
        markup=False,
        highlight=False,
        emoji=False,
        width=width(),
    )
    yield console
    text = written.getvalue()
    if not decorated:
        text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    write(text)


def write(text: str) -> None:
    """Write to standard output; letters it does not know become question marks."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def takes(letters: str) -> bool:
    """Whether standard output can show these letters."""
    try:
        letters.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def is_decorated() -> bool:
    """Whether standard output takes colours and is wanted to."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stdout.isatty() or bool(os.environ.get("FORCE_COLOR"))


def width() -> int:
    """How many columns there are to write on."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return min(int(given), UNBROKEN)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (OSError, ValueError):
        return UNBROKEN


def said(text: str, style: str = "") -> Text:
    """Text from anywhere, on one line, unable to command the terminal."""
    from rich.text import Text

    return Text(showable(text), style=style)


def said_lines(text: str, style: str = "") -> Text:
    """Text from anywhere that keeps its lines."""
    from rich.text import Text

    lines = (showable(line.expandtabs(4)) for line in re.split(r"\r\n|\r|\n", text))
    return Text("\n".join(lines), style=style)


def word(status: str) -> Text:
    """A status in its colour."""
    return said(status, STYLES[tone_of(status)])
