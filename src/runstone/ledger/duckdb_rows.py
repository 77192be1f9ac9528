"""Rows on their way into a table of DuckDB: by Arrow where that is installed, else as lists."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

from runstone.ledger.port import Row
from runstone.ledger.statement import quoted

WORTH_ARROW = 2000
"""With fewer rows it takes longer to load Arrow than it saves."""

_INCOMING = "incoming_rows"


def insert(connection: Any, table: str, kinds: Sequence[str], rows: Sequence[Row]) -> None:
    """Put rows into a table. kinds: the types of its columns. A time that is none becomes NULL."""
    columns = list(zip(*rows, strict=True))
    if len(rows) >= WORTH_ARROW and importlib.util.find_spec("pyarrow") is not None:
        _by_arrow(connection, table, kinds, columns)
    else:
        # lists that are taken apart again cost a fraction of one parameter for each value
        cells = (_cell(f"unnest(?::{_said(kind)}[])", kind) for kind in kinds)
        connection.execute(f"INSERT INTO {quoted(table)} SELECT {', '.join(cells)}", list(map(list, columns)))


def _by_arrow(connection: Any, table: str, kinds: Sequence[str], columns: Sequence[Row]) -> None:
    import pyarrow

    types = {
        "BIGINT": pyarrow.int64(),
        "DOUBLE": pyarrow.float64(),
        "BOOLEAN": pyarrow.bool_(),
        "BLOB": pyarrow.binary(),
    }
    arrays = [
        pyarrow.array(column, types.get(kind, pyarrow.string())) for column, kind in zip(columns, kinds, strict=True)
    ]
    names = [f"c{number}" for number in range(len(kinds))]
    cells = (_cell(name, kind) for name, kind in zip(names, kinds, strict=True))
    connection.register(_INCOMING, pyarrow.table(arrays, names))
    try:
        connection.execute(f"INSERT INTO {quoted(table)} SELECT {', '.join(cells)} FROM {_INCOMING}")
    finally:
        connection.unregister(_INCOMING)


def _said(kind: str) -> str:
    """The type in which values of a column come here: times are texts."""
    return "VARCHAR" if kind == "TIMESTAMP" else kind


def _cell(value: str, kind: str) -> str:
    return f"try_cast({value} AS TIMESTAMP)" if kind == "TIMESTAMP" else value
