"""JSON on standard output, the same for every command."""

from __future__ import annotations

import sys
from typing import Any

import msgspec


def print_json(value: Any, *, pretty: bool = False) -> None:
    """One JSON object: on one line, or indented by two."""
    data = msgspec.json.encode(value)
    if pretty:
        data = msgspec.json.format(data, indent=2)
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()
