"""`runstone.diff`: in what two values differ, in words."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import msgspec

from runstone.core.compare import Entry, Fact, side_by_side
from runstone.folder.load import StoredArray
from runstone.folder.value_facts import of_value

_MARK_BYTES = 8
_ELEMENTS = 1_000_000


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """In what two values differ. entries: one for all of it, or of two dicts one for each key, what differs first.

    same: whether nothing differs; sure: false if they look alike, and nobody can say whether they are. `str()` of it
    tells what differs, "" if nothing does.
    """

    same: bool
    sure: bool
    entries: list[Entry]

    def __str__(self) -> str:
        return "\n".join(line for entry in self.entries if not entry.same for line in _lines(entry))


async def diff(x: Any, y: Any) -> Difference:
    """In what two values differ: texts line by line, lists by their elements, dicts by their keys, numbers by how much.

    Values of different types are different, 1 and 1.0 as well. Found out in a thread; without asyncio, call
    `runstone.workspace.values.difference`.
    """
    return await asyncio.to_thread(difference, x, y)


def difference(x: Any, y: Any) -> Difference:
    """The same as `diff`, to be called where there is no loop."""
    one, other = _parts(x), _parts(y)
    if one.keys() != other.keys() and ("" in one or "" in other):
        one, other = {"": _fact(x)}, {"": _fact(y)}
    subjects = dict.fromkeys((*one, *other))
    entries = [side_by_side(subject, [one.get(subject), other.get(subject)]) for subject in subjects]
    return Difference(
        same=all(entry.same for entry in entries),
        sure=all(entry.sure for entry in entries),
        entries=sorted(entries, key=lambda entry: entry.same),
    )


def _parts(value: Any) -> dict[str, Fact]:
    """What is compared, by its name; "" for all of it."""
    if type(value) is dict and value and all(type(key) is str and key for key in value):
        return {key: _fact(each) for key, each in value.items()}
    return {"": _fact(value)}


def _fact(value: Any) -> Fact:
    if isinstance(value, StoredArray):
        value = value.to_list()
    fact = of_value(value)
    if type(value) not in (list, tuple) or len(value) > _ELEMENTS:
        return fact
    return msgspec.structs.replace(fact, elements=b"".join(map(_mark, value)))


def _mark(element: Any) -> bytes:
    return hashlib.sha256(str(of_value(element).mark).encode()).digest()[:_MARK_BYTES]


def _lines(entry: Entry) -> list[str]:
    before, after = ("nothing" if said is None else said for said in entry.values)
    head = f"{entry.subject}: " if entry.subject else ""
    return [f"{head}{before} -> {after}", *(f"  {line}" for line in entry.detail)]
