"""The checkpoint saves work and never changes the answer: one that disagrees with the files is ignored."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from runstone.core import events as ev
from runstone.core import run_state
from runstone.core.records import BlockInfo, PipelineInfo, RunInfo
from runstone.core.status import KEYS
from runstone.core.statuses import BlockStatus, RunStatus
from runstone.folder import checkpoint, clock, layout, observe, read, writer
from runstone.folder.look import Look
from tests import samples

# What differs because a checkpoint is also a sign of life.
ABOUT_THE_SOURCE = {"status_source", "liveness", "stale", "message"}


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    samples.run_survey(tmp_path / "run", tmp_path)
    return tmp_path / "run"


def without(folder: Path, name: str) -> Path:
    bare = folder.with_name(f"{folder.name}-without-{Path(name).name}")
    shutil.copytree(folder, bare)
    (bare / name).unlink()
    return bare


def compared(status: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in status.items() if key not in {*ABOUT_THE_SOURCE, "run_folder", "output_ref"}}


def test_an_ended_run_looks_the_same_with_and_without_checkpoint(survey: Path) -> None:
    bare = without(survey, layout.CHECKPOINT)
    assert observe.status(str(bare)) == {
        **observe.status(str(survey)),
        "run_folder": str(bare),
        "output_ref": str(bare),
    }


def info_of(blocks: list[BlockInfo]) -> RunInfo:
    return RunInfo(
        id="11111111-0000-4000-8000-000000000000",
        created_at=clock.now(),
        pipeline=PipelineInfo(name="p"),
        blocks=blocks,
        params={},
    )


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """A run in progress: two chunks, a checkpoint, then another chunk and an error."""
    info = info_of(
        [BlockInfo(name="each", outputs=["ys"], mapspec="xs[i] -> ys[i]"), BlockInfo(name="z", outputs=["z"])]
    )
    folder = tmp_path / "half"
    made = writer.begin(str(folder), info, "inline")
    made.event(ev.BlockStarted, block="each", shape=[10])
    for start in (0, 3, 6):
        column = ev.ColumnMeta(name="ys", bytes=3, count=3, type="int")
        elements = [(start, start + 3)]
        made.chunk(
            ev.Chunk(seq=0, at="", block="each", elements=elements, ok=3, columns=[column], shape=[10]), [b"abc"]
        )
        if start == 3:
            made.write_checkpoint()
    made.event(ev.ErrorRaised, block="each", element=9, type="ValueError", message="no")
    made.flush()
    made.close()
    return folder


def test_what_was_recorded_after_the_checkpoint_is_folded_on_top_of_it(half: Path) -> None:
    with_it, alone = observe.status(str(half)), observe.status(str(without(half, layout.CHECKPOINT)))
    assert compared(with_it) == compared(alone)
    assert with_it["progress"] == {"done": 9, "total": 11, "failed": 0, "unit": "elements"}
    assert [error["element"] for error in with_it["errors"]] == [9]
    assert (with_it["status_source"], alone["status_source"]) == ("heartbeat", "journal")


def test_a_reader_that_takes_a_run_over_starts_from_no_checkpoint(half: Path) -> None:
    with Look(str(half)) as look:
        assert read.read_look(look, verify_all=True).source == "journal"


def damaged(folder: Path, name: str, position: int) -> None:
    data = bytearray((folder / name).read_bytes())
    data[position] ^= 1
    (folder / name).write_bytes(data)


def test_a_checkpoint_is_ignored_if_the_bytes_before_its_offset_are_others(half: Path) -> None:
    before = observe.status(str(half))
    offset = decoded(half).files[-1].offset
    damaged(half, "outputs/each.0001.pack", offset - 2)
    after = observe.status(str(half))
    assert before["progress"]["done"] == 9
    assert after["progress"]["done"] == 3  # up to the gap, as long as its driver may still fill it
    assert after["status_source"] == "journal"


def decoded(folder: Path) -> checkpoint.Checkpoint:
    found = checkpoint.decode((folder / layout.CHECKPOINT).read_bytes())
    assert found is not None
    return found


def test_a_checkpoint_is_ignored_if_a_file_is_shorter_than_it_says(half: Path) -> None:
    path = half / "outputs/each.0001.pack"
    os.truncate(path, decoded(half).files[-1].offset - 1)
    after = observe.status(str(half))
    assert after["status_source"] == "journal"
    assert after["progress"]["done"] == 3


def test_a_checkpoint_is_ignored_if_a_file_it_speaks_of_is_gone(half: Path) -> None:
    (half / "outputs/each.0001.pack").unlink()
    after = observe.status(str(half))
    assert after["status_source"] == "journal"
    assert after["progress"]["done"] == 0


def test_a_checkpoint_of_another_run_is_ignored(half: Path, survey: Path) -> None:
    right = observe.status(str(without(half, layout.CHECKPOINT)))
    shutil.copy(survey / layout.CHECKPOINT, half / layout.CHECKPOINT)
    assert compared(observe.status(str(half))) == compared(right)


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"[]", b'{"format":1}', b"\xff\xfe\x00", b"{" * 1000])
def test_a_checkpoint_that_is_none_is_ignored(half: Path, content: bytes) -> None:
    right = observe.status(str(without(half, layout.CHECKPOINT)))
    (half / layout.CHECKPOINT).write_bytes(content)
    assert compared(observe.status(str(half))) == compared(right)
    assert checkpoint.decode(content) is None


def test_an_old_checkpoint_of_the_same_run_gives_the_same_answer(tmp_path: Path) -> None:
    """Whatever moment it stands for, what lies behind it is folded."""
    folder = tmp_path / "run"
    made = writer.begin(str(folder), info_of([BlockInfo(name="a", outputs=["a"])]), "inline")
    kept: list[bytes] = []

    def keep() -> None:
        made.write_checkpoint()
        kept.append((folder / layout.CHECKPOINT).read_bytes())

    keep()
    made.event(ev.BlockStarted, block="a")
    keep()
    value = ev.StoredValue(value=1, type="int", bytes=1)
    made.event(ev.BlockEnded, block="a", status=BlockStatus.COMPLETED, values={"a": value})
    keep()
    made.end(RunStatus.COMPLETED)
    made.close()
    right = observe.status(str(folder))
    assert right["status"] == "completed"
    for old in kept:
        (folder / layout.CHECKPOINT).write_bytes(old)
        assert observe.status(str(folder)) == right


def test_without_a_journal_the_checkpoint_is_what_there_is_and_says_so(survey: Path) -> None:
    right = observe.status(str(survey))
    bare = without(survey, "journal/0001.jsonl")
    found = observe.status(str(bare))
    assert (found["status"], found["status_source"], found["done"]) == ("degraded", "heartbeat", True)
    assert "the journal cannot be read" in found["message"]
    assert found["outputs"] == right["outputs"]


def test_without_journal_and_checkpoint_the_outputs_tell_what_they_can(survey: Path) -> None:
    bare = without(without(survey, "journal/0001.jsonl"), layout.CHECKPOINT)
    found = observe.status(str(bare))
    assert tuple(found) == KEYS
    assert (found["status"], found["status_source"], found["done"]) == ("running", "disk_heuristic", False)
    for path in (bare / "outputs").iterdir():
        os.utime(path, (1e9, 1e9))
    found = observe.status(str(bare))
    assert found["status"] == "incomplete"  # nothing was written for long, and one element failed
    assert found["outputs"]["stats"]["progress"] == 1.0
    assert found["outputs"]["report"]["complete"]
    samples.run_tiny(bare.parent / "tiny")
    bare = without(without(bare.parent / "tiny", "journal/0001.jsonl"), layout.CHECKPOINT)
    found = observe.status(str(bare))
    assert (found["status"], found["done"], found["all_complete"]) == ("completed", True, True)
    shutil.rmtree(bare / "outputs")
    found = observe.status(str(bare))
    assert (found["status"], found["done"], found["progress_fraction"]) == ("pending", False, None)


def test_the_file_is_plain_json_that_tells_counts_and_offsets(survey: Path) -> None:
    content = json.loads((survey / layout.CHECKPOINT).read_bytes())
    assert content["format"] == 1
    assert content["state"]["status"] == "degraded"
    assert content["state"]["blocks"]["parse"]["ok"] == 9
    assert {known["path"] for known in content["files"]} == {
        "journal/0001.jsonl", "outputs/parse.0001.pack", "outputs/text.0001.pack",
    }  # fmt: skip


def test_a_state_survives_being_a_checkpoint(survey: Path) -> None:
    found = decoded(survey)
    assert checkpoint.decode(checkpoint.encode(found)) == found
    assert run_state.is_sound(found.state)
