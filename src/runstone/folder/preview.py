"""A look at a value that is small, safe to keep and safe to show: JSON made when the value is stored.

None, bool, int within 2**53, finite float and short text stand for themselves. Everything else is an object:

    {"type": "str", "length": 1234, "text": "its first characters"}      text and bytes (then "text" is hexadecimal)
    {"type": "int" | "float", "text": "123..."}                          what JSON has no exact number for
    {"type": "list[5]", "length": 5, "items": [preview, ...]}            also tuples and sets
    {"type": "dict", "length": 2, "entries": [[preview, preview], ...]}  keys and values
    {"type": "numpy.ndarray[...]", "dtype", "shape", "first": [...]}     in C order
    {"type": "pandas.DataFrame[10 x 3]", "rows": 10, "columns": 3, "dtypes": [[name, dtype], ...],
     "first": [row, ...]}
    {"type": "pandas.Series[int64, 10]", "length": 10, "first": [...]}   pandas and polars
    {"type": "app.Thing", "attributes": [["name", preview], ...]}        any object with a __dict__
    {"type": "app.Thing", "text": "its repr, cut"}                       any other small object
    {"type": "app.Thing"}                                                what is neither

`items`, `entries`, `dtypes`, `first` and `attributes` show only the beginning where there is more.
No code of the value's own runs, except as a last resort its __repr__, and only on objects without large parts.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from enum import Enum
from itertools import islice
from math import isfinite
from types import ModuleType
from typing import Any, cast

import msgspec

from runstone.secrets import redaction
from runstone.secrets.secret import Secret

MAX_BYTES = 2048
"""A preview is at most this long as JSON."""

_MAX_NAME = 120
_SAFE_INT = 2**53
# Tried in this order until the result fits: items a container, characters of a text, levels of nesting.
_SIZES = ((6, 200, 4), (5, 120, 3), (3, 60, 2), (3, 30, 1), (0, 20, 0))
_TABLES = {("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "Table")}
# Objects that a repr may reach, and bytes in one of them.
_SMALL_PARTS, _SMALL_SIZE = 60, 2000
# Whose objects have a repr that is short and harmless, also as parts of others.
_TRUSTED_REPRS = frozenset({"builtins", "datetime", "decimal", "enum", "fractions", "pathlib", "uuid", "zoneinfo"})
# Whose objects have attributes that mean nothing to a user.
_LIBRARIES = frozenset({"numpy", "pandas", "polars", "pyarrow"})


class _Size(msgspec.Struct, frozen=True, kw_only=True):
    items: int
    text: int
    depth: int


def preview(value: object) -> object:
    """Show a value in at most MAX_BYTES of JSON; never raises, whatever the value is."""
    for items, text, depth in _SIZES:
        shown = _show(value, _Size(items=items, text=text, depth=depth))
        if len(msgspec.json.encode(shown)) <= MAX_BYTES:
            return shown
    return {"type": type_name(value)}


def type_name(value: object) -> str:
    """Name the type of a value for people, in at most 120 characters.

    None, and built-in types by their name (int, dict), list, tuple, set and frozenset with their length (list[5]);
    arrays with dtype and shape (numpy.ndarray[float64, (3, 4)]); tables with rows and columns
    (pandas.DataFrame[10 x 3]), pandas and polars Series with dtype and length (pandas.Series[int64, 10]);
    anything else by module and name (app.model.Model), under the library's public name for these libraries.
    """
    try:
        name = _type_name(value)
    except Exception:
        name = _class_name(type(value))
    return _clean(name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 3] + "...")


def _type_name(value: object) -> str:
    kind = type(value)
    if value is None:
        return "None"
    if kind is Secret:
        return "Secret"
    if kind in (list, tuple, set, frozenset):
        return f"{kind.__name__}[{len(cast('list[object]', value))}]"
    library, name = _known(kind)
    known = cast("Any", value)
    if (library, name) == ("numpy", "ndarray"):
        return f"numpy.ndarray[{known.dtype}, {known.shape}]"
    if (library, name) in _TABLES:
        rows, columns = known.shape
        return f"{library}.{name}[{rows} x {columns}]"
    if name == "Series":
        return f"{library}.Series[{known.dtype}, {len(known)}]"
    return f"{library}.{name}" if library else _class_name(kind)


def _known(kind: type) -> tuple[str, str]:
    """Library and public name of exactly this class if it is one of a known library; else two empty texts."""
    module = _module(kind)
    library = module.partition(".")[0]
    if library in _LIBRARIES:
        name = kind.__name__
        if getattr(sys.modules.get(library), name, None) is kind:
            return library, name
    return "", ""


def _class_name(kind: type) -> str:
    try:
        module, name = _module(kind), str(kind.__qualname__)
    except Exception:
        return "object"
    return name if module in ("builtins", "") else f"{module}.{name}"


def _module(kind: type) -> str:
    module = kind.__module__
    return module if type(module) is str else ""


def _show(value: object, size: _Size) -> object:
    try:
        return _shown(value, size)
    except Exception:
        return {"type": type_name(value)}


def _shown(value: object, size: _Size) -> object:
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        return _show_int(cast("int", value), size)
    if kind is float:
        return value if isfinite(cast("float", value)) else {"type": "float", "text": repr(value)}
    if kind is str:
        return _show_text(cast("str", value), size)
    if kind in (bytes, bytearray):
        blob = cast("bytes", value)
        begun = bytes(blob[: size.text // 4 + redaction.longest()])
        return {"type": kind.__name__, "length": len(blob), "text": _hex(begun, size.text // 4)}
    # The base classes' own methods, so that a subclass runs none of its own.
    if issubclass(kind, dict):
        mapping = cast("dict[object, object]", value)
        return _show_entries(value, dict.__len__(mapping), dict.items(mapping), size)
    for base in (list, tuple, set, frozenset):
        if issubclass(kind, base):
            return _show_items(value, base.__len__(cast("Any", value)), base.__iter__(cast("Any", value)), size)
    if kind is Secret:
        return cast("Secret", value).reference or redaction.MASK
    library, name = _known(kind)
    if (library, name) == ("numpy", "ndarray"):
        return _show_array(value, size)
    if (library, name) in _TABLES:
        return _show_table(value, library, size)
    if name == "Series":
        series = cast("Any", value)
        first = [series.iat[at] if library == "pandas" else series[at] for at in range(min(len(series), size.items))]
        return {
            "type": type_name(value),
            "length": len(series),
            "first": [_show(_plain_number(item), _deeper(size)) for item in first],
        }
    if library == "numpy" and issubclass(kind, sys.modules["numpy"].generic):
        return {"type": type_name(value), "text": _cut(str(value), size)}
    return _show_object(value, size)


def _show_int(number: int, size: _Size) -> object:
    if -_SAFE_INT <= number <= _SAFE_INT:
        return redaction.redacted(number)
    if number.bit_length() <= 2000:
        return {"type": "int", "text": _cut(str(number), size)}
    return {"type": "int", "text": f"{'-' if number < 0 else ''}an integer of {number.bit_length()} bits"}


def _show_text(text: str, size: _Size) -> object:
    if len(text) <= size.text:
        return _clean(redaction.redact(text))
    return {"type": "str", "length": len(text), "text": _clean(redaction.beginning(text, size.text))}


def _hex(data: bytes, length: int) -> str:
    """So many bytes from the beginning, in hexadecimal."""
    if not redaction.known():
        return data[:length].hex()
    # as letters first: a secret stands there as such
    readable = redaction.redact_open(data.decode("latin-1"))[:length]
    return redaction.beginning(readable.encode("latin-1").hex(), 2 * length)


def _show_items(value: object, length: int, items: Iterable[object], size: _Size) -> object:
    shown: dict[str, object] = {"type": type_name(value), "length": length}
    if size.depth > 0:
        shown["items"] = [_show(item, _deeper(size)) for item in islice(items, size.items)]
    return shown


def _show_entries(value: object, length: int, entries: Iterable[tuple[object, object]], size: _Size) -> object:
    shown: dict[str, object] = {"type": type_name(value), "length": length}
    if size.depth > 0:
        inner = _deeper(size)
        shown["entries"] = [[_show(key, inner), _show(item, inner)] for key, item in islice(entries, size.items)]
    return shown


def _show_array(value: object, size: _Size) -> object:
    array = cast("Any", value)
    first = [array.flat[at] for at in range(min(array.size, size.items))]
    return {
        "type": type_name(value),
        "dtype": _cut(str(array.dtype), size),
        "shape": list(array.shape)[:32],
        "first": [_show(_plain_number(item), _deeper(size)) for item in first],
    }


def _plain_number(item: object) -> object:
    """The built-in number behind one of numpy's, which reads the same; anything else as it is."""
    generic = getattr(sys.modules.get("numpy"), "generic", ())
    if not isinstance(item, generic):
        return item
    plain = cast("Any", item).item()
    return plain if type(plain) in (bool, int, float, str, bytes) else item


