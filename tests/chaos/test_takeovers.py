"""Many contenders, many times; drivers stopped everywhere; epoch upon epoch."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.chaos.conftest import Figures
from tests.durability.test_takeover import CONTENDERS, GO_ON, contend, killed_in_its_map, stop_and_take_over
from tests.harness import faults, verdict
from tests.harness.ground import Ground
from tests.harness.scene import SIZE, Scene, calls_of

pytestmark = pytest.mark.chaos
ROUNDS = 100


def test_contenders(scene: Scene, figures: Figures) -> None:
    """25 contenders for a dead epoch."""
    for number in range(ROUNDS):
        killed_in_its_map(scene)
        answers = contend(scene, links=number % 4 > 0)
        assert [answer["epoch"] for answer in answers if answer.get("won")] == [2], answers
        scene.clear()
    figures.told("rounds", ROUNDS)
    figures.told("contenders", ROUNDS * CONTENDERS)
    figures.told("rounds with exactly one winner", ROUNDS)


def test_stops(scene: Scene, figures: Figures) -> None:
    """A driver stopped at every point, taken over by force, and let go."""
    calls = calls_of(scene)
    points = faults.points(calls, after=True)[12:]
    for lease in (0.05, 30.0):
        for point in points:
            wrong = stop_and_take_over(scene, point, **({"lease": lease} if lease < 1 else {}))
            assert not wrong, (point, calls[point["call"] - 1], lease, wrong)
            scene.clear()
    figures.told("stops, with a lease that ran out, and with one that did not", f"{len(points):,}, {len(points):,}")
    figures.told("bytes changed that count, drivers that went on", 0)


def test_epochs(scene: Scene, chaos_seed: int, figures: Figures) -> None:
    """Takeovers that are killed, until one brings the run to its end."""
    dice = random.Random(chaos_seed)
    rounds = highest = kills = 0
    deadline = time.monotonic() + 45
    while time.monotonic() < deadline:
        killed_in_its_map(scene, chunks=dice.randrange(1, 4))
        while Ground(scene.folder).ended is None:
            assert scene.status()["status"] == "crashed"
            fault = {"call": dice.randrange(1, 30), "when": dice.choice(["before", "middle", "after"])}
            child = scene.spawn(GO_ON, fault=fault if dice.random() < 0.8 else None, chunk=dice.choice([1, 3]))
            kills += child.wait() == -signal.SIGKILL
        ground = Ground(scene.folder)
        wrong = verdict.judge_ends(ground) + verdict.judge_fold(scene.folder, ground)
        wrong += verdict.judge_values(scene.folder, ground, SIZE)
        wrong += [f"{element} twice" for element in ground.twice()]
        assert not wrong, (chaos_seed, wrong)
        assert ground.seqs == list(range(1, len(ground.seqs) + 1)), chaos_seed
        highest = max(highest, scene.status()["epoch"])
        rounds += 1
        scene.clear()
    figures.told("runs", rounds)
    figures.told("takers killed", kills)
    figures.told("most epochs of one run", highest)
