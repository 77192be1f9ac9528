"""What to do about a run folder that is there already: one table over what was found and what was asked for. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from runstone.core.statuses import RunStatus


class Step(StrEnum):
    """begin: there is nothing yet. proceed: the same run, in its next epoch. succeed: a new run beside the newest of
    the family, which takes over from it what is still valid. return: the newest is what was asked for. replace: the old
    folder goes to the trash first. The others are refusals.
    """

    BEGIN = "begin"
    PROCEED = "proceed"
    SUCCEED = "succeed"
    RETURN = "return"
    REPLACE = "replace"
    REFUSE_EXISTING = "refuse_existing"
    REFUSE_HELD = "refuse_held"
    REFUSE_BOTH = "refuse_both"


class FoundRun(msgspec.Struct, frozen=True, kw_only=True):
    """The newest run of the family.

    status: as recorded; done: it has its terminal event. whole: every output it has made is on disk. gone: whether its
    driver is proven dead (True), proven alive (False), or neither can be proven. same: it has the code and the
    parameters that are asked for, in every part.
    """

    status: RunStatus
    done: bool
    whole: bool
    gone: bool | None
    same: bool


def next_step(found: FoundRun | None, *, resume: bool, overwrite: bool, take_over: bool = False) -> Step:
    """What to do. take_over: a person's word that a driver is dead which nobody here can prove dead; a driver that is
    proven alive stays the driver whatever anybody says."""
    if resume and overwrite:
        return Step.REFUSE_BOTH
    if found is None:
        return Step.BEGIN
    if not resume and not overwrite:
        return Step.REFUSE_EXISTING
    dead = found.done or found.gone is True or (take_over and found.gone is None)
    if not dead:
        return Step.REFUSE_HELD
    if overwrite:
        return Step.REPLACE
    if not found.done:
        return Step.PROCEED if found.same else Step.SUCCEED
    as_asked = found.status is RunStatus.COMPLETED and found.same and found.whole
    return Step.RETURN if as_asked else Step.SUCCEED
