"""A preview is small, is JSON, and runs nothing that belongs to the value."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import json
import math
import threading
import uuid
from array import array
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstone.folder.preview import MAX_BYTES, preview, type_name

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(st.characters()) | st.integers(), inner)
    ),
    max_leaves=50,
)


calls: list[tuple[object, ...]] = []


class Armed:
    """Every method that Python might call by itself raises."""

    def __init__(self) -> None:
        object.__getattribute__(self, "__dict__")["secret"] = 7

    def _refuse(self, *args: object) -> Any:
        calls.append(args)
        raise AssertionError("code of the value was run")

    __repr__ = __str__ = __len__ = __iter__ = __eq__ = __bool__ = __getattr__ = __getattribute__ = _refuse  # type: ignore[assignment]
    __hash__ = __contains__ = __getitem__ = __format__ = __sizeof__ = __getstate__ = _refuse  # type: ignore[assignment]
    __class__ = property(_refuse)  # type: ignore[assignment]


class ArmedDict(dict):  # type: ignore[type-arg]
    __len__ = __iter__ = items = keys = __getitem__ = __repr__ = Armed._refuse  # type: ignore[assignment]


class ArmedList(list):  # type: ignore[type-arg]
    __len__ = __iter__ = __getitem__ = __repr__ = Armed._refuse  # type: ignore[assignment]


class Loud:
    __slots__ = ("text",)

    def __init__(self, text: object) -> None:
        self.text = text

    def __repr__(self) -> str:
        return "loud " * 100_000


class Broken:
    __slots__ = ()

    def __repr__(self) -> str:
        raise ValueError("no")


class Colour(enum.Enum):
    RED = 1


def size(shown: object) -> int:
    return len(msgspec.json.encode(shown))


@settings(deadline=None)
@given(anything)
def test_any_value_gives_small_json_and_a_short_type_name(value: object) -> None:
    shown = preview(value)
    assert size(shown) <= MAX_BYTES
    assert json.loads(msgspec.json.encode(shown)) == shown
    assert 0 < len(type_name(value)) <= 120


@pytest.mark.parametrize("value", [None, True, 0, -(2**53), 1.5, -0.0, "", "short", "é" * 200])
def test_what_json_can_say_shortly_stands_for_itself(value: object) -> None:
    shown = preview(value)
    assert shown == value
    assert type(shown) is type(value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 201, {"type": "str", "length": 201, "text": "x" * 200}),
        ("\ud800", "?"),
        (10**20, {"type": "int", "text": "1" + "0" * 20}),
        (-(2**9000), {"type": "int", "text": "-an integer of 9001 bits"}),
        (math.inf, {"type": "float", "text": "inf"}),
        (b"\x00\xff", {"type": "bytes", "length": 2, "text": "00ff"}),
        ([1, 2], {"type": "list[2]", "length": 2, "items": [1, 2]}),
        (tuple(range(9)), {"type": "tuple[9]", "length": 9, "items": [0, 1, 2, 3, 4, 5]}),
        ({"a": {1}}, {"type": "dict", "length": 1, "entries": [["a", {"type": "set[1]", "length": 1, "items": [1]}]]}),
        (decimal.Decimal("1.50"), {"type": "decimal.Decimal", "text": "Decimal('1.50')"}),
        (uuid.UUID(int=1), {"type": "uuid.UUID", "text": "UUID('00000000-0000-0000-0000-000000000001')"}),
        (datetime.date(2020, 1, 2), {"type": "datetime.date", "text": "datetime.date(2020, 1, 2)"}),
        (math.sqrt, {"type": "builtin_function_or_method", "text": "math.sqrt"}),
        (dict, {"type": "type", "text": "builtins.dict"}),
        (math, {"type": "module", "text": "math"}),
        (object(), {"type": "object"}),
        (collections.Counter("aab"), {"type": "collections.Counter", "length": 2, "entries": [["a", 2], ["b", 1]]}),
    ],
)
def test_everything_else_tells_its_type_and_its_beginning(value: object, shown: object) -> None:
    assert preview(value) == shown


def test_objects_show_their_attributes_and_enums_their_names() -> None:
    class Point:
        def __init__(self) -> None:
            self.x = 1
            self.name = "here"

    shown: Any = preview(Point())
    assert shown["attributes"] == [["x", 1], ["name", "here"]]
    assert shown["type"].endswith("Point")
    assert preview(Colour.RED)["text"] == "Colour.RED"  # type: ignore[index]


def test_no_method_of_the_value_is_called() -> None:
    calls.clear()
    armed: Any = preview(Armed())
    assert armed == {"type": f"{__name__}.Armed", "attributes": [["secret", 7]]}
    assert preview(ArmedDict(a=1))["entries"] == [["a", 1]]  # type: ignore[index]
    assert preview(ArmedList([1, 2]))["items"] == [1, 2]  # type: ignore[index]
    assert type_name(Armed()) == f"{__name__}.Armed"
    assert calls == []


def test_a_repr_that_fails_or_is_huge_does_no_harm_and_one_of_a_large_object_is_not_asked_for() -> None:
    loud: Any = preview(Loud("x"))
    assert loud["text"].startswith("loud loud")
    assert size(loud) < 400
    assert preview(Broken()) == {"type": f"{__name__}.Broken"}
    for large in ("x" * 10_000, list(range(1000)), threading.Lock()):
        assert preview(Loud(large)) == {"type": f"{__name__}.Loud"}
    assert preview(array("d", range(100_000))) == {"type": "array.array"}


def test_large_and_deep_values_stay_small_and_tell_their_counts() -> None:
    wide: Any = preview([["x" * 1000] * 1000] * 1000)
    assert wide["length"] == 1000
    assert size(wide) <= MAX_BYTES
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    assert size(preview(deep)) <= MAX_BYTES
    cycle: dict[str, object] = {}
    cycle["self"] = cycle
    assert size(preview(cycle)) <= MAX_BYTES
    many: Any = preview({f"key {n}" * 20: "x" * 500 for n in range(10_000)})
    assert many["length"] == 10_000
    long_name: Any = type("N" * 5000, (), {})()
    assert len(type_name(long_name)) == 120
    assert size(preview(long_name)) <= MAX_BYTES


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "None"),
        (True, "bool"),
        ({}, "dict"),
        ([0] * 5, "list[5]"),
        ((), "tuple[0]"),
        (frozenset({1}), "frozenset[1]"),
        (collections.OrderedDict(), "collections.OrderedDict"),
        (lambda: 0, "function"),
    ],
)
def test_type_names_of_builtins(value: object, name: str) -> None:
    assert type_name(value) == name


def test_arrays_show_dtype_shape_and_first_values() -> None:
    np = pytest.importorskip("numpy")
    values = np.arange(12.0).reshape(3, 4)
    assert type_name(values) == "numpy.ndarray[float64, (3, 4)]"
    assert preview(values) == {
        "type": "numpy.ndarray[float64, (3, 4)]",
        "dtype": "float64",
        "shape": [3, 4],
        "first": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
    }
    assert preview(values.T)["first"] == [0.0, 4.0, 8.0, 1.0, 5.0, 9.0]  # type: ignore[index]
    assert preview(np.array(["x", None], object))["first"] == ["x", None]  # type: ignore[index]
    assert preview(np.array("2020-01-01", "M8[D]"))["first"][0]["text"] == "2020-01-01"  # type: ignore[index]
    assert preview(np.float32(0.5)) == {"type": "numpy.float32", "text": "0.5"}
    assert preview(np.zeros((0, 2)))["first"] == []  # type: ignore[index]
    wide = np.zeros(2, [(f"field {n}" * 5, "f8") for n in range(200)])
    assert size(preview(wide)) <= MAX_BYTES


def test_tables_show_columns_rows_and_the_first_of_them() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": range(10), "b": [0.5] * 10})
    assert type_name(frame) == "pandas.DataFrame[10 x 2]"
    assert preview(frame) == {
        "type": "pandas.DataFrame[10 x 2]",
        "rows": 10,
        "columns": 2,
        "dtypes": [["a", "int64"], ["b", "float64"]],
        "first": [[0, 0.5], [1, 0.5], [2, 0.5]],
    }
    assert preview(frame["a"]) == {"type": "pandas.Series[int64, 10]", "length": 10, "first": [0, 1, 2, 3, 4, 5]}
    wide = pd.DataFrame([["x" * 1000] * 500] * 2, columns=[f"column {n}" for n in range(500)])
    assert size(preview(wide)) <= MAX_BYTES
    assert preview(wide)["columns"] == 500  # type: ignore[index]
    assert preview(pd.DataFrame())["first"] == []  # type: ignore[index]


def test_arrow_and_polars_tables_show_the_same() -> None:
    pa = pytest.importorskip("pyarrow")
    pl = pytest.importorskip("polars")
    table = pa.table({"a": [1, 2], "l": [[1], list(range(100_000))]})
    assert preview(table) == {
        "type": "pyarrow.Table[2 x 2]",
        "rows": 2,
        "columns": 2,
        "dtypes": [["a", "int64"], ["l", "list<item: int64>"]],
        "first": [[1, {"type": "list[1]", "length": 1, "items": [1]}], [2, "<list<item: int64>>"]],
    }
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert preview(frame) == {
        "type": "polars.DataFrame[2 x 2]",
        "rows": 2,
        "columns": 2,
        "dtypes": [["a", "Int64"], ["b", "String"]],
        "first": [[1, "x"], [2, None]],
    }
