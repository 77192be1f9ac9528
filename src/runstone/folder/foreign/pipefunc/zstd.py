"""The beginning of what is compressed with Zstandard, by whichever library for it is there."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from importlib import import_module
from typing import Any

_Beginning = Callable[[bytes, int], bytes]


def is_available() -> bool:
    """Whether there is a library that can do it."""
    return _library() is not None


def beginning(packed: bytes, count: int) -> bytes:
    """The first `count` bytes; fewer where there are no more, or where what is compressed is damaged."""
    library = _library()
    try:
        return b"" if library is None else library(packed, count)
    except Exception:
        # each library has its own errors for damage
        return b""


@functools.cache
def _library() -> _Beginning | None:
    for module, make in _LIBRARIES.items():
        try:
            return make(import_module(module))
        except ImportError:
            continue
    return None


def _standard(module: Any) -> _Beginning:
    return lambda packed, count: bytes(module.ZstdDecompressor().decompress(packed, count))


def _zstandard(module: Any) -> _Beginning:
    return lambda packed, count: bytes(module.ZstdDecompressor().stream_reader(io.BytesIO(packed)).read(count))


def _pyarrow(module: Any) -> _Beginning:
    return lambda packed, count: bytes(module.CompressedInputStream(module.BufferReader(packed), "zstd").read(count))


_LIBRARIES: dict[str, Callable[[Any], _Beginning]] = {
    "compression.zstd": _standard,
    "zstandard": _zstandard,
    "pyarrow": _pyarrow,
}
