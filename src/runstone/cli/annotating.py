"""Saying something about a run from the command line: what `runstone tag` and `runstone note` share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from runstone.ledger.port import Store


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The run that is spoken of. folder: None if it has none. tags: those it has."""

    run_id: str
    folder: str | None
    tags: list[str]


def subject(run: str, store: Store | None) -> Subject:
    """The run that a user names, by its folder or in the ledger. Raises RunNotFound, FolderError."""
    from runstone import config
    from runstone.cli.reading import reading
    from runstone.core.annotated import acting_tags
    from runstone.errors import RunAmbiguous, RunNotFound
    from runstone.folder import annotations as in_folder
    from runstone.folder.look import Look
    from runstone.folder.read import read_info
    from runstone.ledger.find import get

    try:
        with reading(run) as folder, Look(folder) as look:
            info = read_info(look)
            return Subject(run_id=info.id, folder=folder, tags=acting_tags(info.tags, in_folder.read(look)))
    except RunNotFound as error:
        if store is None or isinstance(error, RunAmbiguous):
            raise
        try:
            found = get(store, run, workspace=config.workspace())
        except RunAmbiguous:
            raise
        except RunNotFound:
            raise error from None
        return Subject(run_id=found.run_id, folder=None, tags=found.tags)


def say(about: Subject, said: Sequence[tuple[str, str]], store: Store | None) -> None:
    """Write it down, in the folder and in the ledger. said: pairs of a kind and a text.

    Where only the ledger does not take it, that is a warning: it follows the folder later.
    Raises StorageError, LedgerError; then it is not written down, or not all of it.
    """
    from runstone.cli.ledger_at_hand import warn
    from runstone.engine.stop import who
    from runstone.ledger.annotations import annotate

    done = annotate(said, by=who(), run_id=about.run_id, folder=about.folder, store=store)
    if done.missed is not None:
        waits = "this is in the folder of the run, and not in the ledger yet; runstone ledger sync brings it"
        warn(f"{waits}: {done.missed}")
