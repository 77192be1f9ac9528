"""Where the project is: the nearest parent folder with `runstone.toml` or `.runstone/`, else the current folder."""

from __future__ import annotations

import os

RUNS = "runs"


def project_root() -> str:
    """The project's folder, absolute."""
    start = folder = os.getcwd()
    while True:
        if os.path.exists(os.path.join(folder, "runstone.toml")) or os.path.isdir(os.path.join(folder, ".runstone")):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return start
        folder = above


def runs_root() -> str:
    """The folder that new runs go to, and in which names and ids are looked up."""
    return os.path.join(project_root(), RUNS)
