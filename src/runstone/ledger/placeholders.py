"""Statements with `:name` for a parameter, as a server takes them: numbered."""

from __future__ import annotations

import functools
import re

# What PostgreSQL itself would not look into comes first: there, a colon is a colon. `::` is a cast.
_WORDS = re.compile(
    r"""
      (?<!\w)[eE]'(?:[^'\\]|\\.|'')*'
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | --[^\n]*
    | /\*.*?\*/
    | \$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$
    | ::
    | :(?P<name>[A-Za-z_]\w*)
    """,
    re.VERBOSE | re.DOTALL,
)


@functools.lru_cache(1024)
def numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """The statement with `$1`, `$2`, ... in it, and the names that these numbers stand for.

    A name that is used twice has one number. Bounds of array slices need a space: `[1 : 2]`.
    """
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        name = found["name"]
        return found[0] if name is None else f"${numbers.setdefault(name, len(numbers) + 1)}"

    return _WORDS.sub(number, sql), tuple(numbers)
