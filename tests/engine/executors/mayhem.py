"""Killing drivers, workers and guards at random, and judging what is left."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from runstone.engine.guard import processes
from runstone.folder import observe
from tests.engine.executors import crew
from tests.engine.executors.ways import noted
from tests.harness.ground import Ground
from tests.harness.nursery import Child, Nursery
from tests.harness.verdict import judge_fold

LIVE = "tests.engine.executors.crew:live"
EXECUTORS = ("processes", "processes", "auto", "threads", "inline")
SIZE = 40
ORPHANS_GONE = 2.0


class Mayhem:
    """One run after the other, each with a death in it.

    seconds_until_alone: from the death of a driver to that of its last descendant. ends: how often what was said.
    """

    def __init__(self, nursery: Nursery, place: Path, seed: int) -> None:
        self.nursery = nursery
        self.place = place
        self.dice = random.Random(seed)
        self.seconds_until_alone: list[float] = []
        self.ends: Counter[str] = Counter()
        self.again = 0
        self._number = 0

    def _begin(self, executor: str, pause: float) -> tuple[Child, Path, Path, str]:
        self._number += 1
        here = self.place / f"{self._number}"
        here.mkdir(parents=True)
        mark = os.urandom(8).hex()
        folder, oracle = here / "run", here / "oracle"
        return self._live(folder, oracle, mark, executor, pause), folder, oracle, mark

    def _live(
        self, folder: Path, oracle: Path, mark: str, executor: str, pause: float, *, resume: bool = False
    ) -> Child:
        return self.nursery.spawn(
            LIVE,
            folder=str(folder),
            oracle=str(oracle),
            mark=mark,
            executor=executor,
            size=SIZE,
            pause=pause,
            resume=resume,
        )

    def kill_driver(self) -> list[str]:
        """Kill a driver at any moment and go on with the run; returns what is wrong."""
        executor = self.dice.choice(EXECUTORS)
        pause = self.dice.choice((0.002, 0.01, 0.02))
        child, folder, oracle, mark = self._begin(executor, pause)
        time.sleep(self.dice.uniform(0.0, 0.6))
        child.signal(signal.SIGKILL)
        assert child.died(60)
        died = time.monotonic()
        while left := descendants(mark):
            if time.monotonic() - died > ORPHANS_GONE:
                return [f"alive {ORPHANS_GONE} s after the driver's death: {left}"]
            time.sleep(0.005)
        self.seconds_until_alone.append(time.monotonic() - died)
        if not (folder / "run.json").exists():
            self.ends["nothing yet"] += 1
            return []
        status = observe.status(str(folder))["status"]
        self.ends[status] += 1
        if status not in ("crashed", "degraded"):
            return [f"a run whose driver was killed is {status}"]
        wrong = judge(folder, oracle)
        if status != "crashed" or wrong:
            return wrong
        done = recorded(folder)
        before = Counter(noted(oracle))
        answer = self._live(folder, oracle, mark, executor, pause, resume=True).answer()
        wrong = judge(folder, oracle)
        if answer != {"status": "degraded", "total": crew.right(SIZE)}:
            wrong.append(f"the run that went on gave {answer}")
        twice = [call for call, count in Counter(noted(oracle)).items() if call in done and count > before[call]]
        self.again += 1
        return wrong + [f"{call} was recorded and computed again" for call in twice]

    def kill_within(self) -> list[str]:
        """Kill workers and guards of a run that goes on; returns what is wrong."""
        child, folder, oracle, mark = self._begin("processes", 0.005)
        for _ in range(self.dice.randint(1, 3)):
            time.sleep(self.dice.uniform(0.05, 0.3))
            found = [pid for pid in descendants(mark) if pid != child.pid]
            if found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.dice.choice(found), signal.SIGKILL)
        answer = child.answer()
        self.ends[f"{answer.get('status', answer)}"] += 1
        wrong = judge(folder, oracle)
        if answer != {"status": "degraded", "total": crew.right(SIZE)}:
            wrong.append(f"the run gave {answer}")
        ended = time.monotonic()
        while left := descendants(mark):
            if time.monotonic() - ended > ORPHANS_GONE:
                return [*wrong, f"alive {ORPHANS_GONE} s after the end: {left}"]
            time.sleep(0.005)
        return wrong


def descendants(mark: str) -> list[int]:
    """The living processes of one run; of the driver only what it has started, as its own environment is older."""
    text = f"{crew.MARK}={mark}".encode()
    return [one.pid for one in processes.everyone() if one.alive and text in processes.environment(one.pid)]


def recorded(folder: Path) -> set[str]:
    """Every element that is recorded, as the oracle writes it."""
    return {f"{block} {number}" for block, elements in Ground(folder).elements.items() for number in elements}


def judge(folder: Path, oracle: Path) -> list[str]:
    """What is wrong with what is on the disk."""
    ground = Ground(folder)
    calls = Counter(noted(oracle))
    wrong = [f"{element} is recorded twice" for element in ground.twice()]
    for block, elements in ground.elements.items():
        for number, outcome in elements.items():
            if outcome != "upstream_failed" and not calls[f"{block} {number}"]:
                wrong.append(f"{block}[{number}] is recorded as {outcome}, but was not executed")
            if block == "shaky" and outcome != "upstream_failed" and (outcome == "failed") != crew.fails(number):
                wrong.append(f"{block}[{number}] is recorded as {outcome}")
    return wrong + judge_fold(folder, ground)
