"""What somebody looks for in the logs of a run, and finding it without decoding every line.

A log may have millions of lines. What every wanted line must contain as bytes is searched for first; only lines that
have it are decoded and looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from runstone.errors import SettingError
from runstone.folder.log_lines import Piece, parse
from runstone.folder.logs import LEVELS, LogLine

_PLAIN = re.compile(r"[\w =:,;/%<>!&@'~`-]", re.ASCII)
"""Letters that mean themselves in a regular expression and stand as they are in JSON."""
_CLASSES = "dDwWsSbBAZ"
_REPEAT = re.compile(r"\{\d*(?:,\d*)?\}")


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines: those for which all that is given holds.

    level: at least this one. pattern: found anywhere in the message. blocks: of these only.
    """

    blocks: frozenset[str] | None = None
    element: int | None = None
    level: str | None = None
    pattern: re.Pattern[str] | None = None

    @classmethod
    def of(
        cls,
        *,
        block: str | None = None,
        element: int | None = None,
        level: str | None = None,
        grep: str | re.Pattern[str] | None = None,
    ) -> LogQuery:
        """What a user asks for. Raises SettingError for a level or an expression that does not exist."""
        if level is not None and str(level).upper() not in LEVELS:
            raise SettingError(f"level={level!r}: write one of {', '.join(LEVELS)}")
        try:
            pattern = None if grep is None else re.compile(grep)
        except (re.error, OverflowError, RecursionError) as error:
            raise SettingError(f"grep={grep!r} is no regular expression: {error}") from error
        return cls(
            blocks=None if block is None else frozenset([block]),
            element=element,
            level=None if level is None else str(level).upper(),
            pattern=pattern,
        )

    def wants_file(self, block: str | None) -> bool:
        """Whether there may be wanted lines in the log of this block."""
        return self.blocks is None or block in self.blocks

    def wants(self, line: LogLine) -> bool:
        """Whether this is one of them. A line that cannot be read has a text, but neither level nor element."""
        if self.level is not None and (line.level not in LEVELS or LEVELS.index(line.level) < LEVELS.index(self.level)):
            return False
        if self.element is not None and line.element != self.element:
            return False
        if self.blocks is not None and line.block is not None and line.block not in self.blocks:
            return False
        return self.pattern is None or self.pattern.search(line.message) is not None

    def needles(self) -> list[bytes]:
        """Bytes of which every wanted line has at least one; none if nothing can be said."""
        literal = required(self.pattern)
        if literal:
            return [literal.encode()]
        if self.element is not None:
            return [b'"element":%d,' % self.element]
        if self.level is not None and self.level not in LEVELS[:2]:
            return [b'"level":"%b"' % level.encode() for level in LEVELS[LEVELS.index(self.level) :]]
        return []


class Search:
    """Finds the lines that a query wants in pieces of whole lines."""

    def __init__(self, query: LogQuery) -> None:
        self._query = query
        needles = query.needles()
        self._needle = needles[0] if len(needles) == 1 else b""
        self._needles = re.compile(b"|".join(map(re.escape, needles))) if len(needles) > 1 else None

    def lines(self, piece: Piece) -> Iterator[LogLine]:
        """The wanted lines of a piece, in their order."""
        return self._wanted(self._candidates(piece.data, piece.start, piece.stop))

    def lines_backwards(self, piece: Piece) -> Iterator[LogLine]:
        """The same, the last one first."""
        return self._wanted(reversed(list(self._candidates(piece.data, piece.start, piece.stop))))

    def _wanted(self, candidates: Iterable[bytes]) -> Iterator[LogLine]:
        for line in candidates:
            if line and self._query.wants(found := parse(line)):
                yield found

    def _candidates(self, data: bytes, at: int, stop: int) -> Iterator[bytes]:
        if not self._needle and self._needles is None:
            yield from data[at:stop].split(b"\n")
            return
        while (hit := self._hit(data, at, stop)) >= 0:
            end = data.find(b"\n", hit, stop)
            end = stop if end < 0 else end
            yield data[data.rfind(b"\n", at, hit) + 1 or at : end]
            at = end + 1

    def _hit(self, data: bytes, at: int, stop: int) -> int:
        if self._needles is None:
            return data.find(self._needle, at, stop)
        match = self._needles.search(data, at, stop)
        return -1 if match is None else match.start()


def required(pattern: re.Pattern[str] | None) -> str:
    """A text that every match of a regular expression contains; "" if none is easily told.

    Only what is plain to see: the longest run of plain letters outside of groups and sets that nothing repeats or
    makes optional. A pattern with alternatives or flags tells nothing.
    """
    if pattern is None or pattern.flags != re.UNICODE or any(mark in pattern.pattern for mark in ("|", "(?")):
        return ""
    best, run, depth, at = "", "", 0, 0
    text = pattern.pattern
    while at < len(text):
        letter = text[at]
        if letter == "\\" and text[at + 1].isalnum() and text[at + 1] not in _CLASSES:
            # what follows may belong to the escape
            return ""
        plain = depth == 0 and _PLAIN.match(letter) is not None
        if plain and text[at + 1 : at + 2] in ("*", "?", "{"):
            plain = False
        if plain:
            run += letter
        if not plain or text[at + 1 : at + 2] == "+":
            best, run = max(best, run, key=len), ""
        if letter == "[":
            at = _behind_set(text, at)
            continue
        if letter == "{" and (repeat := _REPEAT.match(text, at)) is not None:
            at = repeat.end()
            continue
        depth += (letter == "(") - (letter == ")")
        at += 2 if letter == "\\" else 1
    return max(best, run, key=len)


def _behind_set(text: str, at: int) -> int:
    """Where a set of characters, which begins here, has ended; a bracket that comes first in it is one of them."""
    at += 1
    at += text[at : at + 1] == "^"
    at += text[at : at + 1] == "]"
    while at < len(text) and text[at] != "]":
        at += 2 if text[at] == "\\" else 1
    return at + 1
