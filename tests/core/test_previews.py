"""Previews in one line of words."""

from __future__ import annotations

from typing import Any

import numpy
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.core.previews import in_words
from runstone.folder.preview import preview


class Thing:
    def __init__(self) -> None:
        self.size = 3
        self.name = "x"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "None"),
        (True, "True"),
        (2**70, str(2**70)),
        (float("nan"), "nan"),
        ("it's", '"it\'s"'),
        ("y" * 500, f"'{'y' * 200}'... (500 characters)"),
        (b"abc", "bytes 616263 (3 bytes)"),
        (b"a" * 900, f"bytes {'61' * 50}... (900 bytes)"),
        ([1, "a", [None]], "[1, 'a', [None]]"),
        ((), "()"),
        ({3}, "{3}"),
        (list(range(50)), "[0, 1, 2, 3, 4, 5, ... 50 in all]"),
        ({"a": {"b": 1}}, "{'a': {'b': 1}}"),
        ({n: n for n in range(9)}, "{0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, ... 9 in all}"),
        (numpy.zeros((2, 2)), "numpy.ndarray[float64, (2, 2)]: 0.0, 0.0, 0.0, 0.0"),
        (pandas.DataFrame({"a": [1], "b": [2]}), "pandas.DataFrame[1 x 2]: a, b"),
        (Thing(), f"{__name__}.Thing(size=3, name='x')"),
    ],
)
def test_a_value_is_told_much_as_python_writes_it(value: object, words: str) -> None:
    assert in_words(preview(value)) == words


KEYS = st.sampled_from(["type", "length", "items", "entries", "attributes", "dtypes", "columns", "first", "text"])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


@given(ANY_JSON)
def test_whatever_a_folder_claims_to_be_a_preview_has_words(claimed: Any) -> None:
    assert isinstance(in_words(claimed), str)
