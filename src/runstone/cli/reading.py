"""The run that a command is about, and what to say if it cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runstone.errors import FolderError, FormatTooNew
from runstone.folder.resolve import Located, no_run_in
from runstone.ledger.locating import locate, resolve


@contextmanager
def reading(run: str) -> Iterator[str]:
    """The folder of RUN, for as long as it is read; for commands that cannot do anything about a single block.

    Raises RunNotFound if there is none, and FolderError, naming the folder, for what is damaged or forbidden.
    """
    folder = resolve(run)
    with _explained(folder):
        yield folder


@contextmanager
def reading_block(run: str) -> Iterator[Located]:
    """What RUN or RUN/BLOCK names, for as long as it is read. Raises as `reading` does."""
    found = locate(run)
    with _explained(found.folder):
        yield found


@contextmanager
def _explained(folder: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise no_run_in(folder) from None
    except FormatTooNew:
        raise
    except FolderError as error:
        known = str(error)
        raise type(error)(known if folder in known else f"{folder}: {known}") from error
    except OSError as error:
        raise FolderError(f"{folder} cannot be read: {(error.strerror or str(error)).lower()}") from error
