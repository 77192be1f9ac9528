"""Where the calls of a block are made: worker processes, threads, an event loop, somebody else's executor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runstone.blocks import Block
from runstone.core.settings import INLINE, Settings
from runstone.engine import inline
from runstone.engine.work import BlockEnd, Values, Work
from runstone.errors import SettingError

if TYPE_CHECKING:
    from runstone.engine.side_by_side import Prepared

_KILLABLE = "processes"


def is_inline(block: Block[..., Any], settings: Settings) -> bool:
    """Whether the driver's own thread makes the calls."""
    if block.is_async:
        return False
    return settings.executor == INLINE or (settings.executor == "auto" and not block.graph_block().is_mapped)


def name_of(executor: object) -> str:
    """An executor in words, for the record."""
    return executor if isinstance(executor, str) else type(executor).__name__


def check(block: Block[..., Any], settings: Settings) -> None:
    """Raise SettingError if the block cannot be executed the way its settings say."""
    executor = settings.executor
    # what our own event loop awaits can be cancelled
    can_be_ended = executor == _KILLABLE or (block.is_async and isinstance(executor, str))
    if settings.timeout and not can_be_ended:
        raise SettingError(
            f"block {block.name!r}: timeout={settings.timeout:g} needs a process that can be ended; "
            f"leave out executor={name_of(executor)!r}, or say executor='processes'"
        )


def prepare(work: Work, values: Values) -> BlockEnd | Prepared:
    """Get a block run ready to be executed elsewhere, in the driver's thread; or how it ends without being executed.

    Raises FolderError and KeyboardInterrupt.
    """
    # whoever computes it reads in the folder what blocks before it have made
    work.recorder.flush()
    refusal = inline.condition(work)
    if refusal is not None:
        return refusal
    if work.cache is not None and (reused := work.cache.take(work)) is not None:
        return reused
    executor = work.settings.executor
    if work.block.is_async and executor in (INLINE, "threads", "auto"):
        from runstone.engine.executors import coroutines

        return coroutines.prepare(work)
    if executor == "threads":
        from runstone.engine.executors import threads

        return threads.prepare(work)
    if executor == "processes":
        from runstone.engine.executors import processes

        return processes.prepare(work, values)
    if executor == "auto":
        from runstone.engine.executors import auto

        return auto.prepare(work, values)
    from runstone.engine.executors import foreign

    return foreign.prepare(work, values)
