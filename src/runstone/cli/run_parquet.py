"""Exported runs as one Parquet file."""

from __future__ import annotations

from datetime import datetime
from typing import Any, BinaryIO

import click

from runstone.cli.row_text import cell
from runstone.cli.run_text import Pages, column_of, spooled
from runstone.ledger.export import FIELDS, PARAMS

_WHOLE = frozenset(
    {
        "rows_in", "rows_out", "progress_done", "progress_total", "progress_failed", "error_count", "artifact_count",
        "priority", "llm_calls", "tokens",
    }
)  # fmt: skip


def write_parquet(runs: Pages, to: BinaryIO) -> None:
    """Write a column for each field and each parameter of any run; times are UTC.

    A parameter whose values are of several types is text. Raises click.UsageError without pyarrow.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise click.UsageError(
            "Parquet needs pyarrow: pip install 'runstone[analytics]', or use --format csv"
        ) from None
    with spooled(runs) as spool:
        kinds = {name: _kind(found) for name, found in spool.params.items()}
        fields = {name: _type(pyarrow, name) for name in FIELDS}
        columns = fields | {column_of(name): _named(pyarrow, kind) for name, kind in kinds.items()}
        schema = pyarrow.schema(list(columns.items()))
        with pyarrow.parquet.ParquetWriter(to, schema) as writer:
            for batch in spool.batches():
                arrays = [
                    [_moment(run[name]) if name.endswith("_at") else run[name] for run in batch] for name in FIELDS
                ]
                arrays += [[_value(run[PARAMS].get(name), kind) for run in batch] for name, kind in kinds.items()]
                made = [pyarrow.array(each, field.type) for each, field in zip(arrays, schema, strict=True)]
                writer.write_table(pyarrow.table(made, schema=schema))


def _type(pyarrow: Any, field: str) -> Any:
    if field.endswith("_at"):
        return pyarrow.timestamp("us", tz="UTC")
    if field == "tags":
        return pyarrow.list_(pyarrow.string())
    if field == "duration_seconds":
        return pyarrow.float64()
    return pyarrow.int64() if field in _WHOLE else pyarrow.string()


def _kind(found: set[str]) -> str:
    """The one type that a column has for values of these."""
    kinds = found - {"NoneType"}
    if len(kinds) == 1 and kinds <= {"bool", "int", "float"}:
        return kinds.pop()
    return "float" if kinds == {"int", "float"} else "str"


def _named(pyarrow: Any, kind: str) -> Any:
    return {"bool": pyarrow.bool_(), "int": pyarrow.int64(), "float": pyarrow.float64()}.get(kind, pyarrow.string())


def _value(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "str":
        return cell(value)
    return float(value) if kind == "float" else value


def _moment(said: str | None) -> datetime | None:
    try:
        return None if said is None else datetime.fromisoformat(said)
    except ValueError:
        return None
