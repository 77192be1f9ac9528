"""The view `runs` as a file of DuckDB, to be asked and carried about without a ledger."""

from __future__ import annotations

import contextlib
import os

from runstone.errors import LedgerError, StatementError
from runstone.ledger.statement import quoted
from runstone.ledger.user_sql import INSTALL_DUCKDB, Reader, has_duckdb

VIEW = "runs"
INDEXED = ("started_at", "stage", "status", "input_fingerprint", "tenant_id")


def write(ledger: Reader, path: str, *, replace: bool = False) -> int:
    """Write the table `runs`, with its indexes, into a new file; returns how many runs are in it.

    The file appears under its name when it is whole. replace: also in place of one that is there. Times are UTC.
    Raises LedgerError, OSError.
    """
    if not has_duckdb():
        raise StatementError(f"a file of DuckDB needs DuckDB, which is not installed: {INSTALL_DUCKDB}")
    if not replace and os.path.lexists(path):
        raise FileExistsError(f"{path} is there already")
    folder, name = os.path.split(os.path.abspath(path))
    beside = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
    try:
        count = _fill(ledger, beside)
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        _put(beside, path, replace=replace)
    finally:
        for left in (beside, f"{beside}.wal"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(left)
    return count


def _fill(ledger: Reader, path: str) -> int:
    import duckdb

    from runstone.ledger.duckdb_rows import insert
    from runstone.ledger.user_duckdb import SETTINGS

    columns = ledger.tables()[VIEW]
    count = 0
    try:
        with contextlib.closing(duckdb.connect(path, config=SETTINGS)) as connection:
            connection.execute(
                f"CREATE TABLE {VIEW} ({', '.join(f'{quoted(n)} {kind}' for n, kind in columns.items())})"
            )
            for batch in ledger.ask(f"SELECT {', '.join(map(quoted, columns))} FROM {VIEW}").batches:
                insert(connection, VIEW, list(columns.values()), batch)
                count += len(batch)
            for column in INDEXED:
                connection.execute(f"CREATE INDEX runs_by_{column} ON {VIEW} ({column})")
    except duckdb.Error as error:
        raise LedgerError(f"{path} cannot be written: {str(error).splitlines()[0]}") from error
    return count


def _put(beside: str, path: str, *, replace: bool) -> None:
    if not replace:
        try:
            # unlike a rename it fails if somebody else has made one meanwhile
            os.link(beside, path)
            return
        except FileExistsError:
            raise
        except OSError:
            # a file system without links
            pass
    os.replace(beside, path)
