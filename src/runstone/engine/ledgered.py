"""Runs of this process and the ledger of their project: they go there by themselves, and never wait for long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runstone import config
from runstone.engine import streams
from runstone.errors import FolderError, LedgerError, SettingError
from runstone.ledger import place

if TYPE_CHECKING:
    from runstone.folder.writer import RunWriter
    from runstone.ledger.attach import Attachment
    from runstone.ledger.projector import Projector

_PATIENCE = 1.0


class Ledgered:
    """A run whose records go into the ledger too, from `with` on until it has ended."""

    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer
        self._projector: Projector | None = None
        self._member: Attachment | None = None

    def __enter__(self) -> None:
        try:
            found = place.find()
        except SettingError as error:
            complain(str(error))
            found = None
        for problem in config.untold():
            _say(f"warning: {problem}")
        if found is None:
            self._writer.heard = None
            return
        # the database is loaded by those who have one
        from runstone.ledger import projector

        self._projector = projector.of(found, complain)
        self._member = self._projector.join(self._writer)

    def __exit__(self, *_: object) -> None:
        if self._projector is not None and self._member is not None:
            self._projector.leave(self._member)


def tell(folder: str, run_id: str) -> None:
    """Bring a run into the ledger that somebody else has recorded; if that cannot be done now, leave a note."""
    try:
        found = place.find()
    except SettingError as error:
        complain(str(error))
        return
    if found is None:
        return
    from runstone.ledger import behind, of_folder, opening

    try:
        store = opening.open_ledger(found, patience=_PATIENCE)
        try:
            of_folder.project(store, folder, run_id)
        finally:
            store.close()
    except (LedgerError, FolderError, OSError) as error:
        behind.remember(found, run_id, folder)
        complain(str(error))


def complain(reason: str) -> None:
    """Say what keeps runs out of the ledger, where the user looks; the work goes on."""
    _say(f"runs are recorded in their folders alone for now: {reason}")


def _say(what: str) -> None:
    stream: Any = streams.beneath("stderr")
    try:
        stream.write(f"runstone: {what}\n")
        stream.flush()
    except (AttributeError, OSError, ValueError):
        return
