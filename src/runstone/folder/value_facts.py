"""What can be said of a stored value to compare it with another one, without opening pickles."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from math import isfinite
from typing import Any

import msgspec

from runstone.core.compare import Fact
from runstone.core.failed import Failed
from runstone.core.previews import in_words
from runstone.folder.cells import MISSING, Unopened
from runstone.folder.pieces import Pieces
from runstone.folder.preview import preview, type_name

_SHORT = 80
_KEYS = 50
_TEXT = 1_000_000
"""Characters of a text that are looked at for what changed in it."""

_TABLES = (("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "Table"))
_PLAIN = (int, float, str, bool, type(None))
_ROWS = 65_536
_COLUMNS = 30
_encode = msgspec.json.Encoder(order="deterministic").encode


def of_output(name: str, pieces: Pieces) -> dict[str, Fact]:
    """The facts of one output: one, or of a dict one for each key. Raises FolderError."""
    if pieces.axes is not None:
        return {name: _mapped(pieces)}
    value = pieces.value
    if type(value) is dict and 0 < len(value) <= _KEYS and all(type(key) is str for key in value):
        return {f"{name}.{key}": of_value(each) for key, each in value.items()}
    return {name: of_value(value)}


def of_value(value: Any) -> Fact:
    """The fact of one value."""
    kind = type(value)
    if kind is Unopened:
        return Fact(shown=in_words(value.shown), mark=f"pickle {_digest(_encode(value.shown))}", sure=False)
    if kind is bool or value is None:
        return Fact(shown=str(value), mark=f"{kind.__name__} {value}")
    if kind is int or kind is float:
        return Fact(shown=repr(value), mark=f"{kind.__name__} {value!r}", number=_float(value))
    if kind is str:
        return Fact(
            shown=_shown(value), mark=f"str {_digest(value.encode(errors='surrogatepass'))}", text=_lines(value)
        )
    if kind is bytes:
        return Fact(shown=_shown(value), mark=f"bytes {_digest(value)}")
    if _is_array(value):
        return _array(value)
    if (kind.__module__.partition(".")[0], kind.__name__) in _TABLES:
        return _table(value)
    return _other(value)


def _other(value: Any) -> Fact:
    """Lists, tuples, dicts; and objects that were opened because somebody trusts them."""
    try:
        data = _exact([type_name(value), value])
    except (TypeError, ValueError, RecursionError, OverflowError):
        return Fact(shown=_shown(value), mark=f"seen {_digest(_encode(preview(value)))}", sure=False)
    return Fact(shown=_shown(value), mark=f"json {_digest(data)}")


def _exact(value: Any) -> bytes:
    """JSON that differs where values do."""
    data = _encode(value)
    # which is all that JSON has for None, nan and infinities
    return data + repr(value).encode(errors="surrogatepass") if b"null" in data else data


def _mapped(pieces: Pieces) -> Fact:
    whole = hashlib.sha256(_encode(pieces.shape))
    marks = bytearray()
    figures = _Figures()
    sure = True
    for batch in pieces.elements():
        for cell in batch:
            mark, is_sure = _cell(cell)
            sure &= is_sure
            figures.add(cell)
            whole.update(mark)
            marks += mark
    shown = f"{' x '.join(f'{length:,}' for length in pieces.shape)} elements"
    for number, word in ((pieces.failed, "failed"), (pieces.missing, "missing")):
        if number:
            shown += f", {number:,} {word}"
    return Fact(shown=shown + figures.said(), mark=f"mapped {whole.hexdigest()}", sure=sure, elements=bytes(marks))


def _cell(cell: Any) -> tuple[bytes, bool]:
    """A mark of 8 bytes for an element, and whether equal ones mean equal values."""
    if type(cell) is Failed:
        said, sure = f"failed {cell.error_type} {cell.message}", True
    elif cell is MISSING:
        said, sure = "missing", True
    elif type(cell) in _PLAIN:
        said, sure = f"{type(cell).__name__} {cell!r}", True
    else:
        fact = of_value(cell)
        said, sure = str(fact.mark), fact.sure
    return hashlib.sha256(said.encode(errors="surrogatepass")).digest()[:8], sure


class _Figures:
    """Smallest, mean and largest of numbers, as long as all are numbers."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = 0.0
        self._least, self._most = float("inf"), float("-inf")
        self._others = False

    def add(self, cell: Any) -> None:
        if type(cell) in (int, float):
            number = _float(cell)
            if number is not None and isfinite(number):
                self._count += 1
                self._sum += number
                self._least, self._most = min(self._least, number), max(self._most, number)
        elif type(cell) is not Failed and cell is not MISSING:
            self._others = True

    def said(self) -> str:
        if not self._count or self._others:
            return ""
        return f", {_number(self._least)} to {_number(self._most)}, mean {_number(self._sum / self._count)}"


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray | numpy.generic)


