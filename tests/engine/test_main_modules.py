"""Pipelines written where `__main__` is unusual: scripts, modules, `-c`, standard input, pytest, exec."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import scripts

CODE = """
from runstone import Pipeline, block

class Point:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return self.x == other.x

@block
def points(n: int) -> list:
    return [Point(number) for number in range(n)]

@block(mapspec="points[i] -> moved[i]")
def move(points: Point) -> Point:
    return Point(points.x + 1)

@block
def last(moved: list) -> Point:
    return moved[-1]

pipeline = Pipeline("points", [points, move, last])
"""

RUN = """
run = pipeline.run({"n": 3}, run_folder="run")
print(run.status, run.outputs["last"].x, [point.x for point in run.outputs["moved"]])
"""

LOOK = """
import runstone
run = runstone.open("./run")
print(run.status, run.outputs["last"].x, [point.x for point in run.outputs["moved"]])
"""

EXPECTED = "completed 3 [1, 2, 3]\n"


@pytest.mark.parametrize("how", ["script", "script elsewhere", "-m", "-m package", "-c", "stdin"])
def test_it_runs_and_another_process_loads_what_was_made(tmp_path: Path, how: str) -> None:
    place = tmp_path / "sub" if how == "script elsewhere" else tmp_path
    scripts.write(place / "points.py", CODE + RUN)
    scripts.write(tmp_path / "package" / "__init__.py", "")
    scripts.write(tmp_path / "package" / "__main__.py", CODE + RUN)
    arguments = {
        "script": ["points.py"],
        "script elsewhere": ["sub/points.py"],
        "-m": ["-m", "points"],
        "-m package": ["-m", "package"],
        "-c": ["-c", CODE + RUN],
        "stdin": ["-"],
    }[how]
    ran = scripts.python(
        *arguments, cwd=tmp_path, stdin=CODE + RUN if how == "stdin" else None, PYTHONPATH=str(tmp_path)
    )
    assert (ran.stdout, ran.stderr) == (EXPECTED, "")
    # what was defined in __main__ travels by value
    found = scripts.python("-c", LOOK, cwd=tmp_path)
    assert (found.stdout, found.stderr) == (EXPECTED, "")


def test_it_runs_in_a_test_of_the_users_own(tmp_path: Path) -> None:
    scripts.write(
        tmp_path / "test_points.py",
        CODE
        + """
def test_points(tmp_path):
    run = pipeline.run({"n": 3}, run_folder=tmp_path / "run")
    assert run.outputs["last"] == Point(3)
""",
    )
    ran = scripts.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "test_points.py", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout
    assert "1 passed" in ran.stdout


def test_it_runs_where_there_is_no_source_at_all(tmp_path: Path) -> None:
    """As in a notebook or a shell: code that was compiled from a string, in a module without a file."""
    code = f"namespace = {{'__name__': '__main__'}}\nexec(compile({CODE + RUN!r}, '<cell 1>', 'exec'), namespace)"
    ran = scripts.python("-c", code, cwd=tmp_path)
    assert (ran.stdout, ran.stderr) == (EXPECTED, "")


def test_a_frozen_standard_output_is_no_trouble(tmp_path: Path) -> None:
    """As under a service manager: streams that are closed, or none at all."""
    code = (
        CODE + "import sys\nsys.stdout = sys.stderr = sys.stdin = None\n" + "pipeline.run({'n': 2}, run_folder='run')\n"
    )
    assert scripts.python("-c", code, cwd=tmp_path).returncode == 0
    found = scripts.python("-c", LOOK, cwd=tmp_path)
    assert (found.stdout, found.stderr) == ("completed 2 [1, 2]\n", "")


def test_a_script_that_ends_right_after_the_run_loses_nothing(tmp_path: Path) -> None:
    code = CODE + "import os\npipeline.run({'n': 2}, run_folder='run')\nos._exit(0)\n"
    assert scripts.python("-c", code, cwd=tmp_path).returncode == 0
    assert scripts.python("-c", LOOK, cwd=tmp_path).stdout == "completed 2 [1, 2]\n"


def test_a_script_that_does_not_wait_for_a_run_in_a_thread_still_ends_it(tmp_path: Path) -> None:
    ran = scripts.python("-c", CODE + "pipeline.run_async({'n': 2}, run_folder='run')\n", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert scripts.python("-c", LOOK, cwd=tmp_path).stdout == "completed 2 [1, 2]\n"


def test_a_forked_child_does_not_write_into_its_parents_run(tmp_path: Path) -> None:
    code = """
import multiprocessing, os
from runstone import Pipeline, block

def child(queue):
    queue.put(os.getpid())

@block(mapspec="x[i] -> y[i]")
def forks(x):
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    found = queue.get()
    process.join()
    assert process.exitcode == 0
    return found != os.getpid()

run = Pipeline("p", [forks]).run({"x": [1, 2, 3]}, run_folder="run")
print(run.status, run.outputs["y"].to_list())
"""
    ran = scripts.python("-c", code, cwd=tmp_path)
    assert (ran.stdout, ran.stderr) == ("completed [True, True, True]\n", "")
