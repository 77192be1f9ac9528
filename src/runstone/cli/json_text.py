"""Any value as JSON text, a large one in pieces."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from runstone.core.failed import Failed
from runstone.folder.cells import Missing, Unopened
from runstone.folder.pieces import Pieces
from runstone.folder.preview import preview

_BATCH = 4096
_TABLES = (("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "Table"))


def json_text(pieces: Pieces, *, pretty: bool) -> Iterator[bytes]:
    """The output as one JSON text. Failed and missing elements are null, pickles that stayed closed their preview."""
    batches = pieces.rows(shown) if pieces.axes is not None else items(pieces.value)
    if batches is None:
        yield _formatted(encode(shown(pieces.value)), pretty) + b"\n"
        return
    yield b"["
    separator = b"\n" if pretty else b""
    for batch in batches:
        if batch:
            text = _formatted(encode(batch), pretty)
            yield separator + (text[2:-2] if pretty else text[1:-1])
            separator = b",\n" if pretty else b","
    yield b"\n]\n" if pretty and separator != b"\n" else b"]\n"


def _formatted(text: bytes, pretty: bool) -> bytes:
    return msgspec.json.format(text, indent=2) if pretty else text


def shown(cell: Any) -> Any:
    """A stored value as something that JSON takes in place of it."""
    kind = type(cell)
    if kind is Failed or kind is Missing:
        return None
    return cell.shown if kind is Unopened else cell


def items(value: Any) -> Iterator[list[Any]] | None:
    """The items of a list, an array or a table, some at a time; None for everything else."""
    if isinstance(value, (list, tuple)):
        return (list(value[start : start + _BATCH]) for start in range(0, len(value), _BATCH))
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray) and value.ndim:
        return (value[start : start + _BATCH].tolist() for start in range(0, len(value), _BATCH))
    table = arrow_table(value)
    return None if table is None else (batch.to_pylist() for batch in table.to_batches(max_chunksize=_BATCH))


def arrow_table(value: Any) -> Any:
    """The value as an Arrow table, None if it is no table."""
    library = type(value).__module__.partition(".")[0]
    if (library, type(value).__name__) not in _TABLES:
        return None
    if library == "pyarrow":
        return value
    import pyarrow

    return value.to_arrow() if library == "polars" else pyarrow.Table.from_pandas(value)


def encode(value: Any) -> bytes:
    """Compact JSON. NaN and infinities are null; what JSON knows nothing of is shown by its preview."""
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        # Keys that are no text, text with lone surrogates: the slower way knows what to do.
        return json.dumps(_plain(value), separators=(",", ":")).encode()


def _foreign(value: Any) -> Any:
    """What JSON takes for a value of a type that msgspec does not know."""
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if isinstance(value, numpy.ndarray):
            return value.tolist()
        if isinstance(value, numpy.generic):
            plain = value.item()
            return plain if not isinstance(plain, numpy.generic) else str(plain)
    if isinstance(value, complex):
        return str(value)
    kind = type(value)
    if kind.__name__ == "Series" and kind.__module__.partition(".")[0] in ("pandas", "polars"):
        return value.to_list()
    batches = items(value)
    return preview(value) if batches is None else [item for batch in batches for item in batch]


_encode = msgspec.json.Encoder(enc_hook=_foreign).encode


def _plain(value: Any) -> Any:
    """The same in what Python's own json takes."""
    if isinstance(value, dict):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    try:
        return msgspec.json.decode(_encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return preview(value)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(key)
