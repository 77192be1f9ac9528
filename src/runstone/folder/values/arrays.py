"""numpy arrays and scalars as `.npy` (format 1.0), never with objects inside.

Kept are dtype, shape and whether the order is Fortran's; an array that is contiguous in neither order comes back in C
order. What the format would lose (subclasses, masks, dtype metadata, aligned structs) is refused here, so that it is
pickled. numpy is looked up, not imported, until something has to be read back.
"""

from __future__ import annotations

import io
import math
import struct
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from runstone.errors import FolderError

if TYPE_CHECKING:
    import numpy as np

_MAGIC = b"\x93NUMPY\x01\x00"
# numpy refuses to read longer headers unless told to trust them.
_MAX_HEADER = 10_000
_SCALAR_KINDS = "biufcmMSU"
# Fixed-width text may take this many times the bytes of the text itself before it is not worth it.
_MAX_PADDING = 8


def nbytes(value: object) -> int:
    """Bytes of the elements of an array, 0 for everything that is not one."""
    numpy = _loaded()
    return int(cast("Any", value).nbytes) if numpy is not None and type(value) is numpy.ndarray else 0


def encode_array(value: object) -> list[bytes] | None:
    """Write an array as npy; None if the value is not exactly an ndarray, or npy would lose something of it."""
    numpy = _loaded()
    if numpy is None or type(value) is not numpy.ndarray:
        return None
    array = cast("np.ndarray[Any, Any]", value)
    return _write(array) if _is_kept(array.dtype) else None


def decode_array(data: bytes | memoryview) -> np.ndarray[Any, Any]:
    """Read one npy; raises FolderError if it is malformed, holds objects, or its length is not what it claims."""
    numpy = _imported()
    view = memoryview(data)
    if len(view) < 10 or view[:8] != _MAGIC:
        raise FolderError("a stored array is not npy of format 1.0")
    start = 10 + struct.unpack("<H", view[8:10])[0]
    try:
        header = io.BytesIO(bytes(view[:start]))
        numpy.lib.format.read_magic(header)
        shape, fortran, dtype = numpy.lib.format.read_array_header_1_0(header)
    except Exception as error:
        # numpy hands the header to a parser of Python literals, which fails in many ways on nonsense.
        raise FolderError(f"a stored array has a malformed header: {_first_line(error)}") from None
    if dtype.hasobject or dtype.itemsize == 0 or any(length < 0 for length in shape):
        raise FolderError("a stored array has a dtype or shape that is never stored")
    body = view[start:]
    if (claimed := math.prod(shape) * dtype.itemsize) != len(body):
        raise FolderError(f"a stored array claims {claimed} bytes and has {len(body)}")
    order = "F" if fortran else "C"
    try:
        flat = numpy.frombuffer(body, dtype).copy() if len(body) else numpy.empty(0, dtype)
        return cast("np.ndarray[Any, Any]", flat.reshape(shape, order=order))
    except (ValueError, TypeError, MemoryError) as error:
        raise FolderError(f"a stored array cannot be read: {_first_line(error)}") from None


def encode_scalar(value: object) -> list[bytes] | None:
    """Write one numpy scalar as npy without dimensions; None if that would not give back the same."""
    array = _array_of([value], type(value))
    return None if array is None else _write(array.reshape(()))


def decode_scalar(data: bytes | memoryview) -> object:
    """Read what `encode_scalar` wrote."""
    array = decode_array(data)
    if array.ndim != 0 or array.dtype.kind not in _SCALAR_KINDS:
        raise FolderError("a stored numpy scalar has dimensions, or a dtype that scalars are not stored with")
    return array[()]


def encode_scalars(values: Sequence[object], exact: type) -> list[bytes] | None:
    """Write scalars that all have exactly this type as one npy of one dimension.

    None if the type is not one of numpy's own, or an array would not keep them all (units that differ, text that ends
    in NUL, which numpy takes for padding even when it pickles, or has very uneven lengths).
    """
    array = _array_of(values, exact)
    return None if array is None else _write(array)


def decode_scalars(data: bytes | memoryview, count: int) -> list[object]:
    """Read what `encode_scalars` wrote; raises FolderError unless it is `count` scalars."""
    return list(_scalars(data, count))


