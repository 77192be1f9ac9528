"""JSON on standard output, the same for every command."""

from __future__ import annotations

import sys
from typing import Any

import msgspec


def print_json(value: Any, *, pretty: bool = False) -> None:
    """One JSON object: on one line, or indented by two."""
    try:
        data = msgspec.json.encode(value)
    except UnicodeEncodeError:
        # a path may have bytes that are no text
        import json

        data = json.dumps(msgspec.to_builtins(value), ensure_ascii=True, separators=(",", ":")).encode()
    if pretty:
        data = msgspec.json.format(data, indent=2)
    sys.stdout.buffer.write((harmless(data) if sys.stdout.isatty() else data) + b"\n")
    sys.stdout.buffer.flush()


def harmless(text: bytes) -> bytes:
    """The same JSON, in which nothing can command the terminal it is shown on, or turn the text around it."""
    import re

    def escaped(found: re.Match[str]) -> str:
        return f"\\u{ord(found[0]):04x}"

    return re.sub("[\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]", escaped, text.decode()).encode()
