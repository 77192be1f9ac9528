"""The text of one SQL statement: where it ends, what it begins with, and how a refusal of it is told.

What keeps a ledger safe are read-only connections, not this: it knows as much of SQL as good messages need.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from runstone.errors import StatementError

Tables = Mapping[str, Mapping[str, str]]
"""For every table its columns, in order, each with its type in words of DuckDB."""

_TOKEN = re.compile(
    r"(?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))"
    r"|(?P<text>'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)"
    r'|(?P<quoted>"(?:[^"]|"")*"|`[^`]*`)'
    r"|(?P<word>[^\W\d]\w*)"
    r"|(?P<sign>\S)",
    re.DOTALL,
)
_MOST_NAMED = 20


class Kind(enum.Enum):
    """What a refusal is about. SYNTAX and FUNCTION: another engine may know better."""

    SYNTAX = "syntax"
    FUNCTION = "function"
    TABLE = "table"
    COLUMN = "column"
    WRITE = "write"
    OTHER = "other"


class Refusal(Exception):
    """An engine does not execute a statement. offset: of the character where it stopped; name: of what is missing."""

    def __init__(self, problem: str, kind: Kind = Kind.OTHER, *, offset: int | None = None, name: str = "") -> None:
        self.problem = problem
        self.kind = kind
        self.offset = offset
        self.name = name
        super().__init__(problem)


def only_statement(text: str) -> str:
    """The one statement in a text, without the semicolon behind it.

    Raises StatementError if there are more, or none.
    """
    end: int | None = None
    found = False
    for token in _TOKEN.finditer(text):
        if token["comment"] is not None:
            continue
        if token["sign"] == ";":
            end = token.start() if end is None else end
        elif end is not None:
            raise StatementError(
                f"one statement at a time: a second one begins{_place(text, token.start())}; execute them one by one"
            )
        else:
            found = True
    if not found:
        raise StatementError('there is no SQL to execute; write, say, "SELECT * FROM runs"')
    return text if end is None else text[:end]


def offset_of(statement: str, at: int) -> int:
    """The offset of a character, of that of its first byte in UTF-8."""
    return len(statement.encode()[:at].decode(errors="ignore"))


def first_word(statement: str) -> str:
    """What it begins with, in capitals; `(` are passed over."""
    for token in _tokens(statement):
        if token["sign"] != "(":
            return token[0].upper()
    return ""


def names(statement: str) -> set[str]:
    """All that may be the name of a table or a column, in small letters."""
    return {
        (token["word"] or token["quoted"][1:-1]).lower()
        for token in _tokens(statement)
        if token["word"] is not None or token["quoted"] is not None
    }


def quoted(name: str) -> str:
    """The name of a table or a column as every engine takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def copied_to(statement: str) -> str:
    """The file that a statement that begins with COPY writes. Raises StatementError if it writes none."""
    depth = 0
    tokens = _tokens(statement)
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token["sign"] or "", 0)
        if depth == 0 and (token["word"] or "").upper() == "FROM":
            break
        if depth == 0 and (token["word"] or "").upper() == "TO":
            file = next(tokens, None)
            if file is not None and file["text"] and file["text"].startswith("'"):
                return str(file["text"][1:-1]).replace("''", "'")
            break
    raise StatementError("`runstone sql` only reads: of COPY it knows COPY (SELECT ...) TO 'file'")


def explained(refusal: Refusal, statement: str, tables: Tables) -> StatementError:
    """A refusal for a person, on one line: what, where, and what to write instead."""
    place = "" if refusal.offset is None else _place(statement, refusal.offset)
    problem = " ".join(refusal.problem.split())
    if refusal.kind is Kind.TABLE and refusal.name:
        return StatementError(f"there is no table {refusal.name!r}{place}{_hint(refusal.name, list(tables))}")
    if refusal.kind is Kind.COLUMN and refusal.name:
        named = names(statement)
        near = [column for table, columns in tables.items() if table in named for column in columns]
        known = near or [column for columns in tables.values() for column in columns]
        return StatementError(
            f"there is no column {refusal.name!r}{place}{_hint(refusal.name, list(dict.fromkeys(known)))}"
        )
    if refusal.kind is Kind.WRITE:
        return StatementError(f"`runstone sql` only reads: {problem}{place}")
    return StatementError(f"the statement cannot be executed: {problem}{place}")


def _hint(name: str, known: list[str]) -> str:
    close = get_close_matches(name.lower(), known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    return f"; there are {', '.join(known[:_MOST_NAMED])}{more}" if known else ""


def _place(text: str, offset: int) -> str:
    line = text.count("\n", 0, offset)
    return f", at line {line + 1}, column {offset - (text.rfind(chr(10), 0, offset) + 1) + 1}"


def _tokens(statement: str) -> Iterator[re.Match[str]]:
    return (token for token in _TOKEN.finditer(statement) if token["comment"] is None)
