"""A preview of a value (see `folder.preview`) in one line of words, much as Python would write the value."""

from __future__ import annotations

from typing import Any

LONGEST_TEXT = 200
"""Characters of a text that a preview shows at most."""
_MOST_ITEMS = 12
_MOST_DEPTH = 6
_BRACKETS = {"tuple": ("(", ")"), "set": ("{", "}"), "frozenset": ("{", "}")}


def in_words(preview: Any) -> str:
    """What the preview shows. Takes any JSON: what is no preview is shown as it is."""
    return _words(preview, _MOST_DEPTH)


def _words(preview: Any, depth: int) -> str:
    if isinstance(preview, str):
        return repr(preview)
    if isinstance(preview, list):
        return "[" + ", ".join(_several(preview, len(preview), depth)) + "]"
    if not isinstance(preview, dict):
        return str(preview)
    kind = preview.get("type")
    if not isinstance(kind, str):
        return "..."
    length = preview.get("length")
    if "text" in preview:
        return _text(kind, str(preview["text"]), length)
    if isinstance(items := preview.get("items"), list):
        opened, closed = _BRACKETS.get(kind.partition("[")[0], ("[", "]"))
        return opened + ", ".join(_several(items, length, depth)) + closed
    if isinstance(entries := preview.get("entries"), list):
        return "{" + ", ".join(_pairs(entries, length, ": ", depth)) + "}"
    if isinstance(attributes := preview.get("attributes"), list):
        named = [[_Name(pair[0]), pair[1]] if _is_pair(pair) else pair for pair in attributes]
        return f"{kind}({', '.join(_pairs(named, len(named), '=', depth))})"
    if isinstance(dtypes := preview.get("dtypes"), list):
        names = [_Name(pair[0]) if _is_pair(pair) else pair for pair in dtypes]
        return f"{kind}: {', '.join(_several(names, preview.get('columns'), depth))}"
    if isinstance(first := preview.get("first"), list):
        return f"{kind}: {', '.join(_several(first, None, depth))}" if first else kind
    return kind


class _Name(str):
    """Text that stands for itself, without quotes."""

    def __repr__(self) -> str:
        return str(self)


def _text(kind: str, text: str, length: Any) -> str:
    if kind == "str":
        return f"{text!r}... ({_counted(length, 'characters')})"
    if kind in ("bytes", "bytearray"):
        return f"{kind} {text}{'...' if isinstance(length, int) and 2 * length > len(text) else ''}" + (
            f" ({_counted(length, 'bytes')})"
        )
    return text if kind in ("int", "float") else f"{kind} {text}"


def _counted(length: Any, things: str) -> str:
    return f"{length:,} {things}" if isinstance(length, int) else things


def _several(items: list[Any], length: Any, depth: int) -> list[str]:
    """The items, and how many there are if that is more."""
    if depth <= 0:
        return ["..."] if items else []
    shown = [_words(item, depth - 1) for item in items[:_MOST_ITEMS]]
    return [*shown, *_more(len(shown), length)]


def _pairs(pairs: list[Any], length: Any, between: str, depth: int) -> list[str]:
    if depth <= 0:
        return ["..."] if pairs else []
    shown = [
        f"{_words(pair[0], depth - 1)}{between}{_words(pair[1], depth - 1)}" if _is_pair(pair) else "..."
        for pair in pairs[:_MOST_ITEMS]
    ]
    return [*shown, *_more(len(shown), length)]


def _more(shown: int, length: Any) -> list[str]:
    return [f"... {length:,} in all"] if isinstance(length, int) and length > shown else []


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2
