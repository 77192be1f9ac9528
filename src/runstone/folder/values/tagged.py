"""JSON that gives back exactly the Python value that went in.

Plain JSON wherever that is exact already; what it cannot say is an object with one key that starts with "$":

    {"$tuple": [...]}              a tuple
    {"$int": "9007199254740993"}   an int beyond 2**53, where readers in other languages lose digits;
                                   in hexadecimal ("0x...") beyond 2000 bits
    {"$float": "nan"}              nan, inf, -inf; "nan:7ff8000000000001" for a nan of other bits
    {"$bytes": "<base64>"}         bytes
    {"$str": "<base64>"}           text with lone surrogates: its UTF-8, the surrogates written like characters
    {"$dict": [[key, value], ...]} a dict with a key that starts with "$" or has lone surrogates

Sharing inside a value is not kept: what was one list in two places comes back as two equal lists.
"""

from __future__ import annotations

import struct
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from enum import Enum
from math import isfinite
from typing import Final

from runstone.errors import FolderError

MAX_DEPTH = 100
"""How deep lists, tuples and dicts may be nested."""

_SAFE_INT = 2**53
# Below the lowest limit that sys.set_int_max_str_digits accepts (640 digits).
_DECIMAL_BITS = 2000
_DECIMAL_DIGITS = 640
# A value that shares containers may grow to this many times its size when it is written out, and a bit.
_SHARED_FACTOR, _SHARED_SLACK = 8, 10_000


class NotPlain(Enum):
    """What `to_tagged` answers for a value that has no exact JSON form."""

    NOT_PLAIN = "not plain"


NOT_PLAIN: Final = NotPlain.NOT_PLAIN


class TooLong(Exception):
    """The value has more items than the caller can use."""


class _NotPlain(Exception):
    pass


