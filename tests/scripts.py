"""Real processes that run a script of a test's own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RUNSTONE = str(Path(sys.executable).with_name("runstone"))


def environment(**more: str) -> dict[str, str]:
    """That of this process, without what would make the child behave as if it were a test."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "RUNSTONE"))}
    return {**kept, "PYTHONWARNINGS": "error", "PYTHONPATH": "", **more}


def write(path: Path, code: str) -> Path:
    """Put a script where it is wanted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(code))
    return path


def call(*command: str, cwd: Path, stdin: str | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command, cwd=cwd, input=stdin, capture_output=True, text=True, timeout=60, check=False, env=environment(**more)
    )


def python(*arguments: str, cwd: Path, stdin: str | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run this Python to its end."""
    return call(sys.executable, *arguments, cwd=cwd, stdin=stdin, **more)


def runstone(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command `runstone` to its end."""
    return call(RUNSTONE, *arguments, cwd=cwd, **more)


def start(*command: str, cwd: Path, **options: Any) -> subprocess.Popen[str]:
    """Start a command; the caller ends it."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(command, cwd=cwd, env=environment(), **pipes)


def wait_for(path: Path, seconds: float = 30.0) -> None:
    """Wait until somebody has made a file."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.005)
