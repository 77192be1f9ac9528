"""Values come back exactly as they were, or are refused; bytes that make no sense are refused, and nothing runs."""

from __future__ import annotations

import collections
import json
import math
import pickle
import struct
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path
from typing import Any

import cloudpickle
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runstone.errors import FolderError, NotStorable, Untrusted
from runstone.folder.values import (
    NOT_PLAIN,
    Column,
    decode_cell,
    decode_column,
    decode_small,
    encode_column,
    encode_small,
    find_unstorable,
    from_tagged,
    to_tagged,
)
from runstone.folder.values.tagged import TooLong

floats = st.floats() | st.builds(
    lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0], st.integers(0, 2**64 - 1)
)
texts = st.text(st.characters()) | st.text(st.characters(categories=["Cs", "L"])) | st.sampled_from(["", "$", "$tuple"])
ints = st.integers() | st.integers(-(2**64), 2**64) | st.just(10**30) | st.just(-(2**3000))
scalars = st.none() | st.booleans() | ints | floats | texts | st.binary()
plain_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(texts, inner, max_size=4)
    ),
    max_leaves=20,
)
plain_columns = st.one_of(
    *[
        st.lists(one, max_size=30)
        for one in (st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), ints, floats, texts, st.binary())
    ],
    *[st.lists(st.integers(-(2**bits), 2**bits - 1), min_size=1, max_size=5) for bits in (7, 8, 15, 16, 31, 32, 63)],
)


class Word(str):
    """A str that is not exactly one."""


class Count(int):
    """An int that is not exactly one."""


class Holder:
    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)


class Slotted:
    __slots__ = ("lock", "name")

    def __init__(self) -> None:
        self.name = "slotted"
        self.lock = threading.Lock()


class Stateful:
    def __getstate__(self) -> dict[str, object]:
        return {"made": [threading.Lock()]}


class Grumpy:
    def __reduce__(self) -> str:
        raise RuntimeError("not in the mood")


class Canary:
    """Leaves a file behind when somebody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def same(one: object, other: object) -> bool:
    """Equal in every bit and every type."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))  # type: ignore[arg-type]
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))  # type: ignore[attr-defined]
    return one == other


def written(column: Column) -> tuple[object, bytes]:
    """What a reader finds: the description after JSON, and the bytes."""
    data = b"".join(column.data)
    assert len(data) == column.size
    return json.loads(msgspec.json.encode(column.meta)), data


def there_and_back(values: list[Any], *, trust: bool = False) -> list[Any]:
    meta, data = written(encode_column(values))
    back = decode_column(meta, memoryview(data), len(values), trust=trust)
    return back


@settings(deadline=None)
@given(plain_columns)
def test_a_column_of_one_plain_type_comes_back_exactly_and_each_of_its_cells_alone(values: list[object]) -> None:
    column = encode_column(values)
    meta, data = written(column)
    assert column.safe
    assert same(decode_column(meta, data, len(values), trust=False), values)
    assert same([decode_cell(meta, data, len(values), at, trust=False) for at in range(len(values))], values)


@settings(deadline=None)
@given(st.lists(plain_values, max_size=6))
def test_a_mixed_column_of_nested_plain_values_comes_back_exactly_and_is_safe(values: list[object]) -> None:
    column = encode_column(values)
    meta, data = written(column)
    assert column.safe
    assert same(decode_column(meta, data, len(values), trust=False), values)
    assert same([decode_cell(meta, data, len(values), at, trust=False) for at in range(len(values))], values)


@settings(deadline=None)
@given(plain_values)
def test_tagged_json_gives_back_the_value_through_real_json_text(value: object) -> None:
    before = pickle.dumps(value)
    text = msgspec.json.encode(to_tagged(value))
    assert same(from_tagged(msgspec.json.decode(text)), value)
    assert same(from_tagged(json.loads(text)), value)
    assert pickle.dumps(value) == before


@settings(deadline=None)
@given(plain_values)
def test_a_small_value_lives_in_an_event_and_comes_back(value: object) -> None:
    stored = encode_small(value, limit=100_000)
    assert stored is not None
    event = msgspec.json.decode(msgspec.json.encode({"value": stored}))
    assert same(decode_small(event["value"], trust=False), value)
    assert same(decode_small(stored, trust=False), value)