def _show_table(value: object, library: str, size: _Size) -> object:
    table = cast("Any", value)
    rows, columns = table.shape
    shown: dict[str, object] = {"type": type_name(value), "rows": rows, "columns": columns}
    shown["dtypes"] = [
        [_show(name, _deeper(size)), _cut(str(dtype), size)]
        for name, dtype in _fields(table, library, min(columns, size.items))
    ]
    shown["first"] = [
        [_show(_plain_number(item), _deeper(size)) for item in row]
        for row in _first_rows(table, library, min(rows, 3, size.items), min(columns, size.items))
    ]
    return shown


def _fields(table: Any, library: str, columns: int) -> list[tuple[object, object]]:
    if library == "pandas":
        return [(table.columns[at], table.iloc[:, at].dtype) for at in range(columns)]
    if library == "polars":
        return list(zip(table.columns[:columns], table.dtypes[:columns], strict=True))
    return [(field.name, field.type) for field in map(table.schema.field, range(columns))]


def _first_rows(table: Any, library: str, rows: int, columns: int) -> list[list[object]]:
    if library == "pandas":
        return [[table.iat[row, column] for column in range(columns)] for row in range(rows)]
    if library == "polars":
        return [[table[row, column] for column in range(columns)] for row in range(rows)]
    return [[_arrow_item(table.column(column).slice(row, 1)) for column in range(columns)] for row in range(rows)]


