"""Hearing what `logging` and `warnings` are told, without changing what they do with it.

A handler on the root logger would not do: it keeps `basicConfig()` and the handler of last resort from working, and
sees nothing of loggers that do not propagate. So every record that its logger lets through is heard just before it is
given to the handlers, and every warning just before it is shown.
"""

from __future__ import annotations

import threading
import traceback
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from runstone.folder.logs import LEVELS

if TYPE_CHECKING:
    from logging import Logger, LogRecord

_STEP = 10


class _Busy(threading.local):
    now = False


class Hooks:
    """logged: told each record. warned: told each warning, its category, file and line. Neither may raise.

    relay: where set, asked whether it passes a record on to somebody else's handlers; then it is not handled here.
    """

    def __init__(
        self,
        logged: Callable[[LogRecord], None],
        warned: Callable[[Warning | str, type[Warning], str, int], None],
    ) -> None:
        self._logged = logged
        self._warned = warned
        self.relay: Callable[[Logger, LogRecord], bool] | None = None
        self._busy = _Busy()
        self._handle: Callable[..., Any] | None = None
        self._show: Callable[..., Any] | None = None

    @property
    def busy(self) -> bool:
        """Whether the calling thread is handling a record or showing a warning that was heard already."""
        return self._busy.now

    def install(self) -> None:
        """Begin to hear. What is not loaded yet is loaded, or a block that does so would not be heard."""
        import logging

        original = logging.Logger.callHandlers

        def handle(logger: Logger, record: LogRecord) -> None:
            self._hear(original, logger, record)

        self._handle, self._handled_by = handle, original
        logging.Logger.callHandlers = handle  # type: ignore[method-assign, assignment]  # it is meant to be replaced

        shown_by = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            self._hear_warning(shown_by, message, category, filename, lineno, file, line)

        self._show, self._shown_by = show, shown_by
        warnings.showwarning = show

    def remove(self) -> None:
        """Hear no more. Where somebody has put something of their own over ours, it stays and only passes on."""
        if self._handle is None:
            return
        import logging

        if logging.Logger.callHandlers is self._handle:
            logging.Logger.callHandlers = self._handled_by  # type: ignore[method-assign]  # put back
        if warnings.showwarning is self._show:
            warnings.showwarning = self._shown_by
        self._handle = self._show = None

    def _hear(self, original: Callable[..., Any], logger: Logger, record: LogRecord) -> None:
        if self._handle is None or self._busy.now:
            original(logger, record)
            return
        self._logged(record)
        if self.relay is not None and self.relay(logger, record):
            return
        self.quietly(original, logger, record)

    def _hear_warning(
        self,
        original: Callable[..., Any],
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None,
        line: str | None,
    ) -> None:
        # With a file it is not shown but written there.
        if self._show is not None and file is None and not self._busy.now:
            self._warned(message, category, filename, lineno)
        self.quietly(original, message, category, filename, lineno, file, line)

    def quietly(self, act: Callable[..., Any], *arguments: Any) -> None:
        """Do what would be done anyway; what it prints says the same once more."""
        before, self._busy.now = self._busy.now, True
        try:
            act(*arguments)
        finally:
            self._busy.now = before


def level_of(number: int) -> str:
    """The standard level that a number reaches."""
    return LEVELS[max(0, min(len(LEVELS), int(number) // _STEP) - 1)]


def message_of(record: LogRecord) -> str:
    """What a record says, with its traceback and stack; if its arguments do not fit, what was to be said."""
    try:
        message = record.getMessage()
    except Exception:
        message = f"{text_of(record.msg)} (arguments that do not fit: {text_of(record.args)})"
    if record.exc_info and record.exc_info[0] is not None:
        # Not by a formatter: that would leave its text in the record, for the formatters of the user.
        message = f"{message}\n{''.join(traceback.format_exception(*record.exc_info)).rstrip()}"
    elif record.exc_text:
        message = f"{message}\n{record.exc_text}"
    return f"{message}\n{record.stack_info}" if record.stack_info else message


def text_of(value: object) -> str:
    """What a user's object says of itself, if it can."""
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__} that cannot be shown>"
