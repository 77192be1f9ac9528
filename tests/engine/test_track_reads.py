"""What statements read of what was there before: a name counts as bound only where it is for sure."""

from __future__ import annotations

import ast

import pytest

from runstone.engine.track.reads import read_first


def read(text: str) -> set[str]:
    return read_first(ast.parse(text).body)


@pytest.mark.parametrize(
    "text",
    [
        "k",
        "k += 1",
        "if ready:\n    k = 1\nk",
        "for k in rows:\n    pass\nk",
        "try:\n    k = int(text)\nexcept ValueError:\n    pass\nk",
        "while ready:\n    k = 1\nk",
        "found = [0 for k in rows]\nk",
        "found = {0: 1 for k in rows}\nk",
        "found = [k := row for row in rows]\nk",
        "def count():\n    k = 1\nk",
        "class Page:\n    k = 1\nk",
        "count = lambda: (k := 1)\nk",
        "ready and (k := 1)\nk",
        "found = (k := 1) if ready else 2\nk",
        "1 < 2 < (k := 1)\nk",
        "k: int\nk",
        "with contextlib.suppress(ValueError):\n    k = int(text)\nk",
        "with lock, suppress(ValueError):\n    k = int(text)\nk",
        "with suppress(ValueError):\n    raise ValueError\nk",
        "with contextlib.ExitStack() as stack:\n    k = int(text)\nk",
    ],
)
def test_what_may_be_from_before_is_read(text: str) -> None:
    assert "k" in read(text)


@pytest.mark.parametrize(
    "text",
    [
        "k = 1\nk",
        "k: int = 1\nk",
        "(k := 1)\nk",
        "if (k := find(text)) and ready:\n    k",
        "(k := 1) and ready\nk",
        "found = 2 if (k := 1) else 3\nk",
        "1 < (k := 1) < 3\nk",
        "if ready:\n    k = 1\nelse:\n    k = 2\nk",
        "if ready:\n    k = 1\nelse:\n    raise ValueError\nk",
        "with open(path) as k:\n    k",
        "with open(path) as file:\n    k = file.read()\nk",
        "for k in rows:\n    k",
        "import k.parts\nk",
        "def k():\n    return 1\nk",
        "a, (k, *b) = rows\nk",
    ],
)
def test_what_is_bound_for_sure_is_not(text: str) -> None:
    assert "k" not in read(text)