@pytest.mark.parametrize(
    ("values", "kind", "size"),
    [
        ([None] * 17, "none", 3),
        ([True, False], "bool", 2),
        ([0, 255], "int", 2),
        ([-1, 127], "int", 2),
        ([-1, 128], "int", 4),
        ([0, 2**32 - 1], "int", 8),
        ([-(2**63), 2**63 - 1], "int", 16),
        ([2**64 - 1], "int", 8),
        ([2**64], "cells", None),
        ([True, 1], "cells", None),
        ([1, 1.0], "cells", None),
        ([None, 1], "cells", None),
        (["a", "é"], "str", 2 + 3),
        (["\ud83d", "\ude00", "é"], "str", 3 + 8),
        ([b"ab", b""], "bytes", 2 + 2),
    ],
)
def test_only_values_of_exactly_one_type_are_a_plain_column_in_the_narrowest_width(
    values: list[object], kind: str, size: int | None
) -> None:
    column = encode_column(values)
    assert column.kind == column.meta["kind"] == kind
    assert size is None or column.size == size
    assert same(there_and_back(values), values)


@pytest.mark.parametrize("value", [Word("a"), Count(1), collections.OrderedDict(a=1), {1: 2}, {1, 2}, 1j, range(3)])
def test_what_is_not_exactly_plain_is_pickled_and_needs_trust(value: object) -> None:
    assert to_tagged(value) is to_tagged([value]) is NOT_PLAIN
    column = encode_column([value, value])
    meta, data = written(column)
    assert not column.safe
    with pytest.raises(Untrusted, match="trust=True"):
        decode_column(meta, data, 2, trust=False)
    assert same(decode_column(meta, data, 2, trust=True), [value, value])
    stored = encode_small(value)
    with pytest.raises(Untrusted):
        decode_small(stored, trust=False)
    assert same(decode_small(stored, trust=True), value)


def test_json_stays_plain_where_that_is_exact_and_is_tagged_where_it_is_not() -> None:
    value = {"a": [1, 1.0, True, None, "é"], "b": {"c": {}}}
    assert to_tagged(value) == value
    assert to_tagged((1, (2,))) == {"$tuple": [1, {"$tuple": [2]}]}
    assert to_tagged([2**53, -(2**53) - 1]) == [2**53, {"$int": "-9007199254740993"}]
    assert to_tagged([math.nan, -math.inf]) == [{"$float": "nan"}, {"$float": "-inf"}]
    assert to_tagged(b"abc") == {"$bytes": "YWJj"}
    assert to_tagged({"$a": 1, "b": 2}) == {"$dict": [["$a", 1], ["b", 2]]}
    assert to_tagged("\ud800") == {"$str": "7aCA"}


@pytest.mark.parametrize("long", [list(range(100)), [0.5] * 100, [True] * 100, [2**60] * 100, [math.nan] * 100])
def test_long_lists_of_one_type_come_back_exactly(long: list[object]) -> None:
    assert same(from_tagged(msgspec.json.decode(msgspec.json.encode(to_tagged(long)))), long)


def test_tagging_shares_no_container_with_the_value() -> None:
    value: dict[str, list[int]] = {"a": list(range(20))}
    tagged = to_tagged(value)
    value["a"].append(1)
    assert tagged == {"a": list(range(20))}


@pytest.mark.parametrize(
    "malformed",
    [
        {"$what": 1},
        {"$tuple": 1},
        {"$tuple": [], "b": 1},
        {"a": 1, "$tuple": []},
        {"$int": 1},
        *({"$int": text} for text in ("", "-", " 1", "1_0", "+1", "0x", "0x-1", "0x 1", "0x1_0", "\u0661", "9" * 641)),
        *({"$float": text} for text in ("", "NaN", "1.0", "nan:", "nan:3ff0000000000000", "nan:" + "g" * 16)),
        *({"$bytes": text} for text in ("a", "YQ", "YQ==YQ==", " YQ==", "é")),
        {"$str": "/w=="},
        {"$dict": {}},
        {"$dict": [["a"]]},
        {"$dict": [[1, 2]]},
        {"$dict": [["a", 1], ["a", 2]]},
        {"$dict": [[[], 2]]},
        {"$pickle": ""},
    ],
)
def test_a_malformed_tag_is_refused(malformed: object) -> None:
    with pytest.raises(FolderError):
        from_tagged([malformed])


def test_cycles_deep_nesting_and_shared_containers_neither_hang_nor_lose_anything() -> None:
    cycle: list[object] = [1]
    cycle.append(cycle)
    shared: list[object] = ["leaf"]
    for _ in range(60):
        shared = [shared, shared]
    deep: object = 1
    for _ in range(101):
        deep = (deep,)
    for value in (cycle, shared, deep):
        assert to_tagged(value) is NOT_PLAIN
        assert not encode_column([value]).safe
    (back,) = there_and_back([cycle], trust=True)
    assert back[1] is back
    assert same(from_tagged(to_tagged(deep[0])), deep[0])  # type: ignore[index]


