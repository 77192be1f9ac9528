"""A run that is being executed, on its way into the ledger while it goes on."""

from __future__ import annotations

from runstone.core import events as ev
from runstone.core.statuses import BlockStatus
from runstone.folder import input_digests
from runstone.folder.look import Look
from runstone.folder.writer import RunWriter
from runstone.ledger.port import Store
from runstone.ledger.projection import Outcome, known, put
from runstone.ledger.row_types import Rows
from runstone.ledger.rows import Taker, block_rows, fingerprint, run_row, tags

_MOVING = frozenset({BlockStatus.RUNNING.value, BlockStatus.RETRYING.value, BlockStatus.QUEUED.value})
_EVENTS_KEPT = 10_000
"""With so many events waiting, the folder is the better place to read them from."""


class Attachment:
    """What a writer records, handed to the ledger whenever `project` is called."""

    def __init__(self, writer: RunWriter, root: str | None = None) -> None:
        """root: of the project that the run belongs to; its code may go elsewhere."""
        self.writer = writer
        self.root = root
        self.folder = writer.folder
        self.run_id = writer.info.id
        # number of the last record that the ledger has of this driver; None: ask it, and read the rest in the folder
        self._since: int | None = None if writer.heard is None else 0
        self._heard = writer.heard = [] if writer.heard is None else writer.heard
        self._seq = 0
        # blocks that may have changed since the ledger was told; None: all
        self._changed: set[str] | None = None
        # of the parameters, which are read once
        self._fingerprint: str | None = None
        self._has_fingerprint = False

    def project(self, store: Store) -> None:
        """Bring what is new, and on the disk, into the ledger. Raises LedgerError, FolderError, OSError."""
        if self._since is None:
            self._project_folder(store)
        rows = self.rows()
        if rows is None:
            return
        if put(store, rows) is Outcome.GAP:
            self._project_folder(store)
        else:
            self.taken(rows)

    def finish(self, store: Store) -> None:
        """The same, when the run has ended. Raises LedgerError, FolderError, OSError."""
        if self.writer.complete:
            self.project(store)
        else:
            # this process does not know what of its records counts
            self._project_folder(store)

    def taken(self, rows: Rows) -> None:
        """The ledger has these rows now."""
        self._since = self._seq = rows.run.seq
        self._changed = {row.block for row in rows.blocks if row.status in _MOVING}
        with self.writer.lock:
            self._heard[:] = [event for event in self._heard if event.seq > rows.run.seq]

    def failed(self) -> None:
        """The ledger could not be written: what waits for it is kept as long as it takes little room."""
        with self.writer.lock:
            if len(self._heard) > _EVENTS_KEPT:
                self._heard.clear()
                self._since = None

    def _project_folder(self, store: Store) -> None:
        # readers are loaded by those who have something to read
        from runstone.ledger import of_folder

        if self.writer.broken is None and not self.writer.complete:
            # what is numbered and not yet in the folder would be taken for told
            self.writer.flush()
        of_folder.project(store, self.folder, self.run_id, settle=self._settle)
        epoch, seq = known(store, self.run_id)
        with self.writer.lock:
            self._since = seq if epoch == self.writer.epoch else None
            self._changed = None
            self._heard[:] = [event for event in self._heard if event.seq > seq]

    def _settle(self) -> None:
        """Bring what was read to the disk: nobody is told what a machine that dies now would forget."""
        if self.writer.broken is None and not self.writer.complete:
            self.writer.sync()

    def _to_tell(self, heard: list[ev.Event]) -> set[str] | None:
        if self._changed is None:
            return None
        return self._changed.union(block for event in heard if (block := getattr(event, "block", None)) is not None)

    def rows(self) -> Rows | None:
        """What is new and on the disk; None if nothing is, or if that must be read in the folder."""
        writer, state = self.writer, self.writer.state
        complete = writer.complete
        if self._since is None or state.seq == self._seq or (writer.broken is not None and not complete):
            return None
        if not self._has_fingerprint:
            with Look(self.folder) as look:
                self._fingerprint = fingerprint(input_digests.of_run(look, writer.info.params))
            self._has_fingerprint = True
        with writer.lock:
            if not complete:
                writer.flush()
            heard = self._heard[:]
            rows = Rows(
                run=run_row(writer.info, state, self.folder, self._fingerprint),
                blocks=block_rows(state, self._to_tell(heard)),
                tags=tags(writer.info),
                since=self._since,
            )
        # nobody is told what a machine that dies now would forget
        if not complete:
            writer.sync()
        Taker(rows, writer.epoch).take(heard)
        return rows
