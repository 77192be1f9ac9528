"""Log records of workers, shown by the handlers of their driver; what is set up there counts in them as well."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Any

import msgspec

from runstone.engine.hooks import message_of

if TYPE_CHECKING:
    from logging import Logger, LogRecord

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
_PLACEHOLDER = "runstone: the handlers of the driver"
_taken: set[str] = set()


class LogSetup(msgspec.Struct, frozen=True):
    """How `logging` is set up in a process. levels: those that are set, by the name of the logger, "" for the root.

    handled: whether the root has handlers, so that `basicConfig()`, asked for or not, does nothing.
    """

    levels: dict[str, int] = {}
    handled: bool = False


def log_setup() -> LogSetup:
    """How it is set up here."""
    logging = sys.modules.get("logging")
    if logging is None:
        return LogSetup()
    found = {"": logging.root.level}
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if level := getattr(logger, "level", 0):
            found[name] = level
    return LogSetup(found, bool(logging.root.handlers))


def take_setup(setup: LogSetup) -> None:
    """Set `logging` up here as it is in another process; what was taken before and is no longer so, is let go of."""
    import logging

    for name in _taken - setup.levels.keys():
        logging.getLogger(name or None).setLevel(logging.NOTSET if name else logging.WARNING)
    for name, level in setup.levels.items():
        logging.getLogger(name or None).setLevel(level)
    _taken.clear()
    _taken.update(setup.levels)
    there = [handler for handler in logging.root.handlers if handler.name == _PLACEHOLDER]
    if setup.handled and not there:
        placeholder = logging.NullHandler()
        placeholder.name = _PLACEHOLDER
        logging.root.addHandler(placeholder)
    elif not setup.handled:
        for handler in there:
            logging.root.removeHandler(handler)


def has_own_handlers(logger: Logger) -> bool:
    """Whether code in this process has given the logger handlers."""
    at: Logger | None = logger
    while at is not None:
        if any(handler.name != _PLACEHOLDER for handler in at.handlers):
            return True
        at = at.parent if at.propagate else None
    return False


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