def test_leaves_that_need_a_tag_may_lie_at_the_greatest_depth() -> None:
    value: object = {"\ud800": 2**60, "b": b"x"}
    for _ in range(99):
        value = [value]
    assert same(from_tagged(to_tagged(value)), value)


def test_json_nested_deeper_than_anything_written_is_refused() -> None:
    for text in (b"[" * 100_000, b"[" * 900 + b"]" * 900, b'{"$tuple":[' * 200 + b"]}" * 200):
        with pytest.raises(FolderError):
            decode_small(msgspec.Raw(text), trust=False)


def test_a_value_that_repeats_one_container_a_few_times_is_still_safe() -> None:
    row = [1, "two"]
    assert same(there_and_back([[row] * 100]), [[row] * 100])
    assert encode_column([[row] * 100]).safe


@pytest.mark.parametrize(
    ("value", "path", "text"),
    [
        ({"client": Holder(lock=threading.Lock())}, "['client'].lock", "cannot pickle '_thread.lock'"),
        ([1, (2, [Slotted()])], "[1][1][0].lock", "_thread.lock"),
        (threading.Lock(), "", "_thread.lock"),
        ({"f": (lambda lock: lambda: lock)(threading.Lock())}, "['f'].__closure__[0].cell_contents", "_thread.lock"),
        (Stateful(), ".made[0]", "_thread.lock"),
        ([Grumpy()], "[0]", "RuntimeError: not in the mood"),
        ({"a": (i for i in range(3))}, "['a']", "generator"),
        ({"b": {threading.Lock()}}, "['b']<element>", "_thread.lock"),
        ({"x" * 100: threading.Lock()}, f"['{'x' * 56}...]", "_thread.lock"),
    ],
)
def test_a_value_nothing_can_keep_is_refused_with_the_path_to_the_culprit(value: object, path: str, text: str) -> None:
    for store in (encode_small, lambda value: encode_column([value])):
        with pytest.raises(NotStorable, match="cannot be stored") as refusal:
            store(value)
        assert refusal.value.path == path
        assert text in refusal.value.problem


def test_the_search_for_a_culprit_ends_on_cycles_and_on_code_that_fails() -> None:
    class Broken(list):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            raise ValueError("no iterating")

        def __reduce_ex__(self, protocol: object) -> Any:
            raise ValueError("no pickling")

    cycle: dict[str, object] = {}
    cycle["self"] = cycle
    cycle["lock"] = threading.Lock()
    with pytest.raises(NotStorable) as refusal:
        encode_column([cycle])
    assert refusal.value.path == "['lock']"
    with pytest.raises(NotStorable, match="no pickling"):
        encode_column([Broken([1])])


def test_the_values_that_cannot_be_stored_are_told_apart_from_their_neighbours() -> None:
    values = [1, threading.Lock(), "two", {"a": Grumpy()}]
    with pytest.raises(NotStorable):
        encode_column(values)
    assert {index: refusal.path for index, refusal in find_unstorable(values).items()} == {1: "", 3: "['a']"}


def test_one_bad_pickle_does_not_poison_its_neighbours() -> None:
    values = [1, {1, 2}, "three"]
    meta, data = written(encode_column(values))
    blob = pickle.dumps({1, 2}, 5)
    assert data.count(blob) == 1
    broken = data.replace(blob, b"\x00" * len(blob))
    assert decode_cell(meta, broken, 3, 0, trust=False) == 1
    assert decode_cell(meta, broken, 3, 2, trust=False) == "three"
    with pytest.raises(Untrusted):
        decode_cell(meta, broken, 3, 1, trust=False)
    with pytest.raises(FolderError, match="cannot be loaded"):
        decode_cell(meta, broken, 3, 1, trust=True)


def test_what_is_defined_in_main_comes_back_in_another_program() -> None:
    script = """
        import pathlib, sys
        from runstone.folder.values import encode_column
        class Point:
            def __init__(self, x): self.x = x
            def double(self): return self.x * 2
        sys.stdout.buffer.write(b"".join(encode_column([Point(21)]).data))
    """
    data = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], check=True, capture_output=True, timeout=60
    ).stdout
    width = "u1" if len(data) < 2**8 + 2 else "u2"
    (point,) = decode_column({"kind": "cells", "width": width}, data, 1, trust=True)
    assert point.double() == 42  # type: ignore[attr-defined]


