"""Outputs that have rows, as CSV or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import click
import msgspec

from runstone.cli.json_text import arrow_table, encode, shown
from runstone.core.arrays import unravel
from runstone.core.failed import Failed
from runstone.folder.cells import Missing, Unopened
from runstone.folder.pieces import Pieces
from runstone.folder.preview import type_name

_BATCH = 8192

Record = dict[str, Any]
Row = Sequence[Any]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that can be gone through more than once.

    columns: their names, in order. batches: the rows, some at a time, a value for each column. numbers: they are all
    numbers. arrow: makes an Arrow table of all of it, where that is better than going through the rows.
    """

    name: str
    columns: list[str]
    batches: Callable[[], Iterator[list[Row]]]
    numbers: bool = False
    arrow: Callable[[], Any] | None = None


def table_of(pieces: Pieces) -> Table:
    """The rows of an output. Raises click.UsageError if it has none.

    A mapped output has a row for each element, with its place if there are several axes; a list or an array a row for
    each item. An item that is a dict fills the columns of its keys, anything else the column with the output's name.
    """
    if pieces.axes is not None:
        return _of_records(pieces.name, lambda: _elements(pieces))
    value = pieces.value
    if isinstance(value, (list, tuple)):
        return _of_records(pieces.name, lambda: _items(value, pieces.name))
    table = arrow_table(value)
    if table is not None:
        return Table(
            name=pieces.name,
            columns=list(map(str, table.column_names)),
            batches=lambda: map(_transposed, table.to_batches(max_chunksize=_BATCH)),
            arrow=lambda: table,
        )
    array = _of_array(value, pieces.name)
    if array is not None:
        return array
    if type(value) is Unopened:
        raise click.UsageError(f"output {pieces.name!r} is a pickle: open it with --trust, or use --format json")
    raise click.UsageError(f"output {pieces.name!r} is of type {type_name(value)} and has no rows: use --format json")


def _of_records(name: str, batches: Callable[[], Iterator[list[Record]]]) -> Table:
    seen: dict[str, None] = {}
    for batch in batches():
        for record in batch:
            seen.update(dict.fromkeys(record))
    columns = list(seen) or [name]
    return Table(
        name=name,
        columns=columns,
        batches=lambda: ([[record.get(column) for column in columns] for record in batch] for batch in batches()),
    )


def _elements(pieces: Pieces) -> Iterator[list[Record]]:
    axes = pieces.axes or ()
    number = 0
    for batch in pieces.elements():
        records = [_record(cell, pieces.name) for cell in batch]
        if len(axes) > 1:
            places = (unravel(at, pieces.shape) for at in range(number, number + len(batch)))
            records = [
                {_free(axis, record): at for axis, at in zip(axes, place, strict=True)} | record
                for place, record in zip(places, records, strict=True)
            ]
        number += len(batch)
        yield records


def _free(axis: str, record: Record) -> str:
    """The name of an axis as a column; not one that the element has already."""
    while axis in record:
        axis += "_axis"
    return axis


def _record(item: Any, name: str) -> Record:
    if type(item) is Failed or type(item) is Missing:
        return {}
    if isinstance(item, dict):
        return item if all(isinstance(key, str) for key in item) else {str(key): part for key, part in item.items()}
    return {name: item}


def _items(items: Sequence[Any], name: str) -> Iterator[list[Record]]:
    for start in range(0, len(items), _BATCH):
        yield [_record(item, name) for item in items[start : start + _BATCH]]


def _transposed(batch: Any) -> list[Row]:
    return list(zip(*(column.to_pylist() for column in batch.columns), strict=True))


def _of_array(value: Any, name: str) -> Table | None:
    """An array with one or two axes; a column for each field, or for each place along the second axis."""
    if type(value).__module__.partition(".")[0] != "numpy" or getattr(value, "ndim", 0) not in (1, 2):
        return None
    fields = value.dtype.names
    if value.ndim == 2 and fields:
        return None
    columns = list(fields or ([name] if value.ndim == 1 else map(str, range(value.shape[1]))))

    def batches() -> Iterator[list[Row]]:
        for start in range(0, len(value), _BATCH):
            rows = value[start : start + _BATCH].tolist()
            yield rows if value.ndim == 2 or fields else [[item] for item in rows]

    def arrow() -> Any:
        import pyarrow

        parts = [value[field] for field in fields] if fields else value.reshape(len(value), -1).T
        return pyarrow.table([pyarrow.array(part) for part in parts], columns)

    return Table(name=name, columns=columns, batches=batches, numbers=value.dtype.kind in "iuf", arrow=arrow)


def csv_text(table: Table) -> Iterator[bytes]:
    """CSV in UTF-8 with a line of names; what is no number, text, truth or time is JSON in its cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.columns)
    for batch in table.batches():
        writer.writerows(batch if table.numbers else [[_cell(value) for value in row] for row in batch])
        yield buffer.getvalue().encode(errors="backslashreplace")
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode(errors="backslashreplace")


def _cell(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (str, int, float):
        return value
    if kind is bool:
        return "true" if value else "false"
    text = encode(shown(value)).decode()
    # Times and other numbers are JSON strings, which need no quotes here.
    return msgspec.json.decode(text) if text.startswith('"') else text


def write_parquet(table: Table, to: BinaryIO) -> None:
    """Write the rows as one Parquet file. Raises click.ClickException if they do not fit into columns."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise click.UsageError("Parquet needs pyarrow: pip install pyarrow, or use --format csv") from None
    try:
        if table.arrow is not None:
            pyarrow.parquet.write_table(table.arrow(), to)
            return
        schemas = [_arrow(pyarrow, table.columns, batch).schema for batch in table.batches()]
        schema = (
            pyarrow.unify_schemas(schemas, promote_options="permissive")
            if schemas
            else pyarrow.schema([(column, pyarrow.null()) for column in table.columns])
        )
        with pyarrow.parquet.ParquetWriter(to, schema) as writer:
            for batch in table.batches():
                writer.write_table(_arrow(pyarrow, table.columns, batch, schema))
    except (pyarrow.ArrowException, OverflowError) as error:
        raise click.ClickException(
            f"output {table.name!r} cannot be Parquet: {str(error).splitlines()[0]}; use --format json or csv"
        ) from None


def _arrow(pyarrow: Any, names: list[str], batch: list[Row], schema: Any = None) -> Any:
    columns = [
        pyarrow.array([_arrow_value(value) for value in column], None if schema is None else schema.field(number).type)
        for number, column in enumerate(zip(*batch, strict=True))
    ]
    return pyarrow.table(columns, names if schema is None else None, schema)


def _arrow_value(value: Any) -> Any:
    kind = type(value)
    if kind is Unopened:
        return encode(value.shown).decode()
    return value.tolist() if kind.__module__ == "numpy" and kind.__name__ == "ndarray" else value
