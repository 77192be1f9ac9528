"""A machine that dies: the run is traced, and every legal state of its disk after every step is looked at."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from tests.harness import machine, trace, verdict
from tests.harness.scene import Scene, seed
from tests.harness.trace import Step

# So that syncs and checkpoints meet records in the middle of things: a slow disk, many chunks, a heartbeat at each tick.
BUSY = {"pause": 0.001, "slow": 0.003, "heartbeat": 0.0, "chunk": 2}


def traced(scene: Scene, **options: object) -> list[Step]:
    """What a run does to its disk; folders above it do not exist before."""
    scene.folder = scene.place / "deep" / "runs" / "it"
    path = scene.place / "trace"
    answer = scene.spawn(traced=str(path), reboots=True, **options).answer()
    assert "error" not in answer, answer
    return trace.load(str(path))


def violations(scene: Scene, steps: list[Step], *, every: int = 1, samples: int = 2) -> Iterator[str]:
    """What is wrong in any state after any step."""
    dice = random.Random(seed())
    stage = machine.Stage(scene.folder, scene.place / "aside")
    for count in range(1 + dice.randrange(every), len(steps) + 1, every):
        crash = machine.Crash(steps, count)
        for after in machine.states(crash, dice, samples):
            stage.play(after)
            for wrong in verdict.judge_crash(scene.folder, crash):
                last = steps[count - 1]
                yield f"after step {count} ({last.kind} {Path(last.path).name}), {after.how}, seed {seed()}: {wrong}"


def test_no_death_of_the_machine_takes_what_was_synced_or_leaves_an_end_without_what_it_speaks_of(scene: Scene) -> None:
    steps = traced(scene, **BUSY)
    assert len(steps) > 100
    found = violations(scene, steps, every=4)
    assert next(found, None) is None


def test_once_the_end_is_synced_everything_is(scene: Scene) -> None:
    steps = traced(scene, **BUSY)
    assert verdict.judge_machine_end(steps, scene.folder) == []


def test_a_record_is_on_the_disk_a_moment_after_it_was_made(scene: Scene) -> None:
    steps = traced(scene, pipeline="patient", size=150, pause=0.004, chunk=10, heartbeat=1.0)
    ages = sorted(verdict.seconds_until_synced(steps, scene.folder))
    assert len(ages) > 15
    # 20 ms are promised; the rest is what a busy machine may add
    assert ages[len(ages) * 3 // 4] < 0.02 + 0.03, ages
    assert ages[-1] < 0.3, ages
