"""Whether what a command printed is what a page shows, apart from what is different in every run."""

from __future__ import annotations

import re

from runstone.folder import identity

HOME = "/home/ada/project"
"""Where the reader of the documents works."""
HOST = "laptop"
PID = "4711"
"""Of the process that runs in the background."""

_CHANGING = [
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"), "<time>"),
    (re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{16}\b"), "<digest>"),
    (re.compile(r"\b[0-9a-f]{8}\b"), "<id>"),
    (re.compile(r'("pid": ?|\bpid |\bworker process )\d+'), r"\1<pid>"),
    (re.compile(r'("(?:duration_seconds|duration|steady)": ?)[\d.]+'), r"\1<seconds>"),
    (re.compile(r"\bjust now\b|\b\d+ (?:s|min) ago\b"), "<ago>"),
    (re.compile(r"\b\d+(?:\.\d+)? (?:ms|s|seconds)\b"), "<seconds>"),
    (re.compile(r"\b\d+\.\d\ds\b"), "<seconds>"),
    (re.compile(r"(?<=\S) {2,}"), "  "),
]
_ANYTHING = "..."


def alike(shown: str, printed: str, home: str) -> bool:
    """Whether `printed` is what the page shows.

    `...` in the page stands for anything within a line, and alone on a line for any number of lines. Ids, times,
    durations, process ids, checksums, the host and the working folder may differ, and with them the width of columns.
    """
    return re.fullmatch(_pattern(_settled(shown, home)), _settled(printed, home)) is not None


def _pattern(shown: str) -> str:
    pieces = []
    for line in shown.splitlines():
        if line.strip() == _ANYTHING:
            pieces.append(r"(?:.*\n)*?")
        else:
            pieces.append(".*?".join(map(re.escape, line.split(_ANYTHING))) + r"\n")
    return "".join(pieces)


def _settled(text: str, home: str) -> str:
    text = text.replace(home, HOME)
    text = re.sub(rf"\b{re.escape(identity.host())}\b", HOST, text)
    for pattern, word in _CHANGING:
        text = pattern.sub(word, text)
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return "".join(f"{line}\n" for line in lines)
