"""A run that is killed again and again and gone on with until it ends, and what must hold all the time."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import runstone
from runstone.engine.guard import processes
from runstone.engine.guard.processes import Process
from runstone.folder import family, observe
from tests.harness import survivor, verdict
from tests.harness.ground import Ground, frames_of
from tests.harness.nursery import Child
from tests.harness.scene import Scene

LIVE = "tests.harness.survivor:live"
SIZE = 12
Elements = dict[str, dict[int, str]]


class Saga:
    """One run in a scene. Raises AssertionError as soon as something is not as promised.

    kills: how many of whom; executors: of how many epochs; epoch: the newest; ends: seconds from the death of a driver
    until nothing of it lived.
    """

    def __init__(self, scene: Scene, dice: random.Random, *, size: int = SIZE) -> None:
        self.scene, self.dice, self.size = scene, dice, size
        self.kills: Counter[str] = Counter()
        self.executors: Counter[str] = Counter()
        self.ends: list[float] = []
        self.recorded: Elements = {}
        self.story: list[str] = []
        self._id: str | None = None
        self.epoch = 0
        self._mark = f"RUNSTONE_TEST_{os.urandom(6).hex()}"

    @property
    def folder(self) -> Path:
        """Of the newest run of the family: what was killed at once is gone round."""
        return Path(family.newest(str(self.scene.folder)) or self.scene.folder)

    def spawn(self, executor: str, *, pause: float = 0.0, chunk: int = 3) -> Child:
        """Go on with the run in a new process."""
        return self.scene.spawn(LIVE, executor=executor, size=self.size, pause=pause, chunk=chunk, mark=self._mark)

    @property
    def ended(self) -> bool:
        """Whether the end of the run is recorded: its driver may have been killed after that."""
        return bool(observe.status(str(self.folder)).get("done"))

    def live_and_die(self, executor: str, *, whom: str = "driver") -> None:
        """One epoch, in which somebody is killed at a random moment, if it does not end before."""
        dice = self.dice
        before = self._calls()
        pause = dice.choice([0.0, 0.001, 0.004])
        child = self.spawn(executor, pause=pause, chunk=dice.choice([1, 3, 1000]))
        self.executors[executor] += 1
        workers = executor in ("processes", "mixed")
        wait = dice.uniform(0.0, 0.4) if dice.random() < 0.3 else dice.uniform(0.0, 2.0 if workers else 0.6)
        self.story.append(f"{executor}, pause {pause}, {whom} killed after {wait:.3f} s")
        ended = child.died(wait)
        if not ended and whom != "driver":
            ended = self._kill_below(child, whom)
        if not ended:
            child.signal(signal.SIGKILL)
            self.kills["driver"] += 1
        assert child.died(60), self.told("it does not die")
        self._nothing_lives()
        answer = child.answer()
        assert "error" not in answer, self.told(f"{answer} {child.stderr()[-2000:]}")
        self.look(before, killed="killed" in answer)

    def live(self, executor: str = "inline") -> None:
        """One epoch without a kill."""
        before = self._calls()
        child = self.spawn(executor)
        self.story.append(f"{executor}, undisturbed")
        answer = child.answer(120)
        assert not {"error", "killed"} & set(answer), self.told(f"{answer} {child.stderr()[-2000:]}")
        self._nothing_lives()
        self.look(before, killed=False)

    def to_the_end(self, executors: Sequence[str], victims: Sequence[str], *, epochs: int = 10) -> None:
        """Kill somebody in each of so many epochs, and let the run end."""
        for _ in range(epochs):
            self.live_and_die(self.dice.choice(executors), whom=self.dice.choice(victims))
            if self.ended:
                return
        self.live(self.dice.choice(executors))
        assert self.ended, self.told("it does not end")

    def _kill_below(self, child: Child, whom: str) -> bool:
        """Kill a guard or a worker, and give the driver a while to go on; returns whether it has ended."""
        chosen: list[Process] = []
        patience = time.monotonic() + 2.0
        while not chosen and time.monotonic() < patience and not child.died(0.005):
            marked = self._marked()
            guards = {one.pid: one for one in marked if one.parent == child.pid}
            chosen = list(guards.values()) if whom == "guard" else [one for one in marked if one.parent in guards]
        if chosen:
            victim = self.dice.choice(chosen)
            try:
                os.kill(victim.pid, signal.SIGKILL)
            except ProcessLookupError:
                return child.died(0)
            self.kills[whom] += 1
        return child.died(self.dice.uniform(0.0, 3.0))

    def _marked(self) -> list[Process]:
        mark = f"{self._mark}=1".encode()
        return [one for one in processes.everyone() if one.alive and mark in processes.environment(one.pid)]

    def _nothing_lives(self) -> None:
        begun = time.monotonic()
        while alive := self._marked():
            assert time.monotonic() < begun + 2.0, self.told(f"{alive} live 2 s after their driver's death")
            time.sleep(0.01)
        self.ends.append(time.monotonic() - begun)

    # what must hold

    def look(self, before: int, *, killed: bool) -> None:
        """Hold a run whose driver is dead against what was recorded before. before: how many calls there were."""
        folder = self.folder
        again = Counter(
            (name, number) for name, number in self._calls_from(before) if number in self.recorded.get(name, {})
        )
        assert not again, self.told(f"recorded, and computed again: {dict(again)}")
        if not (folder / "run.json").exists():
            assert killed, self.told("there is no run.json")
            return
        ground = Ground(folder)
        assert ground.info is not None
        elements = _recorded(ground)
        status = observe.status(str(folder))
        if self._id is None:
            self._id = ground.info["id"]
        assert ground.info["id"] == self._id, self.told("it is another run")
        assert status["epoch"] >= self.epoch, self.told("epochs do not grow")
        for name, known in self.recorded.items():
            lost = [number for number, outcome in known.items() if elements.get(name, {}).get(number) != outcome]
            assert not lost, self.told(f"recorded and lost: {name}{lost}")
        # a single value may be there once more: its block is recorded when it has ended
        twice = [each for each in ground.twice() if ground.total(each.partition("[")[0]) is not None]
        wrong = [f"{element} is recorded twice" for element in twice]
        if ground.seqs != list(range(1, len(ground.seqs) + 1)):
            wrong.append("the records are not numbered without a gap")
        wrong += verdict.judge_fold(folder, ground)
        if killed and ground.ended is None:
            told = (status["status"], status["liveness"], status["resumable"])
            wrong += [] if told == ("crashed", "gone", True) else [f"the status is {told}"]
        assert not wrong, self.told(str(wrong))
        self.recorded, self.epoch = elements, status["epoch"]

    def told(self, wrong: str) -> str:
        """What went wrong, and how it came to that."""
        return "\n".join([wrong, f"in {self.folder}", *self.story])

    def _calls(self) -> int:
        return len(self._lines())

    def _calls_from(self, start: int) -> Iterator[tuple[str, int]]:
        for line in self._lines()[start:]:
            name, number = line.split()
            yield name, int(number)

    def _lines(self) -> list[str]:
        return self.scene.oracle.read_text().splitlines() if self.scene.oracle.exists() else []

    def judge(self, undisturbed: dict[str, Any]) -> None:
        """The run has ended: it is what it would have been had nobody died. undisturbed: what `told_of` said of one."""
        found = told_of(self.folder)
        differ = {key: (found[key], undisturbed[key]) for key in undisturbed if found[key] != undisturbed[key]}
        assert not differ, self.told(f"as it is, and as it would be: {differ}")
        wrong = verdict.judge_ends(Ground(self.folder))
        assert not wrong, self.told(str(wrong))
        called: dict[str, set[int]] = {}
        for name, number in self._calls_from(0):
            called.setdefault(name, set()).add(number)
        assert called == survivor.elements(self.size), self.told("other elements were called than there are")


def _recorded(ground: Ground) -> Elements:
    """The elements that are never to be computed again."""
    blocks = ground.blocks()
    return {
        name: found
        for name, found in ground.elements.items()
        if ground.total(name) is not None or blocks[name] not in ("pending", "running", "retrying")
    }


def told_of(folder: Path) -> dict[str, Any]:
    """All of an ended run that does not depend on how it came to its end."""
    run = runstone.open(folder)
    status = run.status_object()
    ended = ("status", "recorded_status", "done", "all_complete", "n_outputs", "n_outputs_completed", "message")
    manifest = json.loads(json.dumps(run.manifest()))
    # it is the last to be written, and derived
    if (folder / "manifest.json").exists():
        assert manifest == json.loads((folder / "manifest.json").read_bytes())
    return {
        **{key: status[key] for key in ended},
        "progress": status["progress"],
        "blocks": run.blocks,
        "complete": {name: (each["type"], each["complete"]) for name, each in status["outputs"].items()},
        "values": {name: plain(run.outputs[name]) for name in run.outputs if name != "never"},
        "values.pack": sorted(
            column["name"] for frame in frames_of(folder / "outputs/values.pack") for column in frame["columns"]
        ),
        "manifest": (manifest["status"], sorted(manifest["outputs"]), [stage["name"] for stage in manifest["stages"]]),
        "artifacts": sorted((one.name, one.block, one.element, one.size_bytes) for one in run.list_artifacts()),
        "errors": sorted((each.block, each.element, each.type, each.message) for each in run.errors),
    }


def plain(value: Any) -> Any:
    """A value as something that can be compared and printed."""
    if isinstance(value, np.ndarray):
        return ("array", str(value.dtype), value.tolist())
    if isinstance(value, pd.DataFrame):
        return ("table", value.to_dict("list"))
    if isinstance(value, runstone.Failed):
        return ("failed", value.explain())
    if isinstance(value, (str, bytes, int, float)) or value is None:
        return value
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value]
