"""Exported runs as JSON and CSV, and how each of their parameters becomes a column."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import msgspec

from runstone.cli import row_text
from runstone.ledger.export import FIELDS, PARAMS, Exported

Pages = Iterable[list[Exported]]

_BATCH = 1000
_INT64 = 2**63
_encode = msgspec.json.Encoder().encode


def json_array(runs: Pages) -> Iterator[bytes]:
    """One array with a run on each line."""
    separator = b"[\n"
    for page in runs:
        if page:
            yield separator + b",\n".join(map(_object, page))
            separator = b",\n"
    yield b"[]\n" if separator == b"[\n" else b"\n]\n"


def json_lines(runs: Pages) -> Iterator[bytes]:
    """A run on each line."""
    for page in runs:
        yield b"".join(_object(run) + b"\n" for run in page)


def comma_separated(runs: Pages) -> Iterator[bytes]:
    """CSV with a column for each field and for each parameter of any run."""
    with spooled(runs) as spool:
        columns = [*FIELDS, *(column_of(name) for name in spool.params)]
        rows = (
            [[*(run[field] for field in FIELDS), *(run[PARAMS].get(name) for name in spool.params)] for run in batch]
            for batch in spool.batches()
        )
        yield from row_text.comma_separated(columns, rows)


def column_of(param: str) -> str:
    """The column of a parameter."""
    return f"param.{param}"


class Spool:
    """Runs that wait on the disk until the parameters of all of them are known.

    params: their names, in the order they were met, each with the types of its values in words of Python; `large` is an
    int of more than 64 bits.
    """

    def __init__(self, runs: Pages, file: BinaryIO) -> None:
        self._file = file
        self.params: dict[str, set[str]] = {}
        for page in runs:
            for run in page:
                for name, value in msgspec.json.decode(run[PARAMS]).items():
                    self.params.setdefault(name, set()).add(_type_name(value))
                file.write(_object(run) + b"\n")

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """The runs again, some at a time, with their parameters as values."""
        self._file.seek(0)
        while lines := list(itertools.islice(self._file, _BATCH)):
            yield [msgspec.json.decode(line) for line in lines]


@contextmanager
def spooled(runs: Pages) -> Iterator[Spool]:
    """All of the runs, on the disk; nothing is left there."""
    with tempfile.TemporaryFile() as file:
        yield Spool(runs, file)


def _type_name(value: Any) -> str:
    return "large" if isinstance(value, int) and not -_INT64 <= value < _INT64 else type(value).__name__


def _object(run: Exported) -> bytes:
    return _encode(run | {PARAMS: msgspec.Raw(run[PARAMS].encode())})
