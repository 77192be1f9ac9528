"""Rows of a database as text for programs: separated by tabs or commas, or as JSON; nothing is ever cut."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from runstone.cli.json_text import encode

Batches = Iterable[Sequence[Sequence[Any]]]

_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_TO_ESCAPE = re.compile(r"[\\\t\n\r]")
_WITHIN_JSON = 2**63


def tab_separated(columns: Sequence[str], batches: Batches) -> Iterator[bytes]:
    """A line of names and one for each row, as PostgreSQL's COPY escapes them (`\\t`, `\\n`, `\\\\`); NULL is empty."""
    yield _lines([columns])
    for batch in batches:
        yield _lines(batch)


def comma_separated(columns: Sequence[str], batches: Batches) -> Iterator[bytes]:
    """CSV (RFC 4180) in UTF-8 with a line of names; NULL is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for batch in batches:
        writer.writerows([cell(value) for value in row] for row in batch)
        yield buffer.getvalue().encode(errors="backslashreplace")
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode(errors="backslashreplace")


def json_array(columns: Sequence[str], batches: Batches) -> Iterator[bytes]:
    """One array with an object for each row, each on a line of its own."""
    names = distinct(columns)
    separator = b"[\n"
    for batch in batches:
        objects = (dict(zip(names, map(plain, row), strict=True)) for row in batch)
        text = b",\n".join(map(encode, objects))
        if text:
            yield separator + text
            separator = b",\n"
    yield b"[]\n" if separator == b"[\n" else b"\n]\n"


def distinct(columns: Sequence[str]) -> list[str]:
    """The names, with a number behind those that came before: an object has each of its names once."""
    names: dict[str, None] = {}
    for column in columns:
        name, number = column, 1
        while name in names:
            number += 1
            name = f"{column}_{number}"
        names[name] = None
    return list(names)


def cell(value: Any) -> str:
    """A value as text: times in RFC 3339, lists and structures as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return str(value)
    said = plain(value)
    return said if isinstance(said, str) else encode(said).decode()


def plain(value: Any) -> Any:
    """A value as JSON takes it; a number that JSON readers would not keep, as text."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        return value if -_WITHIN_JSON <= value < _WITHIN_JSON else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return msgspec.Raw(str(value).encode()) if value.is_finite() else None
    if isinstance(value, datetime):
        # what says no zone is in UTC, as all times of a ledger are
        moment = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return f"{moment.isoformat(timespec='microseconds')}Z"
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value)


def _lines(rows: Iterable[Sequence[Any]]) -> bytes:
    text = "".join("\t".join([_escaped(cell(value)) for value in row]) + "\n" for row in rows)
    return text.encode(errors="backslashreplace")


def _escaped(text: str) -> str:
    return _TO_ESCAPE.sub(lambda found: _ESCAPES[found[0]], text)