class _Walk:
    """What one walk has seen: bounds cycles and shared containers, which would grow without end when written out."""

    __slots__ = ("fresh", "max_items", "seen", "visited")

    def __init__(self, max_items: int | None) -> None:
        self.max_items = max_items
        self.seen: set[int] = set()
        self.fresh = 0
        self.visited = 0

    def enter(self, container: list[object] | tuple[object, ...] | dict[object, object], depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise _NotPlain
        size = len(container) + 1
        self.visited += size
        if self.max_items is not None and self.visited > self.max_items:
            raise TooLong
        if id(container) not in self.seen:
            self.seen.add(id(container))
            self.fresh += size
        elif self.visited > _SHARED_FACTOR * self.fresh + _SHARED_SLACK:
            raise _NotPlain


def to_tagged(value: object, *, max_items: int | None = None) -> object:
    """Turn a value into an object that msgspec.json writes, or answer NOT_PLAIN.

    Plain are exactly None, bool, int, float, str, bytes, and list, tuple and dict with str keys of them, nested up to
    MAX_DEPTH; subclasses are not. Nothing of the value is changed or shared with the result.
    Raises TooLong as soon as more than `max_items` items are met.
    """
    try:
        return _tag(value, 0, _Walk(max_items))
    except (_NotPlain, RuntimeError):
        # RuntimeError: another thread changed a dict meanwhile, or the caller's own stack is nearly used up.
        return NOT_PLAIN


def from_tagged(obj: object) -> object:
    """Turn parsed JSON back into the value; raises FolderError for anything `to_tagged` does not write."""
    try:
        return _untag(obj, 0)
    except RecursionError:
        raise FolderError(f"a stored value is nested deeper than {MAX_DEPTH}") from None


def _tag(value: object, depth: int, walk: _Walk) -> object:
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _tag_text(value)  # type: ignore[attr-defined,arg-type]
    if kind is int:
        return value if -_SAFE_INT <= value <= _SAFE_INT else _tag_int(value)  # type: ignore[operator,arg-type]
    if kind is float:
        return value if isfinite(value) else _tag_float(value)  # type: ignore[arg-type]
    if value is None or kind is bool:
        return value
    if kind is dict:
        return _tag_dict(value, depth, walk)  # type: ignore[arg-type]
    if kind is list:
        return _tag_items(value, depth, walk)  # type: ignore[arg-type]
    if kind is tuple:
        return {"$tuple": _tag_items(value, depth, walk)}  # type: ignore[arg-type]
    if kind is bytes:
        return {"$bytes": _base64(value)}  # type: ignore[arg-type]
    raise _NotPlain


def _tag_items(items: list[object] | tuple[object, ...], depth: int, walk: _Walk) -> list[object]:
    walk.enter(items, depth)
    if len(items) > 8 and _is_json_already(items):
        return list(items)
    return [_tag(item, depth + 1, walk) for item in items]


def _is_json_already(items: list[object] | tuple[object, ...]) -> bool:
    """Tell fast, for a long list of one type of number, that every item stands for itself."""
    kinds = set(map(type, items))
    if kinds == {int}:
        return min(items) >= -_SAFE_INT and max(items) <= _SAFE_INT  # type: ignore[operator,type-var]
    if kinds == {float}:
        return all(map(isfinite, items))  # type: ignore[arg-type]
    return kinds == {bool}


def _tag_dict(value: dict[object, object], depth: int, walk: _Walk) -> dict[str, object]:
    walk.enter(value, depth)
    plain_keys = True
    tagged: dict[str, object] = {}
    for key, item in value.items():
        if type(key) is not str:
            raise _NotPlain
        if key.startswith("$") or not (key.isascii() or _is_text(key)):
            plain_keys = False
        tagged[key] = _tag(item, depth + 1, walk)
    if plain_keys:
        return tagged
    return {"$dict": [[_tag_text(key), item] for key, item in tagged.items()]}


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _tag_text(text: str) -> object:
    return text if _is_text(text) else {"$str": _base64(text.encode("utf-8", "surrogatepass"))}


def _tag_int(number: int) -> object:
    return {"$int": str(number) if number.bit_length() <= _DECIMAL_BITS else hex(number)}


def _tag_float(number: float) -> object:
    bits = struct.pack(">d", number)
    if number == number:
        return {"$float": "inf" if number > 0 else "-inf"}
    return {"$float": "nan" if bits == _NAN else f"nan:{bits.hex()}"}


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


def _untag(obj: object, depth: int) -> object:
    if isinstance(obj, dict):
        for key in obj:
            if not isinstance(key, str):
                raise FolderError("a stored value has a dict with a key that is not text")
            if key.startswith("$"):
                if len(obj) != 1:
                    raise FolderError(f"a stored value has the tag {key[:20]!r} beside other keys")
                return _untag_tag(key, obj[key], depth)
        _check_depth(depth)
        return {key: _untag(item, depth + 1) for key, item in obj.items()}
    if isinstance(obj, list):
        _check_depth(depth)
        return [_untag(item, depth + 1) for item in obj]
    if obj is None or isinstance(obj, str | bool | int | float):
        return obj
    raise FolderError(f"a stored value holds a {type(obj).__name__}, which is not JSON")


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise FolderError(f"a stored value is nested deeper than {MAX_DEPTH}")


def _untag_tag(tag: str, body: object, depth: int) -> object:
    if tag == "$tuple" and isinstance(body, list):
        _check_depth(depth)
        return tuple([_untag(item, depth + 1) for item in body])
    if tag == "$dict" and isinstance(body, list):
        return _untag_dict(body, depth)
    if isinstance(body, str) and (reader := _TEXT_TAGS.get(tag)) is not None:
        try:
            return reader(body)
        except (ValueError, Base64Error):
            raise FolderError(f"a stored value has a malformed {tag}: {body[:40]!r}") from None
    raise FolderError(f"a stored value has a malformed or unknown tag {tag[:20]!r}; was it written by a newer version?")


def _untag_dict(pairs: list[object], depth: int) -> dict[str, object]:
    _check_depth(depth)
    restored: dict[str, object] = {}
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise FolderError("a stored value has a $dict with something else than [key, value]")
        key = _untag(pair[0], depth + 1)
        if not isinstance(key, str) or key in restored:
            raise FolderError("a stored value has a $dict with a key that is not text or comes twice")
        restored[key] = _untag(pair[1], depth + 1)
    return restored


def _untag_int(text: str) -> int:
    digits = text.removeprefix("-")
    if digits.startswith("0x"):
        # int() alone would take spaces, signs and underscores too.
        if not digits[2:].isalnum():
            raise ValueError
        magnitude = int(digits[2:], 16)
    else:
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= _DECIMAL_DIGITS):
            raise ValueError
        magnitude = int(digits)
    return -magnitude if text.startswith("-") else magnitude


def _untag_float(text: str) -> float:
    if text in ("nan", "inf", "-inf"):
        return float(text)
    prefix, _, bits = text.partition(":")
    if prefix != "nan" or len(bits) != 16:
        raise ValueError
    number = float(struct.unpack(">d", bytes.fromhex(bits))[0])
    if number == number:
        raise ValueError
    return number


def _untag_bytes(text: str) -> bytes:
    return a2b_base64(text.encode("ascii"), strict_mode=True) if text else b""


def _untag_str(text: str) -> str:
    return _untag_bytes(text).decode("utf-8", "surrogatepass")


_NAN = struct.pack(">d", float("nan"))
_TEXT_TAGS: dict[str, Callable[[str], object]] = {
    "$int": _untag_int,
    "$float": _untag_float,
    "$bytes": _untag_bytes,
    "$str": _untag_str,
}
