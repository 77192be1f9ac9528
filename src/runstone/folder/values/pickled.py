"""Everything else: pickles, protocol 5.

What a pickle refers to by name (classes, functions) must be importable where it is loaded; what was defined in
`__main__` travels by value. That a blob can be loaded again is not checked when it is written; but what is known to
come back as another thing is refused.
"""

from __future__ import annotations

import io
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from runstone.errors import FolderError, NotStorable, Untrusted
from runstone.folder.preview import type_name
from runstone.folder.values.culprit import find_culprit

if TYPE_CHECKING:
    import pickle

PROTOCOL = 5


class TooLong(Exception):
    """The pickle is longer than the caller can use."""


class _Blob:
    """A file for picklers that stops them once they have written more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self.parts: list[bytes] = []

    def write(self, data: bytes | memoryview) -> int:
        self.size += len(data)
        if self.size > self.limit:
            raise TooLong
        self.parts.append(bytes(data))
        return len(data)


def pickle_value(value: object, limit: int | None = None) -> bytes:
    """Pickle any value; raises NotStorable with the path to the culprit, or TooLong beyond `limit` bytes.

    Runs the value's own pickling methods, whatever they do; an error they raise ends as NotStorable.
    """
    try:
        return _pickle(value, limit)
    except TooLong:
        raise
    except Exception as error:
        try:
            path, part, cause = find_culprit(value, _refusal)
        except Exception:
            # The search calls the value's own code (__getstate__, a subclass's __iter__), which may fail as well.
            path, part, cause = "", value, error
        cause = cause or error
        raise NotStorable(f"a {type_name(part)} cannot be stored: {_first_line(cause)}", path) from cause


def unpickle_value(data: bytes | memoryview, *, trust: bool) -> object:
    """Load a pickle, which runs code it chooses; so raises Untrusted unless the caller trusts where it came from.

    Raises FolderError for a pickle that fails to load, whatever it raised.
    """
    if not trust:
        raise Untrusted(
            "this value is a pickle, and loading it runs code that its writer chose; "
            "if you trust where the folder came from, load it with trust=True (on the command line: --trust)"
        )
    import pickle

    try:
        return pickle.loads(data)
    except Exception as error:
        raise FolderError(
            f"a pickled value cannot be loaded: {_first_line(error)}; "
            "the code that defines it must be importable, in the version that wrote it"
        ) from error


def _pickle(value: object, limit: int | None) -> bytes:
    import pickle

    failed = False
    blob = b""
    try:
        blob = _dump(pickle.Pickler, value, limit)
        if b"__main__" not in blob:
            return blob
    except TooLong:
        raise
    except Exception:
        failed = True
    try:
        return _dump(_by_value(), value, limit)
    except TooLong:
        raise
    except Exception:
        if failed:
            raise
        # Refers to __main__ by name: loads where the same program runs again, which is better than nothing.
        return blob


def _dump(kind: type[pickle.Pickler], value: object, limit: int | None) -> bytes:
    blob = _Blob(sys.maxsize if limit is None else limit)
    kind(blob, protocol=PROTOCOL).dump(value)
    return b"".join(blob.parts)


@cache
def _by_value() -> type[pickle.Pickler]:
    """A pickler that takes more than that of Python, but nothing that it would make into another thing."""
    import cloudpickle

    # it says nothing about its types
    base: Any = cloudpickle.Pickler

    class Pickler(base):  # type: ignore[misc]  # see above
        def reducer_override(self, part: Any) -> Any:
            kind = type(part)
            if kind is io.TextIOWrapper and part is not sys.stdout and part is not sys.stderr:
                raise TypeError("an open file would come back as a copy of its text")
            if kind is memoryview:
                raise TypeError("a memoryview would come back as bytes")
            return super().reducer_override(part)

    return Pickler


def _refusal(part: object) -> Exception | None:
    try:
        _pickle(part, None)
    except Exception as error:
        return error
    return None


def _first_line(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}".split("\n", 1)[0][:300]
