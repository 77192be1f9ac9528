"""The command `runstone`, executed as a user does it, and runs for it to look at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.terminal import execute

RUNSTONE = [sys.executable, "-c", "from runstone.cli.main import main; main()"]

LAB = """
import numpy
import pandas
from runstone import Pipeline, artifact, block

class Model:
    def __init__(self, size):
        self.size = size

@block
def xs(n: int) -> list[int]:
    return list(range(n))

@block(mapspec="xs[i], ys[j] -> cell[i, j]", on_error="continue", retries=1)
def multiply(xs: int, ys: int) -> dict:
    if xs * ys == 6:
        raise ValueError(f"[bold]six[/] \\x1b[31m{xs} by {ys}\\nand more")
    return {"x": xs, "y": ys, "product": xs * ys}

@block(missing="drop", output=("table", "matrix"))
def collect(cell: list) -> tuple:
    flat = [each for row in cell for each in row]
    return pandas.DataFrame(flat), numpy.array([[each["x"], each["product"] / 2] for each in flat])

@block
def fit(matrix) -> object:
    with open("report.md", "w") as file:
        file.write("# report")
    artifact("report.md")
    return Model(len(matrix))

@block(mapspec="xs[i] -> models[i]")
def fit_each(xs: int) -> object:
    return Model(xs)

@block
def blob(n: int) -> bytes:
    return bytes(n)

@block
def says(n: int) -> str:
    return "h\\u00e4llo \\u202e\\x1b[31m \\x9b"

lab = Pipeline("lab", [xs, multiply, collect, fit, fit_each, blob, says],
               description="Multiplies and collects.", version="1.2", tags=["demo"])
"""


def runstone(*arguments: str, at: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Execute `runstone ...` with its output in pipes."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")
    }
    return subprocess.run(
        [*RUNSTONE, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        stdin=subprocess.DEVNULL,
        cwd=at,
        env=inherited | environment,
        check=False,
    )


def in_terminal(*arguments: str, at: Path, width: int = 80, **environment: str) -> tuple[str, int]:
    """Execute `runstone ...` in a terminal; returns what it wrote and its exit code."""
    return execute([*RUNSTONE, *arguments], at, width=width, environment=environment)


def make_lab(folder: Path) -> Path:
    """A run in `folder`/run, of the pipeline in `folder`/lab.py: degraded, with everything there is to show."""
    (folder / "lab.py").write_text(LAB, encoding="utf-8")
    made = runstone("run", "lab.py", "-p", "n=4", "-p", "ys=[1,2,3]", "--run-folder", "run", at=folder)
    assert made.returncode == 0, made.stderr
    return folder / "run"


def complaint(answer: subprocess.CompletedProcess[str]) -> str:
    """The one line with which a command refuses."""
    lines = answer.stderr.splitlines()
    assert len(lines) == 1, answer.stderr
    assert lines[0].startswith("runstone: ")
    return lines[0]