def _array(value: Any) -> Fact:
    import numpy

    array = numpy.asarray(value)
    shape = " x ".join(f"{length:,}" for length in array.shape) or "scalar"
    if array.dtype.hasobject:
        return Fact(shown=_shown(value), mark=f"seen {_digest(_encode(preview(value)))}", sure=False)
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(numpy.ascontiguousarray(array).tobytes())
    said = f"{array.dtype} {shape}{_statistics(array)}"
    number = float(array) if array.ndim == 0 and array.dtype.kind in "iuf" else None
    return Fact(shown=repr(number) if number is not None else said, mark=f"array {digest.hexdigest()}", number=number)


def _statistics(array: Any) -> str:
    import numpy

    if array.dtype.kind not in "iuf" or not array.size:
        return ""
    finite = array[numpy.isfinite(array)] if array.dtype.kind == "f" else array
    if not finite.size:
        return ", nothing finite"
    figures = f", {_number(finite.min())} to {_number(finite.max())}, mean {_number(finite.mean(dtype=float))}"
    left = array.size - finite.size
    return figures + (f", {left:,} not finite" if left else "")


def _table(value: Any) -> Fact:
    """Rows, columns with their types and figures; the lines of both tell what changed."""
    table = _arrow(value)
    digest = hashlib.sha256(repr([(field.name, str(field.type)) for field in table.schema]).encode())
    lines = [f"{table.num_rows:,} rows"]
    for number, field in enumerate(table.schema):
        column = table.column(number)
        for batch in _batches(column):
            digest.update(_encode_cells(batch))
        if number < _COLUMNS:
            lines.append(f"{field.name}: {field.type}{_column_figures(column)}")
    if table.num_columns > _COLUMNS:
        lines.append(f"and {table.num_columns - _COLUMNS:,} more columns")
    return Fact(
        shown=f"table of {table.num_rows:,} rows, {table.num_columns:,} columns",
        mark=f"table {digest.hexdigest()}",
        text="\n".join(lines),
    )


def _arrow(value: Any) -> Any:
    if type(value).__module__.partition(".")[0] == "pyarrow":
        return value
    import pyarrow

    if type(value).__module__.partition(".")[0] == "polars":
        return value.to_arrow()
    return pyarrow.Table.from_pandas(value)


def _batches(column: Any) -> Iterator[list[Any]]:
    for start in range(0, len(column), _ROWS):
        yield column.slice(start, _ROWS).to_pylist()


def _encode_cells(cells: list[Any]) -> bytes:
    try:
        return _exact(cells)
    except (TypeError, ValueError, OverflowError):
        return repr(cells).encode(errors="surrogatepass")


def _column_figures(column: Any) -> str:
    import pyarrow
    import pyarrow.compute

    said = f", {column.null_count:,} null" if column.null_count else ""
    kind = column.type
    if not (pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind)):
        return said
    least_most = pyarrow.compute.min_max(column).as_py()
    if least_most["min"] is None:
        return said
    mean = pyarrow.compute.mean(column).as_py()
    return f", {_number(least_most['min'])} to {_number(least_most['max'])}, mean {_number(mean)}{said}"


def _lines(text: str) -> str | None:
    """Of a text that is worth being compared line by line."""
    return text[:_TEXT] if "\n" in text or len(text) > _SHORT else None


def _shown(value: Any) -> str:
    said = in_words(preview(value))
    return said if len(said) <= _SHORT else f"{said[: _SHORT - 3]}..."


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{float(value):.6g}"


def _float(value: int | float) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
