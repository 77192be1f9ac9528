"""The status object: every key, always, in one order; equal facts give equal objects."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstone.core import events as ev
from runstone.core import fold, run_state
from runstone.core.moves import DONE
from runstone.core.records import BlockInfo, ParamInfo, PipelineInfo, RunInfo
from runstone.core.status import KEYS, Observation, acting_status, progress_fraction, status_object
from runstone.core.statuses import BlockStatus, Liveness, RunStatus
from tests.core import test_fold

# The design, word for word.
DESIGN = """
    id, workspace, pipeline, status, recorded_status, done, resumable, reason, message, status_source, liveness, stale,
    seq, epoch, job_id, retry_of, retried_by, parent_id, driver, created_at, scheduled_at, priority, started_at,
    updated_at, status_changed_at, finished_at, duration_seconds, deadline_at, sla, cancel_requested_at,
    progress_fraction, progress, blocks, outputs, errors, warnings, waiting_for, params, tags, trigger, trace_id,
    output_ref, run_folder, links, all_complete, n_outputs, n_outputs_completed, last_modified
"""

INFO = RunInfo(
    id="f3a9c1d2-0000-4000-8000-000000000000",
    created_at="2026-01-01T00:00:00.000000Z",
    pipeline=PipelineInfo(name="survey", version="2"),
    blocks=[
        BlockInfo(name="plain", outputs=["plain"]),
        BlockInfo(name="mapped", outputs=["mapped", "beside"], mapspec="plain[i] -> mapped[i], beside[i]"),
        BlockInfo(name="other", outputs=["other"]),
    ],
    params={"root": ParamInfo(type="str", value="src", preview="src")},
    tags=["docs"],
)
LIVE = Observation(liveness=Liveness.LIVE, source="journal", run_folder="/runs/survey-f3a9c1d2")
GONE = msgspec.structs.replace(LIVE, liveness=Liveness.GONE)
LOST = msgspec.structs.replace(LIVE, liveness=Liveness.LOST)
STALE = msgspec.structs.replace(LIVE, liveness=Liveness.STALE)
ENDED = msgspec.structs.replace(LIVE, liveness=Liveness.ENDED)


def state(*records: ev.Record) -> run_state.RunState:
    begun = ev.RunStarted(seq=0, at="2026-01-01T00:00:01Z", driver=ev.Driver(host="box", pid=41, start_ticks=5))
    return test_fold.folded(test_fold.numbered([begun, *records]))


def started(block: str, shape: list[int] | None = None) -> ev.Record:
    return ev.BlockStarted(seq=0, at="2026-01-01T00:00:02Z", block=block, shape=shape)


def value(block: str, status: BlockStatus = BlockStatus.COMPLETED) -> ev.Record:
    made = {block: ev.StoredValue(value=1, type="int", bytes=1)} if status is BlockStatus.COMPLETED else {}
    return ev.BlockEnded(seq=0, at="2026-01-01T00:00:03Z", block=block, status=status, values=made)


def chunk(start: int, stop: int, total: int, failed: int = 0) -> ev.Record:
    ok = stop - start - failed
    return ev.Chunk(
        seq=0,
        at="2026-01-01T00:00:03Z",
        block="mapped",
        elements=[(start, stop)],
        ok=ok,
        failed=failed,
        columns=[ev.ColumnMeta(name=name, bytes=8 * ok, count=ok, type="int") for name in ("mapped", "beside")],
        shape=[total],
    )


def end(status: RunStatus = RunStatus.COMPLETED, message: str = "") -> ev.Record:
    return ev.RunEnded(seq=0, at="2026-01-01T00:00:09Z", status=status, message=message)


WHOLE = [
    started("plain"), value("plain"), started("mapped", [4]), chunk(0, 4, 4), value("mapped"), started("other"),
    value("other"), end(),
]  # fmt: skip


def check(found: dict[str, Any]) -> None:
    """What holds for every status object there is."""
    assert tuple(found) == KEYS
    # strict JSON, and the same for every reader: no nan, no bytes, no numbers as keys
    assert json.loads(json.dumps(found, allow_nan=False)) == msgspec.json.decode(msgspec.json.encode(found)) == found
    assert found["progress_fraction"] is None or 0 <= found["progress_fraction"] <= 1
    assert 0 <= found["n_outputs_completed"] <= found["n_outputs"] <= len(found["outputs"])
    assert found["all_complete"] == (found["n_outputs"] == found["n_outputs_completed"])
    assert 0 <= found["progress"]["failed"] <= found["progress"]["done"]
    assert found["progress"]["total"] is None or found["progress"]["done"] <= found["progress"]["total"]
    assert found["output_ref"] is None or found["done"]
    for output in found["outputs"].values():
        assert list(output) == ["type", "progress", "complete", "bytes"]
        assert output["progress"] is None or 0 <= output["progress"] <= 1
        assert output["bytes"] >= 0
    assert sum(found["blocks"].values()) == 3


def test_the_keys_are_those_of_the_design_in_its_order() -> None:
    assert tuple(DESIGN.replace(",", " ").split()) == KEYS


@settings(max_examples=80, deadline=None)
@given(
    test_fold.honest_journals() | test_fold.hostile_journals,
    st.builds(
        Observation,
        liveness=st.sampled_from(Liveness),
        source=st.sampled_from(["journal", "heartbeat"]),
        run_folder=st.none() | st.just("/runs/x"),
        missing=st.lists(st.sampled_from(["outputs/mapped.0001.pack", "outputs/values.pack"]), max_size=2),
        notes=st.lists(st.just("a note"), max_size=2),
        duration_seconds=st.none() | st.floats(0, 10),
    ),
)
def test_every_key_is_there_and_every_value_is_json_whatever_happened(
    journal: list[ev.Record], observation: Observation
) -> None:
    folded = test_fold.folded(journal)
    found = status_object(INFO, folded, observation)
    check(found)
    assert found == status_object(INFO, folded, observation)
    if folded.done:
        assert found["status"] == found["recorded_status"] == folded.status.value
        assert not found["stale"]
    assert (found["status"] != found["recorded_status"]) == (observation.liveness is Liveness.GONE and not folded.done)


def test_a_run_before_anything_happened() -> None:
    found = status_object(INFO, run_state.initial(["plain", "mapped", "other"]), LIVE)
    check(found)
    assert (found["status"], found["done"], found["driver"], found["started_at"]) == ("pending", False, None, None)
    assert (found["seq"], found["epoch"], found["progress_fraction"]) == (0, 0, 0.0)
    assert found["updated_at"] == found["status_changed_at"] == found["last_modified"] == found["created_at"]
    assert found["blocks"] == {"pending": 3}
    assert found["params"] == {"root": "src"}


def test_a_run_that_completed() -> None:
    found = status_object(INFO, state(*WHOLE), ENDED)
    check(found)
    assert (found["status"], found["done"], found["resumable"], found["message"]) == ("completed", True, False, "")
    assert (found["all_complete"], found["n_outputs"], found["n_outputs_completed"]) == (True, 4, 4)
    assert found["outputs"]["mapped"] == {"type": "int", "progress": 1.0, "complete": True, "bytes": 32}
    assert found["output_ref"] == found["run_folder"] == "/runs/survey-f3a9c1d2"
    assert found["progress"] == {"done": 6, "total": 6, "failed": 0, "unit": "elements"}


def test_a_run_that_is_kept_nowhere_has_no_folder_to_point_at() -> None:
    found = status_object(INFO, state(*WHOLE), msgspec.structs.replace(ENDED, run_folder=None))
    check(found)
    assert found["run_folder"] is found["output_ref"] is None


def test_progress_goes_from_0_to_1_and_failures_count_as_progress() -> None:
    found = status_object(
        INFO, state(started("plain"), value("plain"), started("mapped", [4]), chunk(0, 3, 4, 1)), LIVE
    )
    check(found)
    assert found["outputs"]["mapped"] == {"type": "int", "progress": 0.75, "complete": False, "bytes": 16}
    assert found["progress_fraction"] == (1 + 0.75 + 0.75 + 0) / 4
    assert found["progress"] == {"done": 4, "total": 6, "failed": 1, "unit": "elements"}
    assert found["blocks"] == {"completed": 1, "running": 1, "pending": 1}


def test_a_driver_proven_dead_makes_the_run_crashed_but_not_done() -> None:
    found = status_object(INFO, state(started("plain")), GONE)
    check(found)
    assert (found["status"], found["recorded_status"], found["done"]) == ("crashed", "running", False)
    assert (found["resumable"], found["reason"], found["stale"]) == (True, "driver_gone", False)
    assert found["message"] == (
        "the process that ran it (pid 41 on box) is gone and wrote no end; what was recorded is kept"
    )
    assert found["output_ref"] is None


def test_blocks_that_were_executed_when_the_driver_died_count_as_crashed() -> None:
    records = [started("plain"), value("plain"), started("mapped", [4])]
    assert status_object(INFO, state(*records), GONE)["blocks"] == {"completed": 1, "crashed": 1, "pending": 1}
    for observation in (LIVE, STALE, LOST):
        found = status_object(INFO, state(*records), observation)
        assert found["blocks"] == {"completed": 1, "running": 1, "pending": 1}


@pytest.mark.parametrize("status", sorted(DONE))
def test_a_dead_driver_says_nothing_about_a_run_that_ended(status: RunStatus) -> None:
    ended = msgspec.structs.replace(state(*WHOLE), status=status)
    found = status_object(INFO, ended, GONE)
    assert found["status"] == found["recorded_status"] == acting_status(ended, GONE) == status.value
    assert found["done"]
    assert found["resumable"] == (status is not RunStatus.COMPLETED)


@pytest.mark.parametrize("observation", [STALE, LOST])
def test_silence_is_told_and_decides_nothing(observation: Observation) -> None:
    found = status_object(INFO, state(started("plain")), observation)
    check(found)
    assert (found["status"], found["stale"], found["resumable"]) == ("running", True, False)
    assert ("cannot be proven" in found["message"]) == (observation is LOST)
    assert not status_object(INFO, state(*WHOLE), observation)["stale"]


@pytest.mark.parametrize("word", ["pending", "running", "incomplete", "completed"])
def test_without_journal_and_checkpoint_the_inferred_word_is_the_status(word: str) -> None:
    liveness = Liveness.ENDED if word == "completed" else Liveness.LOST
    observation = Observation(
        liveness=liveness, source="disk_heuristic", run_folder="/x", heuristic=word, notes=["this is inferred"]
    )
    found = status_object(INFO, run_state.initial(["plain", "mapped", "other"]), observation)
    check(found)
    assert (found["status"], found["status_source"]) == (word, "disk_heuristic")
    assert found["done"] == (word == "completed")
    assert found["message"] == "this is inferred"
    assert found["blocks"] == {"pending": 3}


def test_without_journal_and_checkpoint_blocks_are_what_lies_on_disk() -> None:
    folded = run_state.initial(["plain", "mapped", "other"])
    fold.count_chunk(folded, chunk(0, 2, 4))
    folded.blocks["plain"].outputs["plain"] = run_state.OutputState(type="int", stored=1, bytes=1)
    observation = Observation(liveness=Liveness.LOST, source="disk_heuristic", run_folder="/x", heuristic="incomplete")
    found = status_object(INFO, folded, observation)
    check(found)
    assert found["blocks"] == {"completed": 1, "incomplete": 1, "pending": 1}


def test_what_is_gone_from_the_disk_is_not_complete_and_is_named() -> None:
    observation = msgspec.structs.replace(ENDED, missing=["outputs/mapped.0001.pack"])
    found = status_object(INFO, state(*WHOLE), observation)
    check(found)
    assert found["status"] == "completed"
    assert not found["all_complete"]
    assert found["outputs"]["mapped"] == {"type": "int", "progress": 1.0, "complete": False, "bytes": 0}
    assert found["outputs"]["plain"]["complete"]
    assert found["message"] == "missing on disk: mapped, beside (outputs/mapped.0001.pack)"


def test_an_output_of_a_block_that_completed_without_its_values_is_missing() -> None:
    found = status_object(INFO, state(*(one for one in WHOLE if not isinstance(one, ev.Chunk))), ENDED)
    check(found)
    assert found["message"] == "missing on disk: mapped, beside"
    assert not found["all_complete"]


def test_a_value_that_is_gone_was_made_all_the_same() -> None:
    gone = ev.BlockEnded(seq=0, at="2026-01-01T00:00:03Z", block="plain", status=BlockStatus.COMPLETED)
    found = status_object(INFO, state(started("plain"), gone), LIVE)
    check(found)
    assert found["outputs"]["plain"] == {"type": None, "progress": 1.0, "complete": False, "bytes": 0}
    assert found["message"] == "missing on disk: plain"


def test_an_output_that_a_condition_skipped_is_listed_and_not_expected() -> None:
    skipped = value("other", BlockStatus.CONDITION_FAILED)
    found = status_object(INFO, state(*WHOLE[:5], skipped, end()), ENDED)
    check(found)
    assert found["outputs"]["other"] == {"type": None, "progress": None, "complete": False, "bytes": 0}
    assert (found["n_outputs"], found["all_complete"], found["progress_fraction"]) == (3, True, 1.0)


def test_a_map_over_nothing_is_complete_once_it_has_ended() -> None:
    before = status_object(INFO, state(started("plain"), value("plain"), started("mapped", [0])), LIVE)
    assert before["outputs"]["mapped"] == {"type": None, "progress": 0.0, "complete": False, "bytes": 0}
    records = [started("plain"), value("plain"), started("mapped", [0]), value("mapped"), started("other")]
    found = status_object(INFO, state(*records, value("other"), end()), ENDED)
    check(found)
    assert found["outputs"]["mapped"] == {"type": None, "progress": 1.0, "complete": True, "bytes": 0}
    assert found["all_complete"]


def test_elements_that_failed_by_permission_do_not_make_an_output_missing() -> None:
    records = [started("plain"), value("plain"), started("mapped", [4]), chunk(0, 4, 4, 1)]
    ended = ev.BlockEnded(seq=0, at="2026-01-01T00:00:03Z", block="mapped", status=BlockStatus.DEGRADED)
    found = status_object(
        INFO, state(*records, ended, started("other"), value("other"), end(RunStatus.DEGRADED, "1 failed")), ENDED
    )
    check(found)
    assert (found["status"], found["message"], found["resumable"]) == ("degraded", "1 failed", True)
    assert not found["all_complete"]


def test_a_pipeline_whose_blocks_were_all_skipped_has_no_fraction() -> None:
    skipped = [value(name, BlockStatus.CONDITION_FAILED) for name in ("plain", "mapped", "other")]
    found = status_object(INFO, state(*skipped, end()), ENDED)
    check(found)
    assert (found["progress_fraction"], found["n_outputs"], found["all_complete"]) == (None, 0, True)


def test_errors_and_warnings_say_where_and_when() -> None:
    error = ev.ErrorRaised(
        seq=0, at="2026-01-01T00:00:03Z", block="mapped", element=3, attempt=2, type="ValueError", message="no"
    )
    warning = ev.Warned(seq=0, at="2026-01-01T00:00:04Z", code="copied", message="no links here", block="plain")
    found = status_object(INFO, state(started("mapped", [4]), error, warning), LIVE)
    check(found)
    assert found["errors"] == [
        {
            "block": "mapped", "element": 3, "index": None, "attempt": 2, "type": "ValueError", "message": "no",
            "reason": "exception", "retryable": False, "occurred_at": "2026-01-01T00:00:03Z",
        }
    ]  # fmt: skip
    assert found["warnings"] == [
        {"code": "copied", "block": "plain", "message": "no links here", "occurred_at": "2026-01-01T00:00:04Z"}
    ]


def test_the_fraction_alone_is_the_fraction_of_the_object() -> None:
    for records in ([], WHOLE[:3], WHOLE[:4], WHOLE):
        folded = state(*records)
        assert progress_fraction(INFO, folded) == status_object(INFO, folded, LIVE)["progress_fraction"]
