"""A run folder elsewhere, copied, packed, on a read-only mount, or without some of its files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runstone
from tests.durability.test_refusals import read_only
from tests.harness import mortal
from tests.harness.scene import SIZE, Scene, command


def run_and_end(scene: Scene, how: str) -> dict[str, Any]:
    """Leave a run that has ended like this; returns its status object."""
    options: dict[str, dict[str, Any]] = {
        "completed": {"pipeline": "patient"},
        "degraded": {},
        "crashed": {"fault": {"call": 30, "when": "before", "action": "ENOSPC"}},
    }
    scene.spawn(**options[how]).wait()
    status = scene.status()
    assert status["status"] == how
    assert status["done"]
    return status


def copied(folder: Path, there: Path) -> Path:
    subprocess.run(["cp", "-r", folder, there], check=True)
    return there


def moved(folder: Path, there: Path) -> Path:
    subprocess.run(["mv", folder, there], check=True)
    return there


def packed(folder: Path, there: Path) -> Path:
    archive = there.with_suffix(".tar")
    subprocess.run(["tar", "-cf", archive, "-C", folder.parent, folder.name], check=True)
    shutil.rmtree(folder)
    there.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", there], check=True)
    return there / folder.name


def without_permissions(folder: Path, there: Path) -> Path:
    shutil.copytree(folder, there)
    for path in [*there.rglob("*"), there]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return there


WAYS: list[Callable[[Path, Path], Path]] = [copied, moved, packed, without_permissions]


@pytest.mark.parametrize("how", ["completed", "degraded", "crashed"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_has_ended_is_told_equally_wherever_it_lies(
    scene: Scene, way: Callable[[Path, Path], Path], how: str
) -> None:
    status = run_and_end(scene, how)
    there = way(scene.folder, scene.place / "there")
    scene.folder = there
    assert relocated(scene.status()) == relocated(status)
    assert scene.status()["run_folder"] == str(there)
    (there / "status.json").unlink(missing_ok=True)
    assert relocated(scene.status()) == relocated(status)


def relocated(status: dict[str, Any]) -> dict[str, Any]:
    """A status object without where its folder is."""
    assert status["output_ref"] in (None, status["run_folder"])
    return {**status, "run_folder": "there", "output_ref": status["output_ref"] and "there"}


def test_outputs_load_from_a_copy_and_from_a_read_only_mount(scene: Scene) -> None:
    status = run_and_end(scene, "degraded")
    loads(copied(scene.folder, scene.place / "there"))
    with read_only(scene.folder.parent, scene.place / "fixed") as mounted:
        if mounted is None:
            pytest.skip("this user may not mount")
        before = sizes(scene.folder)
        loads(mounted / scene.folder.name)
        code, told, _ = command("status", str(mounted / scene.folder.name))
        assert code == 0
        assert relocated(told) == relocated(status)
        assert sizes(scene.folder) == before


def loads(folder: Path) -> None:
    run = runstone.open(folder)
    assert run.outputs["low"].to_list() == [mortal.expected("low", number, SIZE) for number in range(SIZE)]
    assert run.outputs["bulk"] == mortal.expected("bulk", 0, SIZE)
    assert run.outputs["report"] == mortal.expected("report", 0, SIZE)
    assert run.params["ballast"] == mortal.ballast()


def sizes(folder: Path) -> dict[str, tuple[int, int]]:
    found = {str(path): path.stat() for path in folder.rglob("*")}
    return {path: (each.st_size, each.st_mtime_ns) for path, each in found.items()}


def test_a_run_that_was_moved_within_its_file_system_is_still_proven_dead(scene: Scene) -> None:
    fault = {"call": 4, "when": "middle", "name": "append_all"}
    assert scene.spawn(fault=fault).wait() == -signal.SIGKILL
    status = scene.status()
    assert status["status"] == "crashed"
    scene.folder = moved(scene.folder, scene.place / "there")
    assert relocated(scene.status()) == relocated(status)


def test_deleted_outputs_are_named(scene: Scene) -> None:
    run_and_end(scene, "degraded")
    (scene.folder / "outputs" / "split.0001.pack").unlink()
    for checkpoint in (True, False):
        if not checkpoint:
            (scene.folder / "status.json").unlink()
        status = scene.status()
        assert status["status"] == "degraded"
        assert not status["all_complete"]
        assert "low" in status["message"]
        assert "high" in status["message"]
        assert not status["outputs"]["low"]["complete"]
        assert status["outputs"]["low"]["bytes"] == 0
        assert status["outputs"]["grid"]["complete"]
        assert status["n_outputs_completed"] < status["n_outputs"]
    shutil.rmtree(scene.folder / "outputs")
    status = scene.status()
    assert status["status"] == "degraded"
    assert not status["all_complete"]
    for name in ("low", "high", "bulk", "grid"):
        assert name in status["message"]


def test_a_pack_cut_behind_the_end_of_its_block_is_missing_what_was_cut(scene: Scene) -> None:
    run_and_end(scene, "completed")
    pack = scene.folder / "outputs" / "dawdle.0001.pack"
    whole = pack.read_bytes()
    for length in (0, 10, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        pack.write_bytes(whole[:length])
        for checkpoint in (True, False):
            aside = scene.place / "aside"
            if not checkpoint:
                os.rename(scene.folder / "status.json", aside)
            status = scene.status()
            if not checkpoint:
                os.rename(aside, scene.folder / "status.json")
            assert status["status"] == "completed"
            assert status["recorded_status"] == "completed"
            assert not status["all_complete"], (length, checkpoint)
            assert not status["outputs"]["slow"]["complete"], (length, checkpoint)
            assert "slow" in status["message"], (length, checkpoint)


def test_a_zero_filled_end_counts_as_missing(scene: Scene) -> None:
    fault = {"call": 5, "when": "before", "name": "append_all"}
    scene.spawn(pipeline="patient", chunk=2, fault=fault).wait()
    told = scene.status()
    assert told["outputs"]["slow"]["progress"] == 8 / SIZE
    for path in (scene.folder / "outputs" / "dawdle.0001.pack", scene.folder / "journal" / "0001.jsonl"):
        with path.open("ab") as file:
            file.write(bytes(5_000))
        assert scene.status() == told
    (scene.folder / "status.json").unlink(missing_ok=True)
    assert {**scene.status(), "status_source": told["status_source"]} == told
    pack = scene.folder / "outputs" / "dawdle.0001.pack"
    content = pack.read_bytes()
    last = content.rindex(b"RSf1")
    pack.write_bytes(content[: last + 40] + bytes(len(content) - last - 40))
    assert scene.status()["outputs"]["slow"]["progress"] == 6 / SIZE


def test_a_large_value_whose_end_is_zeros_counts_as_missing(scene: Scene) -> None:
    fault = {"call": 2, "when": "after", "name": "append_all"}
    scene.spawn(bulk=6_000_000, fault=fault).wait()
    assert scene.status()["outputs"]["bulk"]["bytes"] > 6_000_000
    pack = scene.folder / "outputs" / "bulk.0001.pack"
    content = pack.read_bytes()
    pack.write_bytes(content[:3_000_000] + bytes(len(content) - 3_000_000))
    (scene.folder / "status.json").unlink(missing_ok=True)
    assert scene.status()["outputs"]["bulk"]["bytes"] == 0


@pytest.mark.parametrize("how", ["completed", "degraded"])
def test_without_journal_and_checkpoint_the_outputs_still_speak(scene: Scene, how: str) -> None:
    told = run_and_end(scene, how)
    shutil.rmtree(scene.folder / "journal")
    status = scene.status()
    assert status["status"] == how
    assert status["status_source"] == "heartbeat"
    (scene.folder / "status.json").unlink()
    for path in scene.folder.glob("outputs/*"):
        os.utime(path, (1e9, 1e9))
    status = scene.status()
    assert status["status_source"] == "disk_heuristic"
    # that elements were allowed to fail is nowhere but in the journal; that some are missing, is in the packs
    assert status["status"] == ("completed" if how == "completed" else "incomplete")
    for name, output in told["outputs"].items():
        if output["complete"]:
            assert status["outputs"][name]["complete"], name
    code, _, _ = command("status", str(scene.folder))
    assert code == 0
    shutil.rmtree(scene.folder / "outputs")
    assert scene.status()["status"] == "pending"
    assert scene.status()["status_source"] == "disk_heuristic"
    (scene.folder / "run.json").unlink()
    assert scene.status()["status"] == "missing"
