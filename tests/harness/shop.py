"""A project that is edited at random, and an oracle that recomputes everything: what the cache must never get wrong."""

from __future__ import annotations

import builtins
import importlib
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIB = '''
"""{lib_doc}"""
import dataclasses

RATE = {rate}


def unused(x):
    return x - {unused}


def scale(x):
    """{scale_doc}"""
    # {comment}
    return x * RATE + {offset}


@dataclasses.dataclass
class Point:
    x: int
    y: int

    def norm(self):
        return abs(self.x) + abs(self.y) * {weight}
'''

SHOP = '''
import builtins
import lib
from lib import scale
from runstone import Pipeline, block

LIMIT = {limit}
TABLE = {{"a": {entry}, "b": 2}}
{blank}

def helper(v, bonus={bonus}):
    # {comment}
    return scale(v) + bonus


@block(output="y", mapspec="x[i] -> y[i]")
def price(x, k={k}):
    """{price_doc}"""
    builtins.note("price", x)
    return helper(x) * k + LIMIT


@block(output="z", mapspec="x[i], w[j] -> z[i, j]")
def cross(x, w):
    builtins.note("cross", (x, w))
    return f"{{x}}/{{w}}/{{TABLE['a']}}"


@block(output=("low", "high"))
def bounds(y):
    builtins.note("bounds", None)
    return min(y), [max(y) + {inner}] * 50


@block(output="far", mapspec="p[i] -> far[i]")
def distance(p):
    builtins.note("distance", (p.x, p.y))
    return p.norm()


@block(output="name")
def label(low, high, z, far, tag):
    builtins.note("label", None)
    return f"{{tag}}:{{low}}:{{high[0]}}:{{len(z)}}:{{sum(far)}}:{{lib.RATE}}"


pipeline = Pipeline("shop", [price, cross, bounds, distance, label], cache=True)
'''

COSMETIC = ("lib_doc", "scale_doc", "comment", "price_doc", "unused", "blank")
CODE = ("rate", "offset", "weight", "limit", "entry", "bonus", "k", "inner")
READS = {
    "price": ("rate", "offset", "limit", "bonus", "k"),
    "cross": ("entry",),
    "bounds": ("inner",),
    "distance": ("weight",),
    "label": ("rate",),
}
"""Which edits each block's code sees; `k` is a default, and so a part of its code."""


class Shop:
    """Edits the project in a folder, and runs it with the cache and without.

    reused, called: how many calls the cache has saved, and how many were made.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.fields: dict[str, Any] = dict.fromkeys(CODE, 1) | dict.fromkeys(COSMETIC, "text")
        self.fields |= {"unused": 1, "blank": ""}
        self.x: list[Any] = [1, 2, 3]
        self.w: list[Any] = ["a", "b"]
        self.p: list[tuple[int, int]] = [(1, 2), (3, 4)]
        self.tag = "t"
        self.called = self.reused = 0
        self._seen: set[str] = set()

    def edit(self) -> str:
        """Change something at random; returns what."""
        kind = self.random.choice(["cosmetic", "code", "code", "x", "x", "x", "w", "p", "tag", "nothing"])
        if kind == "cosmetic":
            name = self.random.choice(COSMETIC)
            number = self.random.randrange(1000)
            self.fields[name] = {"unused": number, "blank": "\n" * (number % 7)}.get(name, f"text {number}")
            return name
        if kind == "code":
            name = self.random.choice(CODE)
            self.fields[name] = self.random.randrange(1, 5)
            return name
        if kind == "tag":
            self.tag = self.random.choice("tuv")
        elif kind != "nothing":
            self._edit_list(getattr(self, kind), kind)
        return kind

    def _edit_list(self, items: list[Any], kind: str) -> None:
        new = {
            "x": lambda: self.random.choice([self.random.randrange(20), self.random.random(), -1]),
            "w": lambda: self.random.choice("abcdef"),
            "p": lambda: (self.random.randrange(4), self.random.randrange(4)),
        }[kind]()
        how = self.random.choice(["add", "insert", "remove", "change", "reorder"])
        if how == "add" or len(items) < 2:
            items.append(new)
        elif how == "insert":
            items.insert(self.random.randrange(len(items)), new)
        elif how == "remove":
            items.pop(self.random.randrange(len(items)))
        elif how == "change":
            items[self.random.randrange(len(items))] = new
        else:
            self.random.shuffle(items)
        del items[12:]

    def check(self) -> None:
        """Run it as it stands: the results are those of computing everything, and no call is made in vain."""
        modules = self._load()
        params = {"x": self.x, "w": self.w, "p": [modules["lib"].Point(*each) for each in self.p], "tag": self.tag}
        with _noting() as all_calls:
            oracle = modules["shop"].pipeline.run(params, run_folder=None)
        with _noting() as calls:
            run = modules["shop"].pipeline.run(params, show_progress=False)
        for name in ("y", "z", "low", "high", "far", "name"):
            told, expected = _plain(run.outputs[name]), _plain(oracle.outputs[name])
            assert told == expected, f"{name} is stale: {told!r}, not {expected!r}"
        # which call it is: the code that its block sees, and all it is given
        whole = {
            "bounds": repr(_plain(oracle.outputs["y"])),
            "label": repr([_plain(oracle.outputs[name]) for name in ("low", "high", "z", "far")] + [self.tag]),
        }
        known = [self._key(block, whole.get(block, repr(given))) for block, given in calls]
        again = sorted({key for key in known if key in self._seen})
        assert not again, f"computed again, though nothing of it has changed: {again}"
        self._seen.update(self._key(block, whole.get(block, repr(given))) for block, given in all_calls)
        self.called += len(calls)
        self.reused += len(all_calls) - len(calls)

    def _key(self, block: str, given: str) -> str:
        return f"{block} {[self.fields[name] for name in READS[block]]} {given}"

    def _load(self) -> dict[str, Any]:
        for name, text in (("lib", LIB), ("shop", SHOP)):
            (self.folder / f"{name}.py").write_text(text.format(**self.fields))
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return {name: importlib.import_module(name) for name in ("lib", "shop")}


def _plain(value: Any) -> Any:
    return value.to_list() if hasattr(value, "to_list") else value


@contextmanager
def _noting() -> Iterator[list[tuple[str, Any]]]:
    calls: list[tuple[str, Any]] = []
    builtins.note = lambda block, given: calls.append((block, given))  # type: ignore[attr-defined]
    try:
        yield calls
    finally:
        del builtins.note  # type: ignore[attr-defined]


@contextmanager
def shop(folder: Path, seed: int) -> Iterator[Shop]:
    """A project in an empty folder, which is the current one."""
    sys.path.insert(0, str(folder))
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield Shop(folder, seed)
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = before
        for name in ("lib", "shop"):
            sys.modules.pop(name, None)
