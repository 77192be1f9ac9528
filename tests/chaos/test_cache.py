"""The cache under a thousand random edits, and under processes that are killed while they share it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import scripts
from tests.chaos.conftest import Figures
from tests.harness.shop import shop

pytestmark = pytest.mark.chaos

EDITS = 1_000
ROUNDS = 30


def test_a_thousand_edits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figures: Figures, chaos_seed: int) -> None:
    """Random edits of code and inputs, against an oracle that recomputes everything."""
    monkeypatch.chdir(tmp_path)
    with shop(tmp_path, chaos_seed) as project:
        project.check()
        for number in range(EDITS):
            edited = project.edit()
            try:
                project.check()
            except AssertionError as error:
                raise AssertionError(f"edit {number} ({edited}): {error}") from None
    figures.told("edits", EDITS)
    figures.told("calls that were made", project.called)
    figures.told("calls that the cache saved", project.reused)


SHARED = """
    import random, sys, time
    from runstone import Pipeline, block

    @block(output="y", mapspec="x[i] -> y[i]")
    def square(x):
        return [x * x] * (1 + x % 7 * 5000)

    @block(output="s")
    def total(y):
        return sum(each[0] for each in y)

    pipeline = Pipeline("shared", [square, total], cache=True)
    chosen = random.Random(int(sys.argv[1]))
    while True:
        x = [chosen.randrange(200) for _ in range(chosen.randrange(1, 60))]
        run = pipeline.run({"x": x}, show_progress=False)
        assert [each[0] for each in run.outputs["y"]] == [each * each for each in x], x
        assert [len(each) for each in run.outputs["y"]] == [1 + each % 7 * 5000 for each in x], x
        assert run.outputs["s"] == sum(each * each for each in x), x
"""


def test_eight_processes_share_a_cache_and_are_killed(tmp_path: Path, figures: Figures, chaos_seed: int) -> None:
    """Eight processes that share a cache, killed at random and started again."""
    scripts.write(tmp_path / "job.py", SHARED)
    env = scripts.environment(RUNSTONE_LEDGER="none")
    chosen = random.Random(chaos_seed)

    def start(number: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "job.py", str(number)], cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True
        )

    going = [start(number) for number in range(8)]
    kills = 0
    try:
        for number in range(8, 8 + 8 * ROUNDS):
            time.sleep(chosen.uniform(0.05, 0.3))
            one = chosen.randrange(8)
            assert going[one].poll() is None, going[one].communicate()[1]
            going[one].kill()
            going[one].communicate()
            kills += 1
            going[one] = start(number)
    finally:
        for each in going:
            each.kill()
            each.communicate()
    figures.told("kills", kills)
