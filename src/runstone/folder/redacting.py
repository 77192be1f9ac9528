"""Keeping secrets out of events, whoever made them: the last look before a line is written."""

from __future__ import annotations

from typing import Any

import msgspec

from runstone.core.events import StoredValue
from runstone.secrets import redaction

_TEXTS = frozenset({"message", "traceback", "params", "metadata", "by", "requested_by"})
"""What is told in free words. Names, digests and numbers stay as they are: a record is folded and found by them."""


def redacted(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of an event without secrets. Values stay what they are, but not what is shown of them."""
    if not redaction.known():
        return fields
    found = {name: redaction.redacted(value) if name in _TEXTS else value for name, value in fields.items()}
    if found.get("receipts"):
        # the command lines in them were cut by a process that knows no secrets
        found["receipts"] = redaction.redacted(found["receipts"], _command)
    if "values" in found:
        found["values"] = {name: _shown(value) for name, value in found["values"].items()}
    return found


def _command(text: str) -> str:
    return f"{redaction.redact_open(text[:-1])}…" if text.endswith("…") else redaction.redact(text)


def _shown(stored: StoredValue) -> StoredValue:
    return msgspec.structs.replace(stored, preview=redaction.redacted(stored.preview))
