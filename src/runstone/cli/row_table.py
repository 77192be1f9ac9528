"""Rows of a database as a table for a person: it fits the terminal, and begins before all rows are there."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from runstone.cli.paper import paper, said, takes, width, word
from runstone.cli.row_text import Batches, cell
from runstone.core.statuses import BlockStatus, RunStatus
from runstone.drawing.lettering import ELLIPSIS, cells, shortened_to_cells, showable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_MEASURED = 1000
"""Rows that the widths of the columns are taken from."""

_GAP = 2
_LEAST = 8
"""A text is not made narrower than that; where it would have to be, each row becomes a list."""

_NOTHING = "-"
_WORDS = {status.value for kind in (RunStatus, BlockStatus) for status in kind}


def print_rows(columns: Sequence[str], batches: Batches) -> None:
    """Print rows as a table, or one below the other where they are too wide for that."""
    rows = itertools.chain.from_iterable(batches)
    first = list(itertools.islice(rows, _MEASURED))
    numeric = [_is_numeric([row[place] for row in first]) for place in range(len(columns))]
    texts = [[_shown(value) for value in row] for row in first]
    names = [showable(column) for column in columns]
    # a letter in the last column of a terminal makes some of them begin a new line
    room = max(1, width() - 1)
    widths = _widths(names, texts, numeric, room)
    count = 0

    def print_batch(batch: Sequence[Sequence[Any]], put: Callable[[Console, Sequence[Any], int], None]) -> None:
        nonlocal count
        with paper() as console:
            for row in batch:
                put(console, row, count)
                count += 1

    if widths is None:
        label = min(max(map(cells, names), default=0), max(_LEAST, room // 2))

        def put(console: Console, row: Sequence[Any], number: int) -> None:
            _print_list(console, names, row, number, label, room)
    else:
        with paper() as console:
            _print_line(
                console, [said(_fitted(n, w), "dim") for n, w in zip(names, widths, strict=True)], widths, numeric
            )

        def put(console: Console, row: Sequence[Any], number: int) -> None:
            line = [_value(value, most) for value, most in zip(row, widths, strict=True)]
            _print_line(console, line, widths, numeric)

    print_batch(first, put)
    for batch in _portions(rows):
        print_batch(batch, put)
    with paper() as console:
        console.print(said("no rows" if not count else "1 row" if count == 1 else f"{count:,} rows", "dim"))


def _portions(rows: Iterator[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    while portion := list(itertools.islice(rows, _MEASURED)):
        yield portion


def _widths(
    names: Sequence[str], texts: Sequence[Sequence[str]], numeric: Sequence[bool], room: int
) -> list[int] | None:
    """How wide each column is; None if they do not fit beside each other.

    The widest texts give way first. A number is never cut.
    """
    natural = [
        max(cells(name), *(cells(row[place]) for row in texts)) if texts else cells(name)
        for place, name in enumerate(names)
    ]
    least = [full if number else min(full, _LEAST) for full, number in zip(natural, numeric, strict=True)]
    room -= _GAP * (len(names) - 1)
    if sum(least) > room:
        return None
    most = max(natural, default=0)
    while sum(found := [max(low, min(full, most)) for low, full in zip(least, natural, strict=True)]) > room:
        most -= 1
    return found


def _print_line(console: Console, line: Sequence[Text], widths: Sequence[int], numeric: Sequence[bool]) -> None:
    from rich.text import Text

    whole = Text()
    for place, (text, most, right) in enumerate(zip(line, widths, numeric, strict=True)):
        padding = " " * (most - cells(text.plain))
        whole.append_text(Text(" " * _GAP if place else "") + (Text(padding) + text if right else text + Text(padding)))
    whole.rstrip()
    console.print(whole, soft_wrap=True)


def _print_list(console: Console, names: Sequence[str], row: Sequence[Any], number: int, label: int, room: int) -> None:
    from rich.text import Text

    if number:
        console.print()
    for name, value in zip(names, row, strict=True):
        head = _fitted(name, label)
        line = said(head + " " * (label - cells(head) + _GAP), "dim")
        console.print(Text.assemble(line, _value(value, max(1, room - label - _GAP))), soft_wrap=True)


def _value(value: Any, most: int) -> Text:
    if value is None:
        return said(_NOTHING, "dim")
    if value in _WORDS if isinstance(value, str) else False:
        return word(value) if cells(value) <= most else said(_fitted(value, most))
    return said(_fitted(_shown(value), most))


def _shown(value: Any) -> str:
    return _NOTHING if value is None else showable(cell(value))


def _fitted(text: str, most: int) -> str:
    return shortened_to_cells(text, most, ELLIPSIS if takes(ELLIPSIS) else "...")


def _is_numeric(values: Sequence[Any]) -> bool:
    """Whether a column is set right. Texts that look like numbers are texts."""
    kinds = {type(value).__name__ for value in values if value is not None}
    return bool(kinds) and kinds <= {"int", "float", "Decimal"}
