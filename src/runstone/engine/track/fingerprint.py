"""Digests of what tracked code is given, by which runs with the same input find each other.

The parameters of a pipeline have the same digest. A value of which it is not sure that another process would say the
same has none: a wrong one would name runs that have nothing in common.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from runstone.core.records import ParamInfo
from runstone.secrets.given import digest_of, shown
from runstone.secrets.secret import Secret

LIMIT = 16 * 1024 * 1024
"""So many bytes are digested at most, a tenth of a second or two; see `_Room`."""

CALL_LIMIT = 64 * 1024
"""The same for the arguments of a decorated function, that nobody has asked to have digested."""

_ITEM = 64
"""What an item of a list counts, in bytes: it takes that much time."""

_DEEP = 100
_PLAIN = frozenset({type(None), bool, int, float, str, bytes})


class _TooMuch(Exception):
    """There is more than may be digested."""


def of(inputs: object, limit: int = LIMIT) -> str | None:
    """SHA-256 in hex of some input; None if it is too much, or not sure to be the same elsewhere. Never raises.

    inputs: a dict of names and values, as the parameters of a pipeline are; anything else is one value without a name.
    """
    # loaded by those who want it
    from runstone.ledger.rows import fingerprint

    named: dict[Any, Any] = {"": inputs}
    if type(inputs) is dict and all(type(name) is str and name for name in inputs):
        named = inputs
    room = _Room(limit)
    try:
        digests = {name: _named(name, value, room) for name, value in shown(named).items()}
    except Exception:
        # too much, or what the value itself raises when it is looked at
        return None
    return fingerprint(digests)


def of_calls(function: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], str | None]:
    """What gives the fingerprint of a call of this function from its arguments, by their names."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return lambda args, kwargs: of({"args": args, "kwargs": kwargs}, CALL_LIMIT)

    def of_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            # the call itself says what is wrong with it
            return None
        bound.apply_defaults()
        return of(bound.arguments, CALL_LIMIT)

    return of_call


class _Room:
    """How much may still be digested; an item of a list or a dict counts 64 bytes."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def take(self, value: Any, depth: int = 0) -> bool:
        """Make room for a value; tells whether it is plain, and all in it. Raises _TooMuch."""
        kind = type(value)
        if kind in (list, tuple):
            self._spend(_ITEM * len(value))
            plain = True
            for item in value:
                plain &= self.take(item, self._deeper(depth))
            return plain
        if kind is dict:
            self._spend(_ITEM * len(value))
            plain = True
            for key, item in value.items():
                plain &= self.take(key) and type(key) is str
                plain &= self.take(item, self._deeper(depth))
            return plain
        if kind in (str, bytes):
            self._spend(len(value))
        elif kind is int:
            self._spend(value.bit_length() // 8)
        elif kind not in _PLAIN:
            self._spend(_bytes_of_others(value, self._left))
        return kind in _PLAIN

    def _deeper(self, depth: int) -> int:
        if depth >= _DEEP:
            raise _TooMuch
        return depth + 1

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise _TooMuch


def _bytes_of_others(value: Any, most: int) -> int:
    """How large an array or a table is; other values are counted where they are written.

    most: above this it need not be exact.
    """
    from runstone.folder.values import arrays, tables

    library = tables.library_of(value)
    if library == "pandas":
        cells = 8 * int(value.size)
        # so few that each of them may be looked at
        return max(cells, int(value.memory_usage(deep=True).sum())) if cells <= most else cells
    if library == "polars":
        return int(value.estimated_size())
    return int(value.nbytes) if library == "pyarrow" else arrays.nbytes(value)


def _named(name: str, value: Any, room: _Room) -> str | None:
    return digest_of(name, value) if type(value) is Secret else _digest(value, room)


def _digest(value: Any, room: _Room) -> str | None:
    plain = room.take(value)
    if plain or _is_safe(value):
        found = _as_stored(value)
        if found is not None:
            return found
    return _as_told(value)


def _is_safe(value: Any) -> bool:
    """Whether it is a table, or an array or a number of numpy, that is stored without pickling what users made."""
    from runstone.folder.values import tables

    library = tables.library_of(value)
    if library == "pandas" and any(getattr(kind, "hasobject", False) for kind in value.dtypes):
        return tables.encode_table(value, library) is not None
    numpy: Any = sys.modules.get("numpy")
    if library is None and numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return not value.dtype.hasobject
    return library is not None


def _as_stored(value: Any) -> str | None:
    """The digest of the bytes in which a parameter is stored; None if it would be pickled."""
    from runstone.folder import input_digests
    from runstone.folder.values import encode_column, encode_small

    raw = encode_small(value)
    if raw is not None:
        if bytes(raw).startswith(b'{"$pickle"'):
            return None
        return input_digests.of_new({"": ParamInfo(type="", value=raw)}, {})[""]
    column = encode_column([value])
    return input_digests.of_new({"": ParamInfo(type="")}, {"": column})[""] if column.safe else None


def _as_told(value: Any) -> str | None:
    """The same of what can be said of a value that is the same in every process, with the code of the project's own
    classes and functions in it; None if there is anything of which that cannot be."""
    from runstone.engine.identity_values import Unresolved
    from runstone.engine.identity_walk import UNRESOLVED, Survey

    survey = Survey()
    told: list[str] = []

    def look() -> dict[str, str]:
        told.append(survey.texts.text(value))
        return {}

    try:
        parts = survey.parts(look)
    except Unresolved:
        return None
    if UNRESOLVED in parts.values():
        return None
    return hashlib.sha256(msgspec.json.encode(["told", *told, sorted(parts.items())])).hexdigest()[:32]