def test_a_small_value_has_a_limit_and_large_ones_are_given_up_early() -> None:
    class Counted:
        pickled = 0

        def __init__(self) -> None:
            self.content = [{n} for n in range(100_000)]

        def __reduce__(self) -> Any:
            def pieces() -> Any:
                for n in range(100_000):
                    Counted.pickled += 1
                    yield n, "x" * 100 + str(n)

            return dict, (), None, None, pieces()

    stored = encode_small("x" * 4094)
    assert stored is not None
    assert len(bytes(stored)) == 4096
    for large in ("x" * 4095, b"x" * 4000, [0] * 3000, {"a": ["é" * 3000]}, set(range(3000)), 10**5000):
        assert encode_small(large) is None
    # Given up before the lock at the end is met.
    assert encode_small([*[0] * 5000, threading.Lock()]) is None
    assert encode_small(Counted()) is None
    assert Counted.pickled < 5000
    assert encode_small([1, 2, 3], limit=7) == msgspec.Raw(b"[1,2,3]")
    assert encode_small([1, 2, 3], limit=6) is None


def test_tagging_stops_at_the_number_of_items_the_caller_can_use() -> None:
    assert to_tagged([[1], {"a": 2}], max_items=7) == [[1], {"a": 2}]
    with pytest.raises(TooLong):
        to_tagged([[1], {"a": 2}], max_items=6)


def test_none_as_a_small_value_is_not_taken_for_too_large() -> None:
    assert encode_small(None) == msgspec.Raw(b"null")
    assert decode_small(msgspec.Raw(b"null"), trust=False) is None


@pytest.mark.parametrize("body", ["x", 1, None, [], "AAAA"])
@pytest.mark.parametrize("tag", ["$pickle", "$npy", "$scalar"])
def test_a_malformed_binary_tag_is_refused(tag: str, body: object) -> None:
    pytest.importorskip("numpy")
    with pytest.raises(FolderError):
        decode_small({tag: body}, trust=True)


# What someone hostile wrote


@pytest.mark.parametrize(
    ("meta", "data", "count"),
    [
        ({"kind": "none"}, b"", 10**12),
        ({"kind": "bool"}, b"\x02", 1),
        ({"kind": "bool"}, b"", 10**12),
        ({"kind": "int", "width": "i8"}, b"", 10**12),
        ({"kind": "int", "width": "i9"}, b"", 0),
        ({"kind": "int", "width": ["u1"]}, b"", 0),
        ({"kind": "int"}, b"1", 1),
        ({"kind": "float"}, b"1", 1),
        ({"kind": "str", "width": "u1"}, b"\x01\xff", 1),
        ({"kind": "str", "width": "u1"}, b"\x03\xed\xa0\x80", 1),
        ({"kind": "str", "width": "u8"}, b"\xff" * 8, 1),
        ({"kind": "str", "width": "i1"}, b"\xff\x01a", 2),
        ({"kind": "bytes", "width": "i1"}, b"\xff\x01", 2),
        ({"kind": "bytes", "width": "u4"}, b"\xff\xff\xff\xff", 1),
        ({"kind": "cells", "width": "u4"}, b"", 10**12),
        ({"kind": "cells", "width": "u1"}, b"j\x01", 1),
        ({"kind": "cells", "width": "i1"}, b"jj\xff\x021", 2),
        ({"kind": "cells", "width": "u1"}, b"?\x00", 1),
        ({"kind": "cells", "width": "u1"}, b"j\x01{", 1),
        ({"kind": "cells", "width": "u1"}, b"j\x01\xff", 1),
        ({"kind": "numpy"}, b"", 0),
        ({"kind": "other"}, b"", 0),
        ({"kind": ["int"]}, b"", 0),
        ({}, b"", 0),
        ([], b"", 0),
        (None, b"", 0),
        ({"kind": "none"}, b"", -1),
        ({"kind": "none"}, b"\0", True),
        ({"kind": "none"}, b"\0", 1.0),
    ],
)
def test_claims_that_do_not_fit_the_bytes_are_refused(meta: object, data: bytes, count: int) -> None:
    with pytest.raises(FolderError):
        decode_column(meta, data, count, trust=True)
    with pytest.raises(FolderError):
        decode_cell(meta, data, count, 0, trust=True)


def test_a_cell_that_does_not_exist_is_refused() -> None:
    meta, data = written(encode_column([1, 2]))
    for index in (-1, 2):
        with pytest.raises(FolderError, match="no value"):
            decode_cell(meta, data, 2, index, trust=False)