def decode_one_of_scalars(data: bytes | memoryview, count: int, index: int) -> object:
    """Read one of `count` scalars."""
    return _scalars(data, count)[index]


def _scalars(data: bytes | memoryview, count: int) -> np.ndarray[Any, Any]:
    array = decode_array(data)
    if array.shape != (count,) or array.dtype.kind not in _SCALAR_KINDS:
        raise FolderError(f"a column of numpy scalars does not hold {count} of them")
    return array


def _array_of(values: Sequence[object], exact: type) -> np.ndarray[Any, Any] | None:
    numpy = _loaded()
    if numpy is None or not issubclass(exact, numpy.generic):
        return None
    scalars = cast("Sequence[np.generic]", values)
    dtype = scalars[0].dtype
    if dtype.type is not exact or dtype.kind not in _SCALAR_KINDS or not (dtype.kind in "SU" or _is_kept(dtype)):
        return None
    if dtype.kind in "mM" and any(scalar.dtype != dtype for scalar in scalars):
        return None
    if dtype.kind not in "SU":
        return cast("np.ndarray[Any, Any]", numpy.array(scalars, dtype=dtype))
    texts = cast("Sequence[str | bytes]", values)
    if max(map(len, texts)) * len(texts) > _MAX_PADDING * sum(map(len, texts)) + 4096:
        return None
    array: np.ndarray[Any, Any] = numpy.array(texts)
    return array if array.dtype.type is exact and list(array) == list(texts) else None


def _write(array: np.ndarray[Any, Any]) -> list[bytes] | None:
    numpy = _imported()
    parts = _Parts()
    try:
        numpy.lib.format.write_array(cast("Any", parts), array, version=(1, 0), allow_pickle=False)
    except ValueError:
        # Field names outside Latin-1, or more header than format 1.0 can have.
        return None
    (header,) = struct.unpack("<H", parts[0][8:10])
    return parts if header <= _MAX_HEADER else None


class _Parts(list[bytes]):
    """A file that numpy writes to: copies, so that later changes of the array are not recorded."""

    def write(self, data: bytes) -> None:
        self.append(bytes(data))


def _is_kept(dtype: np.dtype[Any]) -> bool:
    """Tell whether npy gives back exactly this dtype."""
    if dtype.hasobject or dtype.itemsize == 0:
        return False
    if dtype.kind != "V":
        return dtype.kind in _SCALAR_KINDS and dtype.isbuiltin != 2 and dtype.metadata is None
    if not _has_plain_parts(dtype):
        return False
    numpy = _imported()
    form = numpy.lib.format
    return _same(dtype, form.descr_to_dtype(form.dtype_to_descr(dtype)))


def _has_plain_parts(dtype: np.dtype[Any]) -> bool:
    if dtype.metadata is not None or dtype.isbuiltin == 2 or dtype.kind not in _SCALAR_KINDS + "V":
        return False
    if dtype.subdtype is not None:
        return _has_plain_parts(dtype.subdtype[0])
    return all(_has_plain_parts(field[0]) for field in (dtype.fields or {}).values())


def _same(one: np.dtype[Any], other: np.dtype[Any]) -> bool:
    # == alone overlooks alignment and the scalar type (numpy.record).
    if one != other or one.isalignedstruct != other.isalignedstruct or one.type is not other.type:
        return False
    if one.subdtype is not None and other.subdtype is not None:
        return _same(one.subdtype[0], other.subdtype[0])
    fields: Any = one.fields or {}
    others: Any = other.fields or {}
    return list(fields) == list(others) and all(_same(fields[name][0], others[name][0]) for name in fields)


def _loaded() -> Any:
    """numpy if somebody has imported it whole: a value cannot be numpy's otherwise."""
    numpy = sys.modules.get("numpy")
    return numpy if hasattr(numpy, "ndarray") and hasattr(numpy, "generic") else None


def _imported() -> Any:
    try:
        import numpy.lib.format
    except ImportError:
        raise FolderError("a stored value is a numpy array; install numpy to load it") from None
    return numpy


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".split("\n", 1)[0][:200]
