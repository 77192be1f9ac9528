"""From what a user types to a run folder, wherever the ledger knows it to be: RUN for all who take it.

`./runs` comes first, and costs no ledger; what is not there is looked up in it.
"""

from __future__ import annotations

import os

from runstone import config
from runstone.errors import FolderError, ForeignFolder, LedgerError, RunAmbiguous, RunNotFound
from runstone.folder import resolve as folders
from runstone.folder.foreign import door
from runstone.folder.look import Look
from runstone.folder.read import read_info
from runstone.folder.resolve import Located


class FolderGone(RunNotFound):
    """The ledger knows the run, but it has no folder, or not any more. run_id: of it; of_block: a block was named."""

    def __init__(self, message: str, run_id: str, of_block: bool = False) -> None:
        self.run_id = run_id
        self.of_block = of_block
        super().__init__(message)

    def __reduce__(self) -> tuple[type[FolderGone], tuple[str, str, bool]]:
        return type(self), (str(self), self.run_id, self.of_block)


def locate(run: str | os.PathLike[str]) -> Located:
    """What RUN or RUN/BLOCK means: as `folder.resolve.locate` says, or the folder that the ledger names for an id.

    Raises RunNotFound; RunAmbiguous if an id begins several runs; FolderGone.
    """
    text = os.fspath(run)
    try:
        found = folders.locate(run)
        if found.block is not None or os.path.lexists(found.folder):
            return found
        # what is written like a path may be RUN/BLOCK
        return _block(text, None) or found
    except RunAmbiguous:
        raise
    except RunNotFound as error:
        folder = _folder(text, error) if _may_be_id(text) else None
        found_block = _block(text, error) if folder is None else Located(folder=folder)
        if found_block is None:
            raise
        return found_block


def _block(text: str, otherwise: RunNotFound | None) -> Located | None:
    """The block of a run that the ledger knows, None if it knows none."""
    run, block = folders.split_block(text)
    try:
        folder = _folder(run, otherwise) if _may_be_id(run) else None
    except FolderGone as gone:
        raise FolderGone(str(gone), gone.run_id, of_block=True) from None
    return None if folder is None else folders.locate(os.path.join(folder, block))


def resolve(run: str | os.PathLike[str]) -> str:
    """The folder of the run that a user names, for those who cannot do anything about a single block.

    Raises as `locate` does, also if it is a block that is named.
    """
    return folders.whole(run, locate(run))


def _may_be_id(text: str) -> bool:
    return bool(text) and not any(separator in text for separator in folders.SEPARATORS)


def _folder(run: str, otherwise: RunNotFound | None) -> str | None:
    """The folder of a run that the ledger knows, None if it knows none. otherwise: what is wrong without it."""
    from runstone.ledger.find import get
    from runstone.ledger.opening import open_for_reading
    from runstone.ledger.place import find

    place = find()
    if place is None:
        return None
    try:
        store = open_for_reading(place)
        if store is None:
            return None
        try:
            found = get(store, run, workspace=config.workspace())
        finally:
            store.close()
    except RunAmbiguous:
        raise
    except RunNotFound:
        return None
    except LedgerError as error:
        if otherwise is None:
            return None
        raise RunNotFound(f"{otherwise}; the ledger cannot be asked: {error}") from None
    folder = found.run_folder
    if folder is None or not holds(folder, found.run_id):
        where = "has no folder" if folder is None else f"was in {folder}, which is not there any more"
        raise FolderGone(
            f"run {found.run_id[:8]} of {found.pipeline_name!r} {where}; "
            f"what the ledger knows of it: runstone runs show {found.run_id[:8]}",
            found.run_id,
        )
    return folder


def holds(folder: str, run_id: str) -> bool:
    """Whether this run is in the folder: another one may have taken its place."""
    try:
        with Look(folder) as look:
            return read_info(look).id == run_id
    except ForeignFolder:
        return door.is_run(folder)
    except FolderError:
        # whoever reads it says what is wrong with it
        return True
    except OSError:
        return False
