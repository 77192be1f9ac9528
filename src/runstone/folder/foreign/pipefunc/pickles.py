"""Pickles read as text: the parts of a value and the names in it, none of them looked up, called or made.

The opcodes are those that the pickler of Python 3 writes (protocol 2 and later), and for each only its form is built:
an object is `Made` by the name of what would be called. Nothing here hashes, compares or walks what it has read, so
that values which contain themselves, or are a thousand levels deep, cost no more than others.
"""

from __future__ import annotations

from typing import Any

import msgspec

MOST_BYTES = 16 * 1024 * 1024
_MOST_OPCODES = 400_000


class Budget:
    """How many opcodes may be read, in one pickle or in several together."""

    def __init__(self) -> None:
        self.left = _MOST_OPCODES


class Unreadable(ValueError):
    """The bytes are no whole pickle of the kind that is read here."""


class TooLong(Unreadable):
    """There may be nothing wrong with it, but it is longer than a look takes."""


class Name(msgspec.Struct, frozen=True):
    """Something that would be imported."""

    module: str
    name: str


class Pairs(msgspec.Struct):
    """A dict, as its entries in the order in which they were written."""

    entries: list[tuple[Any, Any]]


class Made(msgspec.Struct):
    """An object: what would be called, with what, and the state it would be given."""

    by: Any
    arguments: Any
    state: Any = None


class _Opaque:
    """Something whose content is of no interest."""


OPAQUE = _Opaque()

# Bytes of argument: a number, or how many bytes hold the length of the text that follows.
_FIXED = {ord("K"): 1, ord("q"): 1, ord("h"): 1, 0x80: 1, ord("M"): 2, ord("J"): 4, ord("r"): 4, ord("j"): 4,
          ord("G"): 8, 0x95: 8}  # fmt: skip
_COUNTED = {ord("U"): 1, ord("C"): 1, 0x8C: 1, 0x8A: 1, ord("X"): 4, ord("B"): 4, ord("T"): 4, 0x8B: 4, 0x8D: 8,
            0x8E: 8, 0x96: 8}  # fmt: skip
_TEXT = frozenset({0x8C, ord("X"), 0x8D})
_SINGLE: dict[int, Any] = {ord("N"): None, 0x88: True, 0x89: False, ord(")"): ()}
_TUPLES = {0x85: 1, 0x86: 2, 0x87: 3}
_NOTHING = frozenset({0x80, 0x95, 0x98})


