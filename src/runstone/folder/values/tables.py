"""Tables as Parquet: pyarrow Tables, polars DataFrames, and pandas DataFrames that are simple enough.

A table is stored this way only after what was written has been read back and compared, dtypes, index, names, metadata
and values; otherwise it is pickled. Compared bit by bit, except that a pandas NaN is the missing value there whatever
its bits; how an Arrow column was cut into pieces is not kept. Needs pyarrow, and never imports a table's own library
to find out whether a value is one.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Literal

import msgspec

from runstone.errors import FolderError
from runstone.folder.values.parquet import SAFE_PYARROW, read_parquet, safe_pyarrow
from runstone.folder.values.tagged import NOT_PLAIN, to_tagged

Library = Literal["pyarrow", "pandas", "polars"]

_PANDAS_DTYPES = re.compile(r"CategoricalDtype|DatetimeTZDtype|StringDtype|BooleanDtype|U?Int\d+Dtype|Float\d+Dtype")


def library_of(value: object) -> Library | None:
    """Name the library whose table this is, exactly; None for everything else."""
    kind = type(value)
    for library, name in (("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "Table")):
        module = sys.modules.get(library)
        if module is not None and kind is getattr(module, name, None):
            return library  # type: ignore[return-value]
    return None


def encode_table(value: object, library: Library) -> memoryview | None:
    """Write a table as Parquet; None if pyarrow is missing or this would not give back exactly the same."""
    pyarrow = safe_pyarrow()
    if pyarrow is None:
        return None
    try:
        if library == "pandas":
            if not _is_simple(value):
                return None
            table = pyarrow.Table.from_pandas(value)
        else:
            table = value.to_arrow() if library == "polars" else value  # type: ignore[attr-defined]
        try:
            data = _write(pyarrow, table, "zstd" if pyarrow.Codec.is_available("zstd") else "none")
            back = decode_table(data, library)
        except FolderError:
            # Values so even that they would be taken for a bomb.
            data = _write(pyarrow, table, "none")
            back = decode_table(data, library)
        return data if _SAME[library](value, back) else None
    except Exception:
        # Parquet has no place for much of what these libraries can hold, and each says so in its own way.
        return None


def decode_table(data: bytes | memoryview, library: Library, *, trust: bool = True) -> object:
    """Read a table back; raises FolderError if it is malformed, a bomb, or its library is not installed.

    trust: read it in this process, which a malicious file may end; else in another one, which takes half a second the
    first time.
    """
    pyarrow = safe_pyarrow()
    if pyarrow is None:
        raise FolderError(f"a stored value is a table; install pyarrow {SAFE_PYARROW} or newer to load it")
    try:
        if trust:
            table = read_parquet(data)
        else:
            # loaded by those who look at what others made: it starts processes
            from runstone.folder.values.apart import read_apart

            table = read_apart(data)
        if library == "pandas":
            return table.to_pandas()
        if library == "polars":
            import polars

            return polars.from_arrow(table)
        return table
    except ImportError as error:
        raise FolderError(f"a stored value is a {library} table; install {library} to load it ({error})") from None
    except FolderError:
        raise
    except Exception as error:
        raise FolderError(f"a stored table cannot be read: {str(error)[:200]}") from error


def _write(pyarrow: Any, table: Any, compression: str) -> memoryview:
    from pyarrow import parquet

    sink = pyarrow.BufferOutputStream()
    # A Parquet dictionary keeps one nan for all of them; only what is a dictionary in memory gets one.
    dictionaries = [field.name for field in table.schema if pyarrow.types.is_dictionary(field.type)]
    parquet.write_table(
        table,
        sink,
        compression=compression,
        use_dictionary=dictionaries,
        store_schema=True,
        # The standard's name for the items of a list is not the one they have in memory.
        use_compliant_nested_type=False,
    )
    return memoryview(sink.getvalue())


def _is_simple(frame: Any) -> bool:
    """Tell whether a pandas DataFrame has nothing that Parquet is known to lose."""
    columns = frame.columns
    index = frame.index
    names = list(columns)
    return (
        all(type(name) is str for name in names)
        and len(set(names)) == len(names)
        and type(columns).__name__ == "Index"
        and type(index).__name__ in ("RangeIndex", "Index", "DatetimeIndex")
        and (index.name is None or (type(index.name) is str and index.name not in names))
        and (columns.name is None or type(columns.name) is str)
        and to_tagged(frame.attrs) is not NOT_PLAIN
    )


def _same_frames(one: Any, other: Any) -> bool:
    return (
        type(one) is type(other)
        and one.shape == other.shape
        and _same_indexes(one.columns, other.columns)
        and _same_indexes(one.index, other.index)
        and _json(one.attrs) == _json(other.attrs)
        and one.flags.allows_duplicate_labels == other.flags.allows_duplicate_labels
        and all(_same_values(one.iloc[:, at], other.iloc[:, at]) for at in range(one.shape[1]))
    )


def _same_indexes(one: Any, other: Any) -> bool:
    return (
        type(one) is type(other)
        and one.name == other.name
        and getattr(one, "freq", None) == getattr(other, "freq", None)
        and (
            type(one).__name__ != "RangeIndex"
            or (one.start, one.stop, one.step) == (other.start, other.stop, other.step)
        )
        and _same_values(one, other)
    )


def _same_values(one: Any, other: Any) -> bool:
    """Compare two pandas Series or Indexes, known to be of equal length, without calling anybody's own `==`."""
    dtype = one.dtype
    if dtype != other.dtype or type(dtype) is not type(other.dtype):
        return False
    numpy: Any = sys.modules["numpy"]
    if isinstance(dtype, numpy.dtype):
        left, right = numpy.asarray(one), numpy.asarray(other)
        if dtype.kind == "O":
            return set(map(type, left)) <= {str} and set(map(type, right)) <= {str} and list(left) == list(right)
        if dtype.kind == "f":
            missing = numpy.isnan(left)
            return bool((missing == numpy.isnan(right)).all()) and left[~missing].tobytes() == right[~missing].tobytes()
        return dtype.kind in "biumM" and left.tobytes() == right.tobytes()
    if not (type(dtype).__module__.partition(".")[0] == "pandas" and _PANDAS_DTYPES.fullmatch(type(dtype).__name__)):
        return False
    if type(dtype).__name__ == "CategoricalDtype":
        return (
            dtype.ordered == other.dtype.ordered
            and len(dtype.categories) == len(other.dtype.categories)
            and _same_indexes(dtype.categories, other.dtype.categories)
            and one.array.codes.tobytes() == other.array.codes.tobytes()
        )
    return bool(one.array.equals(other.array))


