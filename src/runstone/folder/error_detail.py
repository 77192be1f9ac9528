"""One error of a run in full, and errors that say the same as one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from runstone.core.events import ErrorRaised

GROUPS = 20
"""How many messages are told apart; of what differs from all of them only block and type are told, as often again."""

ELEMENTS = 10
"""How many elements a group names."""

_Key = tuple[str | None, str, str | None]
_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\d+(?:\.\d+)?")


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One error that ended a block or an element. params: previews of its arguments."""

    block: str | None
    element: int | None
    index: list[int] | None
    attempt: int
    type: str
    message: str
    reason: str | None
    occurred_at: str
    traceback: str = ""
    params: dict[str, Any] = {}

    @property
    def place(self) -> str:
        """Where it happened, as `block` or `block[index]`."""
        return str(self.block) + self.place_in_block

    @property
    def place_in_block(self) -> str:
        """`[index]`, or nothing if it is the whole block."""
        if self.element is None:
            return ""
        return f"[{', '.join(map(str, [self.element] if self.index is None else self.index))}]"


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Errors of one block and one type.

    first: the first of them. count: of how many. elements: flat numbers of the first ELEMENTS of them, places: the same
    as the user would write them, `[index]`. same_message: their messages are equal but for numbers; otherwise they are
    those for which no group was left.
    """

    first: ErrorDetail
    count: int
    elements: list[int]
    places: list[str]
    same_message: bool


def error_detail(event: ErrorRaised) -> ErrorDetail:
    """An error in full."""
    return ErrorDetail(
        block=event.block,
        element=event.element,
        index=event.index,
        attempt=event.attempt,
        type=event.type,
        message=event.message,
        reason=event.reason.value,
        occurred_at=event.at,
        traceback=event.traceback,
        params=event.params,
    )


class ErrorGroups:
    """Gathers errors in groups, in bounded memory: at most twice GROUPS of them, however many errors there are."""

    def __init__(self, errors: Iterable[ErrorDetail] = ()) -> None:
        self._groups: dict[_Key, ErrorGroup] = {}
        for error in errors:
            self.add(error)

    def add(self, error: ErrorDetail) -> None:
        """One more error, later than those before."""
        key: _Key = (error.block, error.type, _NUMBERS.sub("0", error.message))
        if key not in self._groups and len(self._groups) >= GROUPS:
            key = (error.block, error.type, None)
            if key not in self._groups and len(self._groups) >= 2 * GROUPS:
                return
        known = self._groups.get(key)
        if known is None:
            known = ErrorGroup(first=error, count=0, elements=[], places=[], same_message=key[2] is not None)
        if error.element is not None and len(known.elements) < ELEMENTS:
            known.elements.append(error.element)
            known.places.append(error.place_in_block)
        self._groups[key] = msgspec.structs.replace(known, count=known.count + 1)

    def groups(self) -> list[ErrorGroup]:
        """The groups in the order of their first errors; but a type that its block had not raised before goes first, so
        that a few errors of another kind are seen among many messages."""
        before: Counter[tuple[str | None, str]] = Counter()
        ranks: dict[_Key, int] = {}
        for key in self._groups:
            ranks[key] = before[key[:2]]
            before[key[:2]] += 1
        return [self._groups[key] for key in sorted(self._groups, key=ranks.__getitem__)]