def read(data: bytes, budget: Budget | None = None) -> Any:
    """The form of a pickled value. Raises Unreadable, and TooLong for what is longer than a look takes."""
    if len(data) > MOST_BYTES:
        raise TooLong
    try:
        return _Reader(data).read(budget or Budget())
    except Unreadable:
        raise
    except (IndexError, ValueError) as error:
        # an operand or an argument that is not there
        raise Unreadable from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def read(self, budget: Budget) -> Any:
        data, stack = self._data, self._stack
        while budget.left > 0:
            budget.left -= 1
            code = data[self._at]
            self._at += 1
            if code in _FIXED:
                self._fixed(code, self._take(_FIXED[code]))
            elif code == 0x94:
                self._memo[len(self._memo)] = stack[-1]
            elif code in _TUPLES:
                size = _TUPLES[code]
                stack[-size:] = [tuple(stack[-size:])]
            elif code in _COUNTED:
                size = int.from_bytes(self._take(_COUNTED[code]), "little")
                self._counted(code, self._take(size))
            elif code in _SINGLE:
                stack.append(_SINGLE[code])
            elif code == ord("."):
                return stack[-1]
            else:
                self._operate(code)
        raise TooLong

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise Unreadable
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def _fixed(self, code: int, argument: bytes) -> None:
        if code in _NOTHING:
            return
        if code in (ord("q"), ord("r")):
            self._memo[int.from_bytes(argument, "little")] = self._stack[-1]
        elif code in (ord("h"), ord("j")):
            self._stack.append(self._memo.get(int.from_bytes(argument, "little"), OPAQUE))
        elif code == ord("G"):
            self._stack.append(OPAQUE)
        else:
            self._stack.append(int.from_bytes(argument, "little", signed=code == ord("J")))

    def _counted(self, code: int, argument: bytes) -> None:
        if code in _TEXT:
            self._stack.append(argument.decode("utf-8", "surrogatepass"))
        else:
            self._stack.append(int.from_bytes(argument, "little", signed=True) if code == 0x8A else OPAQUE)

    def _operate(self, code: int) -> None:
        operation = _OPERATIONS.get(code)
        if operation is None:
            raise Unreadable
        operation(self)

    def _since_mark(self) -> list[Any]:
        mark = self._marks.pop()
        found = self._stack[mark:]
        del self._stack[mark:]
        return found

    def mark(self) -> None:
        self._marks.append(len(self._stack))

    def empty_dict(self) -> None:
        self._stack.append(Pairs([]))

    def empty_list(self) -> None:
        self._stack.append([])

    def opaque(self) -> None:
        self._stack.append(OPAQUE)

    def tuple_since_mark(self) -> None:
        self._stack.append(tuple(self._since_mark()))

    def opaque_since_mark(self) -> None:
        self._since_mark()
        self._stack.append(OPAQUE)

    def drop_since_mark(self) -> None:
        self._since_mark()

    def add_entries(self) -> None:
        found = self._since_mark()
        self._add(list(zip(found[::2], found[1::2], strict=True)))

    def add_entry(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._add([(key, value)])

    def _add(self, entries: list[tuple[Any, Any]]) -> None:
        into = self._stack[-1]
        if isinstance(into, Pairs):
            into.entries.extend(entries)

    def append_since_mark(self) -> None:
        found = self._since_mark()
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(found)

    def append(self) -> None:
        value = self._stack.pop()
        if isinstance(self._stack[-1], list):
            self._stack[-1].append(value)

    def name_from_stack(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._stack.append(Name(module, name) if isinstance(name, str) and isinstance(module, str) else OPAQUE)

    def name_from_lines(self) -> None:
        lines = []
        for _ in range(2):
            end = self._data.find(b"\n", self._at)
            if end < 0:
                raise Unreadable
            lines.append(self._data[self._at : end].decode())
            self._at = end + 1
        self._stack.append(Name(*lines))

    def make(self) -> None:
        arguments, by = self._stack.pop(), self._stack.pop()
        self._stack.append(_carried(by, arguments) or Made(by, arguments))

    def make_by_keywords(self) -> None:
        self._stack.pop()
        self.make()

    def set_state(self) -> None:
        state = self._stack.pop()
        if isinstance(self._stack[-1], Made):
            self._stack[-1].state = state

    def drop(self) -> None:
        self._stack.pop()

    def double(self) -> None:
        self._stack.append(self._stack[-1])


_CARRIER = "tblib.pickling_support"


def _carried(by: Any, arguments: Any) -> Made | None:
    """The exception inside of what tblib makes of it, which Dask has installed for all pickles of its process."""
    if not isinstance(by, Name) or by.module != _CARRIER or not isinstance(arguments, tuple) or len(arguments) < 2:
        return None
    kind, given = arguments[:2]
    if by.name == "unpickle_exception":
        return Made(kind, given)
    if by.name == "unpickle_exception_with_attrs" and isinstance(given, Pairs):
        attributes = {key: value for key, value in given.entries if isinstance(key, str)}
        return Made(kind, attributes.get("args"), attributes.get("__dict__"))
    return None


_OPERATIONS = {
    ord("("): _Reader.mark,
    ord("}"): _Reader.empty_dict,
    ord("]"): _Reader.empty_list,
    0x8F: _Reader.opaque,
    0x97: _Reader.opaque,
    ord("t"): _Reader.tuple_since_mark,
    ord("l"): _Reader.opaque_since_mark,
    ord("d"): _Reader.opaque_since_mark,
    0x91: _Reader.opaque_since_mark,
    0x90: _Reader.drop_since_mark,
    ord("1"): _Reader.drop_since_mark,
    ord("u"): _Reader.add_entries,
    ord("s"): _Reader.add_entry,
    ord("e"): _Reader.append_since_mark,
    ord("a"): _Reader.append,
    0x93: _Reader.name_from_stack,
    ord("c"): _Reader.name_from_lines,
    ord("R"): _Reader.make,
    0x81: _Reader.make,
    0x92: _Reader.make_by_keywords,
    ord("b"): _Reader.set_state,
    ord("0"): _Reader.drop,
    ord("2"): _Reader.double,
}
