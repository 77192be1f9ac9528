"""What is kept of an exception that user code raised: its type, message and traceback, as text.

Text, because an exception may not be storable, and because reading a run must not run its code.
"""

from __future__ import annotations

import linecache
import os
from types import CodeType, TracebackType

import msgspec

from runstone.secrets.redaction import redact

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

# whose names are known without their module
_NEARBY = frozenset({"builtins", "__main__", "runstone.errors", "runstone.engine.errors"})

MESSAGE_LIMIT = 8_000
TRACEBACK_LIMIT = 24_000
"""In bytes of JSON, where a control character takes six: an event must fit a line of the journal."""


class Failure(msgspec.Struct, frozen=True):
    """type: qualified name of the exception. traceback: from the user's function on, as Python prints it."""

    type: str
    message: str
    traceback: str

    @property
    def short(self) -> str:
        """One line of it, for messages."""
        return cut(f"{self.type}: {self.message}" if self.message else self.type, 400)


_stacks: dict[tuple[tuple[CodeType, int], ...], str] = {}
_STACKS_KEPT = 256


def describe(error: BaseException, *, traceback: bool = True) -> Failure:
    """Describe an exception; its traceback begins behind the engine's own calls, and may be left out.

    A map may fail at the same line a thousand times: the text of a stack is made once.
    """
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in _NEARBY else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except Exception as broken:
        message = f"<its message cannot be shown: {type(broken).__name__}>"
    message = _kept(clean(redact(message)), MESSAGE_LIMIT)
    if not traceback:
        return Failure(name, message, "")
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS):
        trace = trace.tb_next
    if _has_more(error):
        text = _full(error, trace)
    else:
        text = f"Traceback (most recent call last):\n{_stack(trace)}{name}{': ' if message else ''}{message}\n"
    # before it is cut: half of a secret is not recognised any more
    return Failure(name, message, _kept(clean(redact(text)), TRACEBACK_LIMIT))


def _has_more(error: BaseException) -> bool:
    """Whether there is more to tell than a stack and a message."""
    try:
        chained = error.__cause__ is not None or (error.__context__ is not None and not error.__suppress_context__)
        return chained or hasattr(error, "__notes__") or isinstance(error, (SyntaxError, BaseExceptionGroup))
    except Exception:
        # an exception may define these itself, and raise
        return False


def _stack(trace: TracebackType | None) -> str:
    frames: list[tuple[CodeType, int]] = []
    while trace is not None and len(frames) < 1000:
        frames.append((trace.tb_frame.f_code, trace.tb_lineno))
        trace = trace.tb_next
    key = tuple(frames)
    text = _stacks.get(key)
    if text is None:
        if len(_stacks) >= _STACKS_KEPT:
            _stacks.clear()
        text = _stacks[key] = "".join(_shortened(frames))
    return text


def _shortened(frames: list[tuple[CodeType, int]]) -> list[str]:
    lines = [_line(code, number) for code, number in frames]
    if len(lines) <= 40:
        return lines
    return [*lines[:20], f"  ... {len(lines) - 40} more calls ...\n", *lines[-20:]]


def _line(code: CodeType, number: int) -> str:
    source = linecache.getline(code.co_filename, number).strip()
    where = f'  File "{code.co_filename}", line {number}, in {code.co_name}\n'
    return f"{where}    {source}\n" if source else where


def _full(error: BaseException, trace: TracebackType | None) -> str:
    import traceback

    try:
        return "".join(traceback.format_exception(type(error), error, trace))
    except Exception as broken:
        return f"<the traceback cannot be shown: {type(broken).__name__}>\n"


def clean(text: str) -> str:
    """Text that every JSON and every terminal takes: lone surrogates are shown as escapes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="backslashreplace").decode()
    return text


def _kept(text: str, limit: int) -> str:
    text = cut(text, limit)
    while 6 * len(text) > limit and (size := len(msgspec.json.encode(text))) > limit:
        text = cut(text, max(100, len(text) * limit // size - 60))
    return text


def cut(text: str, limit: int) -> str:
    """At most `limit` characters: beginning and end, with what was left out told between."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n... {len(text) - 2 * half:,} characters left out ...\n{text[-half:]}"
