"""Reading Parquet that may be malformed or a bomb."""

from __future__ import annotations

from typing import Any

from runstone.errors import FolderError

# Older versions run code that a file's metadata names (CVE-2023-47248).
SAFE_PYARROW = 15
# A file may claim this many cells, and bytes of them, for each of its bytes: more is a bomb, and never written here.
_GROWTH = 1000
_CELLS_SLACK, _BYTES_SLACK = 1_000_000, 50_000_000


def safe_pyarrow() -> Any:
    """pyarrow, None if it is missing or too old to be safe."""
    try:
        import pyarrow
    except ImportError:
        return None
    return pyarrow if int(pyarrow.__version__.split(".")[0]) >= SAFE_PYARROW else None


def read_parquet(data: bytes | memoryview) -> Any:
    """The pyarrow Table in a Parquet file. Raises FolderError for a bomb, and whatever pyarrow raises."""
    import pyarrow
    from pyarrow import parquet

    file = parquet.ParquetFile(pyarrow.BufferReader(pyarrow.py_buffer(data)))
    _check_growth(pyarrow, file, len(data))
    return file.read()


def _check_growth(pyarrow: Any, file: Any, length: int) -> None:
    """Refuse a file that grows beyond measure when it is read, as far as its own description tells."""
    about = file.metadata
    cells = about.num_rows * max(1, about.num_columns)
    groups = [about.row_group(at) for at in range(about.num_row_groups)]
    unpacked = sum(max(0, group.total_byte_size) for group in groups)
    if cells > _GROWTH * length + _CELLS_SLACK or unpacked > _GROWTH * length + _BYTES_SLACK:
        raise FolderError(f"a stored table claims {cells} cells and {unpacked} bytes in {length} bytes")
    # Where the columns are not dictionaries in memory, a dictionary repeats a long text at almost no cost.
    if not any(pyarrow.types.is_dictionary(field.type) for field in file.schema_arrow) and any(
        "DICTIONARY" in encoding
        for group in groups
        for at in range(group.num_columns)
        for encoding in group.column(at).encodings
    ):
        raise FolderError("a stored table has dictionaries where none are written")
