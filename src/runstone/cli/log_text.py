"""A log line as a person reads it: when, what kind, who, and what was said; on a terminal in colours."""

from __future__ import annotations

import re
import sys

from runstone.cli.paper import is_decorated
from runstone.drawing.lettering import showable
from runstone.folder.logs import LogLine

# Commands to a terminal, as far as programs commonly print them: colours, cursor, titles.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_KIND_WIDTH = len("CRITICAL")
_COLOURS = {"WARNING": "33", "ERROR": "31", "CRITICAL": "31;1", "DEBUG": "2"}


class LogText:
    """Makes text of lines for standard output as it is now."""

    def __init__(self) -> None:
        self._decorated = is_decorated()
        self._encoding = sys.stdout.encoding or "utf-8"

    def of(self, line: LogLine) -> bytes:
        """One record; further lines of its message are indented. Nothing in it can command the terminal."""
        kind = line.stream if line.stream in ("stdout", "stderr") else line.level or "?"
        first, *more = (showable(_ESCAPES.sub("", text).expandtabs(4)) for text in re.split(r"\r\n|\n", line.message))
        logger = f"{showable(line.logger)}: " if line.logger not in ("", "root") else ""
        head = self._painted(f"{showable(line.at) or '?':<27}", "2")
        shown = [
            f"{head} {self._painted(f'{kind:<{_KIND_WIDTH}}', _COLOURS.get(kind, ''))} {_who(line)}{logger}{first}"
        ]
        shown.extend(f"    {text}" for text in more)
        return ("\n".join(shown) + "\n").encode(self._encoding, "replace")

    def _painted(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._decorated and colour else text


def _who(line: LogLine) -> str:
    """Block, element and attempt, as far as there is anything to tell."""
    if line.block is None:
        return ""
    element = "" if line.element is None else f"[{line.element}]"
    attempt = f" attempt {line.attempt}" if line.attempt != 1 else ""
    return f"{showable(line.block)}{element}{attempt}  "
