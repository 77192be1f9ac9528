"""Pickles are read as text: nothing in them is called, and nothing they hold can keep a reader busy."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.folder.foreign.pipefunc import pickles
from runstone.folder.foreign.pipefunc.pickles import Made, Name, Pairs

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


class Trap:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: str) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.trace,)


def plain(form: Any) -> Any:
    """The value a form stands for, as far as it is made of what is built."""
    if isinstance(form, Pairs):
        return {key: plain(value) for key, value in form.entries}
    if isinstance(form, tuple):
        return tuple(map(plain, form))
    return list(map(plain, form)) if isinstance(form, list) else form


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(values, st.sampled_from(PROTOCOLS))
def test_plain_values_are_read_as_they_are(value: Any, protocol: int) -> None:
    assert plain(pickles.read(pickle.dumps(value, protocol))) == value


def test_an_object_is_named_and_not_made(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    data = cloudpickle.dumps({"trap": Trap(str(trace))})

    form = pickles.read(data)

    assert isinstance(form, Pairs)
    ((_, made),) = form.entries
    assert made == Made(Name("posix", "mkdir"), (str(trace),))
    assert not trace.exists()
    pickle.loads(data)
    assert trace.exists(), "the trap works"


def test_state_is_told(tmp_path: Path) -> None:
    form = pickles.read(pickle.dumps(ValueError("no")))

    assert (form.by, form.arguments) == (Name("builtins", "ValueError"), ("no",))
    assert pickles.read(pickle.dumps(slice(1, 2))).arguments == (1, 2, None)


def test_exceptions_are_told_also_as_another_library_pickles_them() -> None:
    class Told(Exception):
        def __init__(self, what: str) -> None:
            super().__init__("told", what)

    pickling_support = pytest.importorskip("tblib.pickling_support")
    for error, arguments in ((ValueError("no"), ("no",)), (Told("much"), ("told", "much"))):
        function, given_to_it, *_ = pickling_support.pickle_exception(error)
        form = pickles.read(cloudpickle.dumps(_Reduced(function, given_to_it)))
        assert form.arguments == arguments
    assert form.by != Name("tblib.pickling_support", "unpickle_exception_with_attrs")


class _Reduced:
    def __init__(self, function: Any, arguments: tuple[Any, ...]) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


@given(st.binary(max_size=200))
def test_rubbish_is_unreadable_and_nothing_else(data: bytes) -> None:
    try:
        pickles.read(data)
    except pickles.Unreadable:
        return


@given(values, st.data())
def test_what_is_cut_off_is_unreadable(value: Any, data: st.DataObject) -> None:
    whole = pickle.dumps(value, 5)
    cut = data.draw(st.integers(0, len(whole) - 1))

    with pytest.raises(pickles.Unreadable):
        pickles.read(whole[:cut])


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x05)" + b"\x85" * 200_000 + b".",
        b"\x80\x05" + b"]" * 100_000 + b"a" * 99_999 + b".",
        b"\x80\x05}" + b"\x94h\x00h\x00s" * 30_000 + b".",
        b"\x80\x05)" + b"2\x86" * 150_000 + b".",
        b"\x80\x05" + b"c\na\nb\n" + b")R" * 150_000 + b".",
        b"\x80\x05" + b"(" * 300_000 + b"t" * 90_000 + b".",
        b"\x80\x05\x8d" + b"\xff" * 8 + b".",
        b"\x80\x05\x8b\xff\xff\xff\xff" + b".",
        b"(" * 2_000_000,
    ],
    ids=["deep tuples", "deep lists", "a dict in itself", "doubled", "deep objects", "marks", "long text", "long int",
         "endless"],
)  # fmt: skip
def test_hostile_pickles_cost_little(data: bytes) -> None:
    begun = time.process_time()
    try:
        pickles.read(data)
    except pickles.Unreadable:
        pass
    # far from what they ask for, and room for a slow machine
    assert time.process_time() - begun < 5.0
