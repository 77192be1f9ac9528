"""Going on with a run: in its own next epoch, or in a new run that takes over what is still valid."""

from __future__ import annotations

import functools
from collections.abc import Callable

import msgspec

from runstone.core import events as ev
from runstone.core.reasons import Reason
from runstone.core.records import RunInfo
from runstone.core.resumption import Step
from runstone.core.reuse import Side, reasons
from runstone.core.statuses import RunStatus
from runstone.engine.finish import write_end
from runstone.engine.stop import who
from runstone.errors import FolderError, Untrusted
from runstone.folder import input_digests, inputs, read, requests, unrecorded, writer
from runstone.folder.adopt import adopt
from runstone.folder.load import Loader
from runstone.folder.look import Look
from runstone.folder.succession import Succession, settle
from runstone.folder.takeover import RunEnded, take_over


def begin(
    folder: str, info: RunInfo, large: inputs.Large, *, resume: bool, overwrite: bool, unproven: bool
) -> writer.RunWriter | str:
    """The writer of the run to execute; or the folder of the run that is already what was asked for.

    info, large: of the run that is wanted. unproven: a person's word that the old driver is dead.
    Raises InputError if there is a run and nothing was said about it, FolderError if it cannot be gone on with.
    """

    @functools.cache
    def new() -> Side:
        return Side.of(info, input_digests.of_new(info.params, large))

    while True:
        settled = _settled(folder, new, resume=resume, overwrite=overwrite, unproven=unproven)
        try:
            return _carry_out(settled, info, large, unproven=unproven)
        except RunEnded:
            # another process was first, and has ended the run since: what is to be done now is another matter
            continue


def _settled(folder: str, new: Callable[[], Side], *, resume: bool, overwrite: bool, unproven: bool) -> Succession:
    try:
        return settle(folder, new, resume=resume, overwrite=overwrite, take_over=unproven)
    except FolderError as error:
        known = str(error)
        raise type(error)(known if folder in known else f"{folder}: {known}") from error


def _carry_out(settled: Succession, info: RunInfo, large: inputs.Large, *, unproven: bool) -> writer.RunWriter | str:
    """Raises RunEnded if the run to proceed with has ended meanwhile."""
    if settled.step is Step.RETURN:
        return settled.folder
    if settled.earlier is not None:
        refuse_imported(settled.earlier.reading.info)
    if settled.step is Step.PROCEED:
        with Look(settled.folder) as look:
            refuse_imported(read.read_info(look))
    if settled.step is not Step.PROCEED:
        return _begin(settled, info, large)
    by = who() if unproven else ""
    if _was_cancelled(settled.folder):
        # its driver died while it was cancelled: that run can only end so, and another one goes on
        write_end(
            settled.folder, RunStatus.CANCELLED, reason=Reason.CANCEL_REQUESTED, message="", by=by, unproven=unproven
        )
        raise RunEnded(f"the run in {settled.folder} has ended cancelled")
    taken = _proceed(settled.folder, unproven=unproven, by=by)
    if settled.earlier is not None:
        # its driver may have died before it had adopted everything
        adopt(taken, settled.earlier, settled.plans)
    return taken


def refuse_imported(info: RunInfo) -> None:
    """Raise Untrusted for a run that came out of an archive: going on with it opens what is stored there."""
    if info.imported_from is not None:
        raise Untrusted(
            f"run {info.id[:8]} was imported: to go on with it, its values would be opened, which can run code "
            "from the archive; start it anew in another folder, or go on with it where it was made"
        )


def _was_cancelled(folder: str) -> bool:
    """Whether it was being cancelled, or somebody had asked for that whom its driver did not hear any more."""
    stopping = read.read_run(folder).state.status is RunStatus.CANCELLING
    return stopping or requests.pending(folder, requests.CANCEL) is not None


def _proceed(folder: str, *, unproven: bool, by: str) -> writer.RunWriter:
    taken = take_over(folder, by=by, unproven=unproven)
    for event in Loader(folder, trust=False).events():
        if isinstance(event, (ev.BlockEnded, ev.BlockAdopted)):
            for name, stored in event.values.items():
                taken.keep_value(name, stored.value)
    unrecorded.void(taken)
    return taken


def _begin(settled: Succession, info: RunInfo, large: inputs.Large) -> writer.RunWriter:
    if settled.earlier is not None:
        info = msgspec.structs.replace(
            info,
            retry_of=settled.earlier.reading.info.id,
            reuse=reasons(settled.plans),
        )
    begun = writer.begin(settled.folder, info, "inline", inputs.saver(settled.folder, large))
    if settled.earlier is not None:
        adopt(begun, settled.earlier, settled.plans)
    return begun