def test_a_pickle_is_not_opened_without_trust(tmp_path: Path) -> None:
    egg = tmp_path / "hatched"
    meta, data = written(encode_column([1, Canary(egg)]))
    stored = encode_small(Canary(egg))
    for attempt in (
        lambda: decode_column(meta, data, 2, trust=False),
        lambda: decode_cell(meta, data, 2, 1, trust=False),
        lambda: decode_small(stored, trust=False),
    ):
        with pytest.raises(Untrusted):
            attempt()
    assert not egg.exists()
    decode_small(stored, trust=True)
    assert egg.exists()


def everything(egg: Path) -> list[tuple[object, bytes, int]]:
    samples: list[list[object]] = [
        [None] * 9,
        [True, False],
        [1, -300],
        [0.5],
        ["a", "é"],
        ["\ud800", ""],
        [b"a", b""],
        [{"a": (1, 2**70, math.nan)}, Canary(egg), None, b"x", "\ud800", {"$x": 1}],
    ]
    if "numpy" in sys.modules:
        import numpy

        array = numpy.arange(6).reshape(2, 3)
        samples += [[numpy.float32(1), numpy.float32(2)], [array, array.T, numpy.float64(1)], [numpy.array([object()])]]
    columns = [(encode_column(values), len(values)) for values in samples]
    return [(*written(column), count) for column, count in columns]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=400)
@given(st.data())
def test_cut_or_flipped_bytes_give_an_error_or_values_but_never_run_anything(
    tmp_path: Path, data: st.DataObject
) -> None:
    pytest.importorskip("numpy")
    egg = tmp_path / "hatched"
    meta, blob, count = data.draw(st.sampled_from(everything(egg)))
    damage = data.draw(st.sampled_from(["cut", "flip", "grow", "count", "width"]))
    if damage == "cut":
        blob = blob[: data.draw(st.integers(0, max(0, len(blob) - 1)))]
    elif damage == "flip" and blob:
        at = data.draw(st.integers(0, len(blob) - 1))
        blob = blob[:at] + bytes([data.draw(st.integers(0, 255))]) + blob[at + 1 :]
    elif damage == "grow":
        blob += data.draw(st.binary(min_size=1))
    elif damage == "count":
        count = data.draw(st.integers(0, 2**70))
    else:
        meta = {**meta, "width": data.draw(st.sampled_from(["u1", "i1", "u2", "u8", "", None]))}  # type: ignore[dict-item]
    try:
        assert len(decode_column(meta, blob, count, trust=False)) == count
    except FolderError:
        pass
    try:
        decode_cell(meta, blob, count, 0, trust=False)
    except FolderError:
        pass
    assert not egg.exists()


# numpy


def numpy_scalars() -> list[Any]:
    np = pytest.importorskip("numpy")
    return [
        *(kind(1) for kind in (np.int8, np.uint8, np.int64, np.uint64, np.float16, np.float32, np.float64)),
        *(np.longdouble(1) / 3, np.complex64(1j), np.complex128(1 - 0j), np.bool_(True), np.float64("nan")),
        *(np.float32("-0.0"), np.datetime64("2020-01-01"), np.datetime64("2020-01-01T00:00:00.5", "25us")),
        *(np.datetime64("NaT"), np.timedelta64(3, "h"), np.str_("é\U0001f600"), np.str_(""), np.bytes_(b"ab")),
        np.frombuffer(struct.pack("<I", 0x7FC12345), "<f4")[0],
    ]


def test_numpy_scalars_of_one_type_come_back_as_the_same_scalars() -> None:
    np = pytest.importorskip("numpy")
    for scalar in numpy_scalars():
        column = encode_column([scalar] * 3)
        assert (column.kind, column.safe) == ("numpy", True)
        meta, data = written(column)
        alone = decode_cell(meta, data, 3, 2, trust=False)
        mixed = there_and_back([scalar, None])[0]
        small = decode_small(encode_small(scalar), trust=False)
        for back in (*there_and_back([scalar] * 3), alone, mixed, small):
            assert (type(back), back.dtype) == (type(scalar), scalar.dtype)
            if type(scalar) is np.longdouble:
                assert back == scalar
            else:
                assert back.tobytes() == scalar.tobytes()


