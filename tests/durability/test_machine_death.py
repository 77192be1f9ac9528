"""A machine that dies: the run is traced, and every legal state of its disk after every step is looked at."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from tests.harness import machine, trace, verdict
from tests.harness.ground import Ground
from tests.harness.scene import Scene, seed
from tests.harness.trace import Step

# So that syncs and checkpoints meet records in the middle: a slow disk, many chunks, a heartbeat at each tick.
BUSY = {"pause": 0.001, "slow": 0.003, "heartbeat": 0.0, "chunk": 2}


def traced(scene: Scene, **options: object) -> list[Step]:
    """What a run does to its disk; folders above it do not exist before."""
    scene.folder = scene.place / "deep" / "runs" / "it"
    path = scene.place / "trace"
    answer = scene.spawn(traced=str(path), reboots=True, **options).answer()
    assert "error" not in answer or "fault" in options, answer
    return trace.load(str(path))


def violations(scene: Scene, steps: list[Step], *, rounds: int = 1, picked: int = 8, samples: int = 4) -> Iterator[str]:
    """What is wrong after any step, in some of the legal states. picked: how many after each step, each round anew."""
    dice = random.Random(seed())
    stage = machine.Stage(scene.folder, scene.place / "aside")
    for count in [each for _ in range(rounds) for each in dice.sample(range(1, len(steps) + 1), len(steps))]:
        crash = machine.Crash(steps, count)
        found = list(machine.states(crash, dice, samples))
        for after in dice.sample(found, min(picked, len(found))):
            stage.play(after)
            for wrong in verdict.judge_crash(scene.folder, crash):
                last = steps[count - 1]
                yield f"after step {count} ({last.kind} {Path(last.path).name}), {after.how}, seed {seed()}: {wrong}"


def test_no_death_of_the_machine_takes_what_was_synced_or_leaves_an_end_without_what_it_speaks_of(scene: Scene) -> None:
    steps = traced(scene, **BUSY)
    assert len(steps) > 100
    assert next(violations(scene, steps), None) is None


def test_what_a_disk_refused_to_sync_is_in_no_end(scene: Scene) -> None:
    for call in (4, 7, 10, 13, 16):
        fault = {"name": "sync", "call": call, "when": "before", "action": "EIO"}
        steps = traced(scene, pipeline="everything", fault=fault, pause=0.002, chunk=1000, heartbeat=60.0)
        assert steps
        assert next(violations(scene, steps, picked=3), None) is None, fault
        scene.clear()


def test_a_flipped_bit_takes_its_record_and_nothing_else(scene: Scene) -> None:
    scene.spawn().wait()
    assert list(rot(scene, tries=150)) == []


def rot(scene: Scene, *, tries: int) -> Iterator[str]:
    """What is wrong after one bit has changed, somewhere in a journal or a pack."""
    dice = random.Random(seed())
    files = [*scene.folder.glob("journal/*.jsonl"), *scene.folder.glob("outputs/*.0*.pack")]
    (scene.folder / "status.json").unlink()
    for _ in range(tries):
        path = dice.choice(files)
        content = path.read_bytes()
        # where a header ends nobody needs to know: half of the flips hit the first bytes, which are all header
        at = dice.randrange(min(len(content), dice.choice((300, len(content)))))
        flipped = bytearray(content)
        flipped[at] ^= 1 << dice.randrange(3)
        path.write_bytes(flipped)
        for wrong in verdict.judge_fold(scene.folder, Ground(scene.folder)):
            yield f"byte {at} of {path.name} flipped, seed {seed()}: {wrong}"
        path.write_bytes(content)


def test_once_the_end_is_synced_everything_is(scene: Scene) -> None:
    steps = traced(scene, **BUSY)
    assert verdict.judge_machine_end(steps, scene.folder) == []


def test_a_record_is_on_the_disk_a_moment_after_it_was_made(scene: Scene) -> None:
    steps = traced(scene, pipeline="patient", size=400, pause=0.004, chunk=10, heartbeat=60.0)
    ages = sorted(verdict.seconds_until_synced(steps, scene.folder))
    assert len(ages) > 15
    # 20 ms are promised; the rest is what a busy machine may add; if they waited for the end it would be more
    assert ages[len(ages) // 2] < 0.02 + 0.4, ages
