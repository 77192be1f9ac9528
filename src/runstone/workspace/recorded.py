"""Where a run of the ledger is read: in its folder while it is there, else in the ledger."""

from __future__ import annotations

from runstone.engine.source_ledger import LedgerSource, why_gone
from runstone.engine.sources import FolderSource, Source
from runstone.errors import FolderError, ForeignFolder
from runstone.ledger.find_summary import RunSummary
from runstone.ledger.port import Store
from runstone.workspace.books import Books


def source_of(books: Books, store: Store, known: RunSummary) -> Source:
    """Where a run is read: in its folder if it is there and can be read, else in the ledger.

    Raises LedgerError, RunNotFound if it was deleted meanwhile.
    """
    try:
        in_folder = open_folder(known)
    except FolderError as error:
        return LedgerSource(books.reading, store, known, str(error))
    return LedgerSource(books.reading, store, known, why_gone(known)) if in_folder is None else in_folder


def open_folder(known: RunSummary) -> FolderSource | None:
    """The run in the folder that the ledger names, None if that is gone or holds another run, or one of another
    workspace. Values of a run that was imported are not unpickled. Raises FolderError for a damaged folder.
    """
    if known.run_folder is None:
        return None
    try:
        source = FolderSource.open(known.run_folder, trust=None)
    except (OSError, ForeignFolder):
        return None
    is_it = (source.info.id, source.info.workspace) == (known.run_id, known.workspace)
    return source if is_it else None
