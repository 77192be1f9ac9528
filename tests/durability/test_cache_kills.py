"""Processes that are killed between any two steps of keeping results: what is taken afterwards is whole and right."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import scripts

EVERY = 3
"""Steps from one kill to the next; all of them take a minute."""


@pytest.mark.parametrize(("kind", "calls"), [("blocks", 9), ("track", 1)])
def test_a_kill_between_any_two_steps_leaves_nothing_torn(tmp_path: Path, kind: str, calls: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.harness.cacher", kind, str(EVERY)],
        cwd=tmp_path,
        env=scripts.environment(PYTHONPATH=str(scripts.ROOT), RUNSTONE_LEDGER="none"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    whole, *steps = map(json.loads, done.stdout.splitlines())
    assert (whole["calls"], whole["again"], whole["made_again"]) == (calls, True, 0), done.stderr
    assert len(steps) == -(-whole["steps"] // EVERY)
    assert whole["steps"] > 20
    assert sum(each["killed"] for each in steps) > len(steps) - 5, "steps at the end may not come again"
    for each in steps:
        assert each["said"] == whole["expected"], each
        # what the first one has kept is not computed again; what it has not, is
        assert calls - each["before"] <= each["after"] <= calls, each
    # and it does keep them: the last ones that are killed have left nearly everything
    assert min(each["after"] for each in steps) == 0


def test_eight_processes_share_a_cache(tmp_path: Path) -> None:
    scripts.write(
        tmp_path / "job.py",
        """
        import sys
        from runstone import Pipeline, block

        @block(output="y", mapspec="x[i] -> y[i]")
        def square(x):
            return x * x

        @block(output="s")
        def total(y):
            return sum(y)

        pipeline = Pipeline("shared", [square, total], cache=True)
        for at in range(6):
            first = (int(sys.argv[1]) + at) * 10
            run = pipeline.run({"x": list(range(first, first + 50))}, show_progress=False)
            assert run.outputs["s"] == sum(x * x for x in range(first, first + 50))
            assert list(run.outputs["y"]) == [x * x for x in range(first, first + 50)]
            print(run.run_folder)
        """,
    )
    env = scripts.environment(RUNSTONE_LEDGER="none")
    started = [
        subprocess.Popen(
            [sys.executable, "job.py", str(number)],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    ended = [each.communicate(timeout=60) for each in started]
    assert [each.returncode for each in started] == [0] * 8, ended
    from runstone.folder.read import read_run

    folders = list(itertools.chain.from_iterable(said.split() for said, _ in ended))
    assert len(folders) == 48
    assert [read_run(folder).state.warnings for folder in folders] == [[]] * 48
    # by now all is there
    last = subprocess.run(
        [sys.executable, "job.py", "3"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    for folder in last.stdout.split():
        assert {block.status.value for block in read_run(folder).state.blocks.values()} == {"reused"}


def test_a_forked_child_uses_the_cache_that_its_parent_has_open(tmp_path: Path) -> None:
    scripts.write(
        tmp_path / "job.py",
        """
        import multiprocessing
        from runstone import track

        def process(rows):
            return sum(rows)

        def child(number):
            return track.windows([[1, 2], [number]], process, cache=True)

        if __name__ == "__main__":
            print(track.windows([[1, 2]], process, cache=True))
            with multiprocessing.get_context("fork").Pool(2) as pool:
                print(pool.map(child, range(4)))
            print(track.windows([[1, 2], [3]], process, cache=True))
        """,
    )
    said = scripts.python("job.py", cwd=tmp_path, RUNSTONE_LEDGER="none")
    assert (said.stdout.splitlines(), said.stderr) == (["[3]", "[[3, 0], [3, 1], [3, 2], [3, 3]]", "[3, 3]"], "")
    listed = scripts.runstone("cache", "ls", cwd=tmp_path).stdout.splitlines()
    assert listed[1].split()[:2] == ["windows/process", "5"]