def _same_polars(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one.schema == other.schema and bool(one.equals(other, null_equal=True))


def _same_arrow(one: Any, other: Any) -> bool:
    if not one.schema.equals(other.schema, check_metadata=True) or one.num_rows != other.num_rows:
        return False
    pairs = zip(one.columns, other.columns, strict=True)
    return all(_same_arrow_arrays(left.combine_chunks(), right.combine_chunks()) for left, right in pairs)


def _same_arrow_arrays(one: Any, other: Any) -> bool:
    pyarrow: Any = sys.modules["pyarrow"]
    kind = one.type
    # A ChunkedArray here is a column too long to be one piece; not worth a second way of comparing.
    if isinstance(one, pyarrow.ChunkedArray) or kind != other.type or len(one) != len(other):
        return False
    types = pyarrow.types
    if isinstance(kind, pyarrow.BaseExtensionType):
        return False
    if types.is_floating(kind):
        # As whole numbers, because a nan does not equal itself.
        whole = {16: pyarrow.int16(), 32: pyarrow.int32(), 64: pyarrow.int64()}[kind.bit_width]
        return bool(one.view(whole).equals(other.view(whole)))
    if types.is_dictionary(kind):
        return bool(one.indices.equals(other.indices)) and _same_arrow_arrays(one.dictionary, other.dictionary)
    if types.is_struct(kind):
        pairs = zip(one.flatten(), other.flatten(), strict=True)
        return bool(one.is_valid().equals(other.is_valid())) and all(_same_arrow_arrays(*pair) for pair in pairs)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        from pyarrow import compute

        lengths = compute.list_value_length(one), compute.list_value_length(other)
        return bool(lengths[0].equals(lengths[1])) and _same_arrow_arrays(one.flatten(), other.flatten())
    return not types.is_nested(kind) and bool(one.equals(other))


def _json(attrs: object) -> bytes:
    return msgspec.json.encode(to_tagged(attrs))


_SAME = {"pandas": _same_frames, "polars": _same_polars, "pyarrow": _same_arrow}