def test_numpy_scalars_that_no_array_keeps_together_are_kept_apart() -> None:
    np = pytest.importorskip("numpy")
    units = [np.datetime64("2020-01-01"), np.datetime64("2020-01-01", "s")]
    back = there_and_back(units)
    assert [scalar.dtype for scalar in back] == [scalar.dtype for scalar in units]
    uneven = [np.str_("x" * 100_000), *[np.str_("y")] * 500]
    assert encode_column(uneven).size < 1_000_000
    assert there_and_back(uneven) == uneven
    mixed = [np.int64(1), np.int32(1), 1, True, 1.0]
    assert list(map(type, there_and_back(mixed))) == list(map(type, mixed))


def test_a_users_subclass_of_a_numpy_scalar_and_a_row_of_a_structured_array_are_pickled() -> None:
    np = pytest.importorskip("numpy")
    row = np.zeros(1, [("a", "i4")])[0]
    assert not encode_column([row]).safe
    assert there_and_back([row], trust=True) == [row]
    kind = type("Metre", (np.float64,), {})
    assert not encode_column([kind(1.0)]).safe


def arrays() -> list[Any]:
    np = pytest.importorskip("numpy")
    base = np.arange(24.0).reshape(2, 3, 4)
    return [
        base,
        base.T,
        base[:, ::2],
        np.asfortranarray(base[0]),
        np.array(5),
        np.array([]),
        np.zeros((0, 3)),
        np.zeros((2, 0, 3), "i2", order="F"),
        np.array([1, 2], ">i4"),
        np.array(["a", "bcd\U0001f600"]),
        np.array([b"a\0b", b""]),
        np.array([True, False]),
        np.array([1 + 2j, np.nan]),
        np.array(["2020-01-01", "NaT"], "M8[ns]"),
        np.array([(1, 2.5), (3, 4.5)], [("a", "i4"), ("b", ">f8")]),
        np.zeros(2, [("a", [("x", "u1")]), ("b", "f4", (2, 2))]),
        np.zeros(3, "V7"),
        np.array([0.1], np.longdouble),
    ]


def test_arrays_come_back_with_dtype_shape_and_order_and_can_be_written_to() -> None:
    for array in arrays():
        column = encode_column([array])
        assert column.safe
        (back,) = there_and_back([array])
        for found in (back, decode_small(encode_small(array), trust=False)):
            assert type(found) is type(array)
            assert (found.dtype, found.shape) == (array.dtype, array.shape)
            assert found.dtype.str == array.dtype.str
            assert (found.flags.writeable, found.flags.aligned) == (True, True)
            assert found.tobytes() == array.tobytes()
            assert found.flags.f_contiguous or not array.flags.f_contiguous


def test_arrays_that_npy_would_change_are_pickled_and_come_back() -> None:
    np = pytest.importorskip("numpy")
    aligned = np.zeros(2, np.dtype([("a", "i1"), ("b", "i8")], align=True))
    annotated = np.zeros(2, np.dtype("i4", metadata={"unit": "m"}))
    masked = np.ma.array([1, 2], mask=[True, False])
    records = np.zeros(2, [("a", "i4")]).view(np.recarray)
    plain_records = np.zeros(2, np.dtype((np.record, [("a", "i4")])))
    for array in (aligned, annotated, masked, records, plain_records, np.array([None, {}]), np.zeros(2, [("ż", "i4")])):
        assert not encode_column([array]).safe
        (back,) = there_and_back([array], trust=True)
        assert (type(back), back.dtype) == (type(array), array.dtype)
        assert back.dtype.isalignedstruct == array.dtype.isalignedstruct
        assert back.dtype.metadata == array.dtype.metadata
        assert back.dtype.type is array.dtype.type


def test_what_is_recorded_of_an_array_is_not_changed_by_its_owner_later() -> None:
    np = pytest.importorskip("numpy")
    array = np.zeros(100_000)
    column = encode_column([array])
    array[:] = 1
    meta, data = written(column)
    assert decode_column(meta, data, 1, trust=False)[0].sum() == 0  # type: ignore[attr-defined]


