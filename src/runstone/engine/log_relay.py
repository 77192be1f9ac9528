"""Log records of workers, shown by the handlers of their driver; the levels of its loggers count there as well."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Any

import msgspec

from runstone.engine.hooks import message_of

if TYPE_CHECKING:
    from logging import LogRecord

_FIELDS = (
    "created",
    "filename",
    "funcName",
    "levelname",
    "levelno",
    "lineno",
    "module",
    "msecs",
    "name",
    "pathname",
    "process",
    "processName",
    "relativeCreated",
    "thread",
    "threadName",
)
_LARGEST = 256 * 1024


def levels() -> dict[str, int]:
    """The levels that are set in this process, by the name of the logger; that of the root under ""."""
    logging = sys.modules.get("logging")
    if logging is None:
        return {}
    found = {"": logging.root.level}
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if level := getattr(logger, "level", 0):
            found[name] = level
    return found


def take_levels(found: dict[str, int]) -> None:
    """Set the levels of another process here."""
    import logging

    for name, level in found.items():
        logging.getLogger(name or None).setLevel(level)


def packed(record: LogRecord) -> bytes | None:
    """A record as another process can handle it: what it says is in words already. None if it cannot be sent."""
    fields: dict[str, Any] = {name: getattr(record, name, None) for name in _FIELDS}
    exc_info, record.exc_info = record.exc_info, None
    try:
        fields["msg"] = message_of(record)
    finally:
        record.exc_info = exc_info
    if exc_info and exc_info[0] is not None:
        fields["exc_text"] = "".join(traceback.format_exception(*exc_info)).rstrip()
    try:
        data = msgspec.json.encode(fields)
    except (TypeError, UnicodeEncodeError, msgspec.MsgspecError):
        return None
    return data if len(data) <= _LARGEST else None


def unpacked(data: bytes) -> LogRecord | None:
    """The record again, None if it is none."""
    import logging

    try:
        fields = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
    return logging.makeLogRecord({**fields, "args": None, "exc_info": None})
