"""What a result in the cache was made of, by parts, and in what something to be computed is not the same. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from runstone.core.causes import Cause, Why
from runstone.core.ranges import Range, to_ranges
from runstone.core.reuse import UNRESOLVED, code_differences

INPUT_BYTES = 16
"""The digest of one input."""

GROUPS_KEPT = 10
RANGES_KEPT = 200
WHYS_KEPT = 20

_encode = msgspec.json.Encoder(order="sorted").encode


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What several results were made of in common.

    stage: whose they are, for people: `pipeline/block`, or the name of tracked code.
    function: the name of the function with that of its module; the same code may find other files beside it elsewhere,
    and `version=` says nothing of whose it is. code: its identity, by parts. outputs: the names of what each gives.
    inputs: digests (hex) of what is the same for all of them. varying: the names of those inputs that differ from one
    to the other.
    """

    stage: str
    function: str
    code: dict[str, str]
    outputs: list[str]
    inputs: dict[str, str]
    varying: list[str]

    @property
    def digest(self) -> bytes:
        """16 bytes that stand for all of it."""
        return hashlib.blake2b(_encode(self), digest_size=16).digest()

    @property
    def base(self) -> bytes:
        """What the keys of its results begin with: all of it but whose they are, so that equal code finds them."""
        told = [self.function, self.code, self.outputs, self.inputs, self.varying]
        return hashlib.blake2b(_encode(told), digest_size=16).digest()

    @property
    def unresolved(self) -> list[Why]:
        """The parts of the code that cannot be compared; with one of them nothing is kept or taken."""
        if not self.code:
            return [Why(cause=Cause.CODE_UNKNOWN, subject="function")]
        return [Why(cause=Cause.CODE_UNKNOWN, subject=part) for part, told in self.code.items() if told == UNRESOLVED]


def key_of(base: bytes, inputs: bytes) -> bytes:
    """The key of one result. inputs: the digests of what varies, one after the other."""
    return hashlib.blake2b(base + inputs, digest_size=16).digest()


def differences(before: Recipe, after: Recipe) -> list[Why]:
    """In what two recipes differ, by name; the same parts are compared as between runs."""
    found = code_differences(before.code, after.code)
    for name, was, now in (
        ("function", before.function, after.function),
        ("output", ", ".join(before.outputs), ", ".join(after.outputs)),
        ("mapspec", ", ".join(before.varying), ", ".join(after.varying)),
    ):
        if was != now:
            found.append(Why(cause=Cause.SETTING, subject=name, before=was, after=now))
    return found + _input_differences(before.inputs, after.inputs)


def _input_differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[Why]:
    names = dict.fromkeys([*after, *before])
    return [
        Why(cause=Cause.INPUT, subject=name, before=before.get(name), after=after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    ]


def from_nearest(new: Recipe, known: Sequence[Recipe], subject: str = "") -> list[Why]:
    """In what a recipe differs from the one that it differs least from; [] if it is known.

    known: the newest first. subject: the input that says what the result is about; a recipe with the same one is nearer
    than all with another.
    """
    if not known:
        return [Why(cause=Cause.NOT_CACHED)]

    def distance(found: list[Why]) -> tuple[bool, int]:
        return any(why.cause == Cause.INPUT and why.subject == subject for why in found), len(found)

    return min((differences(each, new) for each in known), key=distance)[:WHYS_KEPT]


class Missed(msgspec.Struct, frozen=True):
    """Elements for which there is nothing in the cache, for the same reasons."""

    elements: list[Range]
    why: list[Why]


def missed(names: Sequence[str], wanted: Mapping[int, bytes], seen: Sequence[set[bytes]]) -> list[Missed]:
    """Why there is nothing for some elements of which the recipe is known.

    names: of the inputs that vary. wanted: element -> their digests, one after the other. seen: of each the digests
    with which something was computed.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, told in wanted.items():
        new = tuple(
            name for at, name in enumerate(names) if told[at * INPUT_BYTES : (at + 1) * INPUT_BYTES] not in seen[at]
        )
        groups.setdefault(new, []).append(number)
    found = []
    for new, numbers in list(groups.items())[:GROUPS_KEPT]:
        count = len(numbers)
        why = [Why(cause=Cause.NEW_INPUT, subject=name, elements=count) for name in new]
        if not why and len(names) > 1:
            why = [Why(cause=Cause.NEW_INPUT, subject=" with ".join(names), elements=count)]
        elif not why:
            why = [Why(cause=Cause.NOT_CACHED, elements=count)]
        found.append(Missed(to_ranges(numbers)[:RANGES_KEPT], why))
    return found
