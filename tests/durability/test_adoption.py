"""Taking over from an earlier run while processes are killed and machines die: what is told to be there, is."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runstone.core.ranges import numbers
from runstone.errors import FolderError
from runstone.folder import layout
from runstone.folder.adopt import adopt
from runstone.folder.load import Loader
from runstone.folder.read import read_run
from runstone.folder.takeover import take_over
from tests.folder.ancestor import UNLUCKY, everything, made
from tests.folder.successor import Successor
from tests.harness import faults, machine, trace
from tests.harness.scene import Scene, calls_of, seed

ADOPTER = "tests.harness.adopter:live"


@pytest.fixture
def options(scene: Scene) -> Iterator[dict[str, Any]]:
    """An earlier run, beside the place of the new one, and what the new one is told about it."""
    scratch = scene.place.parent / f"{scene.place.name}-earlier"
    scratch.mkdir()
    params = {"size": 10, "cols": [0, 1, 2], "scratch": str(scratch)}
    made(scratch / "run", params, UNLUCKY)
    yield {"call": ADOPTER, "earlier": str(scratch / "run"), "params": params}
    shutil.rmtree(scratch)


def wrong_about(folder: Path) -> list[str]:
    """What is told to be there and is not, or is something else."""
    reading = read_run(str(folder))
    wrong = [f"{name} is missing" for name in reading.missing]
    wrong += [note for note in reading.notes if "damaged" in note]
    loader = Loader(str(folder), trust=False)
    expected = {"read": lambda number: number * 10, "grid": lambda number: f"{number // 3 * 10}-{number % 3}"}
    for block, output in (("reading", "read"), ("cross", "grid")):
        state = reading.state.blocks[block]
        if state.ok != sum(1 for pack in state.adopted.values() for _ in numbers(pack.elements)):
            wrong.append(f"{block} counts {state.ok} elements")
        for pack in state.adopted.values():
            for number in numbers(pack.elements):
                index = (number // 3, number % 3) if block == "cross" else number
                if loader.output(output)[index] != expected[output](number):
                    wrong.append(f"{output}[{number}] is {loader.output(output)[index]!r}")
    for block in reading.info.blocks:
        if reading.state.blocks[block.name].status == "reused":
            for output in block.outputs:
                try:
                    loader.output(output)
                except FolderError as error:
                    wrong.append(str(error))
    for artifact in loader.artifacts():
        path = folder / artifact.path
        if not path.exists() or path.stat().st_size != artifact.size_bytes:
            wrong.append(f"{artifact.path} is not what was saved")
    return wrong


def gone_on_with(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Take the run over and adopt what is left; returns how it stands then."""
    writer = take_over(str(folder))
    successor = Successor(everything, options["earlier"], options["params"])
    adopt(writer, successor.earlier, successor.plans)
    writer.close()
    state = read_run(str(folder)).state
    blocks = {name: (block.status.value, block.ok, block.outputs) for name, block in state.blocks.items()}
    return {"blocks": blocks, "artifacts": len(Loader(str(folder), trust=False).artifacts())}


def test_a_run_killed_at_any_point_of_its_adoption_tells_the_truth_and_can_go_on(
    scene: Scene, options: dict[str, Any]
) -> None:
    calls = calls_of(scene, **options)
    assert sum(name == "link" for name, _ in calls) >= 5, "nothing is adopted any more"
    scene.spawn(**options).answer()
    undisturbed = read_run(str(scene.folder)).state
    assert {block.status.value for block in undisturbed.blocks.values()} == {"reused", "pending"}
    as_undisturbed = {name: (block.status.value, block.ok, block.outputs) for name, block in undisturbed.blocks.items()}
    scene.clear()
    went_on = 0
    for point in faults.points(calls, after=True):
        child = scene.spawn(fault=point, **options)
        assert child.died(60), (point, "hangs")
        where = (point, calls[point["call"] - 1])
        if (scene.folder / layout.RUN).exists():
            assert wrong_about(scene.folder) == [], where
            child.wait()
            after = gone_on_with(scene.folder, options)
            assert after == {"blocks": as_undisturbed, "artifacts": 1}, where
            assert wrong_about(scene.folder) == [], where
            went_on += 1
        child.wait()
        scene.clear()
    assert went_on > 30


def test_no_death_of_the_machine_leaves_an_adoption_without_its_files(scene: Scene, options: dict[str, Any]) -> None:
    path = scene.place / "trace"
    answer = scene.spawn(traced=str(path), **options).answer()
    assert "error" not in answer, answer
    steps = trace.load(str(path))
    assert any(step.kind == "name" and ".adopted-" in step.path for step in steps)
    dice = random.Random(seed())
    stage = machine.Stage(scene.folder, scene.place / "aside")
    seen = 0
    for count in range(1, len(steps) + 1):
        crash = machine.Crash(steps, count)
        found = list(machine.states(crash, dice, 4))
        for after in dice.sample(found, min(8, len(found))):
            stage.play(after)
            if not os.path.exists(scene.folder / layout.RUN):
                continue
            try:
                reading = read_run(str(scene.folder))
            except FolderError:
                # run.json itself was not synced yet
                continue
            last = steps[count - 1]
            where = (count, last.kind, Path(last.path).name, after.how, seed())
            assert reading.missing == [], where
            seen += any(block.adopted for block in reading.state.blocks.values())
    assert seen > 20