def _arrow_item(cell: Any) -> object:
    # A cell may hold a list of millions.
    return cell[0].as_py() if cell.type.num_fields == 0 or cell.nbytes <= _SMALL_SIZE else f"<{cell.type}>"


def _show_object(value: object, size: _Size) -> object:
    shown: dict[str, object] = {"type": type_name(value)}
    kind = type(value)
    if issubclass(kind, type) or kind.__name__ in ("function", "builtin_function_or_method"):
        named = cast("type", value)
        return shown | {"text": _cut(f"{_module(named)}.{named.__qualname__}", size)}
    if kind is ModuleType:
        return shown | {"text": _cut(cast("ModuleType", value).__name__, size)}
    attributes = _attributes(value)
    if issubclass(kind, Enum):
        return shown | {"text": _cut(f"{kind.__qualname__}.{attributes['_name_']}", size)}
    if attributes and _module(kind).partition(".")[0] not in _LIBRARIES:
        if size.depth > 0:
            pairs = islice(attributes.items(), size.items)
            shown["attributes"] = [[_cut(str(name), size), _show(item, _deeper(size))] for name, item in pairs]
    elif kind.__repr__ is not object.__repr__ and _is_small(value):
        shown["text"] = _cut(repr(value), size)
    return shown


def _attributes(value: object) -> dict[str, object]:
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return attributes if type(attributes) is dict else {}


def _is_small(value: object) -> bool:
    """Tell whether a repr would find little to write: few parts, all of them small and of well-known types."""
    waiting, parts = [value], 0
    while waiting:
        part = waiting.pop()
        parts += 1
        if parts > _SMALL_PARTS or sys.getsizeof(part) > _SMALL_SIZE:
            return False
        for inner in gc.get_referents(part):
            if not issubclass(type(inner), type):
                if _module(type(inner)) not in _TRUSTED_REPRS:
                    return False
                waiting.append(inner)
    return True


def _deeper(size: _Size) -> _Size:
    return _Size(items=size.items, text=min(size.text, 80), depth=size.depth - 1)


def _cut(text: str, size: _Size) -> str:
    return _clean(redaction.beginning(text, size.text) + ("..." if len(text) > size.text else ""))


def _clean(text: str) -> str:
    """Text that JSON can hold: lone surrogates become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
