"""Runs that stream into a ledger while they go on, killed at random moments, and some of them gone on with."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

from tests.harness import mortal, survivor
from tests.harness.nursery import Nursery

LIVE = "tests.harness.attached:live"
LONGEST = 0.6


def live(folder: str, oracle: str, *, project: str, ledger: str, pipeline: str, **options: Any) -> dict[str, Any]:
    """Execute a run of the project in this process. pipeline: `mortal`, or `survivor`, which goes on where it was."""
    os.chdir(project)
    os.environ["RUNSTONE_LEDGER"] = ledger
    return {"mortal": mortal.live, "survivor": survivor.live}[pipeline](folder, oracle, **options)


def kill_many(nursery: Nursery, project: Path, ledger: str, dice: random.Random, kills: int) -> int:
    """Kill so many drivers of runs below `runs` in the project; returns how many were begun or gone on with for it."""
    killed = turns = number = 0
    while killed < kills:
        turns += 1
        folder = project / "runs" / f"survivor-{number}"
        # every third goes on with the run that was killed before it
        pipeline = "survivor" if turns % 3 == 0 and folder.exists() else dice.choice(["mortal", "survivor"])
        if turns % 3:
            number += 1
        child = nursery.spawn(
            LIVE,
            folder=str(project / "runs" / f"{pipeline}-{turns if pipeline == 'mortal' else number}"),
            oracle=str(project / f"oracle-{turns}"),
            project=str(project),
            ledger=ledger,
            pipeline=pipeline,
            pause=dice.choice([0.0, 0.001, 0.004, 0.02]),
            chunk=dice.choice([1, 3, 1000]),
        )
        if not child.died(dice.uniform(0.0, LONGEST)):
            child.signal(signal.SIGKILL)
        killed += "killed" in child.answer()
    return turns
