"""Many contenders, many times; drivers stopped everywhere; epoch upon epoch."""

from __future__ import annotations

import random
import signal
import time
from typing import Any

import pytest

from tests.chaos.conftest import Figures
from tests.durability.test_takeover import CONTEND, CONTENDERS, GO_ON, contend, killed_in_its_map, stop_and_take_over
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


def test_mortal_contenders(scene: Scene, chaos_seed: int, figures: Figures) -> None:
    """Contenders without links, killed anywhere in their claims, until one brings the run to its end."""
    dice = random.Random(chaos_seed)
    kills = highest = 0
    for _ in range(ROUNDS):
        killed_in_its_map(scene)
        gate, close = scene.place / "gate", scene.place / "close"
        while Ground(scene.folder).ended is None:
            gate.unlink(missing_ok=True)
            close.unlink(missing_ok=True)
            names = {"folder": str(scene.folder), "gate": str(gate), "close": str(close), "links": False}
            children = [
                scene.nursery.spawn(CONTEND, **names, fault={"call": dice.randrange(1, 8), "when": when})
                for when in dice.choices(["before", "middle", "after"], k=8)
            ]
            time.sleep(0.02)
            gate.touch()
            close.touch()
            kills += sum(child.wait() == -signal.SIGKILL for child in children)
            ground = Ground(scene.folder)
            assert len(set(ground.seqs)) == len(ground.seqs), chaos_seed
            assert scene.status()["status"] == "crashed", chaos_seed
            if dice.random() < 0.5:
                assert scene.spawn(GO_ON, links=dice.random() < 0.5).answer().get("epoch"), chaos_seed
        ground = Ground(scene.folder)
        wrong = verdict.judge_fold(scene.folder, ground) + verdict.judge_values(scene.folder, ground, SIZE)
        assert not wrong + ground.twice(), (chaos_seed, wrong)
        assert ground.seqs == list(range(1, len(ground.seqs) + 1)), chaos_seed
        highest = max(highest, scene.status()["epoch"])
        scene.clear()
    figures.told("runs", ROUNDS)
    figures.told("contenders killed", kills)
    figures.told("highest epoch of a run", highest)


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
            fault: dict[str, Any] = {"call": dice.randrange(1, 30), "when": dice.choice(["before", "middle", "after"])}
            mortal = fault if dice.random() < 0.8 else None
            links = dice.random() < 0.5
            child = scene.spawn(GO_ON, fault=mortal, chunk=dice.choice([1, 3]), links=links)
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
