"""Failed elements as short texts, so that a pack can tell why a cell has no value.

type US message [US block US index]        US is the unit separator; block and index of the element upstream
                                           because of which this one was never called
"""

from __future__ import annotations

from runstone.core.failed import Failed

OK, FAILED, UPSTREAM_FAILED = 0, 1, 2
"""How an element ended, as the byte for it in the outcomes of a chunk."""

_SEPARATOR = "\x1f"
_MESSAGE_KEPT = 200


def to_text(failed: Failed) -> str:
    """The text for a failed element."""
    message = failed.message[:_MESSAGE_KEPT].replace(_SEPARATOR, " ")
    if failed.origin is None:
        return f"{failed.error_type}{_SEPARATOR}{message}"
    index = ",".join(map(str, failed.origin.index))
    return _SEPARATOR.join((failed.error_type, message, failed.origin.block, index))


def from_text(text: object, block: str, index: tuple[int, ...]) -> Failed:
    """The failed element that a text was made of; texts that make no sense give one without details."""
    parts = str(text).split(_SEPARATOR)
    error_type, message = parts[0], parts[1] if len(parts) > 1 else ""
    if len(parts) < 4:
        return Failed(block, index, error_type, message)
    origin_index = tuple(int(number) for number in parts[3].split(",") if number.isdecimal())
    return Failed(block, index, error_type, message, Failed(parts[2], origin_index, error_type, message))
