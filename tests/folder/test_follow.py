"""Following a run: every change once, the end last, and no longer than asked."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from runstone import Pipeline, block
from runstone.core import events as ev
from runstone.core.records import BlockInfo, PipelineInfo, RunInfo
from runstone.core.statuses import BlockStatus, RunStatus
from runstone.folder import clock, layout, writer
from runstone.folder.follow import end_of, follow
from runstone.folder.takeover import take_over
from tests import samples


@pytest.fixture
def begun(tmp_path: Path) -> writer.RunWriter:
    info = RunInfo(
        id="11111111-0000-4000-8000-000000000000",
        created_at=clock.now(),
        pipeline=PipelineInfo(name="p"),
        blocks=[BlockInfo(name="a", outputs=["a"])],
        params={},
    )
    return writer.begin(str(tmp_path / "run"), info, "inline")


def end(made: writer.RunWriter) -> None:
    value = ev.StoredValue(value=1, type="int", bytes=1)
    made.event(ev.BlockEnded, block="a", status=BlockStatus.COMPLETED, values={"a": value})
    made.end(RunStatus.COMPLETED)
    made.close()


def test_a_run_that_ended_is_told_once(tmp_path: Path) -> None:
    samples.run_tiny(tmp_path / "run")
    (seen,) = follow(str(tmp_path / "run"), interval=60, timeout=None)
    assert seen["status"] == "completed"


@pytest.mark.parametrize("what", ["missing", "error"])
def test_what_cannot_be_read_is_told_once(tmp_path: Path, what: str) -> None:
    (tmp_path / "run").mkdir()
    if what == "error":
        (tmp_path / "run" / layout.RUN).write_text("{")
    (seen,) = follow(str(tmp_path / "run"), interval=60, timeout=None)
    assert seen["status"] == what


def test_every_change_of_the_journal_is_seen_long_before_the_next_interval(begun: writer.RunWriter) -> None:
    seen: list[dict[str, Any]] = []
    following = follow(begun.folder, interval=60, timeout=30)
    seen.append(next(following))
    begun.event(ev.BlockStarted, block="a")
    begun.flush()
    seen.append(next(following))
    end(begun)
    seen.extend(following)
    assert [one["blocks"] for one in seen[:2]] == [{"pending": 1}, {"running": 1}]
    assert seen[-1]["status"] == "completed"
    assert [one["seq"] for one in seen] == sorted({one["seq"] for one in seen})


def test_nothing_is_said_twice(begun: writer.RunWriter) -> None:
    seen = list(follow(begun.folder, interval=0.01, timeout=0.3))
    assert len(seen) == 1
    begun.close()


def test_a_timeout_ends_it_between_two_intervals(begun: writer.RunWriter) -> None:
    start = time.monotonic()
    seen = list(follow(begun.folder, interval=60, timeout=0.2))
    assert 0.2 <= time.monotonic() - start < 5
    assert [one["status"] for one in seen] == ["running"]
    assert len(list(follow(begun.folder, interval=60, timeout=0))) == 1
    begun.close()


def test_chunks_are_seen_at_the_next_interval(begun: writer.RunWriter) -> None:
    begun.event(ev.BlockStarted, block="a", shape=[4])
    begun.flush()
    following = follow(begun.folder, interval=0.05, timeout=30)
    next(following)
    column = ev.ColumnMeta(name="a", bytes=1, count=1)
    for number in range(3):
        elements = [(number, number + 1)]
        begun.chunk(ev.Chunk(seq=0, at="", block="a", elements=elements, ok=1, columns=[column], shape=[4]), [b"x"])
        assert next(following)["progress"]["done"] == number + 1
    begun.close()


def test_a_run_in_another_thread_is_followed_to_its_end(tmp_path: Path) -> None:
    gate = threading.Event()

    @block
    def first() -> int:
        return 1

    @block
    def second(first: int) -> int:
        gate.wait(20)
        return first

    handle = Pipeline("two", [first, second]).run_async(run_folder=tmp_path / "run", show_progress=False)
    seen = []
    for one in follow(str(tmp_path / "run"), interval=0.05, timeout=60):
        seen.append(one)
        if one["blocks"] == {"completed": 1, "running": 1}:
            gate.set()
    assert handle.result().status == seen[-1]["status"] == "completed"
    fractions = [one["progress_fraction"] for one in seen]
    assert fractions == sorted(fractions)


def test_a_folder_that_is_removed_meanwhile_ends_it(begun: writer.RunWriter) -> None:
    following = follow(begun.folder, interval=0.02, timeout=30)
    next(following)
    begun.close()
    shutil.rmtree(begun.folder)
    assert [one["status"] for one in following] == ["missing"]


def test_waiting_takes_next_to_no_time_of_the_processor(begun: writer.RunWriter) -> None:
    start = time.thread_time()
    list(follow(begun.folder, interval=60, timeout=1.0))
    assert time.thread_time() - start < 0.2
    begun.close()


def test_the_next_epoch_is_followed_too(begun: writer.RunWriter) -> None:
    following = follow(begun.folder, interval=60, timeout=30)
    assert next(following)["epoch"] == 1
    begun.close()
    begun_file = os.stat(f"{begun.folder}/{layout.journal(1)}")
    taken = take_over(begun.folder, unproven=True)
    assert next(following)["epoch"] == 2
    assert begun_file.st_size == os.stat(f"{begun.folder}/{layout.journal(1)}").st_size
    taken.close()


@pytest.mark.parametrize(("age", "word"), [(60, "incomplete"), (None, "pending")])
def test_what_nobody_is_left_to_write_ends_it(tmp_path: Path, age: int | None, word: str) -> None:
    folder = tmp_path / "run"
    samples.run_survey(folder, tmp_path)
    shutil.rmtree(folder / layout.JOURNAL)
    (folder / layout.CHECKPOINT).unlink()
    for pack in (folder / layout.OUTPUTS).iterdir():
        if age is None or pack.name.startswith("values"):
            pack.unlink()
        else:
            os.utime(pack, (time.time() - age,) * 2)
    (seen,) = follow(str(folder), interval=60, timeout=10)
    assert (seen["status"], seen["status_source"]) == (word, "disk_heuristic")
    assert end_of(seen) == "incomplete"


def test_outputs_that_were_written_just_now_may_still_grow(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    samples.run_survey(folder, tmp_path)
    shutil.rmtree(folder / layout.JOURNAL)
    (folder / layout.CHECKPOINT).unlink()
    (folder / layout.VALUES_PACK).unlink()
    seen = list(follow(str(folder), interval=60, timeout=0.1))
    assert seen[-1]["status"] == "running"
    assert end_of(seen[-1]) is None


def test_a_block_is_followed_to_its_own_end(begun: writer.RunWriter) -> None:
    following = follow(begun.folder, interval=60, timeout=30, block="a")
    assert next(following)["block"]["status"] == "pending"
    value = ev.StoredValue(value=1, type="int", bytes=1)
    begun.event(ev.BlockStarted, block="a")
    begun.event(ev.BlockEnded, block="a", status=BlockStatus.COMPLETED, values={"a": value})
    begun.flush()
    seen = list(following)
    assert (seen[-1]["status"], seen[-1]["block"]["status"], end_of(seen[-1])) == ("running", "completed", "completed")
    begun.close()