def npy(header: str, body: bytes = b"") -> bytes:
    encoded = header.encode("latin1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(encoded)) + encoded + body


@pytest.mark.parametrize(
    "hostile",
    [
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n"),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n", b"x" * 8),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (True,), }\n", b"x" * 8),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }\n"),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 99999999999999999999999), }\n"),
        npy("{'descr': '<U1000000000', 'fortran_order': False, 'shape': (1,), }\n"),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", pickle.dumps([1])),
        npy("{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }\n", b"x" * 8),
        npy("{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000000,), }\n"),
        npy("{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,), }\n"),
        npy("(" * 9000),
        npy("-" * 9000 + "1"),
        npy("[" * 60_000),
        npy("__import__('os')"),
        b"\x93NUMPY\x01\x00\xff\xff",
        b"\x93NUMPY\x03\x00\x00\x00\x00\x00",
        b"",
    ],
)
def test_a_hostile_array_is_refused_before_anything_is_allocated(hostile: bytes) -> None:
    pytest.importorskip("numpy")
    width = "u2"
    column = b"a" + struct.pack("<H", len(hostile)) + hostile
    with pytest.raises(FolderError):
        decode_column({"kind": "cells", "width": width}, column, 1, trust=True)
    with pytest.raises(FolderError):
        decode_column({"kind": "numpy"}, hostile, 1, trust=True)


# Tables


def letter(value: object) -> bytes:
    return bytes(b"".join(encode_column([value]).data)[:1])


def simple_frames() -> list[Any]:
    pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    np = pytest.importorskip("numpy")
    annotated = pd.DataFrame({"a": [1]})
    annotated.attrs = {"unit": "m", "scale": 1.0, "nested": {"list": [1, None]}}
    return [
        pd.DataFrame({"a": [1, 2, 3], "b": [1.5, np.nan, -0.0], "c": ["x", "é", None], "d": [True, False, True]}),
        pd.DataFrame({"a": np.array([1, 2], "i1"), "b": np.array([1, 2], "f4")}, index=[5, 3]),
        pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "y"], name="key")),
        pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(10, 14, 2)),
        pd.DataFrame({"t": pd.to_datetime(["2020-01-01", None]), "u": pd.to_datetime(["2020", "2021"], utc=True)}),
        pd.DataFrame({"i": pd.array([1, None], "Int64"), "b": pd.array([True, None], "boolean")}),
        pd.DataFrame({"c": pd.Categorical(["b", "a", "b"], categories=["b", "a"], ordered=True)}),
        pd.DataFrame({"a": pd.Series([], dtype="int64")}),
        annotated,
    ]


def test_simple_pandas_tables_are_parquet_and_come_back_exactly() -> None:
    pd = pytest.importorskip("pandas")
    for frame in simple_frames():
        assert letter(frame) == b"d"
        (back,) = there_and_back([frame])
        pd.testing.assert_frame_equal(back, frame, check_exact=True, check_freq=True, check_flags=True)
        assert back.dtypes.tolist() == frame.dtypes.tolist()
        assert json.dumps(back.attrs) == json.dumps(frame.attrs)
        assert encode_small(frame) is None


def test_pandas_tables_that_parquet_would_change_are_pickled_and_come_back() -> None:
    pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    annotated = pd.DataFrame({"a": [1]})
    annotated.attrs = {"pair": (1, 2)}
    frames = [
        pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2020-01-01", periods=2, freq="D")),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame([[1, 2]], columns=[0, 1]),
        pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)])),
        pd.DataFrame({"a": [{"x": 1}]}),
        pd.DataFrame({"a": [1, "two"]}),
        pd.DataFrame({"a": [1 + 2j]}),
        pd.DataFrame({"a": ["\ud800"]}, dtype=object),
        pd.DataFrame({"a": pd.period_range("2020", periods=2, freq="M")}),
        annotated,
    ]
    for frame in frames:
        assert letter(frame) == b"p"
        (back,) = there_and_back([frame], trust=True)
        pd.testing.assert_frame_equal(back, frame, check_exact=True, check_freq=True)
        assert back.attrs == frame.attrs
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        annotated.attrs = {"a set": {1, 2}}
        assert letter(annotated) == b"p"
    assert not warned
    assert letter(pd.Series([1])) == b"p"
    assert letter(type("Mine", (pd.DataFrame,), {})({"a": [1]})) == b"p"


def test_a_categorical_comes_back_with_the_categories_it_does_not_use() -> None:
    pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"c": pd.Categorical(["a"], categories=["z", "a", "b"])})
    (back,) = there_and_back([frame], trust=True)
    assert list(back["c"].cat.categories) == ["z", "a", "b"]


