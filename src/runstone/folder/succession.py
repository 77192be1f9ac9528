"""What becomes of a run folder that is there already when a run is asked for: compared, decided, made room for."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable

import msgspec

from runstone.core.causes import Why
from runstone.core.resumption import FoundRun, Step, next_step
from runstone.core.reuse import BlockPlan, Side, differences, plan
from runstone.errors import FolderError, InputError, SettingError
from runstone.folder import family, layout, read
from runstone.folder.earlier import EarlierRun, found_run, read_earlier
from runstone.folder.foreign import door
from runstone.folder.reading import Reading


class Succession(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done, and where.

    step: BEGIN, PROCEED, SUCCEED or RETURN. folder: of the run to begin (BEGIN, SUCCEED), to take over (PROCEED), or to
    return. earlier, plans: the run to adopt from, and what; for SUCCEED always, for PROCEED if the run was begun as the
    successor of one that is still there. changes: in what the run that was found differs from the one that is wanted.
    moved: where the old folder is now, if it had to make room.
    """

    step: Step
    folder: str
    earlier: EarlierRun | None = None
    plans: dict[str, BlockPlan] = {}
    changes: list[Why] = []
    moved: str | None = None


def settle(
    folder: str, wanted: Callable[[], Side], *, resume: bool = False, overwrite: bool = False, take_over: bool = False
) -> Succession:
    """Decide about a run folder, and make room in it. Nothing is changed unless `resume` or `overwrite` asks for it.

    wanted: the run that is wanted, asked for only if there is one to compare it with. take_over: a person's word that
    the driver is dead.
    Raises InputError if there is a run and neither is asked for, or it is another program's, SettingError if both are
    asked for, FolderError if its driver may live or it cannot be read.
    """
    if door.is_run(folder):
        raise InputError(f"the run in {folder} was made by pipefunc, and is not touched; give another run_folder")
    if resume and overwrite:
        raise SettingError("resume=True and overwrite=True: write one of them, either to go on or to start anew")
    if not resume:
        return _replaced(folder, overwrite=overwrite, take_over=take_over)
    path = family.newest(folder)
    if path is None and os.path.lexists(os.path.join(folder, layout.RUN)):
        # damaged: whoever reads it says how
        path = folder
    if path is None:
        # what a run left that was killed at its very beginning is nothing to go on with, and in the way
        remains = family.is_remains(folder)
        return Succession(step=Step.BEGIN, folder=family.claim_next(folder) if remains else folder)
    new, earlier = wanted(), read_earlier(path)
    changes = differences(earlier.side, new)
    step = next_step(found_run(earlier.reading, same=not changes), resume=True, overwrite=False, take_over=take_over)
    if step is Step.REFUSE_HELD:
        raise _held(path, earlier.reading)
    if step is Step.RETURN:
        return Succession(step=step, folder=path)
    if step is Step.PROCEED:
        before = _before(earlier)
        return Succession(
            step=step, folder=path, earlier=before, plans={} if before is None else plan(before.compared, new)
        )
    claimed = family.claim_after(path)
    if claimed is None:
        # another process was first: it holds that run now, or has ended it already
        return settle(folder, wanted, resume=resume, take_over=take_over)
    return Succession(
        step=step,
        folder=claimed,
        earlier=earlier,
        plans=plan(earlier.compared, new),
        changes=changes,
    )


def _before(run: EarlierRun) -> EarlierRun | None:
    """The run that this one was begun to take over from: its driver may have died before it had adopted everything."""
    for member in family.members(run.folder):
        if member.id == run.reading.info.retry_of:
            try:
                return read_earlier(member.path)
            except (FolderError, OSError):
                return None
    return None


def _replaced(folder: str, *, overwrite: bool, take_over: bool) -> Succession:
    is_run = os.path.lexists(os.path.join(folder, layout.RUN))
    if not is_run and not family.is_remains(folder):
        return Succession(step=Step.BEGIN, folder=folder)
    if not overwrite:
        raise InputError(
            f"there is a run in {folder} already{'' if is_run else ', or one that was begun and killed at once'}; "
            "resume=True (--resume) goes on with it, overwrite=True (--overwrite) moves it to .trash and starts anew; "
            "or give another run_folder"
        )
    if is_run:
        reading = read.read_run(folder)
        found: FoundRun = found_run(reading, same=False)
        if next_step(found, resume=False, overwrite=True, take_over=take_over) is Step.REFUSE_HELD:
            raise _held(folder, reading)
    return Succession(step=Step.BEGIN, folder=folder, moved=family.move_to_trash(folder, unproven=take_over))


def _held(folder: str, reading: Reading) -> FolderError:
    driver = reading.state.driver
    who = f"pid {driver.pid} on {driver.host}" if driver else "a process that nobody knows"
    seen = reading.heartbeat_at or reading.state.updated_at
    if reading.gone is False:
        return FolderError(f"the run in {folder} is held by {who}, which is alive; wait for its end, or cancel it")
    return FolderError(
        f"the run in {folder} is held by {who}, last sign of life {seen}, and cannot be proven dead from here; if you "
        f"know that it is, say so: runstone resume {shlex.quote(folder)} --take-over"
    )
