"""What can be said about the driver of a run: live, stale, lost, gone or ended."""

from __future__ import annotations

import time

from runstone.core.statuses import Liveness
from runstone.folder import checkpoint as checkpoints
from runstone.folder import clock, identity, layout
from runstone.folder.look import Look
from runstone.folder.reading import Reading

STALE_SECONDS = 5.0


def take_heartbeat(reading: Reading, found: checkpoints.Checkpoint) -> None:
    """Note when the driver gave its last sign of life."""
    reading.heartbeat_at = found.at
    if found.boot_id and found.boot_id == identity.boot_id():
        reading.heartbeat_age = max(0.0, clock.steady() - found.steady)
    else:
        reading.heartbeat_age = _since(found.at)


def liveness(look: Look, reading: Reading) -> Liveness:
    """The word for the driver of a run that has not ended; notes as well whether the folder is a copy."""
    if reading.gone:
        return Liveness.GONE
    driver = reading.state.driver
    if driver is not None and reading.gone is None and _is_copy(look, reading):
        reading.copied = True
        return Liveness.LOST
    age = reading.heartbeat_age
    if age is None:
        age = _since(reading.state.updated_at or reading.info.created_at)
    if age is None or age > reading.info.lease_seconds:
        return Liveness.LOST
    return Liveness.STALE if age > STALE_SECONDS else Liveness.LIVE


def _since(at: str) -> float | None:
    then = clock.seconds(at)
    return None if then is None else max(0.0, time.time() - then)


def _is_copy(look: Look, reading: Reading) -> bool:
    driver = reading.state.driver
    journal = look.stat(layout.journal(reading.epochs[-1]))
    return driver is not None and journal is not None and journal.st_ino != driver.journal_inode