def test_arrow_tables_come_back_with_schema_metadata_and_every_bit() -> None:
    pa = pytest.importorskip("pyarrow")
    np = pytest.importorskip("numpy")
    odd_nan = np.frombuffer(struct.pack("<QQ", 0x7FF8000000000123, 0xFFF8000000000000), "<f8")
    schema = pa.schema([pa.field("a", pa.int8(), nullable=False, metadata={"k": "v"})], metadata={"who": "me"})
    tables = [
        pa.table({"a": [1, 2]}, schema=schema),
        pa.table({"f": odd_nan, "g": [0.0, -0.0]}),
        pa.table({"l": [[1.5, float("nan")], None], "s": [{"x": 1}, None], "t": ["é", None], "b": [b"x", b""]}),
        pa.table({"d": pa.array(["b", "a", "b"]).dictionary_encode()}),
        pa.table({"ts": pa.array([1, None], pa.timestamp("ns", "UTC")), "n": pa.nulls(2)}),
        pa.table({}),
    ]
    for table in tables:
        assert letter(table) == b"t"
        (back,) = there_and_back([table])
        assert back.schema.equals(table.schema, check_metadata=True)
        assert str(back.to_pydict()) == str(table.to_pydict())
    back = there_and_back([tables[1]])[0]
    assert back.column("f").to_numpy().tobytes() == odd_nan.tobytes()


def test_polars_tables_are_parquet_and_come_back_exactly() -> None:
    pytest.importorskip("pyarrow")
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(
        {"a": [1, None], "b": ["x", "é"], "c": [[1.5], None], "d": [float("nan"), -0.0], "e": [True, False]},
        schema_overrides={"a": pl.UInt8},
    )
    assert letter(frame) == b"l"
    (back,) = there_and_back([frame])
    assert back.schema == frame.schema
    assert back.equals(frame, null_equal=True)
    assert letter(pl.Series([1])) == b"p"
    with pytest.raises(NotStorable):
        encode_column([pl.DataFrame({"o": [object()]}, schema={"o": pl.Object})])


def test_a_hostile_table_is_refused() -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table({"a": pa.repeat(pa.scalar("x" * 100), 20_000_000)}), sink)
    bomb = sink.getvalue().to_pybytes()
    assert len(bomb) < 300_000
    for hostile in (bomb, b"", b"PAR1", bomb[:100], b"PAR1" + b"\xff" * 50 + b"PAR1"):
        for kind in (b"t", b"d", b"l"):
            column = kind + struct.pack("<I", len(hostile)) + hostile
            with pytest.raises(FolderError):
                decode_column({"kind": "cells", "width": "u4"}, column, 1, trust=True)


def test_a_table_that_was_cut_anywhere_gives_an_error() -> None:
    # Flipped bytes are caught by the checksum of the frame: pyarrow itself may abort the process over one.
    pa = pytest.importorskip("pyarrow")
    meta, blob = written(encode_column([pa.table({"a": list(range(50)), "b": ["x"] * 50}), None]))
    for at in range(0, len(blob), 7):
        with pytest.raises(FolderError):
            decode_column(meta, blob[:at], 2, trust=False)


def test_storing_plain_values_imports_no_heavy_library() -> None:
    script = """
        import sys
        from runstone.folder.values import encode_column, encode_small
        from runstone.folder.preview import preview
        for value in (1, "a", [1, {"b": (2,)}], {1, 2}):
            encode_column([value]), encode_small(value), preview(value)
        heavy = {"numpy", "pandas", "pyarrow", "polars", "cloudpickle"} & set(sys.modules)
        assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)


def test_cloudpickle_is_what_carries_functions_without_a_name() -> None:
    (double,) = there_and_back([lambda x: x * 2], trust=True)
    assert double(21) == 42
    assert cloudpickle.loads(cloudpickle.dumps(double))(1) == 2


@pytest.mark.parametrize("items", [[1] * 64, [True] * 65, ["a", "\ud800"] * 40, [b"x"] * 70, [None] * 64, [0.5] * 64])
@pytest.mark.parametrize("container", [list, tuple])
def test_a_long_list_of_one_plain_type_is_stored_as_a_column_and_comes_back_exactly(
    items: list[object], container: type
) -> None:
    value = container(items)
    column = encode_column([value])
    assert column.safe
    assert column.size < len(items) * 9 + 400
    (back,) = decode_column(column.meta, b"".join(column.data), 1, trust=False)
    assert type(back) is container
    assert list(map(type, back)) == list(map(type, items))
    assert back == value


def test_a_long_list_whose_description_lies_is_refused() -> None:
    column = encode_column([list(range(100))])
    data = b"".join(column.data)
    for wrong in (b'"count":999', b'"count":-99', b'"kind":"xyz"'):
        old = b'"count":100' if b"count" in wrong else b'"kind":"int"'
        assert old in data
        with pytest.raises(FolderError):
            decode_column(column.meta, data.replace(old, wrong), 1, trust=True)
