"""What to do about a run folder that is there already: the whole truth table."""

from __future__ import annotations

from itertools import product

import pytest

from runstone.core.moves import DONE
from runstone.core.resumption import FoundRun, Step, next_step
from runstone.core.statuses import RunStatus

RUNNING, COMPLETED = RunStatus.RUNNING, RunStatus.COMPLETED
ENDED_BADLY = sorted(DONE - {COMPLETED})


def found(status: RunStatus, gone: bool | None = None, *, same: bool = True, whole: bool = True) -> FoundRun:
    return FoundRun(status=status, done=status in DONE, whole=whole, gone=gone, same=same)


TABLE = [
    # found                                    resume overwrite take_over  step
    (None,                                      False, False, False, Step.BEGIN),
    (None,                                      True,  False, False, Step.BEGIN),
    (None,                                      False, True,  False, Step.BEGIN),
    (found(COMPLETED),                          False, False, False, Step.REFUSE_EXISTING),
    (found(RUNNING, True),                      False, False, False, Step.REFUSE_EXISTING),
    # the same run goes on
    (found(RUNNING, True),                      True,  False, False, Step.PROCEED),
    (found(RunStatus.CANCELLING, True),         True,  False, False, Step.PROCEED),
    (found(RUNNING, None),                      True,  False, True,  Step.PROCEED),
    # a new one takes over what is valid
    (found(RUNNING, True, same=False),          True,  False, False, Step.SUCCEED),
    (found(RUNNING, None, same=False),          True,  False, True,  Step.SUCCEED),
    (found(COMPLETED, same=False),              True,  False, False, Step.SUCCEED),
    (found(COMPLETED, whole=False),             True,  False, False, Step.SUCCEED),
    # there is nothing to do
    (found(COMPLETED),                          True,  False, False, Step.RETURN),
    (found(COMPLETED),                          True,  False, True,  Step.RETURN),
    # held
    (found(RUNNING, False),                     True,  False, False, Step.REFUSE_HELD),
    (found(RUNNING, None),                      True,  False, False, Step.REFUSE_HELD),
    (found(RUNNING, False),                     True,  False, True,  Step.REFUSE_HELD),
    (found(RUNNING, False, same=False),         True,  False, False, Step.REFUSE_HELD),
    (found(RUNNING, None, same=False),          True,  False, False, Step.REFUSE_HELD),
    (found(RUNNING, False),                     False, True,  False, Step.REFUSE_HELD),
    (found(RUNNING, False),                     False, True,  True,  Step.REFUSE_HELD),
    (found(RUNNING, None),                      False, True,  False, Step.REFUSE_HELD),
    # the old one goes away
    (found(RUNNING, None),                      False, True,  True,  Step.REPLACE),
    (found(RUNNING, True),                      False, True,  False, Step.REPLACE),
    (found(COMPLETED),                          False, True,  False, Step.REPLACE),
    (found(COMPLETED, same=False),              False, True,  False, Step.REPLACE),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "resume", "overwrite", "take_over", "step"), TABLE)
def test_the_table(seen: FoundRun | None, resume: bool, overwrite: bool, take_over: bool, step: Step) -> None:
    assert next_step(seen, resume=resume, overwrite=overwrite, take_over=take_over) is step


@pytest.mark.parametrize("status", ENDED_BADLY)
@pytest.mark.parametrize("same", [True, False])
def test_every_end_but_completed_makes_a_new_run(status: RunStatus, same: bool) -> None:
    assert next_step(found(status, same=same), resume=True, overwrite=False) is Step.SUCCEED


def every_case() -> list[tuple[FoundRun | None, bool, bool, bool]]:
    runs: list[FoundRun | None] = [None]
    for status, gone, same, whole in product(RunStatus, (True, False, None), (True, False), (True, False)):
        runs.append(found(status, gone, same=same, whole=whole))
    return list(product(runs, (True, False), (True, False), (True, False)))


def test_what_must_hold_in_every_case() -> None:
    for seen, resume, overwrite, take_over in every_case():
        step = next_step(seen, resume=resume, overwrite=overwrite, take_over=take_over)
        if resume and overwrite:
            assert step is Step.REFUSE_BOTH
            continue
        if seen is None:
            assert step is Step.BEGIN
            continue
        if not resume and not overwrite:
            assert step is Step.REFUSE_EXISTING
        if not seen.done and seen.gone is False:
            assert step in (Step.REFUSE_HELD, Step.REFUSE_EXISTING), "nobody takes a run from a driver that lives"
        if not seen.done and seen.gone is None and not take_over:
            assert step in (Step.REFUSE_HELD, Step.REFUSE_EXISTING), "nobody takes a run without proof or a word"
        assert (step is Step.REPLACE) <= overwrite, "nothing goes to the trash unasked"
        assert (step is Step.PROCEED) <= (not seen.done and seen.same), "what has ended stays as it ended"
        assert (step is Step.RETURN) <= (seen.status is COMPLETED and seen.same and seen.whole)
        assert step is not Step.BEGIN
