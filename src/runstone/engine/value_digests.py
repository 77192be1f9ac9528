"""Digests of values by which results in the cache are found: equal digests, equal values, and equal code in them.

A value that is stored without a pickle is told by those bytes, as parameters of a run are. One that would be pickled is
told by what can be said of it that is the same in every process, with the code of the project's own classes in it;
failing that, by its pickle, with the code of all classes and functions that this names. A value of which nothing
certain can be said has no digest.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from types import FunctionType, ModuleType
from typing import Any

import msgspec

from runstone.engine.identity_modules import Owner, owner_of_module, version_of
from runstone.engine.identity_values import Texts
from runstone.engine.identity_walk import UNRESOLVED, Survey
from runstone.errors import NotStorable
from runstone.folder.values import encode_column, encode_small

_BYTES = 16
_VALUES = 200
_encode = msgspec.json.Encoder().encode


class Digests:
    """Digests of the values of one block; the code that they lead to is looked at once."""

    def __init__(self) -> None:
        self._survey = Survey()
        self._left = _VALUES
        self._named: dict[int, tuple[Any, str | None]] = {}

    def of(self, value: Any) -> bytes | None:
        """16 bytes, None if nothing certain can be said. Whatever the value raises when it is looked at, is raised."""
        if isinstance(value, ModuleType):
            # what it has is its code, and nothing tells which of that is used
            if owner_of_module(value) is Owner.PROJECT:
                return None
            return _digest(b"module", value.__name__.encode(), str(version_of(value.__name__)).encode())
        stored = _stored(value)
        if stored is not None:
            return stored
        told = self._told(value)
        return self._pickled(value) if told is None else told

    def _told(self, value: Any) -> bytes | None:
        self._left -= 1
        if self._left <= 0:
            # a survey remembers what it has seen, and looks at so much only
            self._survey, self._left = Survey(), _VALUES
        survey, said = self._survey, list[str]()

        def look() -> dict[str, str]:
            # how much is written is bounded for each value
            survey.texts = Texts(survey.refer)
            said.append(survey.texts.text(value))
            return {}

        try:
            parts = survey.parts(look)
        except Exception:
            # Unresolved, nested too deep, or a value that does not want to be looked at
            return None
        return None if UNRESOLVED in parts.values() else _digest(b"told", _encode([said, sorted(parts.items())]))

    def _pickled(self, value: Any) -> bytes | None:
        file = io.BytesIO()
        pickler = _Noting(file)
        try:
            pickler.dump(value)
        except Exception:
            # what cannot be found under its name
            return None
        names = [self._code_of(each) for each in pickler.named]
        if None in names:
            return None
        return _digest(b"pickled", file.getvalue(), _encode(sorted(set(map(str, names)))))

    def _code_of(self, named: Any) -> str | None:
        known = self._named.get(id(named))
        if known is None:
            parts = self._survey.parts(
                lambda: {"": self._survey.told(lambda value: self._survey.texts.text(value), named)}
            )
            told = None if UNRESOLVED in parts.values() else repr(sorted(parts.items()))
            # kept alive, for another object could get its number
            known = self._named[id(named)] = (named, told)
        return known[1]


class _Noting(pickle.Pickler):
    """Notes the classes and functions that a pickle refers to by name: their code is not in it."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.named: list[Any] = []

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, type | FunctionType):
            self.named.append(value)
        return NotImplemented


def _stored(value: Any) -> bytes | None:
    """By the bytes in which it is stored; None if that would be a pickle, or cannot be."""
    try:
        raw = encode_small(value)
        if raw is None:
            column = encode_column([value])
            return _digest(b"large", _encode(column.meta), *column.data) if column.safe else None
    except NotStorable:
        return None
    data = bytes(raw)
    return None if data.startswith(b'{"$pickle"') else _digest(b"small", data)


def _digest(kind: bytes, *parts: bytes | memoryview) -> bytes:
    found = hashlib.blake2b(digest_size=_BYTES, person=kind)
    for part in parts:
        found.update(part)
    return found.digest()
