"""The fold: any prefix of any journal folds, nothing moves outside the table, and no record makes counts impossible."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstone.core import events as ev
from runstone.core import fold, run_state
from runstone.core.moves import BLOCK_DONE, BLOCK_MOVES, BLOCK_REACHABLE, DONE, RUN_MOVES, RUN_REACHABLE
from runstone.core.ranges import count, to_ranges, without
from runstone.core.reasons import Reason
from runstone.core.statuses import BlockStatus, RunStatus

BLOCKS = ("plain", "mapped", "other")
DRIVER = ev.Driver(host="here", pid=7, start_ticks=1)

# What a run may write


def at(seq: int) -> str:
    return f"2026-01-01T00:00:{seq % 60:02d}.000000Z"


@st.composite
def honest_journals(draw: st.DrawFn) -> list[ev.Record]:
    """All records of a run as a driver writes them, in order."""
    found: list[ev.Record] = []

    def say(kind: Any, **fields: Any) -> None:
        found.append(kind(seq=len(found) + 1, at=at(len(found) + 1), **fields))

    say(ev.RunStarted, driver=DRIVER)
    for name in BLOCKS:
        if draw(st.integers(0, 4)) == 0:
            say(ev.BlockEnded, block=name, status=BlockStatus.CONDITION_FAILED, reason=Reason.CONDITION_FALSE)
            continue
        if name != "mapped" and draw(st.integers(0, 4)) == 0:
            if draw(st.booleans()):
                say(ev.BlockAdopted, block=name, whole=True, **adopted(name, [0]))
            else:
                value = ev.StoredValue(value=1, type="int", bytes=1)
                say(ev.BlockAdopted, block=name, from_run="before", values={name: value}, whole=True)
            continue
        if name != "mapped":
            say(ev.BlockStarted, block=name)
            for attempt in range(draw(st.integers(0, 2))):
                say(ev.ErrorRaised, block=name, attempt=attempt + 1, final=False, type="ValueError", message="no")
                say(ev.BlockRetrying, block=name, attempt=attempt + 1)
                say(ev.BlockStarted, block=name, attempt=attempt + 2)
            if draw(st.booleans()):
                say(ev.Chunk, block=name, elements=[(0, 1)], ok=1, columns=[column(name, 1)])
                say(ev.BlockEnded, block=name, status=BlockStatus.COMPLETED, duration=0.1)
            else:
                value = ev.StoredValue(value=1, type="int", bytes=1)
                say(ev.BlockEnded, block=name, status=BlockStatus.COMPLETED, values={name: value}, duration=0.1)
            continue
        total = draw(st.integers(0, 30))
        order = draw(st.permutations(range(total)))
        for _ in range(draw(st.integers(0, 2))):
            size = draw(st.integers(0, len(order)))
            part, order = sorted(order[:size]), order[size:]
            if part:
                say(ev.BlockAdopted, block=name, shape=[total], **adopted(name, part))
        if not order and draw(st.booleans()):
            say(ev.BlockAdopted, block=name, from_run="before", shape=[total], whole=True)
            continue
        say(ev.BlockStarted, block=name, shape=[total])
        while order:
            size = draw(st.integers(1, len(order)))
            part, order = sorted(order[:size]), order[size:]
            bad = draw(st.integers(0, size))
            say(
                ev.Chunk,
                block=name,
                elements=to_ranges(part),
                ok=size - bad,
                failed=bad,
                columns=[column(name, size - bad)],
                shape=[total],
                retries=draw(st.integers(0, 3)),
            )
        say(ev.BlockEnded, block=name, status=draw(st.sampled_from([BlockStatus.COMPLETED, BlockStatus.DEGRADED])))
    say(ev.Warned, code="slow", message="it was slow")
    say(ev.RunEnded, status=draw(st.sampled_from([RunStatus.COMPLETED, RunStatus.DEGRADED, RunStatus.FAILED])))
    return found


def adopted(name: str, elements: list[int]) -> dict[str, Any]:
    """The fields of an event that says that these elements are in a pack of an earlier run."""
    file = ev.AdoptedFile(path=f"outputs/{name}.adopted-0123abcd.pack", bytes=100, elements=to_ranges(elements))
    taken = ev.AdoptedOutput(type="int", count=len(elements), bytes=8 * len(elements))
    return {"from_run": "before", "files": [file], "outputs": {name: taken}}


def column(name: str, stored: int) -> ev.ColumnMeta:
    return ev.ColumnMeta(name=name, bytes=8 * stored, count=stored, type="int")


# What a damaged or hostile journal may hold

numbers = st.integers(-3, 12) | st.sampled_from([2**31, 2**62, 2**64, -(2**63), 10**40])
names = st.sampled_from([*BLOCKS, "ghost", "", "../../x"])
shapes = st.none() | st.lists(numbers, max_size=3) | st.just([2**62] * 200)
texts = st.sampled_from(["", "x", "y" * 5000])
ranges = st.lists(st.tuples(numbers, numbers), max_size=5)
reasons = st.none() | st.sampled_from(Reason)
columns = st.lists(
    st.builds(ev.ColumnMeta, name=names, bytes=numbers, count=numbers, type=texts, safe=st.booleans()), max_size=3
)
stored_values = st.dictionaries(
    names, st.builds(ev.StoredValue, value=st.none(), type=texts, bytes=numbers), max_size=3
)
taken_outputs = st.dictionaries(
    names, st.builds(ev.AdoptedOutput, type=texts, count=numbers, bytes=numbers), max_size=2
)
bodies: st.SearchStrategy[ev.Record] = st.one_of(
    st.builds(ev.RunStarted, seq=st.just(0), at=texts, driver=st.just(DRIVER)),
    st.builds(ev.RunTakenOver, seq=st.just(0), at=texts, epoch=numbers, driver=st.just(DRIVER), files=st.just({})),
    st.builds(ev.RunCancelling, seq=st.just(0), at=texts, reason=st.sampled_from(Reason), message=texts),
    st.builds(ev.RunEnded, seq=st.just(0), at=texts, status=st.sampled_from(RunStatus), reason=reasons, message=texts),
    st.builds(ev.BlockStarted, seq=st.just(0), at=texts, block=names, attempt=numbers, shape=shapes),
    st.builds(ev.BlockRetrying, seq=st.just(0), at=texts, block=names, attempt=numbers, delay=st.floats()),
    st.builds(
        ev.BlockEnded, seq=st.just(0), at=texts, block=names, status=st.sampled_from(BlockStatus), reason=reasons,
        message=texts, duration=st.none() | st.floats(allow_nan=False), values=stored_values,
        inner_shapes=st.dictionaries(names, st.lists(numbers, max_size=2), max_size=2),
    ),
    st.builds(
        ev.ErrorRaised, seq=st.just(0), at=texts, block=names, element=st.none() | numbers, attempt=numbers,
        final=st.booleans(), type=texts, message=texts,
    ),
    st.builds(
        ev.ArtifactSaved, seq=st.just(0), at=texts, artifact_id=texts, path=texts, name=texts, artifact_type=texts,
        content_type=texts, size_bytes=numbers, sha256=texts,
    ),
    st.builds(ev.RecordsVoided, seq=st.just(0), at=texts, errors=ranges, artifacts=ranges),
    st.builds(
        ev.RecordsVoided, seq=st.just(0), at=texts, errors=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9))),
        artifacts=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=2),
    ),
    st.builds(ev.Warned, seq=st.just(0), at=texts, code=texts, message=texts, block=st.none() | names),
    st.builds(
        ev.Chunk, seq=st.just(0), at=texts, block=names, elements=ranges, ok=numbers, failed=numbers,
        upstream_failed=numbers, columns=columns, shape=shapes, retries=numbers,
    ),
    # more of those that get far enough to count something
    st.builds(
        ev.Chunk, seq=st.just(0), at=texts, block=st.sampled_from(BLOCKS),
        elements=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), max_size=4), ok=st.integers(-1, 9),
        failed=st.integers(-1, 4), upstream_failed=st.integers(-1, 4), columns=columns, shape=st.none() | st.just([8]),
    ),
    st.builds(ev.BlockStarted, seq=st.just(0), at=texts, block=st.sampled_from(BLOCKS), shape=st.just([8])),
    st.builds(
        ev.BlockAdopted, seq=st.just(0), at=texts, block=names, from_run=texts, shape=shapes, files=st.lists(
            st.builds(ev.AdoptedFile, path=texts | st.just("outputs/mapped.x"), bytes=numbers, elements=ranges),
            max_size=2,
        ), outputs=taken_outputs, values=stored_values, whole=st.booleans(),
    ),
    st.builds(
        ev.BlockAdopted, seq=st.just(0), at=texts, block=st.just("mapped"), from_run=texts,
        shape=st.none() | st.just([8]), files=st.lists(st.builds(
            ev.AdoptedFile, path=st.sampled_from(["outputs/mapped.x", "outputs/mapped.y"]), bytes=st.integers(-1, 9),
            elements=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), max_size=4),
        ), max_size=3), outputs=taken_outputs, whole=st.booleans(),
    ),
)  # fmt: skip


def numbered(records: Iterable[ev.Record]) -> list[ev.Record]:
    return [msgspec.structs.replace(record, seq=seq) for seq, record in enumerate(records, start=1)]


hostile_journals = st.tuples(st.booleans(), st.lists(bodies, max_size=25)).map(
    lambda drawn: numbered([ev.RunStarted(seq=0, at=at(0), driver=DRIVER)] * drawn[0] + drawn[1])
)


# What must hold


def folded(records: Iterable[ev.Record]) -> run_state.RunState:
    state = run_state.initial(BLOCKS)
    for record in records:
        fold.apply(state, record)
    return state


def check(state: run_state.RunState) -> None:
    """What is true of every state that a run can be in."""
    assert run_state.is_sound(state)
    assert tuple(state.blocks) == BLOCKS
    assert (state.finished_at is not None) == state.done
    assert state.epoch >= 0
    assert state.seq >= 0
    assert state.refused >= 0
    assert len(state.errors) <= min(run_state.ERRORS_KEPT, state.error_count)
    assert len(state.artifacts) <= min(run_state.ERRORS_KEPT, state.artifact_count)
    assert len(state.warnings) <= run_state.ERRORS_KEPT
    assert len(state.message) <= run_state.MESSAGE_KEPT
    for block in state.blocks.values():
        check_block(block)


def check_block(block: run_state.BlockState) -> None:
    for number in (block.ok, block.failed, block.upstream_failed, block.retries, block.errors, block.attempt):
        assert number >= 0
    total = 1 if block.shape is None else block.total
    assert total is not None
    assert 0 <= total < 2**63
    assert 0 <= block.ended <= total
    if block.shape is not None:
        assert all(length >= 0 for length in block.shape)
        assert block.ended == count(block.recorded)
    assert all(0 <= start < stop <= total for start, stop in block.recorded)
    for pack in block.adopted.values():
        assert pack.bytes >= 0
        assert all(0 <= start < stop <= total for start, stop in pack.elements)
        assert not without(pack.elements, block.recorded)
    flat = [edge for one in block.recorded for edge in one]
    assert flat == sorted(flat)
    for output in block.outputs.values():
        assert 0 <= output.stored <= total
        assert output.bytes >= 0
        assert len(output.type) <= run_state.MESSAGE_KEPT
    assert block.duration is None or block.duration >= 0
    assert (block.finished_at is not None) == (block.status in BLOCK_DONE)
    assert len(block.message) <= run_state.MESSAGE_KEPT


def check_moves(before: run_state.RunState, after: run_state.RunState) -> None:
    runs, blocks = (RUN_REACHABLE, BLOCK_REACHABLE) if after.lost else (RUN_MOVES, BLOCK_MOVES)
    if before.status is not after.status:
        assert after.status in runs[before.status]
    for name, block in after.blocks.items():
        was = before.blocks[name].status
        assert was is block.status or block.status in blocks[was]


def check_ended_for_good(before: run_state.RunState, after: run_state.RunState) -> None:
    """Once a run is done only the numbers of records go on."""
    if before.done:
        same = msgspec.structs.replace(after, seq=before.seq, refused=before.refused)
        assert same == before


@settings(max_examples=80, deadline=None)
@given(honest_journals())
def test_every_prefix_of_an_honest_journal_folds_and_no_record_is_refused(journal: list[ev.Record]) -> None:
    state = run_state.initial(BLOCKS)
    check(state)
    for record in journal:
        before = copy.deepcopy(state)
        fold.apply(state, record)
        assert state.seq == record.seq
        assert state.refused == 0
        check(state)
        check_moves(before, state)
    assert state.done
    mapped = state.blocks["mapped"]
    if mapped.shape is not None:
        assert mapped.recorded == ([(0, mapped.shape[0])] if mapped.shape[0] else [])
        computed = sum(record.ok for record in journal if isinstance(record, ev.Chunk) and record.shape)
        assert mapped.ok == computed + sum(count(pack.elements) for pack in mapped.adopted.values())
        assert mapped.retries == sum(one.retries for one in journal if isinstance(one, ev.Chunk))


@settings(max_examples=250, deadline=None)
@given(hostile_journals)
def test_whatever_a_journal_says_it_folds_and_moves_along_the_table(journal: list[ev.Record]) -> None:
    state = run_state.initial(BLOCKS)
    for record in journal:
        before = copy.deepcopy(state)
        fold.apply(state, record)
        check(state)
        check_moves(before, state)
        check_ended_for_good(before, state)


@settings(max_examples=80, deadline=None)
@given(honest_journals(), st.data())
def test_shuffled_repeated_and_missing_records_change_nothing_that_is_impossible(
    journal: list[ev.Record], data: st.DataObject
) -> None:
    mixed = data.draw(st.lists(st.sampled_from(journal), max_size=2 * len(journal)))
    state = run_state.initial(BLOCKS)
    taken: list[ev.Record] = []
    for record in mixed:
        before = copy.deepcopy(state)
        fold.apply(state, record)
        if record.seq == before.seq + 1:
            taken.append(record)
        else:
            assert state == before, "a record of another number than the next one was taken"
    assert state == folded(journal[: len(taken)])


@settings(max_examples=80, deadline=None)
@given(honest_journals() | hostile_journals, st.data())
def test_lost_records_are_stepped_over_and_the_rest_still_folds(journal: list[ev.Record], data: st.DataObject) -> None:
    kept = data.draw(st.lists(st.booleans(), min_size=len(journal), max_size=len(journal)))
    state = run_state.initial(BLOCKS)
    lost = 0
    for record, there in zip(journal, kept, strict=True):
        if not there:
            continue
        before = copy.deepcopy(state)
        fold.lose(state, record.seq - 1)
        if not before.done:
            lost += record.seq - 1 - before.seq
        fold.apply(state, record)
        assert state.seq == record.seq
        assert state.lost == lost
        check(state)
        check_moves(before, state)
        check_ended_for_good(before, state)


@settings(max_examples=80, deadline=None)
@given(honest_journals() | hostile_journals)
def test_the_fold_of_equal_records_is_equal(journal: list[ev.Record]) -> None:
    assert folded(journal) == folded(copy.deepcopy(journal))


@settings(max_examples=80, deadline=None)
@given(honest_journals() | hostile_journals)
def test_a_state_survives_encoding_and_decoding_unchanged(journal: list[ev.Record]) -> None:
    state = folded(journal)
    again = msgspec.json.decode(msgspec.json.encode(state), type=run_state.RunState)
    assert again == state
    assert msgspec.json.encode(again) == msgspec.json.encode(state)


@settings(max_examples=80, deadline=None)
@given(honest_journals() | hostile_journals, st.data())
def test_a_checkpoint_and_the_rest_give_what_the_whole_gives(journal: list[ev.Record], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(journal)))
    state = msgspec.json.decode(msgspec.json.encode(folded(journal[:cut])), type=run_state.RunState)
    for record in journal:
        fold.apply(state, record)
    assert state == folded(journal)


# Single cases


def run(*records: ev.Record) -> run_state.RunState:
    state = folded(numbered([ev.RunStarted(seq=0, at=at(1), driver=DRIVER), *records]))
    check(state)
    return state


def started(block: str = "mapped", shape: list[int] | None = None) -> ev.Record:
    return ev.BlockStarted(seq=0, at=at(2), block=block, shape=shape)


def chunk(*elements: tuple[int, int], ok: int, failed: int = 0, block: str = "mapped") -> ev.Record:
    shape = [10] if block == "mapped" else None
    return ev.Chunk(
        seq=0,
        at=at(3),
        block=block,
        elements=list(elements),
        ok=ok,
        failed=failed,
        columns=[column("y", ok)],
        shape=shape,
    )


def ended(block: str, status: BlockStatus) -> ev.Record:
    return ev.BlockEnded(seq=0, at=at(4), block=block, status=status)


def test_nothing_is_folded_before_the_record_with_the_next_number_is_there() -> None:
    state = run_state.initial(BLOCKS)
    fold.apply(state, ev.RunStarted(seq=2, at=at(2), driver=DRIVER))
    assert state == run_state.initial(BLOCKS)


def test_a_repeated_chunk_counts_once() -> None:
    state = run(started(shape=[10]), chunk((0, 4), ok=4), chunk((0, 4), ok=4))
    assert state.blocks["mapped"].ok == 4
    assert state.blocks["mapped"].outputs["y"].stored == 4
    assert state.refused == 1


def test_of_a_chunk_that_repeats_some_elements_only_the_new_ones_count() -> None:
    state = run(started(shape=[10]), chunk((0, 4), ok=4), chunk((2, 6), ok=4))
    assert state.blocks["mapped"].ok == 6
    assert state.blocks["mapped"].outputs["y"].stored == 6


def test_elements_outside_the_shape_do_not_count() -> None:
    state = run(started(shape=[10]), chunk((8, 12), ok=4), chunk((-2, 0), ok=2), chunk((5, 5), ok=0))
    assert state.blocks["mapped"].ended == 0


@pytest.mark.parametrize(("ok", "failed", "upstream"), [(2**62, 2**62, -(2**63)), (-1, 2, 0), (3, -2, 0), (9, 9, 9)])
def test_counts_that_do_not_fit_the_elements_are_cut_to_what_can_be(ok: int, failed: int, upstream: int) -> None:
    wrong = msgspec.structs.replace(chunk((0, 1), ok=1), ok=ok, failed=failed, upstream_failed=upstream)
    nothing = msgspec.structs.replace(wrong, elements=[])
    state = run(started(shape=[10]), nothing, wrong)
    assert state.blocks["mapped"].ended == 1
    assert state.refused == 2


def test_a_block_that_is_started_again_by_the_next_epoch_keeps_what_was_recorded_and_its_shape() -> None:
    takeover = ev.RunTakenOver(seq=0, at=at(5), epoch=2, driver=DRIVER, files={})
    state = run(started(shape=[10]), chunk((0, 4), ok=4), takeover, started(shape=[3]), chunk((4, 10), ok=6))
    mapped = state.blocks["mapped"]
    assert (mapped.shape, mapped.ok, state.epoch) == ([10], 10, 2)


def test_an_epoch_does_not_go_back() -> None:
    later = ev.RunTakenOver(seq=0, at=at(5), epoch=3, driver=DRIVER, files={})
    earlier = ev.RunTakenOver(seq=0, at=at(6), epoch=2, driver=DRIVER, files={})
    assert run(later, earlier).epoch == 3


def test_a_run_that_ended_does_not_end_again_nor_start_again() -> None:
    end = ev.RunEnded(seq=0, at=at(5), status=RunStatus.COMPLETED)
    other = ev.RunEnded(seq=0, at=at(6), status=RunStatus.FAILED)
    state = run(end, other, ev.RunTakenOver(seq=0, at=at(7), epoch=2, driver=DRIVER, files={}))
    assert (state.status, state.finished_at, state.epoch, state.refused) == (RunStatus.COMPLETED, at(5), 1, 2)


def test_after_the_end_nothing_is_added_not_even_artifacts_and_warnings() -> None:
    end = ev.RunEnded(seq=0, at=at(5), status=RunStatus.COMPLETED)
    late = ev.Warned(seq=0, at=at(6), code="late", message="too late")
    state = run(end, late)
    assert (state.warnings, state.updated_at, state.seq) == ([], at(5), 3)


def test_an_end_that_is_no_end_is_refused() -> None:
    state = run(ev.RunEnded(seq=0, at=at(5), status=RunStatus.CANCELLING), ended("plain", BlockStatus.RUNNING))
    assert (state.status, state.refused) == (RunStatus.RUNNING, 2)
    assert state.blocks["plain"].status is BlockStatus.PENDING


def test_a_block_that_failed_after_its_value_was_recorded_counts_once() -> None:
    state = run(started("plain"), chunk((0, 1), ok=1, block="plain"), ended("plain", BlockStatus.FAILED))
    block = state.blocks["plain"]
    assert (block.ok, block.failed, block.upstream_failed) == (0, 1, 0)


def test_a_block_that_never_ran_because_of_others_counts_as_one_that_failed_upstream() -> None:
    block = run(ended("plain", BlockStatus.UPSTREAM_FAILED)).blocks["plain"]
    assert (block.ok, block.failed, block.upstream_failed) == (0, 0, 1)


def test_an_end_keeps_why() -> None:
    state = run(ev.RunEnded(seq=0, at=at(5), status=RunStatus.FAILED, reason=Reason.BLOCK_FAILED, message="m" * 900))
    assert (state.reason, state.message) == (Reason.BLOCK_FAILED, "m" * run_state.MESSAGE_KEPT)


def test_a_takeover_whose_first_epoch_was_lost_still_makes_the_run_a_running_one() -> None:
    state = run_state.initial(BLOCKS)
    fold.lose(state, 3)
    fold.apply(state, ev.RunTakenOver(seq=4, at=at(4), epoch=2, driver=DRIVER, files={}))
    assert (state.status, state.epoch, state.started_at, state.driver) == (RunStatus.RUNNING, 2, at(4), DRIVER)
    fold.apply(state, ev.RunCancelling(seq=5, at=at(5), reason=Reason.CANCEL_REQUESTED))
    fold.apply(state, ev.RunTakenOver(seq=6, at=at(6), epoch=3, driver=DRIVER, files={}))
    assert (state.status, state.epoch, state.started_at) == (RunStatus.CANCELLING, 3, at(4))


def test_records_that_make_no_sense_are_counted_as_refused() -> None:
    nonsense: list[ev.Record] = [
        started("ghost"),
        ended("ghost", BlockStatus.COMPLETED),
        ended("plain", BlockStatus.RUNNING),
        ev.BlockRetrying(seq=0, at=at(1), block="plain", attempt=1),
        ev.ErrorRaised(seq=0, at=at(1), block="ghost", type="E", message=""),
        ev.RunTakenOver(seq=0, at=at(1), epoch=1, driver=DRIVER, files={}),
        ev.RunEnded(seq=0, at=at(1), status=RunStatus.PENDING),
        msgspec.structs.replace(chunk((0, 1), ok=1), block="ghost"),
    ]
    assert run(*nonsense).refused == len(nonsense)


def test_losing_what_was_applied_already_loses_nothing() -> None:
    state = run(started(shape=[10]))
    before = copy.deepcopy(state)
    fold.lose(state, state.seq)
    fold.lose(state, 0)
    assert state == before


def test_errors_are_kept_up_to_a_limit_and_counted_beyond() -> None:
    error = ev.ErrorRaised(seq=0, at=at(3), block="mapped", element=1, type="ValueError", message="no")
    state = run(started(shape=[10]), *[error] * (run_state.ERRORS_KEPT + 5))
    assert (len(state.errors), state.error_count) == (run_state.ERRORS_KEPT, run_state.ERRORS_KEPT + 5)


def test_attempts_that_others_follow_are_counted_but_are_not_errors_of_the_run() -> None:
    error = ev.ErrorRaised(seq=0, at=at(3), block="plain", type="ValueError", message="no", final=False)
    state = run(started("plain"), error)
    assert (state.errors, state.error_count, state.blocks["plain"].errors) == ([], 0, 1)


def test_what_was_voided_counts_no_more_and_voiding_it_again_changes_nothing() -> None:
    error = ev.ErrorRaised(seq=0, at=at(3), block="mapped", element=1, type="ValueError", message="no")
    saved = ev.ArtifactSaved(
        seq=0, at=at(3), artifact_id="a", path="artifacts/a", name="a", artifact_type="file", content_type="",
        size_bytes=1, sha256="",
    )  # fmt: skip
    kept = run(started(shape=[10]), error, saved, error, saved)
    first = kept.seq - 3
    void = ev.RecordsVoided(seq=0, at=at(9), errors=[(first, first + 1)], artifacts=[(first + 1, first + 2)])
    for voided in ([void], [void, void]):
        state = run(started(shape=[10]), error, saved, error, saved, *voided)
        assert (state.error_count, [each.seq for each in state.errors]) == (1, [first + 2])
        assert (state.artifact_count, [each.seq for each in state.artifacts]) == (1, [first + 3])
        assert state.blocks["mapped"].errors == 2, "they happened"


def test_what_was_lost_is_told_and_the_moves_between_are_allowed() -> None:
    state = run_state.initial(BLOCKS)
    fold.lose(state, 5)
    fold.apply(state, ev.BlockEnded(seq=6, at=at(6), block="plain", status=BlockStatus.COMPLETED))
    fold.apply(state, ev.RunEnded(seq=7, at=at(7), status=RunStatus.COMPLETED))
    assert (state.status, state.lost) == (RunStatus.COMPLETED, 5)
    assert state.warnings[0].type == "bytes_lost"
    assert "records 1 to 5" in state.warnings[0].message


def test_one_record_that_was_lost_is_told_as_one() -> None:
    state = run_state.initial(BLOCKS)
    fold.lose(state, 1)
    assert state.warnings[0].message == "record 1 cannot be read; what it held counts as missing"


def test_a_cancel_keeps_when_it_was_asked_for() -> None:
    cancelling = ev.RunCancelling(
        seq=0, at=at(9), reason=Reason.CANCEL_REQUESTED, requested_at=at(8), requested_by="ann"
    )
    state = run(cancelling)
    assert (state.status, state.cancel_requested_at, state.reason) == (
        RunStatus.CANCELLING, at(8), Reason.CANCEL_REQUESTED,
    )  # fmt: skip


@pytest.mark.parametrize("shape", [[-1, -1], [3, -1], [2**40, 2**40], [2**62] * 4000])
def test_a_shape_that_no_array_can_have_is_not_taken(shape: list[int]) -> None:
    state = run(started(shape=shape), msgspec.structs.replace(chunk((0, 1), ok=1), shape=shape))
    assert state.blocks["mapped"].shape is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"ok": -1}, {"ok": 5}, {"failed": -1, "ok": 5}, {"retries": -1}, {"shape": [-10]}, {"shape": [2**62] * 9999},
        {"recorded": [(0, 2), (1, 3)]}, {"recorded": [(2, 4), (0, 2)]}, {"recorded": [(0, 40)]}, {"recorded": []},
        {"outputs": {"y": run_state.OutputState(stored=-1)}}, {"outputs": {"y": run_state.OutputState(stored=11)}},
        {"outputs": {"y": run_state.OutputState(stored=1, bytes=-1)}},
    ],
)  # fmt: skip
def test_a_state_that_no_record_could_have_made_is_known_as_such(wrong: dict[str, Any]) -> None:
    state = run(started(shape=[10]), chunk((0, 4), ok=4))
    state.blocks["mapped"] = msgspec.structs.replace(state.blocks["mapped"], **wrong)
    assert not run_state.is_sound(state)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seq": -1},
        {"epoch": -1},
        {"lost": -1},
        {"errors": 51},
        {"warnings": 51},
        {"voided": [(2, 2)]},
        {"voided": [(4, 6), (5, 7)]},
        {"voided": [(4, 6), (1, 2)]},
    ],
)
def test_a_whole_state_that_cannot_be_is_known_as_such(wrong: dict[str, Any]) -> None:
    state = run(started(shape=[10]))
    error = run_state.ErrorSummary(block=None, type="E", message="", at="")
    known = {key: [error] * value if key in ("errors", "warnings") else value for key, value in wrong.items()}
    assert not run_state.is_sound(msgspec.structs.replace(state, **known))


def test_done_is_what_the_table_says() -> None:
    for status in RunStatus:
        assert run_state.RunState(status=status).done == (status in DONE)


def adoption(*elements: tuple[int, int], block: str = "mapped", whole: bool = False, **fields: Any) -> ev.Record:
    files = [ev.AdoptedFile(path=f"outputs/{block}.adopted-0123abcd.pack", bytes=100, elements=list(elements))]
    return ev.BlockAdopted(
        seq=0, at=at(2), block=block, from_run="before", files=files if elements else [], whole=whole, **fields
    )


def test_a_block_whose_elements_are_all_there_is_reused_and_one_with_gaps_waits_to_run() -> None:
    whole = run(adoption((0, 4), shape=[10]), adoption((4, 10), shape=[10], whole=True)).blocks["mapped"]
    assert (whole.status, whole.ok, whole.recorded) == (BlockStatus.REUSED, 10, [(0, 10)])
    assert whole.adopted_from == "before"
    part = run(adoption((0, 4), shape=[10], whole=True))
    assert (part.blocks["mapped"].status, part.blocks["mapped"].ok, part.refused) == (BlockStatus.PENDING, 4, 1)


def test_adopted_elements_and_computed_ones_add_up() -> None:
    state = run(
        adoption((0, 4), (6, 10), shape=[10]),
        started(shape=[10]),
        chunk((4, 6), ok=2),
        ended("mapped", BlockStatus.COMPLETED),
    )
    mapped = state.blocks["mapped"]
    assert (mapped.status, mapped.ok, mapped.recorded, state.refused) == (BlockStatus.COMPLETED, 10, [(0, 10)], 0)
    assert mapped.adopted["outputs/mapped.adopted-0123abcd.pack"].elements == [(0, 4), (6, 10)]


def test_a_block_adopts_nothing_once_it_has_started_or_ended() -> None:
    state = run(started(shape=[10]), adoption((0, 4), shape=[10]))
    assert (state.blocks["mapped"].ok, state.refused) == (0, 1)
    state = run(adoption(block="plain", whole=True), adoption((0, 1), block="plain", whole=True))
    assert (state.blocks["plain"].status, state.blocks["plain"].ok, state.refused) == (BlockStatus.REUSED, 1, 1)


@pytest.mark.parametrize(
    "path", ["", "outputs/other.0001.pack", "../outputs/mapped.x", "/outputs/mapped.x", "outputs/a/mapped.x"]
)
def test_a_file_that_cannot_be_a_pack_of_the_block_is_not_adopted(path: str) -> None:
    file = ev.AdoptedFile(path=path, bytes=1, elements=[(0, 1)])
    state = run(ev.BlockAdopted(seq=0, at=at(2), block="mapped", from_run="x", shape=[10], files=[file]))
    assert (state.blocks["mapped"].ok, state.blocks["mapped"].adopted, state.refused) == (0, {}, 1)


def test_a_block_that_is_adopted_whole_has_one_outcome_whatever_was_recorded_of_it_before() -> None:
    state = run(chunk((0, 1), ok=0, block="plain"), adoption(block="plain", whole=True))
    plain = state.blocks["plain"]
    assert (plain.ok, plain.failed, plain.upstream_failed) == (1, 0, 0)
