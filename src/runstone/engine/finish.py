"""Writing the end of a run for a driver that is dead."""

from __future__ import annotations

from collections.abc import Sequence

from runstone.core import events as ev
from runstone.core.moves import BLOCK_DONE
from runstone.core.reasons import Reason
from runstone.core.receipts import Receipt, shortened
from runstone.core.statuses import BlockStatus, RunStatus
from runstone.engine import ledgered
from runstone.folder import manifest
from runstone.folder.takeover import take_over


def write_end(
    folder: str,
    status: RunStatus,
    *,
    reason: Reason,
    message: str,
    by: str,
    requested_at: str | None = None,
    receipts: Sequence[Receipt] = (),
    unproven: bool = False,
) -> None:
    """Take a run over and record that it was stopped; what it had recorded is kept.

    status: one that a run may have after `cancelling`. by: who asked. unproven: a person's word that the driver is
    dead. Raises FolderError if the run has ended, its driver is not proven dead, or somebody else was first.
    """
    writer = take_over(folder, by=by, unproven=unproven)
    try:
        if writer.state.status is RunStatus.RUNNING:
            writer.event(
                ev.RunCancelling, reason=reason, message=message, requested_at=requested_at, requested_by=by or None
            )
        for name, block in writer.state.blocks.items():
            if block.status not in BLOCK_DONE:
                writer.event(ev.BlockEnded, block=name, status=BlockStatus.CANCELLED, reason=reason)
        writer.end(status, reason, message, shortened(receipts))
    finally:
        writer.close()
    manifest.save(writer.folder, writer.info, writer.state)
    ledgered.tell(writer.folder, writer.info.id)
