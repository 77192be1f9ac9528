"""The mark of a failed element: it can be looked at and moved around, and explains itself when it is used."""

from __future__ import annotations

import copy
import math
import operator
import os
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from runstone.core.failed import Failed
from runstone.errors import FailedElement

FAILED = Failed("parse", (3,), "SyntaxError", "invalid syntax")
SENTENCE = "element 3 of block 'parse' failed with SyntaxError: invalid syntax"

USES: list[Callable[[Any], Any]] = [
    lambda x: x.name,
    lambda x: x(),
    lambda x: x["a"],
    lambda x: operator.setitem(x, "a", 1),
    lambda x: len(x),
    lambda x: list(x),
    lambda x: [*x],
    lambda x: 1 in x,
    lambda x: next(x),
    lambda x: bool(x),
    lambda x: 1 if x else 2,
    lambda x: x + 1,
    lambda x: 1 + x,
    lambda x: "a" + x,
    lambda x: [1] + x,  # noqa: RUF005
    lambda x: x - 1,
    lambda x: 1 - x,
    lambda x: 2 * x,
    lambda x: x / 2,
    lambda x: 2 / x,
    lambda x: x // 2,
    lambda x: x % 2,
    lambda x: x**2,
    lambda x: 2**x,
    lambda x: x @ x,
    lambda x: -x,
    lambda x: ~x,
    lambda x: abs(x),
    lambda x: x < 1,
    lambda x: 1 < x,  # noqa: SIM300
    lambda x: sorted([x, x]),
    lambda x: max([1, x]),
    lambda x: sum([x]),
    lambda x: x | {1},
    lambda x: {1} | x,
    lambda x: int(x),
    lambda x: float(x),
    lambda x: complex(x),
    lambda x: bytes(x),
    lambda x: round(x),
    lambda x: math.floor(x),
    lambda x: math.sqrt(x),
    lambda x: range(x),
    lambda x: [1, 2][x],
    lambda x: os.fspath(x),
    lambda x: {**x},
    lambda x: f"{x:.2f}",
    lambda x: x.__enter__(),
    lambda x: np.array([x, x]),
    lambda x: np.asarray(x),
    lambda x: np.ones(2) + x,
    lambda x: sum([1.0, x]) / 2,
]


@pytest.mark.parametrize("use", USES)
def test_using_it_explains_what_happened(use: Callable[[Any], Any]) -> None:
    with pytest.raises(FailedElement, match=SENTENCE):
        use(FAILED)


def test_it_can_be_looked_at() -> None:
    assert repr(FAILED) == str(FAILED) == f"{FAILED}" == f"<Failed: {SENTENCE}>"
    assert isinstance(FAILED, Failed)
    assert FAILED == FAILED
    assert Failed("parse", (3,), "SyntaxError", "invalid syntax") != FAILED
    assert FAILED in [1, FAILED]
    assert (FAILED.block, FAILED.index, FAILED.error_type, FAILED.status) == ("parse", (3,), "SyntaxError", "failed")
    assert {FAILED: 1}[FAILED] == 1
    assert not hasattr(FAILED, "_repr_html_")


@pytest.mark.parametrize("move", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_it_can_be_copied_and_pickled(move: Callable[[Failed], Failed]) -> None:
    dependant = FAILED.for_dependant("measure", (3, 0))
    moved = move(dependant)
    assert type(moved) is Failed
    assert repr(moved) == repr(dependant)
    assert moved.origin is not None
    assert moved.origin.block == "parse"


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        FAILED.block = "other"


def test_an_element_that_was_never_called_names_the_first_failure() -> None:
    last = FAILED.for_dependant("measure", (3, 0)).for_dependant("score", (7,))
    assert last.status == "upstream_failed"
    assert last.origin is FAILED
    assert last.explain() == f"element 7 of block 'score' was not called, because {SENTENCE}"


def test_a_block_that_is_not_mapped_has_no_element() -> None:
    assert Failed("load", (), "OSError", "").explain() == "block 'load' failed with OSError"
