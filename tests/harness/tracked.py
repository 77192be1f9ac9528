"""What the journals of tracked runs in a project say, and scripts that track."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from runstone.core.tracked import TrackedState
from runstone.folder import track_files, track_reading

ROOT = Path(__file__).parent.parent.parent


def journals(project: Path) -> list[Path]:
    """All of them."""
    return [Path(path) for path in track_files.paths(str(project))]


def states(project: Path) -> list[TrackedState]:
    """All runs, in the order in which they began."""
    unreadable: list[tuple[str, str]] = []
    told = track_reading.survey(str(project), lambda path, why: unreadable.append((path, why)))
    assert not unreadable
    found = [each.state for path in told.settled for each in track_reading.runs(path, told)]
    found += [each.state for each in track_reading.shared_runs(told)]
    return sorted(found, key=lambda state: (state.created_at, state.stage))


def by_stage(project: Path) -> dict[str, TrackedState]:
    """The same by their names; each must be there once."""
    found = states(project)
    named = {state.stage: state for state in found}
    assert len(named) == len(found)
    return named


def script(
    code: str, project: Path, *arguments: str, ledger: str | None = "none", **more: str
) -> subprocess.Popen[str]:
    """Begin to execute a script in a project. ledger: None for the project's own."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", **more}
    environment.pop("RUNSTONE_LEDGER", None)
    if ledger is not None:
        environment["RUNSTONE_LEDGER"] = ledger
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def running(code: str, project: Path, *arguments: str, ledger: str | None = "none") -> Iterator[subprocess.Popen[str]]:
    """The same for a script that waits for what is done meanwhile: it ends with a test that fails."""
    with script(code, project, *arguments, ledger=ledger) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def execute(
    code: str, project: Path, *arguments: str, ledger: str | None = "none", **more: str
) -> tuple[str, str, int]:
    """Execute a script to its end; returns what it printed, what it complained of, and its exit code."""
    with script(code, project, *arguments, ledger=ledger, **more) as process:
        try:
            out, err = process.communicate(timeout=120)
        except BaseException:
            process.kill()
            raise
    return out, err, process.returncode


def done(code: str, project: Path, *arguments: str, ledger: str | None = "none", **more: str) -> str:
    """The same where nothing may go wrong; returns what it printed."""
    out, err, status = execute(code, project, *arguments, ledger=ledger, **more)
    assert (status, err) == (0, ""), err
    return out
