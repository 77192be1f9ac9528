"""Runs that go on, died, failed, were stopped or taken up again: the truth about each, as far as its folder tells."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from runstone.folder import clock, observe
from tests.folder.spy import picture

real = pytest.importorskip("tests.folder.foreign.real", reason="pipefunc is not installed")

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills processes")

MINUTES = 120.0
BEAT = "pipefunc_status.json"


def words(folder: Path) -> tuple[str, str, str, bool, bool]:
    """How a run stands, looked at twice: nothing has changed by that."""
    before = picture(folder)
    status = observe.status(str(folder))
    assert observe.status(str(folder)) == status
    assert picture(folder) == before
    return status["status"], status["liveness"], status["status_source"], status["done"], status["stale"]


def message(folder: Path) -> str:
    found: str = observe.status(str(folder))["message"]
    return found


@pytest.fixture
def asynchronous(tmp_path: Path) -> Any:
    """A run with a heartbeat that is in its third call, and its process."""
    process = real.start("asynchronous", tmp_path / "run")
    yield tmp_path / "run", process
    process.kill()
    process.wait()


def test_a_run_with_a_live_heartbeat_goes_on(asynchronous: Any) -> None:
    folder, _ = asynchronous
    real.wait_for(lambda: observe.status(str(folder))["outputs"]["y"]["progress"] == 0.2)

    assert words(folder) == ("running", "live", "heartbeat", False, False)
    status = observe.status(str(folder))
    assert status["progress"] == {"done": 2, "total": 11, "failed": 0, "unit": "elements"}
    assert status["blocks"] == {"running": 1, "pending": 1}
    assert status["finished_at"] is None


def test_a_killed_run_is_incomplete_once_its_heartbeat_is_stale(asynchronous: Any) -> None:
    folder, process = asynchronous
    process.send_signal(signal.SIGKILL)
    process.wait()
    # nothing in the folder says which process it was, so that it is dead shows only by its silence
    assert words(folder)[:2] == ("running", "live")

    real.age(folder, 59)
    assert words(folder)[:2] == ("running", "live")
    real.age(folder, 2)
    assert words(folder) == ("incomplete", "lost", "heartbeat", False, True)
    assert observe.status(str(folder))["recorded_status"] == "running"
    assert message(folder).startswith("no sign of life since 20")
    assert observe.status(str(folder))["blocks"] == {"incomplete": 1, "pending": 1}
    assert real.own_answer(folder)["status"] == "running"
    assert real.own_answer(folder)["stale"]


def test_a_killed_run_without_a_heartbeat_is_incomplete_once_it_is_silent(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = real.start("sync", folder)
    assert words(folder) == ("running", "live", "disk_heuristic", False, False)
    process.send_signal(signal.SIGKILL)
    process.wait()

    real.age(folder, MINUTES)

    assert words(folder) == ("incomplete", "lost", "disk_heuristic", False, True)
    assert "no end is recorded, and nothing was written since 20" in message(folder)
    assert observe.status(str(folder))["progress_fraction"] == pytest.approx(0.1)


def test_a_run_that_writes_seldom_may_be_silent_for_longer(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    real.sync(folder, [real.double], {"x": [1, 2, 3]}, fixed_indices={"i": slice(0, 2)})
    real.age(folder, 200)
    array = folder / "outputs/y"
    started = (array / "__0__.pickle").stat().st_mtime
    os.utime(array / "__1__.pickle", (started, started + 100))

    # it was silent for 100 seconds once, and has been for as long again
    assert words(folder)[:2] == ("running", "live")
    real.age(folder, 250)
    assert words(folder)[:2] == ("incomplete", "lost")


def test_a_run_that_has_stored_nothing_yet_is_pending(tmp_path: Path) -> None:
    real.sync(tmp_path / "run", real.FRAGILE, {"x": [2]})

    assert words(tmp_path / "run") == ("pending", "live", "disk_heuristic", False, False)
    real.age(tmp_path / "run", MINUTES)
    assert words(tmp_path / "run")[:2] == ("incomplete", "lost")


def test_a_run_that_keeps_all_in_memory_is_running_until_it_is_silent(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    real.sync(folder, [real.fragile], {"x": [1, 2]}, storage="dict")

    assert words(folder)[:2] == ("running", "live")
    assert observe.status(str(folder))["outputs"]["y"]["progress"] is None
    assert observe.status(str(folder))["progress_fraction"] is None
    real.age(folder, MINUTES)
    assert words(folder)[:2] == ("incomplete", "lost")


def test_a_live_run_that_keeps_all_in_memory_is_as_far_as_its_heartbeat_says(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    real.asynchronous(folder, [real.fragile], {"x": [1, 2]}, storage="dict", chunksizes=1)
    beat = json.loads((folder / BEAT).read_text())
    beat["status"], beat["outputs"]["y"]["progress"] = "running", 0.5
    (folder / BEAT).write_text(json.dumps(beat))

    assert words(folder) == ("running", "live", "heartbeat", False, False)
    assert observe.status(str(folder))["outputs"]["y"] == {
        "type": None,
        "progress": 0.5,
        "complete": False,
        "bytes": 0,
    }


def test_a_failed_run_names_what_failed_and_is_not_complete_there(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    real.asynchronous(folder, [real.fragile, real.follow], {"x": [1, 2, 3]}, chunksizes=1)

    assert words(folder) == ("failed", "ended", "heartbeat", True, False)
    status = observe.status(str(folder))
    assert (status["reason"], status["recorded_status"]) == ("block_failed", "failed")
    assert status["message"] == "fragile failed; pipefunc keeps no error text in its folders"
    assert status["outputs"]["y"]["progress"] == pytest.approx(2 / 3)
    assert not status["outputs"]["y"]["complete"]
    assert status["blocks"] == {"failed": 1, "cancelled": 1}
    assert status["finished_at"] is not None
    assert real.own_answer(folder)["outputs"]["y"]["complete"], "pipefunc has it so"


def test_a_cancelled_run_is_cancelled(asynchronous: Any) -> None:
    folder, process = asynchronous
    process.kill()
    process.wait()
    beat = json.loads((folder / BEAT).read_text())
    (folder / BEAT).write_text(json.dumps(beat | {"status": "cancelled"}))

    assert words(folder) == ("cancelled", "ended", "heartbeat", True, False)
    assert observe.status(str(folder))["reason"] == "cancel_requested"


def test_the_heartbeat_of_an_earlier_attempt_does_not_speak_for_a_later_one(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    real.asynchronous(folder, [real.fragile, real.follow], {"x": [1, 2, 3]}, chunksizes=1)
    real.age(folder, MINUTES)
    assert words(folder)[0] == "failed"

    # the attempt after it is not asynchronous, and fails as well
    real.sync(folder, [real.fragile, real.follow], {"x": [1, 2, 3]}, resume=True)
    assert words(folder)[:3] == ("running", "live", "disk_heuristic")
    assert message(folder) == f"{BEAT} says failed, and is of an attempt before the last"
    real.age(folder, MINUTES)
    assert words(folder)[:3] == ("incomplete", "lost", "disk_heuristic")

    # the next one completes
    real.sync(folder, [real.double, real.follow], {"x": [1, 2, 3]}, resume=True)
    assert words(folder) == ("completed", "ended", "disk_heuristic", True, False)
    assert real.own_answer(folder)["status"] == "failed", "pipefunc has it so"


def test_a_resumed_run_is_completed_also_in_a_copy_whose_times_tell_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    real.asynchronous(folder, [real.fragile, real.follow], {"x": [1, 2, 3]}, chunksizes=1)
    real.sync(folder, [real.double, real.follow], {"x": [1, 2, 3]}, resume=True)
    real.age(folder, MINUTES)
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)

    assert words(tmp_path / "copy") == ("completed", "ended", "disk_heuristic", True, False)
    assert message(tmp_path / "copy") == "the heartbeat says failed, but every output is there"


def test_in_a_copy_whose_times_tell_nothing_the_heartbeat_is_believed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    real.asynchronous(folder, [real.fragile, real.follow], {"x": [1, 2, 3]}, chunksizes=1)
    real.age(folder, MINUTES)
    # copied slowly, the description last
    for name, late in ((BEAT, 90), ("run_info.json", 100)):
        found = (folder / name).stat().st_mtime
        os.utime(folder / name, (found + late, found + late))

    assert words(folder) == ("failed", "ended", "heartbeat", True, False)


def test_outputs_that_were_removed_are_not_complete_whatever_the_heartbeat_says(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    real.asynchronous(folder, [real.double, real.add], {"x": [1, 2, 3]})
    (folder / "outputs/total.cloudpickle").unlink()
    (folder / "outputs/y/__2__.pickle").unlink()

    assert words(folder) == ("incomplete", "ended", "heartbeat", True, False)
    status = observe.status(str(folder))
    assert (status["recorded_status"], status["all_complete"]) == ("completed", False)
    assert status["message"] == "the heartbeat says completed, but this is missing on disk: total, y"
    assert status["outputs"]["total"] == {"type": None, "progress": 0.0, "complete": False, "bytes": 0}


def test_a_run_that_left_elements_out_on_purpose_is_completed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    real.asynchronous(folder, [real.double], {"x": [1, 2, 3]}, fixed_indices={"i": 1})

    assert words(folder) == ("completed", "ended", "heartbeat", True, False)
    status = observe.status(str(folder))
    assert not status["all_complete"]
    assert status["message"] == "only some elements were asked for, and these are there: y"
    assert status["blocks"] == {"completed": 1}


def test_what_was_asked_for_and_is_gone_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    real.asynchronous(folder, [real.double], {"x": [1, 2, 3]}, fixed_indices={"i": slice(0, 2)})
    (folder / "outputs/y/__0__.pickle").unlink()

    assert words(folder)[:3] == ("incomplete", "ended", "heartbeat")


@pytest.mark.parametrize("left", [0, -1])
@pytest.mark.parametrize("storage", ["file_array", "dict"])
def test_values_that_are_empty_or_cut_off_are_missing(tmp_path: Path, storage: str, left: int) -> None:
    folder = tmp_path / "run"
    real.sync(folder, [real.double, real.note], {"x": [1, 2, 3]}, storage=storage)
    note = folder / "outputs/lab.note.cloudpickle"
    array = folder / "outputs/y" / ("__1__.pickle" if storage == "file_array" else "dict_array.cloudpickle")
    note.write_bytes(note.read_bytes()[:-1])
    array.write_bytes(array.read_bytes()[:left])
    real.age(folder, MINUTES)

    assert words(folder)[0] == "incomplete"
    status = observe.status(str(folder))
    assert not status["outputs"]["lab.note"]["complete"]
    assert status["outputs"]["y"]["progress"] == pytest.approx(2 / 3 if storage == "file_array" else 0)
    assert "files are empty or cut off, and count as missing: lab.note, y" in status["message"]


def test_a_run_began_when_its_defaults_were_written(tmp_path: Path) -> None:
    """run_info.json is written again whenever a shape becomes known."""
    folder = tmp_path / "run"
    real.sync(folder, [real.make, real.increase], {})
    began = (folder / "defaults/defaults.cloudpickle").stat().st_mtime
    os.utime(folder / "run_info.json", (began + 50, began + 50))
    os.utime(folder / "outputs/more/__3__.pickle", (began + 60, began + 60))

    status = observe.status(str(folder))

    assert clock.seconds(status["started_at"]) == pytest.approx(began, abs=1e-5)
    assert clock.seconds(status["last_modified"]) == pytest.approx(began + 50, abs=1e-5)
    assert clock.seconds(status["finished_at"]) == pytest.approx(began + 60, abs=1e-5)
    assert status["duration_seconds"] == pytest.approx(60)


def test_a_moved_folder_is_the_same_run(tmp_path: Path) -> None:
    real.asynchronous(tmp_path / "run", real.FRAGILE, {"x": [1, 2, 3]}, error_handling="continue")
    before = observe.status(str(tmp_path / "run"))
    (tmp_path / "archive").mkdir()
    (tmp_path / "run").rename(tmp_path / "archive/run")
    shutil.copytree(tmp_path / "archive/run", tmp_path / "copies/run")

    for place in ("archive/run", "copies/run"):
        after = observe.status(str(tmp_path / place))
        assert after == before | {"run_folder": str(tmp_path / place), "output_ref": None}


def test_a_read_only_folder_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    real.sync(folder, real.EVERYTHING, real.INPUTS)
    places = [folder, *folder.rglob("*")]
    for place in places:
        place.chmod(0o555 if place.is_dir() else 0o444)
    try:
        assert words(folder)[0] == "completed"
    finally:
        for place in places:
            place.chmod(0o755)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    real.sync(folder, [real.double], {"x": [1]})
    (folder / "run_info.json").chmod(0)

    assert observe.status(str(folder))["error"] == "run_info.json cannot be read: permission denied"
