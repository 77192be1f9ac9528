"""The word to act on for a block, and its record."""

from __future__ import annotations

import pytest

from runstone.core.block_status import (
    KEYS,
    acting_block_status,
    block_object,
    has_ended,
    inferred_block_status,
)
from runstone.core.moves import BLOCK_DONE
from runstone.core.reasons import Reason
from runstone.core.records import BlockInfo
from runstone.core.run_state import BlockState
from runstone.core.statuses import BlockStatus

MAPPED = BlockInfo(name="mapped", outputs=["mapped"], mapspec="x[i] -> mapped[i]")
PLAIN = BlockInfo(name="plain", outputs=["a", "b"])
ENTRY = {"type": "int", "progress": 1.0, "complete": True, "bytes": 1}


@pytest.mark.parametrize("status", BlockStatus)
def test_only_what_was_being_executed_crashes_with_its_driver(status: BlockStatus) -> None:
    block = BlockState(status=status)
    assert acting_block_status(block, crashed=False) == status.value
    underway = status in (BlockStatus.QUEUED, BlockStatus.RUNNING, BlockStatus.RETRYING)
    assert acting_block_status(block, crashed=True) == ("crashed" if underway else status.value)


def test_without_records_what_lies_on_disk_is_the_status() -> None:
    whole, part = {"complete": True}, {"complete": False}
    assert inferred_block_status([whole, whole], 2) == "completed"
    assert inferred_block_status([whole, part], 1) == "incomplete"
    assert inferred_block_status([part, part], 0) == "pending"


def test_a_block_has_ended_when_nothing_leaves_its_status() -> None:
    assert {status.value for status in BlockStatus if has_ended(status.value)} == {one.value for one in BLOCK_DONE}
    assert has_ended("incomplete")


def test_the_record_has_every_key_in_order() -> None:
    state = BlockState(
        status=BlockStatus.DEGRADED, attempt=1, shape=[2, 2], ok=3, failed=1, retries=2, reason=Reason.ELEMENTS_FAILED
    )
    found = block_object(MAPPED, state, "degraded", {"mapped": ENTRY, "other": ENTRY}, 1.5)
    assert tuple(found) == KEYS
    assert (found["name"], found["status"], found["done"], found["reason"]) == (
        "mapped", "degraded", True, "elements_failed"
    )  # fmt: skip
    assert (found["shape"], found["retries"], found["duration_seconds"]) == ([2, 2], 2, 1.5)
    assert found["elements"] == {"total": 4, "ok": 3, "failed": 1, "upstream_failed": 0}
    assert found["outputs"] == {"mapped": ENTRY}


def test_a_block_that_is_not_mapped_has_one_element_and_a_mapped_one_an_unknown_number() -> None:
    outputs = dict.fromkeys(("a", "b", "mapped"), ENTRY)
    assert block_object(PLAIN, BlockState(), "pending", outputs, None)["elements"]["total"] == 1
    assert block_object(MAPPED, BlockState(), "pending", outputs, None)["elements"]["total"] is None


def test_the_recorded_status_stays_beside_the_one_to_act_on() -> None:
    state = BlockState(status=BlockStatus.RUNNING)
    found = block_object(PLAIN, state, "crashed", {"a": ENTRY, "b": ENTRY}, None)
    assert (found["status"], found["recorded_status"], found["done"]) == ("crashed", "running", False)
